//! The phases of a deployment over time: installing, monitoring and waiting for a signature, each as it was, and above it the monitoring as it was planned.

use super::{Chart, Drawing, columns, share, short, tick, time};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const ROW: f64 = 46.0;
const AXIS: f64 = 44.0;
const TICKS: i64 = 4;
/// Characters of a phase's name in the picture; the table has all.
const NAME_CHARS: usize = 16;

/// Class, words and place of each entry.
const LEGEND: [(&str, &str, f64); 5] = [
    ("plan", "monitoring as planned", 0.0),
    ("s1", "installing", 185.0),
    ("s3", "monitoring", 295.0),
    ("s2", "waits for the signature", 405.0),
    ("band", "paused", 590.0),
];

/// One phase. Times are milliseconds since 1970; `None` for what has not happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) opened: Option<i64>,
    pub(crate) monitored: Option<i64>,
    pub(crate) held: Option<i64>,
    pub(crate) passed: Option<i64>,
    pub(crate) ordered_back: Option<i64>,
    /// Monitoring time of the plan.
    pub(crate) planned_ms: i64,
}

/// A deployment over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Story {
    pub(crate) began: i64,
    /// Now, or the end if it is over.
    pub(crate) until: i64,
    pub(crate) is_over: bool,
    pub(crate) phases: Vec<Phase>,
    /// From and until when it was paused.
    pub(crate) pauses: Vec<(i64, Option<i64>)>,
}

impl Phase {
    /// The end of what was observed of it, `until` the end of the deployment at the latest.
    fn end(&self, until: i64) -> i64 {
        self.passed.or(self.ordered_back).unwrap_or(until)
    }

    /// What happened: kind, class, from, until.
    fn spans(&self, until: i64) -> Vec<(&'static str, &'static str, i64, i64)> {
        let Some(opened) = self.opened else { return Vec::new() };
        let end = self.end(until).max(opened);
        let monitored = self.monitored.map(|at| at.clamp(opened, end));
        let held = self.held.map(|at| at.clamp(monitored.unwrap_or(opened), end));
        let mut spans = vec![("installing", "s1", opened, monitored.or(held).unwrap_or(end))];
        if let Some(monitored) = monitored {
            spans.push(("monitoring", "s3", monitored, held.unwrap_or(end)));
        }
        if let Some(held) = held {
            spans.push(("waiting for the signature", "s2", held, end));
        }
        spans
    }
}

impl Story {
    /// Monitoring as planned, by phase: from when it began, or else after what is planned before it.
    fn planned(&self) -> Vec<(i64, i64)> {
        let mut free = self.began;
        let mut planned = Vec::new();
        for phase in &self.phases {
            let begins = phase.monitored.or(phase.opened).unwrap_or(free).max(self.began);
            let begins = if phase.monitored.is_none() && !self.is_over { begins.max(self.until) } else { begins };
            let begins = if phase.opened.is_none() { begins.max(free) } else { begins };
            let ends = begins.saturating_add(phase.planned_ms.max(0));
            free = if phase.passed.is_some() { phase.end(self.until) } else { ends };
            planned.push((begins, ends));
        }
        planned
    }
}

/// Draws it. `title` says whose it is.
pub(crate) fn draw(story: &Story, title: &str) -> Chart {
    let planned = story.planned();
    let is_coming = |phase: &Phase| !story.is_over && phase.passed.is_none() && phase.ordered_back.is_none();
    let is_planned = |phase: &Phase| phase.monitored.is_some() || is_coming(phase);
    let latest = story.phases.iter().zip(&planned).filter(|(phase, _)| is_planned(phase)).map(|(_, (_, ends))| *ends);
    let end = latest.chain([story.until, story.began.saturating_add(1_000)]).max().unwrap_or(story.until);
    let height = TOP + ROW * story.phases.len() as f64 + AXIS;
    let x = |at: i64| LEFT + (WIDTH - LEFT - RIGHT) * share(at, story.began, end);
    let description = "Upper, outlined bars: monitoring as planned. Lower, filled bars: installing, monitoring, waiting for the signature as they were. \
                       Grey bands: paused. The table below has the times.";
    let mut drawing = Drawing::new("timeline", (WIDTH, height), title, description);
    let floor = height - AXIS;
    for (from, until) in &story.pauses {
        let (from, until) = (x(*from), x(until.unwrap_or(story.until)));
        drawing.rect("band", (from, TOP), ((until - from).max(2.0).min(WIDTH - from), floor - TOP), "paused");
    }
    for n in 0..=TICKS {
        let at = story.began.saturating_add(end.saturating_sub(story.began) / TICKS * n);
        drawing.line("grid", (x(at), TOP), (x(at), floor));
        let anchor = match n {
            0 => "start",
            TICKS => "end",
            _ => "middle",
        };
        drawing.text("soft", anchor, (x(at), floor + 16.0), &tick(at, end.saturating_sub(story.began)));
    }
    for (class, words, at) in LEGEND {
        let x = LEFT + at;
        drawing.rect(class, (x, height - 17.0), (22.0, 10.0), words);
        drawing.text("soft", "start", (x + 28.0, height - 8.0), words);
    }
    drawing.text("soft", "end", (LEFT - 10.0, floor + 16.0), "UTC");
    let mut rows = Vec::new();
    for (index, (phase, (begins, ends))) in story.phases.iter().zip(&planned).enumerate() {
        let y = TOP + ROW * index as f64;
        drawing.text("", "start", (4.0, y + 26.0), &short(&format!("{} {}", index + 1, phase.name), NAME_CHARS));
        if is_planned(phase) {
            let words = format!("{}: monitoring planned until {}", phase.name, time(Some(*ends)));
            let width = (x(*ends) - x(*begins)).max(3.0).min(WIDTH - x(*begins));
            drawing.rect("plan", (x(*begins), y + 6.0), (width, 10.0), &words);
        }
        for (kind, class, from, until) in phase.spans(story.until) {
            let words = format!("{}: {kind} from {} to {}", phase.name, time(Some(from)), time(Some(until)));
            let width = (x(until) - x(from)).max(2.0).min(WIDTH - x(from));
            drawing.rect(class, (x(from), y + 18.0), (width, 18.0), &words);
        }
        rows.push(vec![
            phase.name.clone(),
            time(phase.opened),
            time(phase.monitored),
            time(phase.held),
            time(phase.passed),
            time(phase.ordered_back),
            (phase.planned_ms.max(0) / 1_000).to_string(),
            if is_planned(phase) { time(Some(*ends)) } else { String::new() },
        ]);
    }
    drawing.line("axis", (LEFT, floor), (WIDTH - RIGHT, floor));
    if !story.is_over {
        drawing.line("now", (x(story.until), TOP), (x(story.until), floor));
        let anchor = if x(story.until) > WIDTH - 60.0 { "end" } else { "start" };
        drawing.text("soft", anchor, (x(story.until), 11.0), "now");
    }
    let columns = columns(&[
        "Phase",
        "Opened",
        "Monitoring began",
        "Gate held",
        "Passed",
        "Ordered back",
        "Monitoring planned (s)",
        "Monitoring planned until",
    ]);
    Chart { svg: drawing.finish(), columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::check;

    const T: i64 = 1_796_045_049_537;

    fn phase(opened: Option<i64>, monitored: Option<i64>, held: Option<i64>, passed: Option<i64>) -> Phase {
        Phase {
            name: "<img onerror=x>".into(),
            opened,
            monitored,
            held,
            passed,
            planned_ms: 259_200_000,
            ..Phase::default()
        }
    }

    #[test]
    fn console_timelines_stay_inside_and_equal_their_table() {
        let moments = [None, Some(0), Some(T + 5_000), Some(250_000_000_000_000)];
        for opened in moments {
            for monitored in moments {
                for held in moments {
                    let phases = vec![phase(opened, monitored, held, held), phase(None, None, None, None)];
                    for is_over in [true, false] {
                        let pauses = vec![(T, None), (T + 7, Some(T + 9)), (0, Some(i64::MAX))];
                        let story = Story { began: T, until: T + 500_000, is_over, phases: phases.clone(), pauses };
                        let chart = draw(&story, "Phases of <b>");
                        check(&chart.svg, (WIDTH, TOP + 2.0 * ROW + AXIS));
                        assert_eq!(chart.rows.len(), 2);
                        assert!(chart.rows.iter().all(|row| row.len() == chart.columns.len()));
                        assert_eq!(chart.svg.contains("installing from"), opened.is_some());
                        assert_eq!(chart.rows[0][1], time(opened));
                        // What is drawn as planned stands in the table.
                        assert_eq!(
                            chart.svg.matches("class=\"plan\"").count() - 1,
                            chart.rows.iter().filter(|row| !row[7].is_empty()).count()
                        );
                    }
                }
            }
        }
        check(&draw(&Story::default(), "").svg, (WIDTH, TOP + AXIS));
    }

    #[test]
    fn console_a_timeline_plans_after_what_was() {
        let day = 86_400_000;
        let story = Story {
            began: T,
            until: T + 4 * day,
            is_over: false,
            phases: vec![
                phase(Some(T), Some(T + day), Some(T + 2 * day), Some(T + 3 * day)),
                phase(Some(T + 3 * day), None, None, None),
                phase(None, None, None, None),
            ],
            pauses: vec![],
        };
        let planned = story.planned();
        assert_eq!(planned[0], (T + day, T + 4 * day), "from when it really began");
        assert_eq!(planned[1].0, T + 4 * day, "not before now");
        assert_eq!(planned[2].0, planned[1].1, "after the phase before it");
        let mut ended = story.clone();
        (ended.is_over, ended.phases[1].passed) = (true, Some(T + 3 * day));
        let chart = draw(&ended, "");
        assert_eq!(
            chart.rows.iter().filter(|row| !row[7].is_empty()).count(),
            1,
            "what was never monitored has no plan left"
        );
        let spans = story.phases[0].spans(story.until);
        let kinds: Vec<_> = spans.iter().map(|(kind, _, from, until)| (*kind, (until - from) / day)).collect();
        assert_eq!(kinds, [("installing", 1), ("monitoring", 1), ("waiting for the signature", 1)]);
    }
}
