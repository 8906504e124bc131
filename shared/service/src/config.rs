//! Help with configuration files.

use std::path::Path;

use crate::{Exit, Stop};

/// Distance in edits up to which a known key is taken for what was meant.
const EDITS_MAX: usize = 3;

/// Reads a configuration file and parses it; the defaults without one.
///
/// # Errors
/// It cannot be read, or `parse` says what is wrong with it: [`Exit::Config`].
pub fn load_config<T: Default>(path: Option<&Path>, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Stop> {
    path.map_or_else(|| Ok(T::default()), |path| load_config_with(path, parse))
}

/// As [`load_config`], of a file that must be there.
///
/// # Errors
/// It cannot be read, or `parse` says what is wrong with it: [`Exit::Config`].
pub fn load_config_with<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Stop> {
    let stop = |cause: String| Stop::new(Exit::Config, format!("configuration {}: {cause}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| stop(format!("cannot be read: {e}")))?;
    // Editors of some systems put a byte-order mark before it.
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(stop)
}

/// Adds the nearest known key to the message of a decoder that refused an unknown one.
pub fn with_hint(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.contains("unknown field");
    let nearest = names.split_first().filter(|_| unknown).and_then(|(found, known)| {
        known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(found, k), *k))
            .filter(|(distance, _)| *distance <= EDITS_MAX)
            .min()
    });
    match nearest {
        Some((_, key)) => format!("{}; did you mean `{key}`?", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_and_nothing_far_off() {
        let message = |key: &str| format!("unknown field `{key}`, expected one of `data_dir`, `listen`, `public_url`");
        assert!(with_hint(&message("lisen")).ends_with("did you mean `listen`?"));
        assert!(with_hint(&message("publc_ulr")).ends_with("did you mean `public_url`?"));
        assert_eq!(with_hint(&message("colour_of_the_box")), message("colour_of_the_box"));
        assert_eq!(
            with_hint("invalid type: string `listen`, expected `u64`"),
            "invalid type: string `listen`, expected `u64`"
        );
    }
}
