//! The fleet in figures: what runs where, what is silent, which security floors there are. Every
//! number leads to its devices.

use std::collections::BTreeMap;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::chart::{Chart, versions};
use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, api, builder, templates};

/// Versions of one model that have a colour of their own; the rest share one.
const SHADES: usize = 5;
/// Days that the pictures over time may show. Without a choice they begin with what is known, at most 90 days ago.
const PERIODS: [&str; 5] = ["", "7", "30", "365", "1830"];
/// Hospitals on the grid.
const TILES_MAX: usize = 500;

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/fleet"), get(show))
        .route(&format!("{ROOT}/fleet/charts/versions.csv"), get(download))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "fleet/show.html");
    Ok(())
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

/// Devices and silent ones of a row.
fn numbers(row: &Value) -> (u64, u64) {
    (row["devices"].as_u64().unwrap_or(0), row["silent"].as_u64().unwrap_or(0))
}

/// The list of devices in service for which all of these hold.
fn devices_with(conditions: &[(&str, &str, &str)]) -> String {
    let filter = conditions.iter().fold("retiredAt=null".to_owned(), |filter, (field, operator, value)| {
        builder::condition(field, operator, value).map_or(filter.clone(), |more| builder::with(&filter, &more))
    });
    api::with_query(&format!("{ROOT}/devices"), &[("filter", &filter)])
}

/// Each model with its versions, the most frequent first.
fn models(counts: &[Value]) -> Vec<Value> {
    let mut models: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for row in counts {
        let versions = models.entry(text(row, "modelNumber")).or_default();
        *versions.entry(text(row, "currentFirmwareVersion")).or_default() += numbers(row).0;
    }
    let of = |(model, versions): (&str, BTreeMap<&str, u64>)| {
        let all: u64 = versions.values().sum();
        let mut versions: Vec<(&str, u64)> = versions.into_iter().collect();
        versions.sort_by_key(|(version, devices)| (std::cmp::Reverse(*devices), *version));
        let mut x = 0.0;
        let bars: Vec<Value> = versions
            .iter()
            .enumerate()
            .map(|(at, (version, devices))| {
                let width = 1_000.0 * *devices as f64 / all.max(1) as f64;
                let link = devices_with(&[("modelNumber", "=", model), ("currentFirmwareVersion", "=", version)]);
                let bar = json!({ "version": version, "devices": devices, "x": x, "width": width, "shade": at.min(SHADES) + 1,
                    "percent": (width / 1.0).round() / 10.0, "link": link });
                x += width;
                bar
            })
            .collect();
        json!({ "model": model, "devices": all, "versions": bars, "link": devices_with(&[("modelNumber", "=", model)]) })
    };
    models.into_iter().map(of).collect()
}

/// Adds to each model its picture over time.
fn with_charts(mut models: Vec<Value>, charts: &BTreeMap<String, Option<Chart>>) -> Vec<Value> {
    for model in &mut models {
        let chart = charts.get(text(model, "model")).and_then(Option::as_ref);
        model["over_time"] = chart.map_or(Value::Null, Chart::shown);
    }
    models
}

/// Figures of one hospital.
#[derive(Default)]
struct Tile<'a> {
    devices: u64,
    silent: u64,
    /// Devices whose last installation failed or that went back.
    bad: u64,
    versions: BTreeMap<&'a str, u64>,
}

impl Tile<'_> {
    /// The worst that is true of it.
    fn state(&self) -> &'static str {
        match self {
            Self { bad: 1.., .. } => "bad",
            Self { silent, devices, .. } if silent == devices => "silent",
            Self { silent: 1.., .. } => "partly",
            Self { .. } => "good",
        }
    }
}

/// Each hospital with its figures.
fn tiles(counts: &[Value]) -> Vec<Value> {
    let mut hospitals: BTreeMap<&str, Tile<'_>> = BTreeMap::new();
    for row in counts {
        let (devices, silent) = numbers(row);
        let tile = hospitals.entry(text(row, "hospitalId")).or_default();
        let is_bad = ["failed", "rolledBack", "rollbackFailed", "quarantined"].contains(&text(row, "installState"));
        tile.devices += devices;
        tile.silent += silent;
        tile.bad += if is_bad { devices } else { 0 };
        *tile.versions.entry(text(row, "currentFirmwareVersion")).or_default() += devices;
    }
    let of = |(hospital, tile): (&str, Tile<'_>)| {
        let most = tile.versions.iter().max_by_key(|(_, count)| **count).map(|(version, _)| *version);
        json!({ "hospital": hospital, "devices": tile.devices, "silent": tile.silent, "bad": tile.bad, "state": tile.state(), "version": most,
            "versions": tile.versions.len(), "link": devices_with(&[("hospitalId", "=", hospital)]) })
    };
    hospitals.into_iter().take(TILES_MAX).map(of).collect()
}

/// Devices by state of the last installation.
fn states(counts: &[Value]) -> Vec<Value> {
    let mut states: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for row in counts {
        *states.entry(row["installState"].as_str()).or_default() += numbers(row).0;
    }
    let of = |(state, devices): (Option<&str>, u64)| json!({ "state": state, "devices": devices, "link": devices_with(&[("installState", "=", state.unwrap_or("null"))]) });
    states.into_iter().map(of).collect()
}

/// The days that the page asks for: one of [`PERIODS`].
fn days(page: &Page) -> &'static str {
    PERIODS.into_iter().find(|days| *days == page.query("days")).unwrap_or_default()
}

/// What each model ran over time.
async fn over_time(page: &Page, days: &str) -> Result<Vec<versions::Model>, Failure> {
    let found = page.api.get(&api::with_query("/api/v1/fleet/versions", &[("days", days)])).await?.body;
    let at = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let ms = |value: &Value| at(value).map_or(0, jiff::Timestamp::as_millisecond);
    let numbers = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let marks = rows(&found["deployments"]);
    let model = |row: Value| versions::Model {
        name: text(&row, "modelNumber").to_owned(),
        times: rows(&found["times"]).iter().map(ms).collect(),
        all: numbers(&row["devices"]),
        versions: rows(&row["versions"])
            .iter()
            .map(|v| (text(v, "version").to_owned(), numbers(&v["devices"])))
            .collect(),
        marks: marks
            .iter()
            .filter(|mark| mark["modelNumber"] == row["modelNumber"])
            .map(|mark| (ms(&mark["at"]), format!("{} begins", text(mark, "version"))))
            .collect(),
    };
    Ok(rows(&found["models"]).into_iter().map(model).collect())
}

async fn download(page: Page) -> Result<Response, Failure> {
    let (wanted, days) = (page.query("model").to_owned(), days(&page));
    let models = over_time(&page, days).await?;
    let chart = models.iter().find(|model| model.name == wanted).and_then(versions::draw);
    let missing = || Failure::not_found("Nothing is known of this model over time.");
    chart.ok_or_else(missing)?.download(&format!(
        "{wanted}-versions{}.csv",
        if days.is_empty() { String::new() } else { format!("-{days}-days") }
    ))
}

async fn show(page: Page) -> Result<Response, Failure> {
    let days = days(&page);
    let over_time: BTreeMap<String, Option<Chart>> =
        over_time(&page, days).await?.into_iter().map(|model| (model.name.clone(), versions::draw(&model))).collect();
    let counts = page.api.get("/api/v1/fleet/counts").await?.body;
    let link = page.api.find("/api/v1/fleet-link").await?;
    let rows = counts["counts"].as_array().cloned().unwrap_or_default();
    let floors: Vec<Value> = counts["floors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let floor = row["securityFloor"].to_string();
            let link = devices_with(&[("modelNumber", "=", text(row, "modelNumber")), ("securityFloor", "=", &floor)]);
            json!({ "model": row["modelNumber"], "floor": row["securityFloor"], "devices": row["devices"], "link": link })
        })
        .collect();
    let differences: Vec<Value> = counts["differences"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, devices)| json!({ "kind": kind, "devices": devices, "link": devices_with(&[("differs", "=", kind)]) }))
        .collect();
    let presence =
        |name: &str| json!({ "devices": counts["presence"][name], "link": devices_with(&[("presence", "=", name)]) });
    let context = json!({
        "fleet": counts,
        "models": with_charts(models(&rows), &over_time),
        "days": days,
        "periods": PERIODS,
        "tiles": tiles(&rows),
        "states": states(&rows),
        "floors": floors,
        "differences": differences,
        "gateways": link["gateways"],
        "presence": { "attached": presence("attached"), "detached": presence("detached"), "unreachable": presence("unreachable"), "unknown": presence("unknown") },
        "all": devices_with(&[]),
        "retired": api::with_query(&format!("{ROOT}/devices"), &[("filter", "retiredAt!=null")]),
    });
    page.render("fleet/show.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Vec<Value> {
        let row = |version: &str, hospital: &str, state: Value, devices: u64, silent: u64| json!({ "modelNumber": "X", "currentFirmwareVersion": version, "hospitalId": hospital, "installState": state, "devices": devices, "silent": silent });
        vec![
            row("1.0", "H-1", Value::Null, 1, 1),
            row("2.0", "H-1", json!("confirmed"), 2, 0),
            row("2.0", "H-2", json!("rolledBack"), 1, 0),
        ]
    }

    #[test]
    fn console_the_picture_of_versions_equals_its_numbers() {
        let models = models(&counts());
        let versions = models[0]["versions"].as_array().expect("versions");
        assert_eq!(
            (&models[0]["devices"], &versions[0]["version"], &versions[0]["devices"]),
            (&json!(4), &json!("2.0"), &json!(3))
        );
        let width: f64 = versions.iter().filter_map(|bar| bar["width"].as_f64()).sum();
        assert!((width - 1_000.0).abs() < 1e-6, "the bars fill the line: {width}");
        assert_eq!(versions[1]["x"], 750.0);
        assert_eq!(versions[0]["percent"], 75.0);
    }

    #[test]
    fn console_a_hospital_shows_its_worst_state() {
        let tiles = tiles(&counts());
        assert_eq!(
            (&tiles[0]["state"], &tiles[0]["silent"], &tiles[0]["versions"]),
            (&json!("partly"), &json!(1), &json!(2))
        );
        assert_eq!((&tiles[1]["state"], &tiles[1]["bad"]), (&json!("bad"), &json!(1)));
        let link = states(&counts())[0]["link"].as_str().expect("a link").to_owned();
        assert_eq!(link, "/console/devices?filter=retiredAt%3Dnull%2C+installState%3Dnull");
    }
}
