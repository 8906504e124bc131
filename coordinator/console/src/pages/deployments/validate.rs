//! Signing the validation of a phase: a page of its own with the gate, the statement word for word, both factors, and what to do with a key in a file.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Frame, back, records, story};
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::filters::shell;
use crate::form::Form;
use crate::page::Page;
use crate::{Console, ROOT};

/// Characters of a reason at least.
const REASON_MIN: usize = 10;
const SIGNING_ROLES: [&str; 3] = ["Clinical", "QA", "Regulatory"];

pub(super) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/deployments/{{deployment}}/validate"), get(ask).post(sign))
}

async fn ask(page: Page, Path(deployment): Path<String>) -> Result<Response, Failure> {
    show(&page, &deployment, None).await
}

/// The command for whoever keeps the key in a file.
fn command(deployment: &str, role: &str, digest: &str) -> String {
    format!(
        "mdfmctl validate {} --role {} --reason 'WHY, IN YOUR WORDS' --key YOUR-KEY-FILE --digest {}",
        shell(deployment),
        shell(role),
        shell(digest)
    )
}

async fn show(page: &Page, id: &str, refused: Option<(&Form, &Refusal)>) -> Result<Response, Failure> {
    let frame = Frame::of(page, id).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let role = text(&frame.current()["validationRole"]);
    let digest = text(&frame.deployment["manifestDigest"]);
    let release = path(&["firmware", &text(&frame.deployment["firmwareId"])]);
    let gates = records(page, id, "deployment.gate").await?;
    let preview = page.api.find(&path(&["deployments", id, "validations", "preview"])).await?;
    let own: Vec<&Value> = page.me["roles"].as_array().into_iter().flatten().collect();
    let own: Vec<&&Value> = own.iter().filter(|role| SIGNING_ROLES.iter().any(|known| *role == known)).collect();
    let context = json!({
        "phase": frame.current(), "number": frame.deployment["currentPhase"], "role": role, "own_roles": own,
        "release": page.api.find(&release).await?, "entry": story::gates(&gates).first().map(|gate| gate["index"].clone()),
        "command": command(id, &role, &digest), "reason_min": REASON_MIN, "preview": preview,
    });
    frame.render(page, "deployments/validate.html", "", context, refused)
}

/// What is sent to be signed, or what is missing.
fn body(form: &Form) -> Result<Value, String> {
    let role = form.text("role");
    if !SIGNING_ROLES.contains(&role) {
        return Err("Choose the role in which you sign.".into());
    }
    let reason = form.text("reason");
    if reason.chars().count() < REASON_MIN {
        return Err(format!(
            "Give a reason of at least {REASON_MIN} characters: what you looked at, and what you found."
        ));
    }
    let (Some(password), Some(code)) = (form.secret("password"), form.secret("code")) else {
        return Err(
            "Enter your password and the code of your authenticator: both are needed for each signature.".into()
        );
    };
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let mut body = json!({
        "role": role, "reason": reason, "password": password, "code": code, "manifestDigest": form.text("manifest_digest"),
    });
    if !form.text("evidence_digest").is_empty() {
        body["evidenceDigest"] = form.text("evidence_digest").into();
    }
    Ok(body)
}

async fn sign(page: Page, Path(deployment): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = match body(&form) {
        Ok(body) => body,
        Err(detail) => return show(&page, &deployment, Some((&form, &Refusal::of_input("incomplete", detail)))).await,
    };
    let of = path(&["deployments", &deployment, "validations", "signature"]);
    match page.act(&form, Method::POST, &of, &body).await {
        Ok(_) => Ok(back(&deployment, "signed")),
        Err(Failure::Refused(refusal)) => show(&page, &deployment, Some((&form, &refusal))).await,
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_02_a_signature_needs_role_reason_and_both_factors() {
        let full = [
            ("role", "QA"),
            ("reason", "no alarms in 72 hours"),
            ("password", " a pass phrase "),
            ("code", "123 456"),
            ("manifest_digest", "ab"),
            ("evidence_digest", "cd"),
        ];
        let signed = body(&Form::of_texts(&full)).expect("complete");
        assert_eq!((&signed["password"], &signed["code"]), (&json!(" a pass phrase "), &json!("123456")));
        assert_eq!(
            (&signed["manifestDigest"], &signed["evidenceDigest"]),
            (&json!("ab"), &json!("cd")),
            "what was shown"
        );
        for missing in ["role", "reason", "password", "code"] {
            let part: Vec<_> = full.into_iter().filter(|(name, _)| *name != missing).collect();
            assert!(body(&Form::of_texts(&part)).is_err(), "{missing}");
        }
        let mut other = full;
        other[0].1 = "Operator";
        assert!(body(&Form::of_texts(&other)).is_err());
        other = full;
        other[1].1 = "  short    ";
        assert!(body(&Form::of_texts(&other)).is_err());
    }

    #[test]
    fn sec_console_a_command_to_copy_runs_nothing_else() {
        let line = command("dep-1'; rm -rf $HOME #", "QA", "a$(b)`c`");
        assert_eq!(
            line,
            "mdfmctl validate 'dep-1'\\''; rm -rf $HOME #' --role QA --reason 'WHY, IN YOUR WORDS' --key YOUR-KEY-FILE --digest 'a$(b)`c`'"
        );
    }
}
