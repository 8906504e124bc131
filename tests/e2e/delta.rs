//! Patches: an image that a gateway holds becomes the next one without the next one being downloaded; a patch that fails costs the whole
//! image, or the installation, as the hospital's configuration says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mdfm_tests::{Kind, Layout, Role, World, device_id, hospital_id, wait_for};

use crate::{fresh_dir, image};

/// The next version of an image: some bytes inserted near its beginning, some changed all over.
fn next_version(dir: &Path, name: &str, before: &Path) -> PathBuf {
    let mut bytes = std::fs::read(before).unwrap();
    bytes.iter_mut().step_by(997).for_each(|b| *b = b.wrapping_add(40));
    let at = bytes.len() / 10;
    bytes.splice(at..at, *b"what is new in this version");
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Makes a patch with the operator's own command; gives the file and the digest of the image that it makes.
fn patch(world: &World, name: &str, bases: &[&Path], images: &[&Path]) -> (String, String) {
    let out = world.agent_state(1).with_file_name(name).display().to_string();
    let mut arguments = vec!["firmware".to_owned(), "delta".into(), "--out".into(), out.clone()];
    for (option, files) in [("--base", bases), ("--image", images)] {
        arguments.extend(files.iter().flat_map(|f| [option.to_owned(), f.display().to_string()]));
    }
    let made = world.offline(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let (size, whole) = (made["sizeBytes"].as_u64().unwrap(), made["imageBytes"].as_u64().unwrap());
    assert!(size * 10 < whole, "{size} bytes for an image of {whole}");
    (out, made["imageSha256"].as_str().unwrap().to_owned())
}

/// Deploys to the only hospital, and waits for each of its devices to be in this state.
fn deploy(world: &World, firmware: &str, state: &str) {
    let mut plan = World::progressive(&hospital_id(1), "PT0S");
    for phase in plan["phases"].as_array_mut().unwrap() {
        phase["maxErrorRatePercent"] = 100.into();
    }
    let id = world.deploy(firmware, &plan).unwrap();
    wait_for(&format!("{firmware} to be {state}"), Duration::from_secs(90), || {
        let view = world.deployment(&id)?;
        world.validate_if_due(&id, &view)?;
        let devices = view["devices"].as_array().cloned().unwrap_or_default();
        Ok((!devices.is_empty() && devices.iter().all(|d| d["state"] == state)).then_some(()))
    })
    .unwrap();
}

/// Batches in the log in which an agent refused something: here, patches that it gave up.
fn refusals(world: &World) -> usize {
    let found = world.ctl(Role::Auditor, &["audit", "search", "--event", "refused"]).unwrap();
    found["records"].as_array().unwrap().len()
}

#[test]
fn att_6_devices_are_updated_by_patches_and_a_patch_that_lies_costs_only_its_bytes() {
    let dir = fresh_dir("delta");
    let slots = device_id(1, 2);
    let layout = Layout { hospitals: 1, devices: 2, kinds: [(slots, Kind::Slots(2))].into(), ..Layout::default() };
    let world = World::start(&dir, layout).unwrap();
    let (main, radio) = (image(&dir, 1, 3_000_001), image(&dir, 2, 400_003));
    let release = |n: u64, parts: [&Path; 2], more: &[&str]| {
        let parts = ["main", "radio"].iter().zip(parts).map(|(n, p)| (*n, p)).collect::<Vec<_>>();
        world.release_components_with(&format!("FW-{n}"), &format!("2.{n}.0"), n, &parts, more).unwrap();
    };
    release(22, [&main, &radio], &[]);
    deploy(&world, "FW-22", "confirmed");

    // The whole image is taken away where it would come from: only the patch can bring it.
    let next = next_version(&dir, "main-23", &main);
    let (delta, sha256) = patch(&world, "23.delta", &[&main, &radio], &[&next, &radio]);
    release(23, [&next, &radio], &["--delta", &delta]);
    let whole = world.data().join("images").join(&sha256);
    std::fs::remove_file(&whole).unwrap();
    deploy(&world, "FW-23", "confirmed");
    let slot = std::fs::read(world.device_dir(1, 2).join("main-a")).unwrap();
    assert!(slot.starts_with(&std::fs::read(&next).unwrap()), "the slot holds the new component");
    let before = refusals(&world);

    // A patch that the release's own signers got wrong: it says that it starts from what the gateway holds, and does not.
    let mut other = std::fs::read(&next).unwrap();
    other[1_000_000..1_200_000].iter_mut().for_each(|b| *b ^= 0x5a);
    let not_it = dir.join("not-it");
    std::fs::write(&not_it, other).unwrap();
    let last = next_version(&dir, "main-24", &not_it);
    let (delta, _) = patch(&world, "24.delta", &[&not_it, &radio], &[&last, &radio]);
    let mut bytes = std::fs::read(&delta).unwrap();
    let held: Vec<u8> = (0..64).step_by(2).map(|i| u8::from_str_radix(&sha256[i..i + 2], 16).unwrap()).collect();
    bytes[8..40].copy_from_slice(&held);
    std::fs::write(&delta, bytes).unwrap();
    release(24, [&last, &radio], &["--delta", &delta]);
    deploy(&world, "FW-24", "confirmed");
    wait_for("the agent to tell of the patch", Duration::from_secs(20), || {
        Ok((refusals(&world) > before).then_some(()))
    })
    .unwrap();
    let said = world.on_gateway(1, &["logs"]).unwrap();
    assert!(said.contains("is not used any more"), "{said}");
    let slot = std::fs::read(world.device_dir(1, 2).join("main-b")).unwrap();
    assert!(slot.starts_with(&std::fs::read(&last).unwrap()), "the slot holds the right component all the same");
}

#[test]
fn a_hospital_with_a_thin_line_takes_patches_or_nothing() {
    let dir = fresh_dir("thin-line");
    let device = device_id(1, 1);
    let layout = Layout {
        hospitals: 1,
        devices: 1,
        kinds: [(device, Kind::Slots(1))].into(),
        more_agent_config: "download.deltas = \"only\"\n".into(),
        ..Layout::default()
    };
    let world = World::start(&dir, layout).unwrap();
    let factory = world.device_dir(1, 1).join("main-a");
    let mut bytes = std::fs::read(&factory).unwrap().repeat(20);
    bytes.extend(*b"and a little more");
    let image = dir.join("image");
    std::fs::write(&image, bytes).unwrap();
    let (delta, sha256) = patch(&world, "22.delta", &[&factory], &[&image]);
    world.release_as("FW-22", "2.2.0", 22, &image, &["--delta", &delta]).unwrap();
    std::fs::remove_file(world.data().join("images").join(sha256)).unwrap();
    deploy(&world, "FW-22", "confirmed");
    let whole = crate::image(&dir, 3, 500_000);
    world.release_as("FW-23", "2.3.0", 23, &whole, &[]).unwrap();
    deploy(&world, "FW-23", "failed");
    assert_eq!(world.boot_record(1, 1).unwrap(), ("2.2.0".to_owned(), true));
    let status = world.on_gateway(1, &["logs"]).unwrap();
    assert!(status.contains("allows no whole download"), "{status}");
}
