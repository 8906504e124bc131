//! The gate of a phase: what was observed, what it proves, and whether the phase may ask for its signature.

use serde::{Deserialize, Serialize};

use super::{Deployment, FirstFailure, PhaseSpec, PhaseStatus, Tally};
use mdfm_shared::text::count;
use mdfm_shared::time::UtcMillis;

/// Confidence of the one-sided upper bound that every gate record shows.
const CONFIDENCE: f64 = 0.95;

/// One evaluation of a gate with all its inputs, so that an inspector can compute it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateRecord {
    pub phase: u32,
    /// Devices of the phase that count: all but those taken out for reasons that say nothing about the firmware.
    pub devices: u32,
    /// Devices taken out so.
    pub withdrawn: u32,
    /// Of those, the ones whose hospital went back after a fault on one gateway of it; they are in no rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contained: u32,
    /// Of those, the ones that failed themselves: whoever resumed the deployment accepted them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contained_failed: u32,
    /// Of those, the ones that somebody exchanged or gave other firmware by hand; they are in no rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left: u32,
    /// Devices that neither settled nor fell silent; they are in no rate.
    pub pending: u32,
    /// Devices that reported a final state.
    pub reported: u32,
    /// (devices - pending) / devices, in percent, and what the phase demands.
    pub reporting_percent: f64,
    pub min_reporting_percent: f64,
    /// Devices that failed, were rolled back or reported errors.
    pub failed: u32,
    /// Devices that fell silent; they count as failed.
    pub silent: u32,
    /// Devices with a patient-safety error.
    pub critical: u32,
    /// Devices that neither failed nor fell silent and whose own fault counters prove it (device protocol version 2). Only these are
    /// clean trials in the upper bound.
    #[serde(default)]
    pub proved_clean: u32,
    /// Hours that devices were observed on the new firmware, all together, and what the phase demands. Hours of devices whose fault
    /// counters covered the whole trial count in full, those of others at half.
    pub device_hours: f64,
    /// The part of `device_hours` that counts in full.
    #[serde(default)]
    pub counted_device_hours: f64,
    pub min_device_hours: f64,
    /// (failed + silent) / (devices - pending), in percent.
    pub error_rate_percent: f64,
    /// Upper 95 % confidence bound of the error rate (Clopper and Pearson 1934), in percent.
    pub upper_bound_percent: f64,
    /// The phase's limit, in percent.
    pub max_error_rate_percent: f64,
    /// The phase's limit as a number of devices; where it is given, it counts instead of the rate.
    pub max_errors: Option<u32>,
    /// Monitoring time demanded, in milliseconds.
    pub monitoring_ms: u64,
    /// Monitoring time passed, in milliseconds.
    pub monitored_ms: u64,
    /// Whether the devices observed are enough to prove the limit at 95 %.
    pub proved: bool,
    pub passed: bool,
    /// What the figures mean, in words.
    pub explanation: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Whether so many devices of a phase settled or fell silent that its monitoring may start.
pub(super) fn enough_settled(tally: &Tally, spec: &PhaseSpec) -> bool {
    reporting_percent(tally) >= spec.min_reporting_percent
}

fn reporting_percent(tally: &Tally) -> f64 {
    match tally.counted() {
        0 => 100.0,
        devices => 100.0 * f64::from(tally.accounted) / f64::from(devices),
    }
}

/// Upper bound of the one-sided confidence interval of a proportion with `failures` in `n` trials (Clopper, Pearson,
/// Biometrika 26, 1934): the p at which seeing so few failures has probability 1 - confidence.
pub fn clopper_pearson_upper(failures: u32, n: u32, confidence: f64) -> f64 {
    if n == 0 || failures >= n {
        return 1.0;
    }
    let alpha = 1.0 - confidence;
    let (mut low, mut high) = (f64::from(failures) / f64::from(n), 1.0);
    for _ in 0..100 {
        let p = f64::midpoint(low, high);
        if binomial_cdf(failures, n, p) > alpha { low = p } else { high = p }
    }
    high
}

/// P(X <= k) for X binomial(n, p), summed from the logarithms of its terms.
fn binomial_cdf(k: u32, n: u32, p: f64) -> f64 {
    let (ln_p, ln_q) = (p.ln(), (-p).ln_1p());
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for i in 0..=k {
        if i > 0 {
            ln_choose += f64::from(n - i + 1).ln() - f64::from(i).ln();
        }
        sum += (ln_choose + f64::from(i) * ln_p + f64::from(n - i) * ln_q).exp();
    }
    sum.min(1.0)
}

/// The smallest number of devices that, without a failure, would prove `limit` (a share) at the confidence.
fn sample_needed(limit: f64) -> Option<u64> {
    (limit > 0.0).then(|| ((1.0 - CONFIDENCE).ln() / (-limit).ln_1p()).ceil() as u64)
}

/// What a phase's figures show at any time, also before its gate is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Devices that settled or fell silent: those of the rate.
    pub observed: u32,
    /// Of them, those that failed or fell silent.
    pub failed: u32,
    /// Failed or silent devices, and those that proved to be clean: the trials of the upper bound.
    pub trials: u32,
    /// `failed / observed`, in percent; `None` before any device is observed.
    pub error_rate_percent: Option<f64>,
    /// Upper 95 % confidence bound of the error rate (Clopper and Pearson 1934), in percent.
    pub upper_bound_percent: f64,
    /// Whether the bound is within the phase's limit; a limit in devices is never proved.
    pub proved: bool,
    /// Devices that would prove the limit without a failure; `None` if no number would.
    pub needed: Option<u64>,
}

/// The counts that a gate asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Devices that settled or fell silent.
    pub observed: u32,
    /// Of them, those that failed or fell silent.
    pub failed: u32,
    /// The trials of the upper bound.
    pub trials: u32,
}

impl Figures {
    /// Those of a phase now.
    pub fn of(tally: &Tally) -> Self {
        let failed = tally.failed + tally.silent;
        // A device of protocol version 1 that seems clean may have said its fault to a gateway that was away: it proves nothing.
        Self { observed: tally.accounted, failed, trials: failed + tally.proved_clean }
    }
}

/// What the counts of a phase show so far.
pub fn standing(tally: &Tally, spec: &PhaseSpec) -> Standing {
    shown(Figures::of(tally), spec)
}

/// What counts of a phase show, of now or of earlier.
pub fn shown(figures: Figures, spec: &PhaseSpec) -> Standing {
    let Figures { observed, failed, trials } = figures;
    let upper = 100.0 * clopper_pearson_upper(failed, trials, CONFIDENCE);
    Standing {
        observed,
        failed,
        trials,
        error_rate_percent: (observed > 0).then(|| 100.0 * f64::from(failed) / f64::from(observed)),
        upper_bound_percent: upper,
        proved: spec.max_errors.is_none() && upper <= spec.max_error_rate_percent,
        needed: sample_needed(spec.max_error_rate_percent / 100.0),
    }
}

/// Whether no device of a phase runs its release, and none tried and failed: then nothing was shown.
pub(super) fn runs_nowhere(tally: &Tally) -> bool {
    tally.confirmed == 0 && tally.failed == 0
}

/// Evaluates the gate of `phase`. Never passes when nothing reported, a critical error stands or time is left.
pub fn evaluate(deployment: &Deployment, phase: u32, now: UtcMillis) -> Option<GateRecord> {
    let spec = deployment.plan.spec.phases.get(phase as usize)?;
    let held = deployment.phases.get(phase as usize)?;
    let PhaseStatus::Monitoring { since } = held.status else { return None };
    let tally = &held.tally;
    let devices = tally.counted();
    let shown = standing(tally, spec);
    let Standing { observed, failed: bad, trials, upper_bound_percent: upper, .. } = shown;
    let rate = shown.error_rate_percent.unwrap_or(100.0);
    let max_errors = match deployment.plan.first_failure {
        // Failures that somebody accepted when they let the deployment go on are not held against it again.
        FirstFailure::Hold => spec.max_errors.map(|max| max.max(deployment.accepted_failures)),
        FirstFailure::ByGate | FirstFailure::RollBack => spec.max_errors,
    };
    let limit = spec.max_error_rate_percent;
    let monitored_ms = now.since_ms(since);
    let device_hours = tally.device_hours(deployment.age_ms(now));
    let mut unmet = Vec::new();
    if monitored_ms < spec.monitoring_ms {
        unmet.push(format!("monitored for less than {} s", spec.monitoring_ms / 1_000));
    }
    if tally.reported == 0 {
        unmet.push("no device has reported".into());
    } else if runs_nowhere(tally) {
        unmet.push("no device runs the release".into());
    }
    if !enough_settled(tally, spec) {
        unmet.push(format!("fewer than {} % of the devices have settled", spec.min_reporting_percent));
    }
    if device_hours < spec.min_device_hours {
        unmet.push(format!("observed for less than {} device-hours", spec.min_device_hours));
    }
    if tally.critical > 0 {
        unmet.push("a critical error stands".into());
    }
    let observed_devices = count(observed, "device");
    match max_errors {
        Some(max) if bad > max => unmet.push(format!("{bad} of {observed_devices} failed or fell silent, limit {max}")),
        None if rate > limit => {
            unmet.push(format!("{bad} of {observed_devices} failed or fell silent ({rate:.3} %, limit {limit} %)"))
        }
        Some(_) | None => {}
    }
    let proved = max_errors.is_none() && upper <= limit;
    let passed = unmet.is_empty();
    let explanation = if !passed {
        format!("{}; the phase does not advance", unmet.join("; "))
    } else if let Some(max) = max_errors {
        format!(
            "{bad} of {observed_devices} failed, at most {max} may; the true rate is below {upper:.3} % with 95 % confidence"
        )
    } else if proved {
        format!("the error rate is below {limit} % with 95 % confidence (upper bound {upper:.3} %)")
    } else {
        let needed = sample_needed(limit / 100.0).map_or_else(
            || "no sample can prove a limit of zero".into(),
            |n| format!("{} without failure would", count(n, "device")),
        );
        let decides = spec
            .validation
            .map_or_else(|| "nobody is asked to sign".to_owned(), |role| format!("the signature of {role} decides"));
        format!(
            "observed {rate:.3} % of {observed_devices}, within {limit} %, but so few devices cannot prove it (upper bound \
             {upper:.3} %; {needed}): {decides}"
        )
    };
    let explanation = match tally.left {
        0 => explanation,
        n => {
            let (were, are) = if n == 1 { ("was", "is") } else { ("were", "are") };
            format!("{explanation}; {} {were} exchanged or flashed by hand and {are} in no rate", count(n, "device"))
        }
    };
    let explanation = match observed.saturating_sub(trials) {
        0 => explanation,
        n => format!(
            "{explanation}; {n} of the {observed_devices} cannot prove that they are without faults (device protocol version 1, or a \
             trial that was not watched whole): the bound does not count them, and their hours count at half"
        ),
    };
    let explanation = match tally.contained {
        0 => explanation,
        n => format!(
            "{explanation}; {} went back with their hospital and {} in no rate, {} of them failed",
            count(n, "device"),
            if n == 1 { "is" } else { "are" },
            tally.contained_failed
        ),
    };
    Some(GateRecord {
        phase,
        devices,
        withdrawn: tally.withdrawn,
        contained: tally.contained,
        contained_failed: tally.contained_failed,
        left: tally.left,
        pending: devices - observed,
        reported: tally.reported,
        reporting_percent: reporting_percent(tally),
        min_reporting_percent: spec.min_reporting_percent,
        failed: tally.failed,
        silent: tally.silent,
        critical: tally.critical,
        proved_clean: tally.proved_clean,
        device_hours,
        counted_device_hours: tally.counted_hours(deployment.age_ms(now)),
        min_device_hours: spec.min_device_hours,
        error_rate_percent: rate,
        upper_bound_percent: upper,
        max_error_rate_percent: limit,
        max_errors,
        monitoring_ms: spec.monitoring_ms,
        monitored_ms,
        proved,
        passed,
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_bound_is_that_of_clopper_and_pearson() {
        // No failures: 1 - alpha^(1/n), the rule of three's exact form. 1 of 10: the root of the binomial equation.
        for (k, n, expected) in
            [(0, 10, 1.0 - 0.05_f64.powf(0.1)), (0, 3000, 1.0 - 0.05_f64.powf(1.0 / 3000.0)), (1, 10, 0.394_163)]
        {
            let found = clopper_pearson_upper(k, n, 0.95);
            assert!((found - expected).abs() < 1e-5, "{k}/{n}: {found} != {expected}");
        }
        assert!((clopper_pearson_upper(5, 5, 0.95) - 1.0).abs() < f64::EPSILON);
        assert!((clopper_pearson_upper(0, 0, 0.95) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn two_thousand_nine_hundred_ninety_five_clean_devices_prove_a_tenth_of_a_percent() {
        assert_eq!(sample_needed(0.001), Some(2995));
        assert!(clopper_pearson_upper(0, 2995, 0.95) <= 0.001);
        assert!(clopper_pearson_upper(0, 2994, 0.95) > 0.001);
        assert_eq!(sample_needed(0.0), None);
    }

    #[test]
    fn console_figures_so_far_say_what_they_prove() {
        let spec = |limit: f64, max_errors: Option<u32>| PhaseSpec {
            name: "Pilot".into(),
            cohort: "all".into(),
            percentage: 100.0,
            target_hospitals: Vec::new(),
            reach: super::super::Reach::Hospitals,
            max_error_rate_percent: limit,
            max_errors,
            monitoring_ms: 0,
            min_reporting_percent: 100.0,
            min_device_hours: 0.0,
            validation: None,
        };
        let tally = |accounted: u32, proved_clean: u32, failed: u32, silent: u32| {
            let mut tally = Tally::default();
            (tally.devices, tally.accounted, tally.proved_clean) = (400, accounted, proved_clean);
            (tally.failed, tally.silent) = (failed, silent);
            tally
        };
        let none = standing(&tally(0, 0, 0, 0), &spec(1.0, None));
        assert_eq!((none.error_rate_percent, none.proved, none.needed), (None, false, Some(299)));
        let clean = tally(300, 299, 0, 0);
        let found = standing(&clean, &spec(1.0, None));
        assert_eq!((found.observed, found.trials, found.error_rate_percent, found.proved), (300, 299, Some(0.0), true));
        assert!(!standing(&clean, &spec(1.0, Some(0))).proved, "a number of devices is no proof of a rate");
        assert_eq!(standing(&clean, &spec(0.0, None)).needed, None);
        let failed = standing(&tally(300, 297, 1, 2), &spec(1.0, None));
        assert_eq!(
            (failed.failed, failed.trials, failed.error_rate_percent, failed.proved),
            (3, 300, Some(1.0), false)
        );
    }
}
