//! What one gateway has asked for, and what everybody may ask for, pure.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::wire::Topic;

/// Releases, or trust roots, that one gateway asks for one by one.
const ONE_BY_ONE_MAX: usize = 1_024;
/// Documents for everybody that are kept: trust roots, the roster, the checkpoint, releases.
const KEPT_MAX: usize = 16_384;

/// What a gateway has asked for; only topics that it may read get here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Subscriptions {
    directive: bool,
    ack: bool,
    checkpoint: bool,
    roster: bool,
    withdrawals: bool,
    rollback_orders: bool,
    chain: bool,
    question: bool,
    every_root: bool,
    every_release: bool,
    roots: BTreeSet<u64>,
    releases: BTreeSet<String>,
}

impl Subscriptions {
    /// Adds a filter, or takes it away. Gives false for one that is not ours or that has no room.
    pub(super) fn set(&mut self, filter: &str, wanted: bool) -> bool {
        let put = |flag: &mut bool| {
            *flag = wanted;
            true
        };
        if filter == Topic::root_filter() {
            return put(&mut self.every_root);
        }
        if filter == Topic::release_filter() {
            return put(&mut self.every_release);
        }
        match Topic::parse(filter) {
            Some(Topic::Directive(_)) => put(&mut self.directive),
            Some(Topic::Ack(_)) => put(&mut self.ack),
            Some(Topic::Checkpoint) => put(&mut self.checkpoint),
            Some(Topic::Roster) => put(&mut self.roster),
            Some(Topic::Withdrawals) => put(&mut self.withdrawals),
            Some(Topic::RollbackOrders(_)) => put(&mut self.rollback_orders),
            Some(Topic::Chain(_)) => put(&mut self.chain),
            Some(Topic::Question(_)) => put(&mut self.question),
            Some(Topic::TrustRoot(n)) => put_one(&mut self.roots, n, wanted),
            Some(Topic::Release(_)) => put_one(&mut self.releases, filter.to_owned(), wanted),
            Some(Topic::Telemetry(_) | Topic::Heartbeat(_) | Topic::Presence(_)) | None => false,
        }
    }

    /// Whether a message on this topic is wanted. Of topics of one gateway the caller gives only that gateway's.
    pub(super) fn want(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Directive(_) => self.directive,
            Topic::Ack(_) => self.ack,
            Topic::Checkpoint => self.checkpoint,
            Topic::Roster => self.roster,
            Topic::Withdrawals => self.withdrawals,
            Topic::RollbackOrders(_) => self.rollback_orders,
            Topic::Chain(_) => self.chain,
            Topic::Question(_) => self.question,
            Topic::TrustRoot(n) => self.every_root || self.roots.contains(n),
            Topic::Release(_) => self.every_release || self.releases.contains(&topic.to_string()),
            Topic::Telemetry(_) | Topic::Heartbeat(_) | Topic::Presence(_) => false,
        }
    }
}

/// Adds to a bounded set, or takes away. Gives false when there is no room.
fn put_one<T: Ord>(set: &mut BTreeSet<T>, item: T, wanted: bool) -> bool {
    if !wanted {
        set.remove(&item);
        return true;
    }
    let has_room = set.len() < ONE_BY_ONE_MAX || set.contains(&item);
    if has_room {
        set.insert(item);
    }
    has_room
}

/// The newest document on each topic for everybody, for those who ask later.
#[derive(Debug, Default)]
pub(super) struct Board<P>(BTreeMap<String, (Topic, P)>);

impl<P: Clone> Board<P> {
    /// Keeps the document in place of an older one on its topic.
    pub(super) fn keep(&mut self, topic: &Topic, document: P) {
        let name = topic.to_string();
        if self.0.len() < KEPT_MAX || self.0.contains_key(&name) {
            self.0.insert(name, (topic.clone(), document));
        }
    }

    /// The documents on topics that `filter` alone would bring, with their topics.
    pub(super) fn matching(&self, filter: &str) -> Vec<(Topic, P)> {
        let mut wanted = Subscriptions::default();
        wanted.set(filter, true);
        // A whole name needs no search.
        if let Some((topic, document)) = self.0.get(filter) {
            return if wanted.want(topic) { vec![(topic.clone(), document.clone())] } else { vec![] };
        }
        if !filter.ends_with('+') {
            return vec![];
        }
        self.0.values().filter(|(topic, _)| wanted.want(topic)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::digest::Digest;
    use mdfm_shared::id::GatewayId;

    use super::*;

    #[test]
    fn a_gateway_gets_what_it_asked_for_and_no_more() {
        let gateway: GatewayId = "GW-1".parse().expect("a good id");
        let topics = [
            Topic::Directive(gateway.clone()),
            Topic::Ack(gateway.clone()),
            Topic::TrustRoot(3),
            Topic::Roster,
            Topic::Release(Digest([5; 32])),
            Topic::Checkpoint,
            Topic::Withdrawals,
            Topic::RollbackOrders(gateway.clone()),
            Topic::Chain(gateway.clone()),
        ];
        let wants = |s: &Subscriptions| topics.iter().map(|t| s.want(t)).collect::<Vec<_>>();
        let mut held = Subscriptions::default();
        assert_eq!(wants(&held), [false; 9]);
        for filter in Topic::agent_filters(&gateway) {
            assert!(held.set(&filter, true), "{filter}");
        }
        assert_eq!(wants(&held), [true, true, true, true, false, true, true, true, true]);
        let release = topics[4].to_string();
        assert!(held.set(&release, true) && held.want(&topics[4]));
        assert!(held.set(&release, false) && !held.want(&topics[4]));
        for filter in ["#", "mdfm/v1/g/+/ack", "mdfm/v1/g/GW-1/telemetry", ""] {
            assert!(!held.set(filter, true), "{filter}");
        }
        let full = (0..3_000_u64).filter(|n| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            held.set(&Topic::Release(Digest(digest)).to_string(), true)
        });
        assert_eq!(full.count(), ONE_BY_ONE_MAX, "bounded");
    }

    #[test]
    fn the_board_keeps_the_newest_of_each_topic() {
        let mut board = Board::default();
        board.keep(&Topic::TrustRoot(1), "root 1");
        board.keep(&Topic::TrustRoot(2), "root 2");
        board.keep(&Topic::Checkpoint, "old");
        board.keep(&Topic::Checkpoint, "new");
        let matching = |filter: &str| board.matching(filter).into_iter().map(|(_, d)| d).collect::<Vec<_>>();
        assert_eq!(matching(&Topic::root_filter()), ["root 1", "root 2"]);
        assert_eq!(matching("mdfm/v1/log/checkpoint"), ["new"]);
        assert_eq!(matching("mdfm/v1/trust/root/2"), ["root 2"]);
        assert!(board.matching("mdfm/v1/trust/roster").is_empty() && board.matching("#").is_empty());
    }
}
