//! Recalls: open, follow, close.

use clap::{Subcommand, ValueEnum};
use mdfm_shared::id::RecallId;
use serde_json::{Value, json};

use crate::client::{Client, Which};
use crate::deployments::{dry, explain_dry_run};
use crate::output::{Output, count, count_of, text};
use crate::trust::confirm::Asked;
use crate::words::some_text;

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a run of the program has one")]
pub(crate) enum Recalls {
    /// Opens a recall: the firmware is withdrawn, its deployments end or go back.
    Open {
        /// Device model.
        #[arg(long)]
        model: String,
        /// Lowest release number concerned.
        #[arg(long)]
        release_from: Option<u64>,
        /// Highest release number concerned.
        #[arg(long)]
        release_to: Option<u64>,
        /// Version labels concerned, also of firmware that was never released from here.
        #[arg(long = "firmware-version", value_parser = some_text())]
        versions: Vec<String>,
        /// Devices whose UDI begins so.
        #[arg(long, value_parser = some_text())]
        udi_prefix: Option<String>,
        /// A part that the software bill of materials names.
        #[arg(long, value_parser = some_text())]
        component: Option<String>,
        /// The part's version, if only that one is concerned.
        #[arg(long, value_parser = some_text())]
        component_version: Option<String>,
        /// The part's group: scope, namespace or vendor.
        #[arg(long, requires = "component", value_parser = some_text())]
        component_group: Option<String>,
        /// Package URL of the part, such as pkg:npm/%40angular/core.
        #[arg(long, value_parser = some_text())]
        component_purl: Option<String>,
        /// CPE name of the part, such as cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*.
        #[arg(long, value_parser = some_text())]
        component_cpe: Option<String>,
        /// Versions of the part between others, such as ">=3.0.0,<3.0.7".
        #[arg(long, conflicts_with = "component_version", value_parser = some_text())]
        component_versions: Option<String>,
        /// Versions of the firmware between others, such as ">=2.0.0,<2.2.1".
        #[arg(long, value_parser = some_text())]
        version_range: Option<String>,
        /// Every release of the model; needed if nothing else narrows the recall.
        #[arg(long)]
        all_releases: bool,
        /// What becomes of the devices: quarantine, rollBack or replace.
        #[arg(long = "remedy", alias = "action", ignore_case = true)]
        action: RecallAction,
        /// Why, in your words.
        #[arg(long)]
        reason: String,
        /// Show which releases, devices, hospitals and deployments it concerns; do nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Lists recalls.
    List(Which),
    /// Shows a recall and every device that it still waits for.
    Show {
        /// Recall id.
        recall: RecallId,
    },
    /// Closes a recall that waits for no device any more.
    Close {
        /// Recall id.
        recall: RecallId,
    },
}

/// What shall become of the devices of a recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum RecallAction {
    Quarantine,
    RollBack,
    Replace,
}

impl RecallAction {
    fn word(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::RollBack => "rollBack",
            Self::Replace => "replace",
        }
    }
}

/// Ids of one list that are shown.
const SHOWN_MAX: usize = 20;

/// What a recall would concern, in words, with its numbers first.
fn render_preview(view: &Value) -> String {
    let all = |name: &str| view[name].as_array().cloned().unwrap_or_default();
    let (releases, hospitals, deployments) = (all("releases"), all("hospitals"), all("deployments"));
    let mut lines = vec![format!(
        "this recall ({}) concerns {} and {} in {}, and ends {}",
        text(&view["action"]),
        count(releases.len(), "release"),
        count_of(&view["devices"], "device"),
        count(hospitals.len(), "hospital"),
        count(deployments.len(), "deployment")
    )];
    for release in &releases {
        let number = release["releaseNumber"].as_u64().map_or_else(String::new, |n| format!(", release number {n}"));
        let becomes = if release["isWithdrawnByIt"] == true { "is withdrawn" } else { "stays as it is" };
        lines.push(format!(
            "  {} {}{number}: {} now, {becomes}",
            text(&release["firmwareId"]),
            text(&release["version"]),
            text(&release["status"])
        ));
    }
    for hospital in hospitals.iter().take(SHOWN_MAX) {
        let devices: Vec<String> = hospital["devices"].as_array().into_iter().flatten().map(text).collect();
        let more = devices.len().saturating_sub(SHOWN_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = devices.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
        lines.push(format!("  {}: {}: {named}{more}", text(&hospital["hospitalId"]), count(devices.len(), "device")));
    }
    if hospitals.len() > SHOWN_MAX {
        lines.push(format!("  and {}", count(hospitals.len() - SHOWN_MAX, "more hospital")));
    }
    for deployment in &deployments {
        let becomes = if deployment["isRolledBack"] == true { "is rolled back" } else { "is aborted" };
        lines.push(format!("  deployment {} {becomes}", text(&deployment["deploymentId"])));
    }
    lines.join("\n")
}

fn render(view: &Value) -> String {
    let mut lines = format!(
        "recall {} ({}): {}; {} found",
        text(&view["recallId"]),
        text(&view["action"]),
        text(&view["reason"]),
        count_of(&view["found"], "device")
    );
    let left = view["outstanding"].as_array().cloned().unwrap_or_default();
    lines.push_str(&match view["closedBy"].as_str() {
        Some(by) => format!("\n  closed by {by} on {}", text(&view["closedAt"])),
        None => format!("\n  still on the firmware: {}", count(left.len(), "device")),
    });
    let waiting = ["order", "orderByTwoRoles"].map(|kind| view["needs"][kind].as_u64().unwrap_or(0));
    if waiting != [0, 0] {
        lines.push_str(&format!(
            "\n  {} wait for a rollback order, {} for one by two roles: mdfmctl rollback-orders make --recall {}",
            waiting[0],
            waiting[1],
            text(&view["recallId"])
        ));
    }
    for device in left {
        lines.push_str(&format!(
            "\n  {} in {} runs {}, last seen {}{}{}",
            text(&device["deviceId"]),
            text(&device["hospitalId"]),
            text(&device["firmwareVersion"]),
            device["lastSeen"].as_str().unwrap_or("not since the coordinator started"),
            match device["unreachable"]["code"].as_str() {
                Some(code) => format!("; not reachable ({code}): {}", text(&device["unreachable"]["text"])),
                None => String::new(),
            },
            match (view["needs"].is_null(), device["orderId"].as_str()) {
                (true, _) => String::new(),
                (false, Some(order)) => format!("; has rollback order {}", text(&order.into())),
                (false, None) => format!("; {}", text(&device["needWords"])),
            }
        ));
    }
    lines
}

/// Names the option where the coordinator names a field of its API.
fn name_option(error: anyhow::Error) -> anyhow::Error {
    if error.to_string().contains("allReleases") {
        return error.context("nothing was opened: `allReleases` is --all-releases here");
    }
    error
}

pub(crate) async fn run(out: &Output, client: &Client, action: Recalls) -> anyhow::Result<()> {
    let view = match action {
        Recalls::Open {
            model,
            release_from,
            release_to,
            versions,
            udi_prefix,
            component,
            component_version,
            component_group,
            component_purl,
            component_cpe,
            component_versions,
            version_range,
            all_releases,
            action,
            reason,
            dry_run,
            asked,
        } => {
            let body = json!({ "allReleases": all_releases,
                "deviceModel": model, "releaseFrom": release_from, "releaseTo": release_to, "versions": versions,
                "udiPrefix": udi_prefix, "component": component, "componentVersion": component_version,
                "componentGroup": component_group, "componentPurl": component_purl, "componentCpe": component_cpe,
                "componentVersions": component_versions, "versionRange": version_range,
                "action": action.word(), "reason": reason,
            });
            if dry_run || !asked.yes {
                let view = client.post("/api/v1/recalls?dryRun=true", &dry(&body)).await;
                let view = view.map_err(explain_dry_run).map_err(name_option)?;
                if dry_run {
                    out.answer(&view, || render_preview(&view));
                    return Ok(());
                }
                asked.ask(&render_preview(&view), &format!("recall {}", text(&view["devices"])))?;
            }
            client.post("/api/v1/recalls", &body).await.map_err(name_option)?
        }
        Recalls::List(which) => {
            let rows = client.list_of("/api/v1/recalls", &which).await?;
            let columns = [
                ("RECALL", "/recallId"),
                ("ACTION", "/action"),
                ("OPENED", "/openedAt"),
                ("FOUND", "/found"),
                ("CLOSED", "/closedAt"),
                ("REASON", "/reason"),
            ];
            out.table(&rows, &columns);
            return Ok(());
        }
        Recalls::Show { recall } => client.get(&format!("/api/v1/recalls/{recall}")).await?,
        Recalls::Close { recall } => client.post(&format!("/api/v1/recalls/{recall}/closure"), &json!({})).await?,
    };
    out.answer(&view, || render(&view));
    Ok(())
}
