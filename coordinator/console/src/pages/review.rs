//! What a release changes against another one, as rows that people read.

use serde_json::{Value, json};

/// How the values of a row are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Digest,
    Bytes,
    Duration,
    Words,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Digest => "digest",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Words => "words",
        }
    }
}

/// Label, how it is shown, and where in the release it stands (JSON pointer).
const ROWS: [(&str, Kind, &str); 16] = [
    ("Version", Kind::Text, "/version"),
    ("Release number", Kind::Text, "/manifest/releaseNumber"),
    ("Class", Kind::Words, "/manifest/class"),
    ("Model", Kind::Text, "/deviceModel"),
    ("Hardware revisions", Kind::Text, "/manifest/hardwareRevisions"),
    ("Security version", Kind::Text, "/manifest/securityVersion"),
    ("Lowest release to come from", Kind::Text, "/manifest/minimumRelease"),
    ("Image digest", Kind::Digest, "/imageSha256"),
    ("Image size", Kind::Bytes, "/imageBytes"),
    ("Bill of materials, digest", Kind::Digest, "/manifest/sbomSha256"),
    ("Time on trial", Kind::Duration, "/manifest/health/probationMs"),
    ("Errors tolerated on trial", Kind::Text, "/manifest/health/errorBudget"),
    ("Longest silence on trial", Kind::Duration, "/manifest/health/silenceLimitMs"),
    ("Days in which a directive alone brings it back", Kind::Text, "/recallWindowDays"),
    ("Unordered reboots in 24 hours that are healthy", Kind::Text, "/manifest/rebootsPerDay"),
    ("Approvals beyond the rule of its class", Kind::Text, "/manifest/extraApprovals"),
];

/// Fields of the manifest that the rows above show, or that say the same as one of them.
const SHOWN: [&str; 15] = [
    "firmwareId",
    "model",
    "hardwareRevisions",
    "version",
    "releaseNumber",
    "securityVersion",
    "class",
    "sha256",
    "components",
    "deltas",
    "minimumRelease",
    "health",
    "extraApprovals",
    "sbomSha256",
    "recallWindowMs",
];

/// A list as text; other values as they are.
fn plain(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            texts.collect::<Vec<_>>().join(", ").into()
        }
        // Whole numbers without a point, also where the API has fractions.
        Some(Value::Number(number)) => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e15 => Value::from(whole as i64),
            _ => number.clone().into(),
        },
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

fn row(label: &str, kind: Kind, before: Value, after: Value, has_other: bool) -> Value {
    let state = match (has_other, before == after) {
        (false, _) => "first time",
        (true, true) => "unchanged",
        (true, false) => "changed",
    };
    json!({ "label": label, "kind": kind.name(), "before": before, "after": after, "state": state })
}

/// Every field of `release` beside the one of `other`, which is `null` if nothing ran before. No field of a manifest is left out: one that is not known
/// here comes last under its own name.
pub(super) fn rows(other: &Value, release: &Value) -> Vec<Value> {
    let has_other = !other.is_null();
    let pair = |at: &str| (plain(other.pointer(at)), plain(release.pointer(at)));
    let mut rows: Vec<Value> = ROWS
        .iter()
        .map(|(label, kind, at)| {
            let (before, after) = pair(at);
            row(label, *kind, before, after, has_other)
        })
        .collect();
    rows.extend(images(other, release));
    let deltas = |of: &Value| Value::from(of["manifest"]["deltas"].as_array().map_or(0, Vec::len));
    rows.push(row("Patches", Kind::Text, deltas(other), deltas(release), has_other));
    let names =
        |of: &Value| of["manifest"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut rest: Vec<String> = names(other).into_iter().chain(names(release)).collect();
    rest.sort();
    rest.dedup();
    for name in rest.iter().filter(|name| !SHOWN.contains(&name.as_str()) && *name != "rebootsPerDay") {
        let (before, after) = (plain(other["manifest"].get(name)), plain(release["manifest"].get(name)));
        rows.push(row(name, Kind::Text, before, after, has_other));
    }
    rows
}

/// The images of a device with several parts, each by its name; nothing for one with a single image, whose digest is the release's.
fn images(other: &Value, release: &Value) -> Vec<Value> {
    let parts = |of: &Value| of["manifest"]["components"].as_array().cloned().unwrap_or_default();
    let (before, after) = (parts(other), parts(release));
    if before.len() <= 1 && after.len() <= 1 {
        return Vec::new();
    }
    let name = |part: &Value| part["name"].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<String> = before.iter().chain(&after).map(name).collect();
    names.sort();
    names.dedup();
    let digest = |parts: &[Value], wanted: &str| {
        parts.iter().find(|part| part["name"] == wanted).map_or(Value::Null, |part| part["sha256"].clone())
    };
    let row = |wanted: &String| {
        let label = format!("Image of part {wanted}");
        row(&label, Kind::Digest, digest(&before, wanted), digest(&after, wanted), !other.is_null())
    };
    names.iter().map(row).collect()
}

/// What devices cannot undo: the security version below which they never go again, if the release raises it. `null` otherwise.
pub(super) fn floor(other: &Value, release: &Value) -> Value {
    let of = |release: &Value| release["manifest"]["securityVersion"].as_u64();
    match (of(other), of(release)) {
        (Some(before), Some(after)) if after > before => json!({ "before": before, "after": after }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(security: u64, images: &[(&str, &str)]) -> Value {
        let components: Vec<Value> = images.iter().map(|(n, d)| json!({ "name": n, "sha256": d })).collect();
        json!({ "version": "1", "deviceModel": "M", "manifest": { "securityVersion": security, "hardwareRevisions": ["A", "B"],
            "components": components, "deltas": [], "extraApprovals": [], "invented": security } })
    }

    fn state_of<'a>(rows: &'a [Value], label: &str) -> &'a Value {
        &rows.iter().find(|row| row["label"] == label).unwrap_or_else(|| panic!("{label}: {rows:?}"))["state"]
    }

    #[test]
    fn console_each_field_says_whether_it_changed() {
        let (before, after) = (release(1, &[("main", "aa")]), release(2, &[("main", "aa")]));
        let found = rows(&before, &after);
        assert_eq!(state_of(&found, "Security version"), "changed");
        assert_eq!(state_of(&found, "Hardware revisions"), "unchanged");
        assert_eq!(state_of(&found, "invented"), "changed", "what is not known here is shown too");
        assert_eq!(state_of(&rows(&Value::Null, &after), "Version"), "first time");
        assert_eq!(floor(&before, &after), json!({ "before": 1, "after": 2 }));
        assert_eq!(floor(&after, &before), Value::Null);
        assert_eq!(floor(&Value::Null, &after), Value::Null);
    }

    #[test]
    fn console_images_of_several_parts_are_compared_by_name() {
        let before = release(1, &[("main", "aa"), ("pump", "bb")]);
        let after = release(1, &[("pump", "cc"), ("radio", "dd"), ("main", "aa")]);
        let found = rows(&before, &after);
        assert_eq!(state_of(&found, "Image of part main"), "unchanged");
        assert_eq!(state_of(&found, "Image of part pump"), "changed");
        assert_eq!(state_of(&found, "Image of part radio"), "changed");
    }
}
