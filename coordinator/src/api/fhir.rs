//! Devices as HL7 FHIR R4 resources (hl7.org/fhir/R4/device.html), for the systems of hospitals.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use mdfm_shared::id::{DeviceId, HospitalId};
use mdfm_shared::time::UtcMillis;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::Problem;
use super::request::parsed;
use mdfm_coordinator_core::fleet::Device;
use mdfm_coordinator_core::inventory::{Difference, DifferenceKind};
use mdfm_coordinator_core::{Refusal, State};

/// Resources of one bundle, unless more are asked for.
const COUNT: usize = 100;
const COUNT_MAX: usize = 1_000;
/// Devices looked at for one bundle.
const LOOKED_AT_MAX: usize = 20_000;
/// The application identifier of the device identifier in a GS1 label (GS1 General Specifications §3.2).
const GS1_DI: &str = "(01)";
/// Characters of a global trade item number.
const GTIN_CHARS: usize = 14;

/// Namespace of the tags on resources.
const TAGS: &str = "urn:mdfm:tag";

/// A search for devices, by some of the parameters that FHIR names.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// The serial number.
    serial: Option<String>,
    /// The model number.
    model: Option<String>,
    /// The hospital.
    organization: Option<String>,
    /// `active` or `inactive`.
    status: Option<String>,
    /// Resources of one bundle, 1 to 1,000.
    #[serde(rename = "_count")]
    #[param(rename = "_count")]
    count: Option<usize>,
    /// Where to go on; part of the bundle's link `next`.
    after: Option<String>,
}

fn status(device: &Device) -> &'static str {
    if device.retired_at.is_some() { "inactive" } else { "active" }
}

/// The identifier of the kind of device in a label, where it is a GS1 one.
fn device_identifier(label: &str) -> Option<&str> {
    let rest = &label[label.find(GS1_DI)? + GS1_DI.len()..];
    rest.get(..GTIN_CHARS).filter(|gtin| gtin.bytes().all(|b| b.is_ascii_digit()))
}

/// The differences that make the registered serial number, model number or place doubtful, as their words for people.
fn doubts(differences: &BTreeMap<DifferenceKind, Difference>) -> impl Iterator<Item = (DifferenceKind, &Difference)> {
    use DifferenceKind as K;
    let is_identity = |kind: DifferenceKind| {
        matches!(kind, K::Model | K::Serial | K::Hardware | K::Gateway | K::Conflict | K::Contested | K::Retired)
    };
    differences.iter().map(|(kind, difference)| (*kind, difference)).filter(move |(kind, _)| is_identity(*kind))
}

/// One device. While gateways observe another identity than the registered one, or another place, the resource names the registered
/// values, says so in notes and carries `meta.tag`, so that no reader takes them for certain; `own` is the caller's hospital.
pub(super) fn device(state: &State, now: UtcMillis, own: Option<&HospitalId>, id: &DeviceId, device: &Device) -> Value {
    let hospital = state.hospitals.get(&device.hospital).map(|h| h.name.clone());
    let mut resource = json!({
        "resourceType": "Device",
        "identifier": [{ "use": "official", "system": "urn:mdfm:device", "value": id }],
        "status": status(device),
        "serialNumber": device.serial,
        "modelNumber": device.model,
        "version": [{ "type": { "text": "firmware" }, "value": device.firmware_version }],
        "owner": { "identifier": { "system": "urn:mdfm:hospital", "value": device.hospital }, "display": hospital },
    });
    // FHIR's ids have no underscores; ours may, and then the identifier names the device alone.
    if !id.as_str().contains('_') {
        resource["id"] = id.as_str().into();
    }
    if let Some(label) = &device.udi {
        let mut carrier = json!({ "carrierHRF": label });
        if let Some(gtin) = device_identifier(label) {
            carrier["deviceIdentifier"] = gtin.into();
            carrier["issuer"] = "http://hl7.org/fhir/NamingSystem/gs1".into();
        }
        resource["udiCarrier"] = json!([carrier]);
    }
    let differences = state.differences_for(now, id, device, own);
    let notes: Vec<Value> = doubts(&differences)
        .map(|(kind, Difference { registered, observed })| {
            let text = format!("Not confirmed: {}. Registered: {registered}. Observed: {observed}.", kind.words());
            json!({ "text": text })
        })
        .collect();
    if !notes.is_empty() {
        resource["note"] = notes.into();
        resource["meta"] = json!({ "tag": [{ "system": TAGS, "code": "identity-differs",
            "display": "The observed device differs from the registered one" }] });
    }
    resource
}

/// A resource with its media type.
pub(super) fn answer(resource: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/fhir+json; fhirVersion=4.0")], resource.to_string()).into_response()
}

impl Search {
    fn fits(&self, found: &Device) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        same(&self.serial, &found.serial)
            && same(&self.model, &found.model)
            && same(&self.organization, found.hospital.as_str())
            && same(&self.status, status(found))
    }

    /// A page as a bundle; `sees` is what the caller may see.
    ///
    /// # Errors
    /// The question makes no sense.
    pub(super) fn page(
        &self,
        (state, now): (&State, UtcMillis),
        base: &str,
        own: Option<&HospitalId>,
        sees: impl Fn(&Device) -> bool,
    ) -> Result<Value, Problem> {
        let count = self.count.unwrap_or(COUNT);
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(Refusal::invalid("_count", format!("must be 1 to {COUNT_MAX}")).into());
        }
        let after = self.after.as_deref().map(|id| parsed::<DeviceId>("after", id)).transpose()?;
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut entries, mut last, mut next) = (Vec::new(), None, None);
        // What the caller may not see ends no page and names no place.
        let seen = state.devices.range((begin, Bound::Unbounded)).filter(|(_, found)| sees(found));
        for (looked_at, (id, found)) in seen.enumerate() {
            if entries.len() == count || looked_at == LOOKED_AT_MAX {
                next = last;
                break;
            }
            last = Some(id);
            if self.fits(found) {
                let url = format!("{base}/api/v1/fhir/Device/{id}");
                let resource = device(state, now, own, id, found);
                entries.push(json!({ "fullUrl": url, "resource": resource, "search": { "mode": "match" } }));
            }
        }
        let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries });
        if let Some(next) = next {
            let mut query: Vec<(&str, String)> = vec![("after", next.to_string()), ("_count", count.to_string())];
            let given = [
                ("serial", &self.serial),
                ("model", &self.model),
                ("organization", &self.organization),
                ("status", &self.status),
            ];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
            let query = serde_urlencoded::to_string(query).map_err(|e| Problem::internal("no link", &e))?;
            bundle["link"] = json!([{ "relation": "next", "url": format!("{base}/api/v1/fhir/Device?{query}") }]);
        }
        Ok(bundle)
    }
}

#[cfg(test)]
mod tests {
    use mdfm_coordinator_core::fixture::{Office, device as ward};
    use mdfm_shared::digest::Digest;
    use mdfm_shared::observed::ObservedDevice;
    use mdfm_shared::telemetry::{Event, EventKind, FirmwareReport};

    use super::*;

    #[test]
    fn fld_4_a_resource_says_that_its_identity_is_in_doubt() {
        let mut office = Office::new();
        let id = ward(1, 1);
        let mut resource = |serial: &str, model: Option<&str>| {
            let registered = &office.state.devices[&id];
            let observed = ObservedDevice {
                present: true,
                model: model.unwrap_or(&registered.model).to_owned(),
                serial: serial.to_owned(),
                hardware: "B".into(),
                running: FirmwareReport {
                    version: registered.firmware_version.clone(),
                    release_number: 1,
                    security_version: 1,
                    sha256: Digest([1; 32]),
                },
                boot_count: 1,
                unordered_reboots: 0,
                recent_reboots: 0,
                last_reboot_at: None,
                contested: false,
                since: office.now,
            };
            let kind = EventKind::DeviceObserved { digest: observed.digest(), observed: Box::new(observed) };
            office.tell(1, vec![Event { device: Some(id.clone()), at: office.now, kind }]);
            device(&office.state, office.now, None, &id, &office.state.devices[&id])
        };
        let same = resource("SN-1-1", None);
        assert!(same.get("note").is_none() && same.get("meta").is_none(), "{same}");
        let other = resource("SN-77", Some("Pump 9"));
        assert_eq!(other["serialNumber"], "SN-1-1");
        assert_eq!(other["meta"]["tag"][0]["code"], "identity-differs");
        let notes: Vec<&str> =
            other["note"].as_array().expect("notes").iter().filter_map(|n| n["text"].as_str()).collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("another model number") && notes[0].contains("Observed: Pump 9."), "{notes:?}");
        assert!(notes[1].contains("another serial number. Registered: SN-1-1. Observed: SN-77."), "{notes:?}");
    }

    #[test]
    fn fda_830_the_device_identifier_is_read_off_a_gs1_label() {
        assert_eq!(device_identifier("(01)09506000134352(17)261231(21)SN7"), Some("09506000134352"));
        assert_eq!(device_identifier("(01)0950600013"), None);
        assert_eq!(device_identifier("+H123PARTNO1234567890120/$$420020216LOT"), None);
        assert_eq!(device_identifier("(01)é950600013435"), None);
    }
}
