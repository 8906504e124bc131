//! What the vendor's administrators decide for all: stated as a whole, changed as a whole.

use serde::{Deserialize, Serialize};

use super::notice::{NoticeRule, check_rules, default_rules};
use super::{Event, Refusal, State};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Days after which a password lets its owner in but signs nothing until it is changed (21 CFR 11.300(b)); 0 for never.
    pub password_days: u32,
    /// Whether nobody signs whose training was not confirmed (21 CFR 11.10(i)). A date that has passed refuses in any case.
    pub training_required: bool,
    /// Who is told of what.
    pub notices: Vec<NoticeRule>,
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
    pub fn password_ms(&self) -> Option<u64> {
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

/// Declares the installation a trial. Only an empty log takes it: a real installation never becomes a trial, and a trial stays one.
pub(super) fn declare_trial(state: &State) -> Result<Event, Refusal> {
    if state.log_size > 0 {
        return Err(Refusal::conflict("not-empty", "only a new installation can be a trial; this log has records"));
    }
    Ok(Event::TrialDeclared)
}

#[cfg(test)]
mod tests {
    use mdfm_shared::record::{AuditRecord, Outcome};
    use mdfm_shared::time::UtcMillis;

    use super::super::Command;
    use super::super::desk::system;
    use super::*;

    #[test]
    fn cli_27_a_trial_is_one_from_its_first_record_on() {
        let (mut state, now) = (State::default(), UtcMillis(1_800_000_000_000));
        let proposal =
            super::super::decide(&state, now, &system(), &Command::DeclareTrial).expect("an empty log").remove(0);
        let record = AuditRecord {
            event: Some(serde_json::to_value(&proposal.event).expect("encodes")),
            ..AuditRecord::new(now, &system(), proposal.action, &proposal.object, Outcome::Accepted)
        };
        assert!(!state.trial);
        state.apply(&record).expect("applies");
        assert!(state.trial);
        let kept = State::from_snapshot(&state.to_snapshot().expect("encodes")).expect("decodes");
        assert!(kept.trial, "a restart from the kept state keeps the mark");
        let again = super::super::decide(&state, now, &system(), &Command::DeclareTrial);
        assert!(again.is_err(), "a log with records neither becomes a trial nor is declared twice");
    }

    #[test]
    fn cli_27_a_snapshot_from_before_trials_is_no_trial() {
        let mut kept: serde_json::Value =
            serde_json::from_slice(&State::default().to_snapshot().expect("encodes")).expect("JSON");
        kept.as_object_mut().expect("an object").remove("trial").expect("the field");
        assert!(!State::from_snapshot(kept.to_string().as_bytes()).expect("decodes").trial);
    }

    /// They stand in the log as a whole: a key that comes later needs a value for the logs before it.
    #[test]
    fn settings_of_earlier_logs_are_read() {
        let first = r#"{ "passwordDays": 365, "trainingRequired": false, "notices": [] }"#;
        let settings: Settings = serde_json::from_str(first).expect("the form of the first version");
        assert_eq!(settings, Settings { notices: Vec::new(), ..Settings::default() });
    }
}
