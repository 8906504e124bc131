//! Processes of the installation.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::Context;

use crate::plain;

/// A program of the workspace: beside this one, or one folder up when this is a test. `MDFM_AGENT` names another agent, for example the one of a
/// package, in a root of another architecture (`tests/packages/foreign`).
///
/// # Errors
/// It has not been built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MDFM_AGENT").filter(|_| name == "mdfm-agent") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    let mut dir = own.parent().context("a program lies in a folder")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("deps lies in a folder")?;
    }
    let path = dir.join(name);
    anyhow::ensure!(path.exists(), "{} is not built; run `cargo build --workspace` first", path.display());
    Ok(path)
}

/// Programs that run ours, and pass on what these say.
const CARRIERS: [&str; 4] = ["bash", "sh", "timeout", "python3"];

/// Runs programs to their end. Whatever one of ours says on standard error must be in plain words.
pub trait Checked {
    /// As `output`, with the check.
    ///
    /// # Errors
    /// The program cannot be started.
    ///
    /// # Panics
    /// What it says is not for people.
    fn checked_output(&mut self) -> std::io::Result<Output>;
}

impl Checked for Command {
    fn checked_output(&mut self) -> std::io::Result<Output> {
        let name = Path::new(self.get_program()).file_name().map(|name| name.to_string_lossy().into_owned());
        let output = self.output()?;
        check_end(&name.unwrap_or_default(), &output);
        Ok(output)
    }
}

/// Waits for the end of a program of ours that was started, with the check.
///
/// # Errors
/// It cannot be waited for.
///
/// # Panics
/// What it says is not for people.
pub fn checked_end(name: &str, child: Child) -> std::io::Result<Output> {
    let output = child.wait_with_output()?;
    check_end(name, &output);
    Ok(output)
}

fn check_end(name: &str, output: &Output) {
    if name.starts_with("mdfm") || CARRIERS.contains(&name) {
        plain::check_errors(name, &output.stderr);
    }
}

/// A TCP port of loopback that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A running process that ends with its handle; its output goes to a log file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    keep: bool,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `name` with `arguments`, appending its output to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        Self::start_later(name, arguments, log, 0)
    }

    /// As [`Self::start`], with a wall clock that is so many years ahead (the Debian package `faketime`).
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_later(name: &str, arguments: &[String], log: &Path, years: u32) -> anyhow::Result<Self> {
        // The one program that is not ours.
        let path = if name == "mosquitto" { PathBuf::from("/usr/sbin/mosquitto") } else { program(name)? };
        let mut command = Command::new(path);
        if years > 0 {
            set_clock(&mut command, &format!("+{years}y"))?;
        }
        Self::spawn(command, arguments, log, name)
    }

    /// As [`Self::start`], with a wall clock moved by this offset, for example `-20d`; empty for the real one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_at(name: &str, arguments: &[String], log: &Path, clock: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(program(name)?);
        set_clock(&mut command, clock)?;
        Self::spawn(command, arguments, log, name)
    }

    /// As [`Self::start`], with a wall clock moved by the offset that stands in a file, as soon as it is written there.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_by(name: &str, arguments: &[String], log: &Path, clock: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program(name)?);
        set_clock(&mut command, "+0")?;
        command.env_remove("FAKETIME").env("FAKETIME_TIMESTAMP_FILE", clock).env("FAKETIME_CACHE_DURATION", "1");
        Self::spawn(command, arguments, log, name)
    }

    fn spawn(mut command: Command, arguments: &[String], log: &Path, name: &str) -> anyhow::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { child, keep: false, name: name.to_owned(), log: log.to_owned() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Leaves the process running when the handle goes.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end in order, and waits until it has, half a minute at most.
    pub fn terminate(&mut self) {
        if let Ok(pid) = i32::try_from(self.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        for _ in 0..600 {
            if !self.is_running() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves the wall clock of a program by an offset, for example `-20d`, and leaves the monotonic one; empty for the real clock.
///
/// # Errors
/// The Debian package `faketime` is missing.
pub(crate) fn set_clock(command: &mut Command, offset: &str) -> anyhow::Result<()> {
    if !offset.is_empty() {
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
        anyhow::ensure!(Path::new(&library).exists(), "{library} is missing; run `make test-tools`");
        command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("DONT_FAKE_MONOTONIC", "1");
    }
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.keep {
            self.kill();
            if self.name.starts_with("mdfm-") {
                plain::check_log(&self.name, &self.log);
            }
        }
    }
}
