//! Why somebody does something: the one rule for every reason that a person gives, in signatures and everywhere else.

use mdfm_shared::limits::TEXT_CHARS_MAX;
use mdfm_shared::sign::{Document, Signed};
use mdfm_shared::text;
use mdfm_shared::trust::Withdrawal;

use super::incident::IncidentRequest;
use super::{Command, Refusal, State};

/// Whether a text says nothing that a person can see.
pub fn is_blank(reason: &str) -> bool {
    reason.chars().all(|c| c.is_whitespace() || text::is_unsafe(c))
}

/// Checks a reason that somebody gave in `field`.
///
/// # Errors
/// It is blank, or too long for its record.
pub fn check(field: &str, reason: &str) -> Result<(), Refusal> {
    if is_blank(reason) || reason.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::invalid(field, format!("must say why, in 1 to {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}

/// Checks the reason inside a signed document, which its signer has signed with it.
fn check_signed<T: Document>(signed: &Signed<T>, reason: impl Fn(&T) -> &str) -> Result<(), Refusal> {
    // A document that cannot be read is refused where it is verified.
    signed.decode_unverified().map_or(Ok(()), |document| check("reason", reason(&document)))
}

impl Command {
    /// Checks every reason that comes with the command. Whoever adds a command decides here whether it has one.
    ///
    /// # Errors
    /// The field whose reason is blank or too long.
    pub(super) fn check_reasons(&self, state: &State) -> Result<(), Refusal> {
        match self {
            Self::ChangePerson { reason, .. } | Self::AddRoster { reason, .. } => {
                reason.as_ref().map_or(Ok(()), |reason| check("reason", reason))
            }
            Self::SetSettings { reason, .. }
            | Self::SetWebhook { reason, .. }
            | Self::RemoveWebhook { reason, .. }
            | Self::Incident {
                request: IncidentRequest::Decide { reason, .. } | IncidentRequest::Close { reason },
                ..
            }
            | Self::ChangeDevice { reason, .. }
            | Self::WithdrawFirmware { reason, .. }
            | Self::ChangeHospital { reason, .. }
            | Self::ChangeHospitalPolicy { reason, .. }
            | Self::SetGroup { reason, .. }
            | Self::RemoveGroup { reason, .. }
            | Self::RevokeGateway { reason, .. }
            | Self::RetireDevice { reason, .. }
            | Self::ReconcileDevice { reason, .. }
            | Self::SetRetention { reason, .. }
            | Self::PlaceHold { reason, .. }
            | Self::ReleaseHold { reason, .. }
            | Self::ProposeDisposal { reason, .. }
            | Self::ConfirmDisposal { reason, .. }
            | Self::Reject { reason, .. }
            | Self::OpenRecall { reason, .. }
            | Self::Pause { reason, .. }
            | Self::Resume { reason, .. }
            | Self::Abort { reason, .. }
            | Self::Rollback { reason, .. }
            | Self::Consent { reason, .. } => check("reason", reason),
            Self::FulfilDuty { reference, .. } => check("reference", reference),
            Self::Approve { approval, .. } => check_signed(approval, |approval| &approval.reason),
            Self::Validate { validation, .. } => check_signed(validation, |validation| &validation.reason),
            Self::AddRollbackOrder { order } => check_signed(order, |order| &order.reason),
            Self::AddWithdrawals { withdrawals } => {
                let Ok(document) = withdrawals.decode_unverified() else { return Ok(()) };
                // What was withdrawn before stays, whatever was accepted as its reason then.
                let held = state.authority.withdrawals.as_ref();
                let is_new = |w: &&Withdrawal| held.is_none_or(|held| held.of(w.manifest).is_none());
                let mut added = document.releases.iter().filter(is_new);
                added.try_for_each(|withdrawal| check("reason", &withdrawal.reason))
            }
            Self::CreateUser { .. }
            | Self::DeclareTrial
            | Self::EndObservations { .. }
            | Self::OpenSession { .. }
            | Self::CloseSession { .. }
            | Self::Denied { .. }
            | Self::Incident {
                request: IncidentRequest::Open(_) | IncidentRequest::Note(_) | IncidentRequest::Report { .. },
                ..
            }
            | Self::AddTrustRoot { .. }
            | Self::RegisterHospital { .. }
            | Self::SetHospitalPolicy { .. }
            | Self::RegisterGateway { .. }
            | Self::IssueToken { .. }
            | Self::Enrol { .. }
            | Self::RenewCertificate { .. }
            | Self::RegisterDevice(_)
            | Self::NoteDamage(_)
            | Self::CarriedOut { .. }
            | Self::CreateFirmware { .. }
            | Self::StoreImage { .. }
            | Self::StoreDelta { .. }
            | Self::AttachManifest { .. }
            | Self::AttachSbom { .. }
            | Self::CloseRecall { .. }
            | Self::CreateDeployment { .. }
            | Self::Telemetry { .. }
            | Self::NoteSerial { .. }
            | Self::NoteUse { .. }
            | Self::NoteLiveness { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_5_a_reason_that_nobody_can_see_is_none() {
        for blank in ["", " ", "\t\n", "\u{a0}", "\u{200b}", "\u{2003}\u{202e}", "\u{feff}", "\0"] {
            assert!(check("reason", blank).is_err(), "{blank:?}");
        }
        for reason in ["x", " a word ", "理由", "."] {
            check("reason", reason).expect(reason);
        }
        check("reason", &"é".repeat(TEXT_CHARS_MAX)).expect("as long as may be");
        assert!(check("reason", &"é".repeat(TEXT_CHARS_MAX + 1)).is_err());
    }
}
