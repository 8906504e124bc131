//! How values of the API are shown: times, durations, digests, sizes, names.

use std::cell::RefCell;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value, context};

use mdfm_shared::record::decode_document;
use mdfm_shared::telemetry::{Event, TelemetryBatch};
use mdfm_shared::text::html;

use crate::api::segment;

thread_local! {
    /// The zone of the page that this thread makes now: macros of other templates do not see the
    /// page's own values.
    static ZONE: RefCell<String> = const { RefCell::new(String::new()) };
    /// What the reader of the page that is made may do; `None` where that is not known, as in tests of one template.
    static PERMISSIONS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Makes a page for a reader: no link leads to a page that they may not open.
pub(crate) fn for_reader<T>(zone: &str, permissions: Vec<String>, make: impl FnOnce() -> T) -> T {
    PERMISSIONS.set(Some(permissions));
    let made = in_zone(zone, make);
    PERMISSIONS.set(None);
    made
}

/// Whether the reader has one of the permissions.
fn may_one_of(wanted: &[&str]) -> bool {
    PERMISSIONS
        .with_borrow(|held| held.as_ref().is_none_or(|held| wanted.iter().any(|one| held.iter().any(|h| h == one))))
}

/// An entry of the audit log: a link for who may read the log, words for others.
fn entry(index: &Value, words: &str) -> Value {
    let shown = format!("{}{}{}", html(words), if words.is_empty() { "" } else { " " }, html(&number(index)));
    match u64::try_from(index.clone()) {
        Ok(index) if may_one_of(&["readAudit"]) => {
            Value::from_safe_string(format!("<a href=\"{}/audit/{index}\">{shown}</a>", crate::ROOT))
        }
        _ => Value::from_safe_string(shown),
    }
}

/// The action of records that carry a gateway's batch.
const BATCH: &str = "telemetry.commit";

/// What a gateway reported in a record, the newest first, of one device alone if one is named;
/// `none` for any other record, and for a batch that
/// cannot be read.
fn reported(record: &Value, device: Option<&str>) -> Value {
    let text = |name: &str| record.get_attr(name).ok().and_then(|value| value.as_str().map(str::to_owned));
    let batch = || {
        let document = text("document").filter(|_| text("action").as_deref() == Some(BATCH))?;
        decode_document::<TelemetryBatch>(BATCH, &document).ok()?.decode_unverified().ok()
    };
    let Some(batch) = batch() else { return Value::from(()) };
    let wanted = device.filter(|device| !device.is_empty());
    let is_meant = |event: &&Event| wanted.is_none_or(|id| event.device.as_ref().is_some_and(|d| d.as_str() == id));
    let row = |event: &Event| {
        let (what, why) = event.kind.in_words();
        let device = event.device.as_ref().map(ToString::to_string);
        context! { at => event.at.to_string(), device => device, what => what, why => why }
    };
    batch.events.iter().rev().filter(is_meant).map(row).collect()
}

/// Makes a page in which times without a zone of their own are of this zone; empty for UTC.
pub(crate) fn in_zone<T>(zone: &str, make: impl FnOnce() -> T) -> T {
    ZONE.set(zone.to_owned());
    let made = make();
    ZONE.set(String::new());
    made
}

/// The page of this console about an object of the audit log such as `device/DEV-1`; nothing if it
/// has none.
fn place(object: &str) -> Value {
    let Some((kind, id)) = object.split_once('/') else { return Value::from(()) };
    let needed: &[&str] = match kind {
        "firmware" | "device" | "deployment" | "hospital" | "incident" => &["read"],
        "user" => &["manageUsers", "readAudit"],
        "webhook" => &["manageUsers"],
        "settings" | "hold" | "disposal" | "retention" => &["readAudit"],
        _ => &["readAll"],
    };
    if !may_one_of(needed) {
        return Value::from(());
    }
    let section = match kind {
        "firmware" => "releases",
        "user" => "people",
        "device" | "deployment" | "hospital" | "gateway" | "group" | "recall" | "incident" => &format!("{kind}s"),
        "hold" | "disposal" | "retention" => return Value::from(format!("{}/retention", crate::ROOT)),
        "settings" => return Value::from(format!("{}/settings", crate::ROOT)),
        "webhook" => return Value::from(format!("{}/webhooks", crate::ROOT)),
        _ => return Value::from(()),
    };
    Value::from(format!("{}/{section}/{}", crate::ROOT, segment(id)))
}

/// Adds all filters and functions to the templates.
pub(crate) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("time", |value: &Value, zone: Option<&str>| match zone {
        Some(zone) => time(value, Some(zone)),
        None => ZONE.with_borrow(|zone| time(value, Some(zone))),
    });
    environment.add_filter("ago", |value: &Value| ago(value, Timestamp::now()));
    environment.add_filter("duration", duration);
    environment.add_filter("digest", digest);
    environment.add_filter("bytes", bytes);
    environment.add_filter("words", words);
    environment.add_filter("action", |name: &str| mdfm_shared::action::in_words(name).unwrap_or_default());
    environment.add_filter("segment", |text: &str| segment(text));
    environment.add_filter("number", number);
    environment.add_filter("percent", percent);
    environment.add_filter("pretty", pretty);
    environment.add_filter("shell", |text: &str| shell(text));
    environment.add_filter("query", query);
    environment.add_filter("place", place);
    environment.add_filter("entry", entry);
    environment.add_filter("reported", reported);
    environment.add_test("over", |status: &str| is_over(status));
    environment.add_function("plural", plural);
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// A time of the API: RFC 3339 text, or milliseconds since 1970; `None` for nothing.
fn timestamp(value: &Value) -> Result<Option<Timestamp>, Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(None);
    }
    let parsed = match value.kind() {
        ValueKind::Number => i64::try_from(value.clone()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        _ => value.as_str().and_then(|text| text.parse().ok()),
    };
    parsed.map(Some).ok_or_else(|| invalid(format!("{value} is not a time")))
}

/// `2027-03-01 14:02:11 UTC`, or in the zone that is given (IANA name); a dash for nothing.
fn time(value: &Value, zone: Option<&str>) -> Result<Value, Error> {
    let Some(at) = timestamp(value)? else { return Ok(Value::from("\u{2013}")) };
    let zoned = match zone.filter(|zone| !zone.is_empty()).and_then(|zone| TimeZone::get(zone).ok()) {
        Some(zone) => at.to_zoned(zone),
        None => at.to_zoned(TimeZone::UTC),
    };
    let shown = zoned.strftime("%Y-%m-%d %H:%M:%S %Z");
    Ok(Value::from_safe_string(format!("<time datetime=\"{at:.0}\">{}</time>", html(&shown.to_string()))))
}

/// `14 s ago`, `in 3 h 20 min`; a dash for nothing.
fn ago(value: &Value, now: Timestamp) -> Result<Value, Error> {
    let Some(at) = timestamp(value)? else { return Ok(Value::from("\u{2013}")) };
    let since = now.duration_since(at);
    let words = match since {
        since if since.abs() < SignedDuration::from_secs(1) => "now".to_owned(),
        since if since.is_negative() => format!("in {}", span(since.abs())),
        since => format!("{} ago", span(since)),
    };
    Ok(Value::from_safe_string(format!("<time datetime=\"{at:.0}\" title=\"{at:.0}\">{words}</time>")))
}

/// The two largest units of a duration.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(unit, _)| seconds >= *unit) else {
        return format!("{} ms", duration.as_millis());
    };
    let (unit, name) = units[first];
    let whole = format!("{} {name}", seconds / unit);
    match units.get(first + 1).map(|(next, name)| ((seconds % unit) / next, name)) {
        Some((rest, name)) if rest > 0 => format!("{whole} {rest} {name}"),
        _ => whole,
    }
}

/// Milliseconds as `3 d 4 h`; a dash for nothing.
fn duration(value: &Value) -> Result<String, Error> {
    if value.is_none() || value.is_undefined() {
        return Ok("\u{2013}".into());
    }
    let ms = f64::try_from(value.clone()).map_err(|_| invalid(format!("{value} is not a duration")))?;
    Ok(span(SignedDuration::from_millis(ms as i64)))
}

/// The first sixteen digits of a digest in four groups, the whole on demand; all of it with `whole=true`.
fn digest(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let is_whole = options.get::<Option<bool>>("whole")?.unwrap_or(false);
    options.assert_all_used()?;
    let Some(text) = value.as_str() else { return Ok(Value::from("\u{2013}")) };
    let shown: Vec<char> = text.chars().take(if is_whole { usize::MAX } else { 16 }).collect();
    let groups: Vec<String> = shown.chunks(4).map(|group| group.iter().collect()).collect();
    let (text, groups) = (html(text), html(&groups.join(" ")));
    Ok(Value::from_safe_string(format!("<code class=\"digest\" title=\"{text}\">{groups}</code>")))
}

/// `34,603,008 bytes (33.0 MiB)`.
fn bytes(value: &Value) -> Result<String, Error> {
    let Ok(bytes) = u64::try_from(value.clone()) else { return Ok("\u{2013}".into()) };
    let large = bytes as f64;
    Ok(match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} bytes ({:.1} KiB)", grouped(bytes), large / 1_024.0),
        1_048_576..1_073_741_824 => format!("{} bytes ({:.1} MiB)", grouped(bytes), large / 1_048_576.0),
        _ => format!("{} bytes ({:.1} GiB)", grouped(bytes), large / 1_073_741_824.0),
    })
}

/// A whole number with groups of three digits; other numbers without zeros at their end.
fn number(value: &Value) -> String {
    match (u64::try_from(value.clone()), f64::try_from(value.clone())) {
        (Ok(whole), _) => grouped(whole),
        (_, Ok(other)) => other.to_string(),
        _ => value.to_string(),
    }
}

/// A share in percent with three decimals: `0.099 %`; a dash for nothing.
fn percent(value: &Value) -> String {
    let share = f64::try_from(value.clone()).ok().filter(|share| share.is_finite());
    share.map_or_else(|| "\u{2013}".to_owned(), |share| format!("{share:.3} %"))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A name of the API as words: `rolledBack` is `rolled back`.
fn words(name: &str) -> String {
    let mut shown = String::new();
    for letter in name.chars() {
        match letter {
            '-' | '_' => shown.push(' '),
            upper
                if upper.is_ascii_uppercase() && shown.chars().last().is_some_and(|last| last.is_ascii_lowercase()) =>
            {
                shown.push(' ');
                shown.push(upper.to_ascii_lowercase());
            }
            other => shown.push(other),
        }
    }
    shown
}

/// Whether a deployment with this status has ended.
pub(crate) fn is_over(status: &str) -> bool {
    ["completed", "rolledBack", "aborted", "superseded"].contains(&status)
}

/// A text as one word of a command line, whatever is in it.
pub(crate) fn shell(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '=' | ':' | '@' | ',' | '+');
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// JSON for people.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A query with pairs changed: `query | query(cursor=none, sort="x")` starts with `?`; pairs with `none` are left out.
fn query(pairs: &Value, changes: Kwargs) -> Result<String, Error> {
    let mut all: Vec<(String, String)> = Vec::new();
    for key in pairs.try_iter()? {
        let name = key.to_string();
        if !changes.has(&name) && name != "done" {
            all.push((name, pairs.get_item(&key)?.to_string()));
        }
    }
    let names: Vec<String> = changes.args().map(str::to_owned).collect();
    for name in names {
        let value = changes.get::<Value>(&name)?;
        if !value.is_none() {
            all.push((name, value.to_string()));
        }
    }
    let encoded = serde_urlencoded::to_string(&all).map_err(|error| invalid(error.to_string()))?;
    Ok(format!("?{encoded}"))
}

/// `1 device`, `2 devices`.
fn plural(count: &Value, one: &str, many: Option<String>) -> String {
    let word = if u64::try_from(count.clone()).is_ok_and(|count| count == 1) {
        one.to_owned()
    } else {
        many.unwrap_or_else(|| format!("{one}s"))
    };
    format!("{} {word}", number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_times_say_their_zone() {
        let at = Value::from(1_796_045_049_537_i64);
        let shown = time(&at, None).expect("a time").to_string();
        assert_eq!(shown, "<time datetime=\"2026-11-30T13:24:09Z\">2026-11-30 13:24:09 UTC</time>");
        let there = time(&at, Some("America/New_York")).expect("a time").to_string();
        assert!(there.contains("2026-11-30 08:24:09 EST"), "{there}");
        assert_eq!(time(&Value::from(()), None).expect("a dash").to_string(), "\u{2013}");
        assert!(time(&Value::from("<b>"), None).is_err());
        let now = Timestamp::from_millisecond(1_796_045_063_537).expect("a time");
        assert!(ago(&at, now).expect("an age").to_string().contains(">14 s ago<"));
    }

    #[test]
    fn cli_12_a_batch_is_shown_as_what_its_gateway_reported() {
        use mdfm_shared::digest::Digest;
        use mdfm_shared::record::document_text;
        use mdfm_shared::sign::{SecretKey, Signed};
        use mdfm_shared::telemetry::{EventKind, Severity};
        use mdfm_shared::time::UtcMillis;

        let event = |device: Option<&str>, at, kind| Event {
            device: device.map(|id| id.parse().expect("an id")),
            at: UtcMillis(at),
            kind,
        };
        let hostile = "<script>alert(1)</script>\u{202e}";
        let error =
            EventKind::DeviceError { severity: Severity::Critical, code: "ECG-17".into(), message: hostile.into() };
        let events = vec![
            event(None, 1_000, EventKind::AgentStarted { version: "1.2".into() }),
            event(Some("D-1"), 2_000, error.clone()),
            event(Some("D-2"), 3_000, error),
        ];
        let gateway = "GW-1".parse().expect("an id");
        let batch = TelemetryBatch { gateway, epoch: 1, sequence: 3, previous: Digest([0; 32]), events };
        let signed = Signed::sign(&batch, &[&SecretKey::from_seed([5; 32])]).expect("small");
        let record = |action: &str, document: &str| {
            serde_json::json!({ "index": 7, "at": "2026-11-30T13:24:09Z", "actor": { "id": "GW-1", "roles": [] },
                "action": action, "outcome": "accepted", "reason": null, "document": document })
        };
        let records = [
            record(BATCH, &document_text(&signed)),
            record(BATCH, "%%%"),
            record("device.change", &document_text(&signed)),
        ];
        let shown = |device: &str| {
            let page = "{% import \"components.html\" as ui %}{{ ui.history({\"records\": records}, {}, device) }}";
            let mut environment = crate::environment().expect("valid templates");
            environment.add_template_owned("x.html", page.to_owned()).expect("valid");
            let template = environment.get_template("x.html").expect("there");
            template
                .render(context! { records => Value::from(minijinja::value::Serde(&records)), device => device })
                .expect("renders")
        };
        let all = shown("");
        assert_eq!(all.matches("device reports critical error ECG-17").count(), 2, "{all}");
        assert!(all.contains("agent started") && !all.contains("<script>") && all.contains("&lt;script&gt;"), "{all}");
        assert_eq!(all.matches("<code>telemetry.commit</code>").count(), 1, "what cannot be read is named: {all}");
        assert!(all.contains("<code>device.change</code>"), "{all}");
        let own = shown("D-1");
        assert!(own.matches("ECG-17").count() == 1 && !own.contains("agent started") && !own.contains("D-2"), "{own}");
    }

    #[test]
    fn sec_console_a_command_holds_its_words_together() {
        assert_eq!(shell("FW-2.4.0"), "FW-2.4.0");
        assert_eq!(shell("x; rm -rf ~"), "'x; rm -rf ~'");
        assert_eq!(shell("it's $(id) `id`"), "'it'\\''s $(id) `id`'");
        assert_eq!(shell("--yes"), "'--yes'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn console_times_follow_the_readers_zone() {
        let mut environment = Environment::new();
        add(&mut environment);
        let shown = |zone| in_zone(zone, || environment.render_str("{{ 1796045049537 | time }}", ()).expect("a time"));
        assert!(shown("America/New_York").contains("08:24:09 EST"));
        assert!(shown("").contains("13:24:09 UTC"), "the zone is of one page alone");
        assert!(shown("No/Where").contains("13:24:09 UTC"));
    }

    #[test]
    fn console_objects_of_the_log_have_pages() {
        let of = |object: &str| place(object).to_string();
        assert_eq!(of("firmware/FW-1"), "/console/releases/FW-1");
        assert_eq!(of("device/../users"), "/console/devices/..%2Fusers");
        assert_eq!(of("settings/all"), "/console/settings");
        assert!(place("log").is_none() && place("session/current").is_none());
    }

    #[test]
    fn console_values_are_for_people() {
        assert_eq!(duration(&Value::from(259_200_000 + 4 * 3_600_000)).expect("a duration"), "3 d 4 h");
        assert_eq!(duration(&Value::from(16_028)).expect("a duration"), "16 s");
        assert_eq!(duration(&Value::from(596)).expect("a duration"), "596 ms");
        assert_eq!(bytes(&Value::from(34_603_008)).expect("a size"), "34,603,008 bytes (33.0 MiB)");
        assert_eq!(
            (number(&Value::from(1_234)), number(&Value::from(10.0)), number(&Value::from(0.5))),
            ("1,234".into(), "10".into(), "0.5".into())
        );
        assert_eq!((percent(&Value::from(0.0987)), percent(&Value::from(()))), ("0.099 %".into(), "\u{2013}".into()));
        assert_eq!(words("rolledBack"), "rolled back");
        assert_eq!(words("correctionDecision"), "correction decision");
        assert_eq!(plural(&Value::from(1), "device", None), "1 device");
        assert_eq!(plural(&Value::from(12_345), "device", None), "12,345 devices");
    }
}
