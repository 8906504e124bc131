//! How many devices of a model ran which version over time, as areas that stand on each other.

use std::fmt::Write as _;

use super::{Chart, Drawing, share, short, time};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 24.0;
const FLOOR: f64 = HEIGHT - 28.0;
/// Versions with an area of their own: those with the most devices at one time. The rest share one.
const SHADES: usize = 5;
/// Characters of a name inside an area.
const NAME_MAX: usize = 24;

/// The devices of one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// Milliseconds since 1970, oldest first.
    pub(crate) times: Vec<i64>,
    /// All devices in service at each time.
    pub(crate) all: Vec<u64>,
    /// Versions in the order in which they stand on each other, with their devices at each time.
    pub(crate) versions: Vec<(String, Vec<u64>)>,
    /// Deployments for the model that began in this time, and what they bring.
    pub(crate) marks: Vec<(i64, String)>,
}

/// The areas of the picture, from the floor upward; the last may be of all other versions together.
fn areas(model: &Model) -> Vec<(String, Vec<u64>)> {
    let most = |devices: &[u64]| devices.iter().copied().max().unwrap_or(0);
    let mut ranked: Vec<usize> = (0..model.versions.len()).collect();
    ranked.sort_by_key(|place| std::cmp::Reverse(most(&model.versions[*place].1)));
    ranked.truncate(SHADES);
    ranked.sort_unstable();
    let mut areas: Vec<(String, Vec<u64>)> = ranked.iter().map(|place| model.versions[*place].clone()).collect();
    let named = |at: usize| areas.iter().filter_map(|(_, devices)| devices.get(at)).sum::<u64>();
    let rest: Vec<u64> = model.all.iter().enumerate().map(|(at, all)| all.saturating_sub(named(at))).collect();
    if rest.iter().any(|devices| *devices > 0) {
        areas.push(("others".to_owned(), rest));
    }
    areas
}

/// Draws it; `None` without two times or without devices.
pub(crate) fn draw(model: &Model) -> Option<Chart> {
    let (from, until) = (*model.times.first()?, *model.times.last()?);
    let top = model.all.iter().copied().max().filter(|most| *most > 0)?;
    if model.times.len() < 2 {
        return None;
    }
    let x = |at: i64| LEFT + (WIDTH - LEFT - RIGHT) * share(at, from, until);
    let y = |devices: u64| FLOOR - (FLOOR - TOP) * (devices as f64 / top as f64).clamp(0.0, 1.0);
    let title = format!("{}: devices by version over time", model.name);
    let description = "Each area is a version; its height is the number of devices that ran it. Lines from top to bottom are deployments that \
                       began. The table below has the numbers.";
    let mut drawing = Drawing::new("versions", (WIDTH, HEIGHT), &title, description);
    for (devices, words) in [(0, "0".to_owned()), (top, top.to_string())] {
        drawing.line("grid", (LEFT, y(devices)), (WIDTH - RIGHT, y(devices)));
        drawing.text("soft", "end", (LEFT - 6.0, y(devices) + 4.0), &words);
    }
    let areas = areas(model);
    let mut below = vec![0_u64; model.times.len()];
    for (place, (version, devices)) in areas.iter().enumerate() {
        let above: Vec<u64> = below.iter().zip(devices).map(|(low, more)| low + more).collect();
        let mut path = String::new();
        for (at, devices) in model.times.iter().zip(&above) {
            let letter = if path.is_empty() { 'M' } else { 'L' };
            _ = write!(path, "{letter}{:.1} {:.1}", x(*at), y(*devices));
        }
        for (at, devices) in model.times.iter().zip(&below).rev() {
            _ = write!(path, "L{:.1} {:.1}", x(*at), y(*devices));
        }
        drawing.path(&format!("area s{}", place + 1), &(path + "Z"));
        // A name stands where its area is highest, if it has room there.
        let highest = (0..model.times.len()).max_by_key(|at| devices.get(*at).copied().unwrap_or(0)).unwrap_or(0);
        let (low, high) = (y(below[highest]), y(above[highest]));
        let middle = x(model.times[highest]);
        let anchor = if middle < WIDTH / 3.0 {
            "start"
        } else if middle > WIDTH * 2.0 / 3.0 {
            "end"
        } else {
            "middle"
        };
        if low - high > 16.0 {
            let inset = match anchor {
                "start" => 6.0,
                "end" => -6.0,
                _ => 0.0,
            };
            let name = if version.is_empty() { "not known" } else { version };
            drawing.text("on-area", anchor, (middle + inset, f64::midpoint(low, high) + 4.0), &short(name, NAME_MAX));
        }
        below = above;
    }
    let mut named_until = LEFT;
    for (at, words) in model.marks.iter().filter(|(at, _)| (from..=until).contains(at)) {
        drawing.line("now", (x(*at), TOP - 6.0), (x(*at), FLOOR));
        let words = short(words, NAME_MAX);
        let width = words.chars().count() as f64 * 7.0;
        if x(*at) >= named_until && x(*at) + width <= WIDTH {
            drawing.text("soft", "start", (x(*at) + 3.0, TOP - 10.0), &words);
            named_until = x(*at) + width + 7.0;
        }
    }
    drawing.line("axis", (LEFT, FLOOR), (WIDTH - RIGHT, FLOOR));
    drawing.time_axis((from, until), FLOOR + 18.0, &x);
    let known = |version: &String| if version.is_empty() { "not known".to_owned() } else { version.clone() };
    let columns = ["Time".to_owned(), "All devices".to_owned()].into_iter().chain(areas.iter().map(|(v, _)| known(v)));
    let rows = model.times.iter().enumerate().map(|(place, at)| {
        let of = |devices: &[u64]| devices.get(place).copied().unwrap_or(0).to_string();
        [time(Some(*at)), of(&model.all)].into_iter().chain(areas.iter().map(|(_, devices)| of(devices))).collect()
    });
    Some(Chart { columns: columns.collect(), rows: rows.collect(), svg: drawing.finish() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::check;

    fn model(versions: usize, times: i64) -> Model {
        let devices =
            |version: usize| (0..times).map(|at| at.unsigned_abs() * (version as u64 + 1)).collect::<Vec<_>>();
        let all: Vec<(String, Vec<u64>)> = (0..versions).map(|n| (format!("1.{n}<b>"), devices(n))).collect();
        let sum = |at: usize| all.iter().map(|(_, devices)| devices[at]).sum();
        Model {
            name: "X<script>".into(),
            times: (0..times).map(|day| day * 86_400_000).collect(),
            all: (0..times.unsigned_abs() as usize).map(sum).collect(),
            versions: all,
            marks: vec![(86_400_000, "FW-2 <img>".into()), (i64::MIN, "before".into())],
        }
    }

    #[test]
    fn console_areas_of_versions_add_up() {
        for versions in [1, 5, 6, 40] {
            let model = model(versions, 30);
            let chart = draw(&model).expect("a picture");
            check(&chart.svg, (WIDTH, HEIGHT));
            assert_eq!(chart.columns.len(), 2 + versions.min(SHADES + 1));
            for row in &chart.rows {
                let numbers: Vec<u64> = row[1..].iter().map(|cell| cell.parse().expect("a number")).collect();
                assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{row:?}");
            }
            assert_eq!((chart.rows.len(), chart.svg.matches("area s").count()), (30, versions.min(SHADES + 1)));
        }
    }

    #[test]
    fn console_no_devices_make_no_picture_of_versions() {
        assert_eq!(draw(&Model::default()), None);
        assert_eq!(draw(&model(1, 1)), None);
        let silent = Model { all: vec![0; 3], ..model(0, 3) };
        assert_eq!(draw(&silent), None);
    }
}
