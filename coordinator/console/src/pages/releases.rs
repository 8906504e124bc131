//! Releases: the list, one release with its evidence, its files, and what it changes against another one.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use super::review;
use crate::api::{path, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// Parts of a bill of materials on one page.
const PARTS: usize = 200;
/// Deployments of a release that its page lists.
const DEPLOYMENTS: &str = "100";
/// Devices that are counted for a page; of more it says "at least".
const COUNTED: &str = "1000";

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/releases/{{release}}{rest}");
    Router::new()
        .route(&format!("{ROOT}/releases"), get(list))
        .route(&of(""), get(show))
        .route(&of("/review"), get(compare))
        .route(&of("/parts"), get(parts))
        .route(&of("/history"), get(history))
        .route(&of("/image.bin"), get(image))
        .route(&of("/sbom.json"), get(sbom))
        .route(&of("/proof"), get(proof))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(
        environment,
        "releases/parts.html",
        "releases/list.html",
        "releases/show.html",
        "releases/review.html",
        "releases/components.html",
        "releases/history.html",
    );
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/firmware").await?;
    page.render("releases/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    render(&page, &release, None).await
}

/// The page of a release; after an act that was refused with the reason and what was typed.
///
/// # Errors
/// The release is not there, or a defect.
pub(crate) async fn render(
    page: &Page,
    release: &str,
    refused: Option<(&Form, &Refusal)>,
) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", release])).await?;
    let of = format!("firmwareId={}", quoted(release));
    let deployments = with_query("/api/v1/deployments", &[("filter", &of), ("limit", DEPLOYMENTS)]);
    let mut context = json!({
        "release": answer.body,
        "tag": answer.tag(),
        "missing": missing(page, &answer.body).await?,
        "deployments": page.api.find(&deployments).await?,
        "history": page.api.find(&path(&["firmware", release, "history"])).await?,
        "running": running(page, &answer.body).await?,
    });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, "releases/show.html", context)
}

/// A value of a filter of the API, whatever is in it.
pub(crate) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The approvals that are missing, each with the people of the roster who could give it now.
///
/// # Errors
/// As [`crate::api::Api::find`].
pub(crate) async fn missing(page: &Page, release: &Value) -> Result<Value, Failure> {
    let trust = page.api.find("/api/v1/trust").await?;
    Ok(who_is_missing(release, &trust))
}

fn who_is_missing(release: &Value, trust: &Value) -> Value {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let signed: Vec<&str> =
        release["approvals"].as_array().into_iter().flatten().filter_map(|a| a["userId"].as_str()).collect();
    // Who submits by a machine's token is the token's owner.
    let submitter = release["submittedBy"].as_str().unwrap_or_default();
    let submitter = submitter.split('/').next().unwrap_or_default();
    let entries = || trust["rosterEntries"].as_array().into_iter().flatten();
    let roles = texts(&release["missingApprovals"]);
    let missing = roles.into_iter().map(|role| {
        let may = entries().filter(|entry| {
            let user = entry["userId"].as_str().unwrap_or_default();
            entry["validNow"] == true
                && texts(&entry["roles"]).contains(&role)
                && user != submitter
                && !signed.contains(&user)
        });
        json!({ "role": role, "people": may.map(|e| e["printedName"].clone()).collect::<Vec<_>>() })
    });
    Value::Array(missing.collect())
}

/// How many devices in service run the image of a release, and whether there may be more; `null` if that is not known.
///
/// # Errors
/// As [`crate::api::Api::get`].
pub(crate) async fn running(page: &Page, release: &Value) -> Result<Value, Failure> {
    let Some(digest) = release["imageSha256"].as_str() else { return Ok(Value::Null) };
    let filter = format!("runningSha256={digest},retiredAt=null");
    match page.api.get(&with_query("/api/v1/devices", &[("filter", &filter), ("limit", COUNTED)])).await {
        Ok(answer) => {
            let devices = answer.body.as_array().map_or(0, Vec::len);
            Ok(json!({ "devices": devices, "more": answer.next_cursor().is_some(), "filter": filter }))
        }
        Err(Failure::Refused(_)) => Ok(Value::Null),
        Err(other) => Err(other),
    }
}

async fn compare(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", &release])).await?;
    let chosen = page.query("against");
    let differences = match chosen {
        "" => page.api.get(&path(&["firmware", &release, "differences"])).await?,
        other => page.api.get(&path(&["firmware", &release, "differences", other])).await?,
    };
    let differences = differences.body;
    let against = match differences["against"].as_str() {
        Some(other) => page.api.get(&path(&["firmware", other])).await?.body,
        None => Value::Null,
    };
    let model = answer.body["deviceModel"].as_str().unwrap_or_default();
    let of = format!("deviceModel={}", quoted(model));
    let others = page.api.find(&with_query("/api/v1/firmware", &[("filter", &of), ("limit", "1000")])).await?;
    let context = json!({
        "release": answer.body,
        "against": against,
        "is_chosen": !chosen.is_empty(),
        "differences": differences,
        "rows": review::rows(&against, &answer.body),
        "floor": review::floor(&against, &answer.body),
        "others": others,
        "missing": missing(&page, &answer.body).await?,
    });
    page.render("releases/review.html", context)
}

async fn parts(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", &release])).await?;
    let all = page.api.get(&path(&["firmware", &release, "parts"])).await?.body;
    let all = all.as_array().map_or(&[] as &[Value], Vec::as_slice);
    let (name, from) = (page.query("name"), page.query("from").parse::<usize>().unwrap_or(0));
    let (shown, found, next) = page_of_parts(all, name, from);
    let context = json!({
        "release": answer.body, "parts": shown, "all": all.len(), "found": found, "name": name, "from": from, "next": next,
    });
    page.render("releases/components.html", context)
}

/// The parts from `from` on whose name has `name` in it, how many there are of those in all, and where the next page begins.
fn page_of_parts<'a>(all: &'a [Value], name: &str, from: usize) -> (Vec<&'a Value>, usize, Option<usize>) {
    let name = name.to_lowercase();
    let has = |value: &Value| value.as_str().is_some_and(|text| text.to_lowercase().contains(&name));
    let found: Vec<&Value> =
        all.iter().filter(|part| name.is_empty() || has(&part["name"]) || has(&part["group"])).collect();
    let count = found.len();
    let shown: Vec<&Value> = found.into_iter().skip(from).take(PARTS).collect();
    let next = from.checked_add(PARTS).filter(|next| *next < count);
    (shown, count, next)
}

async fn history(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let from = page.query("from");
    let history = page.api.get(&with_query(&path(&["firmware", &release, "history"]), &[("from", from)])).await?.body;
    page.render("releases/history.html", json!({ "id": release, "history": history }))
}

/// Passes a file of the API on under a name, to be stored and never shown in the page's place.
async fn download(page: &Page, path: &str, name: &str, kind: &'static str) -> Result<Response, Failure> {
    let mut response = page.api.raw(Method::GET, path, HeaderMap::new(), Body::empty()).await?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, attachment(name));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// Says that an answer is a file of that name; signs that a name on a disk should not have become `-`.
pub(crate) fn attachment(name: &str) -> HeaderValue {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).unwrap_or(HeaderValue::from_static("attachment"))
}

async fn image(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let from = path(&["firmware", &release, "image"]);
    download(&page, &from, &format!("{release}.bin"), "application/octet-stream").await
}

async fn sbom(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let from = path(&["firmware", &release, "sbom"]);
    download(&page, &from, &format!("{release}-sbom.json"), "application/json").await
}

async fn proof(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let entry = page.query("entry");
    let from = path(&["compliance", "log", "proofs", entry]);
    download(&page, &from, &format!("{release}-entry-{entry}.proof"), "text/plain; charset=utf-8").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rendered;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'<script>alert(2)</script>";

    /// A release whose every text is hostile.
    pub(crate) fn hostile() -> Value {
        json!({
            "firmwareId": HOSTILE, "version": HOSTILE, "deviceModel": HOSTILE, "releaseNotes": HOSTILE,
            "submittedBy": HOSTILE, "status": "pendingApproval", "imageSha256": HOSTILE, "imageBytes": 7,
            "manifestDigest": HOSTILE, "rejection": HOSTILE, "withdrawal": HOSTILE, "recallWindowDays": 14.0,
            "sbomComponents": 3, "sbomMissing": true, "approvalsUntil": "2027-01-01T00:00:00Z",
            "manifest": { "model": HOSTILE, "hardwareRevisions": [HOSTILE], "version": HOSTILE, "releaseNumber": 22,
                "securityVersion": 2, "class": "standard", "sha256": HOSTILE, "minimumRelease": 3, "extraApprovals": [HOSTILE],
                "components": [{ "name": HOSTILE, "sha256": HOSTILE, "sizeBytes": 7 }],
                "deltas": [{ "baseSha256": HOSTILE, "format": HOSTILE, "sha256": HOSTILE, "sizeBytes": 7 }],
                "health": { "probationMs": 1000, "errorBudget": 0, "silenceLimitMs": 1000 }, "sbomSha256": HOSTILE,
                "recallWindowMs": null, "rebootsPerDay": null, "firmwareId": HOSTILE },
            "approvals": [{ "role": HOSTILE, "userId": HOSTILE, "printedName": HOSTILE, "meaning": HOSTILE, "reason": HOSTILE,
                "signedAt": "2026-11-30T00:00:00Z", "logIndex": 7 }],
            "lostApprovals": [{ "role": HOSTILE, "userId": HOSTILE, "printedName": HOSTILE, "reason": HOSTILE,
                "signedAt": "2026-11-30T00:00:00Z", "logIndex": 7 }],
            "missingApprovals": [HOSTILE],
        })
    }

    fn assert_escaped(page: &str) {
        assert!(!page.contains("<img src=x") && !page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;img src=x") || page.contains("&lt;img src&#x3d;x"), "{page}");
    }

    #[test]
    fn sec_console_a_hostile_release_is_shown_as_text() {
        let release = hostile();
        let list =
            json!({ "items": [&release], "next": null, "is_first": true, "filter": "", "sort": "", "problem": null });
        assert_escaped(&rendered("releases/list.html", json!({ "list": list })));
        let missing = json!([{ "role": HOSTILE, "people": [HOSTILE] }]);
        let record = json!({ "at": "2026-11-30T00:00:00Z", "actor": { "id": HOSTILE, "roles": [HOSTILE] }, "action": HOSTILE,
            "outcome": HOSTILE, "reason": HOSTILE, "index": 7 });
        let history = json!({ "records": [record], "next": 3 });
        let deployments = json!([{ "deploymentId": HOSTILE, "status": { "name": HOSTILE }, "createdBy": HOSTILE,
            "createdAt": "2026-11-30T00:00:00Z", "currentPhase": 1, "phases": [] }]);
        for status in [
            "awaitingImage",
            "awaitingManifest",
            "pendingApproval",
            "approved",
            "rejected",
            "withdrawn",
            "approvalExpired",
        ] {
            let mut release = release.clone();
            release["status"] = status.into();
            let context = json!({ "release": release, "tag": HOSTILE, "missing": missing, "history": history,
                "deployments": deployments, "running": { "devices": 2, "more": true, "filter": HOSTILE } });
            assert_escaped(&rendered("releases/show.html", context));
        }
        let differences = json!({ "against": HOSTILE, "againstVersion": HOSTILE, "againstDevices": 3, "fields": [],
            "parts": [{ "name": HOSTILE, "before": [HOSTILE], "after": [HOSTILE] }, { "name": HOSTILE, "before": [], "after": ["1"] }] });
        let mut other = release.clone();
        other["manifest"]["securityVersion"] = 1.into();
        let context = json!({ "release": release, "against": other, "is_chosen": true, "differences": differences,
            "rows": review::rows(&other, &release), "floor": review::floor(&other, &release), "others": [other], "missing": missing });
        let shown = rendered("releases/review.html", context);
        assert_escaped(&shown);
        assert!(shown.contains("No way back below security version 2"), "{shown}");
        let part =
            json!({ "name": HOSTILE, "version": HOSTILE, "group": HOSTILE, "purls": [HOSTILE], "cpes": [HOSTILE] });
        let context = json!({ "release": release, "parts": [part, { "name": HOSTILE, "version": null }], "all": 2, "found": 2,
            "name": HOSTILE, "from": 200, "next": 400 });
        assert_escaped(&rendered("releases/components.html", context));
        assert_escaped(&rendered("releases/history.html", json!({ "id": HOSTILE, "history": history })));
    }

    #[test]
    fn use_04_missing_approvals_name_who_may_give_them() {
        let entry = |user: &str, name: &str, roles: &[&str], valid: bool| json!({ "userId": user, "printedName": name, "roles": roles, "validNow": valid });
        let trust = json!({ "rosterEntries": [
            entry("a", "Ann", &["QA"], true), entry("b", "Ben", &["QA", "Clinical"], true),
            entry("c", "Cid", &["QA"], false), entry("d", "Dora", &["QA"], true),
        ] });
        let release = json!({ "missingApprovals": ["QA", "Regulatory"], "submittedBy": "d/token/7",
            "approvals": [{ "userId": "b", "role": "Clinical" }] });
        let expected = json!([{ "role": "QA", "people": ["Ann"] }, { "role": "Regulatory", "people": [] }]);
        assert_eq!(who_is_missing(&release, &trust), expected);
        assert_eq!(who_is_missing(&release, &Value::Null)[0]["people"], json!([]));
    }

    #[test]
    fn console_all_parts_are_reachable_page_by_page() {
        let all: Vec<Value> = (0..450).map(|n| json!({ "name": format!("part-{n}"), "group": "G" })).collect();
        let mut from = Some(0);
        let mut seen = 0;
        while let Some(at) = from {
            let (shown, found, next) = page_of_parts(&all, "PART", at);
            assert_eq!(found, 450);
            seen += shown.len();
            from = next;
        }
        assert_eq!(seen, 450);
        assert_eq!(page_of_parts(&all, "part-44", 0).1, 11);
        assert_eq!(page_of_parts(&all, "", usize::MAX), (vec![], 450, None));
    }

    #[test]
    fn sec_console_no_id_writes_a_header_or_a_filter() {
        let header = attachment("a\"; filename=\"../../x\r\nset-cookie: y");
        assert_eq!(header, "attachment; filename=\"a---filename--..-..-x--set-cookie--y\"");
        assert_eq!(quoted("x\",status=\"approved\\"), "\"x\\\",status=\\\"approved\\\\\"");
    }
}
