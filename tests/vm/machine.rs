//! The virtual machine: a kernel of the distribution, an initial file system with the programs, one disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Modules that a disk needs.
const MODULES: [&str; 6] =
    ["virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];
/// Bytes of what a machine says, at most.
const SAID_BYTES_MAX: u64 = 4 << 20;

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /bin /usr
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
ln -s /bin /usr/bin
# Kernels differ in which of them needs which: those that lack another are tried again.
for pass in 1 2 3 4 5 6; do for module in /modules/*; do /bin/insmod "$module" 2>/dev/null; done; done
ifconfig lo 127.0.0.1 up
exec /bin/sh /guest.sh
"#;

/// How machines are made here.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel: PathBuf,
    initial: PathBuf,
    /// Whether the processor runs the guest itself.
    pub is_native: bool,
}

/// The disk that a machine gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk<'a> {
    /// What is written goes to the file.
    Plain(&'a Path),
    /// Every write and flush is put down in the second file as well.
    Logged(&'a Path, &'a Path),
}

impl Machine {
    /// Puts the programs and the script into an initial file system in `dir`; `kernel` is an unpacked kernel package.
    ///
    /// # Errors
    /// Something is missing, or a tool fails.
    pub(crate) fn make(dir: &Path, kernel: &Path, programs: &[PathBuf], script: &str) -> anyhow::Result<Self> {
        let root = dir.join("initial");
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        std::fs::create_dir_all(root.join("bin"))?;
        std::fs::create_dir_all(root.join("modules"))?;
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is not installed")?;
        for program in programs {
            let name = program.file_name().context("a program's name")?;
            // Symbols for a debugger would fill the guest's memory.
            run(Command::new("strip").arg("--strip-all").arg("-o").arg(root.join("bin").join(name)).arg(program))?;
            for library in libraries(program)? {
                let inside = root.join(library.strip_prefix("/")?);
                std::fs::create_dir_all(inside.parent().context("a folder")?)?;
                std::fs::copy(&library, inside)?;
            }
        }
        let modules = find(&kernel.join("lib/modules"), &|name| name.ends_with(".ko"))?;
        for (i, wanted) in MODULES.iter().enumerate() {
            let file = format!("{wanted}.ko");
            let from =
                modules.iter().find(|m| m.ends_with(&file)).with_context(|| format!("the kernel has no {file}"))?;
            std::fs::copy(from, root.join(format!("modules/{i}-{file}")))?;
        }
        std::fs::write(root.join("guest.sh"), script)?;
        std::fs::write(root.join("init"), INIT)?;
        run(Command::new("chmod").arg("755").arg(root.join("init")))?;
        let initial = dir.join("initial.cpio");
        let mut pack = Command::new("sh");
        run(pack
            .arg("-c")
            .arg("cd \"$1\" && find . | busybox cpio -o -H newc > \"$2\" 2>/dev/null")
            .arg("pack")
            .args([&root, &initial]))?;
        let images = find(&kernel.join("boot"), &|name| name.starts_with("vmlinuz"))?;
        let kernel = images.into_iter().next().context("the kernel package holds no kernel")?;
        let mut machine = Self { kernel, initial, is_native: true };
        machine.is_native = Path::new("/dev/kvm").exists() && machine.starts(dir)?;
        Ok(machine)
    }

    /// Whether a guest comes up on the processor itself; nested virtual machines offer it and then hang.
    fn starts(&self, dir: &Path) -> anyhow::Result<bool> {
        let disk = dir.join("probe.img");
        File::create(&disk)?.set_len(1 << 20)?;
        let said = self.run(Disk::Plain(&disk), Duration::from_secs(15), |said| said.contains("VM "));
        Ok(said.is_ok_and(|said| said.contains("VM FAILED the file system cannot be mounted")))
    }

    /// Runs a machine until it turns itself off, and gives what it said.
    ///
    /// # Errors
    /// It cannot be started, or runs longer than `limit`.
    pub(crate) fn run(
        &self,
        disk: Disk<'_>,
        limit: Duration,
        is_over: impl Fn(&str) -> bool,
    ) -> anyhow::Result<String> {
        let (file, serial) = match disk {
            Disk::Plain(file) | Disk::Logged(file, _) => (file, file.with_extension("said")),
        };
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-accel", if self.is_native { "kvm" } else { "tcg" }, "-cpu", "max", "-m", "512", "-nodefaults"]);
        command.args([
            "-no-reboot",
            "-display",
            "none",
            "-monitor",
            "none",
            "-append",
            "console=ttyS0 panic=-1 quiet no_timer_check",
        ]);
        command.arg("-serial").arg(format!("file:{}", serial.display()));
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initial);
        let node = |name: &str, file: &Path| format!("driver=file,node-name={name},filename={}", file.display());
        command.args(["-blockdev", &node("disk-file", file), "-blockdev", "driver=raw,node-name=disk,file=disk-file"]);
        let drive = match disk {
            Disk::Plain(_) => "disk",
            Disk::Logged(_, log) => {
                command.args([
                    "-blockdev",
                    &node("log-file", log),
                    "-blockdev",
                    "driver=raw,node-name=log,file=log-file",
                ]);
                command
                    .args(["-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512"]);
                "logged"
            }
        };
        command.args(["-device", &format!("virtio-blk-pci,drive={drive},write-cache=on")]);
        let complaints = File::create(file.with_extension("qemu"))?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints).spawn();
        let child = child.as_mut().map_err(|e| anyhow::anyhow!("qemu-system-x86_64 cannot be started: {e}"))?;
        let ended = wait(child, limit, || said(&serial).is_ok_and(|said| is_over(&said)))?;
        let said = said(&serial)?;
        if !ended {
            bail!("the machine ran longer than {} seconds; the last it said:\n{}", limit.as_secs(), tail(&said));
        }
        let complaints = std::fs::read_to_string(file.with_extension("qemu"))?;
        ensure!(!said.is_empty(), "the machine said nothing; QEMU: {complaints}");
        Ok(said)
    }
}

/// The last lines of what a machine said.
pub(crate) fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Waits for the end, at most so long; a machine that is over by what it said, or late, is turned off. Gives whether it ended in time.
fn wait(child: &mut Child, limit: Duration, is_over: impl Fn() -> bool) -> anyhow::Result<bool> {
    let started = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        let over = is_over();
        if over || started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(over);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn said(serial: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    File::open(serial)?.take(SAID_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The libraries that a program is loaded with, and the loader.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    Ok(words.map(PathBuf::from).collect())
}

fn find(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, wanted)?);
        } else if path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Runs a tool to its end.
///
/// # Errors
/// It fails, with what it said.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", command.get_program().display());
    Ok(output.stdout)
}
