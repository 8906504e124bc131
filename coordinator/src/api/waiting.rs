//! What something waits for, as the API shows it.

use mdfm_shared::waiting::{WaitCode, Waiting};
use serde::Serialize;
use utoipa::ToSchema;

use mdfm_coordinator_core::waiting::Wait;

/// What a device waits for, since when, who can end that, and how.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitView {
    /// A stable name in kebab case, for example `in-use`; gateways with newer agents may name others.
    code: String,
    /// The reason in one line.
    text: String,
    since: Option<String>,
    /// When it ends automatically.
    until: Option<String>,
    /// Who can end it.
    who: String,
    how: String,
}

impl From<Waiting> for WaitView {
    fn from(waiting: Waiting) -> Self {
        Self {
            code: waiting.code.to_string(),
            text: waiting.text(),
            since: waiting.since.map(|at| at.to_string()),
            until: waiting.until.map(|at| at.to_string()),
            who: waiting.code.who().to_owned(),
            how: waiting.code.how().to_owned(),
        }
    }
}

/// What a deployment waits for, since when, who can end that, and how.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitingView {
    /// The code in camel case.
    what: String,
    /// A stable name in kebab case.
    code: String,
    /// The reason in one line; of devices, that of the first.
    text: String,
    since: Option<String>,
    /// When it ends automatically.
    until: Option<String>,
    /// Roles or hospitals that can end it; empty if time or devices do.
    who: Vec<String>,
    how: Vec<String>,
    /// Devices of opened phases in which nothing new is activated meanwhile.
    held_devices: u32,
    /// Some of the devices that wait for it, up to 20; empty where it is the deployment that waits.
    devices: Vec<String>,
}

/// The name in camel case.
fn camel(code: &WaitCode) -> String {
    let mut parts = code.name().split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        name + &head.to_ascii_uppercase() + rest
    })
}

impl From<Wait> for WaitingView {
    fn from(wait: Wait) -> Self {
        let Wait { waiting, who, how, held, devices } = wait;
        Self {
            what: camel(&waiting.code),
            code: waiting.code.to_string(),
            text: waiting.text(),
            since: waiting.since.map(|at| at.to_string()),
            until: waiting.until.map(|at| at.to_string()),
            who,
            how,
            held_devices: held,
            devices: devices.iter().map(ToString::to_string).collect(),
        }
    }
}

impl WaitingView {
    /// With at most `max` of the devices, and of those who can end it.
    pub(super) fn brief(wait: Wait, max: usize) -> Self {
        let mut view = Self::from(wait);
        for names in [&mut view.devices, &mut view.who, &mut view.how] {
            names.truncate(max);
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_14_earlier_names_of_waits_stay() {
        let names: Vec<String> = WaitCode::ALL.iter().map(camel).collect();
        for name in ["decision", "signature", "monitoring", "consent", "rollbackOrder", "devices"] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }
}
