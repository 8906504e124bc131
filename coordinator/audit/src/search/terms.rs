//! What a record can be found by: who, what, which objects, where, and the words of the reason. Read from the record's bytes
//! without building it.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::directive::Directive;
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::telemetry::{EventKind, TelemetryBatch};
use mdfm_shared::wire;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Bytes of a value that the index keeps; ids and actions are shorter.
const VALUE_BYTES_MAX: usize = 160;
/// Words of a reason that are indexed.
const WORDS_MAX: usize = 400;

/// A side from which records are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Field {
    /// Who did it.
    Actor = b'a',
    /// A role that the actor had.
    Role = b'r',
    /// What was done.
    Action = b'A',
    /// To what, as the record names it.
    Object = b'o',
    /// Whether it was carried out.
    Outcome = b'O',
    /// The hospital that it concerns.
    Hospital = b'h',
    /// A gateway that it concerns.
    Gateway = b'g',
    /// A device that it concerns, inside signed telemetry and directives too.
    Device = b'd',
    /// A firmware that it concerns.
    Firmware = b'f',
    /// A deployment that it concerns.
    Deployment = b'D',
    /// A recall that it concerns.
    Recall = b'R',
    /// A user that it concerns.
    User = b'u',
    /// What a device or gateway reported, such as `deviceError`.
    Event = b'e',
    /// A word of the reason, in lower case.
    Word = b'w',
}

impl Field {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Role => "role",
            Self::Action => "action",
            Self::Object => "object",
            Self::Outcome => "outcome",
            Self::Hospital => "hospital",
            Self::Gateway => "gateway",
            Self::Device => "device",
            Self::Firmware => "firmware",
            Self::Deployment => "deployment",
            Self::Recall => "recall",
            Self::User => "user",
            Self::Event => "event",
            Self::Word => "word",
        }
    }

    fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "device" | "devices" => Self::Device,
            "gateway" => Self::Gateway,
            "hospital" | "hospitals" => Self::Hospital,
            "firmware" => Self::Firmware,
            "deployment" | "by" => Self::Deployment,
            "recall" => Self::Recall,
            "user" => Self::User,
            _ => return None,
        })
    }
    fn of_object(kind: &str) -> Option<Self> {
        Self::of_key(kind).filter(|_| !kind.ends_with('s') && kind != "by")
    }
}

/// A field and a value as one key of the index.
pub(crate) fn key(field: Field, value: &str) -> Vec<u8> {
    let mut end = value.len().min(VALUE_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let mut key = vec![field as u8];
    key.extend_from_slice(&value.as_bytes()[..end]);
    key
}

/// The words of a text as the index knows them.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).take(WORDS_MAX).map(str::to_lowercase)
}

#[derive(Deserialize)]
struct SkimActor<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    roles: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Skim<'a> {
    at_ms: u64,
    #[serde(borrow)]
    actor: SkimActor<'a>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    object: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    site: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    event: Option<Mentions>,
    #[serde(borrow)]
    document: Option<Cow<'a, str>>,
}

/// Ids that a JSON value names, wherever in it they stand.
#[derive(Default)]
struct Mentions(Vec<Vec<u8>>);

struct Walk<'t> {
    field: Option<Field>,
    found: &'t mut Vec<Vec<u8>>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "any value")
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.extend(self.field.map(|field| key(field, text)));
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            map.next_value_seed(Walk { field: Field::of_key(&name), found: self.found })?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Walk { field: self.field, found: self.found })?.is_some() {}
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Mentions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Vec::new();
        deserializer.deserialize_any(Walk { field: None, found: &mut found })?;
        Ok(Self(found))
    }
}

/// When a record was made and what it can be found by; keys stand there once each.
pub(crate) struct Skimmed {
    pub(crate) at_ms: u64,
    pub(crate) keys: Vec<Vec<u8>>,
}

fn document<T: Document>(text: &str) -> Option<T> {
    let signed: Signed<T> = wire::decode(&STANDARD.decode(text).ok()?).ok()?;
    signed.decode_unverified().ok()
}

/// Reads an entry; none if it is no record.
pub(crate) fn skim(entry: &[u8]) -> Option<Skimmed> {
    let record: Skim<'_> = serde_json::from_slice(entry).ok()?;
    let mut keys = record.event.unwrap_or_default().0;
    keys.push(key(Field::Actor, &record.actor.id));
    keys.extend(record.actor.roles.iter().map(|role| key(Field::Role, role)));
    keys.push(key(Field::Action, &record.action));
    keys.push(key(Field::Object, &record.object));
    keys.push(key(Field::Outcome, &record.outcome));
    if let Some((kind, id)) = record.object.split_once('/') {
        keys.extend(Field::of_object(kind).map(|field| key(field, id)));
    }
    keys.extend(record.site.iter().map(|site| key(Field::Hospital, site)));
    if let Some(reason) = &record.reason {
        keys.extend(words(reason).map(|word| key(Field::Word, &word)));
    }
    match (&*record.action, &record.document) {
        ("telemetry.commit", Some(text)) => {
            if let Some(batch) = document::<TelemetryBatch>(text) {
                batch.events.iter().for_each(|event| mention(&mut keys, event.device.as_ref(), &event.kind));
            }
        }
        ("directive.issue", Some(text)) => {
            for entry in document::<Directive>(text).map_or_else(Vec::new, |d| d.devices) {
                keys.push(key(Field::Device, entry.device.as_str()));
                keys.push(key(Field::Deployment, entry.deployment.as_str()));
            }
        }
        _ => {}
    }
    keys.sort_unstable();
    keys.dedup();
    Some(Skimmed { at_ms: record.at_ms, keys })
}

fn mention(keys: &mut Vec<Vec<u8>>, device: Option<&mdfm_shared::id::DeviceId>, kind: &EventKind) {
    keys.extend(device.map(|id| key(Field::Device, id.as_str())));
    keys.extend(kind.deployment().map(|id| key(Field::Deployment, id.as_str())));
    keys.push(key(Field::Event, kind.name()));
    let said = match kind {
        EventKind::DeviceError { code, message, .. } => format!("{code} {message}"),
        EventKind::Refused { reason, .. } | EventKind::Consent { reason, .. } => reason.clone(),
        EventKind::AgentStarted { .. }
        | EventKind::DeviceAdopted { .. }
        | EventKind::StateChanged { .. }
        | EventKind::DeviceObserved { .. }
        | EventKind::LocalAction { .. } => return,
    };
    keys.extend(words(&said).map(|word| key(Field::Word, &word)));
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Glance<'a> {
    v: u8,
    #[serde(rename = "at")]
    _at: IgnoredAny,
    #[serde(rename = "atMs")]
    at_ms: u64,
    #[serde(rename = "actor")]
    _actor: IgnoredAny,
    #[serde(borrow, rename = "action")]
    _action: Cow<'a, str>,
    #[serde(borrow, rename = "object")]
    _object: Cow<'a, str>,
    #[serde(borrow, rename = "outcome")]
    _outcome: Cow<'a, str>,
    #[serde(borrow)]
    event: Option<Kind<'a>>,
}

/// The kind of change that a record describes, empty without one, and when it was made (milliseconds since 1970); `None` for an entry
/// that is not a record.
pub(crate) fn kind_of(entry: &[u8]) -> Option<(Cow<'_, str>, u64)> {
    let glance: Glance<'_> = serde_json::from_slice(entry).ok()?;
    (glance.v == 1).then(|| (glance.event.and_then(|e| e.kind).unwrap_or_default(), glance.at_ms))
}
