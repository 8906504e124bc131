//! Which devices of which hospital count and have failed, kept up to date with every report, so that no reason to stop looks at every device.
//! It follows from the devices' progress and from where they are registered. It is not kept with the state, but made again from it.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::id::{DeviceId, HospitalId};

use super::DeviceProgress;
use super::spec::OnSilence;

/// The number of a device's hospital within its deployment; [`Home::NOWHERE`] for a device that is not registered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home(u32);

impl Home {
    /// No hospital: such a device counts nowhere.
    pub(super) const NOWHERE: Self = Self(u32::MAX);
}

impl Default for Home {
    fn default() -> Self {
        Self::NOWHERE
    }
}

/// What one hospital has in one phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Devices of the phase, withdrawn ones too.
    pub(super) members: u32,
    /// Those that are not withdrawn.
    pub(super) devices: u32,
    /// Those that failed, as far as that is known at any time.
    pub(super) failed: BTreeSet<DeviceId>,
}

/// The shares of all hospitals in all phases.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shares {
    hospitals: Vec<HospitalId>,
    numbers: BTreeMap<HospitalId, Home>,
    by_phase: BTreeMap<(u32, Home), Share>,
    /// By phase, the devices with a critical error that are not ordered back.
    critical: BTreeMap<u32, BTreeSet<DeviceId>>,
}

/// What one device adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    home: Home,
    phase: u32,
    counts: bool,
    failed: bool,
    critical: bool,
}

impl Mark {
    /// The mark of a device in a deployment that treats silence so.
    pub(super) fn of(progress: &DeviceProgress, on_silence: OnSilence) -> Self {
        let counts = !progress.is_withdrawn();
        let is_lost = progress.silent
            && match on_silence {
                OnSilence::Hold => progress.is_on_trial(),
                OnSilence::Fail => true,
            };
        Self {
            home: progress.home,
            phase: progress.phase,
            counts,
            failed: counts && (progress.has_failed() || is_lost),
            critical: progress.critical.is_some() && progress.ordered_back.is_none(),
        }
    }
}

impl Shares {
    /// The number of a hospital.
    pub(super) fn home(&mut self, hospital: Option<&HospitalId>) -> Home {
        let Some(hospital) = hospital else { return Home::NOWHERE };
        if let Some(home) = self.numbers.get(hospital) {
            return *home;
        }
        let home = Home(u32::try_from(self.hospitals.len()).unwrap_or(u32::MAX));
        self.hospitals.push(hospital.clone());
        self.numbers.insert(hospital.clone(), home);
        home
    }

    /// The number of a hospital, if a device of it was ever counted here.
    pub(super) fn known(&self, hospital: &HospitalId) -> Option<Home> {
        self.numbers.get(hospital).copied()
    }

    /// Counts a device in.
    pub(super) fn join(&mut self, device: &DeviceId, mark: Mark) {
        self.change_members(mark, true);
        self.set(device, mark, true);
    }

    /// Counts a device out.
    pub(super) fn leave(&mut self, device: &DeviceId, mark: Mark) {
        self.set(device, mark, false);
        self.change_members(mark, false);
    }

    /// Counts what a report changed.
    pub(super) fn update(&mut self, device: &DeviceId, before: Mark, after: Mark) {
        if before != after {
            self.set(device, before, false);
            self.set(device, after, true);
        }
    }

    fn change_members(&mut self, mark: Mark, joins: bool) {
        if mark.home != Home::NOWHERE {
            let members = &mut self.by_phase.entry((mark.phase, mark.home)).or_default().members;
            *members = if joins { *members + 1 } else { members.saturating_sub(1) };
        }
    }

    fn set(&mut self, device: &DeviceId, mark: Mark, is_in: bool) {
        if mark.critical {
            put(self.critical.entry(mark.phase).or_default(), device, is_in);
        }
        if mark.home == Home::NOWHERE || !mark.counts {
            return;
        }
        let share = self.by_phase.entry((mark.phase, mark.home)).or_default();
        share.devices = if is_in { share.devices + 1 } else { share.devices.saturating_sub(1) };
        if mark.failed {
            put(&mut share.failed, device, is_in);
        }
    }

    /// The shares, each with its phase and hospital.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &HospitalId, &Share)> {
        self.by_phase.iter().filter_map(|((phase, home), share)| {
            let hospital = self.hospitals.get(usize::try_from(home.0).ok()?)?;
            Some((*phase, hospital, share))
        })
    }

    /// The first device with a critical error that is not ordered back, in the phases that are meant.
    pub(super) fn first_critical(&self, is_meant: impl Fn(u32) -> bool) -> Option<&DeviceId> {
        self.critical.iter().filter(|(phase, _)| is_meant(**phase)).filter_map(|(_, devices)| devices.first()).min()
    }
}

fn put(devices: &mut BTreeSet<DeviceId>, device: &DeviceId, is_in: bool) {
    if is_in {
        devices.insert(device.clone());
    } else {
        devices.remove(device);
    }
}
