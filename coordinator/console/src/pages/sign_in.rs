//! Signing in and out.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use crate::api::{Api, Precondition};
use crate::failure::Failure;
use crate::form::{self, Form};
use crate::page::{Page, plain};
use crate::{Console, ROOT, session, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/sign-in"), get(show).post(sign_in))
        .route(&format!("{ROOT}/sign-out"), post(sign_out))
        .route(&format!("{ROOT}/session"), get(extend))
        .route(&format!("{ROOT}/step-up"), post(step_up))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "sign-in.html");
    Ok(())
}

/// Where a sign-in leads: a path of this console, whatever somebody wrote into the link.
fn destination(next: &str) -> &str {
    let is_here = next == ROOT || next.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with(['/', '?']));
    let is_plain = !next.contains(['\\', '\r', '\n']) && !next.contains("//") && next.is_ascii();
    if is_here && is_plain { next } else { ROOT }
}

fn show_form(
    console: &Console,
    status: StatusCode,
    next: &str,
    user: &str,
    problem: Value,
) -> Result<Response, Failure> {
    let context = json!({ "next": destination(next), "user": user, "problem": problem });
    Ok(plain(console, status, "sign-in.html", context, None)?)
}

async fn show(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let next = query.iter().find(|(name, _)| name == "next").map_or(ROOT, |(_, next)| next.as_str());
    // A link from a mail reaches this page without the cookie, which is not sent with what another site begins: one more request brings it.
    let is_from_elsewhere = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if is_from_elsewhere {
        return Ok(plain(&console, StatusCode::OK, "arriving.html", json!({ "next": destination(next) }), None)?);
    }
    show_form(&console, StatusCode::OK, next, "", Value::Null)
}

async fn sign_in(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    // An older session in this browser ends with its cookie; its form token is not asked for.
    parts.headers.remove(header::COOKIE);
    let extensions = parts.extensions.clone();
    let given = <Form as axum::extract::FromRequest<()>>::from_request(Request::from_parts(parts, body), &()).await?;
    let (user, next) = (given.text("user_id"), given.text("next"));
    let mut credentials = json!({ "userId": user, "password": given.secret("password").unwrap_or_default() });
    let code: String = given.text("code").chars().filter(|c| !c.is_whitespace()).collect();
    // Six digits are of an authenticator; anything longer is a recovery code.
    let is_code = code.len() <= 6 && code.chars().all(|c| c.is_ascii_digit());
    if !code.is_empty() {
        credentials[if is_code { "code" } else { "recoveryCode" }] = given.text("code").into();
    }
    let api = Api::new(&console, &extensions, None, false);
    match api.send(Method::POST, "/api/v1/sessions", Some(&credentials), &Precondition::default()).await {
        Ok(answer) => {
            let token = answer.body["token"].as_str().unwrap_or_default();
            let cookie = session::opened(token).ok_or_else(|| Failure::Broken("a session without a token".into()))?;
            let to = destination(next).to_owned();
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)], [(header::SET_COOKIE, cookie)]).into_response())
        }
        Err(Failure::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN);
            show_form(&console, status, next, user, json!(refusal))
        }
        Err(Failure::SignedOut) => Err(Failure::Broken("signing in needs no session".into())),
        Err(other) => Err(other),
    }
}

/// Shows the second factor again for a page that is read only shortly after that, and leads back to
/// it.
async fn step_up(page: Page, given: Form) -> Result<Response, Failure> {
    let to = destination(given.text("next")).to_owned();
    let body = json!({ "code": given.secret(form::STEP_UP).unwrap_or_default().trim() });
    let path = "/api/v1/sessions/current/second-factor";
    match page.api.send(Method::POST, path, Some(&body), &Precondition::default()).await {
        Ok(_) => Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()),
        Err(Failure::Refused(wrong)) => Err(Failure::StepUp { form: given, wrong: Some(wrong) }),
        Err(other) => Err(other),
    }
}

/// Says until when the session lasts; asking is a use of it.
async fn extend(page: Page) -> axum::Json<Value> {
    axum::Json(page.me["session"].clone())
}

async fn sign_out(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let page = Page::from_request_parts(&mut parts, &console).await;
    let _checked =
        <Form as axum::extract::FromRequest<()>>::from_request(Request::from_parts(parts, body), &()).await?;
    if let Ok(page) = page {
        page.api
            .send(Method::DELETE, "/api/v1/sessions/current", None::<&()>, &Precondition::default())
            .await
            .map(drop)?;
    }
    let mut headers = HeaderMap::new();
    headers
        .insert(header::LOCATION, format!("{ROOT}/sign-in").parse().map_err(|_| Failure::Broken("location".into()))?);
    headers.insert(header::SET_COOKIE, session::ended());
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_console_a_sign_in_leads_nowhere_else() {
        for (next, to) in [
            ("/console/devices?filter=x", "/console/devices?filter=x"),
            ("/console", "/console"),
            ("https://evil.example/", ROOT),
            ("//evil.example/console", ROOT),
            ("/console//evil.example", ROOT),
            ("/console/\\evil.example", ROOT),
            ("/consolevil", ROOT),
            ("/console/a\r\nset-cookie: x", ROOT),
            ("", ROOT),
        ] {
            assert_eq!(destination(next), to, "{next:?}");
        }
    }
}
