//! Rollback orders: the authority by which a device leaves firmware that it confirmed longer ago than the release's recall
//! window, or returns below its security floor. Signed by people of the roster, logged, and proved like a release.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::release::proved;
use super::{LoggedRecord, ReleaseError, Role, Roster, RosterEntry, TrustedRoot};
use crate::digest::Digest;
use crate::id::{DeviceId, UserId};
use crate::limits::{
    ROLLBACK_ORDER_ITEMS_MAX, ROLLBACK_ORDER_LIFETIME_MAX_MS, ROLLBACK_ORDER_SIGNERS_MAX, TEXT_CHARS_MAX,
};
use crate::manifest::is_label;
use crate::sign::{Document, KeySet, SignError, Signed, Verified};
use crate::time::UtcMillis;
use crate::tlog::Checkpoint;

/// One person under an order (21 CFR 11.50).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSigner {
    /// The person.
    pub user: UserId,
    /// Printed name.
    pub printed_name: String,
    /// The role in which the person signs.
    pub role: Role,
}

/// The order to leave firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackOrder {
    /// Name for people, for example the recall's id; the document's digest is what identifies it.
    pub label: String,
    /// Manifests to leave; empty if the order is for whatever the named devices run.
    pub releases: Vec<Digest>,
    /// The devices that return; empty if the order is for every device that runs one of the releases.
    pub devices: Vec<DeviceId>,
    /// Whether the devices may return to firmware below their security floor. Needs named devices and two roles.
    pub below_floor: bool,
    /// What the signature means, in words.
    pub meaning: String,
    /// Why, in the signers' words.
    pub reason: String,
    /// When it was signed.
    pub issued_at: UtcMillis,
    /// After this it starts nothing; at most [`ROLLBACK_ORDER_LIFETIME_MAX_MS`] after `issued_at`.
    pub expires_at: UtcMillis,
    /// Who signs; each with their own key, all over these bytes.
    pub signers: Vec<OrderSigner>,
}

impl Document for RollbackOrder {
    const TYPE: &'static str = "rollback-order";
}

/// Why an order does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The log does not prove it.
    #[error(transparent)]
    Log(#[from] ReleaseError),
    /// Not every named person signed.
    #[error(transparent)]
    Signature(#[from] SignError),
    /// A field is out of bounds.
    #[error("rollback order field {field}: {problem}")]
    Field {
        /// The field in the API's spelling.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The people under it do not have the authority.
    #[error("rollback order: {0}")]
    Authority(&'static str),
    /// A person who may sign has not signed.
    #[error("{user} has not signed the rollback order as {role} yet")]
    Unsigned {
        /// Who.
        user: UserId,
        /// In which role.
        role: Role,
    },
    /// A person is not on the roster in that role and name, or their authority did not cover the signature.
    #[error("{user} had no authority as {role} under this name when the rollback order was signed or logged")]
    Signer {
        /// Who.
        user: UserId,
        /// In which role.
        role: Role,
    },
}

impl RollbackOrder {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(&self) -> Result<(), OrderError> {
        let fail = |field, problem| Err(OrderError::Field { field, problem });
        if !is_label(&self.label) {
            return fail("label", "must be 1 to 128 printable characters");
        }
        if self.releases.is_empty() && self.devices.is_empty() {
            return fail("releases", "must name at least one release or one device");
        }
        if self.releases.len() > ROLLBACK_ORDER_ITEMS_MAX || self.devices.len() > ROLLBACK_ORDER_ITEMS_MAX {
            return fail("devices", "an order names at most 256 releases and 256 devices");
        }
        let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
        if !is_text(&self.reason) || !is_text(&self.meaning) {
            return fail("reason", "reason and meaning must be 1 to 4096 characters");
        }
        if self.expires_at <= self.issued_at
            || self.expires_at.since_ms(self.issued_at) > ROLLBACK_ORDER_LIFETIME_MAX_MS
        {
            return fail("expiresAt", "must lie at most 90 days after issuedAt");
        }
        if self.signers.is_empty() || self.signers.len() > ROLLBACK_ORDER_SIGNERS_MAX {
            return fail("signers", "must be 1 to 4 people");
        }
        self.check_authority()
    }

    fn check_authority(&self) -> Result<(), OrderError> {
        let people: BTreeSet<&UserId> = self.signers.iter().map(|s| &s.user).collect();
        if people.len() != self.signers.len() {
            return Err(OrderError::Authority("each signature needs a different person"));
        }
        let roles: BTreeSet<Role> = self.signers.iter().map(|s| s.role).collect();
        if !roles.contains(&Role::Clinical) && !roles.contains(&Role::Regulatory) {
            return Err(OrderError::Authority("at least one signer must sign as Clinical or Regulatory"));
        }
        if self.below_floor && (roles.len() < 2 || self.devices.is_empty()) {
            return Err(OrderError::Authority(
                "an order below the security floor needs two roles and names its devices",
            ));
        }
        Ok(())
    }

    /// Verifies bounds, every signature and every signer's authority for an order that stands in the log at `log_index`.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub fn verify(signed: &Signed<Self>, roster: &Roster, log_index: u64) -> Result<Verified<Self>, OrderError> {
        let claimed = signed.decode_unverified()?;
        claimed.check()?;
        let mut keys = Vec::new();
        for OrderSigner { user, printed_name, role } in &claimed.signers {
            let may_sign = |e: &&RosterEntry| {
                e.roles.contains(role) && e.printed_name == *printed_name && e.is_valid(claimed.issued_at, log_index)
            };
            let has_signed = |e: &RosterEntry| signed.signatures().iter().any(|s| s.key == e.key.id());
            let Some(entry) = roster.entries_of(user).find(|e| may_sign(e) && has_signed(e)) else {
                let (is_unsigned, user, role) = (!roster.entries_of(user).any(has_signed), user.clone(), *role);
                let may = roster.entries_of(&user).any(|e| may_sign(&e));
                return Err(match is_unsigned && may {
                    true => OrderError::Unsigned { user, role },
                    false => OrderError::Signer { user, role },
                });
            };
            keys.push(entry.key.clone());
        }
        let needed = keys.len();
        let keys = KeySet::new(keys, needed).map_err(|_| OrderError::Authority("two signers share a key"))?;
        Ok(signed.verify(&keys)?)
    }

    /// Whether the order lets `device` leave the release of this manifest.
    pub fn covers(&self, device: &DeviceId, manifest: Digest) -> bool {
        (self.releases.is_empty() || self.releases.contains(&manifest))
            && (self.devices.is_empty() || self.devices.contains(device))
    }
}

/// An order as it travels to agents: nothing of it trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOrderEvidence {
    /// The signed checkpoint under which the proof holds.
    pub checkpoint: String,
    /// The entry with the signed order.
    pub order: LoggedRecord,
}

/// An order that people with the authority signed and that stands in the audit log. Only [`RollbackOrderEvidence::verify`]
/// makes one.
#[derive(Debug, Clone)]
pub struct VerifiedOrder {
    order: Verified<RollbackOrder>,
    checkpoint: Checkpoint,
}

impl VerifiedOrder {
    /// The order.
    pub fn order(&self) -> &Verified<RollbackOrder> {
        &self.order
    }
    /// The checkpoint under which the proof holds; the caller must show it consistent with every one it has seen.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl RollbackOrderEvidence {
    /// Verifies everything that does not depend on the device or the time.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub fn verify(&self, root: &TrustedRoot, roster: &Roster) -> Result<VerifiedOrder, OrderError> {
        let note = self.checkpoint.as_bytes();
        let checkpoint = root.witnesses().open(note, root.log_key()).map_err(ReleaseError::Checkpoint)?;
        let record = proved(&self.order, &checkpoint)?;
        let signed = record.document::<RollbackOrder>().map_err(ReleaseError::Record)?;
        let order = RollbackOrder::verify(&signed, roster, self.order.index)?;
        Ok(VerifiedOrder { order, checkpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Log, NOW, log_signer, record, roster, signed, trusted};
    use crate::record::Outcome;
    use crate::trust::Revocation;

    fn signer(user: &str, role: Role) -> OrderSigner {
        OrderSigner { user: user.parse().expect("good id"), printed_name: format!("{user} Printed"), role }
    }

    fn order() -> RollbackOrder {
        RollbackOrder {
            label: "recall-1".into(),
            releases: vec![Digest([7; 32])],
            devices: vec![],
            below_floor: false,
            meaning: "I order the devices back as Clinical".into(),
            reason: "alarm limits lost".into(),
            issued_at: NOW,
            expires_at: NOW.plus_ms(86_400_000),
            signers: vec![signer("user-clinical", Role::Clinical)],
        }
    }

    fn both() -> Vec<OrderSigner> {
        vec![signer("user-clinical", Role::Clinical), signer("user-regulatory", Role::Regulatory)]
    }

    fn verify(order: &RollbackOrder, keys: &[u8]) -> Result<(), OrderError> {
        RollbackOrder::verify(&signed(order, keys), &roster(), 5).map(|_| ())
    }

    #[test]
    fn sec_12_an_order_needs_a_clinical_or_regulatory_signer() {
        assert_eq!(verify(&order(), &[21]), Ok(()));
        let by_regulatory = RollbackOrder { signers: vec![signer("user-regulatory", Role::Regulatory)], ..order() };
        assert_eq!(verify(&by_regulatory, &[23]), Ok(()));
        let by_qa = RollbackOrder { signers: vec![signer("user-qa", Role::Qa)], ..order() };
        assert!(matches!(verify(&by_qa, &[22]), Err(OrderError::Authority(_))));
        for keys in [vec![], vec![10], vec![12], vec![22, 23]] {
            assert!(matches!(verify(&order(), &keys), Err(OrderError::Unsigned { .. })), "keys {keys:?}");
        }
        let words = verify(&order(), &[]).expect_err("unsigned").to_string();
        assert_eq!(words, "user-clinical has not signed the rollback order as Clinical yet");
        let other_name =
            OrderSigner { printed_name: "Somebody Else".into(), ..signer("user-clinical", Role::Clinical) };
        let other_name = RollbackOrder { signers: vec![other_name], ..order() };
        assert!(matches!(verify(&other_name, &[21]), Err(OrderError::Signer { .. })));
    }

    #[test]
    fn sec_12_below_the_floor_it_takes_two_roles_and_names() {
        let devices = vec!["DEV-1".parse().expect("good id")];
        let good = RollbackOrder { below_floor: true, devices, signers: both(), ..order() };
        assert_eq!(verify(&good, &[21, 23]), Ok(()));
        assert!(verify(&good, &[21]).is_err(), "one of two signed");
        let one = RollbackOrder { signers: order().signers, ..good.clone() };
        assert!(matches!(verify(&one, &[21]), Err(OrderError::Authority(_))));
        let unnamed = RollbackOrder { devices: vec![], ..good.clone() };
        assert!(matches!(verify(&unnamed, &[21, 23]), Err(OrderError::Authority(_))));
        let same = vec![signer("user-three-roles", Role::Clinical), signer("user-three-roles", Role::Regulatory)];
        let same = RollbackOrder { signers: same, ..good };
        assert!(matches!(verify(&same, &[24]), Err(OrderError::Authority(_))));
    }

    #[test]
    fn sec_12_a_revoked_signer_orders_nothing() {
        let mut changed = roster();
        changed.entries[0].revoked = Some(Revocation { at: NOW.plus_ms(1), log_size: 5 });
        let signed = signed(&order(), &[21]);
        assert!(matches!(RollbackOrder::verify(&signed, &changed, 5), Err(OrderError::Signer { .. })), "back-dated");
        assert!(RollbackOrder::verify(&signed, &changed, 4).is_ok(), "logged before the revocation");
    }

    #[test]
    fn sec_12_an_order_must_stand_in_the_log() {
        let mut log = Log::new(log_signer());
        let order = signed(&order(), &[21]);
        let at = log.append(record("user-clinical", &order, Outcome::Accepted));
        let evidence = log.order_evidence(at);
        assert!(evidence.verify(&trusted(), &roster()).is_ok());
        let mut elsewhere = evidence.clone();
        elsewhere.order.index = 0;
        assert!(matches!(elsewhere.verify(&trusted(), &roster()), Err(OrderError::Log(_))));
        let refused = log.append(record("user-clinical", &order, Outcome::Refused));
        assert!(log.order_evidence(refused).verify(&trusted(), &roster()).is_err());
    }

    #[test]
    fn sec_12_orders_are_bounded() {
        let long = RollbackOrder { expires_at: NOW.plus_ms(ROLLBACK_ORDER_LIFETIME_MAX_MS + 1), ..order() };
        let nothing = RollbackOrder { releases: vec![], ..order() };
        let many = RollbackOrder { releases: vec![Digest([7; 32]); ROLLBACK_ORDER_ITEMS_MAX + 1], ..order() };
        let silent = RollbackOrder { reason: " ".into(), ..order() };
        for order in [long, nothing, many, silent] {
            assert!(matches!(verify(&order, &[21]), Err(OrderError::Field { .. })), "{order:?}");
        }
    }
}
