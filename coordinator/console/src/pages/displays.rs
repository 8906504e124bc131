//! Pairing a display on a wall: it shows a code and waits; whoever is signed in elsewhere types the code.

use axum::Router;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{Timestamp, ToSpan};
use minijinja::Environment;
use serde_json::{Value, json};

use super::input::moment;
use super::wall::choices;
use crate::api::{Api, Precondition, path, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done, plain};
use crate::{Console, ROOT, session, templates};

/// Days for which a display is paired, unless somebody says otherwise.
const DAYS: i64 = 14;

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/display"), get(wait).post(begin))
        .route(&format!("{ROOT}/wall/pair"), get(show).post(pair))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "display.html", "display-pair.html");
    Ok(())
}

fn to(place: &str, cookies: &[axum::http::HeaderValue]) -> Result<Response, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, place.parse().map_err(|_| Failure::Broken("location".into()))?);
    cookies.iter().for_each(|cookie| _ = headers.append(header::SET_COOKIE, cookie.clone()));
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// A code in two groups, as it is read aloud.
fn grouped(code: &str) -> String {
    match code.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first} {second}"),
        _ => code.to_owned(),
    }
}

/// The display itself: a button first, then the code, then what it is to show. It works without JavaScript: the page is made again
/// automatically.
async fn wait(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let console = console.seen_by(request.headers());
    let show = |context| plain(&console, StatusCode::OK, "display.html", context, None);
    let Some((code, secret)) = session::pairing(request.headers()) else {
        return Ok(show(json!({ "code": null }))?);
    };
    let api = Api::new(&console, request.extensions(), None, false);
    let body = json!({ "secret": secret });
    match api.send(Method::POST, &path(&["displays", &code, "token"]), Some(&body), &Precondition::default()).await {
        Ok(answer) if answer.body["paired"] == true => {
            let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
            let cookie = session::display(&text("token")).ok_or_else(|| Failure::Broken("no token".into()))?;
            let wall = with_query(&format!("{ROOT}/wall"), &[("deployment", &text("deploymentId"))]);
            to(&wall, &[cookie, session::pairing_ended()])
        }
        Ok(_) => Ok(show(json!({ "code": grouped(&code) }))?),
        Err(Failure::Refused(refusal)) => {
            let context = json!({ "code": null, "problem": refusal });
            let mut response = plain(&console, StatusCode::OK, "display.html", context, None)?;
            response.headers_mut().append(header::SET_COOKIE, session::pairing_ended());
            Ok(response)
        }
        Err(other) => Err(other),
    }
}

/// Asks for a code. Nobody needs to be signed in, so the form belongs to no session.
async fn begin(State(console): State<Console>, request: Request) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::COOKIE);
    let extensions = parts.extensions.clone();
    let _checked = <Form as FromRequest<()>>::from_request(Request::from_parts(parts, body), &()).await?;
    let api = Api::new(&console, &extensions, None, false);
    match api.send(Method::POST, "/api/v1/displays", None::<&()>, &Precondition::default()).await {
        Ok(answer) => {
            let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
            let cookie = session::waits(text("code"), text("secret"));
            to(&format!("{ROOT}/display"), &[cookie.ok_or_else(|| Failure::Broken("no code".into()))?])
        }
        Err(Failure::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Ok(plain(&console, status, "display.html", json!({ "code": null, "problem": refusal }), None)?)
        }
        Err(other) => Err(other),
    }
}

/// What the form offers: deployments, and until when.
async fn context(page: &Page) -> Result<Value, Failure> {
    let deployments = choices(page).await?;
    let until = Timestamp::now().checked_add((24 * DAYS).hours()).map(|at| at.to_string());
    let until = until.unwrap_or_default().chars().take(10).collect::<String>();
    Ok(json!({ "deployments": deployments, "until": until, "chosen": page.query("deployment") }))
}

async fn show(page: Page) -> Result<Response, Failure> {
    let context = context(&page).await?;
    page.render("display-pair.html", context)
}

async fn pair(page: Page, form: Form) -> Result<Response, Failure> {
    let made = async {
        let until = moment(&page, "Until", form.text("expires_at")).map_err(Failure::Refused)?;
        let code = form.text("display_code").trim();
        if code.is_empty() {
            let detail = "Type the code that the display shows.".to_owned();
            return Err(Failure::Refused(Refusal { status: 422, code: "invalid".into(), detail }));
        }
        let body = json!({ "deploymentId": form.text("deployment"), "name": form.text("name"), "expiresAt": until });
        page.act(&form, Method::POST, &path(&["displays", code, "pairing"]), &body).await
    };
    match made.await {
        Ok(_) => Ok(done(&format!("{ROOT}/wall"), "display-paired")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("display-pair.html", context(&page).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_code_is_read_in_two_groups() {
        assert_eq!(grouped("10234567"), "1023 4567");
        assert_eq!(grouped(""), "");
        assert_eq!(grouped("ää"), "ää", "whatever somebody put into the cookie");
    }

    #[test]
    fn console_a_display_shows_its_code_and_asks_again() {
        let shown = crate::testing::rendered("display.html", json!({ "code": "1023 4567", "problem": null }));
        assert!(shown.contains("1023 4567") && shown.contains("http-equiv=\"refresh\""), "{shown}");
        let first = crate::testing::rendered("display.html", json!({ "code": null, "problem": null }));
        assert!(!first.contains("refresh") && first.contains("method=\"post\""), "{first}");
    }
}
