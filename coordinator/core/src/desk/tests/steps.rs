//! Steps in their permitted order (21 CFR 11.10(f)): every step of a release and of a deployment, tried in every state.

use std::collections::BTreeSet;

use super::*;

const FIRMWARE: &str = "FW-50";

/// A step that somebody tries, by a name for the table.
fn steps(manifest: &Manifest) -> Vec<(&'static str, &'static str, Command)> {
    let firmware: FirmwareId = id(FIRMWARE);
    let mut approval = approval(signed(manifest, &[10]).digest(), "user-qa", Role::Qa);
    approval.at = NOW.plus_ms(1_000);
    let reason = || "x".to_owned();
    let image =
        Command::StoreImage { firmware: firmware.clone(), sha256: manifest.sha256, size_bytes: manifest.size_bytes() };
    let attach = Command::AttachManifest { firmware: firmware.clone(), manifest: signed(manifest, &[10]) };
    let approve = Command::Approve { firmware: firmware.clone(), approval: signed(&approval, &[22]) };
    let reject = Command::Reject { firmware: firmware.clone(), role: Role::Qa, reason: reason(), shown: None };
    let withdraw = Command::WithdrawFirmware { firmware, reason: reason() };
    vec![
        ("image", "uploader", image),
        ("manifest", SUBMITTER, attach),
        ("approve", "user-qa", approve),
        ("reject", "user-qa", reject),
        ("withdraw", "regulatory", withdraw),
        ("deploy", "operator", create("D-50", &all(50, ""))),
    ]
}

/// The office with the release in a state.
fn in_state(status: FirmwareStatus, manifest: &Manifest) -> Office {
    let mut office = Office::new();
    office.pass(1_000);
    let firmware: FirmwareId = id(FIRMWARE);
    let (version, model) = (manifest.version.clone(), manifest.model.clone());
    let make = Command::CreateFirmware { firmware: firmware.clone(), version, model, release_notes: String::new() };
    office.give("uploader", make);
    let all = steps(manifest);
    let give = |office: &mut Office, name: &str| {
        let (_, actor, command) = all.iter().find(|(n, ..)| *n == name).expect("a step").clone();
        office.give(actor, command);
    };
    use FirmwareStatus as S;
    if status != S::AwaitingImage {
        give(&mut office, "image");
    }
    if !matches!(status, S::AwaitingImage | S::AwaitingManifest) {
        give(&mut office, "manifest");
        office.give("operator", sbom(id(FIRMWARE)));
    }
    match status {
        S::Rejected => give(&mut office, "reject"),
        S::Withdrawn => give(&mut office, "withdraw"),
        S::ApprovalExpired => (0..60).for_each(|_| office.pass(DAY_MS)),
        S::Approved => Role::ALL.into_iter().for_each(|role| office.approve(manifest, role).expect("a good approval")),
        _ => {}
    }
    assert_eq!(office.state.firmware[&firmware].status, status);
    office
}

#[test]
fn p11_10f_a_step_out_of_its_order_is_refused_as_a_conflict_and_leaves_its_record() {
    use FirmwareStatus as S;
    let table: [(S, &[&str]); 7] = [
        (S::AwaitingImage, &["image", "withdraw"]),
        // An image may be replaced until it is signed.
        (S::AwaitingManifest, &["image", "manifest", "withdraw"]),
        (S::PendingApproval, &["approve", "reject", "withdraw"]),
        (S::Approved, &["withdraw", "deploy"]),
        // The very same manifest was refused; another one begins anew.
        (S::Rejected, &["withdraw"]),
        (S::ApprovalExpired, &["manifest", "withdraw"]),
        (S::Withdrawn, &[]),
    ];
    let manifest = release(50, FirmwareClass::Standard, 3);
    for (status, allowed) in table {
        let mut taken = BTreeSet::new();
        for (name, actor, command) in steps(&manifest) {
            let mut office = in_state(status, &manifest);
            let before = office.entries.len();
            // `attempt` asserts the record of what is refused.
            match office.attempt(actor, command) {
                Ok(()) => drop(taken.insert(name)),
                Err(refusal) => {
                    assert_eq!(refusal.class, refusal::Class::Conflict, "{name} of {status:?}: {refusal:?}");
                    assert_eq!(office.entries.len(), before + 1, "{name} of {status:?} is recorded");
                    assert_eq!(office.state.firmware[&id::<FirmwareId>(FIRMWARE)].status, status, "nothing moved");
                }
            }
        }
        assert_eq!(taken, allowed.iter().copied().collect(), "{status:?}");
    }
}

#[test]
fn p11_10f_a_deployment_takes_no_step_that_its_state_does_not_allow() {
    let reason = || "x".to_owned();
    let deployment = || id::<DeploymentId>("D-1");
    let tries = |office: &mut Office| {
        let all = [
            ("pause", Command::Pause { deployment: deployment(), reason: reason() }),
            ("resume", Command::Resume { deployment: deployment(), reason: reason() }),
        ];
        let mut taken = Vec::new();
        for (name, command) in all {
            match office.attempt("operator", command) {
                Ok(()) => taken.push(name),
                Err(refusal) => assert_eq!(refusal.class, refusal::Class::Conflict, "{name}: {refusal:?}"),
            }
        }
        taken
    };
    let mut office = Office::new();
    office.deploy("D-1", &all(22, "")).expect("approved");
    assert_eq!(tries(&mut office), ["pause", "resume"], "running, then paused");
    office.give("operator", Command::Abort { deployment: deployment(), reason: reason() });
    assert!(tries(&mut office).is_empty(), "what was aborted is over");
    let again = Command::Abort { deployment: deployment(), reason: reason() };
    assert_eq!(office.attempt("operator", again).expect_err("is over").class, refusal::Class::Conflict);
}
