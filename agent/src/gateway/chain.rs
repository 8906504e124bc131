//! What the gateway does about its telemetry chain: it frees what the coordinator proves to hold, and after a new epoch or a new enrolment
//! it reports every device again, so that what was lost with an older state is known again.

use mdfm_shared::directive::ChainHead;
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::{EventKind, InstallState, REFUSED_CHAIN};

use super::{Gateway, GatewayError};
use crate::installer::{Input, Now};
use crate::store::{HeadError, Store, Write};
use crate::trust::Refused;

/// Devices that are to be reported again, until they have been.
const DUE_PREFIX: &str = "report-again/";

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
    pub(super) fn load_due(&mut self) -> Result<(), GatewayError> {
        let due = self.store.scan(DUE_PREFIX)?;
        let ids = due.into_iter().filter_map(|(key, _)| key.trim_start_matches(DUE_PREFIX).parse().ok());
        self.due = ids.filter(|id| self.devices.contains_key(id)).collect();
        Ok(())
    }

    /// Takes a verified statement of what the coordinator holds of this gateway's telemetry.
    pub(super) fn take_head(&mut self, now: Now, head: &ChainHead) -> Result<(), GatewayError> {
        let at = self.time.stamp(now);
        let followed = self.outbox.take_head(&self.store, (now.mono, at), head)?;
        let mut writes = followed.writes;
        if followed.begins_again {
            tracing::warn!(
                gateway = %self.who.gateway,
                epoch = self.outbox.epoch(),
                "the coordinator holds other telemetry than this gateway, which was set back or copied; a new epoch begins"
            );
            writes.extend(self.mark_due());
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
    pub(super) fn mark_due(&mut self) -> Vec<Write> {
        // One that was never seen is reported when it is adopted.
        let is_known = |id: &DeviceId| {
            let journal = self.devices[id].installer.journal();
            journal.confirmed.is_some() || journal.plan.is_some()
        };
        self.due = self.devices.keys().filter(|id| is_known(id)).cloned().collect();
        let waits = self.forget_reported_waits();
        self.due.iter().map(|id| (due_key(id), Some(vec![1]))).chain(waits).collect()
    }

    /// Reports every device that is due; one that is away from its journal, and again when it is back.
    pub(super) fn report_again(&mut self, now: Now) -> Result<(), GatewayError> {
        for device in self.due.iter().cloned().collect::<Vec<_>>() {
            if self.devices[&device].installer.is_attached(now.mono) {
                self.report_if_due(now, &device)?;
            } else if let Some(state) = self.state_event(&device) {
                self.record(now, Some(&device), [state], Vec::new())?;
            }
        }
        Ok(())
    }

    /// Reports a device again that has just reported itself.
    pub(super) fn report_if_due(&mut self, now: Now, device: &DeviceId) -> Result<(), GatewayError> {
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
