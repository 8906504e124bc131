//! Programs of others that the agent runs: no shell, an empty environment, a process group of their own, a deadline after which all of
//! the group is killed, and a bound on what they say.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Where programs find others; nothing else of the agent's environment reaches them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes in one line that a program says.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// Lines that may wait; a program that says more is made to wait.
const LINES_MAX: usize = 64;
/// How often a running program's deadline is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running program; killed with its whole group when dropped.
pub(super) struct Program {
    name: String,
    child: Child,
    /// Its input, until it is closed.
    pub(super) input: Option<ChildStdin>,
    lines: Receiver<io::Result<String>>,
    /// When all of it is killed.
    deadline: Arc<Mutex<Option<Instant>>>,
    warden: Option<JoinHandle<()>>,
}

fn lock(deadline: &Mutex<Option<Instant>>) -> std::sync::MutexGuard<'_, Option<Instant>> {
    deadline.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Program {
    /// Starts a program that has `time` from now on.
    pub(super) fn start(command: &[String], more: &[&str], time: Duration) -> io::Result<Self> {
        let (name, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("a program to run must be configured"))?;
        let failed = |e: io::Error| io::Error::new(e.kind(), format!("cannot run {name}: {e}"));
        let mut child = Command::new(name)
            .args(arguments)
            .args(more)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("a program without an output"))?;
        if let Some(errors) = child.stderr.take() {
            let name = name.clone();
            std::thread::Builder::new().name("program-errors".into()).spawn(move || log_errors(&name, errors))?;
        }
        let (said, lines) = sync_channel(LINES_MAX);
        std::thread::Builder::new().name("program-output".into()).spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(line) = read_line(&mut output) {
                let ended = line.is_err();
                if said.send(line).is_err() || ended {
                    return;
                }
            }
        })?;
        let deadline = Arc::new(Mutex::new(Some(Instant::now() + time)));
        let (watched, group) = (Arc::clone(&deadline), group_of(&child));
        let warden = std::thread::Builder::new().name("program-warden".into()).spawn(move || {
            loop {
                match *lock(&watched) {
                    None => return,
                    Some(at) if Instant::now() >= at => {
                        // The group may be gone already.
                        let _ = killpg(group, Signal::SIGKILL);
                        return;
                    }
                    Some(_) => {}
                }
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(Self { name: name.clone(), child, input, lines, deadline, warden: Some(warden) })
    }

    /// It has `time` from now on.
    pub(super) fn grant(&self, time: Duration) {
        if let Some(at) = &mut *lock(&self.deadline) {
            *at = Instant::now() + time;
        }
    }

    /// Gives it input.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("the program's input is closed"))?;
        input.write_all(bytes).map_err(|e| io::Error::new(e.kind(), format!("{} takes no input: {e}", self.name)))
    }

    /// A line that it has said; none where it says nothing within `patience`, or never again.
    pub(super) fn line(&self, patience: Duration) -> io::Result<Option<String>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => line.map(Some),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Closes its input and waits for its end; gives what it said since.
    ///
    /// # Errors
    /// It was killed because its time was over, or ended without success.
    pub(super) fn end(mut self) -> io::Result<(Vec<String>, ExitStatus)> {
        drop(self.input.take());
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    said.push(line?);
                    if said.len() > LINES_MAX {
                        return Err(io::Error::other(format!("{} says more than {LINES_MAX} lines", self.name)));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait()?;
        if lock(&self.deadline).is_some_and(|at| Instant::now() >= at) {
            return Err(io::Error::other(format!("{} took too long and was killed", self.name)));
        }
        Ok((said, status))
    }
}

/// What a program says on standard error goes to the agent's log, as bounded and as escaped as everything there.
fn log_errors(program: &str, errors: impl Read) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    for n in 0_u64.. {
        line.clear();
        match (&mut errors).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            // What is beyond the bound is read and let go, so that the program is not stopped by it.
            Ok(_) if n < LINES_MAX as u64 => {
                tracing::warn!(program, "{}", String::from_utf8_lossy(&line).trim_end());
            }
            Ok(_) => {}
        }
    }
}

fn group_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(0))
}

impl Drop for Program {
    fn drop(&mut self) {
        *lock(&self.deadline) = None;
        // What it left running in its group goes with it.
        let _ = killpg(group_of(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
        if let Some(warden) = self.warden.take() {
            let _ = warden.join();
        }
    }
}

fn read_line(output: &mut impl BufRead) -> Option<io::Result<String>> {
    let mut line = Vec::new();
    match output.take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) if line.last() != Some(&b'\n') && line.len() as u64 == LINE_BYTES_MAX => {
            Some(Err(io::Error::other(format!("a line of more than {LINE_BYTES_MAX} bytes"))))
        }
        Ok(_) => Some(String::from_utf8(line).map_err(io::Error::other)),
        Err(error) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, time: Duration) -> Program {
        Program::start(&["/bin/sh".into(), "-c".into(), script.into()], &[], time).expect("there is a shell")
    }

    #[test]
    fn att_14_a_program_that_hangs_is_killed_with_all_that_it_started() {
        let began = Instant::now();
        let program = shell("sleep 600 & echo $!; wait", Duration::from_millis(300));
        let child: i32 =
            program.line(Duration::from_secs(5)).expect("says").expect("a pid").trim().parse().expect("a pid");
        let error = program.end().expect_err("its time is over");
        assert!(error.to_string().contains("took too long"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10));
        // Whether or not anybody has reaped it yet, it runs no more once the kernel has got round to it.
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let ended = || state().is_empty() || state().contains(") Z ");
        while !ended() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(LOOK);
        }
        assert!(ended(), "the sleeping child lives on: {}", state());
    }

    #[test]
    fn att_14_nothing_of_the_agents_environment_reaches_a_program_and_no_line_is_endless() {
        let (said, status) = shell("env; pwd", Duration::from_secs(20)).end().expect("ends");
        assert!(status.success());
        let named: Vec<&str> = said.iter().filter_map(|l| l.split('=').next()).map(str::trim).collect();
        assert!(named.iter().all(|n| ["PATH", "PWD", "OLDPWD", "SHLVL", "_", "/"].contains(n)), "{said:?}");
        let error =
            shell("head -c 100000 /dev/zero | tr '\\0' x", Duration::from_secs(20)).end().expect_err("too long");
        assert!(error.to_string().contains("more than 16384 bytes"), "{error}");
    }
}
