//! The one way in which lists are asked for: `filter`, `sort`, `limit`, `cursor`. An answer is an array; where it does not end, its header `Link`
//! (RFC 8288) leads on. A cursor is a place in the order, so nothing is shown twice or passed over while things come and go.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Bound;
use std::str::FromStr;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::filter::{Filter, order};
use mdfm_coordinator_core::presence::{Reach, Standing};
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::rollout::Status;
use mdfm_coordinator_core::rollout::fitness::nearest;
use mdfm_shared::telemetry::InstallState;

/// Items of one answer, unless more are asked for.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Items looked at for one answer: what a filter leaves of more comes with the next one.
const LOOKED_AT_MAX: usize = 20_000;
/// Items that are passed over for one answer because a field that is known without making the item rules them out: some hundred nanoseconds each.
const PASSED_MAX: usize = 200_000;
/// Items that are sorted by another field than their id, after those are ruled out.
const SORTED_MAX: usize = 20_000;

/// Which items, in which order, and how many of them.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Conditions, separated by commas, all of which hold: `field=value`, `!=`, `<`, `<=`, `>`, `>=`. A value that ends in `*` is a beginning; one
    /// with a comma or a quote stands in double quotes (`\"` and `\\` in them for `"` and `\`); `null` is nothing. Version labels order as docs/versions.md says. Fields inside others are written with dots.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// A field; with `-` before it the other way round. By id without.
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<String>,
    /// Items of one answer, 1 to 1,000; 100 without.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    /// Where to go on, from the header `Link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

fn wrong(field: &str, problem: impl std::fmt::Display) -> Problem {
    Refusal::invalid(field, problem).into()
}

/// A field of an item; `null` if it is left out there.
fn field<'a>(item: &'a Value, name: &str) -> &'a Value {
    name.split('.').fold(item, |found, part| found.get(part).unwrap_or(&Value::Null))
}

/// Characters that an error repeats of a name or a value.
const SHOWN_CHARS_MAX: usize = 64;
/// Descriptions inside descriptions that are followed.
const DEPTH_MAX: usize = 8;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(&shown(word), known);
    near.map_or_else(String::new, |near| format!(" (did you mean {near:?}?)"))
}

/// The fields of the items of a list, and the words that they can have, as the API describes them: an empty list has them too.
struct Shape {
    root: Value,
    parts: BTreeMap<String, Value>,
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        let json = |schema: &RefOr<Schema>| serde_json::to_value(schema).unwrap_or_default();
        let parts = parts.iter().map(|(name, schema)| (name.clone(), json(schema))).collect();
        Self { root: json(&T::schema()), parts }
    }

    /// What a description stands for: itself, what it refers to, or each of its alternatives.
    fn expand<'a>(&'a self, schema: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
        if depth == DEPTH_MAX {
            return;
        }
        if let Some(part) = schema["$ref"].as_str().and_then(|path| self.parts.get(path.rsplit('/').next()?)) {
            return self.expand(part, depth + 1, found);
        }
        let inner: Vec<&Value> =
            ["oneOf", "allOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect();
        if inner.is_empty() {
            found.push(schema);
        }
        inner.into_iter().for_each(|schema| self.expand(schema, depth + 1, found));
    }

    fn expanded<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let mut found = Vec::new();
        self.expand(schema, 0, &mut found);
        found
    }

    fn names(&self) -> Vec<&str> {
        let objects = self.expanded(&self.root).into_iter().filter_map(|object| object["properties"].as_object());
        objects.flat_map(|object| object.keys()).map(String::as_str).collect()
    }

    /// Refuses a field that no item has; `parameter` is where it is named.
    fn check_field(&self, parameter: &str, name: &str) -> Result<(), Refusal> {
        let known = self.names();
        if known.contains(&name.split('.').next().unwrap_or(name)) {
            return Ok(());
        }
        let meant = meant(name, known.iter().copied());
        let problem = format!("there is no field {:?}{meant}; there are {}", shown(name), known.join(", "));
        Err(Refusal::invalid(parameter, problem))
    }

    /// The words that a field can have; `None` if it takes any value.
    fn words(&self, name: &str) -> Option<Vec<String>> {
        if let Some((_, words)) = UNDESCRIBED.iter().find(|(field, _)| *field == name) {
            return Some(words());
        }
        let mut schemas = self.expanded(&self.root);
        for part in name.split('.') {
            let inner = schemas.iter().filter_map(|schema| schema["properties"].get(part));
            schemas = inner.flat_map(|schema| self.expanded(schema)).collect();
        }
        let items = schemas.into_iter().flat_map(|schema| match schema.get("items") {
            Some(items) => self.expanded(items),
            None => vec![schema],
        });
        let mut words = Vec::new();
        for schema in items {
            let is = |kind: &str| match &schema["type"] {
                Value::Array(kinds) => kinds.iter().all(|k| k == kind || k == "null"),
                one => one == kind,
            };
            match schema["enum"].as_array() {
                Some(known) => words.extend(known.iter().filter_map(Value::as_str).map(str::to_owned)),
                None if is("null") => {}
                None if is("boolean") => words.extend(["true", "false"].map(str::to_owned)),
                None => return None,
            }
        }
        Some(words).filter(|words| !words.is_empty())
    }

    /// Refuses a filter by a field that no item has, or by a word that the field can never have: it would find nothing, whatever there is.
    fn check_filter(&self, filter: &Filter) -> Result<(), Refusal> {
        for (name, value, is_beginning) in filter.conditions() {
            self.check_field("filter", name)?;
            let Some(known) = self.words(name) else { continue };
            let fits = |word: &String| word == value || is_beginning && word.starts_with(value);
            if value != "null" && !known.iter().any(fits) {
                let meant = meant(value, known.iter().map(String::as_str));
                let problem = format!("{name} is never {:?}{meant}; it is one of {}", shown(value), known.join(", "));
                return Err(Refusal::invalid("filter", problem));
            }
        }
        Ok(())
    }
}

/// A field's name and its words.
type Words = (&'static str, fn() -> Vec<String>);

/// Fields with a closed set of words that the API's description shows as text.
const UNDESCRIBED: [Words; 3] = [
    ("installState", || words_of::<InstallState>(&Value::from("?"))),
    ("status.name", || words_of::<Status>(&serde_json::json!({ "name": "?" }))),
    ("presence", || {
        let reach = [Reach::Unknown, Reach::Attached, Reach::Detached, Reach::Unreachable].map(serde_json::to_value);
        let standing = [Standing::Online, Standing::Silent, Standing::Offline].map(serde_json::to_value);
        let words = reach.into_iter().chain(standing).flatten();
        words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }),
];

/// The words of a type, as its decoder names them when it refuses another one.
fn words_of<T: serde::de::DeserializeOwned>(other: &Value) -> Vec<String> {
    let Some(error) = T::deserialize(other).err().map(|error| error.to_string()) else { return Vec::new() };
    let known = error.split_once("expected").map_or("", |(_, known)| known);
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Lists in the order of their ids, and the field with the id: a filter by it leads to its place,
/// however long the list is.
const ID_FIELDS: [(&str, &str); 9] = [
    ("/api/v1/deployments", "deploymentId"),
    ("/api/v1/devices", "deviceId"),
    ("/api/v1/firmware", "firmwareId"),
    ("/api/v1/gateways", "gatewayId"),
    ("/api/v1/groups", "groupId"),
    ("/api/v1/hospitals", "hospitalId"),
    ("/api/v1/incidents", "incidentId"),
    ("/api/v1/recalls", "recallId"),
    ("/api/v1/users", "userId"),
];

/// The beginning that the ids of all items of the list at `path` have which the filter lets
/// through; empty if it does not say.
fn beginning<'f>(filter: &'f Filter, path: &str) -> &'f str {
    let field = ID_FIELDS.iter().find(|(list, _)| *list == path).map(|(_, field)| *field);
    field.and_then(|field| filter.demanded(field)).filter(|(value, _)| *value != "null").map_or("", |(value, _)| value)
}

/// A place in a list: the value that it is sorted by, the id, and the sort for which it holds.
#[derive(Serialize, Deserialize)]
struct Cursor(Option<Value>, String, Option<String>);

impl ListQuery {
    /// One answer out of what `sees` lets through of `items`, at the API's `path`.
    ///
    /// # Errors
    /// The question makes no sense.
    pub(super) fn page<'a, K: Id, V, T: Serialize + ToSchema>(
        &self,
        path: &str,
        items: &'a BTreeMap<K, V>,
        sees: impl Fn(&K, &V) -> bool,
        view: impl Fn(&'a K, &'a V) -> T,
    ) -> Result<Response, Problem> {
        self.page_knowing(path, items, sees, |_, _, _| None, view)
    }

    /// The same, where `known` returns some fields of an item, as its view has them, without making the view. Filters by these go through a large
    /// fleet in one answer.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub(super) fn page_knowing<'a, K: Id, V, T: Serialize + ToSchema>(
        &self,
        path: &str,
        items: &'a BTreeMap<K, V>,
        sees: impl Fn(&K, &V) -> bool,
        known: impl Fn(&K, &V, &str) -> Option<Value>,
        view: impl Fn(&'a K, &'a V) -> T,
    ) -> Result<Response, Problem> {
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(wrong("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        let filter = self.filter.as_deref().map_or(Ok(Filter::default()), Filter::parse)?;
        let shape = (!filter.is_empty() || self.sort.is_some()).then(Shape::of::<T>);
        if let Some(shape) = &shape {
            shape.check_filter(&filter)?;
            if let Some(sort) = &self.sort {
                shape.check_field("sort", sort.strip_prefix('-').unwrap_or(sort))?;
            }
        }
        let cursor = self.cursor.as_deref().map(|text| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            bytes
                .and_then(|b| serde_json::from_slice::<Cursor>(&b).ok())
                .ok_or_else(|| wrong("cursor", "is not one of ours"))
        });
        let cursor = cursor.transpose()?;
        if let Some(Cursor(_, _, sort)) = cursor.as_ref().filter(|cursor| cursor.2 != self.sort) {
            let of = |sort: &Option<String>| sort.as_ref().map_or("by id".to_owned(), |s| format!("by {s:?}"));
            let problem = format!(
                "it is of a list sorted {}, this one is sorted {}; begin without a cursor",
                of(sort),
                of(&self.sort)
            );
            return Err(Refusal::new(Class::Malformed, "malformed-cursor", format!("cursor: {problem}")).into());
        }
        // What the caller may not see is as if it were not there: it ends no page, names no place, and counts for no limit.
        let fails = |id: &K, item: &V| filter.fails_on(|name| known(id, item, name));
        let seen = Seen { items, sees: &sees, fails: &fails, known: &known };
        let shown = |id: &'a K, item: &'a V| -> Result<Option<Value>, Problem> {
            let item =
                serde_json::to_value(view(id, item)).map_err(|e| Problem::internal("the list cannot be shown", &e))?;
            let holds = filter.holds(|name| Ok(Cow::Borrowed(field(&item, name))))?;
            Ok(holds.then_some(item))
        };
        let (page, next) = match &self.sort {
            None => by_id(&seen, limit, cursor.as_ref(), beginning(&filter, path), shown)?,
            Some(sort) => by_field(&seen, limit, cursor.as_ref(), sort, shown)?,
        };
        let mut answer = axum::Json(page).into_response();
        if let Some(next) = next {
            let bytes = serde_json::to_vec(&next).map_err(|e| Problem::internal("no cursor", &e))?;
            let next = Self {
                filter: self.filter.clone(),
                sort: self.sort.clone(),
                limit: self.limit,
                cursor: Some(URL_SAFE_NO_PAD.encode(bytes)),
            };
            let query = serde_urlencoded::to_string(&next).map_err(|e| Problem::internal("no cursor", &e))?;
            let link = HeaderValue::from_str(&format!("<{path}?{query}>; rel=\"next\""));
            answer.headers_mut().insert(header::LINK, link.map_err(|e| Problem::internal("no cursor", &e))?);
        }
        Ok(answer)
    }
}

/// What lists are ordered by.
pub(super) trait Id: Ord + Display + FromStr {}

impl<K: Ord + Display + FromStr> Id for K {}

type Page = (Vec<Value>, Option<Cursor>);

/// The items that the caller may see.
struct Seen<'a, 's, K, V> {
    items: &'a BTreeMap<K, V>,
    sees: &'s dyn Fn(&K, &V) -> bool,
    /// Whether the filter rules the item out without its view.
    fails: &'s dyn Fn(&K, &V) -> bool,
    /// A field of the item, if it is known without its view.
    known: &'s dyn Fn(&K, &V, &str) -> Option<Value>,
}

impl<'a, K: Ord, V> Seen<'a, '_, K, V> {
    fn from(&self, begin: Bound<K>) -> impl Iterator<Item = (&'a K, &'a V)> {
        self.items.range((begin, Bound::Unbounded)).filter(|(id, item)| (self.sees)(id, item))
    }
}

fn by_id<'a, K: Id, V>(
    seen: &Seen<'a, '_, K, V>,
    limit: usize,
    cursor: Option<&Cursor>,
    beginning: &str,
    shown: impl Fn(&'a K, &'a V) -> Result<Option<Value>, Problem>,
) -> Result<Page, Problem> {
    // A beginning that is not itself an id is looked for from the first one.
    let first = beginning.parse::<K>().ok().filter(|first| first.to_string() == beginning);
    let is_placed = first.is_some();
    let begin = match cursor {
        None => first.map_or(Bound::Unbounded, Bound::Included),
        Some(Cursor(_, last, _)) => {
            Bound::Excluded(last.parse::<K>().map_err(|_| wrong("cursor", "is not one of ours"))?)
        }
    };
    let mut page = Vec::new();
    let mut last: Option<&K> = None;
    let (mut looked_at, mut passed) = (0, 0);
    for (id, item) in seen.from(begin) {
        if is_placed && !id.to_string().starts_with(beginning) {
            break;
        }
        let fails = (seen.fails)(id, item);
        if !fails && page.len() == limit || looked_at == LOOKED_AT_MAX || passed == PASSED_MAX {
            return Ok((page, last.map(|id| Cursor(None, id.to_string(), None))));
        }
        last = Some(id);
        if fails {
            passed += 1;
        } else {
            looked_at += 1;
            page.extend(shown(id, item)?);
        }
    }
    Ok((page, None))
}

fn by_field<'a, K: Id, V>(
    seen: &Seen<'a, '_, K, V>,
    limit: usize,
    cursor: Option<&Cursor>,
    sort: &str,
    shown: impl Fn(&'a K, &'a V) -> Result<Option<Value>, Problem>,
) -> Result<Page, Problem> {
    let (name, is_down) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
    let left = || seen.from(Bound::Unbounded).filter(|(id, item)| !(seen.fails)(id, item));
    if left().nth(SORTED_MAX).is_some() {
        let detail = format!(
            "there are more than {SORTED_MAX} to sort; filter them first (by hospitalId, for example), or go through them by id, without `sort`"
        );
        return Err(Refusal::new(Class::Invalid, "too-many-to-sort", detail).into());
    }
    // By a field that is known the views of one page are made, not those of all.
    let mut found = Vec::new();
    for (id, item) in left() {
        match (seen.known)(id, item, name) {
            Some(value) => found.push((value, id, Made::Not(item))),
            None => found.extend(shown(id, item)?.map(|view| (field(&view, name).clone(), id, Made::View(view)))),
        }
    }
    let direction = |ordering: Ordering| if is_down { ordering.reverse() } else { ordering };
    found.sort_by(|a, b| direction(order(name, &a.0, &b.0)).then(a.1.cmp(b.1)));
    let begin = match cursor {
        None => None,
        Some(Cursor(value, last, _)) => {
            let last = last.parse::<K>().map_err(|_| wrong("cursor", "is not one of ours"))?;
            Some((value.clone().unwrap_or_default(), last))
        }
    };
    let is_behind = |value: &Value, id: &K| {
        begin.as_ref().is_none_or(|(held, last)| direction(order(name, value, held)).then(id.cmp(last)).is_gt())
    };
    let mut page = Vec::new();
    let mut last = None;
    for (value, id, made) in found.into_iter().filter(|(value, id, _)| is_behind(value, id)) {
        let view = match made {
            Made::View(view) => Some(view),
            Made::Not(item) => shown(id, item)?,
        };
        let Some(view) = view else { continue };
        if page.len() == limit {
            return Ok((page, last));
        }
        last = Some(Cursor(Some(value), id.to_string(), Some(sort.to_owned())));
        page.push(view);
    }
    Ok((page, None))
}

/// An item that is sorted.
enum Made<'a, V> {
    /// Its view is made when the page reaches it.
    Not(&'a V),
    /// Its view was needed to know by what it is sorted, and the filter lets it through.
    View(Value),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn items() -> BTreeMap<String, Value> {
        let item = |n: usize| {
            let id = format!("DEV-{n:03}");
            let roles = if n.is_multiple_of(3) { json!(["Admin", "QA"]) } else { json!(["QA"]) };
            let view = json!({
                "deviceId": id, "size": n % 7, "model": if n.is_multiple_of(2) { "Pump 7, blue" } else { "Monitor" },
                "roles": roles, "running": { "version": format!("2.{n}") }, "gateway": if n == 5 { json!("GW-1") } else { Value::Null },
            });
            (id, view)
        };
        (0..250).map(item).collect()
    }

    #[derive(Serialize, ToSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its description is used")]
    enum Colour {
        Blue,
        LightGreen,
    }

    #[derive(Serialize, ToSchema)]
    struct Running {
        version: String,
    }

    /// Only its description is used.
    #[derive(Serialize, ToSchema)]
    #[serde(rename_all = "camelCase")]
    struct Described {
        device_id: String,
        size: u64,
        model: String,
        roles: Vec<mdfm_coordinator_core::access::AccessRole>,
        running: Running,
        gateway: Option<String>,
        colour: Option<Colour>,
        is_shown: Option<bool>,
        install_state: Option<String>,
    }

    /// An item that is shown as it is.
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Item(Value);

    impl utoipa::PartialSchema for Item {
        fn schema() -> RefOr<Schema> {
            Described::schema()
        }
    }

    impl ToSchema for Item {
        fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
            Described::schemas(parts);
        }
    }

    #[test]
    fn fld_a_filter_by_hospital_goes_through_a_large_fleet() {
        let number = |n: usize| (format!("DEV-{n:06}"), n);
        let items: BTreeMap<String, usize> = (0..PASSED_MAX - 1).map(number).collect();
        let known =
            |_: &String, n: &usize, name: &str| (name == "model").then(|| Value::from(format!("M{}", n % 50_000)));
        let view = |id: &String, n: &usize| Item(json!({ "deviceId": id, "model": format!("M{}", n % 50_000) }));
        for sort in [None, Some("-deviceId".to_owned())] {
            let query = ListQuery { filter: Some("model=M7".into()), sort, ..ListQuery::default() };
            let answer = query.page_knowing("/api/v1/x", &items, |_, _| true, known, view);
            let answer = answer.unwrap_or_else(|_| panic!("four of a large fleet are found and sorted"));
            assert_eq!(answer.headers().get(header::LINK), None, "one answer is enough");
        }
    }

    #[test]
    fn console_a_sorted_page_makes_its_own_views_alone() {
        let items: BTreeMap<String, usize> = (0..500).map(|n| (format!("D-{n:03}"), n)).collect();
        let made = std::cell::Cell::new(0);
        let known = |_: &String, n: &usize, name: &str| match name {
            "size" => Some(Value::from(n % 100)),
            "model" => Some(Value::from(if n.is_multiple_of(2) { "even" } else { "odd" })),
            _ => None,
        };
        let view = |id: &String, n: &usize| {
            made.set(made.get() + 1);
            Item(json!({ "deviceId": id, "size": n % 100, "model": if n.is_multiple_of(2) { "even" } else { "odd" } }))
        };
        let mut query =
            ListQuery { filter: Some("model=odd".into()), sort: Some("-size".into()), limit: Some(10), cursor: None };
        let mut ids = Vec::new();
        loop {
            let answer = query.page_knowing("/api/v1/x", &items, |_, _| true, known, view);
            let answer = answer.unwrap_or_else(|_| panic!("a page"));
            assert!(made.replace(0) <= 11, "one page, and whether another follows");
            let link = answer.headers().get(header::LINK).map(|link| link.to_str().expect("text").to_owned());
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            let body = runtime.block_on(axum::body::to_bytes(answer.into_body(), 1 << 22)).expect("body");
            let page: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
            ids.extend(page.iter().map(|item| item["deviceId"].as_str().expect("an id").to_owned()));
            let Some(link) = link else { break };
            let next = link.split_once('?').and_then(|(_, q)| q.split_once('>')).expect("a link").0;
            query = serde_urlencoded::from_str(next).expect("our own query");
        }
        assert_eq!((ids.len(), &*ids[0], &*ids[249]), (250, "D-099", "D-401"), "each once, in their order");
    }

    fn ask(query: &ListQuery) -> Result<(Vec<Value>, Option<ListQuery>), String> {
        ask_of(&items(), query)
    }

    #[test]
    fn console_a_filter_by_id_finds_it_in_a_long_list() {
        let number = |n: usize| (format!("DEV-{n:06}"), n);
        let items: BTreeMap<String, usize> = (0..3 * LOOKED_AT_MAX).map(number).collect();
        let looked_at = std::cell::Cell::new(0);
        let ids = |filter: &str| {
            let view = |id: &String, _: &usize| {
                looked_at.set(looked_at.get() + 1);
                Item(json!({ "deviceId": id, "gatewayId": id }))
            };
            let query = ListQuery { filter: Some(filter.into()), ..ListQuery::default() };
            let answer = query.page("/api/v1/devices", &items, |_, _| true, view).expect("a good question");
            let is_more = answer.headers().contains_key(header::LINK);
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            let body = runtime.block_on(axum::body::to_bytes(answer.into_body(), 1 << 22)).expect("body");
            let page: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
            (page.len(), page.first().map(|item| item["deviceId"].clone()), is_more, looked_at.replace(0))
        };
        assert_eq!(ids("deviceId=DEV-059999"), (1, Some(json!("DEV-059999")), false, 1));
        assert_eq!(ids("deviceId=DEV-05999*"), (10, Some(json!("DEV-059990")), false, 10));
        assert_eq!(ids("deviceId=DEV-0*").0, LIMIT);
        assert_eq!(ids("deviceId=DEV-1*"), (0, None, false, 0), "nothing begins so");
        assert_eq!(ids("deviceId!=DEV-000000").1, Some(json!("DEV-000001")), "what is not demanded excludes nothing");
        assert_eq!(ids("deviceId>=DEV-000001").1, Some(json!("DEV-000001")));
    }

    #[test]
    fn sec_19_a_page_says_nothing_of_what_is_not_seen() {
        let number = |n: usize| (format!("DEV-{n:06}"), n);
        let items: BTreeMap<String, usize> = (0..2 * LOOKED_AT_MAX + 50).map(number).collect();
        let own = |n: usize| n.is_multiple_of(10_000) && n < 30_000;
        let page = |query: &ListQuery| {
            let view = |id: &String, _: &usize| Item(json!({ "deviceId": id }));
            let answer = query
                .page("/api/v1/x", &items, |_, n| own(*n), view)
                .map_err(|e| serde_json::to_string(&e).expect("encodes"))?;
            Ok::<_, String>(answer.headers().get(header::LINK).map(|link| link.to_str().expect("text").to_owned()))
        };
        let first = |limit| ListQuery { limit: Some(limit), ..ListQuery::default() };
        assert_eq!(page(&first(3)), Ok(None), "nothing of its own follows");
        assert!(page(&first(2)).is_ok_and(|link| link.is_some()), "one of its own follows");
        let nothing = ListQuery { filter: Some("model=NOPE".into()), ..ListQuery::default() };
        assert_eq!(page(&nothing), Ok(None), "no place in a list that is not the caller's");
        let sorted = ListQuery { sort: Some("-deviceId".into()), ..ListQuery::default() };
        assert_eq!(page(&sorted), Ok(None), "three are sorted, however many there are of others");
    }

    fn ask_of(items: &BTreeMap<String, Value>, query: &ListQuery) -> Result<(Vec<Value>, Option<ListQuery>), String> {
        let answer = query
            .page("/api/v1/x", items, |_, _| true, |_, view| Item(view.clone()))
            .map_err(|problem| serde_json::to_string(&problem).expect("encodes"))?;
        let link = answer.headers().get(header::LINK).map(|l| l.to_str().expect("text").to_owned());
        let next = link.map(|l| {
            let query = l.split_once('?').and_then(|(_, q)| q.split_once('>')).expect("a link").0.to_owned();
            serde_urlencoded::from_str(&query).expect("our own query")
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let read =
            |answer: Response| runtime.block_on(axum::body::to_bytes(answer.into_body(), 1 << 22)).expect("body");
        let body = read(answer);
        // What is known without the view changes nothing of what is found.
        let known = |_: &String, item: &Value, name: &str| (name != "size").then(|| field(item, name).clone());
        let quick = query.page_knowing("/api/v1/x", items, |_, _| true, known, |_, view| Item(view.clone()));
        if items.len() < LOOKED_AT_MAX {
            let quick = quick.unwrap_or_else(|_| panic!("{:?} was answered before", query.filter));
            assert_eq!(read(quick), body, "{:?} sorted by {:?}", query.filter, query.sort);
        }
        Ok((serde_json::from_slice(&body).expect("JSON"), next))
    }

    fn all(filter: &str, sort: Option<&str>, limit: usize) -> Vec<String> {
        let mut query = ListQuery {
            filter: (!filter.is_empty()).then(|| filter.to_owned()),
            sort: sort.map(str::to_owned),
            limit: Some(limit),
            cursor: None,
        };
        let mut ids = Vec::new();
        loop {
            let (page, next) = ask(&query).expect("a good question");
            assert!(page.len() <= limit);
            ids.extend(page.iter().map(|i| i["deviceId"].as_str().expect("id").to_owned()));
            match next {
                Some(next) => query = next,
                None => return ids,
            }
        }
    }

    #[test]
    fn seed_api_lists_are_filtered_sorted_and_paged() {
        assert_eq!(ask(&ListQuery::default()).expect("good").0.len(), LIMIT);
        assert_eq!(all("", None, 17).len(), 250);
        assert_eq!(all("deviceId=DEV-01*", None, 4).len(), 10);
        assert_eq!(all("size>=5,size!=6", None, 1_000).len(), 35);
        assert_eq!(all("model=\"Pump 7, blue\",roles=Admin", None, 10).len(), 42);
        assert_eq!(all("roles!=Admin", None, 100).len(), 166);
        assert_eq!(all("gateway!=null", None, 1), ["DEV-005"]);
        assert_eq!(all("running.version=2.249", None, 1), ["DEV-249"]);
        let sorted = all("deviceId<DEV-010", Some("-size"), 3);
        assert_eq!(
            sorted,
            [
                "DEV-006", "DEV-005", "DEV-004", "DEV-003", "DEV-002", "DEV-009", "DEV-001", "DEV-008", "DEV-000",
                "DEV-007"
            ]
        );
    }

    #[test]
    fn att_15_questions_that_make_no_sense_are_named() {
        let with = |filter: &str, sort: Option<&str>, limit, cursor: Option<&str>| {
            let query = ListQuery {
                filter: Some(filter.into()),
                sort: sort.map(str::to_owned),
                limit,
                cursor: cursor.map(str::to_owned),
            };
            ask(&query).expect_err(filter)
        };
        for (filter, sort, limit, cursor, says) in [
            ("serial=1", None, None, None, "there is no field \\\"serial\\\"; there are colour, deviceId"),
            ("deviceId", None, None, None, "is not a condition"),
            ("deviceId!1", None, None, None, "is not a condition"),
            ("", Some("-nothing"), None, None, "there is no field"),
            ("", None, Some(0), None, "must be 1 to"),
            ("", None, Some(1_001), None, "must be 1 to"),
            ("", None, None, Some("%%%"), "is not one of ours"),
            ("", None, None, Some("bm9uZQ"), "is not one of ours"),
            ("", Some("size"), None, Some("%%%"), "is not one of ours"),
            (&"a=1,".repeat(40), None, None, None, "at most 16"),
        ] {
            let problem = with(filter, sort, limit, cursor);
            assert!(problem.replace("\\\\", "\\").contains(says), "{problem}; expected {says}");
        }
    }

    #[test]
    fn cli_25_an_unknown_field_or_word_is_refused_on_any_list() {
        let query = |filter: Option<&str>, sort: Option<&str>| ListQuery {
            filter: filter.map(str::to_owned),
            sort: sort.map(str::to_owned),
            ..ListQuery::default()
        };
        let none = BTreeMap::new();
        for items in [&items(), &none] {
            for (filter, sort, says) in [
                (Some("serial=1"), None, "filter: there is no field \\\"serial\\\"; there are "),
                (Some("modle=x"), None, "did you mean \\\"model\\\"?"),
                (None, Some("-nothing"), "sort: there is no field \\\"nothing\\\""),
                (Some("colour=blu"), None, "(did you mean \\\"blue\\\"?); it is one of blue, lightGreen"),
                (Some("colour=LightGreen"), None, "did you mean \\\"lightGreen\\\"?"),
                (Some("colour="), None, "colour is never"),
                (Some("colour!=red"), None, "colour is never"),
                (Some("isShown=yes"), None, "it is one of true, false"),
                (Some("roles=Operater"), None, "did you mean \\\"Operator\\\"?"),
                (Some("installState=confirmd"), None, "did you mean \\\"confirmed\\\"?"),
            ] {
                let problem = ask_of(items, &query(filter, sort)).expect_err(says);
                assert!(problem.contains(says), "{problem}; expected {says}");
            }
            for filter in
                ["colour=light*", "colour=null", "isShown!=true", "roles=QA", "model=anything", "installState=idle"]
            {
                ask_of(items, &query(Some(filter), Some("colour"))).expect(filter);
            }
        }
        let words = words_of::<Status>(&json!({ "name": "?" }));
        assert!(words.contains(&"rolledBack".to_owned()) && words.len() == 9, "{words:?}");
    }

    #[test]
    fn fld_22_a_cursor_is_for_its_own_sort_alone() {
        let query = |sort: Option<&str>, cursor: Option<String>| ListQuery {
            filter: None,
            sort: sort.map(str::to_owned),
            limit: Some(10),
            cursor,
        };
        let cursor_of = |sort| ask(&query(sort, None)).expect("a page").1.expect("there is more").cursor;
        for (made, used) in
            [(None, Some("size")), (Some("size"), None), (Some("size"), Some("-size")), (Some("size"), Some("model"))]
        {
            let problem = ask(&query(used, cursor_of(made))).expect_err("another sort");
            assert!(problem.contains("it is of a list sorted"), "{problem}");
            let code = mdfm_shared::fixture::page::symptom("Somebody is refused", "malformed-cursor");
            assert!(problem.contains(code.words()), "{problem}");
        }
        assert_eq!(ask(&query(Some("-size"), cursor_of(Some("-size")))).expect("the same sort").0.len(), 10);
        assert_eq!(ask(&query(None, cursor_of(None))).expect("the same sort").0.len(), 10);
    }

    #[test]
    fn fld_9_lists_sort_versions_as_people_read_them() {
        let sorted = all("running.version>=2.98,running.version<2.102", Some("running.version"), 3);
        assert_eq!(sorted, ["DEV-098", "DEV-099", "DEV-100", "DEV-101"]);
    }

    proptest! {
        #[test]
        fn no_filter_makes_it_panic(filter in ".{0,60}", sort in "[-a-z.]{0,8}") {
            let _ = ask(&ListQuery { filter: Some(filter), sort: Some(sort), ..ListQuery::default() });
        }
    }
}
