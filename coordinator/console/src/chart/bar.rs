//! The phases of a deployment as one bar: each as wide as its share of the devices, filled by what became of them.

use serde_json::Value;

use super::Drawing;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 14.0;
const GAP: f64 = 4.0;
/// Least width of a phase, so that one device among many is seen.
const PHASE_MIN: f64 = 12.0;

/// The counts of one phase that are drawn, in their order.
const PARTS: [(&str, &str, &str); 4] = [
    ("confirmed", "s4", "confirmed"),
    ("failed", "s5", "failed or returned"),
    ("silent", "s2", "silent"),
    ("inFlight", "s1", "in flight"),
];

fn count(of: &Value, name: &str) -> f64 {
    of[name].as_u64().unwrap_or(0) as f64
}

/// Draws the phases as the API shows them. The numbers stand beside it in words.
pub(crate) fn phases(phases: &Value) -> String {
    let list = phases.as_array().map(Vec::as_slice).unwrap_or_default();
    let total: f64 = list.iter().map(|phase| count(&phase["devices"], "devices")).sum();
    let words: Vec<String> = list.iter().map(in_words).collect();
    let mut drawing = Drawing::new("bar", (WIDTH, HEIGHT), "Devices by phase", &words.join("; "));
    let room = WIDTH - GAP * list.len().saturating_sub(1) as f64 - PHASE_MIN * list.len() as f64;
    let mut x = 0.0;
    for (phase, words) in list.iter().zip(&words) {
        let devices = count(&phase["devices"], "devices");
        let share = if total > 0.0 { devices / total } else { 1.0 / list.len() as f64 };
        let width = (PHASE_MIN + room.max(0.0) * share).min(WIDTH - x).max(0.0);
        drawing.rect("rest", (x, 0.0), (width, HEIGHT), words);
        let mut at = x;
        for (name, class, _) in PARTS {
            let part = if devices > 0.0 { width * (count(&phase["devices"], name) / devices).min(1.0) } else { 0.0 };
            let part = part.min(x + width - at);
            if part > 0.0 {
                drawing.rect(class, (at, 0.0), (part, HEIGHT), words);
                at += part;
            }
        }
        x = (x + width + GAP).min(WIDTH);
    }
    // It fills the width that it gets.
    drawing.finish().replacen("role=", "preserveAspectRatio=\"none\" role=", 1)
}

fn in_words(phase: &Value) -> String {
    let devices = &phase["devices"];
    let parts = PARTS.iter().filter(|(name, ..)| count(devices, name) > 0.0);
    let parts: Vec<String> = parts.map(|(name, _, words)| format!("{} {words}", count(devices, name))).collect();
    let rest = if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) };
    format!("{}: {} devices{rest}", phase["name"].as_str().unwrap_or_default(), count(devices, "devices"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chart::tests::{check, numbers};

    #[test]
    fn console_bars_stay_inside_whatever_the_counts() {
        let phase = |devices: u64, confirmed: u64, failed: u64| {
            json!({ "name": "<img onerror=x>",
            "devices": { "devices": devices, "confirmed": confirmed, "failed": failed, "silent": 0, "inFlight": 3 } })
        };
        for list in [
            json!([]),
            json!(null),
            json!([phase(0, 0, 0)]),
            json!([phase(4, 4, 0), phase(16, 9, 1), phase(20, 0, 0)]),
            json!([phase(1, 1, 0), phase(1_000_000, 999_999, 1)]),
            json!([phase(2, 9, 9)]),
            json!((0..20).map(|n| phase(n, n, 0)).collect::<Vec<_>>()),
        ] {
            let svg = phases(&list);
            check(&svg, (WIDTH, HEIGHT));
            let (places, widths) = (numbers(&svg, "x"), numbers(&svg, "width"));
            assert!(places.iter().zip(&widths).all(|(x, width)| x + width <= WIDTH + 0.2), "{svg}");
            let drawn = svg.matches("class=\"rest\"").count();
            assert_eq!(drawn, list.as_array().map_or(0, Vec::len));
        }
        let svg = phases(&json!([phase(4, 2, 1)]));
        assert!(svg.contains("4 devices, 2 confirmed, 1 failed or returned, 3 in flight"), "{svg}");
    }
}
