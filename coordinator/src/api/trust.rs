//! Trust documents: made and signed offline, checked and published here.

use axum::extract::State;
use axum::http::StatusCode;
use mdfm_audit::LogReader;
use mdfm_shared::digest::Digest;
use mdfm_shared::id::FirmwareId;
use mdfm_shared::limits::{CLOCK_TOLERANCE_MS, TRUST_LIFETIME_DEFAULT_MS};
use mdfm_shared::sign::Signed;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{RosterEntry, Withdrawal, Withdrawals};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::approvals::signer;
use super::firmware::SignedDocument;
use super::people::BothFactors;
use super::request::{Json, Origin, document, id};
use super::{Api, Problem};
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::expiry::{self, Expiry, ExpiryKind};
use mdfm_coordinator_core::{Command, Refusal, State as Domain, authority};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrustView {
    root_version: u64,
    first_root_digest: Option<String>,
    roster_version: u64,
    /// Verifier key of the audit log.
    log_key: Option<String>,
    /// Base64 of the frames of the signed roots, version 1 first.
    roots: Vec<String>,
    roster: Option<String>,
    /// After this an agent installs nothing new until a newer root arrives.
    root_expires_at: Option<String>,
    /// When the roster was signed; null if it was signed before rosters had an expiry.
    roster_issued_at: Option<String>,
    /// After this an agent starts nothing new until a newer roster arrives; null if it does not expire.
    roster_expires_at: Option<String>,
    /// Lowest version of the withdrawals that agents must hold beside the roster; null if the roster demands none.
    roster_withdrawals_version: Option<u64>,
    /// Who may sign, those of the past too.
    roster_entries: Vec<RosterEntryView>,
    /// 0 before the first.
    withdrawals_version: u64,
    withdrawals_expires_at: Option<String>,
    /// Base64 of the frame of the signed withdrawals.
    withdrawals: Option<String>,
    /// What they name.
    withdrawn: Vec<WithdrawnView>,
    /// Releases that are withdrawn here and not yet signed for the fleet: gateways would still activate them.
    unsigned: Vec<String>,
    /// When witnesses cosigned the newest published checkpoint; `null` if no witness is named.
    cosigned_at: Option<String>,
    /// What expires soon, has expired or is missing, and what to do: trust documents, certificates, tokens, training.
    warnings: Vec<String>,
    /// After this nobody connects to this coordinator.
    server_certificate_expires_at: Option<String>,
    /// Why no deployment can start; `null` if one can.
    not_fresh: Option<String>,
}

/// A release that must not be activated any more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WithdrawnView {
    manifest_digest: String,
    /// `null` for a release that is unknown here.
    firmware_id: Option<String>,
    reason: String,
    at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RosterEntryView {
    user_id: String,
    printed_name: String,
    /// `Clinical`, `QA`, `Regulatory`.
    roles: Vec<String>,
    public_key: String,
    key_id: String,
    /// First moment of validity.
    valid_from: String,
    /// First moment after validity.
    valid_until: String,
    /// Set when the authority ended early.
    revoked: Option<RevocationView>,
    /// Whether a signature made now would count.
    valid_now: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevocationView {
    /// Signatures dated from here on do not count.
    at: String,
    /// Nor do those that stand in the log from this index on.
    log_size: u64,
}

impl RosterEntryView {
    fn of(entry: &RosterEntry, now: UtcMillis, log_size: u64) -> Self {
        let RosterEntry { user, printed_name, roles, key, valid_from, valid_until, revoked } = entry;
        Self {
            user_id: user.to_string(),
            printed_name: printed_name.clone(),
            roles: roles.iter().map(ToString::to_string).collect(),
            public_key: key.to_string(),
            key_id: key.id().to_string(),
            valid_from: valid_from.to_string(),
            valid_until: valid_until.to_string(),
            revoked: revoked.map(|r| RevocationView { at: r.at.to_string(), log_size: r.log_size }),
            valid_now: entry.is_valid(now, log_size),
        }
    }
}

/// A roster to publish.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRoster {
    /// Base64 of the frame of the signed roster.
    document: String,
    /// Whether it may drop or narrow entries of the past, so that approvals that stand on them no longer count.
    #[serde(default)]
    accept_alterations: bool,
    /// Why, for its record.
    reason: Option<String>,
}

/// Shows the trust documents.
#[utoipa::path(get, path = "/api/v1/trust", responses((status = 200, body = TrustView)))]
pub(super) async fn show(State(api): State<Api>, origin: Origin) -> Result<axum::Json<TrustView>, Problem> {
    let caller = origin.need(&api, Permission::Read, "trust.show", "trust").await?;
    Ok(axum::Json(view(&api, &caller.actor.id)))
}

/// `who` asks: staff of a hospital see what ends for everybody, and in their own hospital.
fn view(api: &Api, who: &str) -> TrustView {
    let (now, state, log) = (api.runner.now(), &*api.runner.state(), &api.runner.log);
    let freshness = state.roster.as_ref().and_then(|r| r.freshness);
    let entries = state.roster.iter().flat_map(|r| &r.entries);
    let withdrawals = state.authority.withdrawals.as_ref();
    let release = |manifest: Digest| {
        let found = state.firmware.iter().find(|(_, f)| f.manifest.as_ref().is_some_and(|m| m.digest == manifest));
        found.map(|(id, _)| id.to_string())
    };
    let withdrawn = withdrawals.iter().flat_map(|held| &held.releases).map(|w| WithdrawnView {
        manifest_digest: w.manifest.to_string(),
        firmware_id: release(w.manifest),
        reason: w.reason.clone(),
        at: w.at.to_string(),
    });
    let warnings = authority::standings(state).into_iter().filter(|s| s.days_left(now).is_some());
    let warnings = warnings.map(|s| s.words(now));
    let near = expiry::near(state, &api.runner.presence(), now);
    let is_named = |kind| matches!(kind, ExpiryKind::Roster | ExpiryKind::Withdrawals);
    let hospital = state.hospital_of_user(who);
    let is_of_all = |kind| matches!(kind, ExpiryKind::Root | ExpiryKind::ServerCertificate | ExpiryKind::Authority);
    let sees = |expiry: &Expiry| {
        hospital.is_none_or(|own| is_of_all(expiry.kind) || state.site_of(&expiry.object).as_ref() == Some(own))
    };
    let others = near.iter().filter(|(expiry, _)| !is_named(expiry.kind) && sees(expiry));
    let others = others.map(|(expiry, _)| expiry.words(now));
    let is_own = |e: &&Expiry| e.kind == ExpiryKind::ServerCertificate;
    let own_ends_at = api.runner.presence().certificates.iter().find(is_own).map(|e| e.expires_at.to_string());
    TrustView {
        root_version: state.trusted_root().map_or(0, |r| r.version),
        first_root_digest: state.first_root_digest.map(|d| d.to_string()),
        roster_version: state.roster.as_ref().map_or(0, |r| r.version),
        log_key: state.trusted_root().map(|r| r.log.clone()),
        roots: state.roots.clone(),
        roster: state.roster_document.clone(),
        root_expires_at: state.trusted_root().map(|r| r.expires_at.to_string()),
        roster_issued_at: freshness.map(|f| f.issued_at.to_string()),
        roster_expires_at: freshness.map(|f| f.expires_at.to_string()),
        roster_withdrawals_version: freshness.map(|f| f.withdrawals_version),
        roster_entries: entries.map(|e| RosterEntryView::of(e, now, state.log_size)).collect(),
        withdrawals_version: withdrawals.map_or(0, |held| held.version),
        withdrawals_expires_at: withdrawals.map(|held| held.expires_at.to_string()),
        withdrawals: state.authority.withdrawals_document.clone(),
        withdrawn: withdrawn.collect(),
        unsigned: authority::unsigned(state).map(|(id, _)| id.to_string()).collect(),
        cosigned_at: cosigned_at(state, log, now).map(|at| at.to_string()),
        warnings: warnings.chain(others).collect(),
        server_certificate_expires_at: own_ends_at,
        not_fresh: authority::need_fresh(state, now).err().map(|refusal| refusal.detail),
    }
}

/// When enough witnesses had cosigned the newest published checkpoint.
pub(super) fn cosigned_at(state: &Domain, log: &LogReader, now: UtcMillis) -> Option<UtcMillis> {
    let (_, note) = log.published()?;
    state.trusted_root()?.witnesses().cosigned_at(note.as_bytes(), now.plus_ms(CLOCK_TOLERANCE_MS)).ok()?
}

/// Adds the next trust root.
#[utoipa::path(post, path = "/api/v1/trust/roots", request_body = SignedDocument,
    responses((status = 201), (status = 422, body = Problem)))]
pub(super) async fn add_root(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SignedDocument>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageTrust, "trust.root.add", "trust/root").await?;
    let root = document("document", &body.document)?;
    origin.submit(&api, &caller, Command::AddTrustRoot { root }).await?;
    Ok(StatusCode::CREATED)
}

/// Adds the next approver roster.
#[utoipa::path(post, path = "/api/v1/trust/rosters", request_body = NewRoster,
    responses((status = 201), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_roster(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<NewRoster>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageTrust, "trust.roster.add", "trust/roster").await?;
    let NewRoster { document: text, accept_alterations, reason } = body;
    let roster = document("document", &text)?;
    origin.submit(&api, &caller, Command::AddRoster { roster, accept_alterations, reason }).await?;
    Ok(StatusCode::CREATED)
}

/// Adds signed withdrawals, the version after the ones held: what they name is never activated any more.
#[utoipa::path(post, path = "/api/v1/trust/withdrawals", request_body = SignedDocument,
    responses((status = 201, body = TrustView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_withdrawals(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SignedDocument>,
) -> Result<(StatusCode, axum::Json<TrustView>), Problem> {
    const ACTION: &str = "trust.withdrawals.add";
    let caller = origin.need(&api, Permission::PublishAuthority, ACTION, "trust/withdrawals").await?;
    let withdrawals = match document("document", &body.document) {
        Ok(withdrawals) => withdrawals,
        Err(refusal) => return Err(origin.deny(&api, caller.actor, ACTION, "trust/withdrawals", refusal).await),
    };
    origin.submit(&api, &caller, Command::AddWithdrawals { withdrawals }).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&api, &caller.actor.id))))
}

/// What somebody withdraws with the key that the coordinator keeps for them, and both of their factors.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WithdrawalSigning {
    /// The release; absent to renew what is held.
    #[serde(default)]
    firmware_id: Option<String>,
    reason: String,
    /// Days until the document expires; 90 unless given.
    #[serde(default)]
    days: Option<u32>,
    /// The version that the signer was shown; the signature is refused if another one is next.
    #[serde(default)]
    version: Option<u64>,
    /// The digest of the manifest that the signer was shown; the signature is refused if the release has another.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    manifest_digest: Option<Digest>,
    #[schema(format = Password)]
    password: String,
    #[schema(format = Password)]
    code: String,
}

/// Signs the next withdrawals with the caller's own key: the ones held and one release more, or the same ones with a new expiry.
#[utoipa::path(post, path = "/api/v1/trust/withdrawals/signature", request_body = WithdrawalSigning,
    responses((status = 201, body = TrustView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn sign_withdrawals(
    State(api): State<Api>,
    origin: Origin,
    Json(signing): Json<WithdrawalSigning>,
) -> Result<(StatusCode, axum::Json<TrustView>), Problem> {
    const ACTION: &str = "trust.withdrawals.add";
    let both = BothFactors { password: signing.password, code: signing.code };
    let signer = signer(&api, &origin, ACTION, "trust/withdrawals", both).await?;
    let firmware: Option<FirmwareId> = signing.firmware_id.map(|text| id("firmwareId", &text)).transpose()?;
    let lifetime_ms = signing.days.map_or(TRUST_LIFETIME_DEFAULT_MS, |days| u64::from(days) * 86_400_000);
    let now = api.runner.now();
    let next = next_withdrawals(&api.runner.state(), now, lifetime_ms, firmware.as_ref(), &signing.reason)?;
    if let Err(refusal) = check_shown(&next, signing.version, signing.manifest_digest) {
        return Err(origin.deny(&api, signer.caller.actor, ACTION, "trust/withdrawals", refusal).await);
    }
    let withdrawals = Signed::sign(&next, &[&signer.key]).map_err(|e| Refusal::document("withdrawals-refused", e))?;
    origin.submit(&api, &signer.caller, Command::AddWithdrawals { withdrawals }).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&api, &signer.caller.actor.id))))
}

/// The withdrawals that follow the ones held, with one release more if there is one to add.
fn next_withdrawals(
    state: &Domain,
    now: UtcMillis,
    lifetime_ms: u64,
    firmware: Option<&FirmwareId>,
    reason: &str,
) -> Result<Withdrawals, Refusal> {
    let held = state.authority.withdrawals.as_ref();
    let mut releases = held.map(|h| h.releases.clone()).unwrap_or_default();
    if let Some(id) = firmware {
        let manifest = state.need_firmware(id)?.manifest.as_ref();
        let no_manifest =
            || Refusal::conflict("wrong-step", format!("firmware {id} has no signed manifest to withdraw"));
        let manifest = manifest.ok_or_else(no_manifest)?.digest;
        if held.is_some_and(|h| h.of(manifest).is_some()) {
            return Err(Refusal::conflict("wrong-step", format!("firmware {id} is withdrawn for the fleet already")));
        }
        releases.push(Withdrawal { manifest, reason: reason.to_owned(), at: now });
    }
    let version = held.map_or(1, |h| h.version + 1);
    Ok(Withdrawals { version, issued_at: now, expires_at: now.plus_ms(lifetime_ms), releases })
}

/// Refuses a signature under other withdrawals than the signer was shown. What is named last is what is added.
fn check_shown(next: &Withdrawals, version: Option<u64>, manifest: Option<Digest>) -> Result<(), Refusal> {
    let detail = match (version, manifest) {
        (Some(shown), _) if shown != next.version => {
            format!("you were shown withdrawals {shown}, {} are next; look at them again", next.version)
        }
        (_, Some(shown)) if next.releases.last().is_none_or(|release| release.manifest != shown) => {
            format!("you were shown manifest {shown}, the release has another; look at it again")
        }
        _ => return Ok(()),
    };
    Err(Refusal::conflict("changed-meanwhile", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_6_no_kept_key_signs_other_withdrawals_than_shown() {
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        let release = |manifest| Withdrawal { manifest, reason: "x".into(), at: UtcMillis(1) };
        let releases = vec![release(one), release(two)];
        let next = Withdrawals { version: 7, issued_at: UtcMillis(1), expires_at: UtcMillis(2), releases };
        let passes = |version, manifest| check_shown(&next, version, manifest).is_ok();
        assert!(passes(None, None) && passes(Some(7), None) && passes(Some(7), Some(two)));
        assert!(!passes(Some(6), Some(two)) && !passes(Some(7), Some(one)) && !passes(None, Some(Digest([3; 32]))));
    }
}
