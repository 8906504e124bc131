//! File descriptors: a program with thousands of connections takes all that the system lets it have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one; gives it.
///
/// # Errors
/// The system refuses.
pub fn raise_descriptors() -> std::io::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(wide(most))
}

/// A number of the C library, which is shorter on a 32-bit machine, at the same width on all.
pub(crate) fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let most = raise_descriptors().expect("may be raised up to the hard limit");
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("readable");
        assert_eq!((wide(soft), wide(hard)), (most, most));
    }
}
