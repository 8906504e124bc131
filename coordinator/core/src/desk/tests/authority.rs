//! Withdrawals, rollback orders, freshness and the clock (SEC-12, DESIGN §10.2 to §10.4).

use mdfm_shared::fixture::key;
use mdfm_shared::fixture::page::symptom;
use mdfm_shared::sign::KeySet;
use mdfm_shared::telemetry::{Heartbeat, HeldTrust, REFUSED_ROLLBACK};
use mdfm_shared::tlog::{Checkpoint, Hash, Tree};
use mdfm_shared::trust::{
    Approval, Freshness, OrderSigner, RollbackOrder, RollbackOrderEvidence, Roster, Validation, Withdrawal, Withdrawals,
};
use mdfm_shared::wire;

use super::super::super::authority::{self, ReturnNeed};
use mdfm_shared::tlog::LogSource;

use super::super::super::dispatch;
use super::super::super::notice::{self, NoticeKind};
use super::super::super::rollout::{OrderedBack, Scope, Status};
use super::super::super::{heartbeat, recall};
use super::*;

fn digest_of(office: &Office, firmware: &str) -> Digest {
    office.state.firmware[&id::<FirmwareId>(firmware)].manifest.as_ref().expect("attached").digest
}

fn withdrawals(office: &Office, version: u64, named: &[Digest]) -> Withdrawals {
    let at = office.now;
    let releases = named.iter().map(|m| Withdrawal { manifest: *m, reason: "alarm limits lost".into(), at }).collect();
    Withdrawals { version, issued_at: at, expires_at: at.plus_ms(90 * DAY_MS), releases }
}

fn add(withdrawals: &Withdrawals, keys: &[u8]) -> Command {
    Command::AddWithdrawals { withdrawals: signed(withdrawals, keys) }
}

fn signer(user: &str, role: Role) -> OrderSigner {
    OrderSigner { user: id(user), printed_name: format!("{user} Printed"), role }
}

fn order(office: &Office, releases: &[Digest], devices: &[DeviceId]) -> RollbackOrder {
    RollbackOrder {
        label: "recall R-1".into(),
        releases: releases.to_vec(),
        devices: devices.to_vec(),
        below_floor: false,
        meaning: "I order the devices back as Clinical".into(),
        reason: "alarm limits lost".into(),
        issued_at: office.now,
        expires_at: office.now.plus_ms(30 * DAY_MS),
        signers: vec![signer("user-clinical", Role::Clinical)],
    }
}

fn post(order: &RollbackOrder, keys: &[u8]) -> Command {
    Command::AddRollbackOrder { order: signed(order, keys) }
}

fn fresh_roster(office: &Office, version: u64, days: u64, withdrawals_version: u64) -> Command {
    let freshness =
        Freshness { issued_at: office.now, expires_at: office.now.plus_ms(days * DAY_MS), withdrawals_version };
    let roster = Roster { version, freshness: Some(freshness), ..roster() };
    Command::AddRoster { roster: signed(&roster, &[11]), accept_alterations: true, reason: None }
}

/// What the desk sends while a command is carried out.
fn sent(office: &mut Office, actor: &str, command: Command) -> Vec<Outbound> {
    let submission = Submission::new(person(actor), command);
    let round = office.desk.round(&mut office.state, office.now, &mut office.presence, &[submission]).expect("applies");
    office.entries.extend(round.entries);
    assert_eq!(round.answers, [Ok(())]);
    round.outbound
}

fn kinds(office: &Office) -> Vec<NoticeKind> {
    let records = office.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
    records.flat_map(|record| notice::of(&office.state, &record)).map(|n| n.kind).collect()
}

fn actions_of(office: &Office) -> Vec<String> {
    office.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record").action).collect()
}

/// Waits for the gate of the only phase, signs for it, and waits for the end.
fn complete(office: &mut Office, name: &str) {
    office.live(1_000);
    office.live(HOUR_MS);
    office.live(1_000);
    let manifest = office.deployment(name).plan.manifest;
    let Approval { role, user, printed_name, meaning, reason, .. } =
        approval(manifest, "user-regulatory", Role::Regulatory);
    let (deployment, at) = (id(name), office.now);
    let validation =
        Validation { deployment, phase: 0, manifest, evidence: None, role, user, printed_name, meaning, reason, at };
    let command = Command::Validate { deployment: id(name), validation: signed(&validation, &[23]) };
    office.give("user-regulatory", command);
    office.live(1_000);
}

#[test]
fn cli_14_a_gates_signature_in_a_role_not_held_is_refused() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let manifest = office.deployment("D-1").plan.manifest;
    let Approval { role, user, printed_name, meaning, reason, .. } = approval(manifest, "user-qa", Role::Clinical);
    let (deployment, at) = (id("D-1"), office.now);
    let validation =
        Validation { deployment, phase: 0, manifest, evidence: None, role, user, printed_name, meaning, reason, at };
    let command = Command::Validate { deployment: id("D-1"), validation: signed(&validation, &[22]) };
    office.refuses("user-qa", command, "validation-refused", "user-qa is not on the roster as Clinical");
}

fn open_recall(name: &str) -> Command {
    let criteria = Criteria { model: MODEL.into(), versions: vec!["2.22.0".into()], ..Criteria::default() };
    Command::OpenRecall { recall: id(name), criteria, action: RecallAction::RollBack, reason: "defect".into() }
}

#[test]
fn sec_12_one_approver_withdraws_for_the_whole_fleet() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let bad = digest_of(&office, "FW-22");
    let document = withdrawals(&office, 1, &[bad]);
    office.refuses("user-qa", add(&document, &[12]), "withdrawals-refused", "release role");
    office.refuses("user-qa", add(&document, &[]), "withdrawals-refused", "release role");
    let outbound = sent(&mut office, "user-qa", add(&document, &[22]));
    assert!(outbound.contains(&Outbound::Withdrawals), "{outbound:?}");
    let firmware = &office.state.firmware[&id::<FirmwareId>("FW-22")];
    assert_eq!(firmware.status, FirmwareStatus::Withdrawn);
    let status = &office.deployment("D-1").status;
    assert!(matches!(status, Status::Aborting { .. } | Status::Aborted { .. }), "{status:?}");
    assert_eq!(authority::unsigned(&office.state).count(), 0);
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-2", &all(23, "")).expect("a good release goes on");
}

#[test]
fn sec_12_withdrawals_follow_version_by_version() {
    let mut office = Office::new();
    let bad = digest_of(&office, "FW-22");
    let second = withdrawals(&office, 2, &[bad]);
    office.refuses("user-qa", add(&second, &[22]), "withdrawals-version", "the next is 1");
    office.give("user-qa", add(&withdrawals(&office, 1, &[bad]), &[22]));
    let dropped = withdrawals(&office, 2, &[]);
    office.refuses("user-qa", add(&dropped, &[10]), "withdrawals-refused", "cannot be taken back");
    let mut early = withdrawals(&office, 2, &[bad]);
    early.issued_at = UtcMillis(office.now.0 - 1);
    office.refuses("user-qa", add(&early, &[22]), "withdrawals-refused", "before version 1");
    office.pass(40 * DAY_MS);
    let mut old = withdrawals(&office, 2, &[bad]);
    old.issued_at = UtcMillis(office.now.0 - 31 * DAY_MS);
    office.refuses("user-qa", add(&old, &[22]), "withdrawals-refused", "more than 30 days ago");
    office.give("user-regulatory", add(&second_of(&office, bad), &[23]));
    assert_eq!(office.state.authority.withdrawals.as_ref().map(|w| w.version), Some(2));
}

fn second_of(office: &Office, bad: Digest) -> Withdrawals {
    withdrawals(office, 2, &[bad])
}

#[test]
fn sec_12_a_withdrawal_here_asks_for_a_signature() {
    let mut office = Office::new();
    let withdraw = Command::WithdrawFirmware { firmware: id("FW-22"), reason: "drift".into() };
    office.give("operator", withdraw);
    assert!(kinds(&office).contains(&NoticeKind::WithdrawalUnsigned));
    let unsigned: Vec<String> = authority::unsigned(&office.state).map(|(id, _)| id.to_string()).collect();
    assert_eq!(unsigned, ["FW-22"]);
    office.entries.clear();
    let document = withdrawals(&office, 1, &[digest_of(&office, "FW-22")]);
    office.give("user-clinical", add(&document, &[21]));
    assert_eq!(authority::unsigned(&office.state).count(), 0);
    assert!(!kinds(&office).contains(&NoticeKind::WithdrawalUnsigned));
}

#[test]
fn sec_12_deployments_need_a_fresh_roster_and_withdrawals() {
    let mut office = Office::new();
    office.give("admin", fresh_roster(&office, 2, 40, 1));
    office.refuses("operator", create("D-1", &all(22, "")), "trust-not-fresh", "withdrawals version 1");
    office.give("user-qa", add(&withdrawals(&office, 1, &[]), &[22]));
    office.deploy("D-1", &all(22, "")).expect("fresh");
    office.give("clinical", Command::Pause { deployment: id("D-1"), reason: "a doubt".into() });
    office.pass(41 * DAY_MS);
    let resume = Command::Resume { deployment: id("D-1"), reason: "no doubt".into() };
    office.refuses("operator", resume.clone(), "trust-not-fresh", "roster 2 expired at");
    let endless = Command::AddRoster {
        roster: signed(&Roster { version: 3, ..roster() }, &[11]),
        accept_alterations: true,
        reason: None,
    };
    office.refuses("admin", endless, "roster-refused", "no expiry");
    office.give("admin", fresh_roster(&office, 3, 90, 1));
    office.give("operator", resume);
    office.pass(50 * DAY_MS);
    office.release(23, FirmwareClass::Standard, 3);
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "done".into() });
    office.refuses("operator", create("D-2", &all(23, "")), "trust-not-fresh", "withdrawals 1 expired at");
}

#[test]
fn sec_12_withdrawals_of_a_revoked_signer_are_void() {
    let mut office = Office::new();
    let bad = digest_of(&office, "FW-22");
    office.give("user-qa", add(&withdrawals(&office, 1, &[bad]), &[22]));
    let mut changed = Roster { version: 2, ..roster() };
    changed.entries[1].revoked = Some(Revocation { at: office.now.plus_ms(1), log_size: 1_000 });
    office
        .give("admin", Command::AddRoster { roster: signed(&changed, &[11]), accept_alterations: true, reason: None });
    assert_eq!(office.state.authority.published_version(), 0, "agents have dropped them");
    let refused = authority::need_fresh(&office.state, office.now).expect_err("nothing new is started");
    assert!(refused.detail.contains("may no longer sign"), "{refused}");
    assert_eq!(authority::unsigned(&office.state).count(), 0, "what they named stays withdrawn");
    let mut renewed = withdrawals(&office, 2, &[bad]);
    renewed.issued_at = office.now;
    office.give("user-regulatory", add(&renewed, &[11]));
    assert_eq!(office.state.authority.published_version(), 2);
    authority::need_fresh(&office.state, office.now).expect("fresh again");
}

#[test]
fn sec_12_expiry_is_warned_of_five_times_each() {
    let mut office = Office::new();
    office.give("admin", fresh_roster(&office, 2, 90, 0));
    let warned = |office: &Office| {
        let shown = symptom("The coordinator does nothing", "trust.warn");
        actions_of(office).iter().filter(|a| *a == shown.words()).count()
    };
    for (days, expected) in [(59, 0), (2, 1), (14, 1), (1, 2), (7, 3), (6, 4), (2, 5), (30, 5)] {
        office.pass(days * DAY_MS);
        assert_eq!(warned(&office), expected, "after {days} days more");
    }
    assert!(kinds(&office).contains(&NoticeKind::TrustExpiring));
    office.give("admin", fresh_roster(&office, 3, 10, 0));
    office.pass(1_000);
    assert_eq!(warned(&office), 6, "the next one is warned of on its own");
}

#[test]
fn sec_12_new_notices_reach_people_under_older_rules() {
    let mut office = Office::new();
    let account = |name: &str, role| Command::CreateUser {
        user: id(name),
        printed_name: name.into(),
        roles: vec![role],
        hospital: None,
        credential: Digest([1; 32]),
    };
    office.give("admin", account("chief", AccessRole::Admin));
    let settings = super::super::super::settings::Settings { notices: vec![], ..Default::default() };
    office.give("admin", Command::SetSettings { settings, reason: "an older form".into() });
    office.give("admin", fresh_roster(&office, 2, 5, 0));
    office.pass(1_000);
    let records = office.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record"));
    let notices: Vec<_> = records.flat_map(|r| notice::of(&office.state, &r)).collect();
    let warning = notices.iter().find(|n| n.kind == NoticeKind::TrustExpiring).expect("warned");
    assert!(notice::recipients(&office.state, warning).contains_key(&id("chief")));
}

#[test]
fn sec_12_a_recall_past_the_window_waits_for_an_order() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(HOUR_MS);
    for h in 1..=4 {
        for d in 1..=2 {
            office.report(h, d, "D-1", InstallState::Staged, Some(21));
        }
    }
    office.confirm(1..=4, "D-1", 22);
    office.live(13 * DAY_MS);
    // What is confirmed again does not begin the window again.
    office.report(2, 1, "D-1", InstallState::Confirmed, Some(22));
    let need =
        |office: &Office, h, d| authority::need_of(&office.state, &office.state.devices[&device(h, d)], office.now);
    assert!(matches!(need(&office, 2, 1), ReturnNeed::WithinWindow { .. }));
    office.live(2 * DAY_MS);
    assert_eq!(need(&office, 2, 1), ReturnNeed::Order);
    office.entries.clear();
    office.give("user-regulatory", open_recall("R-1"));
    assert!(kinds(&office).contains(&NoticeKind::RollbackOrderNeeded));
    let held = office.state.recalls[&id::<RecallId>("R-1")].clone();
    assert_eq!(recall::awaiting_order(&office.state, &held, office.now), 8);
    assert_eq!(office.actions(1), ["rollback", "rollback"], "agents decide by the orders that they hold");
    let refused = |h, d| {
        let kind = EventKind::Refused { what: REFUSED_ROLLBACK.into(), reason: "the recall window is over".into() };
        Reported { device: Some(device(h, d)), at: NOW, kind }
    };
    for h in 1..=4 {
        office.tell(h, vec![refused(h, 1), refused(h, 2)]);
    }
    assert_eq!(office.deployment("D-1").sum(|t| t.stays), 8);

    let manifest = digest_of(&office, "FW-22");
    let one = order(&office, &[manifest], &[]);
    office.refuses("operator", post(&one, &[22]), "rollback-order-refused", "has not signed");
    let by_qa = RollbackOrder { signers: vec![signer("user-qa", Role::Qa)], ..one.clone() };
    office.refuses("operator", post(&by_qa, &[22]), "rollback-order-refused", "Clinical or Regulatory");
    let outbound = sent(&mut office, "operator", post(&one, &[21]));
    let to: Vec<_> = outbound.iter().filter(|o| matches!(o, Outbound::RollbackOrders(_))).collect();
    assert_eq!(to.len(), 4, "{outbound:?}");
    assert_eq!(recall::awaiting_order(&office.state, &held, office.now), 0);
    office.report(1, 1, "D-1", InstallState::RollingBack, None);
    office.report(1, 1, "D-1", InstallState::RolledBack, Some(21));
    assert_eq!(office.deployment("D-1").sum(|t| t.stays), 7, "it went back by the order");
    office.refuses("operator", post(&one, &[21]), "exists", "already");
}

#[test]
fn sec_12_a_deployment_that_moved_nobody_hides_no_earlier_one() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    for ms in [1_000, HOUR_MS, 1_000] {
        office.live(ms);
    }
    office.give("operator", Command::Abort { deployment: id("D-1"), reason: "enough".into() });
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-2", &all(23, "")).expect("nothing is in the way");
    for d in 1..=2 {
        // Refused before anything was touched, for example as a downgrade.
        office.report(1, d, "D-2", InstallState::Failed, None);
    }
    office.give("operator", Command::Abort { deployment: id("D-2"), reason: "wrong release".into() });
    for h in 2..=4 {
        for d in 1..=2 {
            office.report(h, d, "D-2", InstallState::Idle, None);
        }
    }
    office.live(1_000);
    assert!(!office.deployment("D-2").is_active(), "{:?}", office.deployment("D-2").status);
    for h in 1..=4 {
        for d in 1..=2 {
            let found = office.state.devices[&device(h, d)].deployment.clone();
            assert_eq!(found, Some(id("D-1")), "DEV-{h}-{d}");
        }
    }
    office.give("operator", open_recall("R-1"));
    assert_eq!(office.actions(1), ["rollback"; 2], "the recall reaches what D-1 brought");
}

#[test]
fn sec_12_one_device_that_refused_does_not_bar_the_way_back() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    complete(&mut office, "D-1");
    assert_eq!(office.deployment("D-1").status, Status::Completed);
    office.release(23, FirmwareClass::Standard, 3);
    office.deploy("D-2", &all(23, "")).expect("nothing is in the way");
    office.confirm(1..=3, "D-2", 23);
    office.report(4, 1, "D-2", InstallState::Confirmed, Some(23));
    office.report(4, 2, "D-2", InstallState::Failed, None);
    complete(&mut office, "D-2");
    assert_eq!(office.deployment("D-2").status, Status::Completed, "half may fail");
    assert_eq!(office.state.devices[&device(4, 2)].deployment, Some(id("D-1")), "it was never moved");
    let order = Command::Rollback {
        deployment: id("D-2"),
        scope: Scope::Deployment,
        cause: OrderedBack::Safety,
        reason: "it beeps".into(),
    };
    office.give("operator", order);
    for h in 1..=3 {
        assert_eq!(office.actions(h), ["rollback"; 2]);
    }
    assert_eq!(office.desired(4).len(), 2, "the one that refused keeps what it had: {:?}", office.actions(4));
}

#[test]
fn sec_12_within_the_window_a_recall_needs_no_order() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.confirm(1..=4, "D-1", 22);
    office.live(DAY_MS);
    office.entries.clear();
    office.give("user-regulatory", open_recall("R-1"));
    let held = &office.state.recalls[&id::<RecallId>("R-1")];
    assert_eq!(recall::awaiting_order(&office.state, held, office.now), 0);
    assert!(!kinds(&office).contains(&NoticeKind::RollbackOrderNeeded));
}

#[test]
fn sec_12_below_the_floor_two_roles_and_names_are_needed() {
    let mut office = Office::new();
    let running = |office: &mut Office, h, d, n, security_version| {
        let running = Some(FirmwareReport {
            version: format!("2.{n}.0"),
            release_number: n,
            security_version,
            sha256: Digest([n as u8; 32]),
        });
        let manifest = office.deployment("D-1").plan.manifest;
        let (state, detail) = (InstallState::Confirmed, String::new());
        let kind = EventKind::StateChanged { state, manifest, deployment: id("D-1"), running, detail };
        office.tell(h, vec![Reported { device: Some(device(h, d)), at: office.now, kind }]);
    };
    office.deploy("D-1", &all(22, "")).expect("approved");
    running(&mut office, 1, 1, 21, 2);
    office.live(HOUR_MS);
    running(&mut office, 1, 1, 22, 3);
    if let Some(mut held) = office.state.devices.get_mut(&device(1, 1)) {
        held.security_floor = 3;
    }
    office.live(15 * DAY_MS);
    let held = &office.state.devices[&device(1, 1)];
    assert_eq!(held.previous.as_ref().map(|p| p.security_version), Some(2));
    assert_eq!(authority::need_of(&office.state, held, office.now), ReturnNeed::OrderByTwoRoles);
    let manifest = digest_of(&office, "FW-22");
    let one = order(&office, &[manifest], &[device(1, 1)]);
    office.give("operator", post(&one, &[21]));
    let covering = |office: &Office| {
        office.state.authority.covering(&device(1, 1), manifest, ReturnNeed::OrderByTwoRoles, office.now).is_some()
    };
    assert!(!covering(&office), "an order by one role is not enough");
    let signers = vec![signer("user-clinical", Role::Clinical), signer("user-regulatory", Role::Regulatory)];
    let both = RollbackOrder { below_floor: true, signers, ..one };
    office.refuses("operator", post(&both, &[21]), "rollback-order-refused", "user-regulatory");
    office.give("operator", post(&both, &[21, 23]));
    assert!(covering(&office));
}

#[test]
fn sec_12_orders_end_and_are_bounded_for_each_gateway() {
    let mut office = Office::new();
    let numbered = |office: &Office, n: u32| RollbackOrder {
        label: format!("order {n}"),
        expires_at: office.now.plus_ms(DAY_MS),
        ..order(office, &[], &[device(1, 1)])
    };
    for n in 0..6 {
        office.give("operator", post(&numbered(&office, n), &[21]));
    }
    let more = post(&numbered(&office, 6), &[21]);
    office.refuses("operator", more, "too-many-orders", "GW-1");
    let gateway: GatewayId = id("GW-1");
    assert_eq!(authority::orders_for(&office.state, &gateway, office.now).len(), 6);
    assert!(authority::orders_for(&office.state, &id("GW-2"), office.now).is_empty(), "not its devices");
    let unknown = order(&office, &[Digest([9; 32])], &[device(2, 1)]);
    office.refuses("operator", post(&unknown, &[21]), "invalid-field", "no release here");
    office.pass(DAY_MS + 1_000);
    assert!(authority::orders_for(&office.state, &gateway, office.now).is_empty());
    assert!(actions_of(&office).iter().any(|a| a == "rollback-order.expire"));
    let next = numbered(&office, 7);
    office.give("operator", post(&next, &[21]));
}

/// The log of an office, signed once.
struct Log {
    tree: Tree,
    entries: Vec<Vec<u8>>,
    checkpoint: (Checkpoint, String),
}

impl Log {
    fn of(office: &Office) -> Self {
        let mut tree = Tree::default();
        office.entries.iter().for_each(|e| tree.push(e));
        let signer = mdfm_shared::fixture::log_signer();
        let checkpoint = Checkpoint { origin: signer.key().name().into(), size: tree.size(), root: tree.root() };
        let note = checkpoint.sign(&signer).expect("signs");
        Self { tree, entries: office.entries.clone(), checkpoint: (checkpoint, note) }
    }
}

impl LogSource for Log {
    fn newest(&self) -> Option<(Checkpoint, String)> {
        Some(self.checkpoint.clone())
    }
    fn bytes_of(&self, index: u64) -> Option<Vec<u8>> {
        self.entries.get(usize::try_from(index).ok()?).cloned()
    }
    fn proof_of(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.tree.inclusion(index, size)
    }
}

#[test]
fn sec_12_orders_travel_with_a_proof_that_agents_accept() {
    let mut office = Office::new();
    let before = Log::of(&office);
    let order = order(&office, &[], &[device(1, 1)]);
    office.give("operator", post(&order, &[21]));
    let (gateway, now) = (id::<GatewayId>("GW-1"), office.now);
    let outbound = Outbound::RollbackOrders(gateway.clone());
    assert_eq!(dispatch::message(&office.state, &before, now, &outbound), None, "not before it is proved");
    assert!(dispatch::bundle(&office.state, &before, &gateway, now).is_unproved, "nor is a bundle whole before");
    let log = Log::of(&office);
    assert!(!dispatch::bundle(&office.state, &log, &gateway, now).is_unproved);
    let (_, frame) = dispatch::message(&office.state, &log, now, &outbound).expect("proved");
    let evidence: Vec<RollbackOrderEvidence> = wire::decode(&frame).expect("a frame of orders");
    let root = office.state.trusted_root().expect("held");
    let verified = evidence[0].verify(root, &roster()).expect("accepted");
    assert_eq!(verified.order().label, order.label);
    let topics = |gateway: &str| {
        let bundle = dispatch::bundle(&office.state, &log, &id(gateway), now);
        bundle.messages.into_iter().map(|(topic, _)| topic.to_string()).collect::<Vec<_>>()
    };
    assert!(topics("GW-1").iter().any(|t| t.ends_with("GW-1/rollback-orders")), "bundles carry orders");
    assert!(!topics("GW-2").iter().any(|t| t.ends_with("rollback-orders")));
    office.give("user-qa", add(&withdrawals(&office, 1, &[]), &[22]));
    let bundle = dispatch::bundle(&office.state, &log, &gateway, now);
    let place = |end: &str| bundle.messages.iter().position(|(t, _)| t.to_string().ends_with(end));
    assert!(place("trust/roster") < place("trust/withdrawals"), "it is verified by the roster");
    assert!(place("trust/withdrawals") < place("/directive"), "and known before the directive");
}

#[test]
fn sec_12_heartbeats_are_answered_with_what_is_lacking() {
    let mut office = Office::new();
    let gateway: GatewayId = id("GW-1");
    let beat = |office: &mut Office, sequence, held: Option<(u64, Digest)>| {
        let held_trust = held.map(|(withdrawals_version, rollback_orders)| HeldTrust {
            withdrawals_version,
            rollback_orders,
            clock: mdfm_shared::telemetry::ClockReport { mark: NOW, behind_ms: 0, is_trusted: true },
        });
        let heartbeat = Heartbeat {
            gateway: id("GW-1"),
            epoch: office.state.gateways[&id::<GatewayId>("GW-1")].chain.epoch,
            sequence,
            at: NOW,
            root_version: 1,
            roster_version: 1,
            directive_serial: 1,
            checkpoint_size: 0,
            missing_releases: vec![],
            outbox_depth: 0,
            devices: vec![],
            held_trust,
            observed: None,
        };
        let verified = signed(&heartbeat, &[51]).verify(&KeySet::single(key(51).public())).expect("its own key");
        let answer = heartbeat::hear(&office.state, &mut office.presence, office.now, &id("GW-1"), &verified);
        answer.expect("heard").outbound
    };
    let none = Digest([0; 32]);
    assert!(beat(&mut office, 1, Some((0, none))).is_empty(), "nothing is lacking");
    office.give("user-qa", add(&withdrawals(&office, 1, &[]), &[22]));
    assert_eq!(beat(&mut office, 2, None), [Outbound::Withdrawals]);
    assert!(beat(&mut office, 3, None).is_empty(), "an older agent is not sent them with every heartbeat");
    assert_eq!(beat(&mut office, 4, Some((0, none))), [Outbound::Withdrawals]);
    assert!(beat(&mut office, 5, Some((1, none))).is_empty());
    let order = order(&office, &[], &[device(1, 1)]);
    office.give("operator", post(&order, &[21]));
    let wanted = Outbound::RollbackOrders(gateway.clone());
    assert_eq!(beat(&mut office, 6, Some((1, none))), std::slice::from_ref(&wanted));
    let frame = Digest([5; 32]);
    let orders = authority::orders_for(&office.state, &gateway, office.now);
    office.presence.orders_sent(office.now, &gateway, orders, frame);
    assert!(beat(&mut office, 7, Some((1, none))).is_empty(), "on its way");
    office.now = office.now.plus_ms(5_000);
    assert_eq!(beat(&mut office, 8, Some((1, none))), std::slice::from_ref(&wanted));
    assert!(beat(&mut office, 9, Some((1, frame))).is_empty());
    office.now = office.now.plus_ms(DAY_MS);
    assert_eq!(beat(&mut office, 10, Some((1, frame))), std::slice::from_ref(&wanted), "proved again every day");
    office.pass(31 * DAY_MS);
    assert_eq!(beat(&mut office, 11, Some((1, frame))), [wanted], "the end of the order too");
}

#[test]
fn sec_12_evidence_is_composed_again_where_witnesses_are_named() {
    let refreshed = |office: &mut Office| {
        office.deploy("D-1", &all(22, "")).expect("approved");
        office.now = office.now.plus_ms(13 * HOUR_MS);
        let round = office.desk.round(&mut office.state, office.now, &mut office.presence, &[]).expect("applies");
        round.outbound.iter().filter(|o| matches!(o, Outbound::Release(_))).count()
    };
    assert_eq!(refreshed(&mut Office::new()), 0, "without witnesses evidence does not age");
    let mut office = Office::new();
    let witness = mdfm_shared::tlog::Cosigner::new("w.example/1", key(90)).expect("a good name").key().to_vkey();
    let mut root = mdfm_shared::fixture::root(2);
    root.witnesses = mdfm_shared::trust::Witnesses { keys: vec![witness], threshold: 1 };
    office.give("admin", Command::AddTrustRoot { root: signed(&root, &[1, 2]) });
    assert_eq!(refreshed(&mut office), 1);
}

#[test]
fn sec_12_records_never_go_back_in_time() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    let (last, behind) = (office.now, UtcMillis(office.now.0 - DAY_MS));
    office.entries.clear();
    let round = |office: &mut Office, clock: UtcMillis, n: u8| {
        let account = Command::CreateUser {
            user: id(&format!("user-{n}")),
            printed_name: "Somebody".into(),
            roles: vec![AccessRole::Auditor],
            hospital: None,
            credential: Digest([n; 32]),
        };
        let submission = Submission::new(person("admin"), account);
        let round = office.desk.round(&mut office.state, clock, &mut office.presence, &[submission]).expect("applies");
        office.entries.extend(round.entries);
        assert_eq!(round.answers, [Ok(())]);
    };
    round(&mut office, behind, 1);
    round(&mut office, behind.plus_ms(1_000), 2);
    // A coordinator that starts again knows from its log.
    office.desk = Desk::new(key(12), 60_000, behind);
    round(&mut office, behind.plus_ms(2_000), 3);
    let records = |office: &Office| -> Vec<AuditRecord> {
        office.entries.iter().map(|e| AuditRecord::from_bytes(e).expect("own record")).collect()
    };
    assert!(records(&office).iter().all(|r| r.at_ms >= last.0), "no record is stamped before the last");
    let recorded = |office: &Office, action: &str| records(office).iter().filter(|r| r.action == action).count();
    let behind = symptom("The coordinator does nothing", "clock.behind");
    assert_eq!(recorded(&office, behind.words()), 1, "said once");
    assert!(kinds(&office).contains(&NoticeKind::ClockBehind));
    round(&mut office, last.plus_ms(1_000), 4);
    round(&mut office, last.plus_ms(2_000), 5);
    assert_eq!((recorded(&office, "clock.behind"), recorded(&office, "clock.caught-up")), (1, 1));
    assert_eq!(office.state.last_record_at, last.plus_ms(2_000), "and then the clock counts again");
    round(&mut office, last.plus_ms(1_500), 6);
    assert_eq!(recorded(&office, "clock.behind"), 1, "half a second is a correction by a time server");
}

#[test]
fn sec_12_devices_do_not_fall_silent_because_a_clock_was_set_back() {
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    office.live(1_000);
    let behind = UtcMillis(office.now.0 - DAY_MS);
    office.state.devices.keys().for_each(|d| office.presence.attach(d.clone(), behind));
    office.desk.round(&mut office.state, behind, &mut office.presence, &[]).expect("applies");
    assert_eq!(office.deployment("D-1").sum(|t| t.silent), 0);
}

#[test]
fn fld_25_a_clock_set_back_calls_nobody_alive() {
    for set_back_after_ms in [1_000, 40_000] {
        let mut office = Office::new();
        office.deploy("D-1", &all(22, "")).expect("approved");
        office.live(1_000);
        office.pass(set_back_after_ms);
        office.now = UtcMillis(office.now.0 - DAY_MS);
        office.pass(0);
        let left_ms = 60_000 - set_back_after_ms;
        office.pass(left_ms);
        assert_eq!(office.deployment("D-1").sum(|t| t.silent), 0, "not yet");
        // A device that was away stays away, whatever the clock says; the others are heard of.
        let here: Vec<_> = office.state.devices.keys().skip(1).cloned().collect();
        here.into_iter().for_each(|d| office.presence.attach(d, office.now));
        office.pass(2_000);
        assert_eq!(office.deployment("D-1").sum(|t| t.silent), 1);
        office.live(1_000);
        assert_eq!(office.deployment("D-1").sum(|t| t.silent), 0, "it is back");
    }
}

#[test]
fn fld_25_a_clock_set_back_hides_no_difference() {
    let mut office = Office::new();
    let (last, ward) = (office.now, device(1, 1));
    office.give("operator", Command::RegisterGateway { gateway: id("GW-5"), hospital: id("H-1") });
    office.enrol(5);
    let observed = mdfm_shared::observed::ObservedDevice {
        present: true,
        model: MODEL.into(),
        serial: "SN-1-1".into(),
        hardware: "B".into(),
        running: FirmwareReport {
            version: "2.1.0".into(),
            release_number: 1,
            security_version: 3,
            sha256: Digest([1; 32]),
        },
        boot_count: 7,
        unordered_reboots: 0,
        recent_reboots: 0,
        last_reboot_at: None,
        contested: false,
        since: NOW,
    };
    for h in [1, 5] {
        let kind = EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed.clone()) };
        office.tell(h, vec![Reported { device: Some(ward.clone()), at: office.now, kind }]);
    }
    office.now = UtcMillis(last.0 - DAY_MS);
    (0..200).for_each(|_| office.pass(1_000));
    assert!(office.now < last && office.state.devices[&ward].differences.len() == 1, "it is behind two gateways");
}

#[test]
fn sec_12_old_states_and_old_records_are_still_read() {
    let office = Office::new();
    let mut state = serde_json::to_value(&office.state).expect("encodes");
    let fields = state.as_object_mut().expect("an object");
    for field in ["authority", "last_record_at", "clock_behind"] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    let read = State::from_snapshot(&serde_json::to_vec(&state).expect("encodes")).expect("an older state");
    assert!(read.authority.orders.is_empty() && read.authority.withdrawals.is_none());
}
