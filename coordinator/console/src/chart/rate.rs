//! The error rate of a deployment over time, with its upper 95 % bound, against the limit of the phase.

use std::fmt::Write as _;

use super::{Chart, Drawing, columns, share, short, time};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const FLOOR: f64 = HEIGHT - 62.0;
/// Below it the scale is about even, above it by powers of ten; percent.
const KNEE: f64 = 0.01;
/// Evaluations in the picture; the table has all.
const MARKS_MAX: usize = 120;
/// Points of the table, the newest; the picture is made of all.
const ROWS_MAX: usize = 500;
/// Steps of a line that are closer than this to the one before are not drawn; units of the picture.
const STEP_MIN: f64 = 1.5;
/// Width of a character, about.
const CHARACTER: f64 = 7.0;

/// What a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The figures changed.
    Change,
    /// A gate was evaluated.
    Evaluation,
    /// How the current phase stands now.
    Now,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Evaluation => "evaluation",
            Self::Now => "so far",
        }
    }
}

/// The figures of a phase at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) phase: String,
    pub(crate) at: i64,
    pub(crate) kind: Kind,
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

/// A line in steps: each value holds until the next.
fn steps(points: impl Iterator<Item = (f64, f64)>, until: f64) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    let mut points = points.peekable();
    while let Some((x, y)) = points.next() {
        match last {
            None => _ = write!(path, "M{x:.1} {y:.1}"),
            // Of many steps in one place the last is drawn.
            Some((before, _)) if x - before < STEP_MIN && points.peek().is_some() => continue,
            Some(_) => _ = write!(path, "H{x:.1}V{y:.1}"),
        }
        last = Some((x, y));
    }
    if last.is_some_and(|(x, _)| until > x) {
        _ = write!(path, "H{until:.1}");
    }
    path
}

/// Draws it; `None` without any point. `points` are in the order of phases and of time.
pub(crate) fn draw(points: &[Point], title: &str) -> Option<Chart> {
    let (from, until) = (points.iter().map(|p| p.at).min()?, points.iter().map(|p| p.at).max()?);
    let x = |at: i64| LEFT + (WIDTH - LEFT - RIGHT) * share(at, from, until);
    let description = "Lines: the observed error rate, and above it its upper 95 % bound, after each change. Circles and triangles: the same at each \
                       evaluation of a gate, and now. Dashed lines: the limit of the phase. The scale is logarithmic; the limit is proved where the \
                       bound is not above the dashed line. The table below has the numbers.";
    let mut drawing = Drawing::new("rate", (WIDTH, HEIGHT), title, description);
    for percent in [0.0, 0.01, 0.1, 1.0, 10.0, 100.0] {
        drawing.line("grid", (LEFT, y(percent)), (WIDTH - RIGHT, y(percent)));
        drawing.text("soft", "end", (LEFT - 6.0, y(percent) + 4.0), &format!("{percent} %"));
    }
    if until > from {
        drawing.time_axis((from, until), FLOOR + 16.0, &x);
    }
    draw_phases(&mut drawing, points, &x);
    draw_marks(&mut drawing, points, &x);
    drawing.line("axis", (LEFT, FLOOR), (WIDTH - RIGHT, FLOOR));
    let legend = HEIGHT - 8.0;
    drawing.circle("s1", (LEFT + 6.0, legend - 4.0), 5.0, "");
    drawing.text("soft", "start", (LEFT + 16.0, legend), "observed rate");
    drawing.triangle("s3", (LEFT + 136.0, legend - 4.0), 6.0, "");
    drawing.text("soft", "start", (LEFT + 148.0, legend), "upper 95 % bound");
    drawing.line("limit", (LEFT + 290.0, legend - 4.0), (LEFT + 320.0, legend - 4.0));
    drawing.text("soft", "start", (LEFT + 328.0, legend), "limit of the phase");
    let rows = points[points.len().saturating_sub(ROWS_MAX)..].iter().map(|point| {
        vec![
            point.phase.clone(),
            time(Some(point.at)),
            point.kind.words().to_owned(),
            point.devices.to_string(),
            point.failed.to_string(),
            point.rate.map(percent).unwrap_or_default(),
            percent(point.bound),
            point.limit.to_string(),
            if point.proved { "yes" } else { "no" }.to_owned(),
        ]
    });
    let columns = columns(&[
        "Phase",
        "Time",
        "Kind",
        "Devices observed",
        "Failed or silent",
        "Error rate (%)",
        "Upper 95 % bound (%)",
        "Limit (%)",
        "Proved",
    ]);
    Some(Chart { svg: drawing.finish(), columns, rows: rows.collect() })
}

/// The limit, name and lines of each phase.
fn draw_phases(drawing: &mut Drawing, points: &[Point], x: &dyn Fn(i64) -> f64) {
    let mut named_until = LEFT;
    let mut phases = points.chunk_by(|a, b| a.phase == b.phase).peekable();
    while let Some(phase) = phases.next() {
        let (Some(first), Some(last)) = (phase.first(), phase.last()) else { continue };
        let begin = x(first.at);
        let end = phases.peek().and_then(|next| next.first()).map_or(x(last.at).max(begin + 8.0), |next| x(next.at));
        let end = end.clamp(begin, WIDTH - RIGHT);
        drawing.line("limit", (begin, y(first.limit)), (end, y(first.limit)));
        drawing.path("l3", &steps(phase.iter().map(|p| (x(p.at), y(p.bound))), x(last.at)));
        let observed = phase.iter().filter_map(|p| p.rate.map(|rate| (x(p.at), y(rate))));
        drawing.path("l1", &steps(observed, x(last.at)));
        let name = short(&first.phase, 24);
        let width = name.chars().count() as f64 * CHARACTER;
        if begin >= named_until && begin + width <= WIDTH {
            drawing.text("", "start", (begin, FLOOR + 34.0), &name);
            named_until = begin + width + CHARACTER;
        }
    }
}

/// The evaluations, how it stands now, and what each phase ended with.
fn draw_marks(drawing: &mut Drawing, points: &[Point], x: &dyn Fn(i64) -> f64) {
    let phases = points.chunk_by(|a, b| a.phase == b.phase);
    let marks: Vec<&Point> = phases
        .flat_map(|phase| {
            let last = phase.len().saturating_sub(1);
            let shown = phase.iter().enumerate().filter(move |(at, point)| *at == last || point.kind != Kind::Change);
            shown.map(|(_, point)| point)
        })
        .collect();
    for point in &marks[marks.len().saturating_sub(MARKS_MAX)..] {
        let proved = if point.proved { "proved" } else { "not proved" };
        let words = format!("{}: bound {} %, limit {} %, {proved}", point.phase, percent(point.bound), point.limit);
        drawing.triangle("s3", (x(point.at), y(point.bound).max(TOP)), 6.0, &words);
        if let Some(rate) = point.rate {
            let words = format!("{}: {} of {} devices, {} %", point.phase, point.failed, point.devices, percent(rate));
            drawing.circle("s1", (x(point.at), y(rate)), 5.0, &words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::{check, numbers};

    fn point(phase: &str, at: i64, kind: Kind, rate: Option<f64>, bound: f64) -> Point {
        Point { phase: phase.into(), at, kind, devices: 4, failed: 1, rate, bound, limit: 1.0, proved: bound <= 1.0 }
    }

    #[test]
    fn console_rates_stay_inside_and_equal_their_table() {
        assert_eq!(draw(&[], ""), None);
        let values = [0.0, 1e-9, 0.01, 0.1, 52.712_919, 100.0, 1e9, -1.0, f64::NAN, f64::INFINITY];
        for rate in values.map(Some).into_iter().chain([None]) {
            for bound in values {
                let hostile = "<img onerror=x>";
                let points = [
                    point(hostile, i64::MIN, Kind::Evaluation, rate, bound),
                    point(hostile, 5, Kind::Change, rate, 0.5),
                    point(hostile, i64::MAX, Kind::Now, rate, 0.5),
                ];
                let chart = draw(&points, "<b>").expect("points");
                // What is not a number stands in words alone, and is drawn at the top.
                check(&chart.svg.replace("NaN %", "").replace("inf %", ""), (WIDTH, HEIGHT));
                let circles = numbers(&chart.svg, "cx").len() - 1;
                let marked = chart.rows.iter().filter(|row| !row[5].is_empty() && row[2] != "change").count();
                assert_eq!((circles, chart.rows.len()), (marked, 3));
            }
        }
    }

    #[test]
    fn console_rates_of_long_phases_stay_small() {
        let many: Vec<Point> = (0..5_000).map(|n| point("Pilot", n, Kind::Change, Some(0.0), 1.0)).collect();
        let chart = draw(&many, "").expect("points");
        assert_eq!(chart.rows.len(), ROWS_MAX);
        assert!(chart.svg.len() < 30_000, "{}", chart.svg.len());
        let one =
            draw(&[point("Pilot", 1, Kind::Change, None, 95.0), point("Pilot", 2, Kind::Change, Some(25.0), 99.0)], "");
        assert_eq!(numbers(&one.expect("points").svg, "cx").len(), 2, "what a phase ended with is marked");
        let many: Vec<Point> = (0..5_000).map(|n| point("Pilot", n, Kind::Evaluation, Some(0.0), 1.0)).collect();
        let chart = draw(&many, "").expect("points");
        assert_eq!(numbers(&chart.svg, "cx").len(), MARKS_MAX + 1);
    }

    #[test]
    fn console_rates_hold_until_they_change() {
        assert_eq!(steps([(10.0, 5.0), (20.0, 7.0)].into_iter(), 30.0), "M10.0 5.0H20.0V7.0H30.0");
        assert_eq!(steps([(10.0, 5.0), (10.5, 6.0), (11.0, 7.0)].into_iter(), 11.0), "M10.0 5.0H11.0V7.0");
        assert_eq!(steps(std::iter::empty(), 30.0), "");
    }

    #[test]
    fn console_the_scale_of_rates_spreads_what_is_small() {
        assert!((y(0.0) - FLOOR).abs() < 1e-9 && (y(100.0) - TOP).abs() < 1e-9);
        assert!(y(0.1) < y(0.0) - 30.0 && y(1.0) < y(0.1) - 30.0 && y(10.0) < y(1.0) - 30.0);
    }
}
