//! All pages: one file a subject, each with its routes and its templates.

mod acts;
mod consents;
mod deployments;
mod device_forms;
mod device_list;
mod devices;
mod fleet;
mod gateway_media;
mod gateways;
mod groups;
mod home;
mod hospitals;
#[cfg(test)]
mod hostile;
mod incidents;
mod list;
mod recalls;
mod search;
mod sign_in;

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
    templates!(
        environment,
        "base.html",
        "components.html",
        "inventory.html",
        "refused.html",
        "step-up.html",
        "arriving.html"
    );
    home::add_templates(environment)?;
    sign_in::add_templates(environment)?;
    deployments::add_templates(environment)?;
    devices::add_templates(environment)?;
    device_list::add_templates(environment)?;
    device_forms::add_templates(environment)?;
    hospitals::add_templates(environment)?;
    consents::add_templates(environment)?;
    gateways::add_templates(environment)?;
    gateway_media::add_templates(environment)?;
    groups::add_templates(environment)?;
    recalls::add_templates(environment)?;
    incidents::add_templates(environment)?;
    fleet::add_templates(environment)?;
    search::add_templates(environment)
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
        .merge(device_list::routes())
        .merge(device_forms::routes())
        .merge(hospitals::routes())
        .merge(consents::routes())
        .merge(gateways::routes())
        .merge(gateway_media::routes())
        .merge(groups::routes())
        .merge(recalls::routes())
        .merge(incidents::routes())
        .merge(fleet::routes())
        .merge(search::routes())
        .fallback(not_found)
        .layer(from_fn_with_state(console.clone(), failure::show))
        .layer(map_response(page::protect))
        .with_state(console)
}
