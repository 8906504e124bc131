//! The web console: an adapter beside the API for people who do not type commands. Pages are made from the API's own answers, requested in this process
//! with the session of the reader. So a page shows and does nothing that its reader could not see or do through the API, and every limit, right, refusal
//! and audit record of the API holds here too (decision 0043).
//!
//! Pages work without JavaScript. Templates are escaped by default; there is no inline script or style.

mod api;
mod assets;
mod builder;
mod chart;
mod failure;
mod filters;
mod form;
mod page;
mod pages;
mod session;
#[cfg(test)]
mod testing;
mod upload;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::http::{Extensions, HeaderMap};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

pub use failure::Rejected;
pub use session::token;

/// Path under which the console is.
pub const ROOT: &str = "/console";

/// Marks a request that a page makes automatically: it does not count as use of the session.
#[derive(Debug, Clone, Copy)]
pub struct Look;

/// Copies what a request brings besides its head and body (who is connected) into a request to the API.
pub type Carry = fn(&Extensions, &mut Extensions);

/// What all pages need.
#[derive(Clone)]
pub(crate) struct Console {
    /// The API's router, with all that guards it.
    api: Router,
    carry: Carry,
    templates: Arc<Environment<'static>>,
    version: &'static str,
    /// How whoever asks looks at pages.
    view: view::View,
}

impl Console {
    /// The same for one reader, whose browser says how pages are looked at.
    pub(crate) fn seen_by(&self, headers: &HeaderMap) -> Self {
        Self { view: view::View::of(headers), ..self.clone() }
    }
}

/// All templates, by name; the name's ending makes every value escaped.
macro_rules! templates {
    ($environment:expr, $($name:literal),+ $(,)?) => {
        $($environment.add_template($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))?;)+
    };
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    filters::add(&mut environment);
    assets::add(&mut environment);
    pages::add_templates(&mut environment)?;
    Ok(environment)
}

/// The router of everything under [`ROOT`]. `api` answers `/api/v1` and checks each caller.
///
/// # Errors
/// A template is not valid; a defect.
pub fn router(api: Router, carry: Carry, version: &'static str) -> Result<Router, minijinja::Error> {
    let console = Console { api, carry, templates: Arc::new(environment()?), version, view: view::View::default() };
    Ok(pages::routes(console))
}

pub(crate) use templates;
