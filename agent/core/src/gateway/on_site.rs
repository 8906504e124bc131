//! What people beside the gateway ask of it and do: look, hold, release, roll back, agree, and bring documents on removable media.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::bundle;
use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::limits::DETAIL_CHARS_MAX;
use mdfm_shared::telemetry::EventKind;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::Hash;
use mdfm_shared::wire::Topic;
use serde_json::{Value, json};

use super::{DeviceState, Gateway, GatewayError};
use crate::installer::{Input, Now, OnSite};
use crate::store::Store;

/// What somebody on site is told: words and what is behind them, or why not.
pub type Reply = Result<(String, Value), String>;

fn unknown(device: &DeviceId) -> String {
    format!("no device {device} is configured on this gateway (mdfm-agent devices)")
}

impl DeviceState {
    fn view(&self, now: Now, id: &DeviceId, waiting: Value) -> Value {
        let journal = self.installer.journal();
        let report = self.report.as_ref();
        let image = journal.plan.as_ref().map(|p| &p.image);
        json!({
            "device": id,
            "state": journal.state(),
            "detail": journal.detail,
            "waiting": waiting,
            "attached": self.installer.is_attached(now.mono),
            "inUse": report.map(|r| r.in_use),
            "running": report.map(|r| &r.running),
            "onTrial": report.map(|r| !r.confirmed),
            "lastGood": journal.confirmed,
            "goesBackTo": journal.plan.as_ref().filter(|p| p.knows_fallback()).map(|p| &p.fallback),
            "cannotGoBackBecause": self.installer.why_not_back(now.mono),
            "target": image.map(|i| &i.firmware),
            "writtenBytes": report.and_then(|r| r.staged.as_ref()).map(|s| s.written_bytes),
            "sizeBytes": image.map(|i| i.size_bytes),
            "deployment": journal.plan.as_ref().map(|p| &p.deployment),
            "refusedRelease": journal.refused.as_ref().map(|r| json!({
                "manifest": r.manifest,
                "deployment": r.deployment,
                "reason": r.reason,
            })),
            "held": journal.held,
            "quarantined": journal.is_quarantined(),
            "failuresInARow": journal.failures,
            "securityFloor": journal.security_floor,
            "confirmedAt": journal.confirmed_at.map(|at| at.to_string()),
            "recallEndsAt": journal.recall_ends_at().map(|at| at.to_string()),
            "rollbackRefused": self.installer.why_it_stays(now),
            "model": report.map(|r| &r.model),
            "serial": report.map(|r| &r.serial),
            "hardware": report.map(|r| &r.hardware),
            "bootCount": report.map(|r| r.boot_count),
            "secureBoot": report.map(|r| r.secure_boot),
            "unorderedReboots": self.observation.settled().map(|o| o.unordered_reboots),
            "idContested": self.observation.settled().is_some_and(|o| o.contested),
            "unchangedSince": self.observation.settled().map(|o| o.since.to_string()),
            "protocol": report.map(|r| r.protocol),
            "faultCounts": report.and_then(|r| r.fault_level()).map(|level| level.counts),
        })
    }
}

impl<S: Store> Gateway<S> {
    /// The hospital's staff agree to a deployment on the gateway, or take it back. It counts once the coordinator has it.
    ///
    /// # Errors
    /// The inner one says why not, in words.
    pub fn consent(
        &mut self,
        now: Now,
        deployment: &DeploymentId,
        given: bool,
        reason: &str,
        uid: u32,
    ) -> Result<Reply, GatewayError> {
        if reason.trim().is_empty() {
            return Ok(Err("say who agrees and why (--reason)".into()));
        }
        if !self.trust.names_deployment(deployment) {
            return Ok(Err(format!("deployment {deployment} is not for any device of this gateway now")));
        }
        let (deployment, reason) = (deployment.clone(), reason.to_owned());
        self.record(now, None, [EventKind::Consent { deployment, given, reason, uid }], Vec::new())?;
        let sent = if self.connected { "it is on its way to the vendor" } else { "it is sent when the line is back" };
        Ok(Ok((format!("noted; {sent}"), Value::Null)))
    }

    /// Somebody beside the device wants this.
    ///
    /// # Errors
    /// The inner one says why not, in words.
    pub fn on_site(&mut self, now: Now, device: &DeviceId, act: OnSite, uid: u32) -> Result<Reply, GatewayError> {
        let (OnSite::Hold(reason) | OnSite::Release(reason) | OnSite::RollBack(reason)) = &act;
        if reason.chars().count() > DETAIL_CHARS_MAX {
            return Ok(Err(format!("the reason must have at most {DETAIL_CHARS_MAX} characters")));
        }
        if reason.trim().is_empty() {
            return Ok(Err("say who wants it and why (--reason)".into()));
        }
        let Some(state) = self.devices.get(device) else { return Ok(Err(unknown(device))) };
        let done = match &act {
            OnSite::Hold(_) => {
                format!("{device} is left as it is until it is released (mdfm-agent release {device} --reason …)")
            }
            OnSite::Release(_) if state.installer.is_held_by_directive() => {
                format!("{device} is released; it is activated once the vendor's coordinator knows of it")
            }
            OnSite::Release(_) => format!("{device} is released"),
            OnSite::RollBack(_) => {
                if let Some(why_not) = state.installer.why_not_back(now.mono) {
                    return Ok(Err(format!("{device} is not rolled back: {why_not}")));
                }
                format!("{device} goes back to the firmware before")
            }
        };
        self.input(now, device, Input::OnSite(act, uid))?;
        Ok(Ok((done, Value::Null)))
    }

    /// The documents of a bundle come in as messages do; a question about the log is for the bundle to answer.
    pub fn import(&mut self, now: Now, topic: &str, payload: &[u8], uid: u32) -> Result<Reply, GatewayError> {
        let (refusals, came, confirmation) = (self.refused_so_far, self.troubles.directive_came, self.confirmation);
        let question = self.take(now, topic, payload)?;
        // What comes on a stick may have been under way for days.
        (self.troubles.directive_came, self.confirmation) = (came, confirmation);
        if self.refused_so_far != refusals {
            return Ok(Err(format!("{topic}: {}", self.last_refusal)));
        }
        if let Some(question) = question {
            let sizes = json!({ "old": question.old.size, "new": question.new.size });
            self.import_asking = Some(question);
            return Ok(Ok(("needs a proof from the bundle".into(), sizes)));
        }
        if matches!(Topic::parse(topic), Some(Topic::Directive(_))) {
            // Where there is no line, whoever brings a bundle brings the coordinator's word.
            self.confirm(now)?;
        }
        let command = format!("import {topic}");
        self.record(now, None, [EventKind::LocalAction { command, uid }], Vec::new())?;
        Ok(Ok(("taken, or known already".into(), Value::Null)))
    }

    /// The bundle's answer to the question that its last document raised.
    pub fn import_proof(
        &mut self,
        now: Now,
        sizes: (u64, u64),
        proof: &[Hash],
        uid: u32,
    ) -> Result<Reply, GatewayError> {
        let Some(question) = self.import_asking.take_if(|q| (q.old.size, q.new.size) == sizes) else {
            return Ok(Err("this proof was not asked for".into()));
        };
        let refusals = self.refused_so_far;
        let command = format!("import a proof that the audit log of size {} became that of size {}", sizes.0, sizes.1);
        self.record(now, None, [EventKind::LocalAction { command, uid }], Vec::new())?;
        let next = self.answer(now, *question, proof)?;
        if let Some(question) = next {
            let sizes = json!({ "old": question.old.size, "new": question.new.size });
            self.import_asking = Some(question);
            return Ok(Ok(("needs another proof from the bundle".into(), sizes)));
        }
        if self.refused_so_far != refusals {
            return Ok(Err(self.last_refusal.clone()));
        }
        Ok(Ok(("proved, taken".into(), Value::Null)))
    }

    /// The telemetry that waits, for a bundle. What was not yet sealed is sealed now: it leaves the gateway.
    pub fn export(&mut self) -> Result<Reply, GatewayError> {
        let writes = self.outbox.seal_all()?;
        if !writes.is_empty() {
            self.store.commit(writes)?;
        }
        let topic = Topic::Telemetry(self.who.gateway.clone()).to_string();
        let document = |frame: &Vec<u8>| bundle::Document { topic: topic.clone(), payload: STANDARD.encode(frame) };
        let frames = self.outbox.pending(&self.store)?;
        Ok(Ok((self.who.gateway.to_string(), json!(frames.iter().map(document).collect::<Vec<_>>()))))
    }

    /// How the gateway is.
    pub fn status(&self, now: Now) -> Value {
        let directive = self.trust.directive();
        let trusted = self.time.trusted(now);
        let bars = self.trust.bars(now.utc, trusted.utc).into_iter().map(|(_, reason)| reason);
        let expiries = self.trust.expiries(trusted.utc);
        let ends = |name: &str| expiries.iter().find(|e| e.name == name).map(|e| e.expires_at.to_string());
        let clock_ahead = self.clock_ahead(now);
        let warnings = expiries.iter().filter_map(|e| e.warning(trusted.utc));
        let warnings = warnings.chain(clock_ahead.as_ref().map(|why| format!("the clock seems to be ahead: {why}")));
        let stays = self.devices.iter().filter_map(|(id, d)| Some((id, d.installer.why_it_stays(trusted)?)));
        json!({
            "gateway": self.who.gateway,
            "version": env!("CARGO_PKG_VERSION"),
            "connected": self.connected,
            "line": self.line_in_words(),
            "revoked": self.is_revoked(),
            "directiveSerial": self.trust.directive_serial(),
            "directiveExpiresAt": directive.map(|d| d.expires_at.to_string()),
            "directiveStale": self.trust.is_stale(trusted.utc),
            "nothingNewBecause": bars.collect::<Vec<_>>(),
            "waiting": self.wait_views(now),
            "warnings": warnings.collect::<Vec<_>>(),
            "rollbacksRefused": stays.map(|(id, why)| format!("{id}: {why}")).collect::<Vec<_>>(),
            "trustedTime": trusted.utc.to_string(),
            "clockBehindSeconds": self.time.behind_ms(now) / 1_000,
            "clockTrusted": self.time.is_trusted(now) && clock_ahead.is_none(),
            "coordinatorSignedAt": self.signed_time().map(|at| at.to_string()),
            "rosterExpiresAt": ends("approver roster"),
            "withdrawalsVersion": self.trust.withdrawals_version(),
            "withdrawalsExpireAt": ends("withdrawals"),
            "withdrawnReleases": self.trust.withdrawn_count(),
            "rollbackOrders": self.trust.order_labels(trusted.utc),
            "rootVersion": self.trust.root_version(),
            "rosterVersion": self.trust.roster_version(),
            "checkpointSize": self.trust.checkpoint_size(),
            "telemetry": self.telemetry_problem(now).unwrap_or_else(|| "acknowledged as it is sent".into()),
            "telemetryEpoch": self.outbox.epoch(),
            "telemetryRefused": self.outbox.is_refused(),
            "outboxDepth": self.outbox.depth(),
            "outboxBytes": self.outbox.bytes(),
            "devices": self.devices.len(),
            "devicesAttached": self.devices.values().filter(|d| d.installer.is_attached(now.mono)).count(),
        })
    }

    /// Why what is reported does not reach the log although the line stands, or could not if it did.
    fn telemetry_problem(&self, now: Now) -> Option<String> {
        self.outbox.problem(now.mono)
    }

    /// How the devices are, or one of them.
    pub fn device_views(&self, now: Now, only: Option<&DeviceId>) -> Reply {
        let chosen = self.devices.iter().filter(|(id, _)| only.is_none_or(|o| o == *id));
        let view = |(id, d): (&DeviceId, &DeviceState)| d.view(self.time.trusted(now), id, self.wait_view(now, id));
        let views: Vec<Value> = chosen.map(view).collect();
        match only {
            Some(device) if views.is_empty() => Err(unknown(device)),
            _ => Ok((String::new(), json!(views))),
        }
    }

    /// What happened lately, the newest last.
    pub fn recent(&self, device: Option<&DeviceId>, limit: usize) -> Value {
        let chosen = self.recent.iter().rev().filter(|(_, d, _)| device.is_none() || d.as_ref() == device).take(limit);
        let view = |(at, device, event): &(UtcMillis, Option<DeviceId>, EventKind)| json!({ "at": at.to_string(), "device": device, "event": event.name(), "detail": event.to_string() });
        json!(chosen.collect::<Vec<_>>().into_iter().rev().map(view).collect::<Vec<_>>())
    }
}
