//! Password verifiers. They stay out of the audit log, which is handed to outsiders and never forgets: the log names a verifier
//! by its digest alone, so that nobody can exchange the file behind a user without a record.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mdfm_service::atomic_write;
use mdfm_shared::digest::Digest;

/// File with a verifier of nobody's and a secret of nobody's: names without an account cost the same work as others.
const DECOYS: &str = "decoys";

/// The directory of verifiers, one file each, named by its digest.
#[derive(Debug, Clone)]
pub(crate) struct CredentialStore {
    dir: PathBuf,
}

impl CredentialStore {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Keeps a verifier and gives the digest by which a record may name it; durable when this returns.
    pub(crate) fn keep(&self, verifier: &str) -> io::Result<Digest> {
        let digest = Digest::of(verifier.as_bytes());
        atomic_write(&self.dir.join(digest.to_string()), verifier.as_bytes())?;
        Ok(digest)
    }

    /// Drops what no record names any more, or never did: the change that it was made for was refused.
    pub(crate) fn forget(&self, digest: Digest) {
        if let Err(error) = fs::remove_file(self.dir.join(digest.to_string())) {
            tracing::warn!(%error, %digest, "a secret that counts no longer could not be removed");
        }
    }

    /// Keeps what is read for names without an account; what was kept before stays.
    pub(crate) fn keep_decoy(&self, verifier: &str) -> io::Result<()> {
        let path = self.dir.join(DECOYS);
        if path.is_file() { Ok(()) } else { atomic_write(&path, verifier.as_bytes()) }
    }

    /// Reads and checks what [`Self::read`] would, for a name without an account.
    pub(crate) fn read_decoy(&self) -> io::Result<String> {
        let text = fs::read_to_string(self.dir.join(DECOYS))?;
        let _ = std::hint::black_box(Digest::of(text.as_bytes()));
        Ok(text)
    }

    /// The verifier of that digest.
    ///
    /// # Errors
    /// It cannot be read, or is not what the record names.
    pub(crate) fn read(&self, digest: Digest) -> io::Result<String> {
        let text = fs::read_to_string(self.dir.join(digest.to_string()))?;
        if Digest::of(text.as_bytes()) == digest {
            Ok(text)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("password verifier {digest} was altered")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_300_an_exchanged_password_verifier_opens_nothing() {
        let dir = std::env::temp_dir().join(format!("mdfm-credentials-{}", std::process::id()));
        let store = CredentialStore::open(&dir).expect("opens");
        let digest = store.keep("$argon2id$own").expect("keeps");
        assert_eq!(store.read(digest).expect("reads"), "$argon2id$own");
        fs::write(dir.join(digest.to_string()), "$argon2id$of-somebody-else").expect("writes");
        assert!(store.read(digest).is_err());
        store.forget(digest);
        assert!(store.read(digest).is_err());
        fs::remove_dir_all(&dir).expect("removes");
    }
}
