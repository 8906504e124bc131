//! Gateways: the list, one gateway, registration, enrolment, revocation.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::acts::{self, Refused, check_typed, settle};
use super::device_forms::hospitals;
use super::list::page_of;
use super::qr;
use crate::api::{path, segment, with_query};
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, builder, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/gateways"), get(list))
        .route(&format!("{ROOT}/gateways/new"), get(new).post(register))
        .route(&format!("{ROOT}/gateways/{{gateway}}"), get(show))
        .route(&format!("{ROOT}/gateways/{{gateway}}/token"), get(token_form).post(token))
        .route(&format!("{ROOT}/gateways/{{gateway}}/revoke"), get(revoke_form).post(revoke))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(
        environment,
        "gateways/list.html",
        "gateways/show.html",
        "gateways/new.html",
        "gateways/token.html",
        "gateways/revoke.html",
    );
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/gateways").await?;
    let link = page.api.find("/api/v1/fleet-link").await?;
    let chips = builder::chips(page.query("filter"));
    page.render("gateways/list.html", json!({ "list": list, "link": link, "chips": chips }))
}

/// One gateway of the list; the API shows none alone.
pub(crate) async fn find(page: &Page, gateway: &str) -> Result<Value, Failure> {
    let one = builder::condition("gatewayId", "=", gateway).unwrap_or_default();
    let all = page.api.get(&with_query("/api/v1/gateways", &[("filter", &one), ("limit", "1")])).await?.body;
    let found = all.as_array().and_then(|all| all.first()).filter(|found| found["gatewayId"] == gateway);
    found.cloned().ok_or_else(|| {
        let detail = format!("There is no gateway {gateway}.");
        Failure::not_found(detail)
    })
}

async fn show(page: Page, Path(gateway): Path<String>) -> Result<Response, Failure> {
    let found = find(&page, &gateway).await?;
    let behind = builder::condition("gatewayId", "=", &gateway).unwrap_or_default();
    let devices = page.api.find(&with_query("/api/v1/devices", &[("filter", &behind), ("limit", "100")])).await?;
    let query = [("gateway", gateway.as_str()), ("order", "newest"), ("limit", "30")];
    let history = page.find_if("readAudit", &with_query("/api/v1/compliance/audit-logs", &query)).await?;
    page.render(
        "gateways/show.html",
        json!({ "gateway": found, "devices": devices, "history": history, "behind": behind }),
    )
}

async fn new(page: Page) -> Result<Response, Failure> {
    new_page(&page, None).await
}

async fn new_page(page: &Page, refused: Refused<'_>) -> Result<Response, Failure> {
    acts::show(page, "gateways/new.html", json!({ "hospitals": hospitals(page).await? }), refused)
}

async fn register(page: Page, form: Form) -> Result<Response, Failure> {
    let body = acts::body(&form, &[("gatewayId", "gateway_id"), ("hospitalId", "hospital_id")]);
    match settle(page.act(&form, Method::POST, "/api/v1/gateways", &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/gateways/{}", segment(form.text("gateway_id"))), "registered")),
        Err(refusal) => new_page(&page, Some((&form, &refusal))).await,
    }
}

async fn gateway_page(page: &Page, gateway: &str, template: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let found = find(page, gateway).await?;
    acts::show(page, template, json!({ "gateway": found, "issued": null, "qr": null }), refused)
}

async fn token_form(page: Page, Path(gateway): Path<String>) -> Result<Response, Failure> {
    gateway_page(&page, &gateway, "gateways/token.html", None).await
}

/// Makes a token and shows it in the answer to the form, never behind an address: it cannot be
/// opened again.
async fn token(page: Page, Path(gateway): Path<String>, form: Form) -> Result<Response, Failure> {
    let found = find(&page, &gateway).await?;
    if found["enrolled"] == true
        && let Err(refusal) = check_typed(&form, &gateway)
    {
        return gateway_page(&page, &gateway, "gateways/token.html", Some((&form, &refusal))).await;
    }
    let to = path(&["gateways", &gateway, "enrolment-tokens"]);
    match settle(page.act_without_body(&form, Method::POST, &to).await)? {
        Ok(answer) => {
            let code = qr::code(answer.body["token"].as_str().unwrap_or_default());
            let context = json!({ "gateway": found, "issued": answer.body, "qr": code });
            page.render_as(StatusCode::CREATED, "gateways/token.html", context)
        }
        Err(refusal) => gateway_page(&page, &gateway, "gateways/token.html", Some((&form, &refusal))).await,
    }
}

async fn revoke_form(page: Page, Path(gateway): Path<String>) -> Result<Response, Failure> {
    revoke_page(&page, &gateway, None).await
}

async fn revoke_page(page: &Page, gateway: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let behind = builder::with(&builder::condition("gatewayId", "=", gateway).unwrap_or_default(), "retiredAt=null");
    let devices = page.api.find(&with_query("/api/v1/devices", &[("filter", &behind), ("limit", "1000")])).await?;
    let context = json!({ "gateway": find(page, gateway).await?, "devices": devices });
    acts::show(page, "gateways/revoke.html", context, refused)
}

async fn revoke(page: Page, Path(gateway): Path<String>, form: Form) -> Result<Response, Failure> {
    if let Err(refusal) = check_typed(&form, &gateway) {
        return revoke_page(&page, &gateway, Some((&form, &refusal))).await;
    }
    let body = json!({ "reason": form.text("reason") });
    match settle(page.act(&form, Method::POST, &path(&["gateways", &gateway, "revocation"]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/gateways/{}", segment(&gateway)), "revoked")),
        Err(refusal) => revoke_page(&page, &gateway, Some((&form, &refusal))).await,
    }
}
