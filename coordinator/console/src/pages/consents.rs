//! Consents: what is to be done to the devices of a hospital, for the people there who agree or do
//! not.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, settle};
use super::home::OPEN_DEPLOYMENTS;
use crate::api::{path, with_query};
use crate::failure::Failure;
use crate::filters::is_over;
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, builder, templates};

/// Deployments whose consents are shown.
const DEPLOYMENTS_MAX: usize = 50;
/// Devices that a card names.
const NAMED_MAX: &str = "100";

pub(crate) fn routes() -> Router<Console> {
    let one = format!("{ROOT}/consents/{{deployment}}/{{hospital}}");
    Router::new()
        .route(&format!("{ROOT}/consents"), get(list))
        .route(&one, get(show).post(give))
        .route(&format!("{one}/withdraw"), get(withdraw_form).post(withdraw))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "consents/list.html", "consents/show.html", "consents/withdraw.html");
    Ok(())
}

/// One question to one hospital: the deployment, its release, the devices and windows. `null` if
/// there is no such question.
async fn card(page: &Page, deployment: &Value, hospital: &str) -> Result<Value, Failure> {
    let consents = deployment["consents"].as_array().into_iter().flatten();
    let Some(consent) = consents.into_iter().find(|consent| consent["hospitalId"] == hospital) else {
        return Ok(Value::Null);
    };
    let (id, firmware) = (text(deployment, "deploymentId"), text(deployment, "firmwareId"));
    let release = page.api.find(&path(&["firmware", firmware])).await?;
    let site = page.api.find(&path(&["hospitals", hospital])).await?;
    let of = builder::condition("hospitalId", "=", hospital).unwrap_or_default();
    let devices = path(&["deployments", id, "devices"]);
    let devices = page.api.find(&with_query(&devices, &[("filter", &of), ("limit", NAMED_MAX)])).await?;
    let phase = deployment["phases"].as_array().into_iter().flatten().find(|phase| {
        phase["hospitals"].as_array().is_some_and(|hospitals| hospitals.iter().any(|other| other == hospital))
    });
    Ok(json!({
        "deployment": deployment, "consent": consent, "release": release, "hospital": site, "devices": devices, "phase": phase,
    }))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn list(page: Page) -> Result<Response, Failure> {
    let deployments = page.api.find(&with_query("/api/v1/deployments", &OPEN_DEPLOYMENTS)).await?;
    let asks = |d: &&Value| {
        !is_over(d["status"]["name"].as_str().unwrap_or_default())
            && d["consents"].as_array().is_some_and(|consents| !consents.is_empty())
    };
    let open: Vec<&Value> = deployments.as_array().into_iter().flatten().filter(asks).take(DEPLOYMENTS_MAX).collect();
    let mut cards = Vec::new();
    for deployment in open {
        for consent in deployment["consents"].as_array().into_iter().flatten() {
            cards.push(json!({ "deployment": deployment, "consent": consent }));
        }
    }
    // What is not answered stands first.
    cards.sort_by_key(|card| !card["consent"]["givenBy"].is_null());
    page.render("consents/list.html", json!({ "cards": cards }))
}

async fn render(
    page: &Page,
    (deployment, hospital): (&str, &str),
    template: &str,
    refused: Refused<'_>,
) -> Result<Response, Failure> {
    // The list names who is asked, and not every device.
    let one = builder::condition("deploymentId", "=", deployment).unwrap_or_default();
    let found = page.api.get(&with_query("/api/v1/deployments", &[("filter", &one), ("limit", "1")])).await?.body;
    let card = card(page, &found[0], hospital).await?;
    if card.is_null() {
        let detail = format!("Deployment {deployment} does not ask this hospital.");
        return Err(Failure::not_found(detail));
    }
    acts::show(page, template, json!({ "card": card }), refused)
}

async fn show(page: Page, Path((deployment, hospital)): Path<(String, String)>) -> Result<Response, Failure> {
    render(&page, (&deployment, &hospital), "consents/show.html", None).await
}

async fn withdraw_form(page: Page, Path((deployment, hospital)): Path<(String, String)>) -> Result<Response, Failure> {
    render(&page, (&deployment, &hospital), "consents/withdraw.html", None).await
}

async fn act(
    page: Page,
    (deployment, hospital): (String, String),
    form: Form,
    (method, template, said): (Method, &str, &str),
) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    let to = path(&["deployments", &deployment, "consents", &hospital]);
    match settle(page.act(&form, method, &to, &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/consents"), said)),
        Err(refusal) => render(&page, (&deployment, &hospital), template, Some((&form, &refusal))).await,
    }
}

async fn give(page: Page, Path(of): Path<(String, String)>, form: Form) -> Result<Response, Failure> {
    act(page, of, form, (Method::PUT, "consents/show.html", "consented")).await
}

async fn withdraw(page: Page, Path(of): Path<(String, String)>, form: Form) -> Result<Response, Failure> {
    act(page, of, form, (Method::DELETE, "consents/withdraw.html", "consent-withdrawn")).await
}
