//! Tells people and programs what the audit log says that they should hear: an inbox for everybody, mail, webhooks. The log is read in order and
//! the place is kept together with what follows from it, so that a crash loses no notice; one may be sent twice, under the same id.

mod book;
mod mail;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mdfm_audit::LogError;
use mdfm_shared::id::UserId;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::text::without_library_words;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

pub(crate) use book::{Book, INBOX_MAX};
pub(crate) use mail::MailConfig;
pub(crate) use webhook::new_secret as new_webhook_secret;

use crate::clock;
use crate::config::Config;
use crate::outward::Outward;
use crate::runner::Runner;
use crate::store::CredentialStore;
use mail::Mailer;
use mdfm_coordinator_core::State;
use mdfm_coordinator_core::expiry::ExpiryKind;
use mdfm_coordinator_core::notice::{self, Notice, NoticeKind, Quiet, Webhook};
use webhook::Caller;

/// Time between looks at the log, and at what is due.
const INTERVAL: Duration = Duration::from_millis(200);
/// Records read at once.
const RECORDS_AT_ONCE: u64 = 2_000;
/// Deliveries tried at once, in all and to one receiver; the mail server is one.
const DELIVERIES_AT_ONCE: usize = 64;
const DELIVERIES_TO_ONE: usize = 4;
/// What a record of telemetry has in it; there are many, and they give nothing to tell.
const TELEMETRY: &[u8] = b"\"action\":\"telemetry.commit\"";

/// Bytes of a record in which its action stands.
const HEAD_BYTES: usize = 1_024;

fn is_telemetry(entry: &[u8]) -> bool {
    entry[..entry.len().min(HEAD_BYTES)].windows(TELEMETRY.len()).any(|w| w == TELEMETRY)
}

/// A notice as somebody gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) kind: NoticeKind,
    pub(crate) at: UtcMillis,
    pub(crate) object: String,
    pub(crate) subject: String,
    pub(crate) detail: String,
    pub(crate) hospitals: Vec<String>,
    pub(crate) log_index: u64,
    pub(crate) read: bool,
}

/// Who gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Receiver {
    Mail(UserId),
    Webhook(String),
}

/// A notice on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) receiver: Receiver,
    pub(crate) told: Told,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// When it is tried next; of one that was given up, when that was.
    pub(crate) due_at: UtcMillis,
    pub(crate) last_error: String,
}

impl Delivery {
    /// The channel, and who gets it there.
    pub(crate) fn receiver(&self) -> (&'static str, &str) {
        match &self.receiver {
            Receiver::Mail(user) => ("mail", user.as_str()),
            Receiver::Webhook(webhook) => ("webhook", webhook),
        }
    }
}

/// What one record gives: inbox entries and deliveries, each with an id that is the same when it is computed again.
#[derive(Debug, Default)]
pub(crate) struct Following {
    pub(crate) inbox: Vec<(UserId, String, Told)>,
    pub(crate) deliveries: Vec<(String, Delivery)>,
}

/// Computes what follows from a record.
fn following(state: &State, quiet: &mut Quiet, index: u64, record: &AuditRecord, has_mail: bool) -> Following {
    let mut following = Following::default();
    for (n, notice) in notice::of(state, record).into_iter().enumerate() {
        if !quiet.admits(&notice) {
            continue;
        }
        let id = format!("{index:020}-{n}");
        let told = |detail: &str| Told {
            kind: notice.kind,
            at: notice.at,
            object: notice.object.clone(),
            subject: notice.subject.clone(),
            detail: detail.to_owned(),
            hospitals: notice.hospitals.iter().map(ToString::to_string).collect(),
            log_index: index,
            read: false,
        };
        let delivery =
            |receiver, told| Delivery { receiver, told, attempts: 0, due_at: notice.at, last_error: String::new() };
        for (user, by_mail) in notice::recipients(state, &notice) {
            let account = state.users.get(&user);
            let told = told(detail_for(state, &notice, &user));
            if by_mail && has_mail && account.is_some_and(|a| a.email.is_some()) {
                let delivery = delivery(Receiver::Mail(user.clone()), told.clone());
                following.deliveries.push((format!("{id}-mail-{user}"), delivery));
            }
            following.inbox.push((user, id.clone(), told));
        }
        for (webhook, hook) in notice::webhooks(state, &notice) {
            let told = scoped(told(&notice.detail), &notice, hook);
            let delivery = delivery(Receiver::Webhook(webhook.clone()), told);
            following.deliveries.push((format!("{id}-webhook-{webhook}"), delivery));
        }
    }
    following
}

/// A webhook for some hospitals learns nothing of others: neither which they are, nor a reason that may name their devices.
fn scoped(told: Told, notice: &Notice, hook: &Webhook) -> Told {
    if hook.hospitals.is_empty() || notice.hospitals.iter().all(|h| hook.hospitals.contains(h)) {
        return told;
    }
    let own = notice.hospitals.iter().filter(|h| hook.hospitals.contains(h)).map(ToString::to_string).collect();
    Told { detail: String::new(), hospitals: own, ..told }
}

/// A reason may name other hospitals: their staff read the subject alone.
fn detail_for<'a>(state: &State, notice: &'a Notice, user: &UserId) -> &'a str {
    if state.users.get(user).is_some_and(|u| u.hospital.is_some()) { "" } else { &notice.detail }
}

/// When an attempt that failed is made again; none when it is given up.
fn next_attempt(schedule_s: &[u64], attempts: u32, now: UtcMillis) -> Option<UtcMillis> {
    let wait = schedule_s.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
    Some(now.plus_ms(wait.saturating_mul(1_000)))
}

/// Who is being told now: deliveries under way with their receivers.
#[derive(Debug, Default)]
struct Places(BTreeMap<String, String>);

impl Places {
    /// Takes a place for a delivery; false if there is none, or it has one.
    fn take(&mut self, id: &str, delivery: &Delivery) -> bool {
        let to = match &delivery.receiver {
            Receiver::Mail(_) => "mail".to_owned(),
            Receiver::Webhook(webhook) => format!("webhook/{webhook}"),
        };
        let own = self.0.values().filter(|held| **held == to).count();
        if self.0.contains_key(id) || own >= DELIVERIES_TO_ONE || self.0.len() >= DELIVERIES_AT_ONCE {
            return false;
        }
        self.0.insert(id.to_owned(), to);
        true
    }

    fn leave(&mut self, id: &str) {
        self.0.remove(id);
    }
}

/// The parts that deliver.
struct Office {
    runner: Runner,
    book: Book,
    mailer: Option<Mailer>,
    caller: Caller,
    credentials: CredentialStore,
    schedule_s: Vec<u64>,
    quiet: Mutex<Quiet>,
}

/// Starts telling; gives the book, from which inboxes are read.
pub(crate) fn start(runner: Runner, config: &Config, credentials: CredentialStore) -> anyhow::Result<Book> {
    let book = Book::open(&config.data_dir.join("notices"), runner.log.size()).context("opening the notices")?;
    let mailer = config.mail.as_ref().map(|mail| Mailer::new(mail, &config.public_url)).transpose()?;
    let caller = Caller::new(config.webhook_ca_file.as_deref(), Outward::new(&config.webhook_networks))?;
    if let Some(mailer) = &mailer {
        runner.presence().calls(ExpiryKind::MailCertificate, mailer.server());
    }
    let schedule_s = config.notice_retry_seconds.clone();
    let office = Arc::new(Office {
        runner,
        book: book.clone(),
        mailer,
        caller,
        credentials,
        schedule_s,
        quiet: Mutex::default(),
    });
    let reader = Arc::clone(&office);
    tokio::spawn(async move {
        loop {
            let reader = Arc::clone(&reader);
            match tokio::task::spawn_blocking(move || reader.read()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "notices cannot be read off the log"),
                Err(error) => tracing::error!(%error, "reading notices ended"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    // Apart from reading: inboxes do not wait for a receiver that does not answer.
    tokio::spawn(async move {
        loop {
            if let Err(error) = office.deliver().await {
                tracing::error!(error = format!("{error:#}"), "notices cannot be delivered");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    Ok(book)
}

impl Office {
    /// Reads on in the log, as far as it goes.
    fn read(&self) -> anyhow::Result<()> {
        loop {
            let (from, size) = (self.book.cursor()?, self.runner.log.size());
            let to = size.min(from + RECORDS_AT_ONCE);
            if from >= to {
                return Ok(());
            }
            let mut all = Following::default();
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.runner.log.each(from, to, |index, entry| -> Result<(), LogError> {
                let entry = entry.filter(|e| !is_telemetry(e));
                if let Some(record) = entry.and_then(|e| AuditRecord::from_bytes(e).ok()) {
                    let more = following(&self.runner.state(), &mut quiet, index, &record, self.mailer.is_some());
                    all.inbox.extend(more.inbox);
                    all.deliveries.extend(more.deliveries);
                }
                Ok(())
            })?;
            self.book.take(to, all)?;
            // Not before: what could not be kept is read, and told, again.
            *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = quiet;
        }
    }

    /// Runs the delivery loop. Concurrency is limited per receiver: one that hangs, with any number of notices waiting, cannot block others.
    async fn deliver(&self) -> anyhow::Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut places = Places::default();
        loop {
            for (id, delivery) in self.book.due(clock::now(), |id, delivery| places.take(id, delivery))? {
                under_way.push(async move {
                    let done = self.attempt(&id, &delivery).await;
                    (id, delivery, done)
                });
            }
            tokio::select! {
                Some((id, delivery, done)) = under_way.next() => {
                    places.leave(&id);
                    self.settle(&id, delivery, done)?;
                }
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// What becomes of a delivery that was tried.
    fn settle(&self, id: &str, mut delivery: Delivery, done: anyhow::Result<()>) -> anyhow::Result<()> {
        let before = delivery.due_at;
        let Err(error) = done else {
            self.book.delivered(id, before)?;
            return Ok(());
        };
        delivery.attempts += 1;
        delivery.last_error = without_library_words(&format!("{error:#}")).into_owned();
        let (channel, to) = delivery.receiver();
        let now = clock::now();
        match next_attempt(&self.schedule_s, delivery.attempts, now) {
            Some(next) => {
                tracing::warn!(channel, to, error = delivery.last_error, %next, "a notice was not delivered");
                delivery.due_at = next;
                self.book.postpone(id, before, &delivery)?;
            }
            None => {
                tracing::error!(channel, to, error = delivery.last_error, "a notice is given up");
                delivery.due_at = now;
                self.book.give_up(id, before, &delivery)?;
            }
        }
        Ok(())
    }

    async fn attempt(&self, id: &str, delivery: &Delivery) -> anyhow::Result<()> {
        match &delivery.receiver {
            Receiver::Mail(user) => {
                let to = self
                    .runner
                    .state()
                    .users
                    .get(user)
                    .filter(|u| !u.disabled)
                    .map(|u| (u.printed_name.clone(), u.email.clone()));
                // Whoever has left, or wants no mail any more, gets none.
                let Some((name, Some(email))) = to else { return Ok(()) };
                let mailer = self.mailer.as_ref().context("no mail server is configured any more")?;
                let shown =
                    |der: &[u8]| self.runner.note_certificate(ExpiryKind::MailCertificate, mailer.server(), der);
                mailer.send(id, &name, &email, &delivery.told, shown).await
            }
            Receiver::Webhook(webhook) => {
                let Some(hook) = self.runner.state().webhooks.get(webhook).cloned() else { return Ok(()) };
                let secret = self.credentials.read(hook.secret).context("the webhook's secret cannot be read")?;
                let shown = |der: &[u8]| self.runner.note_certificate(ExpiryKind::WebhookCertificate, webhook, der);
                self.caller.call(&hook.url, &secret, id, &delivery.told, clock::now(), shown).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_19_a_webhook_for_a_hospital_learns_of_no_other() {
        let hospital = |name: &str| name.parse().expect("a good id");
        let (at, detail) = (UtcMillis(1), "critical error on DEV-2".to_owned());
        let notice = |hospitals: &[&str]| Notice {
            kind: NoticeKind::DeploymentPaused,
            at,
            object: "deployment/D-1".into(),
            subject: "deployment D-1 is paused".into(),
            detail: detail.clone(),
            hospitals: hospitals.iter().map(|h| hospital(h)).collect(),
            person: None,
            wait: None,
        };
        let hook = |hospitals: &[&str]| Webhook {
            url: "https://x".into(),
            kinds: vec![],
            hospitals: hospitals.iter().map(|h| hospital(h)).collect(),
            secret: mdfm_shared::digest::Digest([1; 32]),
        };
        let sent = |notice: &Notice, hook: &Webhook| {
            let hospitals = notice.hospitals.iter().map(ToString::to_string).collect();
            let (kind, object, subject) = (notice.kind, notice.object.clone(), notice.subject.clone());
            let told =
                Told { kind, at, object, subject, detail: notice.detail.clone(), hospitals, log_index: 1, read: false };
            let Told { detail, hospitals, .. } = scoped(told, notice, hook);
            (detail, hospitals)
        };
        let both = notice(&["H-1", "H-2"]);
        assert_eq!(sent(&both, &hook(&["H-1"])), (String::new(), vec!["H-1".to_owned()]));
        assert_eq!(sent(&both, &hook(&[])), (detail.clone(), vec!["H-1".to_owned(), "H-2".to_owned()]));
        assert_eq!(sent(&notice(&["H-1"]), &hook(&["H-1"])), (detail.clone(), vec!["H-1".to_owned()]));
    }

    #[test]
    fn a_receiver_that_hangs_takes_its_own_places_alone() {
        let delivery = |receiver| Delivery {
            receiver,
            told: Told {
                kind: NoticeKind::DeploymentPaused,
                at: UtcMillis(0),
                object: String::new(),
                subject: String::new(),
                detail: String::new(),
                hospitals: Vec::new(),
                log_index: 0,
                read: false,
            },
            attempts: 0,
            due_at: UtcMillis(0),
            last_error: String::new(),
        };
        let hook = |name: &str| delivery(Receiver::Webhook(name.into()));
        let mail = |name: &str| delivery(Receiver::Mail(name.parse().expect("an id")));
        let mut places = Places::default();
        let taken = (0..100).filter(|n| places.take(&format!("slow-{n}"), &hook("slow"))).count();
        assert_eq!(taken, DELIVERIES_TO_ONE);
        assert!(!places.take("slow-0", &hook("slow")), "it is under way");
        let mails = (0..100).filter(|n| places.take(&format!("mail-{n}"), &mail(&format!("user-{n}")))).count();
        assert_eq!(mails, DELIVERIES_TO_ONE, "one server");
        let others = (0..100).filter(|n| places.take(&format!("other-{n}"), &hook(&format!("hook-{n}")))).count();
        assert_eq!(others, DELIVERIES_AT_ONCE - 2 * DELIVERIES_TO_ONE);
        places.leave("slow-1");
        assert!(places.take("slow-99", &hook("slow")));
    }

    #[test]
    fn attempts_follow_the_schedule_and_end() {
        let at = |attempts| next_attempt(&[5, 60], attempts, UtcMillis(1_000)).map(|t| t.0);
        assert_eq!((at(1), at(2), at(3), at(0)), (Some(6_000), Some(61_000), None, None));
    }
}
