//! Every route.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Extensions, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use mdfm_shared::network::network;
use mdfm_shared::record::{ActorKind, RequestMark};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admission::{self, Class as Admission};
use super::admission::{BODY_BYTES_MAX, LIST_BYTES_MAX};
use super::body::paced;
use super::idempotency;
use super::problem::{TOO_MANY_REQUESTS, Unrecorded};
use super::request::{Origin, without_tokens};
use super::rights::{self, Right};
use super::{
    Api, Problem, agent, approvals, bundles, compliance, deployment_devices, deployment_figures, deployments, devices,
    differences, displays, evidence, firmware, fleet_counts, fleet_link, fleet_versions, gateways, groups, history,
    hospitals, incidents, metrics, notices, page, people, recalls, reports, retention, rollback_orders, sessions,
    settings, single_sign_on, trust, users, watch, webhooks,
};
use crate::access::TooMany;
use crate::broker::Peer;
use crate::runner::{anonymous, gateway_actor};
use crate::traces::{Answered, Call};
use mdfm_coordinator_core::Refusal;
use mdfm_coordinator_core::access::By;
use mdfm_coordinator_core::engine::no_room;
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::urgency::Room;

/// Where the OpenAPI document is.
const DOCUMENT: &str = "/api/v1/openapi.json";
/// Where it is as a page.
const PAGE: &str = "/api/v1/docs";
/// What every answer says to a browser: nothing here is to be framed, guessed at, kept, or run as a script; and this host speaks TLS alone.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
];
/// The header that marks every answer of a trial installation, whatever was asked.
const TRIAL: HeaderName = HeaderName::from_static("mdfm-trial");
/// After which a stranger who asks too often gets the answer that says so.
const TOO_MANY_PAUSE: Duration = Duration::from_millis(250);
/// What changes something and takes a query. Any other act with one is refused: its caller meant something by it, such as `dryRun`, that would be
/// passed over.
const ACTS_WITH_QUERY: [(&str, &str); 5] = [
    ("POST", "/api/v1/deployments"),
    ("POST", "/api/v1/deployments/{deployment}/rollback"),
    ("POST", "/api/v1/devices/import"),
    ("POST", "/api/v1/firmware/{firmware}/rejection"),
    ("POST", "/api/v1/recalls"),
];
/// Characters of a path that a record keeps.
const OBJECT_CHARS_MAX: usize = 256;

#[derive(OpenApi)]
#[openapi(info(
    title = "Medical Device Firmware Manager",
    description = "Firmware for regulated medical devices: approvals, phased rollouts, audit log. Errors are problem details (RFC 9457)."
))]
struct Document;

fn documented() -> OpenApiRouter<Api> {
    let upload = OpenApiRouter::new()
        .routes(routes!(firmware::upload, bundles::image))
        .routes(routes!(firmware::upload_delta))
        .routes(routes!(firmware::attach_sbom, firmware::sbom_document))
        .layer(DefaultBodyLimit::disable());
    let lists =
        OpenApiRouter::new().routes(routes!(devices::import)).layer(DefaultBodyLimit::max(LIST_BYTES_MAX as usize));
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(sessions::open))
        .routes(routes!(single_sign_on::begin))
        .routes(routes!(single_sign_on::complete))
        .routes(routes!(single_sign_on::link))
        .routes(routes!(sessions::close))
        .routes(routes!(sessions::step_up))
        .routes(routes!(people::me))
        .routes(routes!(people::begin_factor))
        .routes(routes!(people::confirm_factor))
        .routes(routes!(people::change_password))
        .routes(routes!(people::make_key))
        .routes(routes!(people::make_token, people::list_tokens))
        .routes(routes!(people::revoke_token))
        .routes(routes!(people::all_tokens))
        .routes(routes!(displays::begin))
        .routes(routes!(displays::collect))
        .routes(routes!(displays::pair))
        .routes(routes!(displays::show))
        .routes(routes!(people::revoke_token_of))
        .routes(routes!(people::set_address))
        .routes(routes!(people::set_roles))
        .routes(routes!(people::verify_identity))
        .routes(routes!(people::confirm_training))
        .routes(routes!(settings::show, settings::set))
        .routes(routes!(users::show))
        .routes(routes!(users::roles))
        .routes(routes!(people::disable))
        .routes(routes!(people::enable))
        .routes(routes!(people::sign_out))
        .routes(routes!(people::remove_factor))
        .routes(routes!(people::reset_password))
        .routes(routes!(users::create, users::list))
        .routes(routes!(hospitals::register, hospitals::list))
        .routes(routes!(hospitals::show, hospitals::change))
        .routes(routes!(hospitals::set_policy, hospitals::change_policy))
        .routes(routes!(hospitals::cohorts))
        .routes(routes!(groups::list))
        .routes(routes!(groups::show, groups::set, groups::remove))
        .routes(routes!(groups::devices))
        .routes(routes!(gateways::register, gateways::list))
        .routes(routes!(gateways::issue_token))
        .routes(routes!(gateways::revoke))
        .routes(routes!(bundles::compose))
        .routes(routes!(bundles::deliver))
        .routes(routes!(fleet_counts::show))
        .routes(routes!(fleet_counts::select))
        .routes(routes!(fleet_versions::show))
        .routes(routes!(deployment_figures::show))
        .routes(routes!(fleet_link::show))
        .routes(routes!(devices::register, devices::list))
        .routes(routes!(devices::show, devices::change))
        .routes(routes!(devices::history))
        .routes(routes!(devices::fhir))
        .routes(routes!(devices::fhir_search))
        .routes(routes!(devices::retire))
        .routes(routes!(devices::reconcile))
        .routes(routes!(firmware::create, firmware::list))
        .routes(routes!(firmware::show))
        .routes(routes!(firmware::history))
        .routes(routes!(firmware::attach_manifest))
        .routes(routes!(firmware::parts))
        .routes(routes!(firmware::reject))
        .routes(routes!(firmware::withdraw))
        .routes(routes!(approvals::inbox, approvals::approve))
        .routes(routes!(approvals::preview))
        .routes(routes!(approvals::sign))
        .routes(routes!(approvals::preview_validation))
        .routes(routes!(approvals::sign_validation))
        .routes(routes!(deployments::create, deployments::list))
        .routes(routes!(deployments::history))
        .routes(routes!(deployments::show))
        .routes(routes!(deployment_devices::summary))
        .routes(routes!(deployment_devices::list))
        .routes(routes!(watch::watch))
        .routes(routes!(deployments::validate))
        .routes(routes!(deployments::pause))
        .routes(routes!(deployments::resume))
        .routes(routes!(deployments::abort))
        .routes(routes!(deployments::roll_back))
        .routes(routes!(deployments::consent, deployments::withdraw_consent))
        .routes(routes!(deployments::fulfil_duty))
        .routes(routes!(incidents::open, incidents::list))
        .routes(routes!(incidents::show))
        .routes(routes!(incidents::note))
        .routes(routes!(incidents::decide))
        .routes(routes!(incidents::report))
        .routes(routes!(incidents::close))
        .routes(routes!(notices::inbox))
        .routes(routes!(notices::read))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::set, webhooks::remove))
        .routes(routes!(notices::dead_letters))
        .routes(routes!(notices::retry))
        .routes(routes!(differences::against))
        .routes(routes!(differences::against_the_field))
        .routes(routes!(recalls::open, recalls::list))
        .routes(routes!(recalls::show))
        .routes(routes!(recalls::close))
        .routes(routes!(trust::show))
        .routes(routes!(trust::add_root))
        .routes(routes!(trust::add_roster))
        .routes(routes!(trust::add_withdrawals))
        .routes(routes!(trust::sign_withdrawals))
        .routes(routes!(rollback_orders::add, rollback_orders::list))
        .routes(routes!(rollback_orders::preview))
        .routes(routes!(rollback_orders::sign))
        .routes(routes!(rollback_orders::show))
        .routes(routes!(compliance::search))
        .routes(routes!(compliance::checkpoint))
        .routes(routes!(compliance::proof))
        .routes(routes!(compliance::tile))
        .routes(routes!(compliance::export))
        .routes(routes!(evidence::evidence))
        .routes(routes!(evidence::of_record))
        .routes(routes!(reports::whole))
        .routes(routes!(reports::about))
        .routes(routes!(compliance::status))
        .routes(routes!(history::state_at))
        .routes(routes!(history::difference))
        .routes(routes!(retention::show, retention::set))
        .routes(routes!(retention::place_hold))
        .routes(routes!(retention::release_hold))
        .routes(routes!(retention::propose))
        .routes(routes!(retention::confirm))
        .routes(routes!(compliance::health))
        .routes(routes!(compliance::readiness))
        .routes(routes!(metrics::metrics))
        .routes(routes!(agent::enrol))
        .routes(routes!(agent::renew))
        .routes(routes!(agent::image))
        .routes(routes!(agent::consistency))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX as usize))
        .merge(upload)
        .merge(lists)
}

/// Every operation may answer with problem details, and those have a media type of their own (RFC 9457 §3).
fn problems(paths: &mut Value) {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    let operations = paths.as_object_mut().into_iter().flat_map(|p| p.values_mut()).filter_map(Value::as_object_mut);
    for operation in operations.flat_map(|item| item.values_mut()) {
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for response in responses.values_mut() {
            if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
                && content.get("application/json").is_some_and(|c| c["schema"] == schema)
                && let Some(problem) = content.remove("application/json")
            {
                content.insert("application/problem+json".into(), problem);
            }
        }
        responses.insert(
            "default".into(),
            json!({ "description": "Problem details", "content": { "application/problem+json": { "schema": schema } } }),
        );
    }
}

/// The document with whom each operation is for.
fn described(mut document: Value) -> Value {
    for (right, (method, path, action)) in rights::all() {
        let operation = &mut document["paths"][path][method.to_lowercase()];
        operation["x-right"] = right.name().into();
        operation["x-action"] = action.into();
        operation["security"] = match right {
            Right::Anybody => json!([]),
            Right::Gateway => json!([{ "gateway": [] }]),
            Right::Own | Right::OwnShown | Right::Needs(_) | Right::Decides(..) => {
                if right.by() == Some(By::Token) {
                    json!([{ "session": [] }, { "token": [] }])
                } else {
                    json!([{ "session": [] }])
                }
            }
        };
        operation["x-by"] = json!(right.by());
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        // A rest of a path is a parameter like others: OpenAPI has no other.
        for path in paths.keys().filter(|p| p.contains("{*")).cloned().collect::<Vec<_>>() {
            let item = paths.remove(&path).unwrap_or_default();
            paths.insert(path.replace("{*", "{"), item);
        }
    }
    problems(&mut document["paths"]);
    document["components"]["securitySchemes"] = json!({
        "session": { "type": "http", "scheme": "bearer", "description": "from POST /api/v1/sessions" },
        "token": { "type": "http", "scheme": "bearer", "description": "from POST /api/v1/me/tokens, for machines" },
        "gateway": { "type": "mutualTLS", "description": "the certificate of an enrolled gateway" },
    });
    document
}

/// The router with its OpenAPI document at `/api/v1/openapi.json`.
pub(crate) fn router(api: Api) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = described(serde_json::to_value(&document).unwrap_or_default());
    let shown = page::make(&document).unwrap_or_else(|error| {
        tracing::error!(%error, "the API's page cannot be made");
        String::new()
    });
    // Encoded once: whoever asks again and again costs no more than the sending.
    let document = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let document = ([(header::CONTENT_TYPE, "application/json")], document);
    let policy = (header::CONTENT_SECURITY_POLICY, page::POLICY);
    let page = ([policy, (header::CONTENT_TYPE, "text/html; charset=utf-8")], Bytes::from(shown));
    // Whether it is a trial was decided by the first record of the log and never changes.
    let trial = api.runner.state().trial;
    let guarded = api.clone();
    let router = router
        .route(PAGE, get(move || std::future::ready(page.clone())))
        .route(DOCUMENT, get(move || std::future::ready(document.clone())))
        .fallback(|| {
            std::future::ready(Problem::from(Refusal::not_found("resource at this path; see", "/api/v1/openapi.json")))
        })
        .method_not_allowed_fallback(|| {
            let detail = "this path does not take this method; see /api/v1/openapi.json";
            std::future::ready(Problem::from(Refusal::new(Class::NotAllowed, "method", detail)))
        })
        .layer(middleware::from_fn_with_state(api.clone(), guard))
        .with_state(api);
    let router = match mdfm_console::router(router.clone(), carry, env!("CARGO_PKG_VERSION")) {
        Ok(console) => router.merge(console_routes(guarded, console)),
        Err(error) => {
            tracing::error!(%error, "the console cannot be made");
            router
        }
    };
    if trial { router.layer(middleware::map_response(mark_trial)) } else { router }
}

/// What a page of the console passes on of a request to its own requests: who is connected.
fn carry(outer: &Extensions, inner: &mut Extensions) {
    outer.get::<Peer>().map(|peer| inner.insert(peer.clone()));
}

/// The console behind the same guard as the API.
fn console_routes(api: Api, console: Router) -> Router {
    let show = move |request: Request| {
        let console = console.clone();
        async move {
            // The routes of the console are matched again: what was matched here would count as a part of them.
            let (mut parts, body) = request.into_parts();
            let outer = std::mem::take(&mut parts.extensions);
            carry(&outer, &mut parts.extensions);
            let Ok(mut response) = console.oneshot(Request::from_parts(parts, body)).await;
            if let Some(mdfm_console::Rejected { code, detail }) = response.extensions_mut().remove() {
                response.extensions_mut().insert(Unrecorded(Refusal::forbidden(code, detail)));
            }
            response
        }
    };
    Router::new()
        .route(mdfm_console::ROOT, any(show.clone()))
        .route(&format!("{}/{{*path}}", mdfm_console::ROOT), any(show.clone()))
        // Files come this way; `admission` has rows of their own for them.
        .route(&format!("{}/releases/{{release}}/image", mdfm_console::ROOT), any(show.clone()))
        .route(&format!("{}/releases/{{release}}/delta", mdfm_console::ROOT), any(show.clone()))
        .route(&format!("{}/releases/{{release}}/sbom", mdfm_console::ROOT), any(show))
        .layer(middleware::from_fn_with_state(api, guard))
}

async fn mark_trial(mut response: Response) -> Response {
    response.headers_mut().insert(TRIAL, HeaderValue::from_static("true"));
    response
}

/// Whether the caller may use this route at all.
async fn admit(api: &Api, origin: &Origin, method: &Method, path: &str, object: &str) -> Result<(), Problem> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    match rights::of(method, path) {
        Some((Right::Anybody, _)) => {}
        Some((Right::Gateway, action)) => drop(origin.need_gateway(api, action).await?),
        Some((Right::Own, action)) => drop(origin.need_self(api, action).await?),
        Some((Right::OwnShown, action)) => drop(origin.need_shown(api, action).await?),
        Some((Right::Needs(permission), action)) => drop(origin.need(api, permission, action, object).await?),
        Some((Right::Decides(permission, by), action)) => {
            drop(origin.need_by(api, permission, by, action, object).await?);
        }
        // The path does not take the method: that is said further in.
        None => {}
    }
    Ok(())
}

/// Whether this class of requests may come from there.
async fn admit_address(api: &Api, origin: &Origin, class: Admission, object: &str) -> Result<(), Problem> {
    let address = origin.peer.address.ip().to_canonical();
    if admission::admits_address(api, class, address) {
        return Ok(());
    }
    let list = if class.side() == admission::Side::People { "api_networks" } else { "gateway_networks" };
    let detail = format!("{address} is in none of the networks from which this coordinator is used ({list})");
    let refusal = Refusal::forbidden("network", detail);
    Err(origin.deny(api, anonymous(&address.to_string()), "request", object, refusal).await)
}

/// Whether the caller has not called too often: one person with all of their machines, one gateway, or all strangers of one network. A sign-in
/// by password goes on with the note that it is one too many.
async fn admit_rate(
    api: &Api,
    origin: &Origin,
    class: Admission,
    object: &str,
) -> Result<Option<sessions::TooManySignIns>, Problem> {
    let Err(TooMany { is_news }) = admission::count(api, origin, class) else { return Ok(None) };
    let actor = match (origin.peek(api), &origin.peer.gateway) {
        (Some(caller), _) => caller.actor,
        (None, Some(gateway)) => gateway_actor(gateway),
        (None, None) => anonymous(&network(origin.peer.address.ip()).to_string()),
    };
    if origin.peer.gateway.is_none() && matches!(actor.kind, ActorKind::Anonymous) {
        // A connection of a flood gets its answer late: that is all that it can do in the meantime.
        tokio::time::sleep(TOO_MANY_PAUSE).await;
    }
    if class == Admission::Password {
        return Ok(Some(sessions::TooManySignIns { is_news }));
    }
    let detail = "more requests than one caller may make (requests_per_second); wait a second";
    let refusal = Refusal::new(Class::TooOften, TOO_MANY_REQUESTS, detail);
    // A flood makes one record, not one for each of its drops.
    if is_news {
        Err(origin.deny(api, actor, "request", object, refusal).await)
    } else {
        Err(Problem::recorded(refusal))
    }
}

/// Refuses the query of an act that takes none.
fn check_query(request: &Request, path: &str) -> Result<(), Refusal> {
    let takes_one = ACTS_WITH_QUERY.contains(&(request.method().as_str(), path));
    match request.uri().query() {
        Some(query) if !query.is_empty() && !takes_one && !is_read(request.method()) => {
            let detail =
                "this call takes nothing in its query, so nothing was done; /api/v1/openapi.json says what it takes";
            Err(Refusal::new(Class::Malformed, "malformed-query", detail))
        }
        _ => Ok(()),
    }
}

/// Admits requests from their networks alone, not too often, while there is room for what they change, and to what their callers may.
async fn let_in(
    api: &Api,
    origin: &Origin,
    object: &str,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let class = admission::class_of(request.method().as_str(), matched.as_deref());
    admit_address(api, origin, class, object).await?;
    let too_many = admit_rate(api, origin, class, object).await?;
    too_many.map(|too_many| request.extensions_mut().insert(too_many));
    let (room, reads) = (api.runner.room(), is_read(request.method()));
    if !reads && room < Room::Ample && !class.is_taken_without_room() {
        return Err(Problem::recorded(no_room(room)));
    }
    let is_known = class == Admission::Console && origin.peek(api).is_some();
    let limit = admission::body_bytes_max(class, request.method().as_str(), matched.as_deref(), is_known);
    let request = if request.body().is_end_stream() { request } else { request.map(|body| paced(body, limit)) };
    if let Some(path) = matched.filter(|path| path != DOCUMENT && path != PAGE) {
        admit(api, origin, request.method(), &path, object).await?;
        check_query(&request, &path)?;
    }
    let limit = limit.map_or(BODY_BYTES_MAX as usize, |max| usize::try_from(max).unwrap_or(usize::MAX));
    idempotency::once(api, origin, limit, request, next).await
}

/// Begins the span of a request of people or their machines, where somebody wants it.
fn begin(api: &Api, request: &Request, path: &str, writes: bool) -> Option<Call> {
    let traces = api.traces.as_ref().filter(|_| path.starts_with("/api/"))?;
    traces.begin(request.headers().get("traceparent").and_then(|t| t.to_str().ok()), writes)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Around every request: who may, what every answer says, what is counted. Puts into the audit log what was refused before any handler
/// could: bodies that cannot be read, unknown paths to write to. Reads that find nothing are no attempts at anything and leave no record;
/// denied ones are recorded where they are denied.
async fn guard(State(api): State<Api>, mut origin: Origin, mut request: Request, next: Next) -> Response {
    let (began, method) = (Instant::now(), request.method().clone());
    let reads = is_read(&method);
    let path: String = without_tokens(request.uri().path()).chars().take(OBJECT_CHARS_MAX).collect();
    let call = begin(&api, &request, &path, !reads);
    if let Some(call) = &call {
        let mark = RequestMark { trace: Some(call.mark()), ..RequestMark::default() };
        request.extensions_mut().insert(mark.clone());
        origin.mark(mark);
    }
    let object: String = format!("{method} {path}").chars().take(OBJECT_CHARS_MAX).collect();
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let mut response = let_in(&api, &origin, &object, request, next).await.into_response();
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(Unrecorded(refusal)) = response.extensions_mut().remove::<Unrecorded>()
        && !reads
    {
        origin.record(&api, &object, refusal).await;
    }
    let status = response.status().as_u16();
    api.requests.note(method.as_str(), &route, status, began.elapsed());
    if let (Some(traces), Some(call)) = (&api.traces, call) {
        let client = origin.peer.address.ip().to_string();
        traces.end(call, &Answered { method: method.as_str(), route: &route, path: &path, status, client });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route without a row, or a row without a route, fails here. What the rows say is compared with the seed end to end.
    #[test]
    fn p11_10d_every_route_says_whom_it_is_for() {
        let (_, document) = documented().split_for_parts();
        let document = serde_json::to_value(&document).expect("encodes");
        let paths = document["paths"].as_object().expect("paths");
        let documented = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(|item| item.keys());
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        });
        let mut documented: Vec<_> = documented.collect();
        let mut rows: Vec<_> = rights::all().map(|(_, (m, p, _))| (m.to_owned(), p.replace("{*", "{"))).collect();
        documented.iter_mut().for_each(|(_, path)| *path = path.replace("{*", "{"));
        documented.sort();
        rows.sort();
        assert_eq!(rows, documented);
    }

    #[test]
    fn cli_2_an_act_takes_the_query_that_is_documented() {
        let (_, document) = documented().split_for_parts();
        let document = serde_json::to_value(&document).expect("encodes");
        let mut documented = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().into_iter().flatten().filter(|(method, _)| *method != "get") {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                if parameters.into_iter().any(|p| p["in"] == "query") {
                    documented.push((method.to_uppercase(), path.clone()));
                }
            }
        }
        documented.sort();
        assert_eq!(documented, ACTS_WITH_QUERY.map(|(m, p)| (m.to_owned(), p.to_owned())));
        for (method, path, uri, is_taken) in [
            ("POST", "/api/v1/deployments", "/api/v1/deployments?dryRun=true", true),
            ("POST", "/api/v1/deployments/{deployment}/abort", "/api/v1/deployments/D-1/abort?dryRun=true", false),
            ("POST", "/api/v1/deployments/{deployment}/abort", "/api/v1/deployments/D-1/abort?", true),
            ("GET", "/api/v1/health", "/api/v1/health?x", true),
        ] {
            let request = axum::http::Request::builder().method(method).uri(uri);
            let request = request.body(axum::body::Body::empty()).expect("a request");
            assert_eq!(check_query(&request, path).is_ok(), is_taken, "{uri}");
        }
    }

    /// A misspelt parameter must not carry out what it was to try out.
    #[test]
    fn cli_2_a_misspelt_dry_run_is_refused() {
        use axum::extract::Query;
        let uri = |query: &str| format!("/x?{query}").parse::<axum::http::Uri>().expect("a uri");
        for query in ["dryrun=true", "dry_run=true", "dryRun=true&force=1"] {
            assert!(Query::<deployments::DryRunQuery>::try_from_uri(&uri(query)).is_err(), "{query}");
            assert!(Query::<deployments::CreateQuery>::try_from_uri(&uri(query)).is_err(), "{query}");
            assert!(Query::<devices::Import>::try_from_uri(&uri(query)).is_err(), "{query}");
            assert!(Query::<firmware::RoleQuery>::try_from_uri(&uri(&format!("role=QA&{query}"))).is_err(), "{query}");
        }
        assert!(Query::<deployments::DryRunQuery>::try_from_uri(&uri("dryRun=true")).is_ok());
    }

    /// A route without a class of limits, or a class for a route that is not there, fails here.
    #[test]
    fn sec_1_every_route_has_its_class_of_limits() {
        let mut routes: Vec<_> = rights::all().map(|(_, (m, p, _))| (m, p)).collect();
        routes.extend([("GET", DOCUMENT), ("GET", PAGE), ("GET", admission::SOCKET_PATH)]);
        routes.extend([("GET", "/console"), ("GET", "/console/{*path}"), ("POST", "/console/{*path}")]);
        for file in [
            "/console/releases/{release}/image",
            "/console/releases/{release}/delta",
            "/console/releases/{release}/sbom",
        ] {
            routes.extend([("GET", file), ("POST", file)]);
        }
        let mut rows: Vec<_> = admission::all().map(|(_, row)| row).collect();
        routes.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, routes);
        for (class, (method, path)) in admission::all() {
            let right = rights::of(method, path).map(|(right, _)| right);
            let is_open = matches!(right, None | Some(Right::Anybody)) && path != admission::SOCKET_PATH;
            // Strangers send little there too; whoever has a session sends forms.
            let is_open = is_open && class != Admission::Console;
            assert_eq!(class.body_bytes_max().is_some(), is_open, "{method} {path}: strangers send little");
        }
    }

    /// Written down once more and apart from the table: by what a caller must be known for everything that changes something.
    const BY_TOKEN: &[&str] = &[
        // It changes nothing.
        "POST /api/v1/rollback-orders/preview",
        "POST /api/v1/gateways/{gateway}/telemetry",
        "POST /api/v1/devices",
        "POST /api/v1/devices/import",
        "PATCH /api/v1/devices/{device}",
        "POST /api/v1/gateways",
        "POST /api/v1/hospitals",
        "PATCH /api/v1/hospitals/{hospital}",
        "PUT /api/v1/groups/{group}",
        "DELETE /api/v1/groups/{group}",
        "POST /api/v1/firmware",
        "PUT /api/v1/firmware/{firmware}/image",
        "PUT /api/v1/firmware/{firmware}/deltas/{sha256}",
        "PUT /api/v1/firmware/{firmware}/manifest",
        "PUT /api/v1/firmware/{firmware}/sbom",
        "POST /api/v1/deployments/{deployment}/pause",
        "POST /api/v1/incidents",
        "POST /api/v1/incidents/{incident}/notes",
    ];
    const BY_PERSON: &[&str] = &[
        // Whoever enrols gateways decides whose word moves devices. For one that is enrolled the core demands a fresh second factor.
        "POST /api/v1/gateways/{gateway}/enrolment-tokens",
        "POST /api/v1/devices/{device}/reconciliation",
        "POST /api/v1/devices/{device}/retirement",
        "PATCH /api/v1/hospitals/{hospital}/policy",
        "PUT /api/v1/hospitals/{hospital}/policy",
        "POST /api/v1/deployments/{deployment}/abort",
        "PUT /api/v1/deployments/{deployment}/consents/{hospital}",
        "DELETE /api/v1/deployments/{deployment}/consents/{hospital}",
        "POST /api/v1/deployments/{deployment}/duties/{duty}",
        "PUT /api/v1/incidents/{incident}/decision",
        "PUT /api/v1/incidents/{incident}/report",
        "POST /api/v1/incidents/{incident}/closure",
        "POST /api/v1/recalls/{recall}/closure",
        "POST /api/v1/compliance/holds",
        // With both factors in the body.
        "POST /api/v1/approvals/signature",
        "POST /api/v1/deployments/{deployment}/validations/signature",
        "POST /api/v1/rollback-orders/signature",
        "POST /api/v1/trust/withdrawals/signature",
        "POST /api/v1/me/signing-key",
        // With the password in the body, and the second factor shown where there is one.
        "POST /api/v1/me/second-factor",
        "POST /api/v1/me/second-factor/confirmation",
        "PUT /api/v1/me/password",
        "PUT /api/v1/me/address",
        "POST /api/v1/me/notices/read",
        "DELETE /api/v1/me/tokens/{token}",
        "POST /api/v1/sessions/current/second-factor",
        "DELETE /api/v1/sessions/current",
    ];

    #[test]
    fn sec_4_every_route_that_writes_says_who_decides() {
        for (right, (method, path, _)) in rights::all() {
            let route = format!("{method} {path}");
            match (right, method) {
                (Right::Anybody | Right::Gateway, _) => {}
                (_, "GET") => {
                    assert!(matches!(right, Right::Own | Right::Needs(_)), "{route} reads, so it decides nothing");
                }
                _ => {
                    assert!(!matches!(right, Right::Needs(_)), "{route} changes something: say who decides");
                    // What nobody has thought of needs a person who has just shown the second factor.
                    let expected = match route.as_str() {
                        route if BY_TOKEN.contains(&route) => By::Token,
                        route if BY_PERSON.contains(&route) => By::Person,
                        _ => By::Factor,
                    };
                    assert_eq!(right.by(), Some(expected), "{route}");
                    if let Right::Decides(permission, by) = right {
                        assert!(by >= permission.by(), "{route}: {permission:?} alone demands more");
                    }
                }
            }
        }
    }

    /// The properties of every body of the document: its route, its name, and whether it is marked as a secret.
    fn body_fields(document: &Value) -> Vec<(String, String, bool)> {
        fn collect(document: &Value, schema: &Value, depth: u32, found: &mut Vec<(String, bool)>) {
            if depth > 8 {
                return;
            }
            if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/components/schemas/")) {
                return collect(document, &document["components"]["schemas"][name], depth + 1, found);
            }
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                found.push((name.clone(), property["format"] == "password"));
                collect(document, property, depth + 1, found);
            }
            for part in ["oneOf", "allOf", "anyOf"] {
                let parts = schema[part].as_array().into_iter().flatten();
                parts.for_each(|part| collect(document, part, depth + 1, found));
            }
            if schema["items"].is_object() {
                collect(document, &schema["items"], depth + 1, found);
            }
        }
        let mut fields = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let mut found = Vec::new();
                let content = operation["requestBody"]["content"].as_object();
                content.into_iter().flatten().for_each(|(_, c)| collect(document, &c["schema"], 0, &mut found));
                let route = format!("{} {path}", method.to_uppercase());
                fields.extend(found.into_iter().map(|(name, is_secret)| (route.clone(), name, is_secret)));
            }
        }
        fields
    }

    #[test]
    fn sec_2_every_secret_of_a_body_is_named_as_one() {
        let (_, document) = documented().split_for_parts();
        let fields = body_fields(&described(serde_json::to_value(&document).expect("encodes")));
        let secrets: Vec<_> = fields.iter().filter(|(_, _, is_secret)| *is_secret).collect();
        assert!(secrets.len() >= 20, "{secrets:?}");
        for (route, name, is_secret) in &fields {
            let is_named = idempotency::SECRET_FIELDS.contains(&name.as_str());
            assert_eq!(*is_secret, is_named, "{route}: {name} is marked as a secret or named as one, but not both");
            let sounds_secret =
                ["password", "secret", "token", "code", "key"].iter().any(|w| name.to_lowercase().contains(w));
            let is_known = ["passwordDays", "keepTokens"].contains(&name.as_str());
            assert!(*is_secret || !sounds_secret || is_known, "{route}: {name} sounds like a secret");
        }
    }

    #[test]
    fn the_page_shows_every_call_and_object_and_no_script() {
        let (_, document) = documented().split_for_parts();
        let document = described(serde_json::to_value(&document).expect("encodes"));
        let page = page::make(&document).expect("renders");
        for (_, (method, path, _)) in rights::all() {
            let path = path.replace("{*", "{");
            assert!(
                page.contains(&format!("{method}</span> <code>{}</code>", path.replace('/', "&#x2f;"))),
                "{method} {path}"
            );
        }
        assert!(page.contains("object-FirmwareView") && !page.contains("<script") && !page.contains("undefined"));
        assert!(page.len() > 50_000, "{}", page.len());
    }

    #[test]
    fn seed_api_every_resource_of_the_seed_is_documented() {
        let (_, document) = documented().split_for_parts();
        for path in ["devices", "firmware", "deployments", "approvals", "compliance/audit-logs"] {
            assert!(document.paths.paths.contains_key(&format!("/api/v1/{path}")), "{path}");
        }
    }
}
