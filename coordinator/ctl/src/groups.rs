//! Groups of devices that deployments name.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{ArgGroup, Args, Subcommand};
use mdfm_shared::id::{DeviceId, GroupId};
use mdfm_shared::json::text_without_mark;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, Which};
use crate::files;
use crate::output::{Output, count, count_of, text};
use crate::trust::confirm::Asked;

#[derive(Debug, Subcommand)]
pub(crate) enum Groups {
    /// Makes a group, or replaces all of what it was, which is asked about; `change` changes only what is named.
    Set(Set),
    /// Changes what is named of a group, and nothing else.
    Change(Change),
    /// Lists groups.
    List(Which),
    /// Shows one group.
    Show {
        /// Group id.
        group: GroupId,
    },
    /// Lists the devices that are in a group now.
    Devices {
        /// Group id.
        group: GroupId,
        #[command(flatten)]
        which: Which,
    },
    /// Removes a group.
    Remove {
        /// Group id.
        group: GroupId,
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
    group: GroupId,
    /// Name.
    #[arg(long)]
    name: String,
    /// A device; several may be given.
    #[arg(long = "device")]
    devices: Vec<DeviceId>,
    /// File with a device id in each line.
    #[arg(long)]
    devices_file: Option<PathBuf>,
    /// Every device of which this holds, for example `hospitalCohort=pilot,currentFirmwareVersion=2.*`.
    #[arg(long)]
    query: Option<String>,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

/// What is to change of a group.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "query", "add", "remove"]))]
pub(crate) struct Change {
    /// Group id.
    group: GroupId,
    /// Name.
    #[arg(long)]
    name: Option<String>,
    /// The condition of a group by query.
    #[arg(long, conflicts_with_all = ["add", "remove"])]
    query: Option<String>,
    /// A device to add to a group that is a list; once for each.
    #[arg(long = "add-device")]
    add: Vec<DeviceId>,
    /// A device to remove from it; once for each.
    #[arg(long = "remove-device")]
    remove: Vec<DeviceId>,
    /// Why.
    #[arg(long)]
    reason: String,
}

/// Changes what is named; refused by the coordinator if somebody else changed the group meanwhile.
async fn change(out: &Output, client: &Client, change: Change) -> anyhow::Result<()> {
    let path = format!("/api/v1/groups/{}", change.group);
    let (held, tag) = client.tagged(&path).await?;
    let mut body = json!({ "name": held["name"], "reason": change.reason });
    if let Some(name) = change.name {
        body["name"] = name.into();
    }
    let is_query = held["query"].is_string();
    if is_query {
        ensure!(
            change.add.is_empty() && change.remove.is_empty(),
            "group {} is a query: its devices follow from --query",
            change.group
        );
        body["query"] = change.query.map_or_else(|| held["query"].clone(), Value::from);
    } else {
        ensure!(change.query.is_none(), "group {} is a list of devices: groups set makes it a query", change.group);
        let rows = client.list(&format!("{path}/devices")).await?;
        let mut devices: Vec<String> = rows.as_array().into_iter().flatten().map(|d| text(&d["deviceId"])).collect();
        let [add, remove] =
            [change.add, change.remove].map(|ids| ids.into_iter().map(String::from).collect::<Vec<_>>());
        let missing = remove.iter().find(|device| !devices.contains(device));
        ensure!(missing.is_none(), "{} is not in group {}", missing.map_or("", String::as_str), change.group);
        devices.retain(|device| !remove.contains(device));
        devices.extend(add.into_iter().filter(|device| !devices.contains(device)).collect::<Vec<_>>());
        body["devices"] = devices.into();
    }
    let view = client.send(client.request(Method::PUT, &path).header("if-match", tag).json(&body)).await?;
    out.answer(&view, || format!("group {} changed", text(&view["groupId"])));
    Ok(())
}

/// Asks before a group that exists is replaced.
async fn ask_to_replace(client: &Client, set: &Set) -> anyhow::Result<()> {
    if set.asked.yes {
        return Ok(());
    }
    let rows = client.list("/api/v1/groups").await?;
    let held = rows.as_array().into_iter().flatten().find(|row| row["groupId"] == set.group.as_str());
    let Some(held) = held else { return Ok(()) };
    let is = match (held["query"].as_str(), held["listed"].as_u64()) {
        (Some(query), _) => format!("the query {}", text(&query.into())),
        (None, listed) => format!("a list of {}", count(listed.unwrap_or(0), "device")),
    };
    let becomes = match (&set.query, set.devices()?) {
        (Some(query), _) => format!("the query {}", text(&query.as_str().into())),
        (None, devices) => format!("a list of {}", count(devices.map_or(0, |d| d.len()), "device")),
    };
    set.asked.ask(&format!("group {} is {is} and becomes {becomes}", set.group), set.group.as_str())
}

impl Set {
    fn devices(&self) -> anyhow::Result<Option<Vec<String>>> {
        match &self.devices_file {
            Some(file) => {
                let text = files::read_text(file)?;
                Ok(Some(
                    text_without_mark(&text)
                        .lines()
                        .map(str::trim)
                        .filter(|l| !l.is_empty())
                        .map(str::to_owned)
                        .collect(),
                ))
            }
            None => Ok(self.query.is_none().then(|| self.devices.iter().map(ToString::to_string).collect())),
        }
    }
}

pub(crate) async fn run(out: &Output, client: &Client, action: Groups) -> anyhow::Result<()> {
    match action {
        Groups::Change(options) => change(out, client, options).await?,
        Groups::Set(set) => {
            ask_to_replace(client, &set).await?;
            let body = json!({ "name": set.name, "devices": set.devices()?, "query": set.query, "reason": set.reason });
            let view = client.put(&format!("/api/v1/groups/{}", set.group), &body).await?;
            out.answer(&view, || format!("group {} set", text(&view["groupId"])));
        }
        Groups::List(which) => {
            let rows = client.list_of("/api/v1/groups", &which).await?;
            let columns = [("GROUP", "/groupId"), ("NAME", "/name"), ("LISTED", "/listed"), ("QUERY", "/query")];
            out.table(&rows, &columns);
        }
        Groups::Show { group } => {
            let view = client.get(&format!("/api/v1/groups/{group}")).await?;
            out.answer(&view, || {
                let members = match view["query"].as_str() {
                    Some(query) => format!("every device with {}", text(&query.into())),
                    None => count_of(&view["listed"], "listed device"),
                };
                format!("{} ({}): {members}", text(&view["groupId"]), text(&view["name"]))
            });
        }
        Groups::Devices { group, which } => {
            let rows = client.list_of(&format!("/api/v1/groups/{group}/devices"), &which).await?;
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
