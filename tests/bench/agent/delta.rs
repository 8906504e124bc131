//! Patches between two kernel packages of the distribution, made and applied by us, bsdiff, xdelta3 and zstd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use mdfm_tests::{Kind, Layout, World, device_id, hospital_id, program, wait_for};

use crate::measure::{Seen, weighed};
use crate::{entered, milliseconds};

/// Name of the packages, but for the number of the release.
const PACKAGES: &str = "^linux-image-6[.]1[.]0-[0-9]+-cloud-amd64$";

/// The content of the packages named in `KERNELS`, or of the two newest.
fn kernels(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let names = match std::env::var("KERNELS") {
        Ok(names) => names.split_whitespace().map(str::to_owned).collect(),
        Err(_) => {
            let found = Command::new("apt-cache").args(["search", "--names-only", PACKAGES]).output()?;
            let found = String::from_utf8(found.stdout)?;
            let mut found: Vec<String> = found.lines().filter_map(|l| Some(l.split_once(' ')?.0.to_owned())).collect();
            found.sort();
            found.split_off(found.len().saturating_sub(2))
        }
    };
    ensure!(names.len() == 2, "two kernel packages are needed, apt knows {names:?}; name them in KERNELS");
    let mut contents = Vec::new();
    for name in names {
        let fetched = Command::new("apt-get").args(["download", "-q", &name]).current_dir(dir).output()?;
        ensure!(fetched.status.success(), "downloading {name}: {}", String::from_utf8_lossy(&fetched.stderr));
        let package = std::fs::read_dir(dir)?.filter_map(Result::ok).map(|e| e.path());
        let is_it = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{name}_")));
        let package = package.into_iter().find(is_it).context("the package just fetched")?;
        let content = dir.join(format!("{name}.tar"));
        let file = std::fs::File::create(&content)?;
        let unpacked = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(file).status()?;
        ensure!(unpacked.success(), "unpacking {name}");
        contents.push(content);
    }
    Ok(contents)
}

pub(crate) fn compare(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let kernels = kernels(dir)?;
    let [old, new] = [&kernels[0], &kernels[1]].map(|p| p.display().to_string());
    let size = |path: &str| anyhow::Ok(std::fs::metadata(path)?.len() as f64 / 1e6);
    let names = kernels.iter().filter_map(|k| k.file_stem()).map(|n| n.to_string_lossy()).collect::<Vec<_>>();
    println!("\n{} to {}, uncompressed, {:.1} and {:.1} MB:\n", names[0], names[1], size(&old)?, size(&new)?);
    println!(
        "| patch | size, MB | made in, s | memory, MiB | applied in, s | memory, MiB |\n|---|---|---|---|---|---|"
    );
    let at = |name: &str| dir.join(name).display().to_string();
    let (ours, made) = (at("ours"), at("made"));

    let ctl = program("mdfmctl")?;
    let make =
        weighed(Command::new(&ctl).args(["firmware", "delta", "--base", &old, "--image", &new, "--out", &ours]))?;
    let apply = apply_by_agent(&dir.join("world"), [&kernels[0], &kernels[1]], &ours)?;
    row("mdfm-delta-1", size(&ours)?, make, apply);
    let zst = at("zst");
    let patch_from = format!("--patch-from={old}");
    let zstd = |more: &[&str]| weighed(Command::new("zstd").args(["-q", "-f", "--long=27", &patch_from]).args(more));
    let (make, apply) = (zstd(&["-19", &new, "-o", &zst])?, zstd(&["-d", &zst, "-o", &made])?);
    row("zstd -19 --patch-from", size(&zst)?, make, apply);
    let bs = at("bsdiff");
    let make = weighed(Command::new("bsdiff").args([&old, &new, &bs]))?;
    row("bsdiff", size(&bs)?, make, weighed(Command::new("bspatch").args([&old, &made, &bs]))?);
    let xd = at("xdelta3");
    let make = weighed(Command::new("xdelta3").args(["-9", "-f", "-e", "-s", &old, &new, &xd]))?;
    row("xdelta3 -9", size(&xd)?, make, weighed(Command::new("xdelta3").args(["-d", "-f", "-s", &old, &xd, &made]))?);
    let make = weighed(Command::new("zstd").args(["-q", "-f", "-19", &new, "-o", &zst]))?;
    row(
        "the whole image, zstd -19",
        size(&zst)?,
        make,
        weighed(Command::new("zstd").args(["-q", "-f", "-d", &zst, "-o", &made]))?,
    );
    Ok(())
}

fn row(name: &str, size: f64, make: (f64, f64), apply: (f64, f64)) {
    let ((make_s, make_mib), (apply_s, apply_mib)) = (make, apply);
    println!("| {name} | {size:.2} | {make_s:.1} | {make_mib:.0} | {apply_s:.2} | {apply_mib:.0} |");
}

/// The real agent: the patch over TLS, the image made and written into a slot, hashed and durable. Gives seconds and its peak memory in MiB.
fn apply_by_agent(dir: &Path, images: [&PathBuf; 2], patch: &str) -> anyhow::Result<(f64, f64)> {
    let device = device_id(1, 1);
    let kinds = [(device.clone(), Kind::Slots(1))].into();
    let mut world = World::start(dir, Layout { hospitals: 1, devices: 1, kinds, ..Layout::default() })?;
    let mut deploy = |n: u64, image: &Path, more: &[&str]| {
        let id = format!("FW-{n}");
        world.release_as(&id, &format!("3.{n}.0"), n, image, more)?;
        // Counted from its start: what an earlier image took is not this one's.
        world.kill_agent(1);
        world.start_agent(1)?;
        let began = milliseconds(&jiff::Timestamp::now().to_string())?;
        let deployment = world.deploy(&id, &World::progressive(&hospital_id(1), "PT0S"))?;
        wait_for("the device to confirm", Duration::from_secs(120), || {
            let view = world.deployment(&deployment)?;
            world.validate_if_due(&deployment, &view)?;
            Ok((view["status"]["name"] == "completed").then_some(()))
        })?;
        let at = |state: &str| entered(dir, &device, state, began)?.context("the state was recorded");
        let wall = (at("staged")? - at("staging")?) as f64 / 1e3;
        anyhow::Ok((wall, Seen(world.agent_pid(1)?).kib("VmHWM")? as f64 / 1024.0))
    };
    deploy(21, images[0], &[])?;
    deploy(22, images[1], &["--delta", patch])
}
