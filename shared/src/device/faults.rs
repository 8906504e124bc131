//! Faults as a level (protocol version 2): counters by severity since the device booted, and its latest faults with their numbers.
//!
//! A level may be read late or twice: whoever remembers the counters that it has processed misses no fault, and processes none twice.

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::telemetry::Severity;

/// Most faults that a report describes.
pub const LATEST_FAULTS_MAX: usize = 16;
/// Most characters of a boot's identity.
pub const BOOT_CHARS_MAX: usize = 64;

/// Faults by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultCounts {
    /// Of severity `warning`.
    pub warning: u64,
    /// Of severity `error`.
    pub error: u64,
    /// Of severity `critical`.
    pub critical: u64,
}

impl FaultCounts {
    /// The sum, which is also the number of the latest fault; saturates at the largest `u64`.
    pub fn total(&self) -> u64 {
        self.warning.saturating_add(self.error).saturating_add(self.critical)
    }

    /// The count of one severity.
    pub fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Warning => self.warning,
            Severity::Error => self.error,
            Severity::Critical => self.critical,
        }
    }

    /// Adds one fault.
    pub fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Warning => &mut self.warning,
            Severity::Error => &mut self.error,
            Severity::Critical => &mut self.critical,
        };
        *count = count.saturating_add(1);
    }

    /// The faults that were added since `earlier`; `None` if a counter is lower than it was.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            warning: self.warning.checked_sub(earlier.warning)?,
            error: self.error.checked_sub(earlier.error)?,
            critical: self.critical.checked_sub(earlier.critical)?,
        })
    }
}

/// A fault with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberedFault {
    /// 1 for the first fault of a boot; the next one has the next number, whatever its severity.
    pub number: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
}

/// A message of the `event` channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultMessage {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Its number, from a device of protocol version 2: its report holds the fault too. `None` from a device of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl From<Fault> for FaultMessage {
    fn from(fault: Fault) -> Self {
        Self { fault, number: None }
    }
}

/// The faults of one boot of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultLevel {
    /// Identity of the boot, 1 to [`BOOT_CHARS_MAX`] characters: another one after each boot, never one of an earlier boot.
    pub boot: String,
    /// All faults since the boot.
    pub counts: FaultCounts,
    /// The latest of them, the oldest first, at most [`LATEST_FAULTS_MAX`].
    #[serde(default)]
    pub latest: Vec<NumberedFault>,
}

impl FaultLevel {
    /// A boot without faults.
    pub fn new(boot: impl Into<String>) -> Self {
        Self { boot: boot.into(), counts: FaultCounts::default(), latest: Vec::new() }
    }

    /// Adds a fault; returns its number.
    pub fn add(&mut self, fault: Fault) -> u64 {
        self.counts.add(fault.severity);
        let number = self.counts.total();
        self.latest.push(NumberedFault { number, fault });
        let surplus = self.latest.len().saturating_sub(LATEST_FAULTS_MAX);
        self.latest.drain(..surplus);
        number
    }

    /// A level whose `latest` faults were given by a program that need not keep to the bound: the last of them are kept.
    #[must_use]
    pub fn with_latest(mut self, mut latest: Vec<NumberedFault>) -> Self {
        latest.drain(..latest.len().saturating_sub(LATEST_FAULTS_MAX));
        self.latest = latest;
        self
    }

    /// Checks that the level agrees with itself.
    ///
    /// # Errors
    /// What does not agree, in fixed words.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.boot.is_empty() || self.boot.chars().count() > BOOT_CHARS_MAX {
            return Err("the boot's identity must have 1 to 64 characters");
        }
        if self.latest.len() > LATEST_FAULTS_MAX {
            return Err("more than 16 latest faults");
        }
        let numbers = || self.latest.iter().map(|f| f.number);
        if numbers().any(|n| n == 0 || n > self.counts.total()) || !numbers().is_sorted_by(|a, b| a < b) {
            return Err("the numbers of the latest faults must grow, from 1 to the sum of the counters at most");
        }
        let mut described = FaultCounts::default();
        self.latest.iter().for_each(|f| described.add(f.fault.severity));
        if self.counts.since(&described).is_none() {
            return Err("more latest faults of a severity than its counter says");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Report, decode};
    use super::*;

    fn fault(severity: Severity) -> Fault {
        Fault { severity, code: "E".into(), message: "m".into() }
    }

    #[test]
    fn fld_26_a_level_is_bounded_and_agrees_with_itself() {
        let mut level = FaultLevel::new("b");
        for n in 1..=40_u64 {
            let severity = if n.is_multiple_of(3) { Severity::Error } else { Severity::Warning };
            assert_eq!(level.add(fault(severity)), n);
            assert_eq!(level.check(), Ok(()));
        }
        assert_eq!(level.latest.len(), LATEST_FAULTS_MAX);
        assert_eq!((level.latest[0].number, level.counts.error), (25, 13));
        let bad = |change: &dyn Fn(&mut FaultLevel)| {
            let mut level = level.clone();
            change(&mut level);
            level.check().expect_err("must be rejected")
        };
        bad(&|l| l.boot.clear());
        bad(&|l| l.boot = "x".repeat(65));
        bad(&|l| l.latest.push(l.latest[0].clone()));
        bad(&|l| l.latest.swap(0, 1));
        bad(&|l| l.latest[15].number = 41);
        bad(&|l| l.latest[0].number = 0);
        bad(&|l| l.counts = FaultCounts { warning: 40, error: 0, critical: 0 });
    }

    #[test]
    fn fld_26_reports_of_version_1_and_2_are_read() {
        let running =
            format!(r#"{{"version":"1","releaseNumber":1,"securityVersion":1,"sha256":"{}"}}"#, "0".repeat(64));
        let fields = format!(
            r#""model":"M","serial":"S","hardware":"B","bootCount":1,"running":{running},"confirmed":true,"secureBoot":true,
            "inUse":false,"staged":null,"lastOrder":0,"lastRefusal":null"#
        );
        let old: Report = decode(format!("{{{fields}}}").as_bytes()).expect("version 1 is read");
        assert_eq!((old.protocol, old.fault_level()), (1, None));
        let level = r#""protocol":2,"faults":{"boot":"b1","counts":{"warning":0,"error":1,"critical":0},
            "latest":[{"number":1,"severity":"error","code":"ECG-17","message":"m"}]}"#;
        let new: Report = decode(format!("{{{fields},{level}}}").as_bytes()).expect("version 2 is read");
        assert_eq!(new.fault_level().map(|l| (l.counts.total(), l.latest[0].number)), Some((1, 1)));
        assert_eq!(decode::<Report>(&super::super::encode(&new)).as_ref(), Ok(&new));
        let written = String::from_utf8(super::super::encode(&old)).expect("utf-8");
        assert!(!written.contains("protocol") && !written.contains("faults"), "{written}");
        let event: FaultMessage =
            decode(br#"{"severity":"error","code":"E","message":"m","number":7}"#).expect("an event of version 2");
        assert_eq!(event.number, Some(7));
    }
}
