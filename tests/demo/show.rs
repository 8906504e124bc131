//! What the terminal shows.

use std::collections::BTreeMap;
use std::time::Instant;

use mdfm_service::output;
use mdfm_shared::text::count;
use serde_json::Value;

/// Prints with the time since the start.
pub(crate) struct Show {
    started: Instant,
}

/// A value as text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { "-".to_owned() } else { value.to_string() }, str::to_owned)
}

/// A field of one device of a deployment's view.
pub(crate) fn device_field(view: &Value, device: &str, field: &str) -> Option<String> {
    let found = view["devices"].as_array()?.iter().find(|d| d["deviceId"] == device)?;
    found[field].as_str().map(str::to_owned)
}

impl Show {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }
    pub(crate) fn title(&self, words: &str) {
        output::line("");
        output::line(format_args!("=== {words}"));
    }
    pub(crate) fn line(&self, words: &str) {
        output::line(format_args!("[{:6.1} s] {words}", self.started.elapsed().as_secs_f64()));
    }

    /// One line for the state of a deployment, whenever it changed.
    pub(crate) fn progress(&self, view: &Value, last: &mut String) {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        for device in view["devices"].as_array().into_iter().flatten() {
            if let Some(state) = device["state"].as_str() {
                *states.entry(state.to_owned()).or_default() += 1;
            }
        }
        let current = view["currentPhase"].as_u64().unwrap_or(1) as usize - 1;
        let phase = &view["phases"][current];
        let counts: Vec<String> = states.iter().map(|(s, n)| format!("{n} {s}")).collect();
        let mut words = format!(
            "{}: phase {} {} ({}): {}",
            text(&view["status"]["name"]),
            text(&phase["name"]),
            text(&phase["status"]["name"]),
            count(phase["hospitals"].as_array().map_or(0, Vec::len), "hospital"),
            counts.join(", ")
        );
        if let Some(reason) = view["status"]["reason"].as_str() {
            words.push_str(&format!(" — {reason}"));
        }
        if *last != words {
            self.line(&words);
            *last = words;
        }
    }
}
