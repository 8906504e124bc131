//! The signing ceremony: a release is approved or rejected on a page of its own, and the page after it shows what stands in the log.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::releases::missing;
use crate::api::{path, segment, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// Characters of a reason at least: one word is not enough.
const REASON_CHARS_MIN: usize = 10;
/// Bytes of a proof at most.
const PROOF_BYTES_MAX: usize = 256 * 1024;

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/releases/{{release}}/{rest}");
    Router::new()
        .route(&of("sign"), get(show).post(sign))
        .route(&of("signed-approval"), post(deliver).get(show))
        .route(&of("reject"), get(show_rejection).post(reject))
        .route(&of("receipt"), get(receipt))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "releases/sign.html", "releases/reject.html", "releases/receipt.html");
    Ok(())
}

/// What must be in a signature before the API is asked for it.
fn check(form: &Form) -> Result<(), Refusal> {
    if form.text("role").is_empty() {
        return Err(Refusal::of_input("role", "Choose the statement that you sign. Nothing is chosen for you."));
    }
    if form.text("reason").chars().count() < REASON_CHARS_MIN {
        let detail = format!("Give your reason in your own words, with at least {REASON_CHARS_MIN} characters.");
        return Err(Refusal::of_input("reason", detail));
    }
    Ok(())
}

/// What the form showed of a release, to say later what became another.
fn shown(release: &Value) -> [(&'static str, String); 3] {
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let approvals = release["approvals"].as_array().into_iter().flatten();
    let approvals: Vec<String> =
        approvals.map(|a| format!("{} by {}", text(&a["role"]), text(&a["printedName"]))).collect();
    [
        ("status", text(&release["status"])),
        ("manifest", text(&release["manifestDigest"])),
        ("approvals", if approvals.is_empty() { "none".to_owned() } else { approvals.join(", ") }),
    ]
}

/// What of it is another now: name, before, now.
fn changes(form: &Form, release: &Value) -> Value {
    let changed = shown(release).into_iter().filter_map(|(name, now)| {
        let before = form.text(&format!("shown_{name}"));
        (!before.is_empty() && before != now).then(|| json!({ "name": name, "before": before, "now": now }))
    });
    Value::Array(changed.collect())
}

async fn render(
    page: &Page,
    template: &str,
    release: &str,
    refused: Option<(&Form, &Refusal)>,
) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", release])).await?;
    let preview = page.api.get(&path(&["approvals", release, "preview"])).await?.body;
    let shown: serde_json::Map<String, Value> =
        shown(&answer.body).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut context = json!({
        "release": answer.body, "tag": answer.tag(), "preview": preview, "shown": shown, "changes": [],
        "missing": missing(page, &answer.body).await?, "reason_min": REASON_CHARS_MIN,
    });
    let mut status = StatusCode::OK;
    if let Some((form, refusal)) = refused {
        context["problem"] = json!(refusal);
        context["input"] = form.input();
        context["changes"] = changes(form, &answer.body);
        status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT);
    }
    page.render_as(status, template, context)
}

async fn show(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    render(&page, "releases/sign.html", &release, None).await
}

async fn show_rejection(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    render(&page, "releases/reject.html", &release, None).await
}

/// The body of a signature: what was shown goes with it, so that nothing else is signed.
fn signature(release: &str, form: &Form) -> Value {
    json!({
        "firmwareId": release,
        "role": form.text("role"),
        "reason": form.text("reason"),
        "password": form.secret("password").unwrap_or_default(),
        "code": form.secret("code").unwrap_or_default().split_whitespace().collect::<String>(),
        "manifestDigest": form.text("manifest_digest"),
    })
}

/// The body of a rejection, of the manifest that was shown.
fn rejection(form: &Form) -> Value {
    let mut body = json!({ "reason": form.text("reason") });
    if !form.text("manifest_digest").is_empty() {
        body["manifestDigest"] = form.text("manifest_digest").into();
    }
    body
}

fn receipt_of(release: &str) -> String {
    format!("{ROOT}/releases/{}/receipt", segment(release))
}

/// Leads to the receipt of a signature; the page says that it was done.
fn to_receipt(release: &str, of: &str, what: &str) -> Response {
    let to = with_query(&receipt_of(release), &[("of", of), ("done", what)]);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

async fn sign(page: Page, Path(release): Path<String>, form: Form) -> Result<Response, Failure> {
    let sent = match check(&form) {
        Ok(()) => page.act(&form, Method::POST, "/api/v1/approvals/signature", &signature(&release, &form)).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(_) => Ok(to_receipt(&release, form.text("role"), "signed")),
        Err(Failure::Refused(refusal)) => render(&page, "releases/sign.html", &release, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

/// An approval that was signed elsewhere, with a key that no browser sees.
async fn deliver(page: Page, Path(release): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "firmwareId": release, "document": form.document() });
    let sent = match form.document().is_empty() {
        true => Err(Failure::Refused(Refusal::of_input("no-file", "Choose the signed document, or paste its text."))),
        false => page.act(&form, Method::POST, "/api/v1/approvals", &body).await,
    };
    match sent {
        Ok(answer) => {
            let own = answer.body["approvals"].as_array().into_iter().flatten();
            let mut own = own.filter(|approval| approval["userId"] == page.me["userId"]);
            let role = own.next().and_then(|approval| approval["role"].as_str()).unwrap_or_default();
            Ok(to_receipt(&release, role, "signed"))
        }
        Err(Failure::Refused(refusal)) => render(&page, "releases/sign.html", &release, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

async fn reject(page: Page, Path(release): Path<String>, form: Form) -> Result<Response, Failure> {
    let to = with_query(&path(&["firmware", &release, "rejection"]), &[("role", form.text("role"))]);
    let sent = match check(&form) {
        Ok(()) => page.act(&form, Method::POST, &to, &rejection(&form)).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match sent {
        Ok(_) => Ok(to_receipt(&release, "rejection", "rejected")),
        Err(Failure::Refused(refusal)) => {
            render(&page, "releases/reject.html", &release, Some((&form, &refusal))).await
        }
        Err(other) => Err(other),
    }
}

/// What the page after a signature shows: the block under it, from the release or, for a rejection, from the log.
fn block(release: &Value, history: &Value, trust: &Value, of: &str) -> Option<Value> {
    if of != "rejection" {
        return release["approvals"].as_array()?.iter().find(|approval| approval["role"] == of).cloned();
    }
    // Of an earlier version the log alone says it, without a statement.
    if release["rejected"].is_object() {
        return Some(release["rejected"].clone());
    }
    let records = history["records"].as_array()?;
    let record = records.iter().find(|r| r["action"] == "firmware.reject" && r["outcome"] == "accepted")?;
    // The record names the account; the roster has the printed name.
    let user = &record["actor"]["id"];
    let entries = trust["rosterEntries"].as_array().into_iter().flatten();
    let name = entries.filter(|entry| entry["userId"] == *user).map(|entry| &entry["printedName"]).next_back();
    let role = text(&record["event"]["role"]);
    Some(json!({
        "printedName": name.unwrap_or(user), "userId": user, "signedAt": record["at"],
        "meaning": format!("I reject {} {} for {} as {role}", text(&release["firmwareId"]), text(&release["version"]), text(&release["deviceModel"])),
        "role": role, "reason": record["reason"], "logIndex": record["index"],
    }))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a proof (C2SP tlog-proof) says for people: the size of the log at its checkpoint, and how many witnesses cosigned that. Nothing is
/// verified here: the page says where the proof can be.
fn proof(file: &str) -> Option<Value> {
    let (_, checkpoint) = file.split_once("\n\n")?;
    let size: u64 = checkpoint.lines().nth(1)?.parse().ok()?;
    // The first signature is the log's, the others are of witnesses.
    let signatures = checkpoint.lines().filter(|line| line.starts_with("\u{2014} ")).count();
    Some(json!({ "size": size, "witnesses": signatures.checked_sub(1)? }))
}

async fn receipt(page: Page, Path(release): Path<String>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["firmware", &release])).await?;
    let history = page.api.find(&path(&["firmware", &release, "history"])).await?;
    let of = page.query("of").to_owned();
    let trust = page.api.find("/api/v1/trust").await?;
    let Some(block) = block(&answer.body, &history, &trust, &of) else {
        let detail = "This release has no such signature now. Its page says which it has, and which no longer count.";
        return Err(Failure::not_found(detail));
    };
    let at = path(&["compliance", "log", "proofs", &block["logIndex"].to_string()]);
    let proved = match page.api.raw(Method::GET, &at, HeaderMap::new(), Body::empty()).await {
        Ok(response) => to_bytes(response.into_body(), PROOF_BYTES_MAX).await.ok(),
        Err(Failure::Refused(_)) => None,
        Err(other) => return Err(other),
    };
    let proved = proved.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).and_then(|file| proof(&file));
    let context = json!({
        "release": answer.body, "block": block, "of": of, "proof": proved, "own_url": with_query(&receipt_of(&release), &[("of", &of)]),
        "missing": missing(&page, &answer.body).await?,
    });
    page.render("releases/receipt.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rendered;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn console_nothing_is_signed_without_role_and_reason() {
        assert!(check(&form(&[("role", "QA"), ("reason", "tested on the bench")])).is_ok());
        assert_eq!(check(&form(&[("reason", "tested on the bench")])).expect_err("no role").code, "role");
        for reason in ["", "ok", "         ok          "] {
            assert_eq!(check(&form(&[("role", "QA"), ("reason", reason)])).expect_err("no reason").code, "reason");
        }
    }

    #[test]
    fn use_01_a_signature_carries_what_was_shown() {
        let given = form(&[
            ("role", "QA"),
            ("reason", " tested well "),
            ("password", " pass word "),
            ("code", "123 456"),
            ("manifest_digest", "aa"),
            ("firmwareId", "other"),
        ]);
        let expected = json!({ "firmwareId": "FW-1", "role": "QA", "reason": "tested well", "password": " pass word ",
            "code": "123456", "manifestDigest": "aa" });
        assert_eq!(signature("FW-1", &given), expected);
    }

    #[test]
    fn use_12_what_changed_meanwhile_is_named() {
        let release = json!({ "status": "pendingApproval", "manifestDigest": "aa", "approvals": [] });
        let fields: Vec<(String, String)> =
            shown(&release).into_iter().map(|(name, value)| (format!("shown_{name}"), value)).collect();
        let given = Form::of(fields);
        assert_eq!(changes(&given, &release), json!([]));
        let now = json!({ "status": "pendingApproval", "manifestDigest": "bb",
            "approvals": [{ "role": "QA", "printedName": "Ann" }] });
        let expected = json!([
            { "name": "manifest", "before": "aa", "now": "bb" },
            { "name": "approvals", "before": "none", "now": "QA by Ann" },
        ]);
        assert_eq!(changes(&given, &now), expected);
    }

    #[test]
    fn console_a_receipt_is_of_one_signature() {
        let release = json!({ "firmwareId": "FW-1", "version": "1", "approvals": [{ "role": "QA", "logIndex": 4 }] });
        let records = json!({ "records": [
            { "action": "firmware.reject", "outcome": "denied", "actor": { "id": "eve" }, "index": 9 },
            { "action": "firmware.reject", "outcome": "accepted", "actor": { "id": "ann" }, "index": 8, "reason": "test 7 fails",
              "at": "2026-11-30T00:00:00Z", "event": { "role": "QA" } },
        ] });
        let trust = json!({ "rosterEntries": [{ "userId": "ann", "printedName": "Ann Example" }] });
        assert_eq!(block(&release, &records, &trust, "QA").expect("a block")["logIndex"], 4);
        assert_eq!(block(&release, &records, &trust, "Clinical"), None);
        let nobody = block(&release, &records, &json!(null), "rejection").expect("a block");
        assert_eq!(nobody["printedName"], "ann", "who left the roster is named by the account");
        let rejected = block(&release, &records, &trust, "rejection").expect("a block");
        assert_eq!((&rejected["printedName"], &rejected["logIndex"]), (&json!("Ann Example"), &json!(8)));
        assert_eq!(block(&release, &json!(null), &trust, "rejection"), None);
        let stated = json!({ "rejected": { "printedName": "Ann Example", "meaning": "I reject FW-1 1 for M as QA", "logIndex": 8 } });
        let stated = block(&stated, &json!(null), &json!(null), "rejection").expect("a block");
        assert_eq!(stated["meaning"], "I reject FW-1 1 for M as QA", "as its record has it");
    }

    #[test]
    fn p11_70_a_rejection_names_the_manifest_that_was_shown() {
        let sent = rejection(&Form::of_texts(&[("reason", "test 7 fails"), ("manifest_digest", "aa")]));
        assert_eq!(sent, json!({ "reason": "test 7 fails", "manifestDigest": "aa" }));
        assert_eq!(rejection(&Form::of_texts(&[("reason", "x")])), json!({ "reason": "x" }));
    }

    #[test]
    fn console_a_proof_is_read_for_people() {
        let file = "c2sp.org/tlog-proof@v1\nindex 4\nAAAA\n\ndemo/log\n9\nroot=\n\n\u{2014} demo/log AAAA\n\u{2014} witness BBBB\n";
        assert_eq!(proof(file), Some(json!({ "size": 9, "witnesses": 1 })));
        for broken in ["", "x", "a\n\nb\nnot a number\n", "a\n\nlog\n9\nroot=\n\n"] {
            assert_eq!(proof(broken), None);
        }
    }

    #[test]
    fn sec_console_a_hostile_release_is_signed_as_text() {
        let hostile = "<img src=x onerror=alert(1)>'\"";
        let release = json!({ "firmwareId": hostile, "version": hostile, "deviceModel": hostile, "status": "pendingApproval",
            "manifestDigest": hostile, "submittedBy": hostile, "approvals": [], "missingApprovals": [hostile],
            "rejection": hostile, "manifest": { "hardwareRevisions": [hostile], "releaseNumber": 1, "class": "standard" } });
        let preview = json!({ "manifestDigest": hostile, "printedName": hostile, "userId": hostile, "at": "2026-11-30T00:00:00Z", "keyProblem": hostile,
            "statements": [{ "role": "QA", "meaning": hostile, "cannotSign": null, "rejection": hostile, "cannotReject": null },
                { "role": "Clinical", "meaning": hostile, "cannotSign": hostile, "rejection": hostile, "cannotReject": hostile }] });
        let context = |problem: Value| {
            json!({ "release": release, "tag": "t", "preview": preview, "reason_min": 10,
            "shown": { "status": hostile, "manifest": hostile, "approvals": hostile }, "problem": problem,
            "input": { "reason": hostile, "role": "QA" }, "changes": [{ "name": "status", "before": hostile, "now": hostile }],
            "missing": [{ "role": hostile, "people": [hostile] }] })
        };
        let block = json!({ "printedName": hostile, "userId": hostile, "signedAt": "2026-11-30T00:00:00Z", "meaning": hostile,
            "role": hostile, "reason": hostile, "logIndex": 7 });
        let receipt = json!({ "release": release, "block": block, "of": hostile, "proof": { "size": 9, "witnesses": 1 },
            "own_url": hostile, "missing": [{ "role": hostile, "people": [hostile] }] });
        let problem = json!({ "code": hostile, "detail": hostile, "status": 412 });
        for page in [
            rendered("releases/sign.html", context(Value::Null)),
            rendered("releases/sign.html", context(problem.clone())),
            rendered("releases/reject.html", context(problem)),
            rendered("releases/receipt.html", receipt),
        ] {
            assert!(!page.contains("<img src=x"), "{page}");
            assert!(page.contains("&lt;img src=x") || page.contains("&lt;img src&#x3d;x"), "{page}");
        }
    }

    #[test]
    fn use_03_no_role_is_chosen_for_the_signer() {
        let release = json!({ "firmwareId": "FW-1", "version": "1", "deviceModel": "M", "status": "pendingApproval",
            "manifestDigest": "aa", "submittedBy": "op", "approvals": [], "missingApprovals": ["QA"], "rejection": null,
            "manifest": { "hardwareRevisions": ["B"], "releaseNumber": 1, "class": "standard" } });
        let preview = json!({ "manifestDigest": "aa", "printedName": "Ann", "userId": "ann", "at": "2026-11-30T00:00:00Z", "keyProblem": null,
            "statements": [{ "role": "QA", "meaning": "I approve FW-1 1 for M as QA", "cannotSign": null,
                "rejection": "I reject FW-1 1 for M as QA", "cannotReject": null }] });
        let context = json!({ "release": release, "tag": "t", "preview": preview, "reason_min": 10, "changes": [], "missing": [],
            "shown": { "status": "pendingApproval", "manifest": "aa", "approvals": "none" } });
        for template in ["releases/sign.html", "releases/reject.html"] {
            let page = rendered(template, context.clone());
            assert!(page.contains("type=\"radio\"") && !page.contains(" checked"), "{page}");
            assert!(
                !page.contains("value=\"aa\" name=\"reason\"") && page.contains("name=\"form_tag\" value=\"t\""),
                "{page}"
            );
        }
        assert!(rendered("releases/sign.html", context.clone()).contains("I approve FW-1 1 for M as QA"));
        assert!(rendered("releases/reject.html", context).contains("I reject FW-1 1 for M as QA"));
    }
}
