//! All pages: one file a subject, each with its routes and its templates.

mod deployments;
mod devices;
mod home;
mod list;
mod releases;
mod review;
mod rollback_orders;
mod sign_in;
mod signing;
mod submission;
mod trust;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::get;
use minijinja::Environment;

use crate::failure::{self, Failure, Refusal};
use crate::page::{self, Page};
use crate::{Console, ROOT, assets, templates};

/// Adds the templates of all pages.
pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "base.html", "components.html", "refused.html", "step-up.html", "arriving.html");
    home::add_templates(environment)?;
    sign_in::add_templates(environment)?;
    deployments::add_templates(environment)?;
    devices::add_templates(environment)?;
    releases::add_templates(environment)?;
    signing::add_templates(environment)?;
    submission::add_templates(environment)?;
    trust::add_templates(environment)?;
    rollback_orders::add_templates(environment)
}

async fn not_found(_page: Page) -> Failure {
    let detail = "There is no page at this address.".to_owned();
    Failure::Refused(Refusal { status: StatusCode::NOT_FOUND.as_u16(), code: "not-found".into(), detail })
}

/// Every route of the console.
pub(crate) fn routes(console: Console) -> Router {
    Router::new()
        .route(&format!("{ROOT}/assets/{{digest}}/{{name}}"), get(assets::show))
        .merge(home::routes())
        .merge(sign_in::routes())
        .merge(deployments::routes())
        .merge(devices::routes())
        .merge(releases::routes())
        .merge(signing::routes())
        .merge(submission::routes())
        .merge(trust::routes())
        .merge(rollback_orders::routes())
        .fallback(not_found)
        .layer(from_fn_with_state(console.clone(), failure::show))
        .layer(map_response(page::protect))
        .with_state(console)
}
