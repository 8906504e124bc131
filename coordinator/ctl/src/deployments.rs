//! Deployments: start, watch, validate, pause, resume, roll back.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use mdfm_shared::digest::Digest;
use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::Validation;
use serde_json::{Value, json};

use crate::account::Signing;
use crate::client::{Client, is_broken_line};
use crate::output::{Output, text};

/// Time between two looks.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// For so long a coordinator that is away is waited for.
const AWAY_MAX: Duration = Duration::from_secs(300);

/// Start a deployment.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Firmware id.
    #[arg(long)]
    firmware: String,
    /// JSON file with strategy and phases; `-` reads standard input.
    plan: PathBuf,
    /// Show every device, window and gate of the plan, and its digest; start nothing.
    #[arg(long)]
    dry_run: bool,
    /// Start only if the plan is still the one with this digest.
    #[arg(long)]
    plan_digest: Option<String>,
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
    #[command(flatten)]
    signing: Signing,
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

/// Roll back a device, a hospital, a phase, or without any of them the deployment.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Deployment id.
    deployment: String,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
    /// Only this device.
    #[arg(long, conflicts_with_all = ["hospital", "phase"])]
    device: Option<String>,
    /// Only the devices of this hospital.
    #[arg(long, conflicts_with = "phase")]
    hospital: Option<String>,
    /// Only the devices of this phase, 1 for the first.
    #[arg(long)]
    phase: Option<u32>,
    /// The order says nothing about the firmware: the devices leave the count instead of counting as failed.
    #[arg(long)]
    operational: bool,
}

/// Say that a hospital's staff agree to a deployment, or take it back.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Deployment id.
    deployment: String,
    /// Hospital id.
    #[arg(long)]
    hospital: String,
    /// Who agreed and how, in your words.
    #[arg(long)]
    reason: String,
    /// Take the consent back.
    #[arg(long)]
    withdraw: bool,
}

/// Note that something owed to an authority has been done.
#[derive(Debug, Args)]
pub(crate) struct Duty {
    /// Deployment id.
    deployment: String,
    /// Number of the duty, 1 for the first.
    duty: u32,
    /// Where it can be found, for example the number of the report.
    #[arg(long)]
    reference: String,
}

pub(crate) async fn deploy(out: &Output, client: &Client, options: Deploy) -> anyhow::Result<()> {
    let plan = if options.plan.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(&options.plan).with_context(|| format!("reading {}", options.plan.display()))?
    };
    let mut plan: Value = mdfm_shared::json::from_slice(plan.as_bytes()).context("the plan cannot be read")?;
    if let Some(digest) = options.plan_digest {
        plan["planDigest"] = digest.into();
    }
    let path = format!("/api/v1/deployments?firmwareId={}&dryRun={}", options.firmware, options.dry_run);
    let view = client.post(&path, &plan).await?;
    out.answer(&view, || if options.dry_run { render_plan(&view) } else { render(&view) });
    Ok(())
}

/// A plan in words: each phase with its gate, its hospitals, their windows and devices.
fn render_plan(view: &Value) -> String {
    let mut lines = format!(
        "plan {}\n  {} of {} for {} devices; the first failure: {}; a fault on one gateway reaches: {}",
        text(&view["planDigest"]),
        text(&view["strategy"]),
        text(&view["firmwareId"]),
        text(&view["devices"]),
        text(&view["firstFailure"]),
        text(&view["criticalReach"])
    );
    if view["raisesSecurity"] == true {
        lines.push_str("\n  raises the security version: beyond one hospital only a person rolls it back");
    }
    for (i, phase) in view["phases"].as_array().into_iter().flatten().enumerate() {
        let gate = &phase["gate"];
        let limit = match gate["maxErrors"].as_u64() {
            Some(n) => format!("at most {n} failed devices"),
            None => format!("at most {} % failed devices", text(&gate["maxErrorRatePercent"])),
        };
        let _ = write!(
            lines,
            "\n  phase {} {}: {limit}, watched for {} h, {}",
            i + 1,
            text(&gate["name"]),
            gate["monitoringMs"].as_f64().unwrap_or(0.0) / 3_600_000.0,
            gate["validation"].as_str().map_or("nobody signs".to_owned(), |role| format!("{role} signs"))
        );
        for hospital in phase["hospitals"].as_array().into_iter().flatten() {
            let _ = write!(lines, "\n    {} [{}]", text(&hospital["hospitalId"]), text(&hospital["devices"]));
            if hospital["consentNeeded"] == true {
                lines.push_str(", its staff must agree");
            }
            for window in hospital["windows"].as_array().into_iter().flatten() {
                let at = |field: &str| {
                    jiff::Timestamp::from_millisecond(window[field].as_i64().unwrap_or(0))
                        .map_or_else(|_| "?".to_owned(), |t| t.strftime("%a %Y-%m-%d %H:%MZ").to_string())
                };
                let _ = write!(lines, "\n      window {} to {}", at("opensAt"), at("closesAt"));
            }
        }
    }
    lines
}

/// What went back, what is held, and which command ends that.
fn render_waiting(view: &Value, lines: &mut String) {
    for found in view["contained"].as_array().into_iter().flatten() {
        let _ = write!(
            lines,
            "\n  went back: {} on {}, reported by {}: {}",
            text(&found["hospitalId"]),
            text(&found["at"]),
            text(&found["gatewayId"]),
            text(&found["fault"])
        );
    }
    for waiting in view["waiting"].as_array().into_iter().flatten() {
        let _ = write!(lines, "\n  waits for: {}", text(&waiting["what"]));
        if let Some(since) = waiting["since"].as_str() {
            let _ = write!(lines, ", since {since}");
        }
        if let Some(until) = waiting["until"].as_str() {
            let _ = write!(lines, ", until {until}");
        }
        if let Some(held @ 1..) = waiting["heldDevices"].as_u64() {
            let _ = write!(lines, ", {held} devices held");
        }
        for how in waiting["how"].as_array().into_iter().flatten() {
            let _ = write!(lines, "\n    {}", text(how));
        }
    }
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
    render_waiting(view, &mut lines);
    for phase in view["phases"].as_array().into_iter().flatten() {
        let _ = write!(
            lines,
            "\n  {} {} %: {} [{}]",
            text(&phase["name"]),
            text(&phase["percentage"]),
            text(&phase["status"]["name"]),
            text(&phase["hospitals"])
        );
        let count = |name: &str| phase["devices"][name].as_u64().unwrap_or(0);
        let _ = write!(
            lines,
            "\n    {} devices: {} confirmed, {} failed, {} silent, {} in flight, {} withdrawn",
            count("devices"),
            count("confirmed"),
            count("failed"),
            count("silent"),
            count("inFlight"),
            count("withdrawn")
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
    for consent in view["consents"].as_array().into_iter().flatten() {
        let given = consent["givenBy"].as_str().map_or("not yet".to_owned(), |by| format!("given by {by}"));
        let _ = write!(lines, "\n  consent of {}: {given}", text(&consent["hospitalId"]));
    }
    for (i, duty) in view["duties"].as_array().into_iter().flatten().enumerate() {
        let done = duty["fulfilled"]["reference"].as_str().map_or("open".to_owned(), |r| format!("done: {r}"));
        let _ = write!(lines, "\n  duty {}: {} [{done}]", i + 1, text(&duty["draft"]));
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
    let mut show = |view: &Value| {
        let shown = render(view);
        if shown != last {
            out.answer(view, || shown.clone());
            last = shown;
        }
        matches!(view["status"]["name"].as_str(), Some("completed" | "rolledBack" | "aborted" | "superseded"))
    };
    if !options.follow {
        show(&client.get(&path).await?);
        return Ok(());
    }
    let events = format!("{path}/events");
    let (mut has_ended, mut away) = (false, None::<Instant>);
    while !has_ended {
        let mut has_heard = false;
        let heard = client.events(&events, |view| {
            has_ended = show(&view);
            has_heard = true;
            has_ended
        });
        let broken = heard.await.err();
        if has_heard || broken.is_none() {
            away = None;
        }
        match broken {
            // The coordinator ends long watches: then it is asked anew. It may have been started anew itself.
            Some(error) if !is_broken_line(&error) || away.is_some_and(|since| since.elapsed() > AWAY_MAX) => {
                return Err(error);
            }
            Some(_) if away.is_none() => {
                mdfm_service::output::note("the coordinator is away; waiting for it");
                away = Some(Instant::now());
            }
            _ => {}
        }
        if !has_ended {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
    Ok(())
}

pub(crate) async fn validate(out: &Output, client: &Client, options: Validate) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}", options.deployment);
    let signature = format!("{path}/validations/signature");
    let Signing { role, reason, confirmation, .. } = &options.signing;
    let view = client.get(&path).await?;
    let phase = view["currentPhase"].as_u64().and_then(|p| u32::try_from(p).ok()).context("no current phase")?;
    let current = phase.checked_sub(1).context("no current phase")?;
    let named: Digest = text(&view["manifestDigest"]).parse()?;
    let validation = |_: &Value, manifest| {
        ensure!(
            manifest == named,
            "nothing was signed: the deployment brings another manifest than the release has now"
        );
        Ok(Validation {
            deployment: options.deployment.parse()?,
            phase: current,
            manifest,
            role: *role,
            user: client.user_id().parse()?,
            printed_name: client.printed_name().to_owned(),
            meaning: format!(
                "I validate phase {phase} ({}) as {role}",
                text(&view["phases"][current as usize]["name"])
            ),
            reason: reason.clone(),
            at: crate::firmware::now(),
        })
    };
    let firmware = text(&view["firmwareId"]);
    let validation = crate::firmware::confirm_for(client, &firmware, confirmation, validation).await?;
    let shown = json!({ "manifestDigest": validation.manifest });
    if let Some(view) = options.signing.with_kept_key(client, &signature, shown).await? {
        out.answer(&view, || render(&view));
        return Ok(());
    }
    let signed = Signed::sign(&validation, &[&options.signing.own_key()?])?;
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

pub(crate) async fn roll_back(out: &Output, client: &Client, options: Rollback) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}/rollback", options.deployment);
    let body = json!({
        "reason": options.reason,
        "deviceId": options.device,
        "hospitalId": options.hospital,
        "phase": options.phase,
        "cause": if options.operational { "operational" } else { "safety" },
    });
    let view = client.post(&path, &body).await?;
    out.answer(&view, || render(&view));
    Ok(())
}

pub(crate) async fn consent(out: &Output, client: &Client, options: Consent) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}/consents/{}", options.deployment, options.hospital);
    let body = json!({ "reason": options.reason });
    let view = if options.withdraw { client.delete(&path, &body).await? } else { client.put(&path, &body).await? };
    out.answer(&view, || render(&view));
    Ok(())
}

pub(crate) async fn duty(out: &Output, client: &Client, options: Duty) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}/duties/{}", options.deployment, options.duty);
    let view = client.post(&path, &json!({ "reference": options.reference })).await?;
    out.answer(&view, || render(&view));
    Ok(())
}
