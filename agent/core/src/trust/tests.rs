//! What somebody who holds the coordinator, the broker or single keys can and cannot make this gateway believe. After every
//! refused attack the same gateway takes a good document (DESIGN §9.8).

use mdfm_shared::directive::DeviceDirective;
use mdfm_shared::fixture::page::symptom;
use mdfm_shared::fixture::{
    Log, NOW, SUBMITTER, approvals, key, log_signer, manifest, record, role, root, roster, signed, signed_root,
};
use mdfm_shared::limits::ROLLBACK_ORDERS_MAX;
use mdfm_shared::record::Outcome;
use mdfm_shared::sign::Document;
use mdfm_shared::tlog::Cosigner;
use mdfm_shared::trust::{Freshness, OrderSigner, Revocation, Role, RollbackOrder, Withdrawal, Witnesses};

use super::*;
use crate::store::memory::Memory;

const COORDINATOR: u8 = 12;

fn gateway() -> GatewayId {
    "GW-1".parse().expect("a good id")
}
fn device() -> DeviceId {
    "DEV-1".parse().expect("a good id")
}
fn frame<T: Document>(document: &T, keys: &[u8]) -> Vec<u8> {
    wire::encode(&signed(document, keys))
}

/// A gateway as it is after enrolment, with the roster.
struct Gateway {
    trust: Trust,
    store: Memory,
    log: Log,
}

impl Gateway {
    fn enrolled() -> Self {
        let first = signed_root();
        let mut store = Memory::default();
        store.commit(Trust::enrol(&[wire::encode(&first)], first.digest()).expect("good root")).expect("commits");
        let trust = Trust::load(&store, gateway(), first.digest()).expect("loads");
        let mut gateway = Self { trust, store, log: Log::new(log_signer()) };
        let taken = gateway.trust.take_roster(&frame(&roster(), &[11]));
        gateway.keep(taken);
        gateway
    }

    /// Commits what was accepted; gives whether anything was.
    fn keep(&mut self, taken: Result<Taken, Refused>) -> bool {
        let mut taken = taken.expect("not refused");
        for _ in 0..10 {
            let besides = self.trust.drain();
            self.store.commit(besides.writes).expect("commits");
            match taken {
                Taken::Accepted(writes) => {
                    self.store.commit(writes).expect("commits");
                    return true;
                }
                Taken::Nothing => return false,
                Taken::Asks(question) => {
                    let proof = self.log.consistency(question.old.size, question.new.size).expect("sizes of this log");
                    taken = self.trust.answer(*question, &proof, NOW).expect("one log");
                }
            }
        }
        panic!("more questions than documents")
    }

    fn restarted(&self) -> Trust {
        Trust::load(&self.store, gateway(), signed_root().digest()).expect("loads what it stored")
    }

    /// A good release still goes through, and a restart still knows it.
    fn still_takes_a_good_release(mut self) {
        let signed = signed(&manifest(), &[10]);
        let (digest, evidence) = self.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
        let taken = self.trust.take_release(digest, &wire::encode(&evidence), NOW);
        assert!(self.keep(taken), "a good release is accepted after the attack");
        let serial = self.trust.directive_serial() + 1;
        let taken = self.trust.take_directive(&frame(&directive(serial, install(digest)), &[COORDINATOR]));
        assert!(self.keep(taken), "a good directive is accepted after the attack");
        for trust in [&self.trust, &self.restarted()] {
            assert!(
                matches!(trust.desired(&device(), false, false, None), Some(DesiredState::Install(t)) if t.digest == digest)
            );
        }
    }
}

fn install(manifest: Digest) -> Action {
    Action::Install { manifest }
}

fn directive(serial: u64, action: Action) -> Directive {
    Directive {
        gateway: gateway(),
        serial,
        issued_at: NOW,
        expires_at: NOW.plus_ms(86_400_000),
        devices: vec![DeviceDirective {
            device: device(),
            deployment: "D-1".parse().expect("a good id"),
            phase: 0,
            action,
            security_floor: 0,
        }],
    }
}

fn reason(taken: Result<Taken, Refused>) -> String {
    taken.expect_err("must be refused").to_string()
}

#[test]
fn att_1_only_the_online_key_directs_and_it_releases_nothing() {
    let mut gateway = Gateway::enrolled();
    for keys in [vec![], vec![10], vec![11], vec![13], vec![1, 2]] {
        let text = reason(gateway.trust.take_directive(&frame(&directive(1, install(Digest([1; 32]))), &keys)));
        assert!(text.contains("needs 1 signature"), "{text}");
    }
    // That nothing is known of the device is not the same as a directive without it.
    let empty = Directive { devices: Vec::new(), ..directive(1, install(Digest([1; 32]))) };
    assert_eq!(gateway.trust.desired(&device(), false, false, None), None);
    let taken = gateway.trust.take_directive(&frame(&empty, &[COORDINATOR]));
    assert!(gateway.keep(taken));
    assert_eq!(gateway.trust.desired(&device(), false, false, None), Some(DesiredState::Nothing));
    // The stolen online key may direct towards a release that nobody approved: nothing comes of it.
    let taken = gateway.trust.take_directive(&frame(&directive(2, install(Digest([1; 32]))), &[COORDINATOR]));
    assert!(gateway.keep(taken));
    assert_eq!(gateway.trust.desired(&device(), false, false, None), None);
    assert_eq!(gateway.trust.missing_releases(), BTreeSet::from([Digest([1; 32])]));
    // Nor of evidence that it makes itself.
    let forged = signed(&manifest(), &[COORDINATOR]);
    let (digest, evidence) = gateway.log.release(&forged, SUBMITTER, &approvals(forged.digest()));
    assert!(reason(gateway.trust.take_release(digest, &wire::encode(&evidence), NOW)).contains("manifest needs 1"));
    gateway.still_takes_a_good_release();
}

#[test]
fn att_1_two_of_three_approvals_release_nothing() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let mut two = approvals(signed.digest());
    two.remove(1);
    let (digest, evidence) = gateway.log.release(&signed, SUBMITTER, &two);
    assert!(reason(gateway.trust.take_release(digest, &wire::encode(&evidence), NOW)).contains("missing from: QA"));
    gateway.still_takes_a_good_release();
}

#[test]
fn att_3_an_old_directive_is_refused_even_after_a_restart() {
    let mut gateway = Gateway::enrolled();
    let last_week = frame(&directive(7, Action::Rollback { manifest: Digest([1; 32]) }), &[COORDINATOR]);
    let newest = frame(&directive(8, Action::Hold { manifest: Digest([1; 32]) }), &[COORDINATOR]);
    for document in [&last_week, &newest] {
        let taken = gateway.trust.take_directive(document);
        assert!(gateway.keep(taken));
    }
    gateway.trust = gateway.restarted();
    assert!(reason(gateway.trust.take_directive(&last_week)).contains("serial 7 is not above 8"));
    assert_eq!(gateway.trust.take_directive(&newest), Ok(Taken::Nothing), "the retained one comes again");
    gateway.still_takes_a_good_release();
}

#[test]
fn att_3_an_expired_directive_is_seen_as_stale() {
    let mut gateway = Gateway::enrolled();
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(Digest([1; 32]))), &[COORDINATOR]));
    gateway.keep(taken);
    assert!(!gateway.trust.is_stale(NOW.plus_ms(86_399_999)));
    assert!(gateway.trust.is_stale(NOW.plus_ms(86_400_000)));
    gateway.still_takes_a_good_release();
}

#[test]
fn att_4_a_release_under_another_digest_is_refused() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let (_, evidence) = gateway.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let text = reason(gateway.trust.take_release(Digest([9; 32]), &wire::encode(&evidence), NOW));
    assert!(text.contains("the directive names"), "{text}");
    gateway.still_takes_a_good_release();
}

#[test]
fn att_5_a_directive_for_another_gateway_is_refused() {
    let mut gateway = Gateway::enrolled();
    let foreign = Directive { gateway: "GW-2".parse().expect("a good id"), ..directive(1, install(Digest([1; 32]))) };
    assert!(reason(gateway.trust.take_directive(&frame(&foreign, &[COORDINATOR]))).contains("it is for gateway GW-2"));
    let mut twice = directive(1, install(Digest([1; 32])));
    twice.devices.push(twice.devices[0].clone());
    assert!(reason(gateway.trust.take_directive(&frame(&twice, &[COORDINATOR]))).contains("names a device twice"));
    gateway.still_takes_a_good_release();
}

#[test]
fn att_6_oversized_truncated_and_altered_frames_are_refused() {
    let mut gateway = Gateway::enrolled();
    let good = frame(&directive(1, install(Digest([1; 32]))), &[COORDINATOR]);
    for length in 0..good.len() {
        assert!(gateway.trust.take_directive(&good[..length]).is_err(), "cut to {length} bytes");
    }
    for bit in 0..good.len() * 8 {
        let mut altered = good.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(gateway.trust.take_directive(&altered).is_err(), "bit {bit} flipped");
    }
    let endless = vec![1; mdfm_shared::limits::FRAME_BYTES_MAX + 1];
    for text in [
        reason(gateway.trust.take_directive(&endless)),
        reason(gateway.trust.take_roster(&endless)),
        reason(gateway.trust.take_root(&endless)),
        reason(gateway.trust.take_release(Digest([1; 32]), &endless, NOW)),
    ] {
        assert!(text.contains("at most"), "{text}");
    }
    assert_eq!(gateway.trust.directive_serial(), 0);
    gateway.still_takes_a_good_release();
}

#[test]
fn att_8_roots_and_rosters_do_not_jump_or_go_back() {
    let mut gateway = Gateway::enrolled();
    for version in [3, 1 << 63, u64::MAX] {
        assert!(reason(gateway.trust.take_root(&frame(&root(version), &[1, 2]))).contains("does not follow"));
    }
    let mut newer = roster();
    newer.version = 5;
    let taken = gateway.trust.take_roster(&frame(&newer, &[11]));
    assert!(gateway.keep(taken));
    let mut older = roster();
    older.version = 4;
    assert!(reason(gateway.trust.take_roster(&frame(&older, &[11]))).contains("not above version 5"));
    let mut by_coordinator = roster();
    by_coordinator.version = 6;
    assert!(gateway.trust.take_roster(&frame(&by_coordinator, &[COORDINATOR])).is_err());
    gateway.still_takes_a_good_release();
}

#[test]
fn att_9_a_forked_log_is_refused() {
    let mut gateway = Gateway::enrolled();
    let note = gateway.log.checkpoint();
    let taken = gateway.trust.take_checkpoint(note.as_bytes());
    assert!(gateway.keep(taken));
    // Another log by the same key: equal size, other root.
    let mut fork = Log::new(log_signer());
    fork.append(b"in the fork alone".to_vec());
    gateway.log.append(b"in the log".to_vec());
    let note = gateway.log.checkpoint();
    let taken = gateway.trust.take_checkpoint(note.as_bytes());
    assert!(gateway.keep(taken));
    assert!(reason(gateway.trust.take_checkpoint(fork.checkpoint().as_bytes())).contains("forked"));
    // And a longer one: no proof can show that it continues ours.
    let signed = signed(&manifest(), &[10]);
    let (digest, evidence) = fork.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let Ok(Taken::Asks(question)) = gateway.trust.take_release(digest, &wire::encode(&evidence), NOW) else {
        panic!("a newer checkpoint must be shown to continue ours")
    };
    let proof = fork.consistency(question.old.size, question.new.size).expect("sizes of the fork");
    let refused = gateway.trust.answer(*question, &proof, NOW).expect_err("must be refused");
    symptom("An agent refuses", "forked").assert_in(&refused.reason);
    assert!(gateway.trust.releases.is_empty());
    gateway.still_takes_a_good_release();
}

#[test]
fn att_9_a_revoked_approver_takes_a_pending_release_with_them() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let (digest, evidence) = gateway.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence), NOW);
    gateway.keep(taken);
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(digest)), &[COORDINATOR]));
    gateway.keep(taken);
    assert!(gateway.trust.desired(&device(), false, false, None).is_some());
    let mut revoked = roster();
    revoked.version = 2;
    revoked.entries[1].revoked = Some(Revocation { at: NOW, log_size: 0 });
    let taken = gateway.trust.take_roster(&frame(&revoked, &[11]));
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert_eq!(trust.desired(&device(), false, false, None), None);
    }
}

/// A root that takes a key's role away ends at once whatever that key signed before, and the gateway starts again all the same.
#[test]
fn att_9_a_rotated_key_leaves_nothing_behind() {
    let mut gateway = Gateway::enrolled();
    let taken = gateway.trust.take_directive(&frame(&directive(9, install(Digest([1; 32]))), &[COORDINATOR]));
    gateway.keep(taken);
    let mut next = root(2);
    next.coordinator = role(&[32], 1);
    next.registrar = role(&[31], 1);
    let taken = gateway.trust.take_root(&frame(&next, &[1, 2]));
    assert!(gateway.keep(taken));
    gateway.trust = gateway.restarted();
    let trust = &mut gateway.trust;
    assert_eq!((trust.root_version(), trust.roster_version(), trust.directive_serial()), (2, 0, 0));
    assert!(trust.take_directive(&frame(&directive(10, install(Digest([1; 32]))), &[COORDINATOR])).is_err());
    assert!(trust.take_roster(&frame(&roster(), &[11])).is_err());
    let taken = trust.take_directive(&frame(&directive(1, install(Digest([1; 32]))), &[32]));
    assert!(gateway.keep(taken));
    let taken = gateway.trust.take_roster(&frame(&roster(), &[31]));
    assert!(gateway.keep(taken));
    assert_eq!(gateway.restarted().roster_version(), 1);
}

#[test]
fn att_11_only_the_online_key_frees_the_outbox() {
    let gateway = Gateway::enrolled();
    let ack = CommitAck { gateway: self::gateway(), epoch: 1, sequence: 3, log_size: 10 };
    for keys in [vec![], vec![10], vec![13]] {
        assert!(gateway.trust.take_ack(&frame(&ack, &keys)).is_err());
    }
    assert!(gateway.trust.take_ack(&frame(&ack, &[COORDINATOR])).is_ok());
    let signed = signed(&ack, &[COORDINATOR]);
    assert_eq!(signed.verify(&mdfm_shared::sign::KeySet::single(key(COORDINATOR).public())).map(|a| a.sequence), Ok(3));
}

#[test]
fn another_root_than_the_pinned_one_never_enrols() {
    let first = signed_root();
    assert!(Trust::enrol(&[wire::encode(&first)], Digest([1; 32])).is_err());
    assert!(Trust::enrol(&[], first.digest()).is_err());
    assert!(Trust::enrol(&[frame(&root(1), &[1])], first.digest()).is_err(), "one of two root signatures");
}

#[test]
fn sec_5_a_dropped_release_is_taken_with_a_new_approval() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let (digest, evidence) = gateway.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence), NOW);
    gateway.keep(taken);
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(digest)), &[COORDINATOR]));
    gateway.keep(taken);
    let mut changed = roster();
    changed.version = 2;
    changed.entries[1].revoked = Some(Revocation { at: NOW, log_size: 0 });
    let taken = gateway.trust.take_roster(&frame(&changed, &[11]));
    gateway.keep(taken);
    assert_eq!(gateway.trust.missing_releases(), BTreeSet::from([digest]), "it asks for the release again");
    let old = gateway.trust.take_release(digest, &wire::encode(&evidence), NOW);
    assert!(reason(old).contains("user-qa"));
    let mut again = approvals(signed.digest());
    again[1] = (mdfm_shared::fixture::approval(digest, "user-three-roles", mdfm_shared::trust::Role::Qa), key(24));
    let (_, evidence) = gateway.log.release(&signed, SUBMITTER, &again);
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence), NOW);
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert!(trust.desired(&device(), false, false, None).is_some());
    }
}
const DAY_MS: u64 = 86_400_000;

fn withdrawals(version: u64, named: &[Digest]) -> Withdrawals {
    let withdrawal =
        |manifest: &Digest| Withdrawal { manifest: *manifest, reason: "alarm limits lost".into(), at: NOW };
    let releases = named.iter().map(withdrawal).collect();
    Withdrawals { version, issued_at: NOW, expires_at: NOW.plus_ms(90 * DAY_MS), releases }
}

fn dated_roster(version: u64, days: u64, withdrawals_version: u64) -> Roster {
    let freshness = Freshness { issued_at: NOW, expires_at: NOW.plus_ms(days * DAY_MS), withdrawals_version };
    Roster { version, freshness: Some(freshness), ..roster() }
}

fn order(below_floor: bool) -> RollbackOrder {
    let signer = |user: &str, role| OrderSigner {
        user: user.parse().expect("a good id"),
        printed_name: format!("{user} Printed"),
        role,
    };
    RollbackOrder {
        label: "recall-1".into(),
        releases: vec![Digest([7; 32])],
        devices: vec![device()],
        below_floor,
        meaning: "I order the devices back".into(),
        reason: "alarm limits lost".into(),
        issued_at: NOW,
        expires_at: NOW.plus_ms(30 * DAY_MS),
        signers: vec![signer("user-clinical", Role::Clinical), signer("user-regulatory", Role::Regulatory)],
    }
}

impl Gateway {
    fn logged_order(&mut self, order: &RollbackOrder, keys: &[u8]) -> RollbackOrderEvidence {
        let at = self.log.append(record("user-clinical", &signed(order, keys), Outcome::Accepted));
        self.log.order_evidence(at)
    }

    fn approved(&mut self) -> Digest {
        let signed = signed(&manifest(), &[10]);
        let (digest, evidence) = self.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
        let taken = self.trust.take_release(digest, &wire::encode(&evidence), NOW);
        assert!(self.keep(taken));
        digest
    }

    fn desires_withdrawn(trust: &Trust) -> bool {
        matches!(trust.desired(&device(), false, false, None), Some(DesiredState::Install(t)) if t.withdrawn.is_some())
    }

    fn bars(&self, days: u64) -> Vec<Bar> {
        let now = NOW.plus_ms(days * DAY_MS);
        self.trust.bars(now, now).into_iter().map(|(bar, _)| bar).collect()
    }
}

#[test]
fn sec_12_withdrawals_outlive_restarts_and_their_signer() {
    let mut gateway = Gateway::enrolled();
    let digest = gateway.approved();
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(digest)), &[COORDINATOR]));
    assert!(gateway.keep(taken) && !Gateway::desires_withdrawn(&gateway.trust));
    for keys in [vec![], vec![COORDINATOR], vec![13]] {
        let text = reason(gateway.trust.take_withdrawals(&frame(&withdrawals(1, &[digest]), &keys), NOW));
        assert!(text.contains("must be signed by"), "{text}");
    }
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(1, &[digest]), &[21]), NOW);
    assert!(gateway.keep(taken) && Gateway::desires_withdrawn(&gateway.trust));
    assert!(Gateway::desires_withdrawn(&gateway.restarted()));
    // Its signer loses the authority: what was withdrawn stays so, and newer withdrawals must arrive.
    let mut revoked = roster();
    revoked.version = 2;
    revoked.entries[0].revoked = Some(Revocation { at: NOW, log_size: 1_000 });
    let taken = gateway.trust.take_roster(&frame(&revoked, &[11]));
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert!(trust.withdrawn(digest).is_some());
        assert_eq!(trust.bars(NOW, NOW).iter().map(|(bar, _)| *bar).collect::<Vec<_>>(), [Bar::WithdrawalsMissing]);
    }
    // What only that signer named need not be named by others; on this gateway it stays withdrawn.
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(2, &[]), &[10]), NOW);
    assert!(gateway.keep(taken));
    assert_eq!((gateway.bars(0), gateway.restarted().withdrawals_version()), (vec![], 2));
    assert!(gateway.restarted().withdrawn(digest).is_some());
    let other = Digest([9; 32]);
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(3, &[other]), &[10]), NOW);
    assert!(gateway.keep(taken));
    let text = reason(gateway.trust.take_withdrawals(&frame(&withdrawals(4, &[]), &[10]), NOW));
    assert!(text.contains("no longer names"), "{text}");
}

#[test]
fn sec_12_a_version_far_ahead_binds_only_its_signer() {
    let mut gateway = Gateway::enrolled();
    for version in [u64::MAX, 1_025] {
        let text = reason(gateway.trust.take_withdrawals(&frame(&withdrawals(version, &[]), &[21]), NOW));
        assert!(text.contains("does not follow"), "{text}");
    }
    // Step by step it still gets far ahead of the coordinator's.
    for step in 1..=40 {
        let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(step * 1_024, &[Digest([3; 32])]), &[21]), NOW);
        assert!(gateway.keep(taken));
    }
    let mut revoked = roster();
    revoked.version = 2;
    revoked.entries[0].revoked = Some(Revocation { at: NOW, log_size: 1_000 });
    let taken = gateway.trust.take_roster(&frame(&revoked, &[11]));
    gateway.keep(taken);
    assert_eq!(gateway.bars(0), [Bar::WithdrawalsMissing], "those that counted are gone");
    gateway.trust = gateway.restarted();
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(1, &[]), &[10]), NOW);
    assert!(gateway.keep(taken));
    assert_eq!((gateway.bars(0), gateway.restarted().withdrawals_version()), (vec![], 1));
    // A gateway of a fleet that is far along follows its roster.
    let mut late = Gateway::enrolled();
    let taken = late.trust.take_roster(&frame(&dated_roster(2, 400, 5_000), &[11]));
    late.keep(taken);
    let taken = late.trust.take_withdrawals(&frame(&withdrawals(5_001, &[]), &[10]), NOW);
    assert!(late.keep(taken));
    late.still_takes_a_good_release();
}

#[test]
fn sec_12_expired_or_withheld_documents_bar_new_work() {
    let mut gateway = Gateway::enrolled();
    assert_eq!(gateway.bars(100_000), [], "a roster without an expiry never expires");
    let taken = gateway.trust.take_roster(&frame(&dated_roster(2, 40, 1), &[11]));
    gateway.keep(taken);
    assert_eq!(gateway.bars(0), [Bar::WithdrawalsMissing], "the roster demands withdrawals");
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(1, &[]), &[10]), NOW);
    gateway.keep(taken);
    assert_eq!(gateway.bars(39), []);
    assert_eq!(gateway.bars(40), [Bar::RosterExpired]);
    assert_eq!(gateway.bars(90), [Bar::RosterExpired, Bar::WithdrawalsExpired]);
    let dateless = Roster { version: 3, ..roster() };
    assert!(reason(gateway.trust.take_roster(&frame(&dateless, &[11]))).contains("no expiry"));
    let taken = gateway.trust.take_roster(&frame(&dated_roster(4, 400, 1), &[11]));
    assert!(gateway.keep(taken));
    assert_eq!(gateway.bars(60), []);
    gateway.still_takes_a_good_release();
}

#[test]
fn sec_12_the_end_of_a_document_is_warned_of_in_time() {
    let mut gateway = Gateway::enrolled();
    let taken = gateway.trust.take_roster(&frame(&dated_roster(2, 90, 0), &[11]));
    gateway.keep(taken);
    let mut due = |day: u64| {
        let (warnings, write) = gateway.trust.due_warnings(NOW.plus_ms(day * DAY_MS));
        gateway.store.commit(write.into_iter().collect()).expect("commits");
        gateway.trust = gateway.restarted();
        warnings.len()
    };
    let days = [59, 60, 61, 76, 77, 83, 84, 89, 90, 91];
    assert_eq!(days.map(&mut due), [0, 1, 0, 1, 0, 1, 0, 1, 0, 0], "at 30, 14, 7 and 1 day, once, over restarts");
}

#[test]
fn sec_12_documents_signed_ahead_of_the_clock_bar_new_work() {
    let mut gateway = Gateway::enrolled();
    let ahead = Directive { issued_at: NOW.plus_ms(2 * 3_600_000), ..directive(1, install(Digest([1; 32]))) };
    let taken = gateway.trust.take_directive(&frame(&ahead, &[COORDINATOR]));
    gateway.keep(taken);
    assert_eq!(gateway.bars(0), [Bar::SignedAhead]);
    let taken = gateway.trust.take_directive(&frame(&directive(2, install(Digest([1; 32]))), &[COORDINATOR]));
    gateway.keep(taken);
    assert_eq!(gateway.bars(0), []);
    let late = NOW.plus_ms(2 * 3_600_000);
    let bars: Vec<Bar> = gateway.trust.bars(NOW, late).into_iter().map(|(bar, _)| bar).collect();
    assert_eq!(bars, [Bar::ClockBehind]);
    gateway.still_takes_a_good_release();
}

#[test]
fn sec_12_rollback_orders_count_only_when_people_signed_them() {
    let mut gateway = Gateway::enrolled();
    let unsigned = gateway.logged_order(&order(true), &[21]);
    let by_coordinator = gateway.logged_order(&order(false), &[COORDINATOR]);
    let taken = gateway.trust.take_orders(&wire::encode(&vec![unsigned, by_coordinator]), NOW);
    let Ok(Taken::Accepted(_)) = taken else { panic!("{taken:?}") };
    assert_eq!(gateway.trust.drain().problems.len(), 2);
    assert_eq!(gateway.trust.authorities(&device(), Digest([7; 32])), []);
    let many = vec![gateway.logged_order(&order(true), &[21]); ROLLBACK_ORDERS_MAX + 1];
    assert!(reason(gateway.trust.take_orders(&wire::encode(&many), NOW)).contains("at most 6"));
    let late = gateway.logged_order(&order(false), &[21, 23]);
    let taken = gateway.trust.take_orders(&wire::encode(&vec![late]), NOW.plus_ms(30 * DAY_MS));
    assert!(matches!(taken, Ok(Taken::Accepted(_) | Taken::Nothing)));
    assert!(gateway.trust.orders.is_empty(), "an expired order");
    // Signed as it must be, each under a checkpoint of its own.
    let good = [true, false].map(|below_floor| gateway.logged_order(&order(below_floor), &[21, 23]));
    let good = wire::encode(&good.to_vec());
    let taken = gateway.trust.take_orders(&good, NOW);
    assert!(gateway.keep(taken));
    assert_eq!(gateway.trust.take_orders(&good, NOW), Ok(Taken::Nothing));
    for trust in [&gateway.trust, &gateway.restarted()] {
        let mut below: Vec<bool> =
            trust.authorities(&device(), Digest([7; 32])).iter().map(|a| a.below_floor).collect();
        below.sort_unstable();
        assert_eq!(below, [false, true]);
        assert_eq!(trust.authorities(&device(), Digest([8; 32])), [], "another release");
        assert_eq!(trust.authorities(&"DEV-2".parse().expect("a good id"), Digest([7; 32])), [], "another device");
        assert_eq!(trust.orders_frame(), Digest::of(&good));
    }
    gateway.still_takes_a_good_release();
}

#[test]
fn sec_12_a_forked_log_brings_no_rollback_order() {
    let mut gateway = Gateway::enrolled();
    gateway.log.append(b"in the log".to_vec());
    gateway.log.append(b"in the log too".to_vec());
    let taken = gateway.trust.take_checkpoint(gateway.log.checkpoint().as_bytes());
    assert!(gateway.keep(taken));
    let mut fork = Log::new(log_signer());
    let at = fork.append(record("user-clinical", &signed(&order(false), &[21, 23]), Outcome::Accepted));
    let evidence = vec![fork.order_evidence(at)];
    let Ok(Taken::Asks(question)) = gateway.trust.take_orders(&wire::encode(&evidence), NOW) else {
        panic!("its checkpoint must be shown to be of the log that is known")
    };
    let refused = gateway.trust.answer(*question, &[], NOW).expect_err("must be refused");
    assert!(refused.reason.contains("forked or rewritten"), "{refused}");
    assert!(gateway.trust.orders.is_empty());
    gateway.still_takes_a_good_release();
}

#[test]
fn sec_12_a_revoked_signer_takes_the_rollback_order_along() {
    let mut gateway = Gateway::enrolled();
    let evidence = vec![gateway.logged_order(&order(false), &[21, 23])];
    let taken = gateway.trust.take_orders(&wire::encode(&evidence), NOW);
    assert!(gateway.keep(taken) && gateway.trust.orders.len() == 1);
    let mut revoked = Roster { version: 2, ..roster() };
    revoked.entries[0].revoked = Some(Revocation { at: NOW, log_size: 0 });
    let taken = gateway.trust.take_roster(&frame(&revoked, &[11]));
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert_eq!(trust.authorities(&device(), Digest([7; 32])), []);
    }
    gateway.trust.drain();
}

#[test]
fn sec_12_a_release_cosigned_long_ago_is_refused() {
    let witness = Cosigner::new("witness.example", key(50)).expect("a good name");
    let witnesses = Witnesses { keys: vec![witness.key().to_vkey()], threshold: 1 };
    let first = signed(&TrustRoot { witnesses, ..root(1) }, &[1, 2]);
    let mut store = Memory::default();
    store.commit(Trust::enrol(&[wire::encode(&first)], first.digest()).expect("good root")).expect("commits");
    let mut trust = Trust::load(&store, gateway(), first.digest()).expect("loads");
    trust.take_roster(&frame(&roster(), &[11])).expect("good roster");
    let mut log = Log::new(log_signer());
    let signed = signed(&manifest(), &[10]);
    let (digest, mut evidence) = log.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let cosignature = witness.cosign(evidence.checkpoint.as_bytes(), NOW.0 / 1_000).expect("a note");
    evidence.checkpoint.push_str(&cosignature);
    let evidence = wire::encode(&evidence);
    let text = reason(trust.take_release(digest, &evidence, NOW.plus_ms(8 * DAY_MS)));
    assert!(text.contains("more than 7 days"), "{text}");
    // Those of a witness whose clock is ahead prove nothing before their time has come.
    let text = reason(trust.take_release(digest, &evidence, UtcMillis(NOW.0 - 3 * 3_600_000)));
    assert!(text.contains("their clock or this gateway's is wrong"), "{text}");
    let taken = trust.take_release(digest, &evidence, NOW.plus_ms(6 * DAY_MS));
    let Ok(Taken::Accepted(writes)) = taken else { panic!("{taken:?}") };
    store.commit(writes).expect("commits");
    assert!(trust.drain().signed_times.contains(&UtcMillis(NOW.0 / 1_000 * 1_000)));
}

#[test]
fn sec_14_documents_of_another_root_are_put_aside_and_return() {
    let mut gateway = Gateway::enrolled();
    let digest = gateway.approved();
    let taken = gateway.trust.take_directive(&frame(&directive(7, install(digest)), &[COORDINATOR]));
    gateway.keep(taken);
    let taken = gateway.trust.take_withdrawals(&frame(&withdrawals(3, &[digest]), &[10]), NOW);
    gateway.keep(taken);
    gateway.store.commit(vec![("device/DEV-1".into(), Some(vec![1]))]).expect("commits");
    let (before, old) = (gateway.store.clone(), signed_root());
    // The new root has other keys throughout.
    let other =
        TrustRoot { root: role(&[61, 62], 2), registrar: role(&[63], 1), coordinator: role(&[64], 1), ..root(1) };
    let other = signed(&other, &[61, 62]);
    let mut writes = Trust::switch(&gateway.store, other.digest(), true).expect("reads");
    writes.extend(Trust::enrol(&[wire::encode(&other)], other.digest()).expect("good root"));
    gateway.store.commit(writes).expect("commits");
    // The identity was not written: the next start takes the old documents back.
    let mut crashed = gateway.store.clone();
    let back = Trust::switch(&crashed, old.digest(), false).expect("reads");
    crashed.commit(back).expect("commits");
    let trust = Trust::load(&crashed, self::gateway(), old.digest()).expect("loads");
    assert_eq!((trust.directive_serial(), trust.roster_version(), trust.withdrawals_version()), (7, 1, 3));
    // It was written.
    assert_eq!(Trust::switch(&gateway.store, other.digest(), false).expect("reads"), []);
    let mut trust = Trust::load(&gateway.store, self::gateway(), other.digest()).expect("loads");
    assert_eq!((trust.directive_serial(), trust.roster_version(), trust.withdrawals_version()), (0, 0, 0));
    assert!(trust.withdrawn(digest).is_some(), "what was withdrawn stays so");
    assert_eq!(trust.bars(NOW, NOW), []);
    assert!(trust.drain().problems.is_empty());
    assert!(gateway.store.content.contains_key("device/DEV-1"));
    let aside = gateway.store.content.keys().filter(|k| k.starts_with("aside/")).count();
    assert_eq!(aside, before.content.keys().filter(|k| k.starts_with("trust/")).count(), "nothing is deleted");
    let taken = trust.take_directive(&frame(&directive(1, install(Digest([1; 32]))), &[64]));
    assert!(matches!(taken, Ok(Taken::Accepted(_))), "the new coordinator counts from the start");
    assert!(matches!(trust.take_roster(&frame(&roster(), &[63])), Ok(Taken::Accepted(_))));
    assert!(matches!(trust.take_withdrawals(&frame(&withdrawals(1, &[]), &[10]), NOW), Ok(Taken::Accepted(_))));
    assert!(trust.withdrawn(digest).is_some());
}

#[test]
fn sec_14_unreadable_documents_stop_no_start_nor_let_old_ones_in() {
    let mut gateway = Gateway::enrolled();
    let digest = gateway.approved();
    let last_week = frame(&directive(7, install(digest)), &[COORDINATOR]);
    let newest = frame(&directive(8, install(digest)), &[COORDINATOR]);
    for document in [&last_week, &newest] {
        let taken = gateway.trust.take_directive(document);
        gateway.keep(taken);
    }
    let held = frame(&dated_roster(5, 90, 0), &[11]);
    let taken = gateway.trust.take_roster(&held);
    gateway.keep(taken);
    let named = frame(&withdrawals(3, &[digest]), &[10]);
    let taken = gateway.trust.take_withdrawals(&named, NOW);
    gateway.keep(taken);
    let keys: Vec<String> = gateway.store.content.keys().filter(|k| !k.starts_with("trust/root")).cloned().collect();
    for damaged in keys {
        let mut store = gateway.store.clone();
        store.commit(vec![(damaged.clone(), Some(vec![1, 255, 255]))]).expect("commits");
        Trust::load(&store, self::gateway(), signed_root().digest()).unwrap_or_else(|e| panic!("{damaged}: {e}"));
    }
    let documents = ["trust/roster", "trust/directive", "trust/withdrawals", "trust/checkpoint"];
    let garbage = |key: &str| (key.to_owned(), Some(vec![1, 255, 255]));
    gateway.store.commit(documents.map(garbage).to_vec()).expect("commits");
    let mut trust = gateway.restarted();
    let besides = trust.drain();
    // Who signed the withdrawals only the next roster can say.
    assert_eq!(besides.problems.len(), documents.len() - 1, "{:?}", besides.problems);
    besides.problems.iter().for_each(|p| symptom("An agent refuses", "… on disk").assert_in(&p.reason));
    gateway.store.commit(besides.writes).expect("commits");
    assert_eq!(gateway.store.content["aside/trust/roster"], [1, 255, 255]);
    gateway.trust = trust;
    assert!(gateway.trust.withdrawn(digest).is_some());
    assert_eq!(gateway.bars(0), [Bar::WithdrawalsMissing]);
    // What is older than what was lost does not take its place; what was lost comes again.
    assert!(reason(gateway.trust.take_directive(&last_week)).contains("replayed"));
    assert!(gateway.trust.take_roster(&frame(&roster(), &[11])).is_err());
    assert!(gateway.trust.take_roster(&frame(&Roster { version: 6, ..roster() }, &[11])).is_err(), "without expiry");
    for older in [withdrawals(2, &[digest]), withdrawals(4, &[])] {
        assert!(gateway.trust.take_withdrawals(&frame(&older, &[10]), NOW).is_err());
    }
    let mut fork = Log::new(log_signer());
    fork.append(b"in the fork alone".to_vec());
    let fork = gateway.trust.take_checkpoint(fork.checkpoint().as_bytes());
    assert!(!matches!(fork, Ok(Taken::Accepted(_))), "the log that is known is still known");
    let taken = gateway.trust.take_roster(&held);
    assert!(gateway.keep(taken));
    let taken = gateway.trust.take_directive(&newest);
    assert!(gateway.keep(taken));
    let taken = gateway.trust.take_withdrawals(&named, NOW);
    assert!(gateway.keep(taken));
    assert_eq!(gateway.bars(0), []);
    assert!(gateway.restarted().drain().problems.is_empty());
}

#[test]
fn sec_14_an_agent_that_an_earlier_version_left_stranded_starts() {
    let mut gateway = Gateway::enrolled();
    let taken = gateway.trust.take_root(&frame(&root(2), &[1, 2]));
    gateway.keep(taken);
    let other = TrustRoot { root: role(&[61, 62], 2), registrar: role(&[63], 1), ..root(1) };
    let other = signed(&other, &[61, 62]);
    // Earlier versions wrote the new root over the old one and kept everything else.
    gateway.store.commit(Trust::enrol(&[wire::encode(&other)], other.digest()).expect("good root")).expect("commits");
    let mut trust = Trust::load(&gateway.store, self::gateway(), other.digest()).expect("loads");
    assert_eq!((trust.root_version(), trust.roster_version()), (1, 0));
    let problems: Vec<String> = trust.drain().problems.iter().map(ToString::to_string).collect();
    assert!(problems.iter().any(|p| p.contains("trust/root")) && problems.iter().any(|p| p.contains("trust/roster")));
    assert!(matches!(trust.take_roster(&frame(&roster(), &[63])), Ok(Taken::Accepted(_))));
}
