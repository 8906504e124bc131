//! The API's document as a page: everything in it stands in the HTML, and it needs no script.

use minijinja::value::Serde;
use minijinja::{Environment, Value as Filled};
use serde::Serialize;
use serde_json::Value;

use super::rights;

const TEMPLATE: &str = include_str!("page.html");

/// The page's own policy: its style is in it, all else is forbidden as everywhere.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

#[derive(Serialize)]
struct Parameter {
    name: String,
    place: String,
    required: bool,
    kind: String,
    words: String,
}

#[derive(Serialize)]
struct Answer {
    status: String,
    words: String,
    schema: String,
}

#[derive(Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    words: String,
    right: String,
    action: String,
    parameters: Vec<Parameter>,
    body: String,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    kind: String,
    required: bool,
    words: String,
}

#[derive(Serialize)]
struct Schema {
    name: String,
    words: String,
    fields: Vec<Field>,
    values: Vec<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    info: &'a Value,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A schema's type in a few words; of a named one its name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(all) = schema["oneOf"].as_array().or(schema["allOf"].as_array()) {
        return all.iter().map(kind).filter(|k| k != "null").collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(one) => one.clone(),
        Value::Array(some) => some.iter().map(text).filter(|k| k != "null").collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

/// The type of the first content of a body or an answer.
fn content(value: &Value) -> String {
    let first = value["content"].as_object().and_then(|c| c.iter().next());
    first.map(|(media, content)| format!("{} ({media})", kind(&content["schema"]))).unwrap_or_default()
}

fn operation(document: &Value, method: &str, path: &str, right: String, action: &str) -> Operation {
    let shown = path.replace("{*", "{");
    let described = &document["paths"][&shown][method.to_lowercase()];
    let parameters = described["parameters"].as_array().into_iter().flatten().map(|p| Parameter {
        name: text(&p["name"]),
        place: text(&p["in"]),
        required: p["required"] == true,
        kind: kind(&p["schema"]),
        words: text(&p["description"]),
    });
    let answers = described["responses"].as_object().into_iter().flatten().map(|(status, answer)| Answer {
        status: status.clone(),
        words: text(&answer["description"]),
        schema: content(answer),
    });
    Operation {
        id: format!("{method}{}", shown.replace(['/', '{', '}'], "-")),
        method: method.to_owned(),
        words: [text(&described["summary"]), text(&described["description"])].join(" ").trim().to_owned(),
        right,
        action: action.to_owned(),
        parameters: parameters.collect(),
        body: content(&described["requestBody"]),
        answers: answers.collect(),
        path: shown,
    }
}

fn schema(name: &str, schema: &Value) -> Schema {
    let required: Vec<String> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    let fields = schema["properties"].as_object().into_iter().flatten().map(|(field, described)| Field {
        name: field.clone(),
        kind: kind(described),
        required: required.contains(field),
        words: text(&described["description"]),
    });
    Schema {
        name: name.to_owned(),
        words: text(&schema["description"]),
        fields: fields.collect(),
        values: schema["enum"].as_array().into_iter().flatten().map(text).collect(),
    }
}

/// Makes the page of a document.
///
/// # Errors
/// The template is wrong; a defect.
pub(super) fn make(document: &Value) -> Result<String, minijinja::Error> {
    let mut operations: Vec<Operation> = rights::all()
        .map(|(right, (method, path, action))| operation(document, method, path, right.name(), action))
        .collect();
    operations.sort_by(|a, b| a.path.cmp(&b.path).then(a.method.cmp(&b.method)));
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let schemas: Vec<Schema> = schemas.map(|(name, described)| schema(name, described)).collect();
    let info = &document["info"];
    let mut environment = Environment::new();
    // The name's ending makes every value escaped.
    environment.add_template("page.html", TEMPLATE)?;
    environment.get_template("page.html")?.render(Filled::from(Serde(&Page { info, operations, schemas })))
}
