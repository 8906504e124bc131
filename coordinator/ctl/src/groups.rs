//! Groups of devices that deployments name.

use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use mdfm_shared::json::text_without_mark;
use serde_json::json;

use crate::client::Client;
use crate::output::{Output, text};

#[derive(Debug, Subcommand)]
pub(crate) enum Groups {
    /// Makes a group, or replaces what it was.
    Set(Set),
    /// Lists groups.
    List,
    /// Lists the devices that are in a group now.
    Devices {
        /// Group id.
        group: String,
    },
    /// Removes a group.
    Remove {
        /// Group id.
        group: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// What a group is to be.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("members").required(true).args(["devices", "devices_file", "query"]))]
pub(crate) struct Set {
    /// Group id.
    group: String,
    /// Name.
    #[arg(long)]
    name: String,
    /// A device; several may be given.
    #[arg(long = "device")]
    devices: Vec<String>,
    /// File with a device id in each line.
    #[arg(long)]
    devices_file: Option<PathBuf>,
    /// Every device of which this holds, for example `hospitalCohort=pilot,currentFirmwareVersion=2.*`.
    #[arg(long)]
    query: Option<String>,
    /// Why.
    #[arg(long)]
    reason: String,
}

impl Set {
    fn devices(&self) -> anyhow::Result<Option<Vec<String>>> {
        match &self.devices_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
                Ok(Some(
                    text_without_mark(&text)
                        .lines()
                        .map(str::trim)
                        .filter(|l| !l.is_empty())
                        .map(str::to_owned)
                        .collect(),
                ))
            }
            None => Ok(self.query.is_none().then(|| self.devices.clone())),
        }
    }
}

pub(crate) async fn run(out: &Output, client: &Client, action: Groups) -> anyhow::Result<()> {
    match action {
        Groups::Set(set) => {
            let body = json!({ "name": set.name, "devices": set.devices()?, "query": set.query, "reason": set.reason });
            let view = client.put(&format!("/api/v1/groups/{}", set.group), &body).await?;
            out.answer(&view, || format!("group {} set", text(&view["groupId"])));
        }
        Groups::List => {
            let rows = client.list("/api/v1/groups").await?;
            let columns = [("GROUP", "/groupId"), ("NAME", "/name"), ("LISTED", "/listed"), ("QUERY", "/query")];
            out.table(&rows, &columns);
        }
        Groups::Devices { group } => {
            let rows = client.list(&format!("/api/v1/groups/{group}/devices")).await?;
            let columns = [
                ("DEVICE", "/deviceId"),
                ("MODEL", "/modelNumber"),
                ("HOSPITAL", "/hospitalId"),
                ("FIRMWARE", "/currentFirmwareVersion"),
            ];
            out.table(&rows, &columns);
        }
        Groups::Remove { group, reason } => {
            client.delete(&format!("/api/v1/groups/{group}"), &json!({ "reason": reason })).await?;
            out.answer(&json!({ "groupId": group }), || format!("group {group} removed"));
        }
    }
    Ok(())
}
