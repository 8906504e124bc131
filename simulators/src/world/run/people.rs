//! What people do: upload, approve, deploy, sign at gates, consent, and decide what was left paused.

use mdfm_shared::id::DeploymentId;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::{Role, Validation};

use super::super::act::Act;
use super::super::device::MODEL;
use super::super::oracle::Broken;
use super::super::setup;
use super::{Event, World, id};

impl World<'_> {
    pub(super) fn upload(&mut self, i: usize) -> Result<(), Broken> {
        if !self.coordinator_up {
            self.after(5_000, Event::Upload(i));
            return Ok(());
        }
        let scenario = self.scenario;
        let release = &scenario.release[i];
        let manifest = setup::manifest(i + 1, release);
        let (sha256, size_bytes) = (manifest.sha256, manifest.size_bytes());
        self.flaws.extend(release.flaw.iter().map(|(device, flaw)| ((sha256, *device), *flaw)));
        let (firmware, version) = (manifest.firmware_id.clone(), manifest.version.clone());
        let act = Act::Firmware { firmware: firmware.clone(), version, model: MODEL.into(), sha256, size_bytes };
        self.act("uploader", act)?;
        self.act("uploader", Act::Manifest { firmware, manifest: setup::signed_manifest(&manifest) })?;
        let emergency = release.class == "emergency";
        for (n, role) in Role::ALL.into_iter().enumerate() {
            let needed = !(emergency && role == Role::Qa);
            if needed && !release.withheld.contains(&role.to_string()) {
                let at_ms = self.now_ms + release.approve_after_s * 1_000 * (n as u64 + 1) / 3;
                self.to_approve.push((at_ms, i, role));
            }
        }
        Ok(())
    }

    pub(super) fn deploy(&mut self, i: usize) -> Result<(), Broken> {
        if !self.coordinator_up {
            self.after(5_000, Event::Deploy(i));
            return Ok(());
        }
        let deploy = &self.scenario.deploy[i];
        let deployment: DeploymentId = id(&format!("D-{}", i + 1));
        let firmware = setup::firmware_id(deploy.release);
        // What is in the way is taken over from, where that is allowed.
        let in_the_way: Vec<String> = self.deployments[..i]
            .iter()
            .flatten()
            .filter(|d| self.coordinator.deployment(d).is_some_and(|r| matches!(r.status, "running" | "paused")))
            .map(|d| format!("{:?}", d.as_str()))
            .collect();
        let supersedes = in_the_way.join(",");
        let json =
            deploy.json.replacen('{', &format!(r#"{{ "firmwareId": "{firmware}", "supersedes": [{supersedes}], "#), 1);
        if self.coordinator.deployment(&deployment).is_some() {
            // An earlier request got no answer, and yet it stands.
            return Ok(());
        }
        self.deployments[i] = Some(deployment.clone());
        if !self.act("operator", Act::Deploy { deployment: deployment.clone(), json })? {
            if self.coordinator.is_off() {
                self.after(30_000, Event::Deploy(i));
                return Ok(());
            }
            self.deployments[i] = None;
            if self.oracle.is_approved(&firmware) && !self.calm {
                // Something stood in the way: the operator tries again, taking over from whoever may be superseded.
                self.after(60_000, Event::Deploy(i));
            }
        }
        Ok(())
    }

    /// People look at what waits for them: approvals, gates, consents; and in the end at what was left paused.
    pub(super) fn people(&mut self) -> Result<(), Broken> {
        if !self.coordinator_up {
            return Ok(());
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.to_approve).into_iter().partition(|(at_ms, _, _)| *at_ms <= self.now_ms);
        self.to_approve = later;
        for (_, i, role) in due {
            let manifest = setup::signed_manifest(&setup::manifest(i + 1, &self.scenario.release[i]));
            let approval = setup::approval(&manifest, role, self.utc());
            self.act(setup::approver(role).0, Act::Approve { firmware: setup::firmware_id(i + 1), approval })?;
        }
        for i in 0..self.deployments.len() {
            let Some(deployment) = self.deployments[i].clone() else { continue };
            let Some(report) = self.coordinator.deployment(&deployment) else { continue };
            if let Some(role) = report.awaits {
                let since = *self.waiting.entry((i, report.current)).or_insert(self.now_ms);
                if self.calm || self.now_ms >= since + self.scenario.deploy[i].sign_after_s * 1_000 {
                    self.sign(i, &deployment, report.current, role)?;
                }
            }
            for hospital in report.unasked {
                if report.status == "running" && (self.calm || self.rng.one_in(10)) {
                    self.act("operator", Act::Consent { deployment: deployment.clone(), hospital })?;
                }
            }
            if let (true, Some(hostile)) = (self.calm, self.hostile()) {
                // Somebody finds out whose word it was: the hospital leaves the deployment, the others go on.
                let hospital = self.gateways[hostile].hospital.clone();
                if matches!(report.status, "running" | "paused") && self.left_out.insert((i, hospital.clone())) {
                    let act = Act::RollBackHospital { deployment: deployment.clone(), hospital };
                    self.act("operator", act)?;
                }
                if report.status == "paused" {
                    // A phase of which nobody is left proves nothing: what is done stays, and that is all.
                    let is_empty = report.reason.contains("was taken out of it");
                    let deployment = deployment.clone();
                    let act = if is_empty { Act::Abort { deployment } } else { Act::Resume { deployment } };
                    self.act("operator", act)?;
                }
            } else if self.calm && report.status == "paused" {
                self.act("operator", Act::RollBack { deployment: deployment.clone() })?;
            } else if self.calm && report.status == "running" && report.shows_nothing {
                // Whoever looks at the gate reads that no device of the phase shows anything, and decides.
                self.act("operator", Act::Abort { deployment: deployment.clone() })?;
            }
        }
        Ok(())
    }

    pub(super) fn sign(&mut self, i: usize, deployment: &DeploymentId, phase: u32, role: Role) -> Result<(), Broken> {
        let release = self.scenario.deploy[i].release;
        let manifest = setup::signed_manifest(&setup::manifest(release, &self.scenario.release[release - 1])).digest();
        let (user, key) = setup::approver(role);
        let validation = Validation {
            deployment: deployment.clone(),
            phase,
            manifest,
            evidence: None,
            role,
            user: id(user),
            printed_name: user.to_owned(),
            meaning: format!("I validate phase {phase}"),
            reason: "rehearsed".into(),
            at: self.utc(),
        };
        let validation = Signed::sign(&validation, &[&key]).expect("small documents");
        self.act(user, Act::Validate { deployment: deployment.clone(), validation })?;
        Ok(())
    }
}
