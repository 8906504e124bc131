//! Contexts: a session by name for each coordinator or person, and which of them is in use.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, ensure};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{self, Session};
use crate::fault;
use crate::files;
use crate::output::{Output, text};

/// The context whose session lies where sessions lay before there were contexts.
const DEFAULT: &str = "default";
/// The file that keeps the session, whatever context is in use.
const SESSION: &str = "MDFMCTL_SESSION";
/// Characters of a context's name.
const NAME_CHARS_MAX: usize = 64;
/// Contexts that are listed.
const CONTEXTS_MAX: usize = 1_000;

/// The name of a context; a file has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = (1..=NAME_CHARS_MAX).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_good);
        let what = format!("a context's name has 1 to {NAME_CHARS_MAX} letters, digits, '-', '_' or '.'");
        if fits { Ok(Self(text.to_owned())) } else { Err(what) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contexts {
    /// Lists your contexts: where each signs in, as whom, and which one is in use.
    List,
    /// Uses a context from now on; `mdfmctl login --context NAME` makes one.
    Use {
        /// Name of the context; `default` for the session without a name.
        context: Name,
    },
    /// Removes a context that is signed out.
    Remove {
        /// Name of the context.
        context: Name,
    },
}

/// The folder of the sessions of whoever calls.
///
/// # Errors
/// The environment names none.
fn folder() -> anyhow::Result<PathBuf> {
    folder_in(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"))
}

/// The folder below those that the environment names. A relative one, or an empty one, would be another in each directory (XDG Base Directory
/// Specification).
fn folder_in(config: Option<OsString>, home: Option<OsString>) -> anyhow::Result<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(config).or_else(|| Some(absolute(home)?.join(".config")));
    let base = base.context("neither HOME nor XDG_CONFIG_HOME names an absolute path; give --session FILE")?;
    Ok(base.join("mdfmctl"))
}

/// The session file: as given, that of the context that is given, or that of the one in use.
///
/// # Errors
/// The environment names no folder for it, or which context is in use cannot be read.
pub(crate) fn session_file(given: Option<PathBuf>, context: Option<Name>) -> anyhow::Result<PathBuf> {
    match (given, context) {
        (Some(file), _) => Ok(file),
        (None, Some(name)) => Ok(file_of(&folder()?, &name)),
        (None, None) => {
            let folder = folder()?;
            Ok(file_of(&folder, &in_use(&folder)?))
        }
    }
}

fn file_of(folder: &Path, name: &Name) -> PathBuf {
    match name.0.as_str() {
        DEFAULT => folder.join("session.json"),
        other => folder.join("contexts").join(format!("{other}.json")),
    }
}

/// The context in use; the default one if none was chosen.
///
/// # Errors
/// What was chosen cannot be read: another coordinator than the chosen one must not be meant.
fn in_use(folder: &Path) -> anyhow::Result<Name> {
    let file = folder.join("context");
    let words = || format!("{} cannot be read; choose with mdfmctl contexts use NAME", file.display());
    match mdfm_service::read_input_text(&file, mdfm_service::INPUT_BYTES_MAX) {
        Ok(text) => text.trim().parse::<Name>().map_err(|error: String| anyhow!(error)).with_context(words),
        Err(error) if error.system() == Some(std::io::ErrorKind::NotFound) => Ok(Name(DEFAULT.to_owned())),
        Err(error) => Err(error).with_context(words),
    }
}

/// The names of the contexts that have a session file, in order.
fn names(folder: &Path) -> Vec<Name> {
    let entries = std::fs::read_dir(folder.join("contexts")).into_iter().flatten().flatten().take(CONTEXTS_MAX);
    let name = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
    let mut names: Vec<Name> = entries.filter_map(name).collect();
    if folder.join("session.json").exists() {
        names.push(Name(DEFAULT.to_owned()));
    }
    names.sort();
    names
}

pub(crate) fn run(out: &Output, action: &Contexts) -> anyhow::Result<()> {
    if matches!(action, Contexts::Use { .. }) {
        let is_free = client::environment(SESSION).is_none();
        ensure!(is_free, "{SESSION} names the session of every call; unset it first");
    }
    act(out, action, &folder()?)
}

fn act(out: &Output, action: &Contexts, folder: &Path) -> anyhow::Result<()> {
    match action {
        Contexts::List => {
            let used = in_use(folder)?;
            let row = |name: &Name| {
                let mut row = Session::summary(&file_of(folder, name));
                row["context"] = name.to_string().into();
                row["inUse"] = (*name == used).into();
                row
            };
            let rows: Value = names(folder).iter().map(row).collect();
            let columns = [
                ("CONTEXT", "/context"),
                ("IN USE", "/inUse"),
                ("COORDINATOR", "/url"),
                ("USER", "/userId"),
                ("SIGNED IN", "/signedIn"),
            ];
            out.table(&rows, &columns);
        }
        Contexts::Use { context } => {
            let there = file_of(folder, context).exists() || context.0 == DEFAULT;
            if !there {
                let words = format!("there is no context {context}; make it with mdfmctl login --context {context}");
                return Err(fault::not_found(words));
            }
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            files::replace(&folder.join("context"), format!("{context}\n").as_bytes())?;
            out.answer(&json!({ "context": context.to_string() }), || format!("context {context} is in use"));
        }
        Contexts::Remove { context } => {
            let file = file_of(folder, context);
            if !file.exists() {
                return Err(fault::not_found(format!("there is no context {context}")));
            }
            let signed_in = Session::summary(&file)["signedIn"] == true;
            ensure!(!signed_in, "{context} is signed in; end that first (mdfmctl logout --context {context})");
            let used = in_use(folder)?;
            std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
            if used == *context {
                files::replace(&folder.join("context"), format!("{DEFAULT}\n").as_bytes())?;
            }
            let used = json!({ "context": context.to_string(), "inUse": in_use(folder)?.to_string() });
            out.answer(&used, || format!("context {context} removed; {} is in use", text(&used["inUse"])));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::session;
    use crate::output::Form;

    #[test]
    fn cli_28_only_an_absolute_home_has_sessions() {
        let of = |config: Option<&str>, home: Option<&str>| {
            folder_in(config.map(OsString::from), home.map(OsString::from)).ok().map(|path| path.display().to_string())
        };
        assert_eq!(of(Some("/x"), Some("/h")).as_deref(), Some("/x/mdfmctl"));
        for bad in [None, Some(""), Some("."), Some("x/y")] {
            assert_eq!(of(bad, Some("/h")).as_deref(), Some("/h/.config/mdfmctl"), "{bad:?}");
            assert_eq!(of(bad, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn cli_28_a_context_is_chosen_and_removed_by_name() {
        let folder = std::env::temp_dir().join(format!("mdfmctl-contexts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("contexts")).expect("a folder");
        let out = Output::new(Form::Json, false).expect("a form");
        let name = |text: &str| text.parse::<Name>().expect(text);
        let act = |action: Contexts| act(&out, &action, &folder);
        let used = || in_use(&folder).expect("readable").to_string();
        assert_eq!((used(), names(&folder)), ("default".to_owned(), vec![]));
        assert!(act(Contexts::Use { context: name("test") }).is_err(), "it was never made");
        let held = serde_json::to_vec(&session("https://127.0.0.1:1")).expect("encodes");
        crate::files::write_secret(&file_of(&folder, &name("test")), &held).expect("written");
        act(Contexts::Use { context: name("test") }).expect("it is there");
        assert_eq!((used(), names(&folder)), ("test".to_owned(), vec![name("test")]));
        let refused = act(Contexts::Remove { context: name("test") }).expect_err("signed in").to_string();
        assert!(refused.contains("mdfmctl logout --context test"), "{refused}");
        crate::files::write_secret(&file_of(&folder, &name("test")), b"{}").expect("written");
        act(Contexts::Remove { context: name("test") }).expect("signed out");
        assert_eq!((used(), names(&folder)), ("default".to_owned(), vec![]));
        for damaged in [&b"../x\n"[..], b"", b"\xff"] {
            std::fs::write(folder.join("context"), damaged).expect("written");
            let refused = in_use(&folder).expect_err("damaged").to_string();
            assert!(refused.ends_with("cannot be read; choose with mdfmctl contexts use NAME"), "{refused}");
        }
        act(Contexts::Use { context: name("default") }).expect("a choice repairs it");
        assert_eq!(used(), "default");
        for bad in ["", ".", "..", "../x", "a/b", "a b", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        let given = session_file(Some("x".into()), Some(name("test"))).expect("a file");
        assert_eq!(given, PathBuf::from("x"), "a file that is given comes first");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
