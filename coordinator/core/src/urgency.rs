//! What is still taken when the disk of the audit log is nearly full, pure: what stops harm, so that nobody who fills the log keeps people from a
//! pause, a rollback or a sign-in.

use super::Command;
use super::incident::IncidentRequest;
use super::people::PersonChange;

/// How much room the disk of the audit log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Nothing is recorded any more; what is left is for the integrity of the log.
    Gone,
    /// What stops harm.
    Last,
    /// That, what gateways report, and refusals.
    Near,
    /// Everything.
    Ample,
}

impl Room {
    /// The room with `free` bytes, where `reserve` stay free always and `safety` above them are for what stops harm.
    pub fn of(free: u64, reserve: u64, safety: u64) -> Self {
        match free.checked_sub(reserve) {
            None => Self::Gone,
            Some(left) if left < safety / 2 => Self::Last,
            Some(left) if left < safety => Self::Near,
            Some(_) => Self::Ample,
        }
    }

    /// Whether a command of this urgency is taken.
    pub fn admits(self, urgency: Urgency) -> bool {
        match urgency {
            Urgency::Safety => self >= Self::Last,
            Urgency::Report => self >= Self::Near,
            Urgency::Ordinary => self >= Self::Ample,
        }
    }
}

/// How urgent a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It stops harm, or is needed to do so.
    Safety,
    /// What the fleet reports, and refusals.
    Report,
    Ordinary,
}

impl Command {
    /// How urgent it is. Every command has a row here.
    pub fn urgency(&self) -> Urgency {
        match self {
            Self::OpenSession { .. }
            | Self::CloseSession { .. }
            | Self::Pause { .. }
            | Self::Abort { .. }
            | Self::Rollback { .. }
            | Self::Consent { given: false, .. }
            | Self::WithdrawFirmware { .. }
            | Self::Reject { .. }
            | Self::OpenRecall { .. }
            | Self::RevokeGateway { .. }
            // They revoke signers and keys.
            | Self::AddTrustRoot { .. }
            | Self::AddRoster { .. }
            | Self::AddWithdrawals { .. }
            | Self::AddRollbackOrder { .. }
            // What the coordinator itself finds, and the end of a disposal that makes room.
            | Self::NoteLiveness { .. }
            | Self::NoteUse { .. }
            | Self::NoteDamage(_)
            | Self::CarriedOut { .. } => Urgency::Safety,
            Self::ChangePerson { change, .. } => of_person(change),
            Self::Incident { request, .. } => of_incident(request),
            Self::Telemetry { .. }
            | Self::NoteSerial { .. }
            | Self::EndObservations { .. }
            | Self::RenewCertificate { .. }
            | Self::Denied { .. } => Urgency::Report,
            Self::CreateUser { .. }
            | Self::SetSettings { .. }
            | Self::DeclareTrial
            | Self::SetWebhook { .. }
            | Self::RemoveWebhook { .. }
            | Self::ChangeDevice { .. }
            | Self::ReconcileDevice { .. }
            | Self::RegisterHospital { .. }
            | Self::SetHospitalPolicy { .. }
            | Self::ChangeHospital { .. }
            | Self::ChangeHospitalPolicy { .. }
            | Self::SetGroup { .. }
            | Self::RemoveGroup { .. }
            | Self::RegisterGateway { .. }
            | Self::IssueToken { .. }
            | Self::Enrol { .. }
            | Self::RegisterDevice(_)
            | Self::RetireDevice { .. }
            | Self::SetRetention { .. }
            | Self::PlaceHold { .. }
            | Self::ReleaseHold { .. }
            | Self::ProposeDisposal { .. }
            | Self::ConfirmDisposal { .. }
            | Self::CreateFirmware { .. }
            | Self::StoreImage { .. }
            | Self::StoreDelta { .. }
            | Self::AttachManifest { .. }
            | Self::Approve { .. }
            | Self::AttachSbom { .. }
            | Self::CloseRecall { .. }
            | Self::CreateDeployment { .. }
            | Self::Validate { .. }
            | Self::Resume { .. }
            | Self::Consent { given: true, .. }
            | Self::FulfilDuty { .. } => Urgency::Ordinary,
        }
    }
}

fn of_person(change: &PersonChange) -> Urgency {
    match change {
        PersonChange::SecondFactorShown { .. }
        | PersonChange::PasswordSet { .. }
        | PersonChange::Disabled
        | PersonChange::SessionsEnded
        | PersonChange::TokenRevoked { .. } => Urgency::Safety,
        PersonChange::SecondFactorSet { .. }
        | PersonChange::SecondFactorRemoved
        | PersonChange::RolesSet { .. }
        | PersonChange::Enabled
        | PersonChange::TokenMade { .. }
        | PersonChange::SigningKeySet { .. }
        | PersonChange::IdentityVerified { .. }
        | PersonChange::TrainingConfirmed { .. }
        | PersonChange::SubjectLinked { .. }
        | PersonChange::AddressSet { .. } => Urgency::Ordinary,
    }
}

fn of_incident(request: &IncidentRequest) -> Urgency {
    match request {
        // A report of harm to a patient.
        IncidentRequest::Open(_) => Urgency::Report,
        IncidentRequest::Note(_)
        | IncidentRequest::Decide { .. }
        | IncidentRequest::Report { .. }
        | IncidentRequest::Close { .. } => Urgency::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_1_room_has_two_thresholds() {
        let room = |free| Room::of(free, 64, 200);
        assert_eq!([0, 63, 64, 163, 164, 263, 264].map(room), {
            use Room::{Ample, Gone, Last, Near};
            [Gone, Gone, Last, Last, Near, Near, Ample]
        });
        assert!(Room::Last.admits(Urgency::Safety) && !Room::Last.admits(Urgency::Report));
        assert!(Room::Near.admits(Urgency::Report) && !Room::Near.admits(Urgency::Ordinary));
        assert!(Room::Ample.admits(Urgency::Ordinary) && !Room::Gone.admits(Urgency::Safety));
    }
}
