//! One's own account: password, second factor, signing key, tokens, mail address, and how pages
//! look.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};

use super::input::moment;
use super::qr;
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::view::{DENSITIES, KEYS, THEMES, View};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/me{rest}");
    Router::new()
        .route(&of(""), get(show))
        .route(&of("/view"), post(set_view))
        .route(&of("/address"), post(set_address))
        .route(&of("/password"), get(show_password).post(change_password))
        .route(&of("/second-factor"), get(show_factor).post(begin_factor))
        .route(&of("/second-factor/confirmation"), post(confirm_factor))
        .route(&of("/signing-key"), get(show_key).post(make_key))
        .route(&of("/tokens"), get(show_tokens).post(make_token))
        .route(&of("/tokens/{token}"), post(revoke_token))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "me/show.html", "me/password.html", "me/factor.html", "me/key.html", "me/tokens.html");
    templates!(environment, "me/once.html");
    Ok(())
}

/// Names of the time zones that can be chosen, without those that stand for others by age alone.
fn zones() -> Vec<String> {
    let all = jiff::tz::db().available().map(|name| name.to_string());
    let is_place = |name: &String| {
        let regions = [
            "Africa/",
            "America/",
            "Antarctica/",
            "Asia/",
            "Atlantic/",
            "Australia/",
            "Europe/",
            "Indian/",
            "Pacific/",
        ];
        name == "UTC" || regions.iter().any(|region| name.starts_with(region))
    };
    let mut names: Vec<String> = all.filter(is_place).collect();
    names.sort_unstable();
    names
}

async fn context(page: &Page) -> Result<Value, Failure> {
    // Staff read times of their own hospital: its zone is one click away.
    let site = match page.me["hospitalId"].as_str() {
        Some(hospital) => page.api.find(&path(&["hospitals", hospital])).await?["timeZone"].clone(),
        None => Value::Null,
    };
    Ok(
        json!({ "themes": THEMES, "densities": DENSITIES, "keys": KEYS, "zones": zones(), "site_zone": site, "now": Timestamp::now().to_string() }),
    )
}

async fn show(page: Page) -> Result<Response, Failure> {
    let context = context(&page).await?;
    page.render("me/show.html", context)
}

/// Keeps how pages look, in this browser alone; the API knows nothing of it.
async fn set_view(page: Page, form: Form) -> Result<Response, Failure> {
    let zone = form.text("zone");
    let view = View::new(form.text("theme"), form.text("density"), zone, form.text("keys"));
    if view.zone != zone && !zone.is_empty() && !zone.eq_ignore_ascii_case(&view.zone) {
        let refusal = Refusal::input(format!("\u{201c}{zone}\u{201d} is not a time zone; choose one of the list."));
        return page.render_refused("me/show.html", context(&page).await?, &form, &refusal);
    }
    let kept = view.kept().ok_or_else(|| Failure::Broken("a view that no header can carry".into()))?;
    let to = format!("{ROOT}/me?done=saved");
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)], [(header::SET_COOKIE, kept)]).into_response())
}

async fn set_address(page: Page, form: Form) -> Result<Response, Failure> {
    let body = json!({ "email": form.optional("email") });
    match page.act(&form, Method::PUT, "/api/v1/me/address", &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/me"), "saved")),
        Err(Failure::Refused(refusal)) => page.render_refused("me/show.html", context(&page).await?, &form, &refusal),
        Err(other) => Err(other),
    }
}

/// The page again with what was refused. A form with secrets cannot be kept for a page that asks
/// for the second factor: it has the field itself.
fn refused(page: &Page, template: &str, form: &Form, failure: Failure) -> Result<Response, Failure> {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::StepUp { wrong: Some(refusal), .. } => refusal,
        Failure::StepUp { wrong: None, .. } => Refusal {
            status: StatusCode::FORBIDDEN.as_u16(),
            code: "step-up".into(),
            detail: "Show the code of your present authenticator in the field below; type the password again.".into(),
        },
        other => return Err(other),
    };
    page.render_refused(template, json!({ "step_up": true }), form, &refusal)
}

async fn show_password(page: Page) -> Result<Response, Failure> {
    page.render("me/password.html", json!({}))
}

async fn change_password(page: Page, form: Form) -> Result<Response, Failure> {
    let (new, again) = (form.secret("new_password"), form.secret("new_password_again"));
    if new.is_none() || new != again {
        let refusal = Refusal::input("The new password was not typed the same twice.");
        return refused(&page, "me/password.html", &form, Failure::Refused(refusal));
    }
    let body = json!({
        "password": form.secret("password").unwrap_or_default(), "newPassword": new, "keepTokens": form.is_set("keep_tokens"),
    });
    match page.act(&form, Method::PUT, "/api/v1/me/password", &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/me"), "password-changed")),
        Err(failure) => refused(&page, "me/password.html", &form, failure),
    }
}

async fn show_factor(page: Page) -> Result<Response, Failure> {
    page.render("me/factor.html", json!({ "begun": null, "step_up": page.me["secondFactor"] == true }))
}

/// The picture and the text of a new factor, on the answer alone.
fn begun(secret: &str, url: &str) -> Value {
    // In groups of four, as authenticators show it.
    let groups: Vec<String> =
        secret.chars().collect::<Vec<_>>().chunks(4).map(|group| group.iter().collect()).collect();
    json!({ "secret": groups.join(" "), "qr": qr::code(url) })
}

async fn begin_factor(page: Page, form: Form) -> Result<Response, Failure> {
    let body = json!({ "password": form.secret("password").unwrap_or_default() });
    match page.act(&form, Method::POST, "/api/v1/me/second-factor", &body).await {
        Ok(answer) => {
            let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
            let begun = begun(text("secret"), text("url"));
            page.render("me/factor.html", json!({ "begun": begun, "step_up": false }))
        }
        Err(Failure::Refused(refusal)) => {
            let context = json!({ "begun": null, "step_up": page.me["secondFactor"] == true });
            page.render_refused("me/factor.html", context, &form, &refusal)
        }
        Err(Failure::StepUp { wrong, .. }) => {
            let refusal = wrong.unwrap_or_else(|| {
                Refusal::input("Show a code of your present authenticator too; type the password again.")
            });
            let context = json!({ "begun": null, "step_up": true });
            page.render_refused("me/factor.html", context, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

/// Confirms the new factor by its first code. A wrong code leaves the picture where it was: the
/// page is made again with what the form carries.
async fn confirm_factor(page: Page, form: Form) -> Result<Response, Failure> {
    let code: String = form.text("code").chars().filter(|c| !c.is_whitespace()).collect();
    let body = json!({ "code": code });
    match page.act(&form, Method::POST, "/api/v1/me/second-factor/confirmation", &body).await {
        Ok(answer) => {
            let codes = answer.body["recoveryCodes"].clone();
            page.render("me/once.html", json!({ "what": "recovery", "codes": codes, "secret": null }))
        }
        Err(Failure::Refused(refusal)) => {
            let context = json!({ "begun": null, "step_up": page.me["secondFactor"] == true, "try_again": true });
            page.render_refused("me/factor.html", context, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn show_key(page: Page) -> Result<Response, Failure> {
    page.render("me/key.html", json!({}))
}

async fn make_key(page: Page, form: Form) -> Result<Response, Failure> {
    let code: String = form.text("code").chars().filter(|c| !c.is_whitespace()).collect();
    let body = json!({ "password": form.secret("password").unwrap_or_default(), "code": code });
    match page.act(&form, Method::POST, "/api/v1/me/signing-key", &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/me/signing-key"), "key-made")),
        Err(failure) => refused(&page, "me/key.html", &form, failure),
    }
}

/// Own tokens, and the permissions that a token of one's own may carry.
async fn tokens(page: &Page) -> Result<Value, Failure> {
    let roles = page.api.get("/api/v1/roles").await?.body;
    let all = roles.as_array().into_iter().flatten().filter_map(|role| role["permissions"].as_array()).flatten();
    let mut for_machines: Vec<&str> = Vec::new();
    for permission in all {
        let name = permission["permission"].as_str().unwrap_or_default();
        let is_for_people = permission["person"] == true || permission["secondFactor"] == true;
        if page.may(name) && !is_for_people && !for_machines.contains(&name) {
            for_machines.push(name);
        }
    }
    let own = page.api.get("/api/v1/me/tokens").await?.body;
    Ok(json!({ "tokens": own, "permissions": for_machines }))
}

async fn show_tokens(page: Page) -> Result<Response, Failure> {
    let context = tokens(&page).await?;
    page.render("me/tokens.html", context)
}

async fn make_token(page: Page, form: Form) -> Result<Response, Failure> {
    let made = async {
        let until = moment(&page, "Expires", form.text("expires_at")).map_err(Failure::Refused)?;
        let permissions = form.all("permissions");
        let body = json!({ "name": form.text("name"), "permissions": permissions, "expiresAt": until });
        page.act(&form, Method::POST, "/api/v1/me/tokens", &body).await
    };
    match made.await {
        Ok(answer) => {
            let secret = answer.body["token"].clone();
            page.render("me/once.html", json!({ "what": "token", "codes": [], "secret": secret }))
        }
        Err(Failure::Refused(refusal)) => page.render_refused("me/tokens.html", tokens(&page).await?, &form, &refusal),
        Err(other) => Err(other),
    }
}

async fn revoke_token(page: Page, Path(token): Path<String>, form: Form) -> Result<Response, Failure> {
    match page.act(&form, Method::DELETE, &path(&["me", "tokens", &token]), &json!({})).await {
        Ok(_) => Ok(done(&format!("{ROOT}/me/tokens"), "removed")),
        Err(Failure::Refused(refusal)) => page.render_refused("me/tokens.html", tokens(&page).await?, &form, &refusal),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_zones_are_those_of_places() {
        let names = zones();
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"] {
            assert!(names.iter().any(|name| name == zone), "{zone}");
        }
        assert!(names.iter().all(|name| View::new("", "", name, "").zone.len() > 2));
    }

    #[test]
    fn console_a_new_factor_is_typed_in_groups() {
        let shown = begun("JBSWY3DPEH", "otpauth://totp/x");
        assert_eq!(shown["secret"], "JBSW Y3DP EH");
        assert!(shown["qr"]["path"].as_str().is_some_and(|path| path.starts_with('M')));
    }
}
