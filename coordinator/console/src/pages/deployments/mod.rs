//! Deployments: the list, one deployment with a tab a question, what people do with it while it runs, and the way to a new one.

mod acts;
mod draft;
mod plan;
mod roll_back;
mod story;
mod validate;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use crate::api::{path, segment, with_query};
use crate::chart::{Chart, bar, rate, timeline};
use crate::failure::{Failure, Refusal};
use crate::filters::is_over;
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// Records of one page of the history.
const RECORDS: &str = "100";
/// Hospitals of one page.
const HOSPITALS: usize = 200;

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/deployments/{{deployment}}{rest}");
    Router::new()
        .route(&format!("{ROOT}/deployments"), get(list))
        .route(&of(""), get(overview))
        .route(&of("/devices"), get(devices))
        .route(&of("/gates"), get(gates))
        .route(&of("/hospitals"), get(hospitals))
        .route(&of("/duties"), get(duties))
        .route(&of("/history"), get(history))
        .route(&of("/report"), get(report))
        .route(&of("/report/{kind}/{format}"), get(download))
        .route(&of("/charts/{chart}"), get(chart))
        .route(&of("/events"), get(events))
        .route(&of("/pause"), post(pause))
        .merge(acts::routes())
        .merge(roll_back::routes())
        .merge(validate::routes())
        .merge(plan::routes())
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(
        environment,
        "deployments/parts.html",
        "deployments/frame.html",
        "deployments/list.html",
        "deployments/show.html",
        "deployments/devices.html",
        "deployments/gates.html",
        "deployments/hospitals.html",
        "deployments/duties.html",
        "deployments/history.html",
        "deployments/report.html",
        "deployments/resume.html",
        "deployments/abort.html",
        "deployments/roll-back.html",
        "deployments/validate.html",
        "deployments/new.html",
    );
    Ok(())
}

/// One deployment for one reader, with what all its pages show.
struct Frame {
    id: String,
    /// Its summary, as the API answers it.
    deployment: Value,
    tag: String,
}

/// The address of a deployment in the console.
fn home(deployment: &str) -> String {
    format!("{ROOT}/deployments/{}", segment(deployment))
}

impl Frame {
    async fn of(page: &Page, id: &str) -> Result<Self, Failure> {
        let answer = page.api.get(&path(&["deployments", id, "summary"])).await?;
        Ok(Self { id: id.to_owned(), tag: answer.tag().to_owned(), deployment: answer.body })
    }

    fn status(&self) -> &str {
        self.deployment["status"]["name"].as_str().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        is_over(self.status())
    }

    /// The phase that is worked on.
    fn current(&self) -> &Value {
        let number = self.deployment["currentPhase"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        &self.deployment["phases"][number.saturating_sub(1)]
    }

    /// A count of all phases.
    fn sum(&self, name: &str) -> u64 {
        let phases = self.deployment["phases"].as_array().into_iter().flatten();
        phases.filter_map(|phase| phase["devices"][name].as_u64()).sum()
    }

    /// A count of the phases that have been opened.
    fn sum_opened(&self, name: &str) -> u64 {
        let phases = self.deployment["phases"].as_array().into_iter().flatten();
        let opened = phases.filter(|phase| phase["status"]["name"] != "pending");
        opened.filter_map(|phase| phase["devices"][name].as_u64()).sum()
    }

    /// Makes a page of it; after an act that was refused with the reason and what was typed.
    fn render(
        &self,
        page: &Page,
        template: &str,
        tab: &str,
        more: Value,
        refused: Option<(&Form, &Refusal)>,
    ) -> Result<Response, Failure> {
        let mut context = json!({
            "deployment": self.deployment, "tag": self.tag, "home": home(&self.id), "tab": tab, "is_over": self.is_over(),
            "bar": bar::phases(&self.deployment["phases"]),
        });
        if let (Value::Object(context), Value::Object(more)) = (&mut context, more) {
            context.extend(more);
        }
        let mut status = StatusCode::OK;
        if let Some((form, refusal)) = refused {
            context["problem"] = json!(refusal);
            context["input"] = form.input();
            status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
        }
        page.render_as(status, template, context)
    }
}

/// Where an act leads: back to the page of the deployment.
fn back(deployment: &str, said: &str) -> Response {
    done(&home(deployment), said)
}

async fn list(page: Page) -> Result<Response, Failure> {
    let mut list = page_of(&page, "/api/v1/deployments").await?;
    for deployment in list["items"].as_array_mut().into_iter().flatten() {
        deployment["bar"] = bar::phases(&deployment["phases"]).into();
    }
    page.render("deployments/list.html", json!({ "list": list }))
}

/// What the log says of the phases, gates and pauses of a deployment; to staff of a hospital nothing.
async fn records(page: &Page, id: &str, action: &str) -> Result<Vec<Value>, Failure> {
    let of = path(&["deployments", id, "history"]);
    let found = page.api.find(&with_query(&of, &[("action", action), ("limit", "500")])).await?;
    Ok(found["records"].as_array().cloned().unwrap_or_default())
}

async fn timeline_of(page: &Page, frame: &Frame) -> Result<Chart, Failure> {
    let mut all = records(page, &frame.id, "deployment.phase.*").await?;
    for action in
        ["deployment.gate", "deployment.pause", "deployment.resume", "deployment.rollback*", "deployment.abort*"]
    {
        all.extend(records(page, &frame.id, action).await?);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let story = story::of(&frame.deployment, &all, now, frame.is_over());
    Ok(timeline::draw(&story, &format!("Phases of {}", frame.id)))
}

async fn rate_of(page: &Page, frame: &Frame) -> Result<Option<Chart>, Failure> {
    let gates = records(page, &frame.id, "deployment.gate").await?;
    let now = jiff::Timestamp::now().as_millisecond();
    let figures = page.find_if("readAll", &path(&["deployments", &frame.id, "figures"])).await?;
    let points = story::points(&frame.deployment, &figures, &gates, now, frame.is_over());
    Ok(rate::draw(&points, &format!("Error rate of {} with its upper bound", frame.id)))
}

async fn overview(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show(&page, &deployment, None).await
}

/// The first tab; after an act that was refused with the reason.
async fn show(page: &Page, id: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let whole = page.api.get(&(path(&["deployments", id]) + "?devices=false")).await?.body;
    let signatures = records(page, id, "deployment.validate").await?;
    let more = json!({
        "whole": whole,
        "timeline": timeline_of(page, &frame).await?.shown(),
        "rate": rate_of(page, &frame).await?.map(|chart| chart.shown()),
        "entries": story::signature_entries(&signatures),
        "may_sign": may_sign(page, &frame),
        "status_name": frame.status(),
    });
    frame.render(page, "deployments/show.html", "overview", more, refused)
}

/// Whether the reader has the role that the current phase asks for.
fn may_sign(page: &Page, frame: &Frame) -> bool {
    let role = &frame.current()["validationRole"];
    page.may("approve") && page.me["roles"].as_array().is_some_and(|roles| roles.contains(role))
}

async fn devices(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    let list = page_of(&page, &path(&["deployments", &deployment, "devices"])).await?;
    frame.render(&page, "deployments/devices.html", "devices", json!({ "list": list }), None)
}

async fn gates(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    let records = records(&page, &deployment, "deployment.gate").await?;
    let rate = rate_of(&page, &frame).await?.map(|chart| chart.shown());
    frame.render(
        &page,
        "deployments/gates.html",
        "gates",
        json!({ "gates": story::gates(&records), "rate": rate }),
        None,
    )
}

async fn hospitals(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    let whole = page.api.get(&(path(&["deployments", &deployment]) + "?devices=false")).await?.body;
    let all = story::hospitals(&whole);
    let waits = |row: &Value| row["consent"].is_object() && row["consent"]["givenBy"].is_null();
    let waiting = all.iter().filter(|row| waits(row)).count();
    let is_only_waiting = !page.query("waiting").is_empty();
    let from: usize = page.query("from").parse().unwrap_or(0);
    let mut found = all.into_iter().filter(|row| !is_only_waiting || waits(row)).skip(from);
    let rows: Vec<Value> = found.by_ref().take(HOSPITALS).collect();
    let next = found.next().map(|_| from + HOSPITALS);
    let context = json!({ "rows": rows, "next": next, "waiting": waiting });
    frame.render(&page, "deployments/hospitals.html", "hospitals", context, None)
}

async fn duties(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show_duties(&page, &deployment, None).await
}

async fn show_duties(page: &Page, id: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let whole = page.api.get(&(path(&["deployments", id]) + "?devices=false")).await?.body;
    let now = jiff::Timestamp::now().as_millisecond();
    let context = json!({ "duties": whole["duties"], "now": now });
    frame.render(page, "deployments/duties.html", "duties", context, refused)
}

async fn history(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    // Telemetry and directives are the largest part by far: shown on demand.
    let action = if page.query("all").is_empty() { "deployment.*" } else { "" };
    let query = [("action", action), ("from", page.query("from")), ("limit", RECORDS)];
    let history = page.api.get(&with_query(&path(&["deployments", &deployment, "history"]), &query)).await?.body;
    frame.render(&page, "deployments/history.html", "history", json!({ "history": history }), None)
}

async fn report(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    frame.render(&page, "deployments/report.html", "report", json!({}), None)
}

/// A report about the deployment, as the API makes it.
async fn download(
    page: Page,
    Path((deployment, kind, format)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    if !["deployment", "emergency", "correction"].contains(&kind.as_str()) {
        return Err(Failure::Refused(Refusal::of(
            StatusCode::NOT_FOUND,
            &json!({ "detail": "There is no such report." }),
        )));
    }
    let path = with_query(&path(&["compliance", "reports", &kind, &deployment]), &[("format", &format)]);
    page.api.raw(Method::GET, &path, HeaderMap::new(), Body::empty()).await
}

/// The data of a chart as CSV.
async fn chart(page: Page, Path((deployment, name)): Path<(String, String)>) -> Result<Response, Failure> {
    let frame = Frame::of(&page, &deployment).await?;
    let chart = match name.as_str() {
        "timeline.csv" => Some(timeline_of(&page, &frame).await?),
        "rate.csv" => rate_of(&page, &frame).await?,
        _ => None,
    };
    chart.ok_or_else(|| Failure::not_found("There is no such chart yet."))?.download(&format!("{deployment}-{name}"))
}

/// Changes of one deployment as they happen, as the API streams them; it does not keep the session alive.
async fn events(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    let path = path(&["deployments", &deployment, "events"]) + "?changes=true";
    page.api.raw(Method::GET, &path, HeaderMap::new(), Body::empty()).await
}

async fn pause(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::POST, &path(&["deployments", &deployment, "pause"]), &body).await {
        Ok(_) => Ok(back(&deployment, "paused")),
        Err(Failure::Refused(refusal)) => show(&page, &deployment, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests;
