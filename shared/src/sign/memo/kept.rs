//! What is kept in one thread, inside [`remembering`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Entries kept, some megabytes; above that all are dropped, and made again as they are asked for.
const ENTRIES_MAX: usize = 1 << 16;

/// Whether strict verification accepts, by digest of key, signature and message.
type Judged = BTreeMap<[u8; 32], bool>;

thread_local! {
    static JUDGED: RefCell<Option<Judged>> = const { RefCell::new(None) };
}

/// Ends the remembering, also where what ran inside it panics.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        JUDGED.set(None);
    }
}

/// Runs `run` and remembers, in this thread and until it ends, how each signature was judged. Inside another call it goes on with
/// what that one remembers.
pub fn remembering<R>(run: impl FnOnce() -> R) -> R {
    if JUDGED.with_borrow(Option::is_some) {
        return run();
    }
    JUDGED.set(Some(Judged::new()));
    let _ends = Ends;
    run()
}

fn name(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> [u8; 32] {
    // Key and signature have fixed lengths, so that no two triples give the same bytes.
    Sha256::new().chain_update(key).chain_update(signature).chain_update(message).finalize().into()
}

fn keep(judged: &mut Judged, name: [u8; 32], accepted: bool) {
    if judged.len() >= ENTRIES_MAX {
        judged.clear();
    }
    judged.insert(name, accepted);
}

/// What `strictly` says of this signature, or said before.
pub(in crate::sign) fn verified(
    key: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
    strictly: impl FnOnce() -> bool,
) -> bool {
    JUDGED.with_borrow_mut(|judged| {
        let Some(judged) = judged else { return strictly() };
        let name = name(key, message, signature);
        if let Some(accepted) = judged.get(&name) {
            return *accepted;
        }
        let accepted = strictly();
        keep(judged, name, accepted);
        accepted
    })
}

/// A signature was made: strict verification accepts what the key's own signing gives (RFC 8032 §5.1.6 and §5.1.7).
pub(in crate::sign) fn signed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) {
    JUDGED.with_borrow_mut(|judged| {
        if let Some(judged) = judged {
            let name = name(key, message, signature);
            keep(judged, name, true);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SecretKey;

    fn held() -> usize {
        JUDGED.with_borrow(|judged| judged.as_ref().map_or(0, BTreeMap::len))
    }

    #[test]
    fn att_1_nothing_is_remembered_outside_a_simulation() {
        let key = SecretKey::from_seed([7; 32]);
        let signature = key.sign(b"one");
        assert!(key.public().verify(b"one", &signature));
        assert_eq!(held(), 0);
        remembering(|| {
            assert!(key.public().verify(b"one", &signature) && !key.public().verify(b"two", &signature));
            assert_eq!(held(), 2);
            remembering(|| assert_eq!(held(), 2));
            std::thread::spawn(|| assert_eq!(held(), 0)).join().expect("another thread remembers nothing");
        });
        assert_eq!(held(), 0);
        let panicked = std::panic::catch_unwind(|| remembering(|| panic!("a world that fails")));
        assert!(panicked.is_err() && held() == 0);
    }

    #[test]
    fn att_1_what_is_remembered_is_what_verification_says() {
        let (key, other) = (SecretKey::from_seed([7; 32]), SecretKey::from_seed([8; 32]));
        let judge = |message: &[u8], signature: &[u8]| {
            (key.public().verify(message, signature), other.public().verify(message, signature))
        };
        let good = key.sign(b"a message");
        let mut spoiled = good.clone();
        spoiled[40] ^= 1;
        let mut sum = good.clone();
        // S + L: accepted by lax verification alone.
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut carry = 0_u16;
        for (byte, add) in sum[32..].iter_mut().zip(order) {
            let next = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (next.to_le_bytes()[0], next >> 8);
        }
        let cases: [(&[u8], &[u8]); 5] = [
            (b"a message", &good),
            (b"a messag", &good),
            (b"a message", &spoiled),
            (b"a message", &sum),
            (b"", &good[..63]),
        ];
        let before = cases.map(|(message, signature)| judge(message, signature));
        assert_eq!(before, [(true, false), (false, false), (false, false), (false, false), (false, false)]);
        remembering(|| {
            // A signature made inside is known before it is asked about.
            assert_eq!(key.sign(b"a message"), good);
            for _ in 0..2 {
                assert_eq!(cases.map(|(message, signature)| judge(message, signature)), before);
            }
        });
    }

    #[test]
    fn att_1_what_is_remembered_is_bounded() {
        remembering(|| {
            for n in 0..ENTRIES_MAX + 10 {
                signed(&[0; 32], &n.to_be_bytes(), &[0; 64]);
                assert!(held() <= ENTRIES_MAX);
            }
        });
    }
}
