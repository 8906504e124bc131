//! The gate of a phase: what was observed, what it proves, and whether the phase may ask for its signature.

use serde::{Deserialize, Serialize};

use super::{Deployment, PhaseStatus};
use mdfm_shared::time::UtcMillis;

/// Confidence of the one-sided upper bound that every gate record shows.
const CONFIDENCE: f64 = 0.95;

/// One evaluation of a gate with all its inputs, so that an inspector can compute it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GateRecord {
    pub(crate) phase: u32,
    /// Devices of the phase: the denominator.
    pub(crate) devices: u32,
    /// Devices that reported a final state.
    pub(crate) reported: u32,
    /// Devices that failed, were rolled back or reported errors.
    pub(crate) failed: u32,
    /// Devices that fell silent; they count as failed.
    pub(crate) silent: u32,
    /// Devices with a patient-safety error.
    pub(crate) critical: u32,
    /// (failed + silent) / devices, in percent.
    pub(crate) error_rate_percent: f64,
    /// Upper 95 % confidence bound of the error rate (Clopper and Pearson 1934), in percent.
    pub(crate) upper_bound_percent: f64,
    /// The phase's limit, in percent.
    pub(crate) max_error_rate_percent: f64,
    /// Monitoring time demanded, in milliseconds.
    pub(crate) monitoring_ms: u64,
    /// Monitoring time passed, in milliseconds.
    pub(crate) monitored_ms: u64,
    /// Whether the devices observed are enough to prove the limit at 95 %.
    pub(crate) proved: bool,
    pub(crate) passed: bool,
    /// What the figures mean, in words.
    pub(crate) explanation: String,
}

/// Upper bound of the one-sided confidence interval of a proportion with `failures` in `n` trials (Clopper, Pearson,
/// Biometrika 26, 1934): the p at which seeing so few failures has probability 1 - confidence.
pub(crate) fn clopper_pearson_upper(failures: u32, n: u32, confidence: f64) -> f64 {
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

/// Evaluates the gate of `phase`. Never passes when nothing reported, a critical error stands or time is left.
pub(crate) fn evaluate(deployment: &Deployment, phase: u32, now: UtcMillis) -> Option<GateRecord> {
    let spec = deployment.plan.phases.get(phase as usize)?;
    let PhaseStatus::Monitoring { since } = deployment.phases.get(phase as usize)? else { return None };
    let count = |f: &dyn Fn(&super::DeviceProgress) -> bool| -> u32 {
        u32::try_from(deployment.in_phase(phase).filter(|p| f(p)).count()).unwrap_or(u32::MAX)
    };
    let devices = count(&|_| true);
    let reported = count(&|p| !p.silent && p.is_settled());
    let silent = count(&|p| p.silent && !p.has_failed());
    let failed = count(&|p| p.has_failed());
    let critical = count(&|p| p.critical.is_some());
    let bad = failed + silent;
    let rate = if devices == 0 { 100.0 } else { 100.0 * f64::from(bad) / f64::from(devices) };
    let upper = 100.0 * clopper_pearson_upper(bad, devices, CONFIDENCE);
    let limit = spec.max_error_rate_percent;
    let monitored_ms = now.since_ms(*since);
    let proved = upper <= limit;
    let passed = monitored_ms >= spec.monitoring_ms && reported > 0 && critical == 0 && rate <= limit;
    let explanation = if !passed {
        format!(
            "{bad} of {devices} devices failed or fell silent ({rate:.3} %, limit {limit} %); the phase does not advance"
        )
    } else if proved {
        format!("the error rate is below {limit} % with 95 % confidence (upper bound {upper:.3} %)")
    } else {
        let needed = sample_needed(limit / 100.0).map_or_else(
            || "no sample can prove a limit of zero".into(),
            |n| format!("{n} devices without failure would"),
        );
        format!(
            "observed {rate:.3} % of {devices} devices, within {limit} %, but so few devices cannot prove it (upper bound \
             {upper:.3} %; {needed}): the signature of {} decides",
            spec.validation
        )
    };
    Some(GateRecord {
        phase,
        devices,
        reported,
        failed,
        silent,
        critical,
        error_rate_percent: rate,
        upper_bound_percent: upper,
        max_error_rate_percent: limit,
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
}
