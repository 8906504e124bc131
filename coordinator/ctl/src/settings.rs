//! Settings of the installation.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::files;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Prints the settings as JSON.
    Show,
    /// Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`.
    Set {
        /// File as `show` prints it.
        file: PathBuf,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// The tag with which `show` was answered, as a line of its file.
const TAG: &str = "tag";

pub(crate) async fn run(out: &Output, client: &Client, action: Settings) -> anyhow::Result<()> {
    match action {
        Settings::Show => {
            let (mut view, tag) = client.tagged("/api/v1/settings").await?;
            view[TAG] = tag.into();
            out.answer(&view, || format!("{view:#}"));
        }
        Settings::Set { file, reason } => {
            let bytes = files::read(&file)?;
            let mut settings: Value = mdfm_shared::json::from_slice(&bytes).with_context(|| {
                format!("{} is not a file of settings in JSON, as settings show prints it", file.display())
            })?;
            let tag = settings.as_object_mut().and_then(|s| s.remove(TAG));
            let body = json!({ "settings": settings, "reason": reason });
            let mut request = client.request(Method::PUT, "/api/v1/settings").json(&body);
            if let Some(tag) = tag.as_ref().and_then(Value::as_str) {
                request = request.header("if-match", tag);
            }
            let view = client.send(request).await?;
            out.answer(&view, || "the settings are changed".to_owned());
        }
    }
    Ok(())
}
