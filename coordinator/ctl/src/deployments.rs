//! Deployments: start, watch, validate, pause, resume, roll back.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId, FirmwareId, HospitalId};
use mdfm_shared::json::{self, text_without_mark};
use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::text::duration;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::Validation;
use serde_json::{Value, json};

use crate::account::{Signing, check_may_sign};
use crate::client::{Client, Refused, Which, is_broken_line};
use crate::output::{Output, count, count_of, text};
use crate::trust::confirm::Asked;
use crate::{address, files, records, terminal};

/// Time between two looks.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// For so long a coordinator that is away is waited for.
const AWAY_MAX: Duration = Duration::from_secs(300);

/// Start a deployment.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Firmware id; optional if the plan names it as `firmwareId`.
    #[arg(long)]
    firmware: Option<FirmwareId>,
    /// JSON file with strategy and phases; `-` reads standard input.
    plan: PathBuf,
    /// Show every device, window and gate of the plan, and its digest; start nothing.
    #[arg(long)]
    dry_run: bool,
    /// Start only if the plan is still the one with this digest, which a dry run shows; then nothing is asked.
    #[arg(long)]
    plan_digest: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Look at deployments.
#[derive(Debug, Subcommand)]
pub(crate) enum Deployments {
    /// Lists deployments.
    List {
        /// Only those that have not ended.
        #[arg(long)]
        active: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Shows one deployment with its devices.
    Show {
        /// Deployment id.
        deployment: DeploymentId,
    },
    /// Shows what happened to a deployment, newest first.
    History {
        /// Deployment id.
        deployment: DeploymentId,
    },
}

/// Show a deployment.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Deployment id.
    deployment: DeploymentId,
    /// Go on until the deployment ends, printing what changes.
    #[arg(long)]
    follow: bool,
}

/// Sign the validation of a phase whose gate has held.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Deployment id.
    deployment: DeploymentId,
    #[command(flatten)]
    signing: Signing,
}

/// End a deployment.
#[derive(Debug, Args)]
pub(crate) struct Abort {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    asked: Asked,
}

/// Change a deployment.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Deployment id.
    deployment: DeploymentId,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
}

/// Roll back a device, a hospital, a phase, or without any of them the deployment.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Deployment id.
    deployment: DeploymentId,
    /// Why, in your words.
    #[arg(long)]
    reason: String,
    /// Only this device.
    #[arg(long, conflicts_with_all = ["hospital", "phase"])]
    device: Option<DeviceId>,
    /// Only the devices of this hospital.
    #[arg(long, conflicts_with = "phase")]
    hospital: Option<HospitalId>,
    /// Only the devices of this phase, 1 for the first.
    #[arg(long)]
    phase: Option<u32>,
    /// What it says about the firmware, needed with `--device`, `--hospital` or `--phase`: `firmware`, and the devices count as failed,
    /// which may roll back everything; `operational`, and they leave the count.
    #[arg(long, value_name = "CAUSE", ignore_case = true)]
    because: Option<Because>,
    /// The same as `--because operational`.
    #[arg(long, conflicts_with = "because")]
    operational: bool,
    /// Show what the order counts as and what it leads to; do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asked: Asked,
}

/// What an order says about the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Because {
    Firmware,
    Operational,
}

/// Say that a hospital's staff agree to a deployment, or take it back.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Deployment id.
    deployment: DeploymentId,
    /// Hospital id.
    #[arg(long)]
    hospital: HospitalId,
    /// Who agreed and how, in your words.
    #[arg(long)]
    reason: String,
    /// Take the consent back.
    #[arg(long)]
    withdraw: bool,
}

/// What a deployment owes to an authority.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Duties {
    /// Records that something owed to an authority has been done; `deployments show` lists what is owed.
    Fulfil(Duty),
}

/// Record that something owed to an authority has been done.
#[derive(Debug, Args)]
pub(crate) struct Duty {
    /// Deployment id.
    deployment: DeploymentId,
    /// Number of the duty, 1 for the first.
    duty: u32,
    /// Where it can be found, for example the number of the report.
    #[arg(long)]
    reference: String,
}

/// The plan in a file, as it stands there and as JSON.
fn read_plan(file: &Path) -> anyhow::Result<(String, Value)> {
    let text = if file.as_os_str() == "-" { files::read_input()? } else { files::read_text(file)? };
    let text = text_without_mark(&text).to_owned();
    let plan: Value =
        json::from_slice(text.as_bytes()).with_context(|| format!("{} cannot be read as JSON", file.display()))?;
    ensure!(plan.is_object(), "{} is not a plan: it must be a JSON object", file.display());
    Ok((text, plan))
}

/// What is said twice, on the command line and in a file, must be said alike.
fn one_of(option: &str, given: Option<String>, field: &str, in_file: &Value) -> anyhow::Result<Option<String>> {
    match (given, in_file.as_str()) {
        (Some(given), Some(named)) => {
            ensure!(given == named, "{option} is {given:?}, the plan's {field} is {named:?}: which of them is meant?");
            Ok(Some(given))
        }
        (Some(given), None) => {
            ensure!(in_file.is_null(), "the plan's {field} is {in_file}, which is not text");
            Ok(Some(given))
        }
        (None, named) => Ok(named.map(str::to_owned)),
    }
}

/// A JSON object with `dryRun` as its last field: a coordinator that does not know dry runs refuses the field and does nothing.
/// What stands before it stays where it is, so that an answer names the lines and columns of the person's own file.
fn dry_text(object: &str) -> String {
    let inner = object.trim_end().strip_suffix('}').unwrap_or(object);
    let comma = if inner.trim_end().ends_with('{') { "" } else { "," };
    format!("{inner}{comma}\"dryRun\":true}}")
}

/// A request with `dryRun` in it, which a coordinator that does not know dry runs refuses and does not carry out.
pub(crate) fn dry(body: &Value) -> Value {
    let mut body = body.clone();
    body["dryRun"] = true.into();
    body
}

/// Says what it means that a coordinator does not know the field.
pub(crate) fn explain_dry_run(error: anyhow::Error) -> anyhow::Error {
    if error.to_string().contains("unknown field `dryRun`") {
        return error.context(
            "nothing was done: this coordinator is older than this mdfmctl and cannot show an act beforehand",
        );
    }
    error
}

/// Numbers of a plan, for the question.
fn extent(view: &Value) -> (u64, usize) {
    let phases = view["phases"].as_array().into_iter().flatten();
    let hospitals: BTreeSet<String> = phases
        .flat_map(|phase| phase["hospitals"].as_array().into_iter().flatten())
        .map(|hospital| text(&hospital["hospitalId"]))
        .collect();
    (view["devices"].as_u64().unwrap_or(0), hospitals.len())
}

pub(crate) async fn deploy(out: &Output, client: &Client, options: Deploy) -> anyhow::Result<()> {
    let (mut written, mut plan) = read_plan(&options.plan)?;
    let given = options.firmware.as_ref().map(ToString::to_string);
    let firmware = one_of("--firmware", given, "firmwareId", &plan["firmwareId"])?;
    let firmware = firmware.context("which release? Give --firmware, or firmwareId in the plan")?;
    ensure!(plan["dryRun"].is_null(), "the plan has a field dryRun: give --dry-run on the command line");
    let pinned = one_of("--plan-digest", options.plan_digest, "planDigest", &plan["planDigest"])?;
    let path = format!("/api/v1/deployments?firmwareId={}", address::encode(&firmware));
    // As it stands in the file wherever possible: the coordinator's answer names lines of that.
    if plan["planDigest"].is_null()
        && let Some(digest) = &pinned
    {
        plan["planDigest"] = digest.as_str().into();
        written = plan.to_string();
    }
    if options.dry_run || !(options.asked.yes || pinned.is_some()) {
        let dry = client.post_text(&format!("{path}&dryRun=true"), dry_text(&written)).await;
        let view = dry.map_err(explain_dry_run)?;
        if options.dry_run {
            out.answer(&view, || render_plan(&view));
            return Ok(());
        }
        let (devices, hospitals) = extent(&view);
        let (shown, hospitals) = (count(devices, "device"), count(hospitals, "hospital"));
        let question = format!("{}\nThis deploys to {shown} in {hospitals}.", render_plan(&view));
        options.asked.ask(&question, &devices.to_string())?;
        // What was shown is what starts.
        plan["planDigest"] = view["planDigest"].clone();
        written = plan.to_string();
    }
    let view = client.post_text(&path, written).await?;
    out.answer(&view, || render(&view));
    Ok(())
}

pub(crate) async fn deployments(out: &Output, client: &Client, action: Deployments) -> anyhow::Result<()> {
    match action {
        Deployments::List { active, which } => {
            let mut rows = client.list_of("/api/v1/deployments", &which.unlimited()).await?;
            if let Some(rows) = rows.as_array_mut() {
                rows.retain(|row| !active || !has_ended(row));
                if !which.is_sorted() {
                    // Newest first.
                    rows.sort_by_key(|row| std::cmp::Reverse(text(&row["createdAt"])));
                }
                which.cut(rows);
            }
            let columns = [
                ("DEPLOYMENT", "/deploymentId"),
                ("FIRMWARE", "/firmwareId"),
                ("STRATEGY", "/strategy"),
                ("STATUS", "/status/name"),
                ("PHASE", "/currentPhase"),
                ("WAITS FOR", "/waiting/0/code"),
                ("CREATED", "/createdAt"),
                ("BY", "/createdBy"),
            ];
            out.table_with(&rows, &columns, &[("GROUP", "/groupId"), ("PLAN", "/planDigest")]);
        }
        Deployments::Show { deployment } => {
            let view = client.get(&format!("/api/v1/deployments/{deployment}")).await?;
            out.answer(&view, || render(&view));
        }
        Deployments::History { deployment } => {
            let page = client.get(&format!("/api/v1/deployments/{deployment}/history")).await?;
            records::table(out, &page["records"], None);
        }
    }
    Ok(())
}

fn has_ended(view: &Value) -> bool {
    matches!(view["status"]["name"].as_str(), Some("completed" | "rolledBack" | "aborted" | "superseded"))
}

/// A plan in words: each phase with its gate, its hospitals, their windows and devices.
fn render_plan(view: &Value) -> String {
    let mut lines = format!(
        "plan {}\n  {} of {} for {}; the first failure {}\n  a critical fault {}",
        text(&view["planDigest"]),
        text(&view["strategy"]),
        text(&view["firmwareId"]),
        count_of(&view["devices"], "device"),
        first_failure(&view["firstFailure"]),
        critical_reach(&view["criticalReach"])
    );
    render_doubts(view, &mut lines);
    if view["raisesSecurity"] == true {
        lines.push_str("\n  raises the security version: beyond one hospital only a person rolls it back");
    }
    for (i, phase) in view["phases"].as_array().into_iter().flatten().enumerate() {
        let gate = &phase["gate"];
        let limit = match gate["maxErrors"].as_u64() {
            Some(n) => format!("at most {}", count(n, "failed device")),
            None => format!("at most {} % failed devices", text(&gate["maxErrorRatePercent"])),
        };
        let _ = write!(
            lines,
            "\n  phase {} {}: {limit}, watched for {}, {}",
            i + 1,
            text(&gate["name"]),
            duration(gate["monitoringMs"].as_u64().unwrap_or(0)),
            gate["validation"].as_str().map_or("nobody signs".to_owned(), |role| format!("{role} signs"))
        );
        for hospital in phase["hospitals"].as_array().into_iter().flatten() {
            let _ = write!(lines, "\n    {} [{}]", text(&hospital["hospitalId"]), text(&hospital["devices"]));
            if hospital["consentNeeded"] == true {
                lines.push_str(", its staff must agree");
            }
            for window in hospital["windowTimes"].as_array().into_iter().flatten() {
                let _ = write!(lines, "\n      window {}", window_words(window));
            }
            for ignored in hospital["ignoredWindows"].as_array().into_iter().flatten() {
                let of = |field: &str| text(&ignored["window"][field]);
                let _ = write!(
                    lines,
                    "\n      IGNORED: its window {} {}-{} {}",
                    of("dayOfWeek"),
                    of("startTime"),
                    of("endTime"),
                    of("timezone")
                );
                if ignored["next"].is_object() {
                    let _ = write!(lines, ", next {}", window_words(&ignored["next"]));
                }
            }
        }
    }
    lines
}

/// A time of a window on the hospital's clock and in universal time.
fn window_words(window: &Value) -> String {
    let of = |field: &str| text(&window[field]);
    format!("{} to {} ({} to {})", of("opensLocal"), of("closesLocal"), of("opensAt"), of("closesAt"))
}

/// What the first failed device does, in words.
fn first_failure(value: &Value) -> String {
    match value.as_str() {
        Some("byGate") => "is judged by the phase's gate".to_owned(),
        Some("rollBack") => "rolls back every device".to_owned(),
        Some("hold") => "holds everything until a person decides".to_owned(),
        _ => text(value),
    }
}

/// What a critical fault on one gateway does, in words.
fn critical_reach(value: &Value) -> String {
    match value.as_str() {
        Some("hospital") => "rolls back its hospital and holds the others; only a person rolls back more".to_owned(),
        Some("sources") => {
            "rolls back its hospital and holds the others; one in a second hospital rolls back every device".to_owned()
        }
        Some("deployment") => "rolls back every device".to_owned(),
        _ => text(value),
    }
}

/// What the author of a plan may not have meant.
fn render_doubts(view: &Value, lines: &mut String) {
    if let Some(reason) = view["windowsIgnoredBecause"].as_str() {
        let _ = write!(lines, "\n  IGNORES the windows that hospitals registered: {}", text(&reason.into()));
    }
    for note in view["notes"].as_array().into_iter().flatten() {
        let _ = write!(lines, "\n  NOTE: {}", text(note));
    }
    for device in view["cannotTake"].as_array().into_iter().flatten() {
        let _ = write!(
            lines,
            "\n  {} in {} cannot take this release, because {}",
            text(&device["deviceId"]),
            text(&device["hospitalId"]),
            text(&device["because"])
        );
    }
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
        // A coordinator of an earlier version names it alone.
        let of = |name: &str| waiting[name].as_str().map(|_| text(&waiting[name]));
        let code = of("code").unwrap_or_else(|| text(&waiting["what"]));
        let _ = write!(lines, "\n  waits for: {code}");
        if let Some(words) = of("text") {
            let _ = write!(lines, " ({words})");
        }
        if let Some(since) = waiting["since"].as_str() {
            let _ = write!(lines, ", since {since}");
        }
        if let Some(until) = waiting["until"].as_str() {
            let _ = write!(lines, ", until {until}");
        }
        if let Some(held @ 1..) = waiting["heldDevices"].as_u64() {
            let _ = write!(lines, ", {} held", count(held, "device"));
        }
        if waiting["devices"].as_array().is_some_and(|devices| !devices.is_empty()) {
            let _ = write!(lines, ": {}", text(&waiting["devices"]));
        }
        if waiting["who"].as_array().is_some_and(|who| !who.is_empty()) {
            let _ = write!(lines, "\n    who can end it: {}", text(&waiting["who"]));
        }
        for how in waiting["how"].as_array().into_iter().flatten() {
            let _ = write!(lines, "\n    {}", text(how));
        }
    }
}

/// What a device waits for, and below it who can end that and how.
pub(crate) fn wait_in_words(waiting: &Value) -> String {
    let of = |name: &str| text(&waiting[name]);
    let since = waiting["since"].as_str().map_or_else(String::new, |_| format!(", since {}", of("since")));
    let until = waiting["until"].as_str().map_or_else(String::new, |_| format!(", until {}", of("until")));
    format!(
        "waits for: {} ({}){since}{until}\n      who can end it: {}\n      how: {}",
        of("code"),
        of("text"),
        of("who"),
        of("how")
    )
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
        let number = |name: &str| phase["devices"][name].as_u64().unwrap_or(0);
        let _ = write!(
            lines,
            "\n    {}: {} confirmed, {} failed, {} silent, {} in flight, {} withdrawn",
            count(number("devices"), "device"),
            number("confirmed"),
            number("failed"),
            number("silent"),
            number("inFlight"),
            number("withdrawn")
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
                validation["at"].as_u64().map_or_else(|| text(&validation["at"]), |at| UtcMillis(at).to_string()),
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
            device["detail"].as_str().map_or_else(String::new, |_| text(&device["detail"]))
        );
        if device["waiting"].is_object() {
            let _ = write!(lines, "\n    {}", wait_in_words(&device["waiting"]));
        }
    }
    lines
}

/// How a deployment ended that was followed; each has an exit status of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the deployment was rolled back")]
    RolledBack,
    #[error("the deployment was aborted")]
    Aborted,
    #[error("the deployment was superseded by a newer one")]
    Superseded,
}

/// A deployment on one line: when, how it stands, how many devices are where.
fn one_line(view: &Value) -> String {
    let number = |name: &str| -> u64 {
        let phases = view["phases"].as_array().into_iter().flatten();
        phases.filter_map(|phase| phase["devices"][name].as_u64()).sum()
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let current = usize::try_from(view["currentPhase"].as_u64().unwrap_or(1)).unwrap_or(1).saturating_sub(1);
    let codes = view["waiting"].as_array().into_iter().flatten().filter_map(|w| w["code"].as_str());
    let codes: Vec<String> = codes.map(|code| text(&code.into())).collect();
    let waits = if codes.is_empty() { String::new() } else { format!(", waits for {}", codes.join(", ")) };
    format!(
        "{now} {} {} phase {} {}: {} of {} confirmed, {} failed, {} in flight{waits}",
        text(&view["deploymentId"]),
        text(&view["status"]["name"]),
        current + 1,
        text(&view["phases"][current]["status"]["name"]),
        number("confirmed"),
        number("devices"),
        number("failed"),
        number("inFlight"),
    )
}

/// Shows what changes: in place on a terminal, one line a change elsewhere, JSON as it comes.
struct Screen<'a> {
    out: &'a Output,
    last: String,
    rows: usize,
}

impl Screen<'_> {
    fn show(&mut self, view: &Value) {
        let in_place = std::io::stdout().is_terminal() && !self.out.is_json();
        let line = one_line(view);
        // The time alone is no change.
        let shown =
            if self.out.is_json() || in_place { render(view) } else { line.split_once(' ').map_or("", |l| l.1).into() };
        if shown == self.last {
            return;
        }
        if in_place {
            let (rows, columns) = mdfm_service::terminal::size();
            let drawing = terminal::fit(&self.out.localised(shown.clone()), rows, columns);
            self.rows = mdfm_service::output::in_place(&drawing, self.rows, columns);
        } else {
            self.out.answer(view, || line);
        }
        self.last = shown;
    }
}

pub(crate) async fn watch(out: &Output, client: &Client, options: Watch) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}", options.deployment);
    if !options.follow {
        let view = client.get(&path).await?;
        out.answer(&view, || render(&view));
        return Ok(());
    }
    let events = format!("{path}/events");
    let mut screen = Screen { out, last: String::new(), rows: 0 };
    let mut show = |view: &Value| {
        screen.show(view);
        has_ended(view).then(|| text(&view["status"]["name"]))
    };
    let (mut end, mut away) = (None::<String>, None::<Instant>);
    while end.is_none() {
        let mut has_heard = false;
        let heard = client.events(&events, |view| {
            end = show(&view);
            has_heard = true;
            end.is_some()
        });
        let broken = heard.await.err();
        if has_heard || broken.is_none() {
            away = None;
        }
        match broken {
            // The coordinator ends long watches, and may restart itself: then it is asked again.
            Some(error) if !is_broken_line(&error) || away.is_some_and(|since| since.elapsed() > AWAY_MAX) => {
                return Err(error);
            }
            Some(_) if away.is_none() => {
                mdfm_service::output::note("the coordinator is away; waiting for it");
                away = Some(Instant::now());
            }
            _ => {}
        }
        if end.is_none() {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
    match end.as_deref() {
        Some("rolledBack") => Err(Ended::RolledBack.into()),
        Some("aborted") => Err(Ended::Aborted.into()),
        Some("superseded") => Err(Ended::Superseded.into()),
        _ => Ok(()),
    }
}

/// Shows the evidence that a signature at the gate stands on; returns its digest, or `None` from a coordinator of an earlier version.
async fn evidence(client: &Client, deployment: &str) -> anyhow::Result<Option<Digest>> {
    let preview = match client.get(&format!("{deployment}/validations/preview")).await {
        Ok(preview) => preview,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (evidence, named) = checked_evidence(&preview)?;
    let gate = &evidence["gate"];
    mdfm_service::output::notes(format!(
        "the gate of phase {}: {}",
        text(&preview["phase"]),
        text(&gate["explanation"])
    ));
    mdfm_service::output::notes(format!("the phase now: {}\nevidence {named}", since_words(&evidence["since"])));
    Ok(Some(named))
}

/// What became of a phase since its gate was evaluated: its devices, then how many of them are
/// what.
fn since_words(since: &Value) -> String {
    let others = since.as_object().into_iter().flatten().filter(|(name, _)| *name != "devices");
    let others: Vec<String> = others.map(|(name, n)| format!("{} {}", text(n), name)).collect();
    format!("{}: {}", count_of(&since["devices"], "device"), others.join(", "))
}

/// The evidence of a preview, once its digest is shown to be the one that is signed.
fn checked_evidence(preview: &Value) -> anyhow::Result<(Value, Digest)> {
    let document = preview["evidence"].as_str().unwrap_or_default();
    let (found, named) = (Digest::of(document.as_bytes()), preview["evidenceDigest"].as_str().unwrap_or_default());
    ensure!(
        found.to_string() == named,
        "nothing was signed: the coordinator shows evidence with digest {found} and names {named:?}; do not sign, and inform \
         your administrator"
    );
    let evidence = serde_json::from_str(document).context("the coordinator's evidence cannot be read")?;
    Ok((evidence, found))
}

pub(crate) async fn validate(out: &Output, client: &Client, options: Validate) -> anyhow::Result<()> {
    check_may_sign(client).await?;
    let path = format!("/api/v1/deployments/{}", options.deployment);
    let signature = format!("{path}/validations/signature");
    let Signing { role, reason, confirmation, .. } = &options.signing;
    let view = client.get(&path).await?;
    let no_phase = || {
        let id = options.deployment.as_str();
        format!("nothing was signed: deployment {id} has no current phase; see mdfmctl deployments show {id}")
    };
    let phase = view["currentPhase"].as_u64().and_then(|p| u32::try_from(p).ok()).with_context(no_phase)?;
    let current = phase.checked_sub(1).with_context(no_phase)?;
    let named: Digest = text(&view["manifestDigest"]).parse()?;
    let evidence = evidence(client, &path).await?;
    let validation = |_: &Value, manifest| {
        ensure!(
            manifest == named,
            "nothing was signed: the deployment brings another manifest than the release has now"
        );
        Ok(Validation {
            deployment: options.deployment.clone(),
            phase: current,
            manifest,
            evidence,
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
    let mut shown = json!({ "manifestDigest": validation.manifest });
    // A coordinator of an earlier version knows no evidence, and refuses a field that it does not know.
    if let Some(evidence) = evidence {
        shown["evidenceDigest"] = json!(evidence);
    }
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

pub(crate) async fn abort(out: &Output, client: &Client, options: Abort) -> anyhow::Result<()> {
    if !options.asked.yes {
        let id = &options.change.deployment;
        let view = client.get(&format!("/api/v1/deployments/{id}")).await?;
        let question = format!(
            "{}\nThis ends the deployment permanently: what is in flight goes back, what is done stays.",
            one_line(&view)
        );
        options.asked.ask(&question, id.as_str())?;
    }
    change(out, client, "abort", options.change).await
}

/// What a rollback counts as and leads to, in words.
fn render_preview(view: &Value) -> String {
    let ordered = view["devices"].as_array().map_or(0, Vec::len);
    let (devices, s) = (count(ordered, "device"), if ordered == 1 { "s" } else { "" });
    let mut lines = match view["cause"].as_str() {
        Some("operational") => format!(
            "the order is operational: {devices} leave{s} the deployment's count, which says nothing about the firmware"
        ),
        _ => format!("the order is because of the firmware: {devices} count{s} as failed"),
    };
    for reaction in view["reactions"].as_array().into_iter().flatten() {
        let reaction = text(reaction);
        let (action, why) = reaction.split_once(": ").unwrap_or((&reaction, ""));
        let what = mdfm_shared::action::named(action);
        let _ =
            write!(lines, "\n  then the deployment's own rules: {what}{}{why}", if why.is_empty() { "" } else { ": " });
    }
    if view["escalates"] == true {
        lines.push_str("\n  SO MORE GOES BACK THAN THE ORDER NAMES: --because operational takes its devices out of the count instead");
    }
    let _ = write!(
        lines,
        "\n  sent back in the end: {} in {}",
        count_of(&view["totalDevices"], "device"),
        count_of(&view["totalHospitals"], "hospital")
    );
    lines
}

pub(crate) async fn roll_back(out: &Output, client: &Client, options: Rollback) -> anyhow::Result<()> {
    let is_scoped = options.device.is_some() || options.hospital.is_some() || options.phase.is_some();
    ensure!(
        !is_scoped || options.operational || options.because.is_some(),
        "what does it count as? --because firmware counts the devices as failed, which may roll back everything; --because operational \
         takes them out of the count"
    );
    let path = format!("/api/v1/deployments/{}/rollback", options.deployment);
    let is_operational = options.operational || options.because == Some(Because::Operational);
    let body = json!({
        "reason": options.reason,
        "deviceId": options.device,
        "hospitalId": options.hospital,
        "phase": options.phase,
        "cause": if is_operational { "operational" } else { "safety" },
    });
    if options.dry_run || !options.asked.yes {
        let view = client.post(&format!("{path}?dryRun=true"), &dry(&body)).await.map_err(explain_dry_run)?;
        if options.dry_run {
            out.answer(&view, || render_preview(&view));
            return Ok(());
        }
        options.asked.ask(&render_preview(&view), &text(&view["totalDevices"]))?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_27_a_plan_says_what_a_critical_fault_does() {
        for (reach, words) in [
            ("hospital", "only a person rolls back more"),
            ("sources", "one in a second hospital rolls back every device"),
            ("deployment", "a critical fault rolls back every device"),
        ] {
            let plan = render_plan(&json!({ "firstFailure": "byGate", "criticalReach": reach }));
            assert!(plan.contains("the first failure is judged by the phase's gate\n  a critical fault"), "{plan}");
            assert!(plan.contains(words) && !plan.contains("reaches"), "{plan}");
        }
    }

    #[test]
    fn cli_2_a_dry_run_says_so_in_its_body() {
        for (written, expected) in [
            ("{}", r#"{"dryRun":true}"#),
            ("{ }\n", r#"{ "dryRun":true}"#),
            ("{\n  \"strategy\": 7\n}\n", "{\n  \"strategy\": 7\n,\"dryRun\":true}"),
            (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":{}},"dryRun":true}"#),
        ] {
            let dry = dry_text(written);
            assert_eq!(dry, expected);
            let value: Value = serde_json::from_str(&dry).expect("still JSON");
            assert_eq!(value["dryRun"], true);
        }
        assert_eq!(dry(&json!({ "reason": "x" })), json!({ "reason": "x", "dryRun": true }));
        let old = anyhow::anyhow!("the body: unknown field `dryRun`, expected one of `reason` (400, malformed-body)");
        assert!(explain_dry_run(old).to_string().starts_with("nothing was done"));
        assert_eq!(explain_dry_run(anyhow::anyhow!("other")).to_string(), "other");
    }
}
