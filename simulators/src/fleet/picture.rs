//! Latencies as a picture: which share of all took longer than how long, both on logarithmic axes, as one reads tails.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
/// Decades of time from 0.1 ms, and of share from 1.
const TIME_DECADES: f64 = 6.0;
const SHARE_DECADES: f64 = 4.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#bf3989", "#1a7f37", "#9a6700"];

fn x(ms: f64) -> f64 {
    LEFT + ((ms.max(0.1).log10() + 1.0) / TIME_DECADES).clamp(0.0, 1.0) * WIDTH
}

fn y(share: f64) -> f64 {
    TOP + ((-share.max(1e-9).log10()) / SHARE_DECADES).clamp(0.0, 1.0) * HEIGHT
}

/// An SVG of the histograms (microseconds), each with its name.
pub(super) fn draw(title: &str, series: &[(&str, &Histogram<u64>)]) -> String {
    let mut svg = String::new();
    let (width, height) = (LEFT + WIDTH + 30.0, TOP + HEIGHT + 60.0 + 18.0 * series.len() as f64);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\
         <title>{title}</title><desc>Which share took longer than how long</desc>\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/><text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>"
    );
    for (ms, label) in [
        (0.1, "0.1 ms"),
        (1.0, "1 ms"),
        (10.0, "10 ms"),
        (100.0, "100 ms"),
        (1e3, "1 s"),
        (1e4, "10 s"),
        (1e5, "100 s"),
    ] {
        let (x, bottom) = (x(ms), TOP + HEIGHT);
        let _ = write!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 18.0
        );
    }
    for (share, label) in [(1.0, "all"), (0.1, "10 %"), (0.01, "1 %"), (1e-3, "0.1 %"), (1e-4, "0.01 %")] {
        let (y, right) = (y(share), LEFT + WIDTH);
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    let _ = write!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">share that took longer, by time</text>", TOP + HEIGHT + 38.0);
    for (n, (name, latencies)) in series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let mut path = String::new();
        let total = latencies.len().max(1) as f64;
        let mut up_to = 0;
        for value in latencies.iter_recorded() {
            let share = 1.0 - up_to as f64 / total;
            up_to += value.count_since_last_iteration();
            let ms = value.value_iterated_to() as f64 / 1_000.0;
            let step = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", x(ms), y(share));
        }
        let line = TOP + HEIGHT + 56.0 + 18.0 * n as f64;
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>\
             <path d=\"M{LEFT} {:.1}h24\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{:.1}\" y=\"{line:.1}\">{name} ({} in all)</text>",
            line - 4.0,
            LEFT + 32.0,
            latencies.len()
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_every_series_inside_its_frame() {
        let mut latencies = Histogram::new_with_bounds(1, 600_000_000, 3).expect("good bounds");
        (1..2_000_u64).for_each(|n| latencies.saturating_record(n * n * 100));
        let svg = draw("a run", &[("connect", &latencies), ("none", &Histogram::new(3).expect("good"))]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("connect (1999 in all)") && svg.contains("none (0 in all)"));
        assert!(x(1e9) <= LEFT + WIDTH && y(0.0) <= TOP + HEIGHT, "clamped");
    }
}
