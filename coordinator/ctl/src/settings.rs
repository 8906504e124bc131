//! Settings of the installation.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, Refused};
use crate::output::{Output, text};
use crate::{fault, files};

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Prints the settings as JSON, with the tag of what was read.
    Show,
    /// Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`.
    Set {
        /// File as `show` prints it, with its line `tag`; without that it is refused.
        file: PathBuf,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

const PATH: &str = "/api/v1/settings";
/// The record of the last change that was made.
const LAST_CHANGE: &str = "/api/v1/compliance/audit-logs?action=settings.set&outcome=accepted&order=newest&limit=1";
/// Settings whose difference an error names.
const NAMED_MAX: usize = 10;

/// Whether somebody else changed the settings since the tag was read.
fn is_changed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 412)
}

/// The settings that differ, by name, with their values.
fn differences(held: &Value, now: &Value) -> Vec<String> {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (held, now) = (fields(held), fields(now));
    let names: std::collections::BTreeSet<&String> = held.keys().chain(now.keys()).collect();
    let of = |side: &serde_json::Map<String, Value>, name: &str| text(side.get(name).unwrap_or(&Value::Null));
    let differing = names.into_iter().filter(|name| held.get(*name) != now.get(*name));
    differing.map(|name| format!("{name} is {} now, {} in the file", of(&now, name), of(&held, name))).collect()
}

/// What a file that is older than the settings says otherwise, who changed them, and what to do.
fn conflict(file: &Path, held: &Value, now: &Value, last: &Value) -> String {
    let mut what = if now.is_object() { differences(held, now) } else { Vec::new() };
    let more = what.len().saturating_sub(NAMED_MAX);
    what.truncate(NAMED_MAX);
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    let what = if what.is_empty() { "they have what the file has".to_owned() } else { what.join("; ") };
    let who = match last.pointer("/actor/id") {
        Some(who) => format!(" by {} at {} ({})", text(who), text(&last["at"]), text(&last["reason"])),
        None => String::new(),
    };
    format!(
        "nothing was changed: the settings were changed{who} after {} was written: {what}. Write them again (mdfmctl settings show --json > NEW.json), \
         make your change there, and set that file",
        file.display()
    )
}

/// The tag with which the settings were answered, as a line of their file: whoever gives the file back overwrites no other change.
const TAG: &str = "tag";

/// The settings of a file, and their tag.
fn of_file(file: &Path) -> anyhow::Result<(Value, String)> {
    let name = file.display();
    let mut settings: Value = mdfm_shared::json::from_slice(&files::read(file)?)
        .with_context(|| format!("{name} is not a file of settings in JSON, as settings show prints it"))?;
    let tag = settings.as_object_mut().and_then(|settings| settings.remove(TAG));
    let tag = tag.as_ref().and_then(Value::as_str).map(str::to_owned);
    let without = || {
        fault::value(format!(
            "{name} has no line {TAG:?}, so that a change of somebody else could be lost; nothing was sent. Write the file again with mdfmctl settings \
             show --json, and change it there"
        ))
    };
    Ok((settings, tag.ok_or_else(without)?))
}

/// The settings as an answer has them, with their tag.
fn with_tag((mut view, tag): (Value, String)) -> Value {
    view[TAG] = tag.into();
    view
}

pub(crate) async fn run(out: &Output, client: &Client, action: Settings) -> anyhow::Result<()> {
    match action {
        Settings::Show => {
            let view = with_tag(client.tagged(PATH).await?);
            // Lines that are wrapped would be other settings.
            mdfm_service::output::json(format_args!("{view:#}"));
        }
        Settings::Set { file, reason } => {
            let (settings, tag) = of_file(&file)?;
            let body = json!({ "settings": &settings, "reason": reason });
            let request = client.request(Method::PUT, PATH).header("if-match", tag).json(&body);
            let view = match client.send_tagged(request).await {
                Ok(answer) => with_tag(answer),
                Err(error) if is_changed(&error) => {
                    let now = client.get(PATH).await.unwrap_or_default();
                    let last = client.get(LAST_CHANGE).await.unwrap_or_default();
                    return Err(error.context(conflict(&file, &settings, &now, &last["records"][0])));
                }
                Err(error) => return Err(error),
            };
            out.answer(&view, || "the settings are changed".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_3_a_conflict_of_settings_says_what_changed() {
        let held = json!({ "passwordDays": 365, "trainingRequired": true, "notices": [] });
        let now = json!({ "passwordDays": 90, "trainingRequired": true, "notices": [{ "kind": "x\u{1b}[2J" }] });
        let last = json!({ "actor": { "id": "ada" }, "at": "2026-11-30T20:00:00Z", "reason": "shorter" });
        let words = conflict(Path::new("s.json"), &held, &now, &last);
        for part in
            ["by ada at 2026-11-30T20:00:00Z (shorter)", "passwordDays is 90 now, 365 in the file", "notices is"]
        {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(words.contains("settings show --json") && !words.contains("trainingRequired"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        let unseen = conflict(Path::new("s.json"), &held, &Value::Null, &Value::Null);
        assert!(unseen.contains("settings show --json") && !unseen.contains("in the file"), "{unseen}");
        let large: Value = (0..100).map(|n| (format!("s{n:03}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        assert!(conflict(Path::new("s.json"), &large, &json!({}), &Value::Null).contains("and 90 more"));
    }

    #[test]
    fn cli_3_settings_without_their_tag_are_not_sent() {
        let file = std::env::temp_dir().join(format!("mdfmctl-settings-{}", std::process::id()));
        let of = |text: &str| {
            std::fs::write(&file, text).expect("written");
            of_file(&file).map_err(|error| (crate::exit_code(&error), format!("{error:#}")))
        };
        let shown = with_tag((json!({ "sessionMinutes": 5 }), "\"7\"".to_owned())).to_string();
        assert_eq!(of(&shown), Ok((json!({ "sessionMinutes": 5 }), "\"7\"".to_owned())));
        for without in
            [r#"{ "sessionMinutes": 5 }"#, r#"{ "sessionMinutes": 5, "tag": null }"#, r#"{ "tag": 7 }"#, "[]"]
        {
            let (exit, words) = of(without).expect_err("without a tag");
            assert!(exit == 6 && words.contains("settings show --json"), "{exit}: {words}");
        }
        let _ = std::fs::remove_file(&file);
    }
}
