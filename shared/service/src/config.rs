//! Help with configuration files.

use std::path::Path;

use crate::input::{INPUT_BYTES_MAX, InputError, read_input_text};
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
    let text = read_input_text(path, INPUT_BYTES_MAX).map_err(|error| match error {
        InputError::Read { source, .. } => stop(format!("cannot be read: {source}")),
        other => stop(other.to_string()),
    })?;
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
        None => in_words(message.trim_end()),
    }
}

/// The message of a decoder with words for the types of numbers.
fn in_words(message: &str) -> String {
    const WHOLE: [&str; 7] = ["usize", "u64", "u32", "u16", "u8", "i64", "i32"];
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    match expected {
        whole if WHOLE.contains(&whole) => format!("{before}expected a whole number"),
        "f64" | "f32" => format!("{before}expected a number"),
        _ => message.to_owned(),
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
        let of_type = |name: &str| with_hint(&format!("invalid type: string `listen`, expected {name}"));
        assert_eq!(of_type("usize"), "invalid type: string `listen`, expected a whole number");
        assert_eq!(of_type("f64"), "invalid type: string `listen`, expected a number");
        assert_eq!(of_type("a boolean"), "invalid type: string `listen`, expected a boolean");
    }
}
