//! Places in traces, as W3C Trace Context writes them.

use std::fmt;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeploymentId;

/// Of one trace; never all zeroes.
pub(crate) type TraceId = [u8; 16];
/// Of one span in it; never all zeroes.
pub(crate) type SpanId = [u8; 8];

/// A span and the trace that it is in; written as `traceparent` (W3C Trace Context §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Whether its maker keeps it.
    pub(crate) sampled: bool,
}

fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let bytes: [u8; N] = hex::decode(text).ok().filter(|_| is_lower)?.try_into().ok()?;
    (bytes != [0; N]).then_some(bytes)
}

/// Ids that the same words always give.
fn derived<const N: usize>(words: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let length = N.min(32);
    bytes[..length].copy_from_slice(&Digest::of(words.as_bytes()).0[..length]);
    bytes
}

/// The id of the `n`th span that an entry of the log gives: the same however often the log is read.
pub(super) fn span_of(index: u64, n: usize) -> SpanId {
    derived(&format!("span of log entry {index}, {n}"))
}

impl Context {
    /// Reads a `traceparent`; of a version after 00 what that defines.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = hex::decode(version).ok()?.try_into().ok()?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = hex::decode(flags).ok()?.try_into().ok()?;
        let flags: u8 = flags;
        Some(Self { trace: id(trace)?, span: id(span)?, sampled: flags & 1 == 1 })
    }

    /// A new span: in the trace of `parent`, or in one of its own.
    pub(crate) fn new(parent: Option<&Self>) -> Result<Self, getrandom::Error> {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        getrandom::fill(&mut trace)?;
        getrandom::fill(&mut span)?;
        Ok(Self { trace: parent.map_or(trace, |p| p.trace), span, sampled: true })
    }

    /// The first span of a deployment: in the trace of the request that made it, or in one of its own.
    pub(super) fn of_deployment(id: &DeploymentId, request: Option<&Self>) -> Self {
        let trace = request.map_or_else(|| derived(&format!("trace of deployment {id}")), |r| r.trace);
        Self { trace, span: derived(&format!("span of deployment {id}")), sampled: true }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex::encode(self.trace), hex::encode(self.span), u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says_and_written_again() {
        // The example of W3C Trace Context §3.2.3.
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = Context::parse(text).expect("good");
        assert_eq!((context.to_string().as_str(), context.sampled), (text, true));
        assert!(!Context::parse(&text.replace("-01", "-00")).expect("good").sampled);
        assert!(Context::parse(&text.replacen("00", "cc", 1).replace("-01", "-01-more")).is_some(), "a later version");
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(bad), None, "{bad}");
        }
        let child = Context::new(Some(&context)).expect("random");
        assert!(child.trace == context.trace && child.span != context.span);
    }
}
