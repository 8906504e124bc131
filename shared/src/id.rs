//! Every identifier is its own type, and only a well-formed one can exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::ID_CHARS_MAX;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} id {found:?} is not 1 to {ID_CHARS_MAX} characters of A-Z a-z 0-9 . _ - starting with a letter or digit"
)]
pub struct IdError {
    kind: &'static str,
    found: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    let well_formed = !text.is_empty()
        && text.len() <= ID_CHARS_MAX
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if well_formed { Ok(()) } else { Err(IdError { kind, found: text.chars().take(ID_CHARS_MAX + 1).collect() }) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check($kind, text)?;
                Ok(Self(text.to_owned()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check($kind, &text)?;
                Ok(Self(text))
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )*};
}

ids! {
    /// One rollout of one firmware.
    DeploymentId = "deployment";
    /// One medical device.
    DeviceId = "device";
    /// One firmware release as the vendor's API names it; agents name a release by its manifest's digest.
    FirmwareId = "firmware";
    /// One gateway, that is one agent.
    GatewayId = "gateway";
    /// One set of devices that deployments name.
    GroupId = "group";
    /// One hospital.
    HospitalId = "hospital";
    /// One incident with devices.
    IncidentId = "incident";
    /// One recall of firmware.
    RecallId = "recall";
    /// One person or machine account; never reused (21 CFR 11.100(a)).
    UserId = "user";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_tricks_and_topic_wildcards_are_no_ids() {
        for bad in ["", "..", ".a", "-a", "a/b", "a+b", "#", "a b", "a\0", "ä", &"a".repeat(ID_CHARS_MAX + 1)] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?}");
        }
        for good in ["DEV-12345", "a", "fw-abc123", "7.b_c"] {
            assert_eq!(good.parse::<DeviceId>().map(|i| i.to_string()).as_deref(), Ok(good));
        }
    }
}
