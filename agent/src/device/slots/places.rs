//! Slots told apart by what they are, not by their names: a partition has several names, and two names may lead to one file.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mdfm_shared::id::DeviceId;

use super::SlotsConfig;
use super::record::Slot;
use crate::disk::{DiskHandle, Place};

/// The devices of this gateway whose slots lie on it.
pub(crate) type SlotDevices = Arc<Vec<(DeviceId, SlotsConfig)>>;

/// A directory or slot that one device has for itself.
struct Claim<'a> {
    device: &'a DeviceId,
    /// What it is, for people.
    what: String,
    path: &'a Path,
    place: io::Result<Place>,
}

/// Why a device's slots cannot be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotProblem {
    /// The devices that it concerns.
    pub(crate) devices: BTreeSet<DeviceId>,
    /// What is wrong, where, and what to do.
    pub(crate) reason: String,
}

fn claims<'a>(disk: &DiskHandle, devices: &'a [(DeviceId, SlotsConfig)]) -> Vec<Claim<'a>> {
    let mut claims = Vec::new();
    for (device, config) in devices {
        let mut claim = |what: String, path: &'a PathBuf| {
            claims.push(Claim { device, what, path, place: disk.place(path) });
        };
        claim("the directory of the boot record".into(), &config.dir);
        for pair in &config.pair {
            for slot in [Slot::A, Slot::B] {
                let name = if slot == Slot::A { "a" } else { "b" };
                let path = if slot == Slot::A { &pair.a } else { &pair.b };
                claim(format!("slot {name} of pair {:?}", pair.name), path);
            }
        }
    }
    claims
}

/// Everything that is wrong with the slots of these devices as they are now.
pub(crate) fn problems(disk: &DiskHandle, devices: &[(DeviceId, SlotsConfig)]) -> Vec<SlotProblem> {
    let claims = claims(disk, devices);
    let mut problems = Vec::new();
    for (i, claim) in claims.iter().enumerate() {
        let place = match &claim.place {
            Ok(place) => place,
            Err(error) => {
                let Claim { device, what, path, .. } = claim;
                let reason = format!("{what} of device {device} cannot be used: {}: {error}", path.display());
                problems.push(SlotProblem { devices: [(*device).clone()].into(), reason });
                continue;
            }
        };
        for other in &claims[..i] {
            if other.place.as_ref().is_ok_and(|p| p.overlaps(place)) {
                let reason = format!(
                    "{} of device {} ({}) and {} of device {} ({}) are the same place ({place}): give each a partition or file of its own",
                    other.what,
                    other.device,
                    other.path.display(),
                    claim.what,
                    claim.device,
                    claim.path.display(),
                );
                let devices = [other.device.clone(), claim.device.clone()].into();
                problems.push(SlotProblem { devices, reason });
            }
        }
    }
    problems
}

/// Why nothing may be written to the slots of the device with the boot record in `dir`; `None` if something may.
pub(super) fn why_not(disk: &DiskHandle, devices: &[(DeviceId, SlotsConfig)], dir: &Path) -> Option<String> {
    let own: Vec<&DeviceId> = devices.iter().filter(|(_, c)| c.dir == dir).map(|(id, _)| id).collect();
    problems(disk, devices).into_iter().find(|p| own.iter().any(|id| p.devices.contains(*id))).map(|p| p.reason)
}

/// Which other slot lies where an opened file lies, in words; `None` if no other does.
pub(super) fn other_slot_at(
    disk: &DiskHandle,
    devices: &[(DeviceId, SlotsConfig)],
    path: &Path,
    opened: &Place,
) -> Option<String> {
    let same = |c: &Claim<'_>| c.path != path && c.place.as_ref().is_ok_and(|p| p.overlaps(opened));
    let words = |c: Claim<'_>| format!("{} of device {} ({})", c.what, c.device, c.path.display());
    claims(disk, devices).into_iter().find(same).map(words)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use mdfm_shared::fixture::page::symptom;

    use super::super::{Factory, Pair};
    use super::*;
    use crate::disk::Real;

    fn config(dir: &Path, name: &str, a: &str, b: &str) -> (DeviceId, SlotsConfig) {
        let own = dir.join(name);
        std::fs::create_dir_all(&own).expect("makes");
        let config = SlotsConfig {
            dir: own,
            model: "M".into(),
            serial: name.into(),
            hardware: "B".into(),
            pair: vec![Pair { name: "main".into(), a: dir.join(a), b: dir.join(b) }],
            reboot: vec!["/bin/true".into()],
            factory: Factory::default(),
        };
        (name.parse().expect("a good id"), config)
    }

    fn found(devices: &[(DeviceId, SlotsConfig)]) -> Vec<String> {
        let disk: DiskHandle = Arc::new(Real);
        problems(&disk, devices).into_iter().map(|p| p.reason).collect()
    }

    fn fresh_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mdfm-places-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("makes");
        dir
    }

    #[test]
    fn fld_10_one_place_under_two_names_is_found() {
        let dir = fresh_dir("names");
        std::fs::write(dir.join("a"), b"image").expect("writes");
        std::fs::hard_link(dir.join("a"), dir.join("hard")).expect("links");
        std::fs::create_dir(dir.join("real")).expect("makes");
        symlink(dir.join("real"), dir.join("alias")).expect("links");
        assert_eq!(found(&[config(&dir, "DEV-1", "a", "b")]), Vec::<String>::new());
        for (a, b) in [("a", "hard"), ("a", "./a"), ("real/x", "alias/x")] {
            let found = found(&[config(&dir, "DEV-1", a, b)]);
            assert!(found.len() == 1, "{a} {b}: {found:?}");
            symptom("The service does not start", "… are the same place").assert_in(&found[0]);
        }
        std::fs::remove_dir_all(dir).expect("removes");
    }

    #[test]
    fn fld_10_one_slot_in_two_devices_sections_is_found() {
        let dir = fresh_dir("devices");
        std::fs::write(dir.join("a1"), b"1").expect("writes");
        std::fs::write(dir.join("a2"), b"2").expect("writes");
        let one = config(&dir, "DEV-1", "a1", "b1");
        for (a, b) in [("a1", "b2"), ("a2", "a1"), ("a2", "b1")] {
            let found = found(&[one.clone(), config(&dir, "DEV-2", a, b)]);
            assert!(found.len() == 1 && found[0].contains("DEV-1") && found[0].contains("DEV-2"), "{found:?}");
        }
        let (id, mut shared) = config(&dir, "DEV-2", "a2", "b2");
        assert_eq!(found(&[one.clone(), (id.clone(), shared.clone())]), Vec::<String>::new());
        shared.dir = one.1.dir.clone();
        assert!(found(&[one, (id, shared)])[0].contains("the directory of the boot record"));
        std::fs::remove_dir_all(dir).expect("removes");
    }

    #[test]
    fn fld_20_a_link_is_refused_with_path_and_cure() {
        let dir = fresh_dir("links");
        std::fs::write(dir.join("a"), b"1").expect("writes");
        std::fs::write(dir.join("file"), b"2").expect("writes");
        symlink(dir.join("file"), dir.join("to-file")).expect("links");
        symlink(dir.join("nowhere"), dir.join("dangling")).expect("links");
        for (name, cure) in [("to-file", "write that path into the configuration"), ("dangling", "does not exist")] {
            let found = found(&[config(&dir, "DEV-1", "a", name)]);
            let path = dir.join(name).display().to_string();
            assert!(found.len() == 1 && found[0].contains(&path) && found[0].contains(cure), "{found:?}");
        }
        let found = found(&[config(&dir, "DEV-1", "a", "/dev/null")]);
        assert!(found[0].contains("neither a file nor a block device"), "{found:?}");
        std::fs::remove_dir_all(dir).expect("removes");
    }
}
