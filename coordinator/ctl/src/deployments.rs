//! Deployments: start, watch, validate, pause, resume, roll back.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::{Role, Validation};
use serde_json::{Value, json};

use crate::client::Client;
use crate::keys;
use crate::output::{Output, text};

/// Time between two looks.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Start a deployment.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Firmware id.
    #[arg(long)]
    firmware: String,
    /// JSON file with strategy and phases; `-` reads standard input.
    plan: PathBuf,
}

/// Show a deployment.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Deployment id.
    deployment: String,
    /// Go on until the deployment ends, printing what changes.
    #[arg(long)]
    follow: bool,
}

/// Sign the validation of a phase whose gate has held.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Deployment id.
    deployment: String,
    /// The role in which you sign.
    #[arg(long)]
    role: Role,
    /// Your secret key file.
    #[arg(long)]
    key: PathBuf,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
}

/// Change a deployment.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Deployment id.
    deployment: String,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn deploy(out: &Output, client: &Client, options: Deploy) -> anyhow::Result<()> {
    let plan = if options.plan.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(&options.plan).with_context(|| format!("reading {}", options.plan.display()))?
    };
    let plan: Value = serde_json::from_str(&plan).context("the plan is not JSON")?;
    let view = client.post(&format!("/api/v1/deployments?firmwareId={}", options.firmware), &plan).await?;
    out.answer(&view, || render(&view));
    Ok(())
}

/// A deployment in words: phases with their gates, then the devices by state.
fn render(view: &Value) -> String {
    let mut lines = format!(
        "deployment {} of {}: {}",
        text(&view["deploymentId"]),
        text(&view["firmwareId"]),
        text(&view["status"]["name"])
    );
    if let Some(reason) = view["status"]["reason"].as_str() {
        let _ = write!(lines, " ({reason})");
    }
    for phase in view["phases"].as_array().into_iter().flatten() {
        let _ = write!(
            lines,
            "\n  {} {} %: {} [{}]",
            text(&phase["name"]),
            text(&phase["percentage"]),
            text(&phase["status"]["name"]),
            text(&phase["hospitals"])
        );
        if let Some(gate) = phase["gate"].as_object() {
            let _ = write!(lines, "\n    gate: {}", text(&gate["explanation"]));
        }
        if phase["validation"].is_object() {
            let validation = &phase["validation"];
            let _ = write!(
                lines,
                "\n    signed by {} on {}, meaning: {}",
                text(&validation["printedName"]),
                text(&validation["at"]),
                text(&validation["meaning"])
            );
        }
    }
    for device in view["devices"].as_array().into_iter().flatten() {
        let _ = write!(
            lines,
            "\n  {:<16} {:<10} phase {} {:<14} runs {:<10} {}",
            text(&device["deviceId"]),
            text(&device["hospitalId"]),
            text(&device["phase"]),
            text(&device["state"]),
            text(&device["firmwareVersion"]),
            device["detail"].as_str().unwrap_or_default()
        );
    }
    lines
}

pub(crate) async fn watch(out: &Output, client: &Client, options: Watch) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}", options.deployment);
    let mut last = String::new();
    loop {
        let view = client.get(&path).await?;
        let shown = render(&view);
        if shown != last {
            out.answer(&view, || shown.clone());
            last = shown;
        }
        let ended = matches!(view["status"]["name"].as_str(), Some("completed" | "rolledBack"));
        if ended || !options.follow {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

pub(crate) async fn validate(out: &Output, client: &Client, options: Validate) -> anyhow::Result<()> {
    let key = keys::secret(&options.key)?;
    let path = format!("/api/v1/deployments/{}", options.deployment);
    let view = client.get(&path).await?;
    let phase = view["currentPhase"].as_u64().and_then(|p| u32::try_from(p).ok()).context("no current phase")?;
    let spec = &view["phases"][phase as usize - 1];
    let validation = Validation {
        deployment: options.deployment.parse()?,
        phase: phase - 1,
        manifest: text(&view["manifestDigest"]).parse()?,
        role: options.role,
        user: client.user_id().parse()?,
        printed_name: client.printed_name().to_owned(),
        meaning: format!("I validate phase {phase} ({}) as {}", text(&spec["name"]), options.role),
        reason: options.reason,
        at: crate::firmware::now(),
    };
    let signed = Signed::sign(&validation, &[&key])?;
    let body = json!({ "document": document_text(&signed) });
    let view = client.post(&format!("{path}/validations"), &body).await?;
    out.answer(&view, || render(&view));
    Ok(())
}

pub(crate) async fn change(out: &Output, client: &Client, what: &str, options: Change) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}/{what}", options.deployment);
    let view = client.post(&path, &json!({ "reason": options.reason })).await?;
    out.answer(&view, || render(&view));
    Ok(())
}
