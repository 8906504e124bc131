//! Groups of devices that deployments name: lists, queries with their count, members.

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Map, Value, json};

use super::acts::{self, Refused, check_typed, settle};
use super::list::page_of;
use crate::api::{path, segment, with_query};
use crate::failure::{Failure, Refusal};
use crate::form::Form;
use crate::page::{Page, done};
use crate::{Console, ROOT, templates};

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route(&format!("{ROOT}/groups"), get(list))
        .route(&format!("{ROOT}/groups/new"), get(new).post(create))
        .route(&format!("{ROOT}/groups/{{group}}"), get(show))
        .route(&format!("{ROOT}/groups/{{group}}/change"), get(change_form).post(change))
        .route(&format!("{ROOT}/groups/{{group}}/remove"), get(remove_form).post(remove))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "groups/list.html", "groups/show.html", "groups/form.html", "groups/remove.html");
    Ok(())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let list = page_of(&page, "/api/v1/groups").await?;
    page.render("groups/list.html", json!({ "list": list }))
}

async fn show(page: Page, Path(group): Path<String>) -> Result<Response, Failure> {
    let found = page.api.get(&path(&["groups", &group])).await?;
    let devices = page_of(&page, &path(&["groups", &group, "devices"])).await?;
    let count = match found.body["query"].as_str() {
        Some(query) => page.api.find(&with_query("/api/v1/fleet/selection", &[("query", query)])).await?,
        None => Value::Null,
    };
    page.render("groups/show.html", json!({ "group": found.body, "list": devices, "count": count }))
}

/// Devices as people write them: separated by commas, semicolons, blanks or lines.
fn listed(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|one| !one.is_empty()).collect()
}

/// The form; with what is stored, or what was typed, and the count of a query that was asked for.
fn form_page(
    page: &Page,
    (group, shown): (&str, Value),
    tag: &str,
    count: Value,
    refused: Refused<'_>,
) -> Result<Response, Failure> {
    acts::show(page, "groups/form.html", json!({ "id": group, "group": shown, "tag": tag, "count": count }), refused)
}

async fn new(page: Page) -> Result<Response, Failure> {
    // A filter of the list of devices may become a group.
    let shown = json!({ "name": "", "query": page.query("query") });
    form_page(&page, ("", shown), "", Value::Null, None)
}

/// What is stored of a group, with its devices if it is a list.
async fn stored(page: &Page, group: &str) -> Result<(Value, String), Failure> {
    let answer = page.api.get(&path(&["groups", group])).await?;
    let (mut shown, tag) = (answer.body.clone(), answer.tag().to_owned());
    if shown["query"].is_null() {
        let devices = page.api.get(&(path(&["groups", group, "devices"]) + "?limit=1000")).await?.body;
        let ids = devices.as_array().into_iter().flatten().filter_map(|device| device["deviceId"].as_str());
        shown["device_ids"] = ids.collect::<Vec<_>>().join("\n").into();
    }
    Ok((shown, tag))
}

async fn change_form(page: Page, Path(group): Path<String>) -> Result<Response, Failure> {
    let (shown, tag) = stored(&page, &group).await?;
    form_page(&page, (&group, shown), &tag, Value::Null, None)
}

fn body(form: &Form) -> Map<String, Value> {
    let mut body = acts::body(form, &[("name", "name"), ("reason", "reason")]);
    match form.text("kind") {
        "list" => body.insert("devices".into(), listed(form.text("devices")).into()),
        _ => body.insert("query".into(), form.text("query").into()),
    };
    body
}

/// Counts, or stores the group.
async fn set(page: &Page, group: &str, stored: (Value, String), form: &Form) -> Result<Response, Failure> {
    let (shown, tag) = stored;
    let id = if group.is_empty() { form.text("group_id") } else { group };
    if form.is_set("count") {
        let query = with_query("/api/v1/fleet/selection", &[("query", form.text("query"))]);
        return match settle(page.api.get(&query).await)? {
            Ok(counted) => {
                let context =
                    json!({ "id": group, "group": shown, "tag": tag, "count": counted.body, "input": form.input() });
                page.render_as(StatusCode::OK, "groups/form.html", context)
            }
            Err(refusal) => form_page(page, (group, shown), &tag, Value::Null, Some((form, &refusal))),
        };
    }
    match settle(page.act(form, Method::PUT, &path(&["groups", id]), &body(form)).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/groups/{}", segment(id)), "saved")),
        Err(refusal) => form_page(page, (group, shown), &tag, Value::Null, Some((form, &refusal))),
    }
}

async fn create(page: Page, form: Form) -> Result<Response, Failure> {
    let blank = (json!({ "name": "", "query": "" }), String::new());
    let id = form.text("group_id");
    // The API replaces a group of that name; here somebody means a new one.
    if !form.is_set("count") && !id.is_empty() && !page.api.find(&path(&["groups", id])).await?.is_null() {
        let taken = Refusal::of_input(
            "exists",
            format!("There is a group {id} already. Choose another id, or change that group."),
        );
        return form_page(&page, ("", blank.0), "", Value::Null, Some((&form, &taken)));
    }
    set(&page, "", blank, &form).await
}

async fn change(page: Page, Path(group): Path<String>, form: Form) -> Result<Response, Failure> {
    let stored = stored(&page, &group).await?;
    set(&page, &group, stored, &form).await
}

async fn remove_form(page: Page, Path(group): Path<String>) -> Result<Response, Failure> {
    remove_page(&page, &group, None).await
}

async fn remove_page(page: &Page, group: &str, refused: Refused<'_>) -> Result<Response, Failure> {
    let answer = page.api.get(&path(&["groups", group])).await?;
    acts::show(page, "groups/remove.html", json!({ "group": answer.body, "tag": answer.tag() }), refused)
}

async fn remove(page: Page, Path(group): Path<String>, form: Form) -> Result<Response, Failure> {
    if let Err(refusal) = check_typed(&form, &group) {
        return remove_page(&page, &group, Some((&form, &refusal))).await;
    }
    let body = json!({ "reason": form.text("reason") });
    match settle(page.act(&form, Method::DELETE, &path(&["groups", &group]), &body).await)? {
        Ok(_) => Ok(done(&format!("{ROOT}/groups"), "removed")),
        Err(refusal) => remove_page(&page, &group, Some((&form, &refusal))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_group_is_a_list_or_a_query() {
        let list = body(&Form::of_texts(&[
            ("name", "N"),
            ("kind", "list"),
            ("devices", "D-1, D-2;\nD-3\r\n"),
            ("query", "x=1"),
            ("reason", "r"),
        ]));
        assert_eq!(Value::from(list), json!({ "name": "N", "devices": ["D-1", "D-2", "D-3"], "reason": "r" }));
        let query = body(&Form::of_texts(&[
            ("name", "N"),
            ("kind", "query"),
            ("devices", "D-1"),
            ("query", "x=1"),
            ("reason", "r"),
        ]));
        assert_eq!(Value::from(query), json!({ "name": "N", "query": "x=1", "reason": "r" }));
    }
}
