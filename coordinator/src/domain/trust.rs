//! Trust documents at the coordinator: checked exactly as the agents check them, so that what is stored is what agents accept.

use mdfm_shared::record::document_text;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::{Roster, TrustRoot, TrustedRoot};

use super::{Event, Proposal, Refusal, State};

pub(super) fn add_root(state: &State, root: &Signed<TrustRoot>) -> Result<Vec<Proposal>, Refusal> {
    let refuse = |e| Refusal::document("trust-root-refused", e);
    let trusted = match state.trusted_root() {
        Some(held) => held.advance(root).map_err(refuse)?,
        None => TrustedRoot::pinned(root, root.digest()).map_err(refuse)?,
    };
    if state.trusted_root().is_none() && trusted.version != 1 {
        return Err(Refusal::document("trust-root-refused", "the first trust root must have version 1"));
    }
    let event = Event::TrustRootAdded { version: trusted.version, digest: root.digest() };
    Ok(vec![
        Proposal::new("trust.root.add", format!("trust/root/{}", trusted.version), event).with(document_text(root)),
    ])
}

pub(super) fn add_roster(state: &State, roster: &Signed<Roster>) -> Result<Vec<Proposal>, Refusal> {
    let root = state.need_root()?;
    let held = state.roster.as_ref();
    let accepted = Roster::accept(roster, root, held).map_err(|e| Refusal::document("roster-refused", e))?;
    let event = Event::RosterAdded { version: accepted.version };
    Ok(vec![
        Proposal::new("trust.roster.add", format!("trust/roster/{}", accepted.version), event)
            .with(document_text(roster)),
    ])
}
