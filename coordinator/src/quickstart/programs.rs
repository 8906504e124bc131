//! The programs of a trial: where they are, calls of them, and the three that run until the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::last_lines;

/// Longest time that one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// Longest time that a child may take to stop in order.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Time between looks at a call.
const CALL_INTERVAL: Duration = Duration::from_millis(50);
/// Lines of a child's log that are shown when it ended.
const SHOWN_LINES: usize = 6;
/// What would lead `mdfmctl` to another coordinator than the trial's, or past this machine.
const FOREIGN: [&str; 12] = [
    "MDFMCTL_TOKEN",
    "MDFMCTL_URL",
    "MDFMCTL_CA",
    "MDFMCTL_SESSION",
    "MDFMCTL_CONTEXT",
    "MDFMCTL_USER",
    "MDFMCTL_PASSWORD_FILE",
    "MDFMCTL_FACTOR_FILE",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Somebody stopped the trial; no failure.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(super) struct Stopped;

/// Notes Ctrl-C, hang-up and SIGTERM.
#[derive(Debug)]
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
}

impl Signals {
    /// Listens from now on: no signal ends the program past its children.
    pub(super) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stop = Arc::new(AtomicBool::new(false));
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut signal = {
                let _entered = runtime.enter();
                signal(kind)?
            };
            let stop = Arc::clone(&stop);
            runtime.spawn(async move {
                signal.recv().await;
                stop.store(true, Ordering::SeqCst);
            });
        }
        Ok(Self { stop, _runtime: runtime })
    }
}

/// The programs of a trial.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) coordinator: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) ctl: PathBuf,
    pub(super) sim: PathBuf,
}

/// A program beside this one, or the first of that name in `path`.
fn locate(own: &Path, path: &std::ffi::OsStr, name: &str) -> Option<PathBuf> {
    let beside = own.parent().map(|dir| dir.join(name));
    beside.into_iter().chain(in_path(path, name)).find(|program| program.is_file())
}

fn in_path<'a>(path: &'a std::ffi::OsStr, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(move |dir| dir.join(name))
}

impl Programs {
    /// Finds all of them.
    ///
    /// # Errors
    /// Some are missing; the error names each with its package.
    pub(super) fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        Self::find_beside(own, &std::env::var_os("PATH").unwrap_or_default())
    }

    fn find_beside(own: PathBuf, path: &std::ffi::OsStr) -> anyhow::Result<Self> {
        let needed = [("mdfm-agent", "mdfm-agent"), ("mdfmctl", "mdfmctl"), ("mdfm-sim", "mdfm-simulators")];
        let found = needed.map(|(name, package)| locate(&own, path, name).ok_or((name, package)));
        let missing: Vec<String> = found
            .iter()
            .filter_map(|found| found.as_ref().err())
            .map(|(name, package)| format!("{name} (package {package})"))
            .collect();
        let [Ok(agent), Ok(ctl), Ok(sim)] = found else {
            bail!(
                "a trial also needs {}, beside {} or in PATH; install what is missing, or build it with \
                 cargo build --workspace --bins",
                missing.join(" and "),
                own.display()
            );
        };
        Ok(Self { coordinator: own, agent, ctl, sim })
    }

    /// The directory of `mdfmctl` if a shell would not find this very program by its name.
    pub(super) fn not_in_path(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = in_path(&path, "mdfmctl").find(|program| program.is_file());
        let is_same = first.is_some_and(|first| first.canonicalize().ok() == self.ctl.canonicalize().ok());
        self.ctl.parent().filter(|_| !is_same).map(Path::to_owned)
    }
}

/// A program that should run until the end.
#[derive(Debug)]
struct Running {
    name: &'static str,
    process: Child,
    log: PathBuf,
    /// Whether its end was reported.
    ended: bool,
}

/// A child that ended although nobody stopped it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) words: String,
}

/// What runs for the trial.
#[derive(Debug)]
pub(super) struct Children {
    running: Vec<Running>,
    signals: Signals,
}

impl Children {
    pub(super) fn new(signals: Signals) -> Self {
        Self { running: Vec::new(), signals }
    }

    fn check_stop(&self) -> anyhow::Result<()> {
        if self.signals.stop.load(Ordering::SeqCst) { Err(Stopped.into()) } else { Ok(()) }
    }

    /// Waits.
    ///
    /// # Errors
    /// Somebody stops the trial.
    pub(super) fn pause(&self, time: Duration) -> anyhow::Result<()> {
        std::thread::sleep(time);
        self.check_stop()
    }

    /// Process ids, for a later run that finds them left.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.running.iter().map(|child| child.process.id()).collect()
    }

    /// Starts a program with its output in a log file, which begins empty.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt as _;
        self.check_stop()?;
        let output = fs::File::create(log).with_context(|| format!("writing {}", log.display()))?;
        // In a process group of its own: Ctrl-C reaches this program alone, which then stops them in order.
        let process = Command::new(program)
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        self.running.push(Running { name, process, log: log.to_owned(), ended: false });
        Ok(())
    }

    /// Runs a program to its end and returns what it printed.
    ///
    /// # Errors
    /// It failed, with its own words; it took too long; or somebody stops the trial.
    pub(super) fn call(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        self.check_stop()?;
        let mut command = Command::new(program);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let output = self.finish(child).with_context(|| format!("calling {}", shown(program, arguments)))?;
        if !output.status.success() {
            // Ctrl-C reaches a call too, and may end it before this program has noted the signal.
            self.pause(CALL_INTERVAL)?;
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {}", shown(program, arguments), words.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits for a call, reading what it prints; ends it if it takes too long or the trial is stopped.
    fn finish(&self, child: Child) -> anyhow::Result<Output> {
        let (began, id) = (Instant::now(), child.id());
        let (done, outcome) = channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        loop {
            match outcome.recv_timeout(CALL_INTERVAL) {
                Ok(output) => return Ok(output?),
                Err(RecvTimeoutError::Disconnected) => bail!("its end was not seen"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let is_late = began.elapsed() > CALL_LIMIT;
            if is_late || self.check_stop().is_err() {
                send(id, Signal::SIGKILL);
                let _ = outcome.recv();
                self.check_stop()?;
                bail!("it took longer than {} s", CALL_LIMIT.as_secs());
            }
        }
    }

    /// Checks that every child still runs.
    ///
    /// # Errors
    /// One ended, with the last lines of its log.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.ended().into_iter().next() {
            Some(ended) => bail!("{}", ended.words.trim_end()),
            None => Ok(()),
        }
    }

    /// The children that ended since the last look.
    pub(super) fn ended(&mut self) -> Vec<Ended> {
        let mut found = Vec::new();
        for child in self.running.iter_mut().filter(|child| !child.ended) {
            let how = match child.process.try_wait() {
                Ok(None) => continue,
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            child.ended = true;
            let (name, log, id) = (child.name, &child.log, child.process.id());
            let last = last_lines(log, SHOWN_LINES);
            let words =
                format!("the {name} (process {id}) ended: {how}; the end of its log, {}:\n{last}", log.display());
            found.push(Ended { name, words: words.trim_end().to_owned() });
        }
        found
    }

    /// Stops everything in order, what was started last first; a child that does not stop is killed.
    pub(super) fn stop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // The id of a child that was seen to end may be another program's by now.
            if matches!(child.process.try_wait(), Ok(None)) {
                send(child.process.id(), Signal::SIGTERM);
            }
            let began = Instant::now();
            while matches!(child.process.try_wait(), Ok(None)) && began.elapsed() < STOP_LIMIT {
                std::thread::sleep(Duration::from_millis(20));
            }
            // It may have ended already.
            let _ = child.process.kill();
            let _ = child.process.wait();
        }
        self.running.clear();
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

fn send(id: u32, signal: Signal) {
    if let Ok(id) = i32::try_from(id) {
        // It may have ended already.
        let _ = kill(Pid::from_raw(id), signal);
    }
}

/// A call as it is named in an error: the program and its first words, which hold no secret.
fn shown(program: &Path, arguments: &[&str]) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let mut words = arguments.iter().copied();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--session" | "--config" => drop(words.next()),
            word if word.starts_with("--") => {}
            word => kept.push(word),
        }
        if kept.len() == 3 {
            break;
        }
    }
    format!("{name} {}", kept.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_27_quickstart_names_the_package_of_each_missing_program() {
        let missing = Programs::find_beside("/nowhere/mdfm-coordinator".into(), "".as_ref());
        let words = missing.expect_err("none is there").to_string();
        for name in
            ["mdfm-agent (package mdfm-agent)", "mdfmctl (package mdfmctl)", "mdfm-sim (package mdfm-simulators)"]
        {
            assert!(words.contains(name), "{words}");
        }
    }

    #[test]
    fn cli_27_a_failed_call_names_its_command_and_no_secret() {
        let all =
            ["--json", "--session", "/x/admin.session", "users", "add", "qa", "--password-file", "/x/qa.password"];
        assert_eq!(shown(Path::new("/usr/bin/mdfmctl"), &all), "mdfmctl users add qa");
    }

    #[test]
    fn cli_27_a_child_that_ends_is_reported_once() {
        let log = std::env::temp_dir().join(format!("mdfm-quickstart-{}-log", std::process::id()));
        let mut children = Children::new(Signals::listen().expect("listens"));
        children.start("gateway", Path::new("/bin/sh"), &["-c", "echo the reason >&2; exit 3"], &log).expect("starts");
        let began = Instant::now();
        let mut ended = Vec::new();
        while ended.is_empty() && began.elapsed() < Duration::from_secs(20) {
            ended = children.ended();
            std::thread::yield_now();
        }
        assert_eq!(ended.len(), 1);
        assert!(ended[0].words.contains("the reason") && ended[0].words.contains("exit status: 3"), "{ended:?}");
        assert!(children.ended().is_empty(), "once");
        assert!(children.check().is_ok(), "and not again");
        let _ = fs::remove_file(&log);
    }
}
