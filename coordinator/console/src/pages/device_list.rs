//! The list of devices: filter by fields or by expression, columns, all pages as CSV.

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use mdfm_shared::text::csv_cell;
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use crate::api::with_query;
use crate::failure::{Failure, Refusal};
use crate::page::Page;
use crate::{Console, ROOT, builder, templates};

/// Columns that may be shown, by the API's names: the first ones unless others are chosen.
const COLUMNS: [(&str, &str); 14] = [
    ("modelNumber", "Model"),
    ("hospitalId", "Hospital"),
    ("currentFirmwareVersion", "Firmware"),
    ("presence", "Presence"),
    ("installState", "Last update"),
    ("waiting", "Waits for"),
    ("serialNumber", "Serial number"),
    ("udi", "UDI"),
    ("gatewayId", "Gateway"),
    ("hardwareRevision", "Hardware"),
    ("securityFloor", "Security floor"),
    ("deploymentId", "Deployment"),
    ("recallId", "Recall"),
    ("lastError", "Last error"),
];
const SHOWN: usize = 6;
/// Fields that the builder offers beside the columns.
const MORE_FIELDS: [(&str, &str); 5] = [
    ("deviceId", "Device"),
    ("differs", "Difference"),
    ("inUse", "In use"),
    ("retiredAt", "Retired"),
    ("waiting.code", "Waits for (code)"),
];
/// Columns that the API sorts by.
const SORTED: [&str; 6] =
    ["modelNumber", "hospitalId", "currentFirmwareVersion", "serialNumber", "gatewayId", "securityFloor"];
/// Fields of a device in a CSV file, in the order of an import, then what is observed.
const CSV_FIELDS: [&str; 17] = [
    "deviceId",
    "modelNumber",
    "serialNumber",
    "hospitalId",
    "currentFirmwareVersion",
    "udi",
    "gatewayId",
    "hardwareRevision",
    "presence",
    "lastAttachedAt",
    "installState",
    "runningSha256",
    "securityFloor",
    "deploymentId",
    "recallId",
    "lastError",
    "retiredAt",
];
/// Rows of one answer that the file is made of.
const ROWS: &str = "1000";

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/devices"), get(list)).route(&format!("{ROOT}/devices/all.csv"), get(download))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "devices/list.html");
    Ok(())
}

/// Where a form of the builder leads: the same list with the condition in its expression, and the
/// columns in one parameter. `None` if the address
/// is already so.
///
/// # Errors
/// The condition cannot be written.
fn canonical(page: &Page, path: &str) -> Result<Option<String>, Refusal> {
    let (field, chosen) = (page.query("field"), page.queries("column"));
    if field.is_empty() && chosen.is_empty() {
        return Ok(None);
    }
    let mut filter = page.query("filter").to_owned();
    if !field.is_empty() {
        let value = page.query("value").trim();
        let more = builder::condition(field, page.query("operator"), value).ok_or_else(|| {
            let detail = format!(
                "No condition can be made of \u{201c}{value}\u{201d}: a beginning has no comma, quote or star."
            );
            Refusal::of_input("condition", detail)
        })?;
        filter = builder::with(&filter, &more);
    }
    let columns = if chosen.is_empty() { page.query("columns").to_owned() } else { chosen.join(",") };
    Ok(Some(with_query(path, &[("filter", &filter), ("sort", page.query("sort")), ("columns", &columns)])))
}

/// The columns of a page, in the order of [`COLUMNS`].
fn chosen_columns(columns: &str) -> Vec<Value> {
    let names: Vec<&str> = columns.split(',').collect();
    let is_chosen = |name: &str, at: usize| if columns.is_empty() { at < SHOWN } else { names.contains(&name) };
    let row = |(at, (name, label)): (usize, &(&str, &str))| json!({ "name": name, "label": label, "chosen": is_chosen(name, at), "sorted": SORTED.contains(name) });
    COLUMNS.iter().enumerate().map(row).collect()
}

async fn list(page: Page) -> Result<Response, Failure> {
    let problem = match canonical(&page, &format!("{ROOT}/devices")) {
        Ok(Some(to)) => return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()),
        Ok(None) => Value::Null,
        Err(refusal) => json!(refusal),
    };
    let list = page_of(&page, "/api/v1/devices").await?;
    let mut fields: Vec<(&str, &str)> = COLUMNS.iter().filter(|(name, _)| *name != "waiting").copied().collect();
    fields.extend(MORE_FIELDS);
    fields.sort_by_key(|(_, label)| *label);
    let context = json!({
        "list": list,
        "chips": builder::chips(page.query("filter")),
        "fields": fields,
        "operators": builder::OPERATORS,
        "columns": chosen_columns(page.query("columns")),
        "problem": problem,
    });
    page.render("devices/list.html", context)
}

/// Rows of a CSV file (RFC 4180), in which no cell is a formula.
fn rows(devices: &Value, with_header: bool) -> String {
    let row = |device: &Value| {
        let cell = |field| match &device[field] {
            Value::Null => String::new(),
            Value::String(text) => csv_cell(text),
            other => csv_cell(&other.to_string()),
        };
        CSV_FIELDS.map(cell).join(",") + "\r\n"
    };
    let head = if with_header { CSV_FIELDS.join(",") + "\r\n" } else { String::new() };
    devices.as_array().into_iter().flatten().map(row).fold(head, |all, row| all + &row)
}

/// All pages of the list as one file. Where the API refuses one of them, the download ends as a
/// failed one.
async fn download(page: Page) -> Result<Response, Failure> {
    let query = |cursor: &str| {
        let query =
            [("filter", page.query("filter")), ("sort", page.query("sort")), ("cursor", cursor), ("limit", ROWS)];
        with_query("/api/v1/devices", &query)
    };
    let first = page.api.get(&query("")).await?;
    let head = rows(&first.body, true);
    let (filter, sort) = (page.query("filter").to_owned(), page.query("sort").to_owned());
    let (api, next) = (page.api.clone(), first.next_cursor());
    let rest = stream::try_unfold((api, next), move |(api, next)| {
        let query = next.map(|cursor| {
            with_query("/api/v1/devices", &[("filter", &filter), ("sort", &sort), ("cursor", &cursor), ("limit", ROWS)])
        });
        async move {
            let Some(query) = query else { return Ok(None) };
            let answer = api.get(&query).await.map_err(|_| std::io::Error::other("the list ended early"))?;
            let bytes = rows(&answer.body, false);
            let next = answer.next_cursor();
            Ok::<_, std::io::Error>(Some((bytes, (api, next))))
        }
    });
    let body = futures_util::StreamExt::chain(stream::iter([Ok(head)]), rest);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"devices.csv\""),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_console_no_cell_of_a_list_is_a_formula() {
        let devices = json!([{ "deviceId": "=HYPERLINK(\"x\")", "modelNumber": "a,b", "serialNumber": "-x", "udi": null, "securityFloor": 3 }]);
        let text = rows(&devices, true);
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(lines[0].starts_with("deviceId,modelNumber,serialNumber,hospitalId,"), "{text}");
        assert!(lines[1].starts_with("\"'=HYPERLINK(\"\"x\"\")\",\"a,b\",\"'-x\",,"), "{text}");
        assert!(lines[1].contains(",3,"), "{text}");
        assert_eq!(rows(&json!([]), false), "");
    }

    #[test]
    fn console_columns_are_the_first_ones_or_those_chosen() {
        let names = |columns: &str| {
            let all = chosen_columns(columns);
            let chosen =
                all.iter().filter(|column| column["chosen"] == true).filter_map(|column| column["name"].as_str());
            chosen.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("").len(), SHOWN);
        assert_eq!(names("udi,modelNumber,<img>"), ["modelNumber", "udi"]);
    }
}
