//! What somebody who holds the coordinator, the broker or single keys can and cannot make this gateway believe. After every
//! refused attack the same gateway takes a good document (DESIGN §9.8).

use mdfm_shared::directive::DeviceDirective;
use mdfm_shared::fixture::{
    Log, NOW, SUBMITTER, approvals, key, log_signer, manifest, role, root, roster, signed, signed_root,
};
use mdfm_shared::sign::Document;
use mdfm_shared::trust::Revocation;

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
        match taken.expect("not refused") {
            Taken::Accepted(writes) => {
                self.store.commit(writes).expect("commits");
                true
            }
            Taken::Nothing => false,
            Taken::Asks(question) => {
                let proof = self.log.consistency(question.old.size, question.new.size).expect("sizes of this log");
                let writes = self.trust.answer(*question, &proof).expect("one log");
                self.store.commit(writes).expect("commits");
                true
            }
        }
    }

    fn restarted(&self) -> Trust {
        Trust::load(&self.store, gateway(), signed_root().digest()).expect("loads what it stored")
    }

    /// A good release still goes through, and a restart still knows it.
    fn still_takes_a_good_release(mut self) {
        let signed = signed(&manifest(), &[10]);
        let (digest, evidence) = self.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
        let taken = self.trust.take_release(digest, &wire::encode(&evidence));
        assert!(self.keep(taken), "a good release is accepted after the attack");
        let serial = self.trust.directive_serial() + 1;
        let taken = self.trust.take_directive(&frame(&directive(serial, install(digest)), &[COORDINATOR]));
        assert!(self.keep(taken), "a good directive is accepted after the attack");
        for trust in [&self.trust, &self.restarted()] {
            assert!(matches!(trust.wish(&device(), false), Some(Wish::Install(t)) if t.digest == digest));
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
        assert!(text.contains("needs 1 signatures"), "{text}");
    }
    // The stolen online key may direct towards a release that nobody approved: nothing comes of it.
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(Digest([1; 32]))), &[COORDINATOR]));
    assert!(gateway.keep(taken));
    assert_eq!(gateway.trust.wish(&device(), false), None);
    assert_eq!(gateway.trust.missing_releases(), BTreeSet::from([Digest([1; 32])]));
    // Nor of evidence that it makes itself.
    let forged = signed(&manifest(), &[COORDINATOR]);
    let (digest, evidence) = gateway.log.release(&forged, SUBMITTER, &approvals(forged.digest()));
    assert!(reason(gateway.trust.take_release(digest, &wire::encode(&evidence))).contains("manifest needs 1"));
    gateway.still_takes_a_good_release();
}

#[test]
fn att_1_two_of_three_approvals_release_nothing() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let mut two = approvals(signed.digest());
    two.remove(1);
    let (digest, evidence) = gateway.log.release(&signed, SUBMITTER, &two);
    assert!(reason(gateway.trust.take_release(digest, &wire::encode(&evidence))).contains("missing from: QA"));
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
    let text = reason(gateway.trust.take_release(Digest([9; 32]), &wire::encode(&evidence)));
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
        reason(gateway.trust.take_release(Digest([1; 32]), &endless)),
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
    let Ok(Taken::Asks(question)) = gateway.trust.take_release(digest, &wire::encode(&evidence)) else {
        panic!("a newer checkpoint must be shown to continue ours")
    };
    let proof = fork.consistency(question.old.size, question.new.size).expect("sizes of the fork");
    let refused = gateway.trust.answer(*question, &proof).expect_err("must be refused");
    assert!(refused.reason.contains("forked or rewritten"), "{refused}");
    assert!(gateway.trust.releases.is_empty());
    gateway.still_takes_a_good_release();
}

#[test]
fn att_9_a_revoked_approver_takes_a_pending_release_with_them() {
    let mut gateway = Gateway::enrolled();
    let signed = signed(&manifest(), &[10]);
    let (digest, evidence) = gateway.log.release(&signed, SUBMITTER, &approvals(signed.digest()));
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence));
    gateway.keep(taken);
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(digest)), &[COORDINATOR]));
    gateway.keep(taken);
    assert!(gateway.trust.wish(&device(), false).is_some());
    let mut revoked = roster();
    revoked.version = 2;
    revoked.entries[1].revoked = Some(Revocation { at: NOW, log_size: 0 });
    let taken = gateway.trust.take_roster(&frame(&revoked, &[11]));
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert_eq!(trust.wish(&device(), false), None);
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
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence));
    gateway.keep(taken);
    let taken = gateway.trust.take_directive(&frame(&directive(1, install(digest)), &[COORDINATOR]));
    gateway.keep(taken);
    let mut changed = roster();
    changed.version = 2;
    changed.entries[1].revoked = Some(Revocation { at: NOW, log_size: 0 });
    let taken = gateway.trust.take_roster(&frame(&changed, &[11]));
    gateway.keep(taken);
    assert_eq!(gateway.trust.missing_releases(), BTreeSet::from([digest]), "it asks for the release again");
    let old = gateway.trust.take_release(digest, &wire::encode(&evidence));
    assert!(reason(old).contains("user-qa"));
    let mut again = approvals(signed.digest());
    again[1] = (mdfm_shared::fixture::approval(digest, "user-three-roles", mdfm_shared::trust::Role::Qa), key(24));
    let (_, evidence) = gateway.log.release(&signed, SUBMITTER, &again);
    let taken = gateway.trust.take_release(digest, &wire::encode(&evidence));
    gateway.keep(taken);
    for trust in [&gateway.trust, &gateway.restarted()] {
        assert!(trust.wish(&device(), false).is_some());
    }
}
