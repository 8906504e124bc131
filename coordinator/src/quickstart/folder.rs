//! The directory of a trial: it is used only if it is empty or if an earlier quickstart marked it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use mdfm_service::atomic_write;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// The file that marks a directory as a trial's.
const MARK: &str = ".mdfm-trial";
/// Held while the trial runs.
const LOCK: &str = ".lock";
/// Bytes of the mark that are read.
const MARK_BYTES_MAX: u64 = 64 * 1024;
/// What quickstart itself puts into the directory: an incomplete trial is removed by these names, and nothing else is.
const MADE: [&str; 9] =
    ["coordinator", "coordinator.toml", "people", "agent", "device", "firmware", "plan.json", "logs", "next-steps.sh"];

/// What is known about a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mark {
    /// Whether it was made to its end.
    pub(super) ready: bool,
    /// The coordinator's port.
    pub(super) port: u16,
    /// The port on which the gateway listens for devices.
    pub(super) device_port: u16,
    /// The digest of the release's manifest, in hexadecimal digits.
    pub(super) manifest_digest: String,
    /// The processes of the last run.
    pub(super) processes: Vec<u32>,
}

/// A directory that belongs to this run alone.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    mark: Mark,
    _lock: Flock<fs::File>,
}

impl Folder {
    /// Takes a directory: makes it, or finds it empty or marked. A trial that was not made to its end is removed.
    ///
    /// # Errors
    /// The directory holds something else, a trial runs in it, or it cannot be read or written.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let is_marked = dir.join(MARK).is_file();
        let is_empty = || dir.read_dir().map(|mut entries| entries.next().is_none());
        if dir.symlink_metadata().is_ok() && !is_marked {
            let is_empty =
                is_empty().with_context(|| format!("{} is not a directory that can be read", dir.display()))?;
            ensure!(
                is_empty,
                "{} is not empty and not a trial of this command; nothing was changed. Name another directory: \
                 mdfm-coordinator quickstart --dir DIR",
                dir.display()
            );
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("making {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("reading {}", dir.display()))?;
        let name = dir.to_str().context("the directory's name must be UTF-8")?;
        ensure!(!name.contains(char::is_control), "the directory's name must have no control characters");
        // The mark comes before everything else: what this run makes is known as its own.
        if !is_marked {
            write_mark(&dir, &Mark::default())?;
        }
        let lock = lock(&dir)?;
        let mark = read_mark(&dir)?;
        check_processes(&dir, &mark.processes)?;
        if !mark.ready {
            remove_made(&dir)?;
        }
        for name in ["people", "logs"] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join(name));
            made.with_context(|| format!("making {}", dir.join(name).display()))?;
        }
        Ok(Self { dir, mark, _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    /// What was known when it was opened.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }
    /// Replaces the mark.
    pub(super) fn keep(&self, mark: &Mark) -> anyhow::Result<()> {
        write_mark(&self.dir, mark)
    }
}

fn write_mark(dir: &Path, mark: &Mark) -> anyhow::Result<()> {
    let file = dir.join(MARK);
    atomic_write(&file, &serde_json::to_vec_pretty(mark)?).with_context(|| format!("writing {}", file.display()))
}

fn read_mark(dir: &Path) -> anyhow::Result<Mark> {
    use std::io::Read as _;
    let file = dir.join(MARK);
    let mut text = String::new();
    let reader = fs::File::open(&file).with_context(|| format!("reading {}", file.display()))?;
    reader.take(MARK_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is damaged; remove the directory (rm -r {}) and run the command again",
            file.display(),
            dir.display()
        )
    })
}

/// One run a directory. The lock ends with its process, however that ends.
fn lock(dir: &Path) -> anyhow::Result<Flock<fs::File>> {
    let path = dir.join(LOCK);
    let file = mdfm_service::open_lock(&path).with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!("the trial in {} is running already, in another terminal; use it there or stop it", dir.display())
        }
        Err((_, errno)) => Err(std::io::Error::from(errno)).with_context(|| format!("locking {}", path.display())),
    }
}

/// Refuses to start beside the processes of a run that was killed. Another process may have the number by now: only those count whose command line
/// names the directory.
fn check_processes(dir: &Path, processes: &[u32]) -> anyhow::Result<()> {
    let here = dir.display().to_string();
    let is_here = |pid: &&u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&here)
    };
    let running: Vec<String> = processes.iter().filter(is_here).map(ToString::to_string).collect();
    let all = running.join(" ");
    ensure!(
        running.is_empty(),
        "processes of an earlier run, which was killed, still run in {here}; end them with: kill {all}"
    );
    Ok(())
}

/// Removes what an incomplete trial left, by name.
fn remove_made(dir: &Path) -> anyhow::Result<()> {
    for name in MADE {
        let path = dir.join(name);
        let Ok(held) = path.symlink_metadata() else { continue };
        let removed = if held.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}, which an incomplete trial left", path.display()))?;
    }
    Ok(())
}

/// Writes a new file that only its owner may read.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("writing {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mdfm-quickstart-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn cli_27_quickstart_leaves_a_foreign_directory_alone() {
        let dir = fresh("foreign");
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("thesis"), "years of work").expect("written");
        let refused = Folder::open(&dir).expect_err("not empty").to_string();
        assert!(refused.contains("nothing was changed"), "{refused}");
        let names: Vec<_> = dir.read_dir().expect("reads").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["thesis"]);
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn cli_27_an_incomplete_trial_is_made_again() {
        let dir = fresh("incomplete");
        let folder = Folder::open(&dir).expect("a new directory");
        fs::write(folder.path("people/admin.password"), "x").expect("written");
        fs::write(folder.path("notes"), "of a person").expect("written");
        assert!(Folder::open(&dir).expect_err("locked").to_string().contains("running already"));
        drop(folder);
        let folder = Folder::open(&dir).expect("marked");
        assert!(!folder.path("people/admin.password").exists() && folder.path("notes").exists());
        let ready = Mark { ready: true, port: 7, ..Mark::default() };
        folder.keep(&ready).expect("written");
        write_secret(&folder.path("people/admin.password"), b"y").expect("written");
        drop(folder);
        let folder = Folder::open(&dir).expect("marked");
        assert_eq!(folder.mark(), &ready);
        assert!(folder.path("people/admin.password").exists(), "a complete trial keeps everything");
        drop(folder);
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn cli_27_processes_of_a_killed_run_are_named() {
        let me = std::process::id();
        // The command line of this test names its own program's directory.
        let command = fs::read(format!("/proc/{me}/cmdline")).expect("reads");
        let program = String::from_utf8_lossy(&command).split('\0').next().unwrap_or_default().to_owned();
        let named = check_processes(Path::new(&program), &[me]).expect_err("still runs").to_string();
        assert!(named.ends_with(&format!("kill {me}")), "{named}");
        assert!(check_processes(Path::new("/nowhere/at/all"), &[me]).is_ok(), "a number that was given again");
    }
}
