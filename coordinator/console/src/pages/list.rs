//! What all lists have: filter, order, pages by cursor.

use serde_json::{Value, json};

use crate::api::with_query;
use crate::failure::Failure;
use crate::page::Page;

/// Rows of one page.
const ROWS: &str = "100";

/// One page of a list of the API, with what the template needs for the controls. A filter that is not valid is shown with the API's words, and no rows.
///
/// # Errors
/// As [`crate::api::Api::get`], except for such a filter.
pub(crate) async fn page_of(page: &Page, path: &str) -> Result<Value, Failure> {
    let (filter, sort, cursor) = (page.query("filter"), page.query("sort"), page.query("cursor"));
    let query = [("filter", filter), ("sort", sort), ("cursor", cursor), ("limit", ROWS)];
    let (items, next, problem) = match page.api.get(&with_query(path, &query)).await {
        Ok(answer) => (answer.body.clone(), answer.next_cursor(), Value::Null),
        Err(Failure::Refused(refusal)) if refusal.status == 400 => (json!([]), None, json!(refusal)),
        Err(other) => return Err(other),
    };
    Ok(
        json!({ "items": items, "next": next, "is_first": cursor.is_empty(), "filter": filter, "sort": sort, "problem": problem }),
    )
}
