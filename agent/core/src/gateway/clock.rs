//! The clock, where only a person can say that it is right: a mark that a wrong clock once moved far ahead is set back to it.

use mdfm_shared::limits::DETAIL_CHARS_MAX;
use mdfm_shared::telemetry::EventKind;
use mdfm_shared::text::duration;
use serde_json::{Value, json};

use super::on_site::Reply;
use super::{Gateway, GatewayError};
use crate::installer::Now;
use crate::store::Store;

impl<S: Store> Gateway<S> {
    /// The wall clock, and by how much it differs from what the coordinator signed. A document was signed before it arrived: a clock that is
    /// right shows that a little later, and one that shows it earlier is behind.
    pub fn clock_in_words(&self, now: Now) -> String {
        let mut words = now.utc.to_string();
        let behind_ms = self.time.behind_ms(now);
        if behind_ms > 0 {
            words += &format!("; it is {} behind the latest time that this gateway has seen", duration(behind_ms));
        }
        match self.trust.directive().map(|directive| directive.issued_at).zip(self.directive_came()) {
            None => words += "; no signed time to compare it with has come over the line yet",
            Some((signed, came)) if came < signed => {
                let by = duration(signed.since_ms(came));
                words += &format!(
                    "; the coordinator signed its newest directive {by} later than it arrived by this clock: it is behind"
                );
            }
            Some((signed, came)) => {
                let by = duration(came.since_ms(signed));
                words += &format!(
                    "; the coordinator signed its newest directive at {signed}, and it arrived {by} later by this clock, which is ahead by no \
                     more than that"
                );
            }
        }
        words
    }

    /// Root on the gateway says that its clock is right, although the gateway has seen a later time. Durable and reported when this returns. A clock
    /// that is wrong after all opens nothing: documents that are held and were signed later than it says keep new activations away.
    ///
    /// # Errors
    /// The inner one says why not, in words.
    pub fn accept_clock(&mut self, now: Now, reason: &str, uid: u32) -> Result<Reply, GatewayError> {
        if uid != 0 {
            return Ok(Err("only root says that the clock is right (sudo)".into()));
        }
        if reason.trim().is_empty() || reason.chars().count() > DETAIL_CHARS_MAX {
            return Ok(Err(format!(
                "say who compared the clock, and with what (--reason, at most {DETAIL_CHARS_MAX} characters)"
            )));
        }
        if self.time.is_trusted(now) {
            return Ok(Err("the clock agrees with what this gateway has seen; nothing was changed".into()));
        }
        let was = self.time.reset(now);
        let command = format!("accept-clock: the time that was seen goes from {was} to {}; reason: {reason}", now.utc);
        let write = self.time.commit(now);
        self.record(now, None, [EventKind::LocalAction { command, uid }], vec![write])?;
        let data = json!({ "before": was.to_string(), "now": now.utc.to_string() });
        Ok(Ok((format!("the clock counts: {}; it is reported to the vendor", now.utc), data)))
    }

    /// What the clock says, and the latest time that this gateway has seen, for whoever is asked.
    pub fn clock(&self, now: Now) -> Value {
        json!({ "clock": now.utc.to_string(), "seen": self.time.mark(now).to_string(), "isTrusted": self.time.is_trusted(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{drain, enrolled, now, start};
    use super::*;

    /// A mark that nothing else moves back: root accepts the clock, and the vendor reads of it.
    #[test]
    fn sec_13_root_accepts_the_clock_and_it_is_reported() {
        let far = now(400 * 86_400_000);
        let mut gateway = start(enrolled(), far);
        // A monotonic clock that ran once as if years had passed.
        let back = Now { utc: now(0).utc, ..now(400 * 86_400_000 + 1) };
        assert!(!gateway.time.is_trusted(back));
        for (reason, uid, words) in [("", 0, "--reason"), ("compared", 7, "only root")] {
            let refused = gateway.accept_clock(back, reason, uid).expect("writes").expect_err("refused");
            assert!(refused.contains(words), "{refused}");
        }
        assert!(!gateway.time.is_trusted(back), "nothing was changed");
        gateway.accept_clock(back, "compared with my watch", 0).expect("writes").expect("done");
        assert!(gateway.time.is_trusted(back) && gateway.time.trusted(back) == back);
        let again = gateway.accept_clock(back, "once more", 0).expect("writes").expect_err("nothing to do");
        assert!(again.contains("nothing was changed"), "{again}");
        let mut gateway = start(gateway.store().clone(), back);
        assert!(gateway.time.is_trusted(back), "it is durable");
        let events = drain(&mut gateway, back);
        let is_reported = |e: &mdfm_shared::telemetry::Event| matches!(&e.kind, EventKind::LocalAction { command, uid: 0 } if command.contains("compared with my watch"));
        assert!(events.iter().any(is_reported), "{events:?}");
    }
}
