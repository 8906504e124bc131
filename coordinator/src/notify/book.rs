//! What is told, on disk: inboxes, deliveries in the order of their time, what was given up, and how far the log was read. One batch of the
//! store takes a reading whole or not at all.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use mdfm_shared::id::UserId;
use mdfm_shared::time::UtcMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Delivery, Following, Receiver, Told};
use crate::store::open_or_anew;

/// Notices kept in one inbox; the oldest go, and stay in the audit log.
pub(crate) const INBOX_MAX: usize = 500;
/// Given-up deliveries that are kept.
const DEAD_MAX: usize = 10_000;
/// Deliveries that are looked at for those that failed.
const WAITING_LOOKED_AT_MAX: usize = 10_000;
const CURSOR: &[u8] = b"cursor";

/// The store; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    db: sled::Db,
}

fn inbox_prefix(user: &UserId) -> String {
    format!("inbox/{user}/")
}
fn queue_key(due_at: UtcMillis, id: &str) -> String {
    format!("queue/{:020}/{id}", due_at.0)
}
fn dead_key(id: &str) -> String {
    format!("dead/{id}")
}
fn bytes(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

impl Book {
    /// Opens the store; a new one begins at `log_size`: what was before is told to nobody. One that is damaged is put aside: what waited in it
    /// stands in the log, and the coordinator has more to do than to tell.
    pub(crate) fn open(dir: &Path, log_size: u64) -> io::Result<Self> {
        let book = Self { db: open_or_anew(dir)? };
        // A log that is shorter than what was read is another one, restored from a backup.
        if book.db.get(CURSOR)?.is_none() || book.cursor()? > log_size {
            book.db.insert(CURSOR, &log_size.to_be_bytes())?;
            book.db.flush()?;
        }
        Ok(book)
    }

    /// The first entry of the log that was not read.
    pub(super) fn cursor(&self) -> io::Result<u64> {
        let bytes = self.db.get(CURSOR)?.and_then(|b| <[u8; 8]>::try_from(&b[..]).ok());
        bytes.map(u64::from_be_bytes).ok_or_else(|| io::Error::other("the notices do not say how far they were read"))
    }

    fn rows<T: DeserializeOwned>(&self, prefix: &str) -> impl Iterator<Item = io::Result<(String, T)>> {
        let skipped = prefix.len();
        self.db.scan_prefix(prefix).map(move |row| {
            let (key, value) = row?;
            let name = key.get(skipped..).unwrap_or_default();
            Ok((String::from_utf8_lossy(name).into_owned(), serde_json::from_slice(&value)?))
        })
    }

    /// Takes what follows from the log up to `cursor`; durable when this returns.
    pub(super) fn take(&self, cursor: u64, following: Following) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        batch.insert(CURSOR, &cursor.to_be_bytes());
        let mut added: BTreeMap<String, usize> = BTreeMap::new();
        for (user, id, told) in following.inbox {
            let prefix = inbox_prefix(&user);
            batch.insert(format!("{prefix}{id}").as_bytes(), bytes(&told)?);
            *added.entry(prefix).or_default() += 1;
        }
        for (prefix, added) in added {
            let held = self.db.scan_prefix(&prefix).keys().count();
            for key in self.db.scan_prefix(&prefix).keys().take((held + added).saturating_sub(INBOX_MAX)) {
                batch.remove(key?);
            }
        }
        for (id, delivery) in following.deliveries {
            batch.insert(queue_key(delivery.due_at, &id).as_bytes(), bytes(&delivery)?);
        }
        self.commit(batch)
    }

    fn commit(&self, batch: sled::Batch) -> io::Result<()> {
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        Ok(())
    }

    /// Deliveries that are due and that `takes` takes, the oldest first.
    pub(super) fn due(
        &self,
        now: UtcMillis,
        mut takes: impl FnMut(&str, &Delivery) -> bool,
    ) -> io::Result<Vec<(String, Delivery)>> {
        let mut due = Vec::new();
        for row in self.rows::<Delivery>("queue/") {
            let (key, delivery) = row?;
            // They lie in the order of their time.
            if delivery.due_at > now {
                break;
            }
            let id = key.split_once('/').map(|(_, id)| id.to_owned()).unwrap_or_default();
            if takes(&id, &delivery) {
                due.push((id, delivery));
            }
        }
        Ok(due)
    }

    /// Webhooks for which a delivery waits that has failed, and why it failed last.
    pub(crate) fn failing(&self) -> io::Result<BTreeMap<String, String>> {
        let mut failing = BTreeMap::new();
        for row in self.rows::<Delivery>("queue/").take(WAITING_LOOKED_AT_MAX) {
            let (_, delivery) = row?;
            if let Receiver::Webhook(webhook) = delivery.receiver
                && !delivery.last_error.is_empty()
            {
                failing.insert(webhook, delivery.last_error);
            }
        }
        Ok(failing)
    }

    /// It was delivered.
    pub(super) fn delivered(&self, id: &str, due_at: UtcMillis) -> io::Result<()> {
        self.db.remove(queue_key(due_at, id))?;
        self.db.flush()?;
        Ok(())
    }

    /// It is tried again later.
    pub(super) fn postpone(&self, id: &str, before: UtcMillis, delivery: &Delivery) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        batch.remove(queue_key(before, id).as_bytes());
        batch.insert(queue_key(delivery.due_at, id).as_bytes(), bytes(delivery)?);
        self.commit(batch)
    }

    /// It is tried no more.
    pub(super) fn give_up(&self, id: &str, before: UtcMillis, delivery: &Delivery) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        batch.remove(queue_key(before, id).as_bytes());
        batch.insert(dead_key(id).as_bytes(), bytes(delivery)?);
        let held = self.db.scan_prefix("dead/").keys().count();
        for key in self.db.scan_prefix("dead/").keys().take((held + 1).saturating_sub(DEAD_MAX)) {
            batch.remove(key?);
        }
        self.commit(batch)
    }

    /// What was given up, by id.
    pub(crate) fn dead_letters(&self) -> io::Result<BTreeMap<String, Delivery>> {
        self.rows("dead/").collect()
    }

    /// Tries again what was given up; whether there was such a delivery.
    pub(crate) fn retry(&self, id: &str, now: UtcMillis) -> io::Result<bool> {
        let Some(held) = self.db.get(dead_key(id))? else { return Ok(false) };
        let delivery = Delivery { attempts: 0, due_at: now, ..serde_json::from_slice(&held)? };
        let mut batch = sled::Batch::default();
        batch.remove(dead_key(id).as_bytes());
        batch.insert(queue_key(now, id).as_bytes(), bytes(&delivery)?);
        self.commit(batch)?;
        Ok(true)
    }

    /// Somebody's notices, by id.
    pub(crate) fn inbox(&self, user: &UserId) -> io::Result<BTreeMap<String, Told>> {
        self.rows(&inbox_prefix(user)).collect()
    }

    /// Somebody has read some of their notices; ids that are none of theirs are passed over.
    pub(crate) fn mark_read(&self, user: &UserId, ids: &[String]) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        for id in ids {
            let key = format!("{}{id}", inbox_prefix(user));
            if let Some(held) = self.db.get(&key)? {
                let told = Told { read: true, ..serde_json::from_slice(&held)? };
                batch.insert(key.as_bytes(), bytes(&told)?);
            }
        }
        self.commit(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdfm_coordinator_core::notice::NoticeKind;

    fn told(n: u64) -> Told {
        Told {
            kind: NoticeKind::DeploymentPaused,
            at: UtcMillis(n),
            object: "deployment/D-1".into(),
            subject: format!("{n}"),
            detail: String::new(),
            hospitals: Vec::new(),
            log_index: n,
            read: false,
        }
    }

    #[test]
    fn a_delivery_is_due_once_and_ends_delivered_or_given_up() {
        let dir = std::env::temp_dir().join(format!("mdfm-notices-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let book = Book::open(&dir, 7).expect("opens");
        assert_eq!(book.cursor().expect("reads"), 7, "what was before is told to nobody");
        let user: UserId = "zoe".parse().expect("an id");
        let receiver = Receiver::Mail(user.clone());
        let delivery = |n| Delivery {
            receiver: receiver.clone(),
            told: told(n),
            attempts: 0,
            due_at: UtcMillis(n),
            last_error: String::new(),
        };
        let inbox = (0..600).map(|n| (user.clone(), format!("{n:020}-0"), told(n))).collect();
        let deliveries = vec![("a".to_owned(), delivery(10)), ("b".to_owned(), delivery(20))];
        book.take(600, Following { inbox, deliveries }).expect("takes");
        book.take(
            601,
            Following { inbox: vec![(user.clone(), format!("{:020}-0", 600), told(600))], deliveries: vec![] },
        )
        .expect("takes");
        let due = |now| book.due(UtcMillis(now), |_, _| true).expect("reads");
        let ids = |now| due(now).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!((ids(9), ids(10), ids(99)), (vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]));
        book.delivered("a", UtcMillis(10)).expect("writes");
        let late = Delivery { attempts: 1, due_at: UtcMillis(500), ..delivery(20) };
        book.postpone("b", UtcMillis(20), &late).expect("writes");
        assert!(ids(499).is_empty());
        let hook = Receiver::Webhook("siem".into());
        let failed = Delivery { receiver: hook, last_error: "cannot be reached".into(), ..late.clone() };
        let deliveries = vec![("c".to_owned(), failed.clone())];
        book.take(601, Following { inbox: vec![], deliveries }).expect("takes");
        assert_eq!(book.failing().expect("reads"), [("siem".to_owned(), "cannot be reached".to_owned())].into());
        book.delivered("c", failed.due_at).expect("writes");
        assert!(book.failing().expect("reads").is_empty());
        book.give_up("b", UtcMillis(500), &late).expect("writes");
        assert!(ids(9_999).is_empty());
        drop(book);
        let book = Book::open(&dir, 700).expect("opens again");
        assert_eq!(book.cursor().expect("reads"), 601);
        assert_eq!(book.dead_letters().expect("reads").keys().collect::<Vec<_>>(), ["b"]);
        assert!(book.retry("b", UtcMillis(900)).expect("writes"));
        assert!(!book.retry("b", UtcMillis(900)).expect("writes"));
        assert_eq!(book.due(UtcMillis(900), |id, _| id == "b").expect("reads")[0].1.attempts, 0);
        let inbox = book.inbox(&user).expect("reads");
        assert!((INBOX_MAX..=601).contains(&inbox.len()));
        let last = format!("{:020}-0", 600);
        book.mark_read(&user, &[last.clone(), "nonsense".into()]).expect("writes");
        assert!(book.inbox(&user).expect("reads")[&last].read);
        drop(book);
        assert_eq!(Book::open(&dir, 5).expect("opens").cursor().expect("reads"), 5, "a shorter log is another one");
        std::fs::remove_dir_all(&dir).expect("removes");
    }
}
