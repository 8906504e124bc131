//! What a release changes against another: the fields of the signed manifest, and the parts of the bill of materials.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::sbom::Part;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::request::{Origin, Path, id};
use super::{Api, Problem};
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::firmware::Firmware;
use mdfm_coordinator_core::{Refusal, State as Domain};

/// One field of the manifest that is another.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    field: String,
    /// `null` if the other release has no such field.
    before: Value,
    after: Value,
}

/// One part of the bill of materials that is another.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartDifference {
    /// With its group before it, where it has one: `group/name`.
    name: String,
    /// The versions in the other release; empty if the part is added.
    before: Vec<String>,
    /// The versions in this release; empty if the part is removed.
    after: Vec<String>,
}

/// What a release changes against another.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Differences {
    firmware_id: String,
    manifest_digest: Option<String>,
    /// The other release; `null` if nothing of this model runs a release from here.
    against: Option<String>,
    against_version: Option<String>,
    /// Devices in service that run the other release now.
    against_devices: u64,
    fields: Vec<Difference>,
    /// Parts of the bills of materials; `null` if one of the releases has none on record.
    parts: Option<Vec<PartDifference>>,
}

fn fields(before: &Value, after: &Value) -> Vec<Difference> {
    let keys = |value: &Value| value.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect::<Vec<_>>();
    let all: BTreeSet<String> = keys(before).into_iter().chain(keys(after)).collect();
    let changed = all.into_iter().filter(|key| before[key] != after[key]);
    changed.map(|field| Difference { before: before[&field].clone(), after: after[&field].clone(), field }).collect()
}

/// A part by its group and name: the same name in two groups is two parts.
type Named<'a> = (Option<&'a str>, &'a str);

fn parts_of(sbom: &[Part]) -> BTreeMap<Named<'_>, BTreeSet<&str>> {
    let mut parts: BTreeMap<Named<'_>, BTreeSet<&str>> = BTreeMap::new();
    for part in sbom {
        let versions = parts.entry((part.group.as_deref(), &part.name)).or_default();
        versions.insert(part.version.as_deref().unwrap_or("without a version"));
    }
    parts
}

fn parts(before: &[Part], after: &[Part]) -> Option<Vec<PartDifference>> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let (before, after) = (parts_of(before), parts_of(after));
    let all: BTreeSet<Named<'_>> = before.keys().chain(after.keys()).copied().collect();
    let versions = |of: &BTreeMap<Named<'_>, BTreeSet<&str>>, part: Named<'_>| -> Vec<String> {
        of.get(&part).into_iter().flatten().map(|v| (*v).to_owned()).collect()
    };
    let changed = all.into_iter().filter(|part| before.get(part) != after.get(part));
    let difference = |part: Named<'_>| PartDifference {
        name: part.0.map_or_else(|| part.1.to_owned(), |group| format!("{group}/{}", part.1)),
        before: versions(&before, part),
        after: versions(&after, part),
    };
    Some(changed.map(difference).collect())
}

/// Devices in service of a model, by the image that they run: one pass, however many releases there are.
fn running(state: &Domain, model: &str) -> BTreeMap<Digest, u64> {
    let runs = state.devices.values().filter(|d| d.retired_at.is_none() && d.model == model);
    runs.filter_map(|d| d.running_sha256).fold(BTreeMap::new(), |mut counts, image| {
        *counts.entry(image).or_default() += 1;
        counts
    })
}

/// Of these devices those that run a release.
fn of_release(running: &BTreeMap<Digest, u64>, firmware: &Firmware) -> u64 {
    firmware.image.and_then(|(image, _)| running.get(&image).copied()).unwrap_or_default()
}

/// The release of the same model that most devices run now, other than `id`; the newest of several.
fn in_the_field<'a>(
    state: &'a Domain,
    running: &BTreeMap<Digest, u64>,
    id: &FirmwareId,
    firmware: &Firmware,
) -> Option<(&'a FirmwareId, &'a Firmware)> {
    let others = state.firmware.iter().filter(|(other, f)| *other != id && f.model == firmware.model);
    let counted = others.map(|(other, f)| {
        let number = f.manifest.as_ref().map_or(0, |m| m.manifest.release_number);
        ((of_release(running, f), number), (other, f))
    });
    counted.filter(|((devices, _), _)| *devices > 0).max_by_key(|(rank, _)| *rank).map(|(_, release)| release)
}

fn differences(state: &Domain, id: &FirmwareId, other: Option<&FirmwareId>) -> Result<Differences, Refusal> {
    let firmware = state.need_firmware(id)?;
    let running = running(state, &firmware.model);
    let against = match other {
        Some(other) => Some((other, state.need_firmware(other)?)),
        None => in_the_field(state, &running, id, firmware),
    };
    if let Some((other, held)) = against.filter(|(_, held)| held.model != firmware.model) {
        let problem = format!("{other} is for {}, {id} is for {}: nothing to compare", held.model, firmware.model);
        return Err(Refusal::invalid("other", problem));
    }
    let manifest = |f: &Firmware| {
        let attached = f.manifest.as_ref();
        attached.and_then(|m| serde_json::to_value(&m.manifest).ok()).unwrap_or(Value::Null)
    };
    let before = against.map_or(Value::Null, |(_, held)| manifest(held));
    Ok(Differences {
        firmware_id: id.to_string(),
        manifest_digest: firmware.manifest.as_ref().map(|m| m.digest.to_string()),
        against: against.map(|(other, _)| other.to_string()),
        against_version: against.map(|(_, held)| held.version.clone()),
        against_devices: against.map_or(0, |(_, held)| of_release(&running, held)),
        fields: if against.is_some() { fields(&before, &manifest(firmware)) } else { Vec::new() },
        parts: against.and_then(|(_, held)| parts(&held.sbom, &firmware.sbom)),
    })
}

/// What a release changes against another one of the same model.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/differences/{other}",
    responses((status = 200, body = Differences), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn against(
    State(api): State<Api>,
    origin: Origin,
    Path((firmware, other)): Path<(String, String)>,
) -> Result<axum::Json<Differences>, Problem> {
    origin.need(&api, Permission::ReadAll, "firmware.differences", &format!("firmware/{firmware}")).await?;
    let (firmware, other) = (id("firmware", &firmware)?, id("other", &other)?);
    Ok(axum::Json(differences(&api.runner.state(), &firmware, Some(&other))?))
}

/// What a release changes against the one that most devices of the model run now.
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/differences",
    responses((status = 200, body = Differences), (status = 404, body = Problem)))]
pub(super) async fn against_the_field(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
) -> Result<axum::Json<Differences>, Problem> {
    origin.need(&api, Permission::ReadAll, "firmware.differences", &format!("firmware/{firmware}")).await?;
    Ok(axum::Json(differences(&api.runner.state(), &id("firmware", &firmware)?, None)?))
}

#[cfg(test)]
mod tests {
    use mdfm_coordinator_core::firmware::FirmwareStatus;
    use mdfm_coordinator_core::fixture::{MODEL, Office, id};
    use serde_json::json;

    use super::*;

    #[test]
    fn cli_6_the_release_that_most_devices_run_is_compared() {
        let mut office = Office::new();
        let now = office.now;
        let release = |n: u8| Firmware {
            version: format!("9.{n}.0"),
            model: MODEL.into(),
            release_notes: String::new(),
            submitter: "operator".into(),
            status: FirmwareStatus::AwaitingManifest,
            image: Some((Digest([n; 32]), 1)),
            deltas: BTreeMap::new(),
            manifest: None,
            approvals: BTreeMap::new(),
            lost: vec![],
            rejection: None,
            rejected: None,
            requested_at: now,
            sbom: vec![],
        };
        office.state.firmware.extend((0..200).map(|n| (id(&format!("FW-9-{n}")), release(n))));
        let devices: Vec<_> = office.state.devices.keys().cloned().collect();
        for (n, device) in devices.iter().enumerate() {
            office.state.devices.get_mut(device).expect("the device").running_sha256 =
                Some(Digest([if n == 0 { 7 } else { 9 }; 32]));
        }
        let found = differences(&office.state, &id("FW-9-1"), None).expect("compared");
        assert_eq!((found.against.as_deref(), found.against_devices), (Some("FW-9-9"), devices.len() as u64 - 1));
        let named = differences(&office.state, &id("FW-9-1"), Some(&id("FW-9-7"))).expect("compared");
        assert_eq!((named.against.as_deref(), named.against_devices), (Some("FW-9-7"), 1));
    }

    #[test]
    fn cli_6_every_field_that_changed_is_listed() {
        let before = json!({ "version": "2.1", "hardware": ["A", "B"], "gone": 1, "same": true });
        let after = json!({ "version": "2.2", "hardware": ["B"], "new": { "x": 1 }, "same": true });
        let found: Vec<String> = fields(&before, &after).iter().map(|d| d.field.clone()).collect();
        assert_eq!(found, ["gone", "hardware", "new", "version"]);
        assert_eq!(fields(&before, &before), []);
    }

    #[test]
    fn cli_6_parts_of_one_name_in_two_groups_are_two_parts() {
        let part = |group: Option<&str>, name: &str, version| Part {
            group: group.map(str::to_owned),
            ..Part::new(name, Some(version))
        };
        let before = [part(Some("@angular"), "core", "17"), part(Some("@babel"), "core", "7"), part(None, "core", "1")];
        let after = [part(Some("@angular"), "core", "7"), part(Some("@babel"), "core", "17"), part(None, "core", "1")];
        let found = parts(&before, &after).expect("both have parts");
        let shown: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.before.join(" "), d.after.join(" "))).collect();
        let expected = [("@angular/core", "17".to_owned(), "7".to_owned()), ("@babel/core", "7".into(), "17".into())];
        assert_eq!(shown, expected);
        assert_eq!(parts(&before, &before), Some(vec![]));
        assert_eq!(parts(&before, &[]), None);
    }
}
