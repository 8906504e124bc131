//! How many lines of one kind the journal gets, pure: whoever causes them at will must not push the others out of it.

use std::time::{Duration, Instant};

/// Lines of one kind: a few at once, then one a minute that says how many were left out.
#[derive(Debug, Default)]
pub struct Lines {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// Lines in one minute that are written in full.
const WRITTEN_MAX: u32 = 8;
const MINUTE: Duration = Duration::from_secs(60);

impl Lines {
    /// Asks for one more line. Returns whether it is written, with the number of those that were left out since the last one.
    pub fn next(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE) {
            (self.began, self.written) = (Some(now), 0);
        }
        if self.written >= WRITTEN_MAX {
            self.left_out += 1;
            return None;
        }
        // What follows a flood is the one line with its count; the rest of the minute is as quiet.
        self.written = if self.left_out > 0 { WRITTEN_MAX } else { self.written + 1 };
        Some(std::mem::take(&mut self.left_out))
    }

    /// Whether nothing is lost by forgetting it.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.left_out == 0 && self.began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_10_a_flood_of_lines_becomes_a_count_a_minute() {
        let (start, mut lines) = (Instant::now(), Lines::default());
        let written = |lines: &mut Lines, from: u64, count: u64| -> Vec<u64> {
            (0..count).filter_map(|n| lines.next(start + Duration::from_millis(from + n))).collect()
        };
        assert_eq!(written(&mut lines, 0, 5_000), [0; 8], "a few in full");
        assert_eq!(written(&mut lines, 60_000, 5_000), [4_992], "then one with the count");
        assert_eq!(written(&mut lines, 120_000, 1), [4_999]);
        assert!(!lines.is_over(start + Duration::from_secs(121)));
        assert_eq!(written(&mut lines, 300_000, 3), [0; 3], "and after a quiet minute all again");
        assert!(lines.is_over(start + Duration::from_secs(400)));
    }
}
