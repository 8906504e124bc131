//! HTTP to the coordinator, and the session file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Longest time for which events are heard; the coordinator ends a watch after an hour.
const EVENTS_PATIENCE: Duration = Duration::from_secs(2 * 3_600);
/// Bytes of all answers of one list: a hundred thousand devices have some 150 MB.
const LIST_BYTES_MAX: u64 = 512 << 20;
/// Answers of one list.
const LIST_ANSWERS_MAX: usize = 100_000;
/// Times that a request is sent which comes too soon after others.
const TRIES_MAX: u32 = 5;
/// Longest wait between them, in seconds.
const WAIT_S_MAX: u64 = 5;
/// Items of one answer to a list.
const PAGE_MAX: usize = 1_000;

use crate::account::{self, Code};
use crate::address::encode;
use crate::answer::{self, Answer, JSON_BYTES_MAX, Stalled, Taken, Unreached, check_size};
use crate::fault;
use crate::files::{self, Access, NewFile, write_secret};
use crate::output::Output;
use crate::single_sign_on;
use crate::terminal::{self, ask_secret};
use crate::words::at_least_one;

/// Sign in and keep the session.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// `https://host:port` of the coordinator; the one of the last time if it is not given.
    #[arg(long, env = "MDFMCTL_URL")]
    url: Option<String>,
    /// PEM file of the authority that vouches for the coordinator; the one of the last time if it is not given.
    #[arg(long, env = "MDFMCTL_CA")]
    ca: Option<PathBuf>,
    /// User id; the one of the last time if it is not given.
    #[arg(long)]
    user: Option<String>,
    /// File with the password in its first line; `-` reads standard input. Asked for on a terminal if it is not given.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Sign in with your browser at the OpenID provider of your organisation.
    #[arg(long, conflicts_with_all = ["user", "password_file", "new_password_file", "code", "factor_file", "recovery_code"])]
    sso: bool,
    /// File with a new password in its first line, which takes the place of the present one at once: a first password was handed over by somebody else.
    /// On a terminal it is asked for at the first sign-in.
    #[arg(long)]
    new_password_file: Option<PathBuf>,
    #[command(flatten)]
    code: Code,
    /// One of the recovery codes, where the second factor was lost.
    #[arg(long, conflicts_with_all = ["code", "factor_file"])]
    recovery_code: Option<String>,
}

/// What is kept between calls; readable by the owner alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    url: String,
    ca_pem: String,
    token: String,
    user_id: String,
    printed_name: String,
}

impl Session {
    /// Where the session in a file signs in, as whom, and whether it is signed in; `null` for what the file does not say.
    pub(crate) fn summary(file: &Path) -> Value {
        let Some(held) = Self::read(file).ok().flatten() else { return json!({ "signedIn": false }) };
        json!({ "url": held.url, "userId": held.user_id, "signedIn": !held.token.is_empty() })
    }
    /// The session in a file; `None` if there is no file.
    fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        if file.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let damaged = || format!("the session file {} is damaged; sign in again", file.display());
        Ok(Some(serde_json::from_str(&files::read_secret(file)?).with_context(damaged)?))
    }
}

/// A signed-in client.
pub(crate) struct Client {
    http: reqwest::Client,
    session: Session,
    is_token: bool,
}

/// A token for a machine, in place of a session.
pub(crate) const TOKEN: &str = "MDFMCTL_TOKEN";
/// Who signs in, and with which files, where a script's command finds no session.
const USER: &str = "MDFMCTL_USER";
const PASSWORD_FILE: &str = "MDFMCTL_PASSWORD_FILE";
const FACTOR_FILE: &str = "MDFMCTL_FACTOR_FILE";
/// Where the coordinator is, for a machine without a session file.
const URL: &str = "MDFMCTL_URL";
const CA: &str = "MDFMCTL_CA";

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn http(ca_pem: &str) -> anyhow::Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A token goes to the coordinator that it is for, and to no place that an answer names.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).https_only(true);
    Ok(builder.tls_backend_preconfigured(tls).connect_timeout(Duration::from_secs(10)).build()?)
}

/// The address of a coordinator: `https://host[:port]`. Passwords, codes and tokens go nowhere else.
///
/// # Errors
/// It is another one.
fn coordinator_address(text: &str) -> anyhow::Result<String> {
    let is_one = reqwest::Url::parse(text).is_ok_and(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        url.scheme() == "https" && url.has_host() && is_plain && url.path() == "/" && url.fragment().is_none()
    });
    anyhow::ensure!(
        is_one,
        "{text:?} is no address of a coordinator: it is https://HOST:PORT, and nothing is sent elsewhere"
    );
    Ok(base(text).to_owned())
}

/// An address without what makes no difference.
fn base(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Refuses to use a session at another coordinator than the one that opened it.
///
/// # Errors
/// `wanted` is another coordinator's address.
fn check_coordinator(session: &Session, file: &Path, wanted: Option<&str>) -> anyhow::Result<()> {
    let Some(wanted) = wanted.filter(|wanted| base(wanted) != base(&session.url)) else { return Ok(()) };
    bail!(
        "{URL} is {wanted:?}, but the session in {} is for {:?}; nothing was sent. Sign in at {wanted} (mdfmctl login --session FILE), \
         or unset {URL}",
        file.display(),
        session.url
    )
}

/// Refuses to do in one person's name what the environment means for another.
///
/// # Errors
/// `wanted` is another person's id.
fn check_user(session: &Session, file: &Path, wanted: Option<&str>) -> anyhow::Result<()> {
    let Some(wanted) = wanted.filter(|wanted| !session.token.is_empty() && *wanted != session.user_id) else {
        return Ok(());
    };
    bail!(
        "{USER} is {wanted:?}, but the session in {} is of {:?}; nothing was sent. Sign out first (mdfmctl logout), name another file \
         (--session FILE), or unset {USER}",
        file.display(),
        session.user_id
    )
}

/// Which items of a list, in which order, and how many.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    /// Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`.
    #[arg(long, value_name = "CONDITIONS")]
    filter: Option<String>,
    /// Field to sort by; with `-` before it in descending order.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Largest number of rows; every row if absent.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit: Option<NonZeroUsize>,
}

impl Which {
    /// The items whose field has this value, letter by letter.
    pub(crate) fn of(field: &str, value: &str) -> Self {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        Self { filter: Some(format!("{field}=\"{quoted}\"")), ..Self::default() }
    }
    /// The same items without a limit, for a caller that leaves some of them out itself.
    pub(crate) fn unlimited(&self) -> Self {
        Self { limit: None, ..self.clone() }
    }
    /// Whether anything was asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.filter.is_some() || self.sort.is_some() || self.limit.is_some()
    }
    /// Whether an order was asked for.
    pub(crate) fn is_sorted(&self) -> bool {
        self.sort.is_some()
    }
    /// Cuts rows to the limit.
    pub(crate) fn cut(&self, rows: &mut Vec<Value>) {
        rows.truncate(self.limit.map_or(usize::MAX, NonZeroUsize::get));
    }
    /// The first address of the list at `path`.
    fn first(&self, path: &str) -> String {
        let mut address = format!("{path}?limit={}", self.limit.map_or(PAGE_MAX, |limit| limit.get().min(PAGE_MAX)));
        for (name, value) in [("filter", &self.filter), ("sort", &self.sort)] {
            if let Some(value) = value {
                address.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        address
    }
}

impl Client {
    /// A client of a person's session.
    fn open_session(session: Session) -> anyhow::Result<Self> {
        Ok(Self { http: http(&session.ca_pem)?, session, is_token: false })
    }

    /// Takes up the session, or the token that the environment gives.
    pub(crate) fn open(file: &Path) -> anyhow::Result<Self> {
        let Some(token) = environment(TOKEN) else {
            let session = Session::read(file)?.ok_or_else(|| {
                let place = file.display();
                fault::not_signed_in(format!("there is no session in {place}; sign in first (mdfmctl login)"))
            })?;
            check_coordinator(&session, file, environment(URL).as_deref())?;
            check_user(&session, file, environment(USER).as_deref())?;
            if session.token.is_empty() {
                return Err(fault::not_signed_in("you are signed out; sign in again (mdfmctl login)"));
            }
            return Ok(Self { http: http(&session.ca_pem)?, session, is_token: false });
        };
        let held = Session::read(file).ok().flatten();
        let url = environment(URL).or_else(|| held.as_ref().map(|s| s.url.clone()));
        let url = url.with_context(|| format!("{TOKEN} is set: {URL} must say where the coordinator is"))?;
        let ca_pem = match environment(CA) {
            Some(file) => files::read_text(Path::new(&file)).context(CA)?,
            None => {
                let held = held.map(|s| s.ca_pem);
                held.with_context(|| format!("{TOKEN} is set: {CA} must name the file of the coordinator's authority"))?
            }
        };
        let url = coordinator_address(&url)?;
        let session = Session { url, ca_pem, token, user_id: String::new(), printed_name: String::new() };
        Ok(Self { http: http(&session.ca_pem)?, session, is_token: true })
    }

    /// Whether a machine's token is used, and no session of a person.
    pub(crate) fn is_token(&self) -> bool {
        self.is_token
    }
    /// Checks before a signature that a person is signed in.
    ///
    /// # Errors
    /// A machine's token is used.
    pub(crate) fn check_signer(&self) -> anyhow::Result<()> {
        ensure!(
            !self.is_token,
            "nothing was signed: {TOKEN} is set, and a machine's token cannot sign; unset it and sign in (mdfmctl login)"
        );
        Ok(())
    }
    pub(crate) fn url(&self) -> &str {
        &self.session.url
    }
    pub(crate) fn user_id(&self) -> &str {
        &self.session.user_id
    }
    pub(crate) fn printed_name(&self) -> &str {
        &self.session.printed_name
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.session.url)).bearer_auth(&self.session.token)
    }

    /// Sends a request and gives the JSON of its answer (null for none).
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        answer(request).await?.json().await
    }
    /// [`Self::send`] for a request whose body is a stream, which notes in `taken` what goes out.
    pub(crate) async fn send_stream(&self, request: RequestBuilder, taken: &Taken) -> anyhow::Result<Value> {
        checked(answer::send_stream(request, taken).await?).await?.json().await
    }
    /// What is at `path`, of at most `max` bytes.
    pub(crate) async fn bytes(&self, path: &str, max: usize) -> anyhow::Result<Vec<u8>> {
        answer(self.request(Method::GET, path)).await?.bytes(max).await
    }
    /// [`Self::bytes`] for what the coordinator computes over its whole log.
    pub(crate) async fn computed(&self, path: &str, max: usize) -> anyhow::Result<Vec<u8>> {
        checked(answer::send_for_work(self.request(Method::GET, path)).await?).await?.bytes(max).await
    }
    /// What is at `path`, piece by piece.
    pub(crate) async fn stream(&self, path: &str) -> anyhow::Result<Answer> {
        answer(self.request(Method::GET, path)).await
    }
    /// [`Self::get`] of an answer of at most `max` bytes.
    pub(crate) async fn get_within(&self, path: &str, max: usize) -> anyhow::Result<Value> {
        answer(self.request(Method::GET, path)).await?.json_within(max).await
    }
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }
    /// An object with its tag.
    pub(crate) async fn tagged(&self, path: &str) -> anyhow::Result<(Value, String)> {
        self.send_tagged(self.request(Method::GET, path)).await
    }
    /// [`Self::send`] with the tag of what was answered.
    pub(crate) async fn send_tagged(&self, request: RequestBuilder) -> anyhow::Result<(Value, String)> {
        let answer = answer(request).await?;
        let tag = answer.header("etag").map(str::to_owned);
        Ok((answer.json().await?, tag.context("the coordinator's answer has no tag")?))
    }
    /// Hears server-sent events until `take` says that it is enough, or the other side ends.
    pub(crate) async fn events(&self, path: &str, mut take: impl FnMut(Value) -> bool) -> anyhow::Result<()> {
        let request = self.request(Method::GET, path).timeout(EVENTS_PATIENCE);
        let mut answer = answer(request).await?.of_events();
        let mut line: Vec<u8> = Vec::new();
        while let Some(piece) = answer.piece().await? {
            for part in piece.split_inclusive(|b| *b == b'\n') {
                check_size(line.len() + part.len(), JSON_BYTES_MAX)?;
                line.extend_from_slice(part);
                if line.last() != Some(&b'\n') {
                    continue;
                }
                if let Some(data) = line.strip_prefix(b"data: ")
                    && take(answer::json_of(data)?)
                {
                    return Ok(());
                }
                line.clear();
            }
        }
        Ok(())
    }
    /// All of a list, however many answers it takes.
    pub(crate) async fn list(&self, path: &str) -> anyhow::Result<Value> {
        self.list_of(path, &Which::default()).await
    }
    /// The items of a list that are asked for, however many answers it takes.
    pub(crate) async fn list_of(&self, path: &str, which: &Which) -> anyhow::Result<Value> {
        let limit = which.limit.map_or(usize::MAX, NonZeroUsize::get);
        let mut items = Vec::new();
        let mut next = Some(which.first(path));
        let (mut bytes, mut answers) = (0, 0);
        while let Some(path) = next.filter(|_| items.len() < limit) {
            // The token goes with it: an answer names the rest of its list, and no other place.
            ensure!(path.starts_with("/api/v1/"), "the coordinator's answer names {path:?} as the rest of a list");
            let answer = answer(self.request(Method::GET, &path)).await?;
            let link = answer.header("link").map(str::to_owned);
            next = link.and_then(|l| Some(l.strip_prefix('<')?.split_once('>')?.0.to_owned()));
            let page = answer.bytes(JSON_BYTES_MAX).await?;
            (bytes, answers) = (bytes + page.len() as u64, answers + 1);
            ensure!(
                bytes <= LIST_BYTES_MAX && answers <= LIST_ANSWERS_MAX,
                fault::answer("the list does not end; narrow it with --filter or --limit")
            );
            match answer::json_of(&page)? {
                Value::Array(more) => items.extend(more),
                _ => bail!("the coordinator's answer is no list"),
            }
        }
        items.truncate(limit);
        Ok(Value::Array(items))
    }
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
    /// Posts JSON as somebody wrote it.
    pub(crate) async fn post_text(&self, path: &str, json: String) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(json)).await
    }
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }
    pub(crate) async fn delete(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::DELETE, path).json(body)).await
    }
    /// Puts bytes as they are: what is signed by its digest must not be encoded a second time.
    pub(crate) async fn put_bytes(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        self.send(self.request(Method::PUT, path).body(bytes)).await
    }
}

/// Whether an error is of the line, and no answer of the coordinator's.
pub(crate) fn is_broken_line(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<reqwest::Error>() || cause.is::<Unreached>() || cause.is::<Stalled>())
}

/// Seconds after which a request may be sent again (429 with `Retry-After`); `None` for any other answer, and for a longer wait.
fn wait_s(answer: &Answer) -> Option<u64> {
    let asked = answer.header("retry-after").filter(|_| answer.status() == StatusCode::TOO_MANY_REQUESTS)?;
    asked.parse().ok().filter(|s| *s <= WAIT_S_MAX)
}

/// Sends a request, again after the wait that the coordinator asks for.
async fn answer(mut request: RequestBuilder) -> anyhow::Result<Answer> {
    for _ in 1..TRIES_MAX {
        let again = request.try_clone();
        let answer = answer::send(request).await?;
        match (wait_s(&answer), again) {
            (Some(seconds), Some(again)) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                request = again;
            }
            _ => return checked(answer).await,
        }
    }
    checked(answer::send(request).await?).await
}

/// The header by which a trial installation marks each of its answers.
const TRIAL: &str = "mdfm-trial";
/// Whether the notice of a trial was printed. It is printed once, and not beside JSON, whose `whoami` has it as a field.
static TRIAL_SAID: AtomicBool = AtomicBool::new(false);

/// Prints no notice of a trial.
pub(crate) fn without_trial_notice() {
    TRIAL_SAID.store(true, Ordering::Relaxed);
}

/// Turns problem details into an error with their words.
pub(crate) async fn checked(answer: Answer) -> anyhow::Result<Answer> {
    if answer.headers().contains_key(TRIAL) && !TRIAL_SAID.swap(true, Ordering::Relaxed) {
        mdfm_service::output::note("TRIAL installation: every key lies in one folder; not for patients");
    }
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem = answer.problem().await;
    let code = problem["type"].as_str().unwrap_or("").trim_start_matches("urn:mdfm:problem:").to_owned();
    let detail = match problem["detail"].as_str() {
        Some(detail) => format!("{} ({}, {code})", detail, status.as_u16()),
        None => format!("the coordinator answered {status}"),
    };
    Err(Refused::new(status.as_u16(), &code, &detail, problem).into())
}

/// The coordinator refused a request.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// The problem's own name, for example `step-up`.
    pub(crate) code: String,
    detail: String,
    /// The problem details (RFC 9457) as the coordinator sent them; `null` if it sent none.
    pub(crate) problem: Value,
}

impl Refused {
    pub(crate) fn new(status: u16, code: &str, detail: &str, problem: Value) -> Self {
        Self { status, code: code.to_owned(), detail: detail.to_owned(), problem }
    }
}

/// Whether the second factor is missing in an attempt to sign in.
fn is_code_needed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == "second-factor")
}

/// Signs in with a password; gives the session as the coordinator shows it.
///
/// `new_factor` is a file that the second factor is to be set up in: then the account must have none yet.
async fn sign_in(
    login: &Login,
    new_factor: Option<&Path>,
    http: &reqwest::Client,
    url: &str,
    password: &str,
) -> anyhow::Result<Value> {
    let mut codes = login.code.codes()?;
    let mut code = codes.next().await;
    loop {
        let body = json!({
            "userId": login.user, "password": password, "code": code, "recoveryCode": login.recovery_code,
        });
        let request = http.post(format!("{url}/api/v1/sessions")).json(&body);
        match checked(answer::send(request).await?).await {
            Ok(answer) => return answer.json().await,
            Err(error) if account::is_used(&error) => code = Some(codes.next().await.ok_or(error)?),
            Err(error) if is_code_needed(&error) && new_factor.is_some() => {
                let file = new_factor.map(|file| file.display().to_string()).unwrap_or_default();
                return Err(
                    error.context(format!("{file} does not exist, and the account has a second factor already"))
                );
            }
            Err(error) if code.is_none() && login.recovery_code.is_none() && is_code_needed(&error) => {
                let asked = ask_secret("the six digits that your authenticator shows", "--code DIGITS");
                code = Some(asked.map_err(|_| error)?);
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn login(out: &Output, file: &Path, login: Login) -> anyhow::Result<()> {
    let (view, words) = open_session(file, login, !out.is_json()).await?;
    out.answer(&view, || words);
    Ok(())
}

/// Signs in before a command that finds nobody signed in: by asking on a terminal, or with the files that the environment names for a script. Where
/// neither is there, or nothing says which coordinator is meant, the command itself says what is missing.
///
/// # Errors
/// The coordinator refuses, or what was typed is not enough.
pub(crate) async fn sign_in_first(file: &Path) -> anyhow::Result<()> {
    let login = Login {
        url: environment(URL),
        ca: environment(CA).map(PathBuf::from),
        user: environment(USER),
        password_file: environment(PASSWORD_FILE).map(PathBuf::from),
        sso: false,
        new_password_file: None,
        code: Code::of_file(environment(FACTOR_FILE).map(PathBuf::from)),
        recovery_code: None,
    };
    let held = Session::read(file)?;
    if !is_sign_in_due(&login, held.as_ref(), environment(TOKEN).is_some(), terminal::is_interactive()) {
        return Ok(());
    }
    let (_, words) = open_session(file, login, true).await?;
    // Standard output is the command's.
    mdfm_service::output::notes(words);
    Ok(())
}

/// Whether a command without a session signs in first.
fn is_sign_in_due(login: &Login, held: Option<&Session>, has_token: bool, is_interactive: bool) -> bool {
    let is_signed_in = held.is_some_and(|session| !session.token.is_empty());
    let has_place = held.is_some() || (login.url.is_some() && login.ca.is_some());
    let is_script = login.user.is_some() && login.password_file.is_some();
    !has_token && !is_signed_in && has_place && (is_script || is_interactive)
}

/// Signs in and keeps the session. Returns the coordinator's answer without the token, and what to tell.
///
/// With `may_ask` a terminal is asked at the first sign-in of an account for a new password, and a second factor is set up on it.
async fn open_session(file: &Path, mut login: Login, may_ask: bool) -> anyhow::Result<(Value, String)> {
    // Only what is not given is taken from the last time; a damaged file is in nobody's way.
    let held = Session::read(file).ok().flatten();
    let ca_pem = match &login.ca {
        Some(ca) => files::read_text(ca)?,
        None => held.as_ref().map(|s| s.ca_pem.clone()).context("which coordinator? Give --ca the first time")?,
    };
    let url = login.url.clone().or_else(|| held.as_ref().map(|s| s.url.clone()));
    let url = coordinator_address(&url.context("which coordinator? Give --url the first time")?)?;
    let http = http(&ca_pem)?;
    let new_factor = login.code.take_new_file();
    let held_factor = login.code.factor_file.clone();
    let mut first = None;
    let mut own_password = None;
    let mut view = if login.sso {
        single_sign_on::sign_in(&http, &url).await?
    } else {
        login.user = match login.user.take().or_else(|| held.map(|s| s.user_id)) {
            None if terminal::is_interactive() => Some(terminal::ask_line("your user id", "--user")?),
            named => named,
        };
        let user = login.user.as_deref().context("who are you? Give --user the first time")?;
        let what = format!("the password of {user}");
        let password = account::password_of(login.password_file.as_ref(), &what, "--password-file FILE")?;
        // Nobody is signed in with a new password that cannot be read.
        let new = login.new_password_file.as_ref();
        let new = new.map(|file| account::password_of(Some(file), "the new password", "--new-password-file FILE"));
        let new = new.transpose()?;
        let signed_in = sign_in(&login, new_factor.as_deref(), &http, &url, &password).await?;
        // Nothing is set up without a place for it.
        let place = |file: PathBuf| anyhow::Ok((NewFile::create(&file, Access::Owner)?, file));
        first = new_factor.map(place).transpose()?;
        own_password = Some((password, new));
        signed_in
    };
    let field = |name: &str| view[name].as_str().unwrap_or_default().to_owned();
    let session =
        Session { url, ca_pem, token: field("token"), user_id: field("userId"), printed_name: field("printedName") };
    if let Some(factor) = held_factor.filter(|_| view["secondFactor"] == false) {
        // Nobody keeps the session that was opened; if it cannot be ended here it expires.
        let client = Client::open_session(session)?;
        let _ = client.send(client.request(Method::DELETE, "/api/v1/sessions/current")).await;
        bail!(
            "the account has no second factor, and {} was left by a setup that did not end; remove it and sign in again",
            factor.display()
        );
    }
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    write_secret(file, &serde_json::to_vec(&session)?).with_context(|| {
        let until = crate::output::text(&view["expiresAt"]);
        format!("you were signed in, but the session cannot be kept; it expires at {until}")
    })?;
    if let Some(object) = view.as_object_mut() {
        object.remove("token");
    }
    let mut words = format!("signed in as {} until {}", session.user_id, crate::output::text(&view["expiresAt"]));
    let Some((mut password, new)) = own_password else { return Ok((view, words)) };
    let client = Client::open_session(session)?;
    if let Some(new) = new {
        let changed = account::set_password(&client, &password, &new, false).await;
        changed.context("you are signed in, but the password was not changed (mdfmctl change-password)")?;
        words.push_str("\npassword changed");
        password = new;
    }
    let is_new = view["secondFactor"] == false;
    let set_up = match first {
        Some((place, file)) => {
            let set_up = account::enrol_in_file(&client, &password, place).await;
            let set_up = set_up
                .context("you are signed in, but the second factor is not set up (mdfmctl second-factor enrol)")?;
            let recovery = account::recovery_words(&set_up);
            words = format!("{words}\n{recovery}\nits secret is in {}", file.display());
            Some(set_up)
        }
        None if is_new && may_ask && terminal::is_interactive() => {
            account::first_steps(&client, password, login.new_password_file.is_none()).await?.inspect(|set_up| {
                words = format!("{words}\n{}", account::recovery_words(set_up));
            })
        }
        None => None,
    };
    if let Some(set_up) = set_up {
        view["secondFactor"] = true.into();
        view["recoveryCodes"] = set_up["recoveryCodes"].clone();
    }
    Ok((view, words))
}

pub(crate) async fn logout(out: &Output, file: &Path) -> anyhow::Result<()> {
    let client = Client::open(file)?;
    ensure!(!client.is_token, "{TOKEN} is set: a token is revoked with mdfmctl tokens revoke");
    client.send(client.request(Method::DELETE, "/api/v1/sessions/current")).await?;
    // Where the coordinator is and who signed in stays for the next time; the secret goes.
    let session = Session { token: String::new(), ..client.session };
    let kept = write_secret(file, &serde_json::to_vec(&session)?);
    kept.context("you are signed out at the coordinator, and the file still has the session that has ended")?;
    out.answer(&json!({ "signedOut": true }), || "signed out".into());
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
