//! Requests that came with a key of their caller's and were carried out: known from the log, so that none is done twice although the
//! coordinator died between doing it and answering.

use std::collections::{BTreeMap, VecDeque};

use mdfm_shared::digest::Digest;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

/// For how long a key is remembered.
pub const KEPT_MS: u64 = 86_400_000;
/// Keys remembered; the oldest go first.
const KEYS_MAX: usize = 20_000;

/// What became of a request, as its first record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Mark of method, path and body without its secrets.
    pub content: Digest,
    pub at: UtcMillis,
    pub action: String,
    pub object: String,
}

/// The requests of the last day that came with a key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct DoneRequests {
    by_key: BTreeMap<Digest, Done>,
    /// Keys in the order in which they came.
    order: VecDeque<Digest>,
}

impl DoneRequests {
    /// Notes the request behind a record that gateways get without it: it stands in the context behind it.
    pub(super) fn note_context(&mut self, context: &AuditRecord) {
        self.note(&AuditRecord { action: context.about().to_owned(), ..context.clone() });
    }

    /// Notes the request behind an accepted record; of several records the first counts.
    pub fn note(&mut self, record: &AuditRecord) {
        let mark = record.request.as_ref();
        let Some((key, content)) = mark.and_then(|mark| mark.key.zip(mark.content)) else { return };
        let at = UtcMillis(record.at_ms);
        self.forget(at);
        if self.by_key.contains_key(&key) {
            return;
        }
        if self.order.len() >= KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        self.order.push_back(key);
        self.by_key.insert(key, Done { content, at, action: record.action.clone(), object: record.object.clone() });
    }

    /// Forgets those of more than a day ago.
    pub(super) fn forget(&mut self, now: UtcMillis) {
        while let Some(key) = self.order.front() {
            if self.by_key.get(key).is_some_and(|done| now.since_ms(done.at) < KEPT_MS) {
                return;
            }
            self.by_key.remove(key);
            self.order.pop_front();
        }
    }

    /// What was done under a key within the last day.
    pub fn find(&self, key: &Digest, now: UtcMillis) -> Option<&Done> {
        self.by_key.get(key).filter(|done| now.since_ms(done.at) < KEPT_MS)
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::record::{Actor, ActorKind, Outcome, RequestMark};

    use super::*;

    fn record(key: u64, at: u64, action: &str) -> AuditRecord {
        let actor = Actor { kind: ActorKind::User, id: "user-a".into(), roles: vec![] };
        let mark = RequestMark {
            key: Some(Digest::of(&key.to_le_bytes())),
            content: Some(Digest::of(b"POST /x {}")),
            ..RequestMark::default()
        };
        let record = AuditRecord::new(UtcMillis(at), &actor, action, "hospital/H-1", Outcome::Accepted);
        AuditRecord { request: Some(mark), ..record }
    }

    #[test]
    fn a_key_is_known_for_a_day_by_its_first_record_and_no_more_than_so_many_are() {
        let mut done = DoneRequests::default();
        let key = |n: u64| Digest::of(&n.to_le_bytes());
        done.note(&record(1, 1_000, "hospital.register"));
        done.note(&record(1, 1_001, "another.record"));
        assert_eq!(done.find(&key(1), UtcMillis(2_000)).map(|d| d.action.as_str()), Some("hospital.register"));
        assert_eq!(done.find(&key(1), UtcMillis(1_000 + KEPT_MS)), None);
        done.note(&record(1, 1_000 + KEPT_MS, "hospital.change"));
        let now = UtcMillis(1_000 + KEPT_MS);
        assert_eq!(done.find(&key(1), now).map(|d| d.action.as_str()), Some("hospital.change"), "a new day");
        for n in 2..=KEYS_MAX as u64 + 1 {
            done.note(&record(n, now.0, "x"));
        }
        assert_eq!((done.find(&key(1), now), done.by_key.len(), done.order.len()), (None, KEYS_MAX, KEYS_MAX));
        done.forget(now.plus_ms(KEPT_MS));
        assert!(done.by_key.is_empty() && done.order.is_empty());
    }
}
