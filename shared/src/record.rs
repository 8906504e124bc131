//! The form of an entry of the audit log: one JSON object, one line, version first.
//!
//! The bytes that were written are the record; nobody ever encodes a record again to verify it. JSON, so that an inspector can
//! read a log with a text viewer seven years on. What the coordinator does with a record is its own affair (`event`); here
//! stands what every reader needs: who, what, when, where, why, and the signed document that it carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::sign::{Document, Signed};
use crate::time::UtcMillis;
use crate::wire;

/// What kind of actor did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person or machine account, authenticated.
    User,
    /// A gateway, authenticated by certificate or signature.
    Gateway,
    /// The coordinator itself, by rule.
    System,
    /// Nobody that could be authenticated.
    Anonymous,
}

/// Who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Kind of actor.
    pub kind: ActorKind,
    /// Its id; for nobody the name that was claimed, for the system the component.
    pub id: String,
    /// The roles it had.
    pub roles: Vec<String>,
}

/// The person behind an actor's id: a machine with a token of theirs is written `PERSON/token/ID`, and what is forbidden to the person is
/// forbidden to it.
pub fn person(actor_id: &str) -> &str {
    actor_id.split_once('/').map_or(actor_id, |(person, _)| person)
}

/// Whether the action was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done.
    Accepted,
    /// Refused; nothing else changed.
    Refused,
}

/// What is known of the API request behind a record beside its caller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMark {
    /// Its place in a trace: `traceparent` of W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Mark of its caller and of the key under which it is done once: HMAC-SHA-256 under a secret of the coordinator; a plain digest in records
    /// of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The same of its method, path and body without secrets, where it has a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}

/// One record of the audit log (21 CFR 11.10(e)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Format version, 1.
    pub v: u8,
    /// When, RFC 3339 UTC, by the coordinator's clock.
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// What was done, a stable name such as `firmware.approve`.
    pub action: String,
    /// To what, for example `firmware/FW-1`.
    pub object: String,
    /// Whether it was carried out.
    pub outcome: Outcome,
    /// Where: the component that recorded it.
    pub component: String,
    /// Where: the hospital that it concerns, when it concerns one.
    pub site: Option<String>,
    /// Where from: the peer's address, when there was one.
    pub address: Option<String>,
    /// The API request, where there is something to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestMark>,
    /// Why, in the actor's words; for refusals the cause.
    pub reason: Option<String>,
    /// The object before, when it changed.
    pub before: Option<Value>,
    /// The object after, when it changed.
    pub after: Option<Value>,
    /// The change itself; replaying these in order gives the coordinator's state.
    pub event: Option<Value>,
    /// The signed document that caused or proves the change: base64 of its frame.
    pub document: Option<String>,
}

/// End of the action of a record that keeps what the record before it leaves out: a record that carries a manifest or an approval goes to
/// gateways, which need no more than the signed document, who acted and where it stands in the log.
pub const CONTEXT: &str = ".context";

/// Why bytes are no record, or carry no such document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a record of a version that we know.
    #[error("log entry is no audit record of version 1: {0}")]
    Malformed(String),
    /// The record carries no signed document of the kind.
    #[error("log entry {action:?} carries no readable signed document")]
    NoDocument {
        /// The record's action.
        action: String,
    },
}

impl AuditRecord {
    /// Whether this record keeps what the record before it leaves out.
    pub fn is_context(&self) -> bool {
        self.event.is_none() && self.document.is_none() && self.action.ends_with(CONTEXT)
    }

    /// The action that the record is about: its own, or that of the record before it, whose context it keeps.
    pub fn about(&self) -> &str {
        if self.is_context() { self.action.trim_end_matches(CONTEXT) } else { &self.action }
    }

    /// A record of an action on an object; what else it says is filled in by who makes it.
    pub fn new(at: UtcMillis, actor: &Actor, action: &str, object: &str, outcome: Outcome) -> Self {
        Self {
            v: 1,
            at: at.to_string(),
            at_ms: at.0,
            actor: actor.clone(),
            action: action.to_owned(),
            object: object.to_owned(),
            outcome,
            component: "mdfm-coordinator".into(),
            site: None,
            address: None,
            request: None,
            reason: None,
            before: None,
            after: None,
            event: None,
            document: None,
        }
    }
    /// The one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("string keys and plain values encode")
    }
    /// Reads an entry.
    ///
    /// # Errors
    /// Not JSON of this form, or another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(bytes).map_err(|e| RecordError::Malformed(e.to_string()))?;
        if record.v != 1 {
            return Err(RecordError::Malformed(format!("version {}", record.v)));
        }
        Ok(record)
    }
    /// The signed document that the record carries, unverified.
    ///
    /// # Errors
    /// There is none, or it is of another kind.
    pub fn document<T: Document>(&self) -> Result<Signed<T>, RecordError> {
        decode_document(&self.action, self.document.as_deref().unwrap_or_default())
    }
}

/// The signed document in the text that [`document_text`] gives, unverified.
///
/// # Errors
/// It is none, or of another kind; `action` names the record for whoever reads the error.
pub fn decode_document<T: Document>(action: &str, text: &str) -> Result<Signed<T>, RecordError> {
    let no = || RecordError::NoDocument { action: action.to_owned() };
    wire::decode(&STANDARD.decode(text).map_err(|_| no())?).map_err(|_| no())
}

/// Base64 of a signed document's frame, as a record carries it.
pub fn document_text<T: Document>(document: &Signed<T>) -> String {
    STANDARD.encode(wire::encode(document))
}
