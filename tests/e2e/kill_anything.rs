//! Any process may be killed at any moment; started again, everything ends as it would have.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mdfm_tests::{Layout, World, device_id, hospital_id};

use crate::{fresh_dir, image};

/// Unless MDFM_KILLS asks for more (`make kill-soak`).
const KILLS: usize = 20;
const HOSPITALS: usize = 3;
const DEVICES: usize = 2;

/// A small generator with a printed seed (splitmix64, Steele et al., OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn invariant_3_kill_9_at_twenty_random_points_ends_in_the_same_state() {
    let seed = std::env::var("MDFM_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()));
    eprintln!("MDFM_SEED={seed}");
    let mut random = Random(seed);
    let dir = fresh_dir("kill");
    let mut world = World::start(&dir, Layout { hospitals: HOSPITALS, devices: DEVICES, ..Layout::default() }).unwrap();
    let wanted = std::env::var("MDFM_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(KILLS);
    let mut kills = 0;
    for release in 2_u64.. {
        if kills >= wanted {
            break;
        }
        let (id, version) = (format!("FW-2.{release}.0"), format!("2.{release}.0"));
        let image = image(&dir, u8::try_from(release).unwrap(), 2_000_000);
        world.release(&id, &version, release + 20, &image, 1.0).unwrap();
        let deployment = world.deploy(&id, &World::progressive(&hospital_id(1), "PT1S")).unwrap();
        let mut device_kills = [0; HOSPITALS * DEVICES];
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < Duration::from_secs(150), "seed {seed}: {version} did not end, {kills} kills");
            // The coordinator may be starting: what cannot be asked now is asked again.
            if let Ok(view) = world.deployment(&deployment) {
                let _ = world.validate_if_due(&deployment, &view);
                let status = view["status"]["name"].as_str().unwrap_or_default().to_owned();
                assert!(!status.starts_with("roll"), "seed {seed}: {} after {kills} kills", view["status"]);
                if status == "completed" {
                    break;
                }
            }
            if kills < wanted {
                std::thread::sleep(Duration::from_millis(random.next(900)));
                kill_one(&mut world, &mut random, &mut device_kills);
                kills += 1;
            } else {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        for h in 1..=HOSPITALS {
            for d in 1..=DEVICES {
                let found = world.boot_record(h, d).unwrap();
                assert_eq!(found, (version.clone(), true), "seed {seed}: {}", device_id(h, d));
            }
        }
    }
    for device in world.device_list().unwrap() {
        assert_eq!(device["installState"], "confirmed", "seed {seed}: {device}");
    }
    let (copy, vkey) = (dir.join("copy").display().to_string(), world.data().join("log.vkey").display().to_string());
    world.ctl(mdfm_tests::Role::Auditor, &["audit", "export", &copy]).unwrap();
    world.offline(&["audit", "verify", &copy, "--key", &vkey]).unwrap();
}

fn kill_one(world: &mut World, random: &mut Random, device_kills: &mut [u32; HOSPITALS * DEVICES]) {
    let pause = Duration::from_millis(random.next(400));
    let h = 1 + random.next(HOSPITALS as u64) as usize;
    match random.next(3) {
        0 => {
            world.kill_coordinator();
            std::thread::sleep(pause);
            world.start_coordinator().unwrap();
        }
        1 => {
            world.kill_agent(h);
            std::thread::sleep(pause);
            world.start_agent(h).unwrap();
        }
        _ => {
            let d = 1 + random.next(DEVICES as u64) as usize;
            let count = &mut device_kills[(h - 1) * DEVICES + d - 1];
            // A boot loader gives new firmware three tries; more power cuts than that in one trial rightly end it.
            if *count < 2 {
                *count += 1;
                world.kill_device(h, d);
                std::thread::sleep(pause);
                world.start_device(h, d).unwrap();
            } else {
                world.kill_agent(h);
                world.start_agent(h).unwrap();
            }
        }
    }
}
