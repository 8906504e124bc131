//! The registered devices, and how many of each model ran which version when. Who changes a device does it here, so the figures follow from the devices.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use mdfm_shared::id::DeviceId;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};

use super::fleet::Device;
use super::series::Series;

/// The finest spacing of the figures over time: ten seconds. A coarser one would lose what a young fleet ran before its first change.
const SPACING_MS: u64 = 10_000;
/// Versions of one model with figures over time, at most. Devices say themselves what they run, so the number has a limit.
const VERSIONS_MAX: usize = 100;

/// What of a device the figures count; `None` for a device out of service.
type Counted = Option<(String, String)>;

fn counted(device: &Device) -> Counted {
    device.retired_at.is_none().then(|| (device.model.clone(), device.firmware_version.clone()))
}

/// All registered devices.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Devices {
    all: BTreeMap<DeviceId, Device>,
    versions: Versions,
    /// When what happens now happens.
    #[serde(skip)]
    at: UtcMillis,
}

impl Deref for Devices {
    type Target = BTreeMap<DeviceId, Device>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Devices {
    /// Sets the time of the changes that follow.
    pub fn set_time(&mut self, at: UtcMillis) {
        self.at = at;
    }

    /// A device, to be changed. The figures follow when the change is over.
    pub fn get_mut(&mut self, id: &DeviceId) -> Option<DeviceMut<'_>> {
        let device = self.all.get_mut(id)?;
        Some(DeviceMut { before: counted(device), device, versions: &mut self.versions, at: self.at })
    }

    pub(super) fn insert(&mut self, id: DeviceId, device: Device) {
        self.versions.change(self.at, None, counted(&device));
        if let Some(before) = self.all.insert(id, device) {
            self.versions.change(self.at, counted(&before), None);
        }
    }

    pub(super) fn remove(&mut self, id: &DeviceId) -> Option<Device> {
        let device = self.all.remove(id)?;
        self.versions.change(self.at, counted(&device), None);
        Some(device)
    }

    /// Begins the figures over time again with what is now: records of before were disposed of, and what follows from them goes with them.
    pub(super) fn forget_past(&mut self, at: UtcMillis) {
        self.versions.over_time.clear();
        self.versions.of_model.clear();
        self.index();
        let Versions { running, over_time, of_model } = &mut self.versions;
        let begun = |count: u64| {
            let mut series = Series::new(SPACING_MS);
            series.push(at, count);
            series
        };
        for (model, running) in running {
            of_model.insert(model.clone(), begun(running.total));
            let versions = running.versions.iter().take(VERSIONS_MAX);
            over_time
                .insert(model.clone(), versions.map(|(version, count)| (version.clone(), begun(*count))).collect());
        }
    }

    /// Counts again what is not kept.
    pub(super) fn index(&mut self) {
        self.versions.running.clear();
        for (model, version) in self.all.values().filter_map(counted) {
            let running = self.versions.running.entry(model).or_default();
            running.total += 1;
            *running.versions.entry(version).or_default() += 1;
        }
    }

    /// How many devices ran which version when.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }
}

/// A device that somebody changes.
#[derive(Debug)]
pub struct DeviceMut<'a> {
    device: &'a mut Device,
    versions: &'a mut Versions,
    before: Counted,
    at: UtcMillis,
}

impl Deref for DeviceMut<'_> {
    type Target = Device;

    fn deref(&self) -> &Device {
        self.device
    }
}

impl DerefMut for DeviceMut<'_> {
    fn deref_mut(&mut self) -> &mut Device {
        self.device
    }
}

impl Drop for DeviceMut<'_> {
    fn drop(&mut self) {
        let is_same = match &self.before {
            Some((model, version)) => {
                self.device.retired_at.is_none()
                    && (model, version) == (&self.device.model, &self.device.firmware_version)
            }
            None => self.device.retired_at.is_some(),
        };
        if !is_same {
            self.versions.change(self.at, self.before.take(), counted(self.device));
        }
    }
}

/// How many devices of a model are in service, and run which version.
#[derive(Debug, Default)]
struct Running {
    total: u64,
    versions: BTreeMap<String, u64>,
}

/// How many devices in service ran which version when.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Versions {
    /// Devices of each model now.
    #[serde(skip)]
    running: BTreeMap<String, Running>,
    /// The same over time, of the versions that were seen last.
    over_time: BTreeMap<String, BTreeMap<String, Series<u64>>>,
    /// All devices of each model over time.
    of_model: BTreeMap<String, Series<u64>>,
}

impl Versions {
    fn change(&mut self, at: UtcMillis, before: Counted, after: Counted) {
        let model_stays = matches!((&before, &after), (Some((one, _)), Some((other, _))) if one == other);
        for (counted, is_added) in [(before, false), (after, true)] {
            let Some((model, version)) = counted else { continue };
            let running = self.running.entry(model.clone()).or_default();
            let moved = |count: u64| if is_added { count + 1 } else { count.saturating_sub(1) };
            running.total = moved(running.total);
            let count = moved(running.versions.get(&version).copied().unwrap_or_default());
            match count {
                0 => _ = running.versions.remove(&version),
                _ => _ = running.versions.insert(version.clone(), count),
            }
            if !model_stays {
                self.of_model.entry(model.clone()).or_insert_with(|| Series::new(SPACING_MS)).push(at, running.total);
            }
            self.note(at, model, version, count);
        }
    }

    fn note(&mut self, at: UtcMillis, model: String, version: String, count: u64) {
        let all = self.over_time.entry(model).or_default();
        if !all.contains_key(&version) && all.len() >= VERSIONS_MAX {
            // Of the versions that nothing runs the one makes room that the fewest devices had run, of those the one that is gone longest: versions
            // that one device invents push out each other, not those of the fleet. Where each is in use, the new one is among the others.
            let gone = all.iter().filter(|(_, series)| series.at(at) == Some(0));
            let rank =
                |series: &Series<u64>| (series.samples().iter().map(|(_, count)| *count).max(), series.changed_at());
            let Some(least) = gone.min_by_key(|(_, series)| rank(series)).map(|(version, _)| version.clone()) else {
                return;
            };
            all.remove(&least);
        }
        all.entry(version).or_insert_with(|| Series::new(SPACING_MS)).push(at, count);
    }

    /// Models, each with its versions over time.
    pub fn models(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, Series<u64>>)> {
        self.over_time.iter()
    }

    /// The versions of a model over time.
    pub fn of(&self, model: &str) -> Option<&BTreeMap<String, Series<u64>>> {
        self.over_time.get(model)
    }

    /// When the first of what is kept began.
    pub fn began_at(&self) -> Option<UtcMillis> {
        self.of_model.values().filter_map(Series::began_at).min()
    }

    /// All devices of a model over time; those that no version of [`Versions::models`] has run another one.
    pub fn of_model(&self, model: &str) -> Option<&Series<u64>> {
        self.of_model.get(model)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{MODEL, Office};
    use super::*;
    use proptest::prelude::*;

    /// What a count of all devices finds.
    fn recount(devices: &Devices) -> BTreeMap<(String, String), u64> {
        devices.values().filter_map(counted).fold(BTreeMap::new(), |mut all, key| {
            *all.entry(key).or_default() += 1;
            all
        })
    }

    /// What the figures say now.
    fn latest(devices: &Devices) -> BTreeMap<(String, String), u64> {
        let all = devices.versions().models().flat_map(|(model, versions)| {
            versions.iter().map(|(version, series)| {
                let count = series.samples().last().map_or(0, |(_, count)| *count);
                ((model.clone(), version.clone()), count)
            })
        });
        all.filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn console_versions_over_time_follow_each_device() {
        let mut office = Office::new();
        let devices = &mut office.state.devices;
        let first = devices.keys().next().expect("a device").clone();
        let all = devices.len() as u64;
        let begun = devices.at;
        let hour = |n: u64| UtcMillis(begun.0 + n * SPACING_MS);

        devices.set_time(hour(1));
        devices.get_mut(&first).expect("the device").firmware_version = "9.9.9".into();
        devices.set_time(hour(2));
        devices.get_mut(&first).expect("the device").retired_at = Some(hour(2));
        let new = &devices.versions().over_time[MODEL]["9.9.9"];
        assert_eq!([0, 1, 2].map(|n| new.at(hour(n))), [None, Some(1), Some(0)]);
        let total = devices.versions().of_model(MODEL).expect("the model");
        assert_eq!([0, 1, 2].map(|n| total.at(hour(n))), [0, 0, 1].map(|gone| Some(all - gone)));
        assert_eq!(latest(devices), recount(devices));

        // What is kept and read again goes on counting.
        let kept = serde_json::to_string(devices).expect("kept");
        let mut read: Devices = serde_json::from_str(&kept).expect("read");
        read.index();
        read.set_time(hour(3));
        read.get_mut(&first).expect("the device").retired_at = None;
        assert_eq!(latest(&read), recount(&read));
        assert_eq!(read.versions().of_model(MODEL).and_then(|total| total.at(hour(3))), Some(all));
    }

    /// The sample: a device that invented a hundred versions left none of what the fleet had run.
    #[test]
    fn sec_3_versions_that_one_device_invents_push_no_other_out() {
        let mut office = Office::new();
        let devices = &mut office.state.devices;
        let ids: Vec<DeviceId> = devices.keys().cloned().collect();
        let begun = devices.at;
        let mut run = |step: u64, ids: &[DeviceId], version: &str| {
            devices.set_time(UtcMillis(begun.0 + step * SPACING_MS));
            for id in ids {
                devices.get_mut(id).expect("the device").firmware_version = version.into();
            }
        };
        run(1, &ids, "2.2.0");
        run(2, &ids, "2.3.0");
        for n in 0..3 * VERSIONS_MAX as u64 {
            run(3 + n, &ids[..1], &format!("666.{n}"));
        }
        let held = &devices.versions().over_time[MODEL];
        assert!(held.len() <= VERSIONS_MAX && held.contains_key("666.299"), "the newest is there");
        assert_eq!(held["2.2.0"].at(UtcMillis(begun.0 + SPACING_MS)), Some(ids.len() as u64));
        assert_eq!(latest(devices), recount(devices));
    }

    proptest! {
        #[test]
        fn console_versions_are_what_a_count_finds(
            steps in prop::collection::vec((0_usize..6, 0_u32..140, 0_u64..20_000_000, any::<bool>()), 1..400)
        ) {
            let mut office = Office::new();
            let devices = &mut office.state.devices;
            let ids: Vec<DeviceId> = devices.keys().take(6).cloned().collect();
            let mut now = devices.at;
            for (device, version, later, is_retired) in steps {
                now = UtcMillis(now.0 + later);
                devices.set_time(now);
                let Some(id) = ids.get(device) else { continue };
                let mut device = devices.get_mut(id).expect("the device");
                device.firmware_version = format!("1.{version}");
                device.retired_at = (is_retired && version % 3 == 0).then_some(now);
            }
            prop_assert_eq!(latest(devices), recount(devices));
            prop_assert!(devices.versions().models().all(|(_, versions)| versions.len() <= VERSIONS_MAX));
        }
    }
}
