//! The counts of one phase, kept up to date with every report, so that no decision has to look at every device.

use serde::{Deserialize, Serialize};

use mdfm_shared::telemetry::InstallState;

use super::{DeviceProgress, OrderedBack};

const MS_PER_HOUR: f64 = 3_600_000.0;
/// Counts that one device has a share in.
const COUNTS: usize = 18;

/// How many devices of a phase are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Devices of the phase.
    pub devices: u32,
    /// Taken out by an order that says nothing about the firmware; they are in no denominator.
    pub withdrawn: u32,
    /// Reported a state from which nothing follows without a new order, and are heard of.
    pub reported: u32,
    /// Settled or silent: they are waited for no longer.
    pub accounted: u32,
    /// Run the new firmware permanently.
    pub confirmed: u32,
    /// Failed, went back or reported errors.
    pub failed: u32,
    /// Silent, and not failed otherwise.
    pub silent: u32,
    /// Silent while on trial.
    pub silent_on_trial: u32,
    /// With a patient-safety error.
    pub critical: u32,
    /// Reported something for this deployment.
    pub begun: u32,
    /// Begun and not settled.
    pub in_flight: u32,
    /// Begun and not shown to be off the new firmware.
    pub away: u32,
    /// Need manual intervention.
    pub alarms: u32,
    /// Called back, and refused: they wait for a rollback order.
    pub stays: u32,
    /// Withdrawn because their hospital went back after a fault on one gateway of it.
    #[serde(default)]
    pub contained: u32,
    /// Of those, the ones that failed themselves.
    #[serde(default)]
    pub contained_failed: u32,
    /// Withdrawn because somebody exchanged them or gave them other firmware by hand.
    #[serde(default)]
    pub left: u32,
    /// Confirmed, neither failed nor silent, and their own fault counters covered the whole trial: that they are clean is known.
    #[serde(default)]
    pub proved_clean: u32,
    /// Under observation on the new firmware now.
    observing: u32,
    /// Sum of the times since when, in milliseconds after the deployment began.
    observing_since_ms: u64,
    /// Time under observation of those that are no longer.
    observed_ms: u64,
    /// The part of each of these three of devices whose fault counters covered the whole trial.
    #[serde(default)]
    observing_counted: u32,
    #[serde(default)]
    observing_counted_since_ms: u64,
    #[serde(default)]
    observed_counted_ms: u64,
}

/// One device's share in the counts.
fn share(p: &DeviceProgress) -> [bool; COUNTS] {
    let withdrawn = p.is_withdrawn();
    let contained = p.ordered_back == Some(OrderedBack::Contained);
    let failed = p.has_failed() && !withdrawn;
    let settled = p.state.is_some_and(InstallState::is_settled);
    let on_trial = p.is_on_trial();
    [
        true,
        withdrawn,
        settled && !p.silent && !withdrawn,
        (settled || p.silent) && !withdrawn,
        p.state == Some(InstallState::Confirmed) && !withdrawn,
        failed,
        p.silent && !failed && !withdrawn,
        p.silent && on_trial && !failed && !withdrawn,
        p.critical.is_some() && !withdrawn,
        p.state.is_some(),
        p.state.is_some() && !settled,
        p.state.is_some() && (!settled || p.state == Some(InstallState::Confirmed)) && !p.stays,
        p.state == Some(InstallState::RollbackFailed),
        p.stays,
        contained,
        contained && p.has_failed(),
        p.has_left(),
        p.counts_faults && p.state == Some(InstallState::Confirmed) && !p.silent && !failed && !withdrawn,
    ]
}

impl Tally {
    fn each(&mut self) -> [&mut u32; COUNTS] {
        [
            &mut self.devices,
            &mut self.withdrawn,
            &mut self.reported,
            &mut self.accounted,
            &mut self.confirmed,
            &mut self.failed,
            &mut self.silent,
            &mut self.silent_on_trial,
            &mut self.critical,
            &mut self.begun,
            &mut self.in_flight,
            &mut self.away,
            &mut self.alarms,
            &mut self.stays,
            &mut self.contained,
            &mut self.contained_failed,
            &mut self.left,
            &mut self.proved_clean,
        ]
    }

    /// Counts a device in.
    pub(super) fn add(&mut self, p: &DeviceProgress) {
        for (count, counts) in self.each().into_iter().zip(share(p)) {
            *count += u32::from(counts);
        }
        if let Some(since_ms) = p.observed_since_ms {
            self.observing += 1;
            self.observing_since_ms += since_ms;
            if p.counts_faults {
                self.observing_counted += 1;
                self.observing_counted_since_ms += since_ms;
            }
        }
    }

    /// Counts a device out.
    pub(super) fn remove(&mut self, p: &DeviceProgress) {
        for (count, counts) in self.each().into_iter().zip(share(p)) {
            *count -= u32::from(counts);
        }
        if let Some(since_ms) = p.observed_since_ms {
            self.observing -= 1;
            self.observing_since_ms -= since_ms;
            if p.counts_faults {
                self.observing_counted -= 1;
                self.observing_counted_since_ms -= since_ms;
            }
        }
    }

    /// Adds time under observation that has ended; `counted` for a device whose fault counters covered the whole trial.
    pub(super) fn observed(&mut self, ms: u64, counted: bool) {
        self.observed_ms += ms;
        if counted {
            self.observed_counted_ms += ms;
        }
    }

    /// Time that devices have been observed on the new firmware, all together, `now_ms` after the deployment began: in full for devices
    /// whose fault counters covered the whole trial, at half for the others, whose silence may be a lost message (decision 0032).
    pub fn device_hours(&self, now_ms: u64) -> f64 {
        let running = (u64::from(self.observing) * now_ms).saturating_sub(self.observing_since_ms);
        (self.observed_ms + running) as f64 / 2.0 / MS_PER_HOUR + self.counted_hours(now_ms) / 2.0
    }

    /// The part of the observed time that counts in full.
    pub fn counted_hours(&self, now_ms: u64) -> f64 {
        let running = (u64::from(self.observing_counted) * now_ms).saturating_sub(self.observing_counted_since_ms);
        (self.observed_counted_ms + running) as f64 / MS_PER_HOUR
    }

    /// Devices that count: all but the withdrawn.
    pub fn counted(&self) -> u32 {
        self.devices - self.withdrawn
    }
}
