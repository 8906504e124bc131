//! Trust: roots, the roster, withdrawals; what expires; documents that were signed offline are published here.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::Environment;
use serde_json::{Value, json};

use super::releases::{attachment, running};
use super::submission::confirmed;
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let at = |rest: &str| format!("{ROOT}/trust{rest}");
    Router::new()
        .route(&at(""), get(show))
        .route(&at("/documents/{name}"), get(document))
        .route(&at("/publish/{kind}"), get(show_publication).post(publish))
        .route(&at("/withdrawals/sign"), get(show_signing).post(sign))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "trust/show.html", "trust/publish.html", "trust/withdrawals.html");
    Ok(())
}

async fn show(page: Page) -> Result<Response, Failure> {
    let trust = page.api.get("/api/v1/trust").await?.body;
    let orders = page.api.find("/api/v1/rollback-orders?limit=1000").await?;
    page.render("trust/show.html", json!({ "trust": trust, "orders": orders }))
}

/// A document of trust by the name of its file: `root-1.mdfm`, `roster-3.mdfm`, `withdrawals-2.mdfm`.
fn document_of<'a>(trust: &'a Value, name: &str) -> Option<&'a str> {
    let (kind, version) = name.strip_suffix(".mdfm")?.split_once('-')?;
    let version: u64 = version.parse().ok()?;
    match kind {
        "root" => trust["roots"].get(usize::try_from(version.checked_sub(1)?).ok()?)?.as_str(),
        "roster" if trust["rosterVersion"] == version => trust["roster"].as_str(),
        "withdrawals" if trust["withdrawalsVersion"] == version => trust["withdrawals"].as_str(),
        _ => None,
    }
}

async fn document(page: Page, Path(name): Path<String>) -> Result<Response, Failure> {
    let trust = page.api.get("/api/v1/trust").await?.body;
    let Some(text) = document_of(&trust, &name) else {
        let detail = "There is no such document of trust here, or a newer one has taken its place.".to_owned();
        return Err(Failure::not_found(detail));
    };
    file(text, &name)
}

/// A signed document as the file that `mdfmctl` reads.
///
/// # Errors
/// The API's text is not base64; a defect.
pub(super) fn file(text: &str, name: &str) -> Result<Response, Failure> {
    let bytes = STANDARD.decode(text).map_err(|error| Failure::Broken(format!("{name}: {error}")))?;
    let kind = (header::CONTENT_TYPE, "application/octet-stream".parse().map_err(|_| Failure::Broken("type".into()))?);
    let headers = axum::http::HeaderMap::from_iter([kind, (header::CONTENT_DISPOSITION, attachment(name))]);
    Ok((headers, bytes).into_response())
}

/// What can be published: name in the path, route of the API, permission, and title for people.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("root", "/api/v1/trust/roots", "manageTrust", "trust root"),
    ("roster", "/api/v1/trust/rosters", "manageTrust", "roster"),
    ("withdrawals", "/api/v1/trust/withdrawals", "publishAuthority", "withdrawals"),
];

fn kind_of(name: &str) -> Result<(&'static str, &'static str, &'static str, &'static str), Failure> {
    KINDS.into_iter().find(|(kind, ..)| *kind == name).ok_or_else(|| {
        let detail = "There is no such document. A root, a roster and withdrawals can be published.".to_owned();
        Failure::not_found(detail)
    })
}

async fn publication(page: &Page, kind: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let (kind, _, permission, title) = kind_of(kind)?;
    let trust = page.api.get("/api/v1/trust").await?.body;
    let mut context = json!({ "trust": trust, "kind": kind, "title": title, "allowed": page.may(permission), "permission": permission });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "trust/publish.html", context)
}

async fn show_publication(page: Page, Path(kind): Path<String>) -> Result<Response, Failure> {
    publication(&page, &kind, None).await
}

/// The body of a publication. Of a roster also whether it may take back what was signed, and why.
///
/// # Errors
/// No document was given, or the roster's alterations are not confirmed.
fn body_of(kind: &str, form: &Form) -> Result<Value, Refusal> {
    let document = form.document();
    if document.is_empty() {
        let detail = "Choose the signed file, or paste its text.".to_owned();
        return Err(Refusal::of_input("no-file", detail));
    }
    if kind != "roster" {
        return Ok(json!({ "document": document }));
    }
    let alters = form.is_set("accept_alterations");
    if alters {
        confirmed(form, "approvals may be lost")?;
    }
    Ok(json!({ "document": document, "acceptAlterations": alters, "reason": form.optional("reason") }))
}

async fn publish(page: Page, Path(kind): Path<String>, form: Form) -> Result<Response, Failure> {
    let (kind, to, ..) = kind_of(&kind)?;
    let sent = match body_of(kind, &form) {
        Ok(body) => page.act(&form, Method::POST, to, &body).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(_) => Ok(done(&format!("{ROOT}/trust"), "published")),
        Err(Failure::Refused(refusal)) => publication(&page, kind, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

/// The page on which the next withdrawals are signed: with one release more (`release`), or the same with a new expiry.
async fn signing(page: &Page, release: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let trust = page.api.get("/api/v1/trust").await?.body;
    let release = match release {
        "" => Value::Null,
        id => page.api.get(&path(&["firmware", id])).await?.body,
    };
    let next = trust["withdrawalsVersion"].as_u64().unwrap_or(0) + 1;
    let mut context =
        json!({ "trust": trust, "release": release, "running": running(page, &release).await?, "next": next });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "trust/withdrawals.html", context)
}

async fn show_signing(page: Page) -> Result<Response, Failure> {
    let release = page.query("release").to_owned();
    signing(&page, &release, None).await
}

/// The body of a signature under withdrawals, with what was shown.
///
/// # Errors
/// A field is not what it has to be; in words for the page.
fn signature(form: &Form) -> Result<Value, Refusal> {
    let wrong = |detail: String| Refusal::of_input("field", detail);
    let days = form.number("days", "Days until they expire").map_err(wrong)?;
    if days.is_some_and(|days| days.fract() != 0.0 || days < 1.0) {
        return Err(wrong("Days until they expire: give a whole number, at least 1.".into()));
    }
    let release = form.text("firmware_id");
    if !release.is_empty() {
        confirmed(form, release)?;
    }
    Ok(json!({
        "firmwareId": form.optional("firmware_id"),
        "reason": form.text("reason"),
        "days": days.map(|days| days as u64),
        "version": form.text("version").parse::<u64>().ok(),
        "manifestDigest": form.optional("manifest_digest"),
        "password": form.secret("password").unwrap_or_default(),
        "code": form.secret("code").unwrap_or_default().split_whitespace().collect::<String>(),
    }))
}

async fn sign(page: Page, form: Form) -> Result<Response, Failure> {
    let sent = match signature(&form) {
        Ok(body) => page.act(&form, Method::POST, "/api/v1/trust/withdrawals/signature", &body).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(_) => Ok(done(&format!("{ROOT}/trust"), "signed")),
        Err(Failure::Refused(refusal)) => signing(&page, form.text("firmware_id"), Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rendered;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn console_documents_of_trust_have_file_names() {
        let trust = json!({ "roots": ["r1", "r2"], "roster": "o3", "rosterVersion": 3, "withdrawals": null, "withdrawalsVersion": 0 });
        for (name, found) in [
            ("root-1.mdfm", Some("r1")),
            ("root-2.mdfm", Some("r2")),
            ("root-0.mdfm", None),
            ("root-3.mdfm", None),
            ("roster-3.mdfm", Some("o3")),
            ("roster-2.mdfm", None),
            ("withdrawals-0.mdfm", None),
            ("../../etc/passwd", None),
        ] {
            assert_eq!(document_of(&trust, name), found, "{name}");
        }
        assert!(file("not base64!", "x").is_err());
    }

    #[test]
    fn console_a_roster_that_voids_approvals_is_confirmed() {
        assert_eq!(body_of("root", &form(&[])).expect_err("no file").code, "no-file");
        let plain = body_of("roster", &form(&[("document", "AA=="), ("reason", "renewed")])).expect("a body");
        assert_eq!(plain, json!({ "document": "AA==", "acceptAlterations": false, "reason": "renewed" }));
        let altering = [("document", "AA=="), ("accept_alterations", "yes")];
        assert_eq!(body_of("roster", &form(&altering)).expect_err("not confirmed").code, "confirmation");
        let confirmed = [altering[0], altering[1], ("confirm", "approvals may be lost")];
        assert_eq!(body_of("roster", &form(&confirmed)).expect("a body")["acceptAlterations"], true);
        assert_eq!(body_of("withdrawals", &form(&[("file", "QUE=")])).expect("a body"), json!({ "document": "QUE=" }));
    }

    #[test]
    fn console_withdrawals_are_signed_as_they_were_shown() {
        let given = [
            ("firmware_id", "FW-1"),
            ("confirm", "FW-1"),
            ("reason", "alarm fails"),
            ("version", "3"),
            ("days", "30"),
            ("manifest_digest", "aa"),
            ("password", "p"),
            ("code", "12 34 56"),
        ];
        let expected = json!({ "firmwareId": "FW-1", "reason": "alarm fails", "days": 30, "version": 3, "manifestDigest": "aa",
            "password": "p", "code": "123456" });
        assert_eq!(signature(&form(&given)).expect("a body"), expected);
        for (name, wrong) in [("confirm", "FW-2"), ("days", "0"), ("days", "x"), ("days", "1.5")] {
            let fields: Vec<_> = given.iter().map(|(n, v)| (*n, if *n == name { wrong } else { *v })).collect();
            assert!(signature(&form(&fields)).is_err(), "{name} {wrong}");
        }
        let renewed = signature(&form(&[("reason", "renewed"), ("version", "3")])).expect("a body");
        assert_eq!((&renewed["firmwareId"], &renewed["days"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn sec_console_hostile_trust_documents_are_shown_as_text() {
        let hostile = "<img src=x onerror=alert(1)>\"'";
        let entry = json!({ "userId": hostile, "printedName": hostile, "roles": [hostile], "publicKey": hostile, "keyId": hostile,
            "validFrom": "2026-11-30T00:00:00Z", "validUntil": "2027-11-30T00:00:00Z", "validNow": false,
            "revoked": { "at": "2026-11-30T00:00:00Z", "logSize": 7 } });
        let trust = json!({ "rootVersion": 2, "firstRootDigest": hostile, "rosterVersion": 3, "logKey": hostile, "roots": ["AA==", "AA=="],
            "roster": "AA==", "rootExpiresAt": "2027-11-30T00:00:00Z", "rosterIssuedAt": null, "rosterExpiresAt": null,
            "rosterWithdrawalsVersion": null, "rosterEntries": [entry], "withdrawalsVersion": 1, "withdrawalsExpiresAt": null,
            "withdrawals": "AA==", "withdrawn": [{ "manifestDigest": hostile, "firmwareId": hostile, "reason": hostile,
            "at": "2026-11-30T00:00:00Z" }, { "manifestDigest": hostile, "firmwareId": null, "reason": hostile, "at": "2026-11-30T00:00:00Z" }],
            "unsigned": [hostile], "cosignedAt": null, "warnings": [hostile], "serverCertificateExpiresAt": null, "notFresh": hostile });
        let release =
            json!({ "firmwareId": hostile, "version": hostile, "deviceModel": hostile, "manifestDigest": hostile });
        let problem = json!({ "code": hostile, "detail": hostile, "status": 409 });
        let input = json!({ "reason": hostile, "document": hostile, "confirm": hostile, "days": hostile, "accept_alterations": "yes" });
        for kind in ["root", "roster", "withdrawals"] {
            for allowed in [true, false] {
                let context = json!({ "trust": trust, "kind": kind, "title": kind, "allowed": allowed, "permission": "manageTrust",
                    "problem": problem, "input": input });
                assert!(!rendered("trust/publish.html", context).contains("<img src=x"));
            }
        }
        for release in [release, Value::Null] {
            let context = json!({ "trust": trust, "release": release, "running": null, "next": 2, "problem": problem, "input": input });
            assert!(!rendered("trust/withdrawals.html", context).contains("<img src=x"));
        }
        let shown = rendered("trust/show.html", json!({ "trust": trust, "orders": [] }));
        assert!(!shown.contains("<img src=x") && shown.contains("onerror"), "{shown}");
    }
}
