//! The folder of the demonstration: it deletes only what it made itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use mdfm_service::output;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Marks a folder that the demonstration made. Its lines are the processes that it left running.
const MARK: &str = ".mdfm-demo";
/// Bytes of that file that are read.
const MARK_BYTES_MAX: usize = 1 << 20;

pub(crate) const HELP: &str = "\
Runs the demonstration: one vendor, ten hospitals, forty devices, three firmware releases.

Usage: mdfm-demo [stop [DIR]]

It works in the folder demo-run below the current one, and takes about a minute. A folder of
that name that it did not make is left alone.

  KEEP=1 mdfm-demo       leaves everything running afterwards, to look around
  mdfm-demo stop [DIR]   ends what a run with KEEP=1 left running; DIR is its folder, or the
                         folder that it was started in; the current one if it is not named
  mdfm-demo --help       prints this
";

/// What somebody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run,
    /// What runs in this folder, or below the current one.
    Stop(Option<PathBuf>),
    Help,
    Version,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// One of them is not known.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Asked> {
    let mut asked = Asked::Run;
    for argument in arguments {
        asked = match (argument.to_str(), asked) {
            (Some("--help" | "-h" | "help"), _) => return Ok(Asked::Help),
            (Some("--version" | "-V"), _) => return Ok(Asked::Version),
            (Some("stop"), Asked::Run) => Asked::Stop(None),
            (word, Asked::Stop(None)) if word.is_none_or(|word| !word.is_empty() && !word.starts_with('-')) => {
                Asked::Stop(Some(argument.into()))
            }
            _ => bail!("'{}' is not known; mdfm-demo --help says what is", argument.display()),
        };
    }
    Ok(asked)
}

/// Makes the folder new; what an earlier demonstration left in it is deleted.
///
/// # Errors
/// Something else has that name, or it cannot be made.
pub(crate) fn make(dir: &Path) -> anyhow::Result<()> {
    if dir.symlink_metadata().is_ok() {
        let is_empty = dir.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            is_empty || dir.join(MARK).is_file(),
            "{} is not a folder of the demonstration: it was left alone. Run mdfm-demo elsewhere, or move it away",
            dir.display()
        );
        ensure!(
            running(dir)?.is_empty(),
            "an earlier demonstration is still running in {0}; end it with: mdfm-demo stop {0}",
            dir.display()
        );
        std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    note(dir, &[])
}

/// Notes the processes that are left running.
pub(crate) fn note(dir: &Path, processes: &[u32]) -> anyhow::Result<()> {
    let lines: Vec<String> = processes.iter().map(ToString::to_string).collect();
    std::fs::write(dir.join(MARK), lines.join("\n")).with_context(|| format!("writing {}", dir.join(MARK).display()))
}

/// The processes of the folder's note that still run in it: their command lines name it. Another process may have the number by now.
fn running(dir: &Path) -> anyhow::Result<Vec<i32>> {
    let mark = dir.join(MARK);
    let text = match std::fs::read(&mark) {
        Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(MARK_BYTES_MAX)]).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", mark.display())),
    };
    let here = dir.display().to_string();
    let is_here = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid > 1 && String::from_utf8_lossy(&command).contains(&here)
    };
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).filter(is_here).collect())
}

/// The program that a process runs.
fn program_of(pid: i32) -> String {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = command.split(|b| *b == 0).next().unwrap_or_default();
    let path = PathBuf::from(String::from_utf8_lossy(program).into_owned());
    path.file_name().map_or_else(|| "a program".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The folder of a demonstration: `dir` itself, or `demo-run` below it.
///
/// # Errors
/// No demonstration made either.
fn find(dir: &Path) -> anyhow::Result<PathBuf> {
    let is_ours = |dir: &PathBuf| dir.join(MARK).is_file();
    let found = [dir.to_owned(), dir.join("demo-run")].into_iter().find(is_ours);
    let found = found.with_context(|| {
        format!("no demonstration was run in {}; name its folder: mdfm-demo stop DIR", dir.display())
    })?;
    // As the processes have it on their command lines.
    found.canonicalize().with_context(|| format!("reading {}", found.display()))
}

/// Ends what an earlier run left running, and says what that was.
///
/// # Errors
/// No demonstration was run there, or a process cannot be ended.
pub(crate) fn stop(dir: &Path) -> anyhow::Result<()> {
    let dir = find(dir)?;
    let processes = running(&dir)?;
    for pid in &processes {
        let program = program_of(*pid);
        kill(Pid::from_raw(*pid), Signal::SIGTERM).with_context(|| format!("ending process {pid}"))?;
        output::line(format_args!("ended {program}, process {pid}"));
    }
    match processes.len() {
        0 => output::line(format_args!("nothing of {} was running", dir.display())),
        1 => output::line(format_args!("1 process of {} was ended", dir.display())),
        n => output::line(format_args!("{n} processes of {} were ended", dir.display())),
    }
    Ok(())
}
