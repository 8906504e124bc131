//! All pages: one file a subject, each with its routes and its templates.

mod acts;
mod audit;
mod consents;
mod deployments;
mod device_forms;
mod device_list;
mod devices;
mod displays;
mod fleet;
mod gateway_media;
mod gateways;
mod groups;
mod help;
mod home;
mod hospitals;
#[cfg(test)]
mod hostile;
mod incidents;
mod input;
mod list;
mod me;
mod notices;
mod people;
mod proof;
mod qr;
mod recalls;
mod releases;
mod reports;
mod retention;
mod review;
mod rollback_orders;
mod search;
mod settings;
mod sign_in;
mod signing;
mod submission;
mod system;
mod trust;
mod wall;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::get;
use minijinja::Environment;

use crate::failure::{self, Failure};
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
    audit::add_templates(environment)?;
    consents::add_templates(environment)?;
    deployments::add_templates(environment)?;
    device_forms::add_templates(environment)?;
    device_list::add_templates(environment)?;
    devices::add_templates(environment)?;
    displays::add_templates(environment)?;
    fleet::add_templates(environment)?;
    gateway_media::add_templates(environment)?;
    gateways::add_templates(environment)?;
    groups::add_templates(environment)?;
    help::add_templates(environment)?;
    home::add_templates(environment)?;
    hospitals::add_templates(environment)?;
    incidents::add_templates(environment)?;
    me::add_templates(environment)?;
    notices::add_templates(environment)?;
    people::add_templates(environment)?;
    recalls::add_templates(environment)?;
    releases::add_templates(environment)?;
    reports::add_templates(environment)?;
    retention::add_templates(environment)?;
    rollback_orders::add_templates(environment)?;
    search::add_templates(environment)?;
    settings::add_templates(environment)?;
    sign_in::add_templates(environment)?;
    signing::add_templates(environment)?;
    submission::add_templates(environment)?;
    system::add_templates(environment)?;
    trust::add_templates(environment)?;
    wall::add_templates(environment)?;
    Ok(())
}

async fn not_found(_page: Page) -> Failure {
    let detail = "There is no page at this address.".to_owned();
    Failure::not_found(detail)
}

/// Every route of the console.
pub(crate) fn routes(console: Console) -> Router {
    Router::new()
        .route(&format!("{ROOT}/assets/{{digest}}/{{name}}"), get(assets::show))
        .merge(audit::routes())
        .merge(consents::routes())
        .merge(deployments::routes())
        .merge(device_forms::routes())
        .merge(device_list::routes())
        .merge(devices::routes())
        .merge(displays::routes())
        .merge(fleet::routes())
        .merge(gateway_media::routes())
        .merge(gateways::routes())
        .merge(groups::routes())
        .merge(help::routes())
        .merge(home::routes())
        .merge(hospitals::routes())
        .merge(incidents::routes())
        .merge(me::routes())
        .merge(notices::routes())
        .merge(people::routes())
        .merge(recalls::routes())
        .merge(releases::routes())
        .merge(reports::routes())
        .merge(retention::routes())
        .merge(rollback_orders::routes())
        .merge(search::routes())
        .merge(settings::routes())
        .merge(sign_in::routes())
        .merge(signing::routes())
        .merge(submission::routes())
        .merge(system::routes())
        .merge(trust::routes())
        .merge(wall::routes())
        .fallback(not_found)
        .layer(from_fn_with_state(console.clone(), failure::show))
        .layer(map_response(page::protect))
        .with_state(console)
}
