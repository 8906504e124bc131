//! The error rate of a deployment at each evaluation of a gate, with its upper 95 % bound, against the limit of the phase.

use super::{Chart, Drawing, short, time};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const FLOOR: f64 = HEIGHT - 62.0;
/// Below it the scale is about even, above it by powers of ten; percent.
const KNEE: f64 = 0.01;
/// Evaluations in the picture; the table has all.
const POINTS_MAX: usize = 60;

/// One evaluation, or how the figures of the current phase stand now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) phase: String,
    pub(crate) at: i64,
    pub(crate) is_now: bool,
    pub(crate) devices: u64,
    pub(crate) failed: u64,
    /// Percent; `None` while no device is observed.
    pub(crate) rate: Option<f64>,
    pub(crate) bound: f64,
    pub(crate) limit: f64,
    pub(crate) proved: bool,
}

/// Height of a share in percent: 0 lies on the floor, 100 at the top.
fn y(percent: f64) -> f64 {
    let percent = if percent.is_finite() { percent.clamp(0.0, 100.0) } else { 100.0 };
    FLOOR - (FLOOR - TOP) * (1.0 + percent / KNEE).log10() / (1.0 + 100.0 / KNEE).log10()
}

fn percent(value: f64) -> String {
    format!("{value:.3}")
}

/// Draws it; `None` without any evaluation.
pub(crate) fn draw(points: &[Point], title: &str) -> Option<Chart> {
    if points.is_empty() {
        return None;
    }
    let shown = &points[points.len().saturating_sub(POINTS_MAX)..];
    let description = "Circles: observed error rate. Triangles: its upper 95 % bound. Dashed lines: the limit of the phase. The scale is logarithmic; \
                       the limit is proved where the triangle is not above the dashed line. The table below has the numbers.";
    let mut drawing = Drawing::new("rate", (WIDTH, HEIGHT), title, description);
    for percent in [0.0, 0.01, 0.1, 1.0, 10.0, 100.0] {
        drawing.line("grid", (LEFT, y(percent)), (WIDTH - RIGHT, y(percent)));
        drawing.text("soft", "end", (LEFT - 6.0, y(percent) + 4.0), &format!("{percent} %"));
    }
    let step = (WIDTH - LEFT - RIGHT) / shown.len() as f64;
    let mut before: Option<(&Point, f64)> = None;
    for (index, point) in shown.iter().enumerate() {
        let (from, middle) = (LEFT + step * index as f64, LEFT + step * (index as f64 + 0.5));
        drawing.line("limit", (from + 2.0, y(point.limit)), (from + step - 2.0, y(point.limit)));
        if let Some((last, x)) = before.filter(|(last, _)| last.phase == point.phase) {
            drawing.line("l3", (x, y(last.bound)), (middle, y(point.bound)));
            if let (Some(a), Some(b)) = (last.rate, point.rate) {
                drawing.line("l1", (x, y(a)), (middle, y(b)));
            }
        }
        let proved = if point.proved { "proved" } else { "not proved" };
        let words = format!("{}: bound {} %, limit {} %, {proved}", point.phase, percent(point.bound), point.limit);
        drawing.triangle("s3", (middle, y(point.bound).max(TOP)), 6.0, &words);
        if let Some(rate) = point.rate {
            let words = format!("{}: {} of {} devices, {} %", point.phase, point.failed, point.devices, percent(rate));
            drawing.circle("s1", (middle, y(rate)), 5.0, &words);
        }
        let is_named = before.is_none_or(|(last, _)| last.phase != point.phase);
        if is_named {
            let room = (step / 7.0).max(3.0) as usize;
            drawing.text("", "middle", (middle, FLOOR + 18.0), &short(&point.phase, room));
        }
        if point.is_now {
            drawing.text("soft", "middle", (middle, FLOOR + 34.0), "now");
        }
        before = Some((point, middle));
    }
    drawing.line("axis", (LEFT, FLOOR), (WIDTH - RIGHT, FLOOR));
    let legend = HEIGHT - 8.0;
    drawing.circle("s1", (LEFT + 6.0, legend - 4.0), 5.0, "");
    drawing.text("soft", "start", (LEFT + 16.0, legend), "observed rate");
    drawing.triangle("s3", (LEFT + 136.0, legend - 4.0), 6.0, "");
    drawing.text("soft", "start", (LEFT + 148.0, legend), "upper 95 % bound");
    drawing.line("limit", (LEFT + 290.0, legend - 4.0), (LEFT + 320.0, legend - 4.0));
    drawing.text("soft", "start", (LEFT + 328.0, legend), "limit of the phase");
    let row = |point: &Point| {
        vec![
            point.phase.clone(),
            time(Some(point.at)),
            if point.is_now { "so far" } else { "evaluation" }.to_owned(),
            point.devices.to_string(),
            point.failed.to_string(),
            point.rate.map(percent).unwrap_or_default(),
            percent(point.bound),
            point.limit.to_string(),
            if point.proved { "yes" } else { "no" }.to_owned(),
        ]
    };
    let columns = vec![
        "Phase",
        "Time",
        "Kind",
        "Devices observed",
        "Failed or silent",
        "Error rate (%)",
        "Upper 95 % bound (%)",
        "Limit (%)",
        "Proved",
    ];
    Some(Chart { svg: drawing.finish(), columns, rows: points.iter().map(row).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::{check, numbers};

    fn point(phase: &str, rate: Option<f64>, bound: f64, limit: f64) -> Point {
        Point {
            phase: phase.into(),
            at: 1_796_045_049_537,
            is_now: false,
            devices: 4,
            failed: 1,
            rate,
            bound,
            limit,
            proved: bound <= limit,
        }
    }

    #[test]
    fn console_rates_stay_inside_and_equal_their_table() {
        assert_eq!(draw(&[], ""), None);
        let values = [0.0, 1e-9, 0.01, 0.1, 52.712_919, 100.0, 1e9, -1.0, f64::NAN, f64::INFINITY];
        for rate in values.map(Some).into_iter().chain([None]) {
            for bound in values {
                let points = [point("<img onerror=x>", rate, bound, 1.0), point("<img onerror=x>", rate, 0.5, bound)];
                let chart = draw(&points, "<b>").expect("points");
                // What is not a number stands in words alone, and is drawn at the top.
                check(&chart.svg.replace("NaN %", "").replace("inf %", ""), (WIDTH, HEIGHT));
                let circles = numbers(&chart.svg, "cx").len() - 1;
                assert_eq!(circles, chart.rows.iter().filter(|row| !row[5].is_empty()).count());
                assert_eq!(chart.rows.len(), 2);
            }
        }
        let many: Vec<Point> = (0..500).map(|_| point("Pilot", Some(0.0), 1.0, 1.0)).collect();
        let chart = draw(&many, "").expect("points");
        assert_eq!((chart.rows.len(), numbers(&chart.svg, "cx").len()), (500, POINTS_MAX + 1));
    }

    #[test]
    fn console_the_scale_of_rates_spreads_what_is_small() {
        assert!((y(0.0) - FLOOR).abs() < 1e-9 && (y(100.0) - TOP).abs() < 1e-9);
        assert!(y(0.1) < y(0.0) - 30.0 && y(1.0) < y(0.1) - 30.0 && y(10.0) < y(1.0) - 30.0);
    }
}
