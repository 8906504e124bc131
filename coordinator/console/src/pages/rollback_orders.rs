//! Rollback orders: the list, one order, and how one is composed, previewed, signed by each named person and published.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use mdfm_shared::record::decode_document;
use mdfm_shared::trust::RollbackOrder;
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use super::trust::file;
use crate::api::{path, segment};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let at = |rest: &str| format!("{ROOT}/rollback-orders{rest}");
    Router::new()
        .route(&at(""), get(list))
        .route(&at("/new"), get(compose).post(preview))
        .route(&at("/document"), get(open).post(read))
        .route(&at("/sign"), post(sign).get(open))
        .route(&at("/publish"), post(publish).get(open))
        .route(&at("/file"), post(save))
        .route(&at("/{order}"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(
        environment,
        "rollback-orders/parts.html",
        "rollback-orders/list.html",
        "rollback-orders/show.html",
        "rollback-orders/new.html",
        "rollback-orders/document.html",
    );
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/rollback-orders").await?;
    page.render("rollback-orders/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(order): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["rollback-orders", &order])).await?;
    page.render("rollback-orders/show.html", json!({ "order": answer.body }))
}

/// The form; after a preview that was refused with the reason and what was typed.
async fn form_page(page: &Page, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let trust = page.api.get("/api/v1/trust").await?.body;
    let mut context = json!({ "people": people(&trust), "recalls": page.api.find("/api/v1/recalls?limit=1000").await?, "signers": [] });
    let mut status = StatusCode::OK;
    match refused {
        Some((form, refusal)) => {
            context["problem"] = json!(refusal);
            context["input"] = form.input();
            context["signers"] = json!(form.all("signer"));
            status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
        }
        None => {
            context["input"] = json!({ "recall_id": page.query("recall"), "firmware_ids": page.query("release"), "device_ids": page.query("device") })
        }
    }
    page.render_as(status, "rollback-orders/new.html", context)
}

async fn compose(page: Page) -> Result<Response, Failure> {
    form_page(&page, None).await
}

/// Who could sign an order today, each in one role: what a box of the form stands for, and the words beside it.
fn people(trust: &Value) -> Value {
    let entries = trust["rosterEntries"].as_array().into_iter().flatten().filter(|entry| entry["validNow"] == true);
    let boxes = entries.flat_map(|entry| {
        let (user, name) =
            (entry["userId"].as_str().unwrap_or_default(), entry["printedName"].as_str().unwrap_or_default());
        let roles = entry["roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let roles = roles.filter(|role| ["Clinical", "Regulatory"].contains(role));
        roles.map(move |role| json!({ "value": format!("{role}|{user}"), "name": name, "user": user, "role": role }))
    });
    Value::Array(boxes.collect())
}

/// Ids that stand in lines, or with commas or blanks between them.
fn ids(text: &str) -> Vec<&str> {
    text.split([',', '\n', '\r', ' ', '\t', ';']).filter(|id| !id.is_empty()).collect()
}

/// The order that a form describes, as the API takes it.
///
/// # Errors
/// A field is not what it has to be; in words for the page.
fn order_of(form: &Form) -> Result<Value, Refusal> {
    let wrong = |detail: String| Refusal::of_input("field", detail);
    let days = form.number("days", "Days until it expires").map_err(wrong)?;
    if days.is_some_and(|days| days.fract() != 0.0 || days < 1.0) {
        return Err(wrong("Days until it expires: give a whole number, at least 1.".into()));
    }
    let signers = form.all("signer").into_iter().filter_map(|signer| signer.split_once('|'));
    let signers: Vec<Value> = signers.map(|(role, user)| json!({ "userId": user, "role": role })).collect();
    if signers.is_empty() {
        return Err(wrong("Choose who signs the order.".into()));
    }
    Ok(json!({
        "label": form.optional("label"),
        "recallId": form.optional("recall_id"),
        "firmwareIds": ids(form.text("firmware_ids")),
        "deviceIds": ids(form.text("device_ids")),
        "belowFloor": form.is_set("below_floor"),
        "reason": form.text("reason"),
        "days": days.map(|days| days as u64),
        "signers": signers,
    }))
}

/// Shows what an order would do before anybody signs it. The document that is shown is the one that is signed.
async fn preview(page: Page, form: Form) -> Result<Response, Failure> {
    let sent = match order_of(&form) {
        Ok(order) => page.act(&form, Method::POST, "/api/v1/rollback-orders/preview", &order).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(answer) => show_document(&page, &answer.body, None),
        Err(Failure::Refused(refusal)) => form_page(&page, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

/// The page of an order that is not published yet.
fn show_document(page: &Page, order: &Value, problem: Option<&Refusal>) -> Result<Response, Failure> {
    let own = |signer: &Value| signer["userId"] == page.me["userId"];
    let is_signer = order["signers"].as_array().is_some_and(|signers| signers.iter().any(own));
    let missing = |user: &Value| *user == page.me["userId"];
    let has_signed = order["missingSignatures"].as_array().is_some_and(|m| !m.iter().any(missing)) && is_signer;
    let context = json!({ "order": order, "is_signer": is_signer, "has_signed": has_signed, "problem": problem });
    let status = problem.and_then(|problem| StatusCode::from_u16(problem.status).ok());
    page.render_as(status.unwrap_or(StatusCode::OK), "rollback-orders/document.html", context)
}

/// The page before a document is opened.
fn open_page(page: &Page, problem: Option<&Refusal>) -> Result<Response, Failure> {
    let status = problem.and_then(|problem| StatusCode::from_u16(problem.status).ok());
    let context = json!({ "order": null, "is_signer": false, "has_signed": false, "problem": problem });
    page.render_as(status.unwrap_or(StatusCode::OK), "rollback-orders/document.html", context)
}

async fn open(page: Page) -> Result<Response, Failure> {
    open_page(&page, None)
}

/// What a document says, read from its bytes: nobody signs what they were not shown. The signatures on it are checked when it is published.
fn order_in(text: &str) -> Result<Value, Refusal> {
    let wrong = |detail: String| Refusal::of_input("document", detail);
    let signed = decode_document::<RollbackOrder>("rollback order", text);
    let signed = signed.map_err(|error| wrong(format!("This is not a rollback order: {error}")))?;
    let order = signed.decode_unverified().map_err(|error| wrong(format!("This is not a rollback order: {error}")))?;
    let signers: Vec<Value> = order
        .signers
        .iter()
        .map(|s| json!({ "userId": s.user.as_str(), "printedName": s.printed_name, "role": s.role.to_string() }))
        .collect();
    Ok(json!({
        "label": order.label,
        "manifestDigests": order.releases.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "deviceIds": order.devices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "belowFloor": order.below_floor,
        "meaning": order.meaning,
        "reason": order.reason,
        "issuedAt": order.issued_at.to_string(),
        "expiresAt": order.expires_at.to_string(),
        "signers": signers,
        "signatures": signed.signatures().len(),
        "document": text,
        "devices": null,
        "missingSignatures": null,
    }))
}

async fn read(page: Page, form: Form) -> Result<Response, Failure> {
    match order_in(&form.document()) {
        Ok(order) => show_document(&page, &order, None),
        Err(refusal) => open_page(&page, Some(&refusal)),
    }
}

async fn sign(page: Page, form: Form) -> Result<Response, Failure> {
    let document = form.document();
    let body = json!({
        "document": document,
        "password": form.secret("password").unwrap_or_default(),
        "code": form.secret("code").unwrap_or_default().split_whitespace().collect::<String>(),
    });
    match page.act(&form, Method::POST, "/api/v1/rollback-orders/signature", &body).await {
        Ok(answer) => match answer.body["orderId"].as_str() {
            Some(order) => Ok(done(&format!("{ROOT}/rollback-orders/{}", segment(order)), "signed")),
            None => show_document(&page, &answer.body, None),
        },
        Err(Failure::Refused(refusal)) => match order_in(&document) {
            Ok(order) => show_document(&page, &order, Some(&refusal)),
            Err(unreadable) => open_page(&page, Some(&unreadable)),
        },
        Err(other) => Err(other),
    }
}

async fn publish(page: Page, form: Form) -> Result<Response, Failure> {
    let document = form.document();
    match page.act(&form, Method::POST, "/api/v1/rollback-orders", &json!({ "document": document })).await {
        Ok(answer) => {
            let order = answer.body["orderId"].as_str().unwrap_or_default();
            Ok(done(&format!("{ROOT}/rollback-orders/{}", segment(order)), "published"))
        }
        Err(Failure::Refused(refusal)) => match order_in(&document) {
            Ok(order) => show_document(&page, &order, Some(&refusal)),
            Err(_) => open_page(&page, Some(&refusal)),
        },
        Err(other) => Err(other),
    }
}

/// Gives the document back as a file, for the next person who signs.
async fn save(_page: Page, form: Form) -> Result<Response, Failure> {
    let document = form.document();
    match order_in(&document) {
        Ok(order) => file(&document, &format!("{}.mdfm", order["label"].as_str().unwrap_or("order"))),
        Err(refusal) => Err(Failure::Refused(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use mdfm_shared::record::document_text;
    use mdfm_shared::sign::Signed;
    use mdfm_shared::time::UtcMillis;
    use mdfm_shared::trust::{OrderSigner, Role};

    use super::*;
    use crate::testing::rendered;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'";

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn console_an_order_is_what_the_form_says() {
        let given = form(&[
            ("firmware_ids", "FW-1,FW-2\r\n"),
            ("device_ids", ""),
            ("reason", "alarm fails"),
            ("days", "7"),
            ("below_floor", "yes"),
            ("signer", "Clinical|ann"),
            ("signer", "Regulatory|ben"),
        ]);
        let expected = json!({ "label": null, "recallId": null, "firmwareIds": ["FW-1", "FW-2"], "deviceIds": [], "belowFloor": true,
            "reason": "alarm fails", "days": 7,
            "signers": [{ "userId": "ann", "role": "Clinical" }, { "userId": "ben", "role": "Regulatory" }] });
        assert_eq!(order_of(&given).expect("an order"), expected);
        assert!(order_of(&form(&[("reason", "x")])).is_err(), "somebody signs");
        assert!(order_of(&form(&[("signer", "Clinical|ann"), ("days", "-1")])).is_err());
    }

    #[test]
    fn console_only_people_of_today_sign_orders() {
        let entry = |user: &str, roles: &[&str], valid: bool| json!({ "userId": user, "printedName": user, "roles": roles, "validNow": valid });
        let trust = json!({ "rosterEntries": [entry("ann", &["Clinical", "QA"], true), entry("ben", &["Regulatory"], false),
            entry("cid", &["QA"], true)] });
        let found = people(&trust);
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        assert_eq!(found[0]["value"], "Clinical|ann");
    }

    #[test]
    fn console_an_order_is_shown_from_its_bytes() {
        let order = RollbackOrder {
            label: "rec-1".into(),
            releases: vec![],
            devices: vec!["D-1".parse().expect("an id")],
            below_floor: false,
            meaning: HOSTILE.into(),
            reason: HOSTILE.into(),
            issued_at: UtcMillis(1_796_045_049_537),
            expires_at: UtcMillis(1_796_045_149_537),
            signers: vec![OrderSigner {
                user: "ann".parse().expect("an id"),
                printed_name: HOSTILE.into(),
                role: Role::Clinical,
            }],
        };
        let text = document_text(&Signed::sign(&order, &[]).expect("a document"));
        let shown = order_in(&text).expect("an order");
        assert_eq!((&shown["reason"], &shown["deviceIds"]), (&json!(HOSTILE), &json!(["D-1"])));
        for other in ["", "AAAA", "not base64!"] {
            assert_eq!(order_in(other).expect_err("not an order").code, "document");
        }
        for (is_signer, has_signed) in [(true, false), (true, true), (false, false)] {
            let context = json!({ "order": shown, "is_signer": is_signer, "has_signed": has_signed });
            let page = rendered("rollback-orders/document.html", context);
            assert!(!page.contains("<img src=x") && page.contains("onerror"), "{page}");
        }
        let device = |need: Value| json!({ "deviceId": HOSTILE, "hospitalId": HOSTILE, "firmwareVersion": HOSTILE, "need": need, "isCovered": false });
        let mut held = shown.clone();
        held["devices"] = json!([
            device(json!({ "kind": "onTrial" })),
            device(json!({ "kind": "withinWindow", "until": "2027-01-01T00:00:00Z" })),
            device(json!({ "kind": "order" })),
            device(json!({ "kind": "orderByTwoRoles" }))
        ]);
        held["orderId"] = HOSTILE.into();
        held["label"] = HOSTILE.into();
        held["isInForce"] = true.into();
        held["logIndex"] = 7.into();
        held["addedBy"] = HOSTILE.into();
        let list =
            json!({ "items": [&held], "next": null, "is_first": true, "filter": "", "sort": "", "problem": null });
        for page in [
            rendered("rollback-orders/show.html", json!({ "order": held })),
            rendered("rollback-orders/list.html", json!({ "list": list })),
            rendered("rollback-orders/document.html", json!({ "order": held, "is_signer": true, "has_signed": false })),
            rendered(
                "rollback-orders/new.html",
                json!({ "people": [{ "value": HOSTILE, "name": HOSTILE, "user": HOSTILE, "role": HOSTILE }],
                "recalls": [{ "recallId": HOSTILE, "reason": HOSTILE }], "signers": [HOSTILE], "input": { "recall_id": HOSTILE, "reason": HOSTILE, "firmware_ids": HOSTILE } }),
            ),
        ] {
            assert!(!page.contains("<img src=x") && page.contains("onerror"), "{page}");
        }
    }
}
