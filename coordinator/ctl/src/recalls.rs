//! Recalls: open, follow, close.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{Output, text};

#[derive(Debug, Subcommand)]
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
        #[arg(long = "firmware-version")]
        versions: Vec<String>,
        /// Devices whose UDI begins so.
        #[arg(long)]
        udi_prefix: Option<String>,
        /// A part that the software bill of materials names.
        #[arg(long)]
        component: Option<String>,
        /// The part's version, if only that one is concerned.
        #[arg(long)]
        component_version: Option<String>,
        /// The part's group: scope, namespace or vendor.
        #[arg(long, requires = "component")]
        component_group: Option<String>,
        /// Package URL of the part, such as pkg:npm/%40angular/core.
        #[arg(long)]
        component_purl: Option<String>,
        /// CPE name of the part, such as cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*.
        #[arg(long)]
        component_cpe: Option<String>,
        /// Versions of the part between others, such as ">=3.0.0,<3.0.7".
        #[arg(long, conflicts_with = "component_version")]
        component_versions: Option<String>,
        /// Versions of the firmware between others, such as ">=2.0.0,<2.2.1".
        #[arg(long)]
        version_range: Option<String>,
        /// quarantine, rollBack or replace.
        #[arg(long)]
        action: String,
        /// Why, in your words.
        #[arg(long)]
        reason: String,
    },
    /// Lists recalls.
    List,
    /// Shows a recall and every device that it still waits for.
    Show {
        /// Recall id.
        recall: String,
    },
    /// Closes a recall that waits for no device any more.
    Close {
        /// Recall id.
        recall: String,
    },
}

fn render(view: &Value) -> String {
    let mut lines = format!(
        "recall {} ({}): {}; {} devices found",
        text(&view["recallId"]),
        text(&view["action"]),
        text(&view["reason"]),
        text(&view["found"])
    );
    let left = view["outstanding"].as_array().cloned().unwrap_or_default();
    lines.push_str(&match view["closedBy"].as_str() {
        Some(by) => format!("\n  closed by {by} on {}", text(&view["closedAt"])),
        None => format!("\n  {} devices still run the firmware", left.len()),
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
            "\n  {} in {} runs {}, last seen {}{}",
            text(&device["deviceId"]),
            text(&device["hospitalId"]),
            text(&device["firmwareVersion"]),
            device["lastSeen"].as_str().unwrap_or("not since the coordinator started"),
            match (view["needs"].is_null(), device["orderId"].as_str()) {
                (true, _) => String::new(),
                (false, Some(order)) => format!("; has rollback order {}", text(&order.into())),
                (false, None) => format!("; {}", text(&device["needWords"])),
            }
        ));
    }
    lines
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
            action,
            reason,
        } => {
            let body = json!({
                "deviceModel": model, "releaseFrom": release_from, "releaseTo": release_to, "versions": versions,
                "udiPrefix": udi_prefix, "component": component, "componentVersion": component_version,
                "componentGroup": component_group, "componentPurl": component_purl, "componentCpe": component_cpe,
                "componentVersions": component_versions, "versionRange": version_range,
                "action": action, "reason": reason,
            });
            client.post("/api/v1/recalls", &body).await?
        }
        Recalls::List => {
            let rows = client.list("/api/v1/recalls").await?;
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
