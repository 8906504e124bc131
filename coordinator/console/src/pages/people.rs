//! People: accounts, roles, identity, training, what ends their access, and the tokens of
//! everybody.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::input::moment;
use super::list::page_of;
use crate::api::{path, segment, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// Characters of a first password: 100 bits of randomness.
const PASSWORD_CHARS: usize = 20;
/// Letters and digits that nobody takes for one another; 32, so that every byte is as likely as
/// every other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/people{rest}");
    Router::new()
        .route(&of(""), get(list))
        .route(&of("/new"), get(show_new).post(create))
        .route(&of("/tokens"), get(tokens))
        .route(&of("/{user}"), get(show))
        .route(&of("/{user}/roles"), post(set_roles))
        .route(&of("/{user}/identity"), post(verify_identity))
        .route(&of("/{user}/training"), post(confirm_training))
        .route(&of("/{user}/subject"), post(link_subject))
        .route(&of("/{user}/access"), get(show_access).post(end_access))
        .route(&of("/{user}/enable"), post(enable))
        .route(&of("/{user}/tokens/{token}"), get(show_token).post(revoke_token))
        .route(&format!("{ROOT}/roles"), get(roles))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "people/list.html", "people/show.html", "people/new.html", "people/access.html");
    templates!(environment, "people/once.html", "people/tokens.html", "people/token.html", "people/roles.html");
    Ok(())
}

/// A password that nobody chose.
fn fresh_password() -> Result<String, Failure> {
    let mut bytes = [0; PASSWORD_CHARS];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Broken(error.to_string()))?;
    let letters: Vec<u8> = bytes.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
    let groups: Vec<&str> = letters.chunks(5).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Ok(groups.join("-"))
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/users").await?;
    page.render("people/list.html", json!({ "list": list }))
}

/// Every role and what it permits.
async fn all_roles(page: &Page) -> Result<Value, Failure> {
    Ok(page.api.get("/api/v1/roles").await?.body)
}

async fn roles(page: Page) -> Result<Response, Failure> {
    let roles = all_roles(&page).await?;
    let mut permissions: Vec<Value> = Vec::new();
    let granted = roles.as_array().into_iter().flatten().flat_map(|role| role["permissions"].as_array());
    for permission in granted.flatten() {
        if !permissions.iter().any(|known| known["permission"] == permission["permission"]) {
            permissions.push(permission.clone());
        }
    }
    let names = |role: &Value| -> Vec<Value> {
        role["permissions"].as_array().into_iter().flatten().map(|one| one["permission"].clone()).collect()
    };
    let columns: Vec<Value> = roles
        .as_array()
        .into_iter()
        .flatten()
        .map(|role| json!({ "role": role["role"], "permissions": names(role) }))
        .collect();
    page.render("people/roles.html", json!({ "roles": columns, "permissions": permissions }))
}

async fn show_new(page: Page) -> Result<Response, Failure> {
    let roles = all_roles(&page).await?;
    page.render("people/new.html", json!({ "roles": roles }))
}

/// Makes an account. Its first password is made here and shown on the answer alone: no address
/// leads to it.
async fn create(page: Page, form: Form) -> Result<Response, Failure> {
    let (user, password) = (form.text("user_id"), fresh_password()?);
    let body = json!({
        "userId": user, "printedName": form.text("printed_name"), "roles": form.all("roles"),
        "hospitalId": form.optional("hospital_id"), "password": password,
    });
    match page.act(&form, Method::POST, "/api/v1/users", &body).await {
        Ok(_) => page.render("people/once.html", json!({ "user": user, "password": password, "first": true })),
        Err(Failure::Refused(refusal)) => {
            let context = json!({ "roles": all_roles(&page).await? });
            page.render_refused("people/new.html", context, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn context(page: &Page, user: &str) -> Result<Value, Failure> {
    let answer = page.api.get(&path(&["users", user])).await?;
    let mine = format!("userId={user}");
    let log = [("user", user), ("order", "newest"), ("limit", "25")];
    Ok(json!({
        "user": answer.body, "tag": answer.tag(), "roles": all_roles(page).await?,
        "tokens": page.api.find(&with_query("/api/v1/tokens", &[("filter", mine.as_str())])).await?,
        "history": page.api.find(&with_query("/api/v1/compliance/audit-logs", &log)).await?,
    }))
}

async fn show(page: Page, Path(user): Path<String>) -> Result<Response, Failure> {
    let context = context(&page, &user).await?;
    page.render("people/show.html", context)
}

fn of(user: &str) -> String {
    format!("{ROOT}/people/{}", segment(user))
}

/// Changes an account, and shows it again.
async fn change(
    page: Page,
    user: &str,
    form: &Form,
    (method, verb): (Method, &str),
    body: Result<Value, Refusal>,
) -> Result<Response, Failure> {
    let acted = match body {
        Ok(body) => page.act(form, method, &path(&["users", user, verb]), &body).await,
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    match acted {
        Ok(_) => Ok(done(&of(user), "saved")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("people/show.html", context(&page, user).await?, form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn set_roles(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let (roles, hospital) = (form.all("roles"), form.optional("hospital_id"));
    let body = json!({ "roles": roles, "hospitalId": hospital, "reason": form.text("reason") });
    change(page, &user, &form, (Method::PUT, "roles"), Ok(body)).await
}

async fn verify_identity(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "evidence": form.text("evidence"), "reason": form.text("reason") });
    change(page, &user, &form, (Method::PUT, "identity"), Ok(body)).await
}

async fn confirm_training(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let until = moment(&page, "Trained until", form.text("trained_until"));
    let body = until.map(|until| json!({ "trainedUntil": until, "reason": form.text("reason") }));
    change(page, &user, &form, (Method::PUT, "training"), body).await
}

async fn link_subject(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "subject": form.optional("subject"), "reason": form.text("reason") });
    change(page, &user, &form, (Method::PUT, "subject"), Ok(body)).await
}

async fn enable(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    change(page, &user, &form, (Method::POST, "enable"), Ok(body)).await
}

async fn show_access(page: Page, Path(user): Path<String>) -> Result<Response, Failure> {
    let context = context(&page, &user).await?;
    page.render("people/access.html", context)
}

/// What ends somebody's access, by what the form names: method, last part of the path.
fn ending(act: &str) -> Option<(Method, &'static str)> {
    Some(match act {
        "sign-out" => (Method::POST, "sign-out"),
        "disable" => (Method::POST, "disable"),
        "factor" => (Method::DELETE, "second-factor"),
        "password" => (Method::PUT, "password"),
        _ => return None,
    })
}

async fn end_access(page: Page, Path(user): Path<String>, form: Form) -> Result<Response, Failure> {
    let refused = async |page: Page, refusal: &Refusal| {
        page.render_refused("people/access.html", context(&page, &user).await?, &form, refusal)
    };
    let act = form.text("act");
    let Some((method, verb)) = ending(act) else {
        return refused(page, &Refusal::input("Choose what is to end.")).await;
    };
    if form.text("typed") != user {
        return refused(page, &Refusal::input(format!("Type {user} to confirm whom it concerns."))).await;
    }
    let mut body = json!({ "reason": form.text("reason") });
    let password = fresh_password()?;
    if act == "password" {
        body["newPassword"] = password.as_str().into();
    }
    match page.act(&form, method, &path(&["users", &user, verb]), &body).await {
        Ok(answer) if act == "password" => {
            let context = json!({ "user": user, "password": password, "first": false, "ended": answer.body });
            page.render("people/once.html", context)
        }
        Ok(_) => Ok(done(&of(&user), "access-ended")),
        Err(Failure::Refused(refusal)) => refused(page, &refusal).await,
        Err(other) => Err(other),
    }
}

async fn tokens(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/tokens").await?;
    page.render("people/tokens.html", json!({ "list": list }))
}

async fn token(page: &Page, user: &str, token: &str) -> Result<Value, Failure> {
    let wanted = format!("tokenId={token}");
    let found = page.api.get(&with_query("/api/v1/tokens", &[("filter", wanted.as_str())])).await?.body;
    let found = found.as_array().into_iter().flatten().find(|one| one["userId"] == user && one["tokenId"] == token);
    found.cloned().map(|token| json!({ "token": token })).ok_or_else(|| {
        let detail = format!("{user} has no token {token}; it was revoked or has expired.");
        Failure::not_found(detail)
    })
}

async fn show_token(page: Page, Path((user, id)): Path<(String, String)>) -> Result<Response, Failure> {
    let context = token(&page, &user, &id).await?;
    page.render("people/token.html", context)
}

async fn revoke_token(page: Page, Path((user, id)): Path<(String, String)>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::DELETE, &path(&["users", &user, "tokens", &id]), &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/people/tokens"), "removed")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("people/token.html", token(&page, &user, &id).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sec_console_first_passwords_are_random() {
        let made: BTreeSet<String> = (0..50).map(|_| fresh_password().expect("randomness")).collect();
        assert_eq!(made.len(), 50);
        for password in made {
            assert_eq!(password.len(), PASSWORD_CHARS + 3, "{password}");
            assert!(password.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)), "{password}");
        }
        assert_eq!(ALPHABET.iter().collect::<BTreeSet<_>>().len(), 32);
    }

    #[test]
    fn sec_console_only_known_acts_end_access() {
        assert_eq!(ending("factor"), Some((Method::DELETE, "second-factor")));
        for hostile in ["", "roles", "../roles", "sign-out/../roles"] {
            assert_eq!(ending(hostile), None, "{hostile}");
        }
    }
}
