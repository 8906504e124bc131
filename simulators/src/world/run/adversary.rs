//! Somebody who means harm: one holds a gateway with its key and says what it likes, the other holds the coordinator's keys and
//! orders what it likes and keeps documents back. Whatever they do, `oracle.rs` says how far it may reach.

use mdfm_shared::digest::Digest;
use mdfm_shared::directive::{Action, DeviceDirective, Directive, Finish, Window};
use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::{
    DeviceHeartbeat, Event as Reported, EventKind, FirmwareReport, Heartbeat, InstallState, REFUSED_ROLLBACK, Severity,
    TelemetryBatch,
};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::Checkpoint;
use mdfm_shared::wire::{self, Topic};

use super::super::device::{HARDWARE, MODEL};
use super::super::oracle::Broken;
use super::super::rng::Rng;
use super::super::scenario::Adversary;
use super::super::setup::{self, START};
use super::{Event, World, id};

/// Time between two acts of the adversary.
const ACT_MS: u64 = 7_000;
/// Serials of the thief's directives begin here: above what the coordinator has given.
const SERIAL: u64 = 100_000;

/// What the adversary remembers.
pub(super) struct Malice {
    rng: Rng,
    acts: u64,
    /// Newest committed batch of the gateway that it holds.
    head: Digest,
    /// A batch that it sent before, to send it again.
    old: Option<Vec<u8>>,
}

impl Malice {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed, 4), acts: 0, head: Digest([0; 32]), old: None }
    }
}

impl World<'_> {
    /// The gateway that the adversary holds.
    pub(super) fn hostile(&self) -> Option<usize> {
        match self.scenario.adversary {
            Some(Adversary::Gateway { gateway, from_s }) if self.now_ms >= from_s * 1_000 => Some(gateway - 1),
            _ => None,
        }
    }

    /// The adversary's first act, if the world has one.
    pub(super) fn await_adversary(&mut self) {
        match self.scenario.adversary {
            Some(Adversary::Gateway { from_s, .. } | Adversary::Coordinator { from_s }) => {
                self.after(from_s * 1_000, Event::Adversary);
            }
            Some(Adversary::Clocks) | None => {}
        }
    }

    /// One act, and when the next one comes. In the calm the adversary is gone.
    pub(super) fn adversary(&mut self) -> Result<(), Broken> {
        if self.calm {
            return Ok(());
        }
        self.after(ACT_MS, Event::Adversary);
        match self.scenario.adversary {
            Some(Adversary::Gateway { gateway, .. }) => self.lie(gateway - 1),
            Some(Adversary::Coordinator { .. }) => self.order_harm(),
            Some(Adversary::Clocks) | None => Ok(()),
        }
    }

    /// Whoever holds the coordinator's machine keeps documents back: rosters, withdrawals and orders mostly.
    pub(super) fn withholds(&mut self, topic: &str) -> bool {
        let Some(Adversary::Coordinator { from_s }) = self.scenario.adversary else { return false };
        let is_told = matches!(
            Topic::parse(topic),
            Some(Topic::Roster | Topic::Withdrawals | Topic::RollbackOrders(_) | Topic::Ack(_))
        );
        !self.calm && self.now_ms >= from_s * 1_000 && is_told && !self.malice.rng.one_in(4)
    }

    /// A batch of the gateway that the adversary holds became part of the log.
    pub(super) fn note_head(&mut self, batch: &Signed<TelemetryBatch>) {
        if let (Some(hostile), Ok(told)) = (self.scenario.adversary, batch.decode_unverified())
            && let Adversary::Gateway { gateway, .. } = hostile
            && self.gateways[gateway - 1].id == told.gateway
        {
            self.malice.head = batch.digest();
        }
    }

    /// Telemetry and a heartbeat with the gateway's own key: anything about anybody's devices.
    fn lie(&mut self, gateway: usize) -> Result<(), Broken> {
        if self.gateways[gateway].agent.is_some() {
            let name = self.gateways[gateway].id.to_string();
            self.say(&name, "is in the hands of the adversary");
            self.stop_agent(gateway);
        }
        if !self.coordinator_up {
            return Ok(());
        }
        let key = self.gateways[gateway].enrolment.key.clone();
        let who = self.gateways[gateway].id.clone();
        self.malice.acts += 1;
        let events: Vec<Reported> =
            (0..self.malice.rng.between(1, 4)).filter_map(|_| self.lie_about(gateway)).collect();
        let (epoch, sequence) = self.coordinator.committed(&who).unwrap_or((1, 0));
        if !events.is_empty() {
            let batch = TelemetryBatch {
                gateway: who.clone(),
                epoch,
                sequence: sequence + 1,
                previous: self.malice.head,
                events,
            };
            let signed = Signed::sign(&batch, &[&key]).expect("small documents");
            let payload = wire::encode(&signed);
            self.coordinator.hear(self.utc(), &Topic::Telemetry(who.clone()), &payload)?;
            self.spread()?;
            if let Some(old) = self.malice.old.replace(payload) {
                self.coordinator.hear(self.utc(), &Topic::Telemetry(who.clone()), &old)?;
            }
        }
        let heartbeat = Heartbeat {
            gateway: who.clone(),
            epoch,
            sequence: 1_000_000 + self.malice.acts,
            at: self.utc(),
            root_version: 1,
            roster_version: 1,
            directive_serial: self.malice.acts * 1_000,
            checkpoint_size: 0,
            missing_releases: vec![Digest([9; 32])],
            outbox_depth: 0,
            held_trust: None,
            observed: None,
            devices: self
                .sites
                .iter()
                .map(|s| DeviceHeartbeat {
                    device: s.id.clone(),
                    state: InstallState::RollbackFailed,
                    attached: true,
                    in_use: false,
                })
                .collect(),
        };
        let signed = Signed::sign(&heartbeat, &[&key]).expect("small documents");
        self.coordinator.hear(self.utc(), &Topic::Heartbeat(who), &wire::encode(&signed))?;
        self.spread()
    }

    /// One made-up event, mostly about a device of the gateway.
    fn lie_about(&mut self, gateway: usize) -> Option<Reported> {
        let own: Vec<DeviceId> = self.gateways[gateway].devices.keys().cloned().collect();
        let all: Vec<DeviceId> = self.sites.iter().map(|s| s.id.clone()).collect();
        let known: Vec<(usize, DeploymentId)> =
            self.deployments.iter().enumerate().filter_map(|(i, d)| Some((i, d.clone()?))).collect();
        let utc = self.utc();
        let rng = &mut self.malice.rng;
        let device = if rng.one_in(4) { rng.pick(&all).clone() } else { rng.pick(&own).clone() };
        let deployment = (!known.is_empty()).then(|| rng.pick(&known).clone());
        let state = *rng.pick(&[
            InstallState::Probation,
            InstallState::Confirmed,
            InstallState::Failed,
            InstallState::RollingBack,
            InstallState::RolledBack,
            InstallState::RollbackFailed,
        ]);
        let firmware = FirmwareReport {
            version: "9.9.9".into(),
            release_number: rng.between(0, 50),
            security_version: *rng.pick(&[0, 1, 2, u32::MAX]),
            sha256: Digest([rng.between(0, 255) as u8; 32]),
        };
        let what = rng.between(0, 9);
        let manifest_of = |i: usize| {
            let release = self.scenario.deploy[i].release;
            setup::signed_manifest(&setup::manifest(release, &self.scenario.release[release - 1])).digest()
        };
        let kind = match (what, deployment) {
            (0..=2, _) => EventKind::DeviceError {
                severity: Severity::Critical,
                code: "MADE-UP".into(),
                message: "danger to the patient".into(),
            },
            (3, _) => {
                EventKind::DeviceError { severity: Severity::Error, code: "MADE-UP".into(), message: "fault".into() }
            }
            (4, _) => EventKind::DeviceAdopted { model: MODEL.into(), hardware: HARDWARE.into(), firmware },
            (5, _) => EventKind::Refused { what: REFUSED_ROLLBACK.into(), reason: "it likes it here".into() },
            (6, Some((_, deployment))) => {
                let given = self.malice.rng.one_in(2);
                EventKind::Consent { deployment, given, reason: "made up".into(), uid: 0 }
            }
            (_, Some((i, deployment))) => EventKind::StateChanged {
                state,
                manifest: manifest_of(i),
                deployment,
                running: Some(firmware),
                detail: "rollback ordered".into(),
            },
            (_, None) => return None,
        };
        // Its clock is its own too.
        let at = if what == 3 { UtcMillis(0) } else { utc };
        Some(Reported { device: Some(device), at, kind })
    }

    /// A directive with the coordinator's key, and a checkpoint with the log's, for one gateway.
    fn order_harm(&mut self) -> Result<(), Broken> {
        self.malice.acts += 1;
        let serial = SERIAL + self.malice.acts * 10;
        let utc = self.utc();
        let manifests: Vec<Digest> = self
            .scenario
            .release
            .iter()
            .enumerate()
            .map(|(i, release)| setup::signed_manifest(&setup::manifest(i + 1, release)).digest())
            .collect();
        let rng = &mut self.malice.rng;
        let gateway = rng.between(1, self.gateways.len() as u64) as usize - 1;
        let mut devices = Vec::new();
        for device in self.gateways[gateway].devices.keys() {
            let manifest = if rng.one_in(5) { Digest([77; 32]) } else { *rng.pick(&manifests) };
            let windows = vec![Window { opens_at: UtcMillis(0), closes_at: UtcMillis(u64::MAX) }];
            let action = match rng.between(0, 4) {
                0 | 1 => Action::Install { manifest },
                2 => Action::Hold { manifest },
                3 => Action::InstallWithin { manifest, windows, finish: Finish::Anytime },
                _ => Action::Rollback { manifest },
            };
            devices.push(DeviceDirective {
                device: device.clone(),
                deployment: id(&format!("D-{}", rng.between(1, 3))),
                phase: 0,
                action,
                security_floor: *rng.pick(&[0, 0, 0, u32::MAX]),
            });
        }
        let expires_at = if rng.one_in(4) { START } else { utc.plus_ms(86_400_000) };
        let directive =
            Directive { gateway: self.gateways[gateway].id.clone(), serial, issued_at: utc, expires_at, devices };
        let signed = Signed::sign(&directive, &[&setup::online_key()]).expect("small documents");
        let topic = Topic::Directive(directive.gateway.clone()).to_string();
        self.send_down(gateway, &topic, &wire::encode(&signed));
        // A log of its own that nobody has seen: larger than any, and of another root.
        let signer = setup::log_signer();
        let fork =
            Checkpoint { origin: signer.key().name().to_owned(), size: 1_000_000 + self.malice.acts, root: [7; 32] };
        if let Ok(note) = fork.sign(&signer) {
            self.send_down(gateway, &Topic::Checkpoint.to_string(), note.as_bytes());
        }
        Ok(())
    }
}
