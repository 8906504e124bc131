//! What the gateway does about its telemetry chain: it frees what the coordinator proves to hold, and after a new epoch or a new enrolment
//! it reports every device again, so that what was lost with an older state is known again.

use std::collections::BTreeSet;

use mdfm_shared::directive::ChainHead;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::{EventKind, InstallState, REFUSED_CHAIN};
use mdfm_shared::time::MonotonicMs;

use super::{Gateway, GatewayError, observation_key};
use crate::installer::{Input, Now};
use crate::store::{HeadError, Store, Write};
use crate::trust::Refused;

/// Devices that are to be reported again, until they have been.
const DUE_PREFIX: &str = "report-again/";

/// Devices that have not reported since the gateway's state began or was put back, until that is reported.
const UNSEEN_PREFIX: &str = "unseen/";
/// Time after which it is reported: a device that is only restarting is back long before.
const UNSEEN_AFTER_MS: u64 = 10 * 60_000;

fn unseen_key(device: &DeviceId) -> String {
    format!("{UNSEEN_PREFIX}{device}")
}

fn due_key(device: &DeviceId) -> String {
    format!("{DUE_PREFIX}{device}")
}

impl From<HeadError> for GatewayError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Store(error) => Self::Store(error),
            HeadError::Sign(error) => Self::Sign(error),
        }
    }
}

impl<S: Store> Gateway<S> {
    /// Takes up which devices are still to be reported again.
    pub(super) fn load_due(&mut self, now: Now) -> Result<(), GatewayError> {
        let read = |prefix: &str| -> Result<BTreeSet<DeviceId>, GatewayError> {
            let kept = self.store.scan(prefix)?;
            let ids = kept.into_iter().filter_map(|(key, _)| key.strip_prefix(prefix)?.parse().ok());
            Ok(ids.filter(|id| self.devices.contains_key(id)).collect())
        };
        let (due, unseen) = (read(DUE_PREFIX)?, read(UNSEEN_PREFIX)?);
        for id in &due {
            if let Some(state) = self.devices.get_mut(id) {
                state.installer.note_set_back();
            }
        }
        self.due = due;
        self.unseen = unseen.into_iter().map(|id| (id, now.mono.plus_ms(UNSEEN_AFTER_MS))).collect();
        Ok(())
    }

    /// Takes a verified statement of what the coordinator holds of this gateway's telemetry.
    pub(super) fn take_head(&mut self, now: Now, head: &ChainHead) -> Result<(), GatewayError> {
        let at = self.time.stamp(now);
        self.troubles.head_came = true;
        let followed = self.outbox.take_head(&self.store, (now.mono, at), head)?;
        let mut writes = followed.writes;
        if followed.begins_again {
            tracing::warn!(
                gateway = %self.who.gateway,
                epoch = self.outbox.epoch(),
                "the coordinator holds other telemetry than this gateway, which was set back or copied; a new epoch begins"
            );
            writes.extend(self.mark_due(now));
        }
        self.record(now, None, [], writes)?;
        if followed.must_ask {
            let reason = format!(
                "the coordinator holds batch {}.{} ({}), which this gateway did not make: it was set back, or another machine uses its key",
                head.epoch,
                head.sequence,
                head.head.short()
            );
            self.refuse(now, None, &Refused { what: REFUSED_CHAIN, reason })?;
        }
        if followed.begins_again {
            self.report_again(now)?;
            // The coordinator counts heartbeats by epoch.
            self.next_heartbeat = now.mono;
        }
        Ok(())
    }

    /// The writes that make every device due to be reported again.
    pub(super) fn mark_due(&mut self, now: Now) -> Vec<Write> {
        self.devices.values_mut().for_each(|state| state.installer.note_set_back());
        // One that was never seen is reported when it is adopted.
        let is_known = |id: &DeviceId| {
            let journal = self.devices[id].installer.journal();
            journal.confirmed.is_some() || journal.plan.is_some()
        };
        self.due = self.devices.keys().filter(|id| is_known(id)).cloned().collect();
        let unseen = self.mark_unseen(now);
        let waits = self.forget_reported_waits();
        self.due.iter().map(|id| (due_key(id), Some(vec![1]))).chain(unseen).chain(waits).collect()
    }

    /// The writes that make every device one that has not been seen: this machine may be the second of its gateway.
    pub(super) fn mark_unseen(&mut self, now: Now) -> Vec<Write> {
        self.unseen = self.devices.keys().map(|id| (id.clone(), now.mono.plus_ms(UNSEEN_AFTER_MS))).collect();
        let unseen = self.unseen.keys().map(|id| (unseen_key(id), Some(vec![1])));
        // What is stored of a device may be older than what the coordinator holds.
        let devices = self.devices.iter_mut();
        let forgotten = devices.filter_map(|(id, d)| d.observation.forget().then(|| (observation_key(id), None)));
        unseen.chain(forgotten).collect()
    }

    /// Reports devices of which nothing has been seen since this gateway's state began or was put back: one may be on trial, and nobody
    /// watches it.
    pub(super) fn watch_unseen(&mut self, now: Now) -> Result<(), GatewayError> {
        let is_over = |(device, at): (&DeviceId, &MonotonicMs)| (*at <= now.mono).then(|| device.clone());
        for device in self.unseen.iter().filter_map(is_over).collect::<Vec<_>>() {
            // What is asked may be older than the disk. A coordinator that answers has learned from heartbeats which directive is held here,
            // and sends a newer one if there is one; the known one is not sent again.
            if self.directive_came().is_none() && !(self.connected && self.troubles.head_came) {
                self.unseen.insert(device, now.mono.plus_ms(UNSEEN_AFTER_MS));
                continue;
            }
            let unseen = self.devices[&device].installer.unseen();
            self.record(now, Some(&device), unseen, vec![(unseen_key(&device), None)])?;
            self.unseen.remove(&device);
        }
        Ok(())
    }

    /// Reports every device that is due; one that is away from its journal, and again when it is back.
    pub(super) fn report_again(&mut self, now: Now) -> Result<(), GatewayError> {
        for device in self.due.iter().cloned().collect::<Vec<_>>() {
            if self.devices[&device].installer.is_attached(now.mono) {
                self.report_if_due(now, &device)?;
            } else if self.unseen.contains_key(&device) && !self.devices[&device].installer.has_booted() {
                // It may be further than the journal: `watch_unseen` reports it if it stays away.
            } else if let Some(state) = self.state_event(&device) {
                self.record(now, Some(&device), [state], Vec::new())?;
            }
        }
        Ok(())
    }

    /// Reports a device again that has just reported itself.
    pub(super) fn report_if_due(&mut self, now: Now, device: &DeviceId) -> Result<(), GatewayError> {
        if self.unseen.remove(device).is_some() {
            self.store.commit(vec![(unseen_key(device), None)])?;
        }
        if !self.due.contains(device) {
            return Ok(());
        }
        // The journal may be older than the device.
        self.input(now, device, Input::SetBack)?;
        let Some(report) = self.devices.get(device).and_then(|d| d.report.clone()) else { return Ok(()) };
        // What a device runs on trial is no baseline; its state says that it is on trial.
        let adopted = report.confirmed.then(|| EventKind::DeviceAdopted {
            model: report.model.clone(),
            hardware: report.hardware.clone(),
            firmware: report.running.clone(),
        });
        let events = adopted.into_iter().chain(self.state_event(device)).collect::<Vec<_>>();
        self.record(now, Some(device), events, vec![(due_key(device), None)])?;
        self.due.remove(device);
        Ok(())
    }

    /// The state of a device's installation as its journal has it; `None` if nothing was ever installed.
    fn state_event(&self, device: &DeviceId) -> Option<EventKind> {
        let state = self.devices.get(device)?;
        let journal = state.installer.journal();
        let plan = journal.plan.as_ref()?;
        let running = match journal.state() {
            InstallState::Probation | InstallState::Confirmed | InstallState::RolledBack => {
                state.report.as_ref().map(|report| report.running.clone())
            }
            _ => None,
        };
        Some(EventKind::StateChanged {
            state: journal.state(),
            manifest: plan.manifest,
            deployment: plan.deployment.clone(),
            running,
            detail: journal.detail.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
