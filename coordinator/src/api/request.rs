//! What every request brings: who calls, from where, with which body.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, GatewayId, UserId};
use mdfm_shared::json;
use mdfm_shared::network::network;
use mdfm_shared::record::{Actor, RequestMark};
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire;
use serde::de::DeserializeOwned;

use super::body::Whole;
use super::{Api, Problem};
use crate::access::{Caller, Denied, Moment};
use crate::broker::Peer;
use crate::clock;
use crate::runner::anonymous;
use mdfm_coordinator_core::access::{By, Permission};
use mdfm_coordinator_core::desk::Submission;
use mdfm_coordinator_core::people::WallDisplay;
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::{Command, Refusal, State, precondition};

/// Tags looked at in one request.
const TAGS_MAX: usize = 16;

/// A JSON body, with errors that name the field.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Whole(bytes) = Whole::from_request(request, state).await?;
        json::from_slice(&bytes).map(Json).map_err(|e| {
            let class = if e.is_data() { Class::Invalid } else { Class::Malformed };
            let detail = format!("the request's JSON cannot be taken: {}", without_values(&e, &bytes));
            Refusal::new(class, "malformed-json", detail).into()
        })
    }
}

/// What stands in the path, with errors that name it.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|e| Refusal::new(Class::Malformed, "malformed-path", e.body_text()).into())
    }
}

/// A query string, with errors that name the parameter.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|query| Self(query.0))
            .map_err(|e| Refusal::new(Class::Malformed, "malformed-query", query_problem(&e.body_text())).into())
    }
}

/// How many objects there may be of those that are registered one by one, for ever: each takes memory at every start, and a machine's token may register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FleetRoom {
    /// Devices, and gateways, each.
    pub(crate) devices_max: usize,
}

/// Devices for each hospital, and for each release, that there may be.
const DEVICES_FOR_EACH_OTHER: usize = 10;

impl FleetRoom {
    /// Why there is no room for what a command registers; `None` if there is.
    fn refuses(self, state: &State, command: &Command) -> Option<Refusal> {
        let few = self.devices_max / DEVICES_FOR_EACH_OTHER;
        match command {
            Command::RegisterDevice(_) => self.refuses_devices(state, 1),
            Command::RegisterGateway { .. } => full((state.gateways.len(), 1), self.devices_max, "gateways"),
            Command::RegisterHospital { .. } => full((state.hospitals.len(), 1), few, "hospitals"),
            Command::CreateFirmware { .. } => full((state.firmware.len(), 1), few, "releases"),
            _ => None,
        }
    }

    /// Why there is no room for this number of further devices; `None` if there is.
    pub(super) fn refuses_devices(self, state: &State, more: usize) -> Option<Refusal> {
        full((state.devices.len(), more), self.devices_max, "devices")
    }
}

fn full((found, more): (usize, usize), max: usize, what: &str) -> Option<Refusal> {
    let detail = || {
        format!(
            "there are {found} {what}, {more} would be added, and this coordinator takes {max}; devices_max in its configuration says how many"
        )
    };
    (found.saturating_add(more) > max).then(|| Refusal::conflict("fleet-full", detail()))
}

/// The other end and its headers; [`Request::caller`] makes it somebody.
pub(super) struct Origin {
    pub(super) peer: Peer,
    token: Option<String>,
    /// What the shell around the handlers knows of the request.
    mark: Option<RequestMark>,
    /// Tags of what the caller means to change (`If-Match`).
    expects: Option<Vec<String>>,
    /// Whether a page of the console asks automatically: that is no use of the session.
    is_look: bool,
    /// Whether it reads, and which path.
    reads: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(|| {
            Problem::from(Refusal::new(Class::Unavailable, "no-peer", "the connection's peer is not known"))
        })?;
        let mark = parts.extensions.get::<RequestMark>().cloned();
        // The console's cookie counts for its pages alone; the API takes what no browser sends automatically.
        let token = match is_console(parts.uri.path()) {
            true => mdfm_console::token(&parts.headers),
            false => bearer(&parts.headers),
        };
        let is_look = parts.extensions.get::<mdfm_console::Look>().is_some();
        let reads = parts.method.is_safe().then(|| parts.uri.path().to_owned());
        Ok(Self { peer, token, mark, expects: if_match(&parts.headers), is_look, reads })
    }
}

/// Whether a display that shows this deployment reads this path.
fn is_of_display(path: &str, deployment: &DeploymentId) -> bool {
    let is_page =
        path.strip_prefix(mdfm_console::ROOT).is_some_and(|rest| rest == "/wall" || rest.starts_with("/assets/"));
    is_page || path == "/api/v1/display" || path == format!("/api/v1/deployments/{deployment}/summary")
}

/// Whether a path is one of the web console.
pub(super) fn is_console(path: &str) -> bool {
    path.strip_prefix(mdfm_console::ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
}

/// The tags of `If-Match` (RFC 9110 §13.1.1); weak ones fit nothing.
fn if_match(headers: &HeaderMap) -> Option<Vec<String>> {
    let text = headers.get(header::IF_MATCH)?.to_str().unwrap_or_default();
    Some(text.split(',').take(TAGS_MAX).map(|tag| tag.trim().trim_matches('"').to_owned()).collect())
}

/// Why a query string cannot be read, without the framework's words for it.
pub(super) fn query_problem(text: &str) -> String {
    format!("the query cannot be read: {}", text.trim_start_matches("Failed to deserialize query string: "))
}

/// An answer with the tag of the object that it shows.
pub(super) fn tagged<T: serde::Serialize>(state: &State, object: &str, view: T) -> Response {
    let tag = precondition::tag(state, object);
    let header = tag.and_then(|tag| HeaderValue::from_str(&format!("\"{tag}\"")).ok());
    let mut response = axum::Json(view).into_response();
    header.map(|tag| response.headers_mut().insert(header::ETAG, tag));
    response
}

impl Origin {
    pub(super) fn address(&self) -> Option<String> {
        Some(self.peer.address.to_string())
    }

    /// The caller, who must have `permission` for `action` on `object`; a denial is audited.
    pub(super) async fn need(
        &self,
        api: &Api,
        permission: Permission,
        action: &'static str,
        object: &str,
    ) -> Result<Caller, Problem> {
        self.need_by(api, permission, permission.by(), action, object).await
    }

    /// The same for a caller who must be known by at least `by`.
    pub(super) async fn need_by(
        &self,
        api: &Api,
        permission: Permission,
        by: By,
        action: &'static str,
        object: &str,
    ) -> Result<Caller, Problem> {
        let now = api.runner.now();
        let (actor, refusal) = match self.caller(api, now) {
            Some(caller) => match caller.may(permission, by, &api.sessions, now) {
                Ok(()) => return Ok(caller),
                Err(denied) => {
                    let refusal = refusal_of(&denied, &caller, permission);
                    (caller.actor, refusal)
                }
            },
            None => {
                let detail = "no valid session; sign in with POST /api/v1/sessions (mdfmctl login)";
                let refusal = Refusal::new(Class::Unauthenticated, "no-session", detail);
                (anonymous(&self.peer.address.ip().to_string()), refusal)
            }
        };
        Err(self.deny(api, actor, action, object, refusal).await)
    }

    /// The owner of the session or token. That of a display counts from its network, for what it shows, and for nothing else.
    fn known(&self, state: &State, now: UtcMillis) -> Option<Caller> {
        let caller = Caller::of(state, self.token.as_ref()?, now)?;
        let display = state.tokens.get(&caller.token_sha256).and_then(|token| token.display.as_ref());
        let fits = |display: &WallDisplay| {
            let path = self.reads.as_deref()?;
            let is_near = network(self.peer.address.ip()) == display.network;
            (is_near && is_of_display(path, &display.deployment)).then_some(())
        };
        display.is_none_or(|display| fits(display).is_some()).then_some(caller)
    }

    /// The caller, if there is a valid session that was used lately, or a valid token.
    fn caller(&self, api: &Api, now: UtcMillis) -> Option<Caller> {
        if self.is_look {
            return self.peek(api);
        }
        let state = api.runner.state();
        let caller = self.known(&state, now)?;
        let at = Moment { now, steady: clock::steady() };
        let shown_ms = match state.sessions.get(&caller.token_sha256) {
            Some(session) => api.idle.touch(caller.token_sha256, session.opened_at, at, &api.sessions)?,
            None => 0,
        };
        Some(caller.shown_before(shown_ms))
    }

    /// The caller, without that being a use of the session: none once that is over.
    pub(super) fn peek(&self, api: &Api) -> Option<Caller> {
        let state = api.runner.state();
        let now = state.not_before(clock::now());
        let caller = self.known(&state, now)?;
        let at = Moment { now, steady: clock::steady() };
        let shown_ms = match state.sessions.get(&caller.token_sha256) {
            Some(session) => api.idle.is_live(caller.token_sha256, session.opened_at, at, &api.sessions)?,
            None => 0,
        };
        Some(caller.shown_before(shown_ms))
    }

    /// A person in a session, for what they do with their own account.
    pub(super) async fn need_self(&self, api: &Api, action: &'static str) -> Result<(Caller, UserId), Problem> {
        let caller = self.need(api, Permission::Read, action, "user/self").await?;
        if !caller.is_person() {
            let refusal = Refusal::forbidden("person", "a token does nothing with its owner's account");
            return Err(self.deny(api, caller.actor, action, "user/self", refusal).await);
        }
        let user = id("user", &caller.actor.id)?;
        Ok((caller, user))
    }

    /// The same, where the person has just shown the second factor, whatever the policy says.
    pub(super) async fn need_shown(&self, api: &Api, action: &'static str) -> Result<(Caller, UserId), Problem> {
        let (caller, user) = self.need_self(api, action).await?;
        match caller.shows_factor(&api.sessions, api.runner.now()) {
            Ok(()) => Ok((caller, user)),
            Err(denied) => {
                let refusal = refusal_of(&denied, &caller, Permission::Read);
                Err(self.deny(api, caller.actor, action, "user/self", refusal).await)
            }
        }
    }

    /// The gateway whose certificate the connection carries.
    pub(super) async fn need_gateway(&self, api: &Api, action: &'static str) -> Result<GatewayId, Problem> {
        match &self.peer.gateway {
            // The connection may be older than a revocation.
            Some(gateway) if api.runner.state().gateways.get(gateway).is_some_and(|g| !g.revoked) => {
                Ok(gateway.clone())
            }
            _ => {
                let refusal = Refusal::forbidden("no-certificate", "this call is for enrolled gateways");
                Err(self.deny(api, anonymous(&self.peer.address.ip().to_string()), action, "agent", refusal).await)
            }
        }
    }

    /// The fingerprint of that certificate.
    pub(super) fn certificate(&self) -> Option<Digest> {
        self.peer.certificate
    }

    /// Says what is known of the request.
    pub(super) fn mark(&mut self, mark: RequestMark) {
        self.mark = Some(mark);
    }

    /// What somebody submits with this request.
    fn submission(&self, actor: Actor, command: Command) -> Submission {
        Submission { address: self.address(), request: self.mark.clone(), ..Submission::new(actor, command) }
    }

    /// Records a refusal and gives it back.
    pub(super) async fn deny(
        &self,
        api: &Api,
        actor: Actor,
        action: &'static str,
        object: &str,
        refusal: Refusal,
    ) -> Problem {
        let command = Command::Denied { action, object: without_tokens(object), refusal: refusal.clone() };
        // The refusal comes back as the answer; recording it was the point.
        let _ = api.runner.submit_this(self.submission(actor, command)).await;
        Problem::recorded(refusal)
    }

    /// Records the refusal of a request that never got as far as a command: what could not be read, or found.
    pub(super) async fn record(&self, api: &Api, object: &str, refusal: Refusal) {
        let caller = self.caller(api, api.runner.now());
        let actor = caller.map_or_else(|| anonymous(&self.peer.address.ip().to_string()), |c| c.actor);
        self.deny(api, actor, "request", object, refusal).await;
    }

    /// Hands a command of this caller to the core, if their session or token still stands: a body may take hours to come.
    pub(super) async fn submit(&self, api: &Api, caller: &Caller, command: Command) -> Result<(), Problem> {
        if self.peek(api).is_none_or(|now| now.token_sha256 != caller.token_sha256) {
            let refusal = Refusal::new(Class::Unauthenticated, "no-session", "the session or token ended meanwhile");
            let (action, object) = command.describe();
            return Err(self.deny(api, caller.actor.clone(), action, &object, refusal).await);
        }
        let full = api.room.refuses(&api.runner.state(), &command);
        if let Some(refusal) = full {
            let (action, object) = command.describe();
            return Err(self.deny(api, caller.actor.clone(), action, &object, refusal).await);
        }
        let submission = self.submission(caller.actor.clone(), command);
        let submission = Submission { expects: self.expects.clone(), ..submission };
        api.runner.submit_this(submission).await.map_err(Problem::recorded)
    }
}

fn refusal_of(denied: &Denied, caller: &Caller, permission: Permission) -> Refusal {
    match denied {
        Denied::Permission => {
            let roles = caller.actor.roles.join(", ");
            let detail = format!("{} ({roles}) lacks the permission {permission}", caller.actor.id);
            Refusal::forbidden("permission", detail)
        }
        Denied::Person => {
            let detail = "no token decides this: a person in a session does (mdfmctl login)";
            Refusal::forbidden("person", detail)
        }
        Denied::NoSecondFactor => {
            let detail = "this needs a second factor; set one up first (mdfmctl second-factor enrol)";
            Refusal::forbidden("second-factor", detail)
        }
        Denied::StepUp => {
            let detail = "this needs the second factor, shown within the last minutes; show it again (mdfmctl second-factor show)";
            Refusal::forbidden("step-up", detail)
        }
    }
}

/// What begins a token for a machine, and the hexadecimal digits that follow.
pub(super) const TOKEN_PREFIX: &str = "mdfm_";
const TOKEN_HEX_CHARS: usize = 64;

/// The text without tokens for machines, which somebody may have given in place of an id: what this returns enters the log.
pub(super) fn without_tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN_PREFIX);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let secret = part.chars().take_while(char::is_ascii_hexdigit).count().min(TOKEN_HEX_CHARS);
        shown += TOKEN_PREFIX;
        shown += if secret >= TOKEN_HEX_CHARS / 4 { "…" } else { &part[..secret] };
        shown += &part[secret..];
    }
    shown
}

/// Why a body is not what a call takes, without the values in it: one of them may be a password, and the answer enters the log.
fn without_values(error: &serde_json::Error, json: &[u8]) -> String {
    let text = error.to_string();
    if !error.is_data() {
        // Errors of syntax name no value. The decoder has one too for JSON that is whole, where a word stands for something else.
        let is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok();
        return match is_whole {
            true => format!("invalid value{} at line {} column {}", place(error, json), error.line(), error.column()),
            false => text,
        };
    }
    let names = ["unknown field", "missing field", "duplicate field", json::DUPLICATE_KEY];
    if names.iter().any(|begin| text.starts_with(begin)) {
        return text.chars().take(DETAIL_CHARS_MAX).collect();
    }
    match text.rsplit_once(", expected ") {
        // It ends with the position in the text as it was sent.
        Some((_, expected)) => format!("invalid value{}, expected {}", place(error, json), in_words(expected)),
        None => format!("invalid value{} at line {} column {}", place(error, json), error.line(), error.column()),
    }
}

/// The field that an error is about, with what stands before its name: ` in phases[0].percentage`; empty if it is about all of the JSON.
fn place(error: &serde_json::Error, json: &[u8]) -> String {
    let before =
        json.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum::<usize>();
    let read = &json[..json.len().min(before.saturating_add(error.column()))];
    // Of each container that is open: its key, or its place in a list.
    let mut open: Vec<(bool, String)> = Vec::new();
    let (mut at, mut is_key) = (0, false);
    while let Some(byte) = read.get(at) {
        if let Some((true, index)) = open.last_mut() {
            match byte {
                b',' => *index = index.parse::<usize>().map_or(0, |index| index + 1).to_string(),
                b' ' | b'\n' | b'\r' | b'\t' | b']' => {}
                _ if index.is_empty() => "0".clone_into(index),
                _ => {}
            }
        }
        match byte {
            b'{' | b'[' => {
                open.push((*byte == b'[', String::new()));
                is_key = *byte == b'{';
            }
            b'}' | b']' => {
                open.pop();
                is_key = false;
            }
            b',' => is_key = open.last().is_some_and(|(is_list, _)| !is_list),
            b'"' => {
                let mut end = at + 1;
                while let Some(inner) = read.get(end).filter(|inner| **inner != b'"') {
                    end += if *inner == b'\\' { 2 } else { 1 };
                }
                if let Some((_, key)) = open.last_mut().filter(|_| is_key) {
                    *key = String::from_utf8_lossy(&read[at + 1..end.min(read.len())])
                        .chars()
                        .take(KEY_CHARS_MAX)
                        .collect();
                    is_key = false;
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    let parts = open.iter().filter(|(_, part)| !part.is_empty());
    let path: String =
        parts.map(|(is_list, part)| if *is_list { format!("[{part}]") } else { format!(".{part}") }).collect();
    let path = path.trim_start_matches('.');
    if path.is_empty() { String::new() } else { format!(" in {path}") }
}

/// What was expected, in the words of JSON: `a string at line 1 column 2`. Types of the program say nothing to whoever wrote the JSON.
fn in_words(expected: &str) -> String {
    let (kind, place) = expected.rfind(" at line ").map_or((expected, ""), |at| expected.split_at(at));
    let is_integer = |kind: &str| {
        let digits = kind.strip_prefix(['u', 'i']).unwrap_or_default();
        digits == "size" || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let kind = match kind {
        _ if is_integer(kind) => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list",
        "a map" | "unit" | "a newtype" => "an object",
        "a boolean" => "true or false",
        "a borrowed string" | "a character" => "a string",
        _ if [
            "struct ",
            "tuple variant ",
            "struct variant ",
            "enum ",
            "internally tagged enum ",
            "adjacently tagged enum ",
        ]
        .iter()
        .any(|begin| kind.starts_with(begin)) =>
        {
            "an object"
        }
        _ if kind.starts_with("an array of length ")
            || kind.starts_with("a tuple of size ")
            || kind.starts_with("tuple struct ") =>
        {
            "a list"
        }
        _ if kind.contains("::") || kind.contains("untagged enum") => "another value",
        words => words,
    };
    format!("{kind}{place}")
}

/// Characters that an error repeats of a field's name.
const KEY_CHARS_MAX: usize = 64;
/// Characters of such a text.
const DETAIL_CHARS_MAX: usize = 512;

/// Tells `null` from what is left out.
pub(super) fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

/// An identifier from a path or body.
pub(super) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    Ok(parsed(field, text)?)
}

/// The same, with the plain refusal.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|e| Refusal::invalid(field, e))
}

/// A signed document from its base64 frame.
pub(super) fn document<T: Document>(field: &str, text: &str) -> Result<Signed<T>, Refusal> {
    use base64::Engine as _;
    let frame = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|e| Refusal::document("malformed-document", format!("{field}: not base64: {e}")))?;
    wire::decode(&frame).map_err(|e| Refusal::document("malformed-document", format!("{field}: {e}")))
}

/// A fresh random id with a prefix.
pub(super) fn fresh_id<T: std::str::FromStr<Err: std::fmt::Display>>(prefix: &str) -> Result<T, Problem> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| Problem::internal("this machine gives no random numbers", &e))?;
    id("id", &format!("{prefix}{}", hex::encode(bytes)))
}

/// A time in RFC 3339.
pub(super) fn time(field: &str, text: &str) -> Result<UtcMillis, Problem> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| Refusal::invalid(field, "must be a time such as 2027-03-01T12:00:00Z"))?;
    Ok(UtcMillis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use mdfm_shared::fixture::page::symptom;
    use serde::Deserialize;

    use super::*;

    /// The sample: a machine's token registered 20,000 devices in nine seconds; within a day as many as no memory holds, at this start or the next.
    #[test]
    fn sec_4_nobody_registers_more_than_memory_holds() {
        use mdfm_coordinator_core::fixture::{Office, id, new_device};
        let office = Office::new();
        let state = &office.state;
        let gateway = Command::RegisterGateway { gateway: id("GW-900"), hospital: id("H-1") };
        let name = String::new();
        let hospital = Command::RegisterHospital { hospital: id("H-900"), name, cohort: None, timezone: None };
        let refuses = |devices_max: usize, command: &Command| FleetRoom { devices_max }.refuses(state, command);
        for (command, held, share) in [
            (&new_device(2, 9), state.devices.len(), 1),
            (&gateway, state.gateways.len(), 1),
            (&hospital, state.hospitals.len(), DEVICES_FOR_EACH_OTHER),
        ] {
            assert!(refuses((held + 1) * share, command).is_none(), "there is room for one more");
            let refusal = refuses(held * share, command).expect("there is no room");
            symptom("Somebody is refused", "fleet-full").assert_in(refusal.code);
        }
        let room = FleetRoom { devices_max: state.devices.len() + 5 };
        assert!(
            room.refuses_devices(state, 5).is_none() && room.refuses_devices(state, 6).is_some(),
            "a list of devices"
        );
        assert!(refuses(0, &Command::DeclareTrial).is_none(), "nothing else is concerned");
    }

    #[test]
    fn sec_2_a_token_in_a_path_is_not_repeated() {
        let token = format!("{TOKEN_PREFIX}{}", "0f".repeat(32));
        for (given, shown) in [
            (format!("DELETE /api/v1/me/tokens/{token}"), "DELETE /api/v1/me/tokens/mdfm_…"),
            (format!("{token}/{token}x"), "mdfm_…/mdfm_…x"),
            (token[..40].to_owned(), "mdfm_…"),
            ("user/mdfm_admin".to_owned(), "user/mdfm_admin"),
            ("gateway/GW-1".to_owned(), "gateway/GW-1"),
        ] {
            assert_eq!(without_tokens(&given), shown);
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Body {
        password: String,
        count: u8,
    }

    /// Where an object is read as it is, nothing but the reader itself sees that a key stands twice.
    #[tokio::test]
    async fn fld_24_bodies_name_each_key_once_and_may_have_a_mark() {
        async fn read(body: &[u8]) -> Result<serde_json::Value, String> {
            let request = axum::http::Request::new(axum::body::Body::from(body.to_vec()));
            let read = Json::<serde_json::Value>::from_request(request, &()).await;
            read.map(|Json(value)| value).map_err(|problem| serde_json::to_string(&problem).expect("encodes"))
        }
        let twice = read(br#"{"phases":[{"percentage":1,"percentage":100}]}"#).await.expect_err("twice");
        assert!(twice.contains("duplicate key \\\"percentage\\\"") && twice.contains("line 1"), "{twice}");
        symptom("Somebody is refused", "malformed-json").assert_in(&twice);
        symptom("Somebody is refused", "duplicate key").assert_in(&twice);
        let secret = read(br#"{"password":"918273645","password":"x"}"#).await.expect_err("twice");
        assert!(!secret.contains("918273645"), "{secret}");
        assert_eq!(read(b"\xef\xbb\xbf{\"a\":1}").await.expect("a mark is passed over")["a"], 1);
    }

    #[test]
    fn cli_23_no_type_of_the_program_is_in_an_answer() {
        #[derive(Debug, Deserialize)]
        enum Word {
            One,
        }
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Inner {
            small: u8,
            large: i64,
            size: usize,
            ratio: f64,
            listed: Vec<String>,
            by_name: std::collections::BTreeMap<String, u32>,
            is_set: bool,
            word: Option<Word>,
            pair: (u8, u8),
            four: [u8; 4],
            inner: Option<Box<Inner>>,
        }
        let fields = ["small", "large", "size", "ratio", "listed", "byName", "isSet", "word", "pair", "four", "inner"];
        let mut refused = 0;
        for field in fields {
            for value in ["null", "true", "-1.5", "99999999999999999999", "\"x\"", "[]", "[1,2,3]", "{}", "{\"x\":1}"] {
                let body = format!("{{\"{field}\":{value}}}");
                let Err(error) = serde_json::from_str::<Inner>(&body) else { continue };
                let text = without_values(&error, body.as_bytes());
                let types = [
                    "u8", "u16", "u32", "u64", "usize", "i64", "f64", "sequence", "struct", "enum", "a map", "tuple",
                    "Inner", "Word", "boolean", "variant ",
                ];
                let named = types.iter().find(|name| text.contains(**name));
                assert!(
                    text.starts_with("unknown") || text.contains(&format!(" in {field}")),
                    "{field} {value}: {text}"
                );
                assert!(named.is_none() || text.starts_with("unknown variant"), "{field} {value}: {text}");
                refused += 1;
            }
        }
        assert!(refused > 50, "{refused}");
        let nested = "{\"inner\": {\"listed\": [\"a\", \"]{\\\"\"],\n \"pair\": [1, \"918273645\"]}}";
        let error = serde_json::from_str::<Inner>(nested).expect_err("a string for a number");
        let text = without_values(&error, nested.as_bytes());
        assert!(text.starts_with("invalid value in inner.pair[1], expected a whole number at line 2"), "{text}");
    }

    #[test]
    fn sec_2_an_answer_to_a_bad_body_repeats_no_value() {
        for (body, words) in [
            (r#"{"password": 918273645, "count": 1}"#, "expected a string"),
            (r#"{"password": "a", "count": "918273645"}"#, "expected a whole number"),
            (r#""918273645""#, "expected an object"),
            (r#"{"password": ["918273645, expected nothing"]}"#, "expected a string"),
            (r#"{"count": 918273645}"#, "expected a whole number"),
            (r#"{"password": "918273645""#, "EOF"),
            (r#"{"more": "918273645"}"#, "unknown field `more`"),
        ] {
            let error = serde_json::from_str::<Body>(body).expect_err("not such a body");
            let text = without_values(&error, body.as_bytes());
            assert!(text.contains(words) && !text.contains("918273645"), "{body}: {text}");
        }
    }
}
