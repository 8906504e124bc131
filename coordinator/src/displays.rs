//! Displays on walls that ask to be paired: each shows a code, which somebody types where they are signed in. Volatile: a display asks again after a
//! restart.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;
use mdfm_shared::network::network;
use mdfm_shared::time::MonotonicMs;

use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::refusal::Class;

/// Time in which a code is typed.
const CODE_MS: u64 = 10 * 60_000;
/// Displays that wait at the same time.
const WAITING_MAX: usize = 256;
/// Displays of one network among them: a newer one replaces the oldest.
const WAITING_MAX_NETWORK: usize = 4;
/// Characters of a code, of 32 each: letters and digits that nobody confuses (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 8;

/// What a paired display gets: its token, and the deployment that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paired {
    pub(crate) token: String,
    pub(crate) deployment: DeploymentId,
}

#[derive(Debug)]
struct Waiting {
    /// Digest of the secret that the display alone knows: the code is read by everybody who passes.
    secret_sha256: Digest,
    network: IpAddr,
    since: MonotonicMs,
    paired: Option<Paired>,
}

/// Displays that wait, by their codes.
#[derive(Debug, Default)]
pub(crate) struct Displays(Mutex<BTreeMap<String, Waiting>>);

/// A code of random bytes.
fn code_of(random: [u8; CODE_CHARS]) -> String {
    random.into_iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// A code as it was meant: in any case, with any separators, `O` for `0`, `I` and `L` for `1`.
pub(crate) fn read_code(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric).take(CODE_CHARS + 1);
    let read = |letter: char| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    letters.map(read).collect()
}

fn unknown_code() -> Refusal {
    Refusal::new(
        Class::NotFound,
        "unknown-code",
        "no display waits with this code; a code counts for ten minutes: let the display show a new one",
    )
}

impl Displays {
    fn with<T>(&self, now: MonotonicMs, act: impl FnOnce(&mut BTreeMap<String, Waiting>) -> T) -> T {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, one| now.since_ms(one.since) < CODE_MS);
        act(&mut waiting)
    }

    /// A display at `address` asks to be paired; returns its code. `random` makes the code.
    ///
    /// # Errors
    /// Too many displays wait.
    pub(crate) fn begin(
        &self,
        now: MonotonicMs,
        address: IpAddr,
        secret: &str,
        random: [u8; CODE_CHARS],
    ) -> Result<String, Refusal> {
        self.with(now, |waiting| {
            let network = network(address);
            let own: Vec<_> = waiting.iter().filter(|(_, one)| one.network == network).collect();
            let oldest = own.iter().min_by_key(|(_, one)| one.since).map(|(code, _)| (*code).clone());
            if own.len() >= WAITING_MAX_NETWORK {
                oldest.map(|code| waiting.remove(&code));
            }
            let code = code_of(random);
            if waiting.len() >= WAITING_MAX || waiting.contains_key(&code) {
                let detail = "too many displays wait to be paired; try again in some minutes";
                return Err(Refusal::new(Class::Unavailable, "too-many-displays", detail));
            }
            let secret_sha256 = Digest::of(secret.as_bytes());
            waiting.insert(code.clone(), Waiting { secret_sha256, network, since: now, paired: None });
            Ok(code)
        })
    }

    /// The network of the display that shows this code.
    ///
    /// # Errors
    /// No display waits with it.
    pub(crate) fn network_of(&self, now: MonotonicMs, code: &str) -> Result<IpAddr, Refusal> {
        self.with(now, |waiting| {
            waiting.get(code).filter(|one| one.paired.is_none()).map(|one| one.network).ok_or_else(unknown_code)
        })
    }

    /// Somebody paired the display that shows this code.
    ///
    /// # Errors
    /// No display waits with it any more; the token is of no use then.
    pub(crate) fn pair(&self, now: MonotonicMs, code: &str, paired: Paired) -> Result<(), Refusal> {
        self.with(now, |waiting| {
            let one = waiting.get_mut(code).filter(|one| one.paired.is_none()).ok_or_else(unknown_code)?;
            one.paired = Some(paired);
            Ok(())
        })
    }

    /// What the display with this code and secret gets; `None` while nobody has typed the code. It may ask again: an answer can be lost.
    ///
    /// # Errors
    /// No display waits with both.
    pub(crate) fn collect(&self, now: MonotonicMs, code: &str, secret: &str) -> Result<Option<Paired>, Refusal> {
        let secret_sha256 = Digest::of(secret.as_bytes());
        self.with(now, |waiting| {
            let one = waiting.get(code).filter(|one| one.secret_sha256 == secret_sha256);
            one.map(|one| one.paired.clone()).ok_or_else(unknown_code)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicMs = MonotonicMs(1_000_000);

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn random(n: u8) -> [u8; CODE_CHARS] {
        [n, n / 32, 2, 3, 4, 5, 6, 7]
    }

    fn paired() -> Paired {
        Paired { token: "mdfm_1".into(), deployment: "D-1".parse().expect("an id") }
    }

    #[test]
    fn console_a_display_gets_its_token_by_code_and_secret() {
        let displays = Displays::default();
        let code = displays.begin(NOW, at("192.0.2.7"), "secret", random(1)).expect("room");
        assert_eq!(code, "10234567");
        assert_eq!(displays.collect(NOW, &code, "secret"), Ok(None));
        assert_eq!(displays.network_of(NOW, &read_code("lo23-4567")), Ok(at("192.0.2.7")));
        displays.pair(NOW, &code, paired()).expect("it waits");
        assert_eq!(displays.pair(NOW, &code, paired()), Err(unknown_code()), "once");
        for wrong in ["", "Secret", &code] {
            assert_eq!(
                displays.collect(NOW, &code, wrong),
                Err(unknown_code()),
                "who reads the code alone gets nothing"
            );
        }
        let collected = displays.collect(NOW, &code, "secret");
        assert_eq!((collected.clone(), displays.collect(NOW, &code, "secret")), (Ok(Some(paired())), collected));
        assert_eq!(displays.collect(NOW.plus_ms(CODE_MS), &code, "secret"), Err(unknown_code()), "for ten minutes");
        assert_eq!(unknown_code().code, "unknown-code");
    }

    #[test]
    fn sec_20_displays_of_one_network_keep_no_other_one_out() {
        let displays = Displays::default();
        let other = displays.begin(NOW, at("192.0.2.9"), "other", random(255)).expect("room");
        for n in 0..200_u8 {
            let address = at(&format!("2001:db8:1:1::{n}"));
            displays.begin(NOW.plus_ms(n.into()), address, "flood", random(n)).expect("in place of an older one");
        }
        assert_eq!(displays.collect(NOW, &other, "other"), Ok(None));
        assert_eq!(displays.with(NOW, |waiting| waiting.len()), WAITING_MAX_NETWORK + 1);
    }

    #[test]
    fn sec_20_displays_that_wait_are_bounded() {
        let displays = Displays::default();
        let begin = |n: u16| {
            let [high, low] = n.to_be_bytes();
            let code = [low & 31, (low >> 5) | (high << 3), 2, 3, 4, 5, 6, 7];
            displays.begin(NOW, IpAddr::from([10, 0, high, low]), "s", code)
        };
        assert_eq!((0..400).filter(|n| begin(*n).is_ok()).count(), WAITING_MAX);
        assert_eq!(begin(400).expect_err("full").code, "too-many-displays");
    }
}
