//! One process a state directory.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use mdfm_agent_core::store::StoreError;
use nix::fcntl::{Flock, FlockArg};

/// The file in the state directory that a running agent holds.
pub(crate) const LOCK: &str = "lock";

/// That no other process uses a state directory, while it lives.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: Flock<std::fs::File>,
}

impl StateLock {
    /// Takes the directory for this process; makes it first, for its owner alone.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Disk { what: "locked", source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let path = dir.join(LOCK);
        let file = mdfm_service::open_lock(&path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StoreError::InUse { dir: dir.to_owned() }),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}
