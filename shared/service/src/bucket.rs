//! A token bucket: a rate with a burst, pure.

use std::time::{Duration, Instant};

/// A token bucket: a number of tokens a second, and at most a number at once.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: f64,
    most: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u64, at_once: u64, now: Instant) -> Self {
        let (per_second, most) = (per_second.max(1) as f64, at_once.max(1) as f64);
        Self { per_second, most, tokens: most, at: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.most);
        self.at = now.max(self.at);
    }

    /// Takes `n` tokens, into debt if necessary; returns the time until the debt is paid.
    pub fn take(&mut self, now: Instant, n: usize) -> Duration {
        self.fill(now);
        self.tokens -= n as f64;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.per_second) }
    }

    /// Whether it is as full as when it was made: nothing is lost by forgetting it.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens + passed * self.per_second >= self.most
    }

    /// Whether there is a token to take.
    #[must_use]
    pub fn has_one(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens + passed * self.per_second >= 1.0
    }

    /// Takes one token if there is one; returns whether there was.
    pub fn try_take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn att_13_a_bucket_in_debt_says_how_long_to_wait() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, 50, start);
        assert_eq!(bucket.take(start, 50), Duration::ZERO);
        assert_eq!(bucket.take(start, 10), Duration::from_millis(100));
        assert_eq!(bucket.take(start + Duration::from_millis(100), 0), Duration::ZERO);
        assert_eq!(bucket.take(start, 0), Duration::ZERO, "time does not go back");
        assert_eq!(
            bucket.take(start + Duration::from_secs(3_600), 51),
            Duration::from_millis(10),
            "no more than its most"
        );
    }
}
