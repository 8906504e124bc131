//! Retention: terms, legal holds, disposal by two people.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/retention{rest}");
    Router::new()
        .route(&of(""), get(show))
        .route(&of("/terms"), post(set_terms))
        .route(&of("/holds"), post(place_hold))
        .route(&of("/holds/{hold}"), get(show_hold).post(release_hold))
        .route(&of("/disposals"), get(show_proposal).post(propose))
        .route(&of("/disposals/{disposal}"), get(show_disposal).post(confirm))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "retention/show.html", "retention/hold.html", "retention/propose.html");
    templates!(environment, "retention/disposal.html");
    Ok(())
}

async fn retention(page: &Page) -> Result<Value, Failure> {
    Ok(page.api.get("/api/v1/compliance/retention").await?.body)
}

async fn context(page: &Page) -> Result<Value, Failure> {
    let all = retention(page).await?;
    let listed = |name: &str| -> Vec<Value> {
        let entries = all[name].as_object().into_iter().flatten();
        entries
            .map(|(id, one)| {
                let mut one = one.clone();
                one["id"] = id.as_str().into();
                one
            })
            .collect()
    };
    Ok(json!({ "terms": all["terms"], "holds": listed("holds"), "disposals": listed("disposals") }))
}

async fn show(page: Page) -> Result<Response, Failure> {
    let context = context(&page).await?;
    page.render("retention/show.html", context)
}

/// After an act: on, or the same page with what was refused.
async fn after(page: Page, form: &Form, acted: Result<(), Failure>, word: &str) -> Result<Response, Failure> {
    match acted {
        Ok(()) => Ok(done(&format!("{ROOT}/retention"), word)),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("retention/show.html", context(&page).await?, form, &refusal)
        }
        Err(other) => Err(other),
    }
}

/// A term in whole years.
fn years(form: &Form, name: &str, label: &str) -> Result<u64, Failure> {
    let refused = |detail: String| Failure::Refused(Refusal::input(detail));
    match form.number(name, label).map_err(refused)? {
        Some(years) if (0.0..=10_000.0).contains(&years) && years.fract() == 0.0 => Ok(years as u64),
        _ => Err(refused(format!("{label}: give a whole number of years."))),
    }
}

async fn set_terms(page: Page, form: Form) -> Result<Response, Failure> {
    let body = || {
        Ok::<Value, Failure>(json!({
            "terms": {
                "auditYears": years(&form, "audit_years", "Other records")?,
                "deviceYearsAfterLife": years(&form, "device_years", "Devices")?,
                "deploymentYears": years(&form, "deployment_years", "Deployments")?,
            },
            "reason": form.text("reason"),
        }))
    };
    let acted = match body() {
        Ok(body) => page.act(&form, Method::PUT, "/api/v1/compliance/retention", &body).await.map(drop),
        Err(error) => Err(error),
    };
    after(page, &form, acted, "saved").await
}

async fn place_hold(page: Page, form: Form) -> Result<Response, Failure> {
    let (hold, object) = (form.text("hold_id"), form.text("object"));
    let body = json!({ "holdId": hold, "object": object, "reason": form.text("reason") });
    let acted = page.act(&form, Method::POST, "/api/v1/compliance/holds", &body).await.map(drop);
    after(page, &form, acted, "hold-placed").await
}

/// One of the objects under an id; the page that is not there otherwise.
async fn one(page: &Page, list: &str, what: &str, id: &str) -> Result<Value, Failure> {
    let all = retention(page).await?;
    match all[list].get(id) {
        Some(found) => {
            let mut found = found.clone();
            found["id"] = id.into();
            Ok(found)
        }
        None => {
            let detail = format!("There is no {what} \u{201c}{id}\u{201d}.");
            Err(Failure::not_found(detail))
        }
    }
}

async fn show_hold(page: Page, Path(hold): Path<String>) -> Result<Response, Failure> {
    let hold = one(&page, "holds", "hold", &hold).await?;
    page.render("retention/hold.html", json!({ "hold": hold }))
}

async fn release_hold(page: Page, Path(hold): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::POST, &path(&["compliance", "holds", &hold, "release"]), &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/retention"), "hold-released")),
        Err(Failure::Refused(refusal)) => {
            let context = json!({ "hold": one(&page, "holds", "hold", &hold).await? });
            page.render_refused("retention/hold.html", context, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn show_proposal(page: Page) -> Result<Response, Failure> {
    page.render("retention/propose.html", context(&page).await?)
}

async fn propose(page: Page, form: Form) -> Result<Response, Failure> {
    let id = form.text("disposal_id");
    let body = json!({ "disposalId": id, "reason": form.text("reason") });
    match page.act(&form, Method::POST, "/api/v1/compliance/disposals", &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/retention/disposals/{}", segment(id)), "disposal-proposed")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("retention/propose.html", context(&page).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn disposal(page: &Page, id: &str) -> Result<Value, Failure> {
    Ok(json!({ "disposal": one(page, "disposals", "disposal", id).await? }))
}

async fn show_disposal(page: Page, Path(id): Path<String>) -> Result<Response, Failure> {
    let context = disposal(&page, &id).await?;
    page.render("retention/disposal.html", context)
}

/// Confirms a disposal, if its number of records was typed: it cannot be taken back.
async fn confirm(page: Page, Path(id): Path<String>, form: Form) -> Result<Response, Failure> {
    let context = disposal(&page, &id).await?;
    let entries = context["disposal"]["entries"].as_u64().unwrap_or_default();
    let typed: String = form.text("entries").chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    if typed != entries.to_string() {
        let detail = format!("Type the number of records, {entries}, to confirm that they go.");
        return page.render_refused("retention/disposal.html", context, &form, &Refusal::input(detail));
    }
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::POST, &path(&["compliance", "disposals", &id, "confirmation"]), &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/retention/disposals/{}", segment(&id)), "disposal-confirmed")),
        Err(Failure::Refused(refusal)) => page.render_refused("retention/disposal.html", context, &form, &refusal),
        Err(other) => Err(other),
    }
}
