//! Settings: passwords, training, who gets which notices; webhooks; deliveries that were given up.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use serde_json::{Value, json};

use super::list::page_of;
use crate::api::path;
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

/// The settings in the API.
const SETTINGS: &str = "/api/v1/settings";

pub(crate) fn routes() -> Router<Console> {
    let of = |rest: &str| format!("{ROOT}/settings{rest}");
    Router::new()
        .route(&of(""), get(show).post(set))
        .route(&of("/rules/{rule}"), get(show_rule).post(set_rule))
        .route(&of("/rules/{rule}/removal"), post(remove_rule))
        .route(&format!("{ROOT}/webhooks"), get(webhooks))
        .route(&format!("{ROOT}/webhooks/{{webhook}}"), get(show_webhook).post(set_webhook))
        .route(&format!("{ROOT}/webhooks/{{webhook}}/removal"), post(remove_webhook))
        .route(&format!("{ROOT}/dead-letters"), get(dead_letters))
        .route(&format!("{ROOT}/dead-letters/{{delivery}}/retry"), post(retry))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "settings/show.html", "settings/rule.html", "settings/webhooks.html");
    templates!(environment, "settings/webhook.html", "settings/dead-letters.html");
    Ok(())
}

/// Values of an enumeration of the API, as its own description lists them.
async fn values_of(page: &Page, schema: &str) -> Result<Value, Failure> {
    let description = page.api.get("/api/v1/openapi.json").await?.body;
    let schema = &description["components"]["schemas"][schema];
    if schema["enum"].is_array() {
        return Ok(schema["enum"].clone());
    }
    // Values that have a description of their own stand one by one.
    let each = schema["oneOf"].as_array().into_iter().flatten().map(|one| one["enum"][0].clone());
    Ok(each.filter(Value::is_string).collect())
}

async fn context(page: &Page) -> Result<Value, Failure> {
    let answer = page.api.get(SETTINGS).await?;
    Ok(json!({ "settings": answer.body, "tag": answer.tag() }))
}

async fn show(page: Page) -> Result<Response, Failure> {
    let context = context(&page).await?;
    page.render("settings/show.html", context)
}

/// Replaces the settings by what `change` makes of those that the page showed; somebody else's
/// change meanwhile is found by the tag.
async fn replace(
    page: &Page,
    form: &Form,
    change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
) -> Result<(), Failure> {
    let mut settings = page.api.get(SETTINGS).await?.body;
    change(&mut settings).map_err(Failure::Refused)?;
    let body = json!({ "settings": settings, "reason": form.text("reason") });
    page.act(form, Method::PUT, SETTINGS, &body).await.map(drop)
}

async fn set(page: Page, form: Form) -> Result<Response, Failure> {
    let days = form.text("password_days");
    let acted = replace(&page, &form, |settings| {
        let days = days.parse::<u32>();
        let days = days.map_err(|_| Refusal::input("Passwords: give a whole number of days, 0 for no limit."))?;
        settings["passwordDays"] = days.into();
        settings["trainingRequired"] = form.is_set("training_required").into();
        Ok(())
    });
    match acted.await {
        Ok(()) => Ok(done(&format!("{ROOT}/settings"), "saved")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("settings/show.html", context(&page).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

/// A rule by its place in the list, from 0; `new` for one that is added.
async fn rule_context(page: &Page, rule: &str) -> Result<Value, Failure> {
    let mut context = context(page).await?;
    let (kinds, roles) = (values_of(page, "NoticeKind").await?, values_of(page, "AccessRole").await?);
    let found = match rule.parse::<usize>() {
        Ok(place) => context["settings"]["notices"].get(place).cloned(),
        Err(_) if rule == "new" => Some(json!({ "kinds": [], "roles": [], "hospitals": [], "email": false })),
        Err(_) => None,
    };
    let missing = || Refusal { status: 404, code: "not-found".into(), detail: "There is no such rule.".into() };
    let found = found.ok_or_else(|| Failure::Refused(missing()))?;
    context["rule"] = found;
    context["place"] = rule.into();
    context["kinds"] = kinds;
    context["all_roles"] = roles;
    Ok(context)
}

async fn show_rule(page: Page, Path(rule): Path<String>) -> Result<Response, Failure> {
    let context = rule_context(&page, &rule).await?;
    page.render("settings/rule.html", context)
}

/// Words of a field that lists them with commas or blanks.
fn words_of(text: &str) -> Vec<&str> {
    text.split([',', ' ', '\n']).map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// The rule that a form asks for.
fn rule_of(form: &Form) -> Result<Value, Refusal> {
    let (kinds, roles) = (form.all("kinds"), form.all("roles"));
    if kinds.is_empty() || roles.is_empty() {
        return Err(Refusal::input("Choose at least one kind of notice and one role that gets it."));
    }
    let mut rule = json!({
        "kinds": kinds, "roles": roles, "hospitals": words_of(form.text("hospitals")), "email": form.is_set("email"),
    });
    let (codes, after) = (words_of(form.text("wait_codes")), form.text("after_minutes"));
    if !codes.is_empty() || !after.is_empty() {
        rule["waits"] = json!({ "codes": codes });
        if !after.is_empty() {
            let minutes = after.parse::<u32>();
            let minutes = minutes.map_err(|_| Refusal::input("Long waits: give a whole number of minutes."))?;
            rule["waits"]["afterMinutes"] = minutes.into();
        }
    }
    Ok(rule)
}

async fn rule_after(
    page: Page,
    rule: &str,
    form: &Form,
    acted: Result<(), Failure>,
    word: &str,
) -> Result<Response, Failure> {
    match acted {
        Ok(()) => Ok(done(&format!("{ROOT}/settings"), word)),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("settings/rule.html", rule_context(&page, rule).await?, form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn set_rule(page: Page, Path(rule): Path<String>, form: Form) -> Result<Response, Failure> {
    let acted = replace(&page, &form, |settings| {
        let (made, rules) = (rule_of(&form)?, settings["notices"].as_array_mut());
        let rules = rules.ok_or_else(|| Refusal::input("The settings have no rules."))?;
        match rule.parse::<usize>().ok().and_then(|place| rules.get_mut(place)) {
            Some(old) => *old = made,
            None if rule == "new" => rules.push(made),
            None => return Err(Refusal::input("There is no such rule.")),
        }
        Ok(())
    });
    let acted = acted.await;
    rule_after(page, &rule, &form, acted, "saved").await
}

async fn remove_rule(page: Page, Path(rule): Path<String>, form: Form) -> Result<Response, Failure> {
    let acted = replace(&page, &form, |settings| {
        let place = rule.parse::<usize>().ok();
        match (place, settings["notices"].as_array_mut()) {
            (Some(place), Some(rules)) if place < rules.len() => drop(rules.remove(place)),
            _ => return Err(Refusal::input("There is no such rule.")),
        }
        Ok(())
    });
    let acted = acted.await;
    rule_after(page, &rule, &form, acted, "removed").await
}

async fn webhooks(page: Page) -> Result<Response, Failure> {
    page.need_factor()?;
    let list = page_of(&page, "/api/v1/webhooks").await?;
    page.render("settings/webhooks.html", json!({ "list": list }))
}

async fn webhook_context(page: &Page, webhook: &str) -> Result<Value, Failure> {
    let all = page.api.get("/api/v1/webhooks?limit=500").await?.body;
    let hook = all.as_array().into_iter().flatten().find(|one| one["webhookId"] == webhook).cloned();
    if hook.is_none() && webhook != "new" {
        let detail = format!("There is no webhook \u{201c}{webhook}\u{201d}.");
        return Err(Failure::not_found(detail));
    }
    Ok(json!({ "hook": hook, "kinds": values_of(page, "NoticeKind").await? }))
}

async fn show_webhook(page: Page, Path(webhook): Path<String>) -> Result<Response, Failure> {
    page.need_factor()?;
    let context = webhook_context(&page, &webhook).await?;
    page.render("settings/webhook.html", context)
}

/// Sets a webhook. Its secret stands on the answer alone.
async fn set_webhook(page: Page, Path(webhook): Path<String>, form: Form) -> Result<Response, Failure> {
    let id = if webhook == "new" { form.text("webhook_id") } else { &webhook };
    let body = json!({
        "url": form.text("url"), "kinds": form.all("kinds"), "hospitalIds": words_of(form.text("hospitals")),
        "reason": form.text("reason"),
    });
    match page.act(&form, Method::PUT, &path(&["webhooks", id]), &body).await {
        Ok(answer) => {
            let secret = answer.body["secret"].clone();
            page.render("me/once.html", json!({ "what": "webhook", "codes": [], "secret": secret }))
        }
        Err(Failure::Refused(refusal)) => {
            page.render_refused("settings/webhook.html", webhook_context(&page, &webhook).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn remove_webhook(page: Page, Path(webhook): Path<String>, form: Form) -> Result<Response, Failure> {
    let body = json!({ "reason": form.text("reason") });
    match page.act(&form, Method::DELETE, &path(&["webhooks", &webhook]), &body).await {
        Ok(_) => Ok(done(&format!("{ROOT}/webhooks"), "removed")),
        Err(Failure::Refused(refusal)) => {
            page.render_refused("settings/webhook.html", webhook_context(&page, &webhook).await?, &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

async fn dead_letters(page: Page) -> Result<Response, Failure> {
    page.need_factor()?;
    let list = page_of(&page, "/api/v1/notices/dead-letters").await?;
    page.render("settings/dead-letters.html", json!({ "list": list }))
}

async fn retry(page: Page, Path(delivery): Path<String>, form: Form) -> Result<Response, Failure> {
    let acted =
        page.act(&form, Method::POST, &path(&["notices", "dead-letters", &delivery, "retry"]), &json!({})).await;
    match acted {
        Ok(_) => Ok(done(&format!("{ROOT}/dead-letters"), "sent-again")),
        Err(Failure::Refused(refusal)) => {
            let list = page_of(&page, "/api/v1/notices/dead-letters").await?;
            page.render_refused("settings/dead-letters.html", json!({ "list": list }), &form, &refusal)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of_texts(fields)
    }

    #[test]
    fn console_a_rule_is_made_of_its_form() {
        let made = rule_of(&form(&[
            ("kinds", "longWait"),
            ("kinds", "recallOpened"),
            ("roles", "QA"),
            ("hospitals", "HOSP-001, HOSP-002"),
            ("email", "1"),
            ("wait_codes", "gateway-silent"),
            ("after_minutes", "30"),
        ]));
        assert_eq!(
            made.expect("a rule"),
            json!({
                "kinds": ["longWait", "recallOpened"], "roles": ["QA"], "hospitals": ["HOSP-001", "HOSP-002"], "email": true,
                "waits": { "codes": ["gateway-silent"], "afterMinutes": 30 },
            })
        );
        let plain = rule_of(&form(&[("kinds", "recallOpened"), ("roles", "QA")])).expect("a rule");
        assert!(plain.get("waits").is_none() && plain["email"] == false);
        for missing in [&[("kinds", "x")][..], &[("roles", "QA")], &[]] {
            assert!(rule_of(&form(missing)).is_err(), "{missing:?}");
        }
        let odd = [("kinds", "x"), ("roles", "QA"), ("after_minutes", "soon")];
        assert!(rule_of(&form(&odd)).is_err());
    }
}
