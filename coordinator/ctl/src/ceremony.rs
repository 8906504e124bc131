//! The first installation, guided: a key ceremony in a folder of public things. Each call does what can be done by now and says who does what
//! next; called again it goes on from there. Secret keys stay with their owners; nothing of the folder is a secret but the first passwords.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use mdfm_shared::id::UserId;
use mdfm_shared::limits::TRUST_LIFETIME_DEFAULT_MS;
use mdfm_shared::manifest::is_label;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::{KeySet, SecretKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{
    ApprovalPolicy, Freshness, Role, RoleKeys, Roster, RosterEntry, TrustRoot, TrustedRoot, Witnesses,
};
use mdfm_shared::wire;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::files::{self, Access, NewFile, Overwrite, write_secret};
use crate::keys;
use crate::output::Output;
use crate::trust::confirm::Shown;
use crate::trust::{self, Trusted, weighed};

const DAY_MS: u64 = 86_400_000;
const ROOT_DAYS: u64 = 1_095;
const ENTRY_DAYS: u64 = 365;
const PLAN: &str = "ceremony.json";
const ROOT: &str = "root-1.mdfm";
const ROSTER: &str = "roster-1.mdfm";
/// Where a trial's secret keys are.
const TRIAL_KEYS: &str = "trial-secret-keys";
const PASSWORD_BYTES: usize = 18;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder of the ceremony; made by the first call.
    dir: PathBuf,
    /// The coordinator's public key (online.pub of its data directory); for the first call.
    #[arg(long)]
    coordinator: Option<PathBuf>,
    /// The audit log's verifier key (log.vkey of the coordinator's data directory); for the first call.
    #[arg(long)]
    log_vkey: Option<PathBuf>,
    /// Owners of a root key.
    #[arg(long, default_value_t = 3)]
    root_keys: u16,
    /// How many of them must sign a change of trust.
    #[arg(long, default_value_t = 2)]
    root_threshold: u16,
    /// An approver, as `user-id|Printed Name|Role`; once for each, with the roles Clinical, QA and Regulatory. For the first call.
    #[arg(long = "approver")]
    approvers: Vec<String>,
    /// An operator, as `user-id|Printed Name`; once for each. Gets an account and signs nothing. For the first call.
    #[arg(long = "operator")]
    operators: Vec<String>,
    /// Folder with public keys, `OWNER.pub` each, for example an owner's stick; once for each. `OWNER=FOLDER` takes from it the key of that owner
    /// alone, which must be there. Each key that is found is copied into the ceremony's folder.
    #[arg(long, value_name = "[OWNER=]FOLDER", conflicts_with = "trial")]
    keys: Vec<String>,
    /// What you, an administrator, saw of each approver yourself, for example `passport, in person`: records with it that you verified the identity
    /// of everybody whose account has no such record.
    #[arg(long, conflicts_with = "trial")]
    evidence: Option<String>,
    /// Make every secret key here and now, in one folder. For trials: whoever has that folder is everybody at once.
    #[arg(long)]
    trial: bool,
}

/// What was agreed at the first call.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    root_keys: u16,
    root_threshold: u16,
    approvers: Vec<Approver>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    operators: Vec<Operator>,
    trial: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Approver {
    user: UserId,
    printed_name: String,
    role: Role,
}

impl Approver {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = text.split('|').map(str::trim).collect();
        let [user, printed_name, role] = parts.as_slice() else {
            bail!("an approver is written user-id|Printed Name|Role, found {text:?}");
        };
        ensure!(is_label(printed_name), "{printed_name:?} is no printed name");
        Ok(Self { user: user.parse()?, printed_name: (*printed_name).to_owned(), role: role.parse()? })
    }
}

/// Somebody who gets an account and signs nothing.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operator {
    user: UserId,
    printed_name: String,
}

impl Operator {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let Some((user, printed_name)) = text.split_once('|').map(|(user, name)| (user.trim(), name.trim())) else {
            bail!("an operator is written user-id|Printed Name, found {text:?}");
        };
        ensure!(is_label(printed_name), "{printed_name:?} is no printed name");
        Ok(Self { user: user.parse()?, printed_name: printed_name.to_owned() })
    }
}

impl Plan {
    fn new(options: &Init) -> anyhow::Result<Self> {
        let approvers = options.approvers.iter().map(|a| Approver::parse(a)).collect::<anyhow::Result<Vec<_>>>()?;
        for role in Role::ALL {
            ensure!(
                approvers.iter().any(|a| a.role == role),
                "nobody is named as {role}; add --approver 'id|Name|{role}'"
            );
        }
        for (i, approver) in approvers.iter().enumerate() {
            // Each approval of a release needs another person.
            ensure!(!approvers[..i].iter().any(|a| a.user == approver.user), "{} is named twice", approver.user);
        }
        let operators = options.operators.iter().map(|o| Operator::parse(o)).collect::<anyhow::Result<Vec<_>>>()?;
        for (i, operator) in operators.iter().enumerate() {
            let is_known = approvers.iter().any(|a| a.user == operator.user)
                || operators[..i].iter().any(|o| o.user == operator.user);
            ensure!(!is_known, "{} is named twice", operator.user);
        }
        ensure!(
            options.root_threshold >= 1 && options.root_threshold <= options.root_keys,
            "the root threshold cannot be met"
        );
        Ok(Self {
            root_keys: options.root_keys,
            root_threshold: options.root_threshold,
            approvers,
            operators,
            trial: options.trial,
        })
    }

    fn roots(&self) -> impl Iterator<Item = String> {
        (1..=self.root_keys).map(|n| format!("root-{n}"))
    }

    /// Everybody who makes a key, by the name of its file.
    fn owners(&self) -> Vec<String> {
        let office = ["release".to_owned(), "registrar".to_owned()];
        self.roots().chain(office).chain(self.approvers.iter().map(|a| a.user.to_string())).collect()
    }
}

/// What was done, and what somebody has to do next.
#[derive(Debug, Default, Serialize)]
struct Steps {
    done: Vec<String>,
    next: Vec<String>,
    /// What is to be signed or was signed now, with every field.
    documents: Vec<Shown>,
}

struct Ceremony<'a> {
    dir: &'a Path,
    plan: Plan,
    steps: Steps,
    /// What an administrator saw of each approver.
    evidence: Option<String>,
}

fn now() -> UtcMillis {
    UtcMillis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

/// Carries the ceremony on.
pub(crate) async fn run(out: &Output, session: &Path, options: Init) -> anyhow::Result<()> {
    let dir = options.dir.clone();
    let mut ceremony = Ceremony { dir: &dir, plan: begin(&options)?, steps: Steps::default(), evidence: None };
    ceremony.take_keys(&options.keys)?;
    ceremony.evidence = options.evidence.clone();
    ceremony.carry_on(session).await?;
    let steps = &ceremony.steps;
    out.answer(&serde_json::to_value(steps)?, || {
        let done = steps.done.iter().map(|s| format!("  done  {s}"));
        let next = steps.next.iter().map(|s| format!("  next  {s}"));
        let end = if steps.next.is_empty() { "the ceremony is complete" } else { "then run this command again" };
        let trial = ceremony
            .plan
            .trial
            .then_some("THIS IS A TRIAL: all keys lie in one folder; start again before a patient is near");
        let documents = steps.documents.iter().map(|shown| format!("{}\n", shown.text()));
        trial
            .map(str::to_owned)
            .into_iter()
            .chain(documents)
            .chain(done)
            .chain(next)
            .chain([end.to_owned()])
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(())
}

/// The plan in the folder; the first call makes both.
fn begin(options: &Init) -> anyhow::Result<Plan> {
    let file = options.dir.join(PLAN);
    if file.exists() {
        ensure!(
            options.approvers.is_empty()
                && options.operators.is_empty()
                && options.coordinator.is_none()
                && options.log_vkey.is_none(),
            "{} has its plan already; call this without --approver, --operator, --coordinator and --log-vkey, or name another folder",
            options.dir.display()
        );
        let bytes = files::read(&file)?;
        return mdfm_shared::json::from_slice(&bytes).with_context(|| format!("{} is no plan", file.display()));
    }
    let (Some(online), Some(vkey)) = (&options.coordinator, &options.log_vkey) else {
        bail!("the first call needs --coordinator and --log-vkey, copied from the coordinator's data directory");
    };
    let plan = Plan::new(options)?;
    std::fs::create_dir_all(options.dir.join("public"))?;
    for (from, to) in [(online, "online.pub"), (vkey, "log.vkey")] {
        let target = options.dir.join(to);
        // Of a call that ended before the plan was written.
        Overwrite { overwrite: true }.reserve(&target, Access::Mask)?.write(&files::read(from)?)?;
    }
    files::replace(&file, &serde_json::to_vec_pretty(&plan)?)?;
    Ok(plan)
}

/// Where an owner's public key may be.
#[derive(Debug, PartialEq, Eq)]
struct KeyFile {
    owner: String,
    file: PathBuf,
    /// Somebody named the owner: the key must be there.
    needed: bool,
}

/// The files that `--keys` names, in its order.
fn key_files(folders: &[String], owners: &[String]) -> anyhow::Result<Vec<KeyFile>> {
    let mut files = Vec::new();
    for text in folders {
        let named = text.split_once('=').filter(|(owner, _)| owners.iter().any(|known| known == owner));
        let folder = PathBuf::from(named.map_or(text.as_str(), |(_, folder)| folder));
        let hint = if named.is_none() && text.contains('=') { "; OWNER=FOLDER takes one of " } else { "" };
        let known = if hint.is_empty() { String::new() } else { owners.join(", ") };
        ensure!(folder.is_dir(), "--keys {text}: {} is not a folder{hint}{known}", folder.display());
        for owner in owners.iter().filter(|owner| named.is_none_or(|(name, _)| name == owner.as_str())) {
            let file = folder.join(format!("{owner}.pub"));
            files.push(KeyFile { owner: owner.clone(), file, needed: named.is_some() });
        }
    }
    Ok(files)
}

/// Makes a secret key in a new file.
fn new_key(file: &Path) -> anyhow::Result<SecretKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let key = SecretKey::from_seed(seed);
    NewFile::create(file, Access::Owner)?.write(key.to_secret_text().as_bytes())?;
    Ok(key)
}

impl Ceremony<'_> {
    fn done(&mut self, what: impl Into<String>) {
        self.steps.done.push(what.into());
    }
    fn next(&mut self, what: impl Into<String>) {
        self.steps.next.push(what.into());
    }
    fn public(&self, owner: &str) -> PathBuf {
        self.dir.join("public").join(format!("{owner}.pub"))
    }
    fn public_text(&self, owner: &str) -> String {
        self.public(owner).display().to_string()
    }
    /// A trial's secret key of an owner.
    fn trial_key(&self, owner: &str) -> anyhow::Result<SecretKey> {
        keys::secret(&self.dir.join(TRIAL_KEYS).join(owner))
    }

    /// Goes as far as it can.
    async fn carry_on(&mut self, session: &Path) -> anyhow::Result<()> {
        if !self.gather_keys()? {
            return Ok(());
        }
        // Both documents wait for their signatures at the same time.
        let (root, roster) = (self.sign_root()?, self.sign_roster()?);
        let (Some(root), Some(roster)) = (root, roster) else { return Ok(()) };
        if self.evidence.is_some() {
            // Only an administrator says what was seen: whoever calls is one.
            client::sign_in_first(session).await?;
        }
        let client = match Client::open(session) {
            Ok(client) => client,
            Err(_) => {
                self.next("the first administrator: mdfmctl login, then this command with --evidence");
                return Ok(());
            }
        };
        if self.plan.trial {
            // Whoever verifies the log of a trial must see that it is one.
            ensure!(
                client.get("/api/v1/me").await?["trial"] == true,
                "this coordinator is not a trial installation; begin with mdfm-coordinator init --trial"
            );
        }
        self.publish(&client, &root, &roster).await?;
        self.open_accounts(&client).await
    }

    /// Copies the owners' public keys out of the folders of `--keys`. Reads all of them first: one that is refused leaves nothing behind.
    fn take_keys(&self, folders: &[String]) -> anyhow::Result<()> {
        let mut found = BTreeMap::new();
        for file in key_files(folders, &self.plan.owners())? {
            let KeyFile { owner, file, needed } = file;
            if !needed && !file.is_file() {
                continue;
            }
            let key = keys::read_public(&file)?;
            let held = Some(self.public(&owner)).filter(|held| held.exists());
            for other in held.iter().chain(found.get(&owner).map(|(other, _)| other)) {
                ensure!(
                    keys::read_public(other)? == key,
                    "{} and {} are two different keys of {owner}; nothing was copied: compare both with their owner",
                    other.display(),
                    file.display()
                );
            }
            found.entry(owner).or_insert((file, key));
        }
        for (owner, (_, key)) in found.iter().filter(|(owner, _)| !self.public(owner).exists()) {
            NewFile::create(&self.public(owner), Access::Mask)?.write(format!("{key}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Whether every public key is there.
    fn gather_keys(&mut self) -> anyhow::Result<bool> {
        let owners = self.plan.owners();
        for owner in &owners {
            if self.plan.trial && !self.public(owner).exists() {
                let secrets = self.dir.join(TRIAL_KEYS);
                std::fs::create_dir_all(&secrets)?;
                let file = secrets.join(owner);
                // A call that ended between the two files left the secret one.
                let key = if file.exists() { keys::secret(&file)? } else { new_key(&file)? };
                NewFile::create(&self.public(owner), Access::Mask)?.write(format!("{}\n", key.public()).as_bytes())?;
            }
        }
        let missing: Vec<&String> = owners.iter().filter(|owner| !self.public(owner).exists()).collect();
        if missing.is_empty() {
            // Two owners with one key would be one owner.
            let texts: Vec<String> = owners.iter().map(|owner| self.public_text(owner)).collect();
            let all = texts.iter().map(|text| keys::public(text)).collect::<anyhow::Result<Vec<_>>>()?;
            let count = all.len();
            KeySet::new(all, count).context("the keys in `public` must all be different")?;
            self.done(format!("{count} public keys are there"));
            return Ok(true);
        }
        for owner in missing {
            let steps = format!(
                "mdfmctl keys make {owner}, on a machine of their own; bring {owner}.pub into {}/public",
                self.dir.display()
            );
            self.steps.next.push(format!("the owner of {owner}: {steps}"));
        }
        Ok(false)
    }

    /// Who signs the roster.
    fn registrar(&self) -> anyhow::Result<RoleKeys> {
        trust::role(&[self.public_text("registrar")], 1)
    }

    /// The trust root, once enough owners have signed.
    fn sign_root(&mut self) -> anyhow::Result<Option<Signed<TrustRoot>>> {
        let file = self.dir.join(ROOT);
        if !file.exists() {
            let roots: Vec<String> = self.plan.roots().map(|owner| self.public_text(&owner)).collect();
            let log = files::read_text(&self.dir.join("log.vkey"))?.trim().to_owned();
            let registrar = self.registrar()?;
            let document = TrustRoot {
                version: 1,
                expires_at: now().plus_ms(ROOT_DAYS * DAY_MS),
                root: trust::role(&roots, self.plan.root_threshold)?,
                release: trust::role(&[self.public_text("release")], 1)?,
                registrar,
                coordinator: trust::role(&[self.dir.join("online.pub").display().to_string()], 1)?,
                log,
                witnesses: Witnesses::default(),
                approvals: ApprovalPolicy::seed(),
            };
            let mut signed = Signed::sign(&document, &[])?;
            // A trial signs with keys that it made itself just now: nobody's signature is given for them.
            if self.plan.trial {
                self.steps.documents.push(weighed(&document, signed.digest(), None));
                for owner in self.plan.roots() {
                    signed.add_signature(&self.trial_key(&owner)?);
                }
            }
            NewFile::create(&file, Access::Owner)?.write(&wire::encode(&signed))?;
        }
        let signed = Trusted::read_root(&file)?;
        match TrustedRoot::pinned(&signed, signed.digest()) {
            Ok(_) => {
                self.done(format!("trust root 1 is signed; write its digest into the minutes: {}", signed.digest()));
                Ok(Some(signed))
            }
            Err(error) => {
                let mut owners = Vec::new();
                for owner in self.plan.roots() {
                    let key = KeySet::single(keys::public(&self.public_text(&owner))?);
                    owners.push((owner, signed.verify(&key).is_ok()));
                }
                self.steps.documents.push(weighed(&signed.decode_unverified()?, signed.digest(), None));
                self.next(root_step(
                    &owners,
                    self.plan.root_threshold,
                    &file.display().to_string(),
                    &error.to_string(),
                ));
                Ok(None)
            }
        }
    }

    /// The roster, once the registrar has signed.
    fn sign_roster(&mut self) -> anyhow::Result<Option<Signed<Roster>>> {
        let file = self.dir.join(ROSTER);
        if !file.exists() {
            // A day back: an approver's clock may be behind.
            let valid_from = UtcMillis(now().0.saturating_sub(DAY_MS));
            let entry = |approver: &Approver| -> anyhow::Result<RosterEntry> {
                Ok(RosterEntry {
                    user: approver.user.clone(),
                    printed_name: approver.printed_name.clone(),
                    roles: vec![approver.role],
                    key: keys::public(&self.public_text(approver.user.as_str()))?,
                    valid_from,
                    valid_until: valid_from.plus_ms(ENTRY_DAYS * DAY_MS),
                    revoked: None,
                })
            };
            let entries = self.plan.approvers.iter().map(entry).collect::<anyhow::Result<_>>()?;
            let issued_at = now();
            let expires_at = issued_at.plus_ms(TRUST_LIFETIME_DEFAULT_MS);
            let freshness = Some(Freshness { issued_at, expires_at, withdrawals_version: 0 });
            let document = Roster { version: 1, entries, freshness };
            let mut signed = Signed::sign(&document, &[])?;
            if self.plan.trial {
                self.steps.documents.push(weighed(&document, signed.digest(), None));
                signed.add_signature(&self.trial_key("registrar")?);
            }
            NewFile::create(&file, Access::Owner)?.write(&wire::encode(&signed))?;
        }
        let signed = Trusted::read_roster(&file)?;
        match signed.verify(&self.registrar()?.key_set()?) {
            Ok(_) => {
                self.done("the roster of approvers is signed");
                Ok(Some(signed))
            }
            Err(error) => {
                self.steps.documents.push(weighed(&signed.decode_unverified()?, signed.digest(), None));
                let file = file.display();
                self.next(format!(
                    "the registrar: mdfmctl trust inspect {file}, then mdfmctl trust sign {file} --key KEY ({error})"
                ));
                Ok(None)
            }
        }
    }

    /// Gives both documents to the coordinator, unless it has them.
    async fn publish(
        &mut self,
        client: &Client,
        root: &Signed<TrustRoot>,
        roster: &Signed<Roster>,
    ) -> anyhow::Result<()> {
        let held = client.get("/api/v1/trust").await?;
        if held["rootVersion"].is_null() || held["rootVersion"] == 0 {
            client.post("/api/v1/trust/roots", &json!({ "document": document_text(root) })).await?;
        } else if held["firstRootDigest"] != json!(root.digest()) {
            bail!(
                "the coordinator has another first trust root, {}; this folder is of another ceremony",
                held["firstRootDigest"]
            );
        }
        if held["rosterVersion"].is_null() || held["rosterVersion"] == 0 {
            client.post("/api/v1/trust/rosters", &json!({ "document": document_text(roster) })).await?;
        }
        self.done("the coordinator has the trust root and the roster");
        Ok(())
    }

    /// Opens the approvers' accounts; who they are an administrator has to see with their own eyes.
    async fn open_accounts(&mut self, client: &Client) -> anyhow::Result<()> {
        let users = client.list("/api/v1/users").await?;
        let held = |user: &UserId| users.as_array().into_iter().flatten().find(|u| u["userId"] == user.as_str());
        for operator in self.plan.operators.iter().filter(|operator| held(&operator.user).is_none()) {
            open_account(self.dir, client, &operator.user, &operator.printed_name, "Operator").await?;
        }
        for approver in &self.plan.approvers {
            let held = held(&approver.user);
            if held.is_none() {
                let role = approver.role.to_string();
                open_account(self.dir, client, &approver.user, &approver.printed_name, &role).await?;
            }
            let is_verified = held.is_some_and(|user| user["identity"] != Value::Null);
            if let Some(evidence) = self.evidence.as_ref().filter(|_| !is_verified) {
                let body = json!({ "evidence": evidence, "reason": "key ceremony" });
                client.put(&format!("/api/v1/users/{}/identity", approver.user), &body).await?;
                self.steps.done.push(format!("{} may sign: you verified the identity ({evidence})", approver.user));
            } else if !is_verified {
                let user = &approver.user;
                self.steps.next.push(format!(
                    "an administrator who has seen {}'s passport: mdfmctl users verify {user} --evidence passport --reason ceremony",
                    approver.printed_name
                ));
            } else {
                self.steps.done.push(format!("{} has an account and may sign", approver.user));
            }
        }
        let users = self.plan.operators.iter().map(|o| &o.user).chain(self.plan.approvers.iter().map(|a| &a.user));
        self.steps.next.extend(users.filter_map(|user| first_password_step(self.dir, user)));
        Ok(())
    }
}

/// Where somebody's first password is.
fn first_password(dir: &Path, user: &UserId) -> PathBuf {
    dir.join(format!("first-password-of-{user}"))
}

/// What is to be done with somebody's first password; `None` once its file is removed.
fn first_password_step(dir: &Path, user: &UserId) -> Option<String> {
    let file = first_password(dir, user);
    let step = format!("hand {} to {user}, who changes it at the first sign-in; then remove it", file.display());
    file.exists().then_some(step)
}

/// What the owners of root keys do next: those who have not signed yet, one after the other in the same file.
fn root_step(owners: &[(String, bool)], threshold: u16, file: &str, error: &str) -> String {
    let named = |has_signed: bool| {
        let names = owners.iter().filter(|(_, signed)| *signed == has_signed).map(|(owner, _)| owner.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let (signed, missing) = (named(true), named(false));
    let have = owners.iter().filter(|(_, signed)| *signed).count();
    let needed = usize::from(threshold).saturating_sub(have);
    let who = if signed.is_empty() {
        format!("{needed} of {missing}")
    } else {
        format!("{needed} more of {missing} ({signed} signed already)")
    };
    format!(
        "{who}: look at it with mdfmctl trust inspect {file}, then mdfmctl trust sign {file} --key KEY (one after the other in the same file; \
         copies that were signed apart: mdfmctl trust join {file} COPY; {error})"
    )
}

/// Opens an account with a random first password in a file of the folder.
async fn open_account(
    dir: &Path,
    client: &Client,
    user: &UserId,
    printed_name: &str,
    role: &str,
) -> anyhow::Result<()> {
    let file = first_password(dir, user);
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let password = URL_SAFE_NO_PAD.encode(bytes);
    write_secret(&file, password.as_bytes())?;
    let body = json!({ "userId": user, "printedName": printed_name, "roles": [role], "password": password });
    client.post("/api/v1/users", &body).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(approvers: &[&str], operators: &[&str]) -> anyhow::Result<Plan> {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Plan::new(&Init {
            dir: "ceremony".into(),
            coordinator: None,
            log_vkey: None,
            root_keys: 3,
            root_threshold: 2,
            approvers: texts(approvers),
            operators: texts(operators),
            keys: Vec::new(),
            evidence: None,
            trial: false,
        })
    }

    const APPROVERS: [&str; 3] = ["c|Clara|Clinical", "q|Quentin|QA", "r|Rita|Regulatory"];

    #[test]
    fn cli_27_an_operator_of_the_plan_is_nobody_else() {
        let plan = planned(&APPROVERS, &["o|Olivia Operator"]).expect("a plan");
        assert_eq!(plan.owners().len(), 8, "an operator makes no key of the ceremony");
        for (operators, names) in [
            (&["c|Clara"][..], "c is named twice"),
            (&["o|Olivia", "o|Olaf"], "o is named twice"),
            (&["olivia"], "user-id|Printed Name"),
            (&["o|"], "no printed name"),
        ] {
            let refused = planned(&APPROVERS, operators).expect_err(names).to_string();
            assert!(refused.contains(names), "{refused}");
        }
    }

    #[test]
    fn cli_27_the_owners_who_have_not_signed_are_named() {
        let owners = |signed: [bool; 3]| {
            let names = ["root-1", "root-2", "root-3"].into_iter().zip(signed);
            names.map(|(name, signed)| (name.to_owned(), signed)).collect::<Vec<_>>()
        };
        let step = |signed| root_step(&owners(signed), 2, "ceremony/root-1.mdfm", "why");
        assert!(step([false; 3]).starts_with("2 of root-1, root-2, root-3: look at it with"));
        let one = step([false, true, false]);
        assert!(one.starts_with("1 more of root-1, root-3 (root-2 signed already): look at it with"), "{one}");
        assert!(one.contains("one after the other in the same file") && one.contains("trust join"), "{one}");
    }

    #[test]
    fn cli_27_each_owners_key_comes_from_a_stick_of_its_own() {
        let base = std::env::temp_dir().join(format!("mdfmctl-ceremony-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        let dir = base.join("ceremony");
        std::fs::create_dir_all(dir.join("public")).expect("made");
        let stick = |name: &str, owner: &str, seed: u8| {
            std::fs::create_dir_all(base.join(name)).expect("made");
            let key = SecretKey::from_seed([seed; 32]).public().to_string();
            std::fs::write(base.join(name).join(format!("{owner}.pub")), &key).expect("written");
            key
        };
        let key = stick("a", "root-1", 1);
        stick("a", "root-2", 2);
        let other = stick("b", "root-2", 3);
        let plan = planned(&APPROVERS, &[]).expect("a plan");
        let ceremony = Ceremony { dir: &dir, plan, steps: Steps::default(), evidence: None };
        let take = |texts: &[&str]| {
            let place = |text: &&str| text.replace('@', &base.display().to_string());
            ceremony.take_keys(&texts.iter().map(place).collect::<Vec<_>>())
        };
        for (texts, words) in [
            (&["@/a", "@/b"][..], "are two different keys of root-2; nothing was copied"),
            (&["root-1=@/a", "root-3=@/b"], "root-3.pub"),
            (&["root-1=@/a", "@/c"], "/c is not a folder"),
            (&["root-1=@/a", "root-9=@/b"], "OWNER=FOLDER takes one of root-1, root-2, root-3, release"),
        ] {
            let refused = format!("{:#}", take(texts).expect_err(words));
            assert!(refused.contains(words), "{refused}");
            assert_eq!(std::fs::read_dir(dir.join("public")).expect("reads").count(), 0, "{texts:?}");
        }
        // A stick gives the key of its owner, whatever else lies on it.
        for _ in 0..2 {
            take(&["root-1=@/a", "root-2=@/b"]).expect("taken, and the second time the same");
            let held = |owner: &str| std::fs::read_to_string(dir.join("public").join(owner)).expect("reads");
            assert_eq!((held("root-1.pub").trim(), held("root-2.pub").trim()), (key.as_str(), other.as_str()));
        }
        assert!(take(&["@/a"]).is_err(), "another key than the one that the ceremony has");
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn cli_27_a_first_password_is_a_step_until_its_file_is_gone() {
        let dir = std::env::temp_dir().join(format!("mdfmctl-first-password-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("made");
        let user: UserId = "olivia".parse().expect("an id");
        assert_eq!(first_password_step(&dir, &user), None);
        write_secret(&first_password(&dir, &user), b"x").expect("written");
        let step = first_password_step(&dir, &user).expect("a step");
        assert!(step.contains("first-password-of-olivia to olivia, who changes it"), "{step}");
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn cli_27_a_plan_of_an_earlier_release_is_read() {
        let plan = planned(&APPROVERS, &[]).expect("a plan");
        let text = serde_json::to_string(&plan).expect("encodes");
        assert!(!text.contains("operators"), "and is written as before: {text}");
        assert_eq!(serde_json::from_str::<Plan>(&text).expect("decodes"), plan);
    }
}
