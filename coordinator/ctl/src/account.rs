//! One's own account: second factor, password, signing key, tokens for machines; and, for administrators, the accounts of others.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use mdfm_service::output;
use mdfm_shared::id::UserId;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::trust::Role;
use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::address::Part;
use crate::client::{Client, Refused, Which};
use crate::fault;
use crate::files::{Access, NewFile, Overwrite};
use crate::keys;
use crate::output::{Output, text};
use crate::qr;
use crate::terminal::{self, ask_secret, ask_secret_or_nothing};
use crate::times::{self, Toward};
use crate::trust::confirm::Confirmation;

/// Where a code comes from.
#[derive(Debug, Clone, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct Code {
    /// The six digits that the authenticator shows now.
    #[arg(long)]
    code: Option<String>,
    /// File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines
    /// that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist.
    #[arg(long)]
    pub(crate) factor_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Factor {
    /// Sets up a second factor.
    Enrol {
        /// File with your password in its first line; `-` reads standard input. Asked for on a terminal if it is not given.
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Keep the secret in this file and show at once that it works, for trials; else put it into an authenticator, and confirm.
        #[arg(long)]
        factor_file: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Shows that the new second factor works; prints the recovery codes.
    Confirm {
        /// The six digits that the authenticator shows now.
        code: String,
    },
    /// Shows the second factor again, for acts that need it shown within the last minutes.
    Show(Code),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a signing key that the coordinator keeps sealed under your password; the registrar puts it on the roster.
    #[command(alias = "create")]
    Add {
        /// File with your password in its first line; `-` reads standard input. Asked for on a terminal if it is not given.
        #[arg(long)]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        code: Code,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// Makes a token for a machine. The second factor must have been shown within the last minutes (second-factor show).
    #[command(alias = "create")]
    Add {
        /// What it is for.
        name: String,
        /// One of your own permissions that are not for people alone (users permissions), for example `submitFirmware`, `manageFleet`, `read`,
        /// `readAll`, `readAudit`; once for each.
        #[arg(long = "permission", required = true)]
        permissions: Vec<String>,
        /// Until when: RFC 3339, a date, or a duration from now such as `90d`; a year at most.
        #[arg(long = "until", alias = "expires")]
        expires: String,
        /// Where to write it, readable by you alone; printed otherwise.
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Lists your tokens.
    List {
        /// Those of everybody.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Revokes a token, at once.
    Revoke {
        /// Token id.
        token: Part,
        /// Whose it is, where it is not yours.
        #[arg(long, requires = "reason")]
        user: Option<UserId>,
        /// Why, where it is not yours.
        #[arg(long, requires = "user")]
        reason: Option<String>,
    },
}

/// Changes your password; your other sessions and your tokens for machines end.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// File with the present password in its first line; asked for on a terminal if it is not given.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// File with the new one; asked for twice on a terminal if it is not given.
    #[arg(long)]
    new_password_file: Option<PathBuf>,
    /// Leaves your tokens as they are: you know who made each of them (tokens list).
    #[arg(long)]
    keep_tokens: bool,
}

/// A password: the first line of a file, or asked for on the terminal if no file is named.
pub(crate) fn password_of(file: Option<&PathBuf>, what: &str, option: &str) -> anyhow::Result<String> {
    match file {
        Some(file) if file.as_os_str() != "-" || !std::io::stdin().is_terminal() => password(file),
        _ => ask_secret(what, option),
    }
}

/// The first line of a file, or of standard input.
fn password(file: &Path) -> anyhow::Result<String> {
    let text = mdfm_service::read_secret_or_input(file)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn totp(secret: &str) -> anyhow::Result<Totp> {
    let secret = Secret::try_from_base32(secret.trim())
        .map_err(|_| anyhow::anyhow!("the second factor's secret is no base32"))?;
    Builder::new().with_secret(secret).build().map_err(|e| anyhow::anyhow!("the second factor's secret: {e}"))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Codes to try, one after the other, each when it is due: one that was used already is refused, and the next is half a minute away.
pub(crate) struct Codes {
    given: Option<String>,
    totp: Option<Totp>,
    tried: u64,
}

/// Seconds of a code.
const STEP_S: u64 = 30;
/// A code, the next one, and the one after that.
const CODES_MAX: u64 = 3;

impl Code {
    /// Codes made from the secret in a file, if there is one.
    pub(crate) fn of_file(factor_file: Option<PathBuf>) -> Self {
        Self { code: None, factor_file }
    }
    /// Takes the factor's file out if it does not exist: at the first sign-in the factor is set up in it.
    pub(crate) fn take_new_file(&mut self) -> Option<PathBuf> {
        self.factor_file.take_if(|file| matches!(file.try_exists(), Ok(false)))
    }
    pub(crate) fn codes(&self) -> anyhow::Result<Codes> {
        let totp = match &self.factor_file {
            Some(file) => Some(totp(&password(file)?)?),
            None => None,
        };
        Ok(Codes { given: self.code.clone(), totp, tried: 0 })
    }
}

impl Codes {
    /// The next code to try; none where there is none.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let tried = self.tried;
        self.tried += 1;
        match &self.totp {
            None if tried == 0 => self.given.clone(),
            None => None,
            Some(_) if tried >= CODES_MAX => None,
            Some(totp) => {
                // The coordinator takes the next code a step early.
                let early = tried.min(1) * STEP_S;
                if tried > 1 {
                    tokio::time::sleep(Duration::from_secs(STEP_S - seconds() % STEP_S)).await;
                }
                Some(totp.generate(seconds() + early).to_string())
            }
        }
    }
}

/// Whether an answer says that the code, or the recovery code, had been used.
pub(crate) fn is_used(error: &anyhow::Error) -> bool {
    error.to_string().contains("code-used")
}

/// Does something that needs a code, again with the next one where that was used already.
pub(crate) async fn with_code(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
    code: &Code,
) -> anyhow::Result<Value> {
    let mut codes = code.codes()?;
    let mut used = None;
    while let Some(code) = codes.next().await {
        let mut body = body.clone();
        body["code"] = code.into();
        match client.send(client.request(method.clone(), path).json(&body)).await {
            Err(error) if is_used(&error) => used = Some(error),
            answer => return answer,
        }
    }
    if let Some(used) = used {
        return Err(used);
    }
    let mut body = body.clone();
    body["code"] = ask_secret("the six digits that your authenticator shows", "--code DIGITS")?.into();
    client.send(client.request(method, path).json(&body)).await
}

/// In which role somebody signs, with which key, and why.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// The role in which you sign: Clinical, QA or Regulatory.
    #[arg(long)]
    pub(crate) role: Role,
    /// Your secret key file; without it the key that the coordinator keeps for you signs, with your password and second factor.
    #[arg(long, conflicts_with_all = ["code", "factor_file"])]
    key: Option<PathBuf>,
    /// File with your password in its first line; `-` reads standard input. Asked for on a terminal if neither it nor a key is given.
    #[arg(long, conflicts_with = "key")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    code: Code,
    /// Why, in your words.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

impl Signing {
    /// Lets the coordinator sign `what` with the key that it keeps; `None` if the key is in a file.
    pub(crate) async fn with_kept_key(
        &self,
        client: &Client,
        path: &str,
        what: Value,
    ) -> anyhow::Result<Option<Value>> {
        if self.key.is_some() {
            return Ok(None);
        }
        let mut body = what;
        body["role"] = self.role.to_string().into();
        body["reason"] = self.reason.as_str().into();
        let file = self.password_file.as_ref();
        body["password"] = password_of(file, "your password", "--key FILE or --password-file FILE")?.into();
        with_code(client, Method::POST, path, &body, &self.code).await.map(Some)
    }

    /// The key of the file.
    pub(crate) fn own_key(&self) -> anyhow::Result<SecretKey> {
        keys::secret(self.key.as_ref().context("either --key or --password-file is needed")?)
    }
}

/// Why the person of an account may sign nothing; `None` if nothing is known against it.
fn cannot_sign(me: &Value) -> Option<String> {
    me["cannotSign"].as_str().map(|why| text(&why.into()))
}

/// Checks before anything is shown and asked that the person who is signed in may sign.
///
/// # Errors
/// They may not; nothing has been signed.
pub(crate) async fn check_may_sign(client: &Client) -> anyhow::Result<()> {
    client.check_signer()?;
    let me = client.get("/api/v1/me").await?;
    let is_approver = |role: &Value| {
        let name = role.as_str().unwrap_or_default();
        ["clinical", "qa", "regulatory"].iter().any(|approver| name.eq_ignore_ascii_case(approver))
    };
    // Whoever has no such role is refused by the coordinator, which says so: nothing that they could set up would help.
    if !me["roles"].as_array().is_some_and(|roles| roles.iter().any(is_approver)) {
        return Ok(());
    }
    // What the coordinator says of it is the coordinator's refusal, with its exit status.
    match cannot_sign(&me) {
        Some(why) => Err(Refused::new(403, "may-not-sign", &format!("nothing was signed: {why}"), Value::Null).into()),
        None => Ok(()),
    }
}

/// Who one is here, and with what.
pub(crate) async fn whoami(out: &Output, client: &Client) -> anyhow::Result<()> {
    if client.is_token() {
        let view = json!({ "url": client.url(), "with": "MDFMCTL_TOKEN" });
        out.answer(&view, || format!("a machine with the token of MDFMCTL_TOKEN, at {}", client.url()));
        return Ok(());
    }
    let mut view = client.get("/api/v1/me").await?;
    view["url"] = client.url().into();
    out.answer(&view, || {
        let staff = view["hospitalId"].as_str().map_or_else(String::new, |h| format!(" of {h}"));
        let signs = match cannot_sign(&view) {
            Some(why) => format!("cannot sign: {why}"),
            None => "can sign".to_owned(),
        };
        format!(
            "{} ({}), {}{staff}, at {}\nsecond factor: {}; {signs}",
            text(&view["userId"]),
            text(&view["printedName"]),
            text(&view["roles"]),
            client.url(),
            if view["secondFactor"] == true { "set up" } else { "not set up (mdfmctl second-factor enrol)" },
        )
    });
    Ok(())
}

pub(crate) async fn factor(out: &Output, client: &Client, action: Factor) -> anyhow::Result<()> {
    match action {
        Factor::Enrol { password_file, factor_file, overwrite } => {
            // The place is sure before the factor is replaced.
            let target = factor_file.map(|file| overwrite.reserve(&file, Access::Owner)).transpose()?;
            let password = password_of(password_file.as_ref(), "your password", "--password-file FILE")?;
            let Some(target) = target else {
                if !out.is_json() && terminal::is_interactive() {
                    match enrol_on_terminal(client, &password).await? {
                        Some(view) => out.answer(&view, || recovery_words(&view)),
                        None => output::note(LATER),
                    }
                    return Ok(());
                }
                let new = begin(client, &password).await?;
                out.answer(&new, || {
                    let (url, secret) = (text(&new["url"]), text(&new["secret"]));
                    format!(
                        "put this into your authenticator, then run mdfmctl second-factor confirm CODE:\n{url}\nor type {secret}"
                    )
                });
                return Ok(());
            };
            let view = enrol_in_file(client, &password, target).await?;
            out.answer(&view, || recovery_words(&view));
            Ok(())
        }
        Factor::Confirm { code } => {
            let view = confirm(client, &code).await?;
            out.answer(&view, || recovery_words(&view));
            Ok(())
        }
        Factor::Show(code) => {
            with_code(client, Method::POST, "/api/v1/sessions/current/second-factor", &json!({}), &code).await?;
            out.answer(&json!({ "shown": true }), || "second factor shown".into());
            Ok(())
        }
    }
}

/// What somebody reads who puts the second factor off.
const LATER: &str =
    "the second factor is not set up, and nothing is signed without one; set it up with mdfmctl second-factor enrol";
/// Times that a code, or a new password, is asked for.
const ASKED_MAX: usize = 3;

async fn begin(client: &Client, password: &str) -> anyhow::Result<Value> {
    client.post("/api/v1/me/second-factor", &json!({ "password": password })).await
}

/// Sets up a second factor on the terminal: shows it as a QR code, and asks for the first code. Returns the answer with the recovery codes; `None` if
/// the person does it later.
async fn enrol_on_terminal(client: &Client, password: &str) -> anyhow::Result<Option<Value>> {
    let new = begin(client, password).await?;
    let url = text(&new["url"]);
    let picture = qr::in_half_blocks(&url).map_or_else(String::new, |picture| picture + "\n");
    output::notes(format_args!("put this into your authenticator:\n{picture}{url}\nor type {}", text(&new["secret"])));
    for asked in 1..=ASKED_MAX {
        let what = "the six digits that it shows now";
        let Some(code) = ask_secret_or_nothing(what, "sets up the second factor later")? else { return Ok(None) };
        match confirm(client, code.trim()).await {
            Ok(view) => return Ok(Some(view)),
            Err(error) if asked < ASKED_MAX && error.is::<Refused>() => output::note(format_args!("{error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What the first sign-in of an account has to do, asked on the terminal: a password that only its owner knows, where `asks_password` says so, and a
/// second factor. Returns the answer with the recovery codes; `None` if the person sets up the factor later.
///
/// # Errors
/// The coordinator refuses; the person stays signed in.
pub(crate) async fn first_steps(
    client: &Client,
    password: String,
    asks_password: bool,
) -> anyhow::Result<Option<Value>> {
    output::note("this account has no second factor yet; two steps make it yours");
    let new = if asks_password { new_password()?.filter(|new| *new != password) } else { None };
    let password = match new {
        Some(new) => {
            let changed = set_password(client, &password, &new, false).await;
            changed.context("you are signed in, but the password was not changed (mdfmctl change-password)")?;
            output::note("password changed; remove the file with the first one");
            new
        }
        None => password,
    };
    let set_up = enrol_on_terminal(client, &password).await;
    let set_up =
        set_up.context("you are signed in, but the second factor is not set up (mdfmctl second-factor enrol)")?;
    if set_up.is_none() {
        output::note(LATER);
    }
    Ok(set_up)
}

/// Asks twice for a new password; `None` if the present one is to stay.
fn new_password() -> anyhow::Result<Option<String>> {
    for _ in 0..ASKED_MAX {
        let what = "a new password, which you need if somebody else made the present one";
        let Some(new) = ask_secret_or_nothing(what, "keeps the present one")? else { return Ok(None) };
        if ask_secret_or_nothing("the new password again", "starts over")?.as_deref() == Some(&new) {
            return Ok(Some(new));
        }
        output::note("the two are not the same");
    }
    bail!("you are signed in, but the password was not changed (mdfmctl change-password)")
}

/// Changes one's own password.
pub(crate) async fn set_password(client: &Client, own: &str, new: &str, keep_tokens: bool) -> anyhow::Result<()> {
    let mut change = json!({ "password": own, "newPassword": new });
    if keep_tokens {
        change["keepTokens"] = true.into();
    }
    client.put("/api/v1/me/password", &change).await.map(drop)
}

async fn confirm(client: &Client, code: &str) -> anyhow::Result<Value> {
    client.post("/api/v1/me/second-factor/confirmation", &json!({ "code": code })).await
}

/// Sets up a second factor whose secret stays in a file, and shows at once that it works. Returns the answer with the recovery codes.
pub(crate) async fn enrol_in_file(client: &Client, password: &str, file: NewFile) -> anyhow::Result<Value> {
    let new = begin(client, password).await?;
    let secret = text(&new["secret"]);
    file.write_made(format!("{secret}\n").as_bytes(), || {
        "the second factor was begun and does not count: its secret cannot be kept; enrol again".to_owned()
    })?;
    confirm(client, &totp(&secret)?.generate(seconds()).to_string()).await
}

/// The recovery codes of a new second factor.
pub(crate) fn recovery_words(view: &Value) -> String {
    let codes: Vec<String> = view["recoveryCodes"].as_array().into_iter().flatten().map(text).collect();
    format!(
        "the second factor counts from now on; recovery codes, each good once, shown never again:\n{}",
        codes.join("\n")
    )
}

pub(crate) async fn key(out: &Output, client: &Client, action: Key) -> anyhow::Result<()> {
    let Key::Add { password_file, code } = action;
    let password = password_of(password_file.as_ref(), "your password", "--password-file FILE")?;
    let body = json!({ "password": password });
    let view = with_code(client, Method::POST, "/api/v1/me/signing-key", &body, &code).await?;
    out.answer(&view, || format!("signing key made; for the roster: {}", text(&view["publicKey"])));
    Ok(())
}

pub(crate) async fn tokens(out: &Output, client: &Client, action: Tokens) -> anyhow::Result<()> {
    match action {
        Tokens::Add { name, permissions, expires, out: file, overwrite } => {
            // A token is shown once: its place is sure before it is made.
            let target = file.as_deref().map(|file| overwrite.reserve(file, Access::Owner)).transpose()?;
            let expires = times::read(&expires, Toward::Future, jiff::Timestamp::now())?;
            let permissions = known_permissions(client, permissions).await?;
            let body = json!({ "name": name, "permissions": permissions, "expiresAt": expires });
            let mut view = client.post("/api/v1/me/tokens", &body).await?;
            if let (Some(file), Some(target)) = (file, target) {
                let id = text(&view["tokenId"]);
                target.write_made(format!("{}\n", text(&view["token"])).as_bytes(), || {
                    format!(
                        "token {id} was made, but it cannot be kept and is not shown again; revoke it (mdfmctl tokens revoke {id}) and \
                         make another one"
                    )
                })?;
                view["token"] = Value::Null;
                view["file"] = file.display().to_string().into();
            }
            out.answer(&view, || {
                let kept = if view["token"].is_null() { &view["file"] } else { &view["token"] };
                format!("token {} until {}: {}", text(&view["tokenId"]), text(&view["expiresAt"]), text(kept))
            });
        }
        Tokens::List { all, which } => {
            let rows = match all {
                true => client.list_of("/api/v1/tokens", &which).await?,
                false => {
                    anyhow::ensure!(
                        !which.is_given(),
                        "one's own tokens are few: --filter, --sort and --limit go with --all"
                    );
                    client.get("/api/v1/me/tokens").await?
                }
            };
            let columns = [
                ("TOKEN", "/tokenId"),
                ("USER", "/userId"),
                ("NAME", "/name"),
                ("PERMISSIONS", "/permissions"),
                ("MADE", "/madeAt"),
                ("EXPIRES", "/expiresAt"),
            ];
            out.table(&rows, &columns);
        }
        Tokens::Revoke { token, user, reason } => {
            let id = token_id(&token)?;
            match user {
                Some(user) => {
                    let path = format!("/api/v1/users/{user}/tokens/{id}");
                    client.delete(&path, &json!({ "reason": reason.unwrap_or_default() })).await?
                }
                None => client.delete(&format!("/api/v1/me/tokens/{id}"), &Value::Null).await?,
            };
            out.answer(&json!({ "revoked": token }), || format!("token {} revoked", token.as_str()));
        }
    }
    Ok(())
}

/// The permissions as the coordinator names them, however they were typed.
///
/// # Errors
/// The coordinator knows no such permission.
async fn known_permissions(client: &Client, typed: Vec<String>) -> anyhow::Result<Vec<String>> {
    // Whoever may not ask gets the coordinator's own answer to the words as they are.
    let Ok(roles) = client.get("/api/v1/roles").await else { return Ok(typed) };
    let of = |role: &Value| role["permissions"].as_array().cloned().unwrap_or_default();
    let all = roles.as_array().into_iter().flatten().flat_map(of);
    let known: BTreeSet<String> = all.filter_map(|p| p["permission"].as_str().map(str::to_owned)).collect();
    typed.into_iter().map(|word| permission(&known, word)).collect()
}

fn permission(known: &BTreeSet<String>, word: String) -> anyhow::Result<String> {
    if known.is_empty() {
        return Ok(word);
    }
    known.iter().find(|name| name.eq_ignore_ascii_case(&word)).cloned().ok_or_else(|| {
        let names = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        fault::value(format!("{word:?} is not a permission; there are {names}"))
    })
}

/// A token's id. The token itself is a secret, which is not sent as a part of an address.
fn token_id(token: &Part) -> anyhow::Result<&Part> {
    if token.as_str().starts_with("mdfm_") {
        bail!("that is a token itself, which is a secret; give its id (mdfmctl tokens list)");
    }
    Ok(token)
}

pub(crate) async fn change_password(out: &Output, client: &Client, options: Password) -> anyhow::Result<()> {
    let own = password_of(options.password_file.as_ref(), "your present password", "--password-file FILE")?;
    let new = password_of(options.new_password_file.as_ref(), "the new password", "--new-password-file FILE")?;
    if options.new_password_file.is_none() {
        let again = ask_secret("the new password again", "--new-password-file FILE")?;
        ensure!(again == new, "the two are not the same; nothing was changed");
    }
    if own == new {
        bail!("the new password is the present one");
    }
    set_password(client, &own, &new, options.keep_tokens).await?;
    let tokens = if options.keep_tokens {
        "your tokens for machines stay as they are (mdfmctl tokens list)"
    } else {
        "your tokens for machines have ended; make new ones where machines need them (mdfmctl tokens add)"
    };
    out.answer(&json!({ "changed": true, "tokensKept": options.keep_tokens }), || {
        format!("password changed; other sessions have ended; {tokens}")
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_23_permissions_are_those_of_the_coordinator() {
        let known: BTreeSet<String> = ["read", "readAll", "submitFirmware"].map(str::to_owned).into();
        for (typed, name) in [("read", "read"), ("READALL", "readAll"), ("submitfirmware", "submitFirmware")] {
            assert_eq!(permission(&known, typed.to_owned()).expect(typed), name);
        }
        let refused = permission(&known, "wrte".to_owned()).expect_err("none of them").to_string();
        assert!(refused.contains("there are read, readAll, submitFirmware"), "{refused}");
        let unasked = permission(&BTreeSet::new(), "wrte".to_owned()).expect("the coordinator answers");
        assert_eq!(unasked, "wrte", "whoever may not ask for the list gets the coordinator's own answer");
    }
}
