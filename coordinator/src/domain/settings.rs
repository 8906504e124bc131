//! What the vendor's administrators decide for all: stated as a whole, changed as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::notice::{NoticeRule, check_rules, default_rules};
use super::{Event, Refusal, State};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Days after which a password lets its owner in but signs nothing until it is changed (21 CFR 11.300(b)); 0 for never.
    pub(crate) password_days: u32,
    /// Whether nobody signs whose training was not confirmed (21 CFR 11.10(i)). A date that has passed refuses in any case.
    pub(crate) training_required: bool,
    /// Who is told of what.
    pub(crate) notices: Vec<NoticeRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { password_days: 365, training_required: false, notices: default_rules() }
    }
}

/// Longest age of passwords: ten years.
const PASSWORD_DAYS_MAX: u32 = 3_660;

impl Settings {
    /// Age from which a password signs nothing; none for never.
    pub(crate) fn password_ms(&self) -> Option<u64> {
        (self.password_days > 0).then(|| u64::from(self.password_days) * 86_400_000)
    }
}

/// Checks new settings.
pub(super) fn set(state: &State, settings: &Settings) -> Result<Event, Refusal> {
    if settings.password_days > PASSWORD_DAYS_MAX {
        return Err(Refusal::invalid("passwordDays", format!("must be 0 to {PASSWORD_DAYS_MAX}")));
    }
    check_rules(state, &settings.notices)?;
    Ok(Event::SettingsSet { settings: settings.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They stand in the log as a whole: a key that comes later needs a value for the logs before it.
    #[test]
    fn settings_of_earlier_logs_are_read() {
        let first = r#"{ "passwordDays": 365, "trainingRequired": false, "notices": [] }"#;
        let settings: Settings = serde_json::from_str(first).expect("the form of the first version");
        assert_eq!(settings, Settings { notices: Vec::new(), ..Settings::default() });
    }
}
