//! The next version of a roster, made from the one before it: entries of the past stay, a change closes an entry and adds one.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use mdfm_shared::id::UserId;
use mdfm_shared::limits::{ROSTER_ENTRIES_MAX, TRUST_LIFETIME_MAX_MS};
use mdfm_shared::manifest::is_label;
use mdfm_shared::sign::PublicKey;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Freshness, Revocation, Role, Roster, RosterEntry};
use serde_json::json;

use super::confirm::{self, Confirmation};
use super::describe::{self, escape, marked, span};
use super::files::{self, Before, Kind, Trusted, weighed};
use super::{DAY_MS, now};
use crate::client::Client;
use crate::keys;
use crate::output::Output;
use crate::times::{self, Toward};

/// Entries that end within this time are named when a roster is made.
const ENDS_SOON_MS: u64 = 30 * DAY_MS;
/// Bytes of a checkpoint.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a file of people.
const PEOPLE_BYTES_MAX: u64 = 1024 * 1024;

/// What the next roster has that the one before has not.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to write it.
    #[arg(long)]
    out: PathBuf,
    /// The roster before. Its entries stay; only what is named here changes.
    #[arg(long = "previous", alias = "from", value_name = "FILE", required_unless_present = "version")]
    from: Option<PathBuf>,
    /// Version of a first roster, which has none before: 1.
    #[arg(long = "document-version", alias = "version", conflicts_with = "from", value_name = "N")]
    version: Option<u64>,
    /// Change nothing but the version and the expiry.
    #[arg(long, requires = "from")]
    renew: bool,
    /// One person who may sign: `user-id|Printed Name|Role,Role|public key or file`; or a file with one a line.
    #[arg(long = "person", alias = "add", value_name = "PERSON|FILE")]
    people: Vec<String>,
    /// Ends the authority of a person early: nothing that they sign from `--at` on counts, nor what is logged after `--log-size`.
    #[arg(long, value_name = "USER", requires_all = ["from", "reason"])]
    revoke: Vec<UserId>,
    /// Time of the revocation, for example 2026-11-29T10:00:00Z, or 1h ago as `1h`; now if absent. An earlier one voids what was signed since.
    #[arg(long, value_name = "TIME", requires = "revoke", value_parser = time)]
    at: Option<UtcMillis>,
    /// Size of the audit log at the revocation; else the coordinator is asked, if you are signed in. Approvals that stand in the
    /// log from there on do not count, whatever their date.
    #[arg(long, value_name = "N", requires = "revoke")]
    log_size: Option<u64>,
    /// File with a checkpoint of the log, to read the size from.
    #[arg(long, value_name = "FILE", requires = "revoke", conflicts_with = "log_size")]
    checkpoint: Option<PathBuf>,
    /// Why somebody is revoked; `trust publish` takes the same reason for the record.
    #[arg(long)]
    reason: Option<String>,
    /// Another key for a person: the entry with the old one ends now.
    #[arg(long, value_name = "USER=KEY", requires = "from")]
    replace_key: Vec<String>,
    /// Another printed name for a person: the entry with the old one ends now.
    #[arg(long, value_name = "USER=NAME", requires = "from")]
    rename: Vec<String>,
    /// Another role for a person, from now on.
    #[arg(long, value_name = "USER=ROLE", requires = "from")]
    add_role: Vec<String>,
    /// Ends a role of a person now; what they signed in it stays.
    #[arg(long, value_name = "USER=ROLE", requires = "from")]
    remove_role: Vec<String>,
    /// Lets a person sign for `--entry-days` more.
    #[arg(long, value_name = "USER", requires = "from")]
    extend: Vec<UserId>,
    /// Drops every entry of a person, as if they had never been there; approvals that stand on them no longer count. Needs
    /// `--force`; to end somebody's authority use `--revoke`.
    #[arg(long, value_name = "USER", requires_all = ["from", "force"])]
    drop: Vec<UserId>,
    /// Days until the roster expires: agents start nothing new with an expired one.
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// Days for which new entries count.
    #[arg(long, default_value_t = 365)]
    entry_days: u32,
    /// Withdrawals that agents must hold beside this roster: a version, or a file with the document. As before if absent.
    #[arg(long, value_name = "FILE|VERSION")]
    withdrawals: Option<String>,
    /// Make it although it drops or narrows entries of the past, after a typed confirmation.
    #[arg(long)]
    force: bool,
    /// Secret registrar keys to sign with; without one the roster is written unsigned, for `trust sign`.
    #[arg(long = "key", alias = "sign")]
    sign: Vec<PathBuf>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Id, printed name, roles and key of a person to add.
type Person = (UserId, String, Vec<Role>, PublicKey);

/// The changes of a roster, checked.
#[derive(Debug, Default)]
struct Edits {
    people: Vec<Person>,
    revoke: Vec<UserId>,
    revocation: Option<Revocation>,
    replace_key: Vec<(UserId, PublicKey)>,
    rename: Vec<(UserId, String)>,
    add_role: Vec<(UserId, Role)>,
    remove_role: Vec<(UserId, Role)>,
    extend: Vec<UserId>,
    drop: Vec<UserId>,
    entry_ms: u64,
    life_ms: u64,
    withdrawals_version: Option<u64>,
}

fn time(text: &str) -> Result<UtcMillis, String> {
    times::read_ms(text, Toward::Past)
}

fn pair<T>(text: &str, parse: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<(UserId, T)> {
    let (user, value) = text.split_once('=').with_context(|| format!("{text:?} must be USER=VALUE"))?;
    Ok((user.trim().parse()?, parse(value.trim())?))
}

fn role(text: &str) -> anyhow::Result<Role> {
    Ok(text.parse()?)
}

fn name(text: &str) -> anyhow::Result<String> {
    ensure!(is_label(text), "{text:?} is not a printed name");
    Ok(text.to_owned())
}

fn person(text: &str) -> anyhow::Result<Person> {
    let parts: Vec<&str> = text.split('|').map(str::trim).collect();
    let [user, printed_name, roles, key] = parts.as_slice() else {
        bail!("a person is written user-id|Printed Name|Role,Role|public key or file, found {text:?}");
    };
    let roles = roles.split(',').map(|r| role(r.trim())).collect::<anyhow::Result<_>>()?;
    Ok((user.parse()?, name(printed_name)?, roles, keys::public(key)?))
}

/// The people of one argument: a person, or a file with one a line; lines that begin with `#` are comments.
fn people(text: &str) -> anyhow::Result<Vec<Person>> {
    if text.contains('|') {
        return Ok(vec![person(text)?]);
    }
    let content = String::from_utf8(crate::files::read_within(Path::new(text), PEOPLE_BYTES_MAX)?).ok();
    let content = content.with_context(|| format!("reading {text}: it is not text (UTF-8)"))?;
    let lines = content.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|l| person(l).with_context(|| format!("in {text}"))).collect()
}

/// The size in a checkpoint (C2SP tlog-checkpoint): its second line.
fn size_of(note: &str) -> anyhow::Result<u64> {
    let size = note.lines().nth(1).context("a checkpoint has its size in the second line")?;
    size.parse().with_context(|| format!("{:?} is not the size of a log", size.chars().take(40).collect::<String>()))
}

impl Options {
    async fn revocation(&self, session: &Path) -> anyhow::Result<Option<Revocation>> {
        if self.revoke.is_empty() {
            return Ok(None);
        }
        let log_size = match (self.log_size, &self.checkpoint) {
            (Some(size), _) => size,
            (None, Some(file)) => size_of(&crate::files::read_text(file)?)?,
            (None, None) => {
                let asked = async {
                    let path = "/api/v1/compliance/log/checkpoint";
                    size_of(&String::from_utf8(Client::open(session)?.bytes(path, CHECKPOINT_BYTES_MAX).await?)?)
                };
                asked.await.context(
                    "the size of the audit log is needed, and the coordinator did not return it: name --log-size or --checkpoint",
                )?
            }
        };
        Ok(Some(Revocation { at: self.at.unwrap_or_else(now), log_size }))
    }

    fn withdrawals_version(&self) -> anyhow::Result<Option<u64>> {
        let Some(text) = &self.withdrawals else { return Ok(None) };
        if let Ok(version) = text.parse() {
            return Ok(Some(version));
        }
        match Trusted::read_as(Path::new(text), Some(Kind::Withdrawals))? {
            Trusted::Withdrawals(signed) => Ok(Some(signed.decode_unverified()?.version)),
            other => bail!("{text} is a {}, not withdrawals", other.kind_name()),
        }
    }

    async fn edits(&self, session: &Path) -> anyhow::Result<Edits> {
        let Self {
            out: _,
            from: _,
            version: _,
            renew,
            people: named,
            revoke,
            at: _,
            log_size: _,
            checkpoint: _,
            reason: _,
            replace_key,
            rename,
            add_role,
            remove_role,
            extend,
            drop,
            days,
            entry_days,
            withdrawals: _,
            force: _,
            sign: _,
            confirmation: _,
        } = self;
        let key = |text: &str| keys::public(text);
        let all = |texts: &[String]| texts.iter().map(|t| pair(t, role)).collect::<anyhow::Result<Vec<_>>>();
        let people: Vec<Vec<_>> = named.iter().map(|p| people(p)).collect::<anyhow::Result<_>>()?;
        let edits = Edits {
            people: people.into_iter().flatten().collect(),
            revoke: revoke.clone(),
            revocation: self.revocation(session).await?,
            replace_key: replace_key.iter().map(|t| pair(t, key)).collect::<anyhow::Result<_>>()?,
            rename: rename.iter().map(|t| pair(t, name)).collect::<anyhow::Result<_>>()?,
            add_role: all(add_role)?,
            remove_role: all(remove_role)?,
            extend: extend.clone(),
            drop: drop.clone(),
            entry_ms: u64::from(*entry_days) * DAY_MS,
            life_ms: u64::from(*days) * DAY_MS,
            withdrawals_version: self.withdrawals_version()?,
        };
        if *renew {
            ensure!(edits.is_empty(), "--renew changes nothing else; leave it out to change entries");
        } else if self.from.is_some() {
            ensure!(
                !edits.is_empty() || edits.withdrawals_version.is_some(),
                "nothing would change: name a change, or --renew for another expiry alone"
            );
        }
        Ok(edits)
    }
}

impl Edits {
    fn is_empty(&self) -> bool {
        let Self {
            people,
            revoke,
            revocation: _,
            replace_key,
            rename,
            add_role,
            remove_role,
            extend,
            drop,
            entry_ms: _,
            life_ms: _,
            withdrawals_version: _,
        } = self;
        let users = [revoke.len(), extend.len(), drop.len()];
        let pairs = [people.len(), replace_key.len(), rename.len(), add_role.len(), remove_role.len()];
        users.iter().chain(&pairs).all(|n| *n == 0)
    }

    /// The roster after these changes.
    fn apply(&self, before: Option<&Roster>, version: u64, now: UtcMillis) -> anyhow::Result<Roster> {
        let mut next = Next { entries: before.map(|b| b.entries.clone()).unwrap_or_default(), now };
        for user in &self.drop {
            let held = next.entries.len();
            next.entries.retain(|e| e.user != *user);
            ensure!(next.entries.len() < held, "{user} is not on the roster");
        }
        for (user, role) in &self.remove_role {
            next.remove_role(user, *role)?;
        }
        for (user, key) in &self.replace_key {
            next.succeed(user, self.entry_ms, |entry| entry.key = key.clone())?;
        }
        for (user, name) in &self.rename {
            next.succeed(user, self.entry_ms, |entry| entry.printed_name.clone_from(name))?;
        }
        for (user, role) in &self.add_role {
            next.add_role(user, *role)?;
        }
        for user in &self.extend {
            next.extend(user, self.entry_ms)?;
        }
        for (user, printed_name, roles, key) in &self.people {
            ensure!(
                next.open(user).is_empty(),
                "{user} is on the roster already: use --replace-key, --rename, --add-role, --remove-role or --extend"
            );
            // A day back: an approver's clock may be behind.
            let valid_from = UtcMillis(now.0.saturating_sub(DAY_MS));
            next.entries.push(RosterEntry {
                user: user.clone(),
                printed_name: printed_name.clone(),
                roles: roles.clone(),
                key: key.clone(),
                valid_from,
                valid_until: valid_from.plus_ms(self.entry_ms),
                revoked: None,
            });
        }
        if let Some(revocation) = self.revocation {
            self.revoke.iter().try_for_each(|user| next.revoke(user, revocation))?;
        }
        let entries = next.entries;
        ensure!(
            entries.len() <= ROSTER_ENTRIES_MAX,
            "{} entries; at most {ROSTER_ENTRIES_MAX} are accepted",
            entries.len()
        );
        for (i, entry) in entries.iter().enumerate() {
            let other = entries[..i].iter().find(|e| e.key == entry.key && e.user != entry.user);
            if let Some(other) = other {
                bail!(
                    "{} and {} would have the same key: their signatures could not be distinguished",
                    other.user,
                    entry.user
                );
            }
        }
        ensure!(
            self.life_ms > 0 && self.life_ms <= TRUST_LIFETIME_MAX_MS,
            "a roster counts for 1 to {} days",
            TRUST_LIFETIME_MAX_MS / DAY_MS
        );
        let held = before.and_then(|b| b.freshness).map_or(0, |f| f.withdrawals_version);
        let withdrawals_version = self.withdrawals_version.unwrap_or(held);
        ensure!(
            withdrawals_version >= held,
            "the roster before demands withdrawals {held}; a lower version would let somebody withhold them"
        );
        let freshness = Freshness { issued_at: now, expires_at: now.plus_ms(self.life_ms), withdrawals_version };
        Ok(Roster { version, entries, freshness: Some(freshness) })
    }
}

/// Entries in the making.
struct Next {
    entries: Vec<RosterEntry>,
    now: UtcMillis,
}

impl Next {
    /// The entries under which a person may sign now.
    fn open(&self, user: &UserId) -> Vec<usize> {
        let now = self.now;
        let is_open = |e: &RosterEntry| e.user == *user && e.valid_until > now && e.revoked.is_none();
        self.entries.iter().enumerate().filter(|(_, e)| is_open(e)).map(|(i, _)| i).collect()
    }

    fn need_open(&self, user: &UserId) -> anyhow::Result<Vec<usize>> {
        let open = self.open(user);
        ensure!(!open.is_empty(), "{user} has no entry that counts today; add them with --person");
        Ok(open)
    }

    /// Ends each open entry now and adds a changed one.
    fn succeed(&mut self, user: &UserId, ms: u64, change: impl Fn(&mut RosterEntry)) -> anyhow::Result<()> {
        for i in self.need_open(user)? {
            let mut next = self.entries[i].clone();
            change(&mut next);
            ensure!(next != self.entries[i], "{user} has that already");
            (next.valid_from, next.valid_until) = (self.now, self.now.plus_ms(ms));
            self.close(i);
            self.entries.push(next);
        }
        Ok(())
    }

    /// Ends an entry now; one that has not begun is not wanted at all.
    fn close(&mut self, i: usize) {
        let from = self.entries[i].valid_from;
        self.entries[i].valid_until = self.now.max(from);
    }

    fn add_role(&mut self, user: &UserId, role: Role) -> anyhow::Result<()> {
        let open = self.need_open(user)?;
        ensure!(!open.iter().any(|i| self.entries[*i].roles.contains(&role)), "{user} has the role {role} already");
        // An entry of its own: the one that is there stays as it is.
        let last = self.entries[open[open.len() - 1]].clone();
        self.entries.push(RosterEntry { roles: vec![role], valid_from: self.now, ..last });
        Ok(())
    }

    fn remove_role(&mut self, user: &UserId, role: Role) -> anyhow::Result<()> {
        let open = self.need_open(user)?;
        let with: Vec<usize> = open.into_iter().filter(|i| self.entries[*i].roles.contains(&role)).collect();
        ensure!(!with.is_empty(), "{user} does not have the role {role}");
        for i in with {
            if self.entries[i].roles.iter().any(|r| *r != role) {
                // Split: the entry keeps its other roles, and what was signed in this one stays.
                let ended = RosterEntry { roles: vec![role], ..self.entries[i].clone() };
                self.entries[i].roles.retain(|r| *r != role);
                self.entries.push(ended);
                let last = self.entries.len() - 1;
                self.close(last);
            } else {
                self.close(i);
            }
        }
        Ok(())
    }

    fn extend(&mut self, user: &UserId, ms: u64) -> anyhow::Result<()> {
        let until = self.now.plus_ms(ms);
        let open = self.open(user);
        for i in &open {
            self.entries[*i].valid_until = self.entries[*i].valid_until.max(until);
        }
        if open.is_empty() {
            // After a gap there is an entry of its own, so that nothing dated inside the gap counts.
            let last = self.entries.iter().filter(|e| e.user == *user).max_by_key(|e| e.valid_until).cloned();
            let last = last.with_context(|| format!("{user} is not on the roster"))?;
            ensure!(last.revoked.is_none(), "{user} was revoked; add them again with --person and another key");
            self.entries.push(RosterEntry { valid_from: self.now, valid_until: until, ..last });
        }
        Ok(())
    }

    /// Revokes every entry of a person: a key that was stolen signs for the past as well. A revocation never moves later.
    fn revoke(&mut self, user: &UserId, revocation: Revocation) -> anyhow::Result<()> {
        let mut found = false;
        for entry in self.entries.iter_mut().filter(|e| e.user == *user) {
            found = true;
            let held = entry.revoked.unwrap_or(revocation);
            let (at, log_size) = (held.at.min(revocation.at), held.log_size.min(revocation.log_size));
            entry.revoked = Some(Revocation { at, log_size });
        }
        ensure!(found, "{user} is not on the roster");
        Ok(())
    }
}

/// Makes the next roster.
pub(super) async fn make(out: &Output, session: &Path, options: Options) -> anyhow::Result<()> {
    let before = match &options.from {
        Some(file) => {
            let document = Trusted::read_roster(file)?.decode_unverified()?;
            Some(Before { document, source: file.display().to_string() })
        }
        None => None,
    };
    let version = match (&before, options.version) {
        (Some(before), _) => before.document.version.checked_add(1).context("there is no version after this one")?,
        (None, Some(version)) => version,
        (None, None) => bail!("name the roster before with --previous"),
    };
    if before.is_none() && version != 1 {
        ensure!(
            options.force,
            "roster {version} follows another one: name that with --previous, so that its entries stay and what was approved \
             under them still counts"
        );
    }
    let now = now();
    let edits = options.edits(session).await?;
    let roster = edits.apply(before.as_ref().map(|b| &b.document), version, now)?;
    ensure!(!roster.entries.is_empty(), "a roster without people lets nobody sign");
    let altered: Vec<String> = before
        .iter()
        .flat_map(|b| roster.alterations_since(&b.document, now))
        .map(|change| escape(&change.what))
        .collect();
    if !altered.is_empty() || (before.is_none() && version != 1) {
        let named =
            if altered.is_empty() { "every entry of the rosters before".to_owned() } else { altered.join("; ") };
        ensure!(
            options.force,
            "this roster drops or narrows entries of the past ({named}); nothing was made, --force makes it all the same"
        );
        let list: Vec<String> = named.split("; ").flat_map(|what| marked("-", what, describe::width())).collect();
        let question = format!(
            "this roster drops or narrows entries of the past:\n{}\nApprovals that stand on them will no longer count, and \
             their deployments pause.",
            list.join("\n")
        );
        confirm::ask_word(&question, "alter the past")?;
    }
    let shown = weighed(&roster, mdfm_shared::sign::Signed::sign(&roster, &[])?.digest(), before.as_ref());
    let signed = files::create(&roster, &shown, &options.sign, &options.confirmation, &options.out)?;
    let is_ending =
        |e: &&RosterEntry| e.revoked.is_none() && e.valid_until > now && e.valid_until.since_ms(now) < ENDS_SOON_MS;
    let ending: Vec<String> = roster
        .entries
        .iter()
        .filter(is_ending)
        .map(|e| format!("{} may sign for {} more: --extend {}", e.user, span(e.valid_until.since_ms(now)), e.user))
        .collect();
    let file = options.out.display().to_string();
    let view = json!({
        "version": version, "digest": signed.digest(), "entries": roster.entries.len(), "signatures": signed.signatures().len(),
        "expiresAt": roster.expires_at().map(|t| t.to_string()), "altered": altered, "ending": ending,
        "shown": serde_json::to_value(&shown)?,
    });
    out.answer(&view, || {
        let mut lines = Vec::new();
        if options.sign.is_empty() {
            lines.push(shown.text());
            lines.push(String::new());
            lines.push(format!("not signed yet; the registrar signs: mdfmctl trust sign {file} --key KEY"));
        } else {
            lines.push(format!("roster {version} with digest {} in {file}", signed.digest()));
        }
        lines.extend(ending.iter().flat_map(|text| marked("NOTE:", text, describe::width())));
        let reason = options.reason.as_ref().map(|r| format!(" --reason '{}'", r.replace('\'', "'\\''")));
        lines.push(format!("then: mdfmctl trust publish {file}{}", reason.unwrap_or_default()));
        lines.join("\n")
    });
    Ok(())
}

#[cfg(test)]
mod tests;
