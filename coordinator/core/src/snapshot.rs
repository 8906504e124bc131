//! The state as bytes and back, so that a start need not fold the whole log. What follows from the rest is left out and made
//! anew.

use mdfm_shared::record::decode_document;
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::{TrustRoot, TrustedRoot};

use super::State;
use super::state::ReplayError;

impl State {
    /// The state as bytes.
    ///
    /// # Errors
    /// A value that has no JSON; a defect.
    pub fn to_snapshot(&self) -> Result<Vec<u8>, ReplayError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The state that [`Self::to_snapshot`] wrote, its trust roots checked again.
    ///
    /// # Errors
    /// The bytes are not those of a state.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, ReplayError> {
        let mut state: Self = serde_json::from_slice(bytes)?;
        let mut trusted: Option<TrustedRoot> = None;
        for text in &state.roots {
            let signed: Signed<TrustRoot> = decode_document("trust.root.add", text)?;
            trusted = Some(match (&trusted, state.first_root_digest) {
                (None, Some(pinned)) => TrustedRoot::pinned(&signed, pinned)?,
                (Some(held), _) => held.advance(&signed)?,
                (None, None) => return Err(ReplayError::Unknown("the first trust root's digest".into())),
            });
        }
        state.set_trusted_root(trusted);
        state.index();
        Ok(state)
    }
}
