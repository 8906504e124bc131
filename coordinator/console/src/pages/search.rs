//! One box for ids: what begins with the text, of everything that the reader may see.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use crate::api::{segment, with_query};
use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, builder, templates};

/// A kind: its heading, the list of the API, the field with the id, fields to show beside it, and
/// where its pages are.
struct Kind {
    heading: &'static str,
    list: &'static str,
    id: &'static str,
    beside: [&'static str; 2],
    pages: &'static str,
    /// The permission that the list needs: what is refused is recorded, and nobody asked for it
    /// here.
    needs: &'static str,
}

const KINDS: [Kind; 9] = [
    Kind {
        heading: "Devices",
        list: "devices",
        id: "deviceId",
        beside: ["modelNumber", "hospitalId"],
        pages: "devices",
        needs: "read",
    },
    Kind {
        heading: "Releases",
        list: "firmware",
        id: "firmwareId",
        beside: ["version", "deviceModel"],
        pages: "releases",
        needs: "read",
    },
    Kind {
        heading: "Deployments",
        list: "deployments",
        id: "deploymentId",
        beside: ["firmwareId", "createdBy"],
        pages: "deployments",
        needs: "read",
    },
    Kind {
        heading: "Hospitals",
        list: "hospitals",
        id: "hospitalId",
        beside: ["name", "cohort"],
        pages: "hospitals",
        needs: "read",
    },
    Kind {
        heading: "Gateways",
        list: "gateways",
        id: "gatewayId",
        beside: ["hospitalId", "presence"],
        pages: "gateways",
        needs: "readAll",
    },
    Kind {
        heading: "Groups",
        list: "groups",
        id: "groupId",
        beside: ["name", "query"],
        pages: "groups",
        needs: "readAll",
    },
    Kind {
        heading: "Recalls",
        list: "recalls",
        id: "recallId",
        beside: ["action", "reason"],
        pages: "recalls",
        needs: "readAll",
    },
    Kind {
        heading: "Incidents",
        list: "incidents",
        id: "incidentId",
        beside: ["title", "outcome"],
        pages: "incidents",
        needs: "read",
    },
    Kind {
        heading: "People",
        list: "users",
        id: "userId",
        beside: ["printedName", "email"],
        pages: "people",
        needs: "readAudit",
    },
];
/// Rows of one kind.
const ROWS: &str = "20";
/// Characters of a text that is looked for.
const TEXT_MAX: usize = 128;

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/search"), get(search))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "search/show.html");
    Ok(())
}

/// What of one kind begins with the text; no rows where the reader may not see the kind.
async fn found(page: &Page, kind: &Kind, text: &str) -> Result<(Vec<Value>, bool), Failure> {
    let Some(filter) = builder::condition(kind.id, "*", text) else { return Ok((Vec::new(), false)) };
    let query = with_query(&format!("/api/v1/{}", kind.list), &[("filter", &filter), ("limit", ROWS)]);
    let answer = match page.api.get(&query).await {
        Ok(answer) => answer,
        // Not for this reader, or no text that an id of this kind could begin with.
        Err(Failure::Refused(refusal)) if [400, 422].contains(&refusal.status) => {
            return Ok((Vec::new(), false));
        }
        Err(other) => return Err(other),
    };
    let is_more = answer.next_cursor().is_some();
    let rows = answer.body.as_array().into_iter().flatten().map(|item| {
        let id = item[kind.id].as_str().unwrap_or_default();
        let beside = kind.beside.map(|field| item[field].as_str().unwrap_or_default());
        json!({ "id": id, "beside": beside, "link": format!("{ROOT}/{}/{}", kind.pages, segment(id)) })
    });
    Ok((rows.collect(), is_more))
}

async fn search(page: Page) -> Result<Response, Failure> {
    let text: String = page.query("q").trim().chars().take(TEXT_MAX).collect();
    let mut kinds = Vec::new();
    let mut exact = None;
    if !text.is_empty() {
        for kind in KINDS.iter().filter(|kind| page.may(kind.needs)) {
            let (rows, is_more) = found(&page, kind, &text).await?;
            let same = rows.iter().find(|row| row["id"] == text).and_then(|row| row["link"].as_str());
            exact = exact.or(same.map(str::to_owned));
            if !rows.is_empty() || is_more {
                kinds.push(json!({ "heading": kind.heading, "rows": rows, "more": is_more }));
            }
        }
    }
    // One exact answer needs no list.
    let is_alone = kinds.iter().map(|kind| kind["rows"].as_array().map_or(0, Vec::len)).sum::<usize>() == 1;
    if let Some(to) = exact.filter(|_| is_alone) {
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response());
    }
    page.render("search/show.html", json!({ "text": text, "kinds": kinds }))
}
