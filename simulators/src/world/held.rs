//! What staff on site have held, as they know it, and what of it the audit log had.

use std::collections::{BTreeMap, BTreeSet};

use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::{Event, EventKind};

/// Devices held on site.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Devices that are held now, and whether the log has it.
    now: BTreeMap<DeviceId, bool>,
    /// Every device that was ever held.
    ever: BTreeSet<DeviceId>,
}

impl Held {
    /// A gateway answered that the device is held.
    pub(super) fn hold(&mut self, device: &DeviceId) {
        self.now.insert(device.clone(), false);
        self.ever.insert(device.clone());
    }

    /// The device is released; returns what [`Self::restore`] needs where no gateway answers that it is.
    pub(super) fn release(&mut self, device: &DeviceId) -> Option<bool> {
        self.now.remove(device)
    }

    /// The device is still held.
    pub(super) fn restore(&mut self, device: &DeviceId, held: Option<bool>) {
        self.now.extend(held.map(|is_logged| (device.clone(), is_logged)));
    }

    /// An event of the audit log.
    pub(super) fn logged(&mut self, event: &Event) {
        if let (Some(device), EventKind::LocalAction { command, .. }) = (&event.device, &event.kind)
            && command.starts_with("hold: ")
            && let Some(is_logged) = self.now.get_mut(device)
        {
            *is_logged = true;
        }
    }

    /// The disk of these devices' gateway is not what it was: what had not reached the log by then nobody knows any more.
    pub(super) fn disk_lost<'a>(&mut self, devices: impl Iterator<Item = &'a DeviceId>) {
        for device in devices {
            if self.now.get(device) == Some(&false) {
                self.now.remove(device);
            }
        }
    }

    /// Whether somebody holds the device now.
    pub(super) fn is_held(&self, device: &DeviceId) -> bool {
        self.now.contains_key(device)
    }

    /// Whether somebody ever held it.
    pub(super) fn was_held(&self, device: &DeviceId) -> bool {
        self.ever.contains(device)
    }
}
