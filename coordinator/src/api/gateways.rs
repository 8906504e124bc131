//! Gateways: registration, enrolment tokens, revocation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mdfm_shared::digest::Digest;
use mdfm_shared::enrol::EnrolmentToken;
use mdfm_shared::id::GatewayId;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use utoipa::ToSchema;

use super::list::ListQuery;
use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::clock;
use mdfm_coordinator_core::access::{By, Permission};
use mdfm_coordinator_core::fleet::AnomalyKind;
use mdfm_coordinator_core::presence::Standing;
use mdfm_coordinator_core::{Command, Refusal};

const DAY_MS: u64 = 86_400_000;
/// Life of an enrolment token.
const TOKEN_MS: u64 = 7 * DAY_MS;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewGateway {
    gateway_id: String,
    hospital_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayView {
    gateway_id: String,
    hospital_id: String,
    enrolled: bool,
    revoked: bool,
    /// Highest committed telemetry batch.
    telemetry_sequence: u64,
    /// The epoch that the batch is of; it grows with each enrolment, and when the gateway was set back.
    telemetry_epoch: u64,
    /// `continued`; `refused` while batches do not continue what is in the log; `held` when the gateway has begun too many epochs and
    /// must be enrolled again.
    telemetry: &'static str,
    /// Since when it is refused or held; `null` while it is continued.
    telemetry_since: Option<String>,
    /// How many epochs the gateway has begun within a day, other than by enrolment.
    epochs_begun: usize,
    directive_serial: u64,
    /// The signed withdrawals that it holds, as it reported last; `null` before its first report of them.
    withdrawals_version: Option<u64>,
    /// `online`, `silent`, `offline`, or `unknown` while it was not heard of since this coordinator started.
    #[schema(value_type = String)]
    presence: Standing,
    last_heartbeat_at: Option<String>,
    /// How many findings about its telemetry chain still stand.
    findings: usize,
    /// What was found wrong with its telemetry chain, the newest last.
    anomalies: Vec<AnomalyView>,
    /// Devices behind it that are not registered.
    unregistered_devices: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnomalyView {
    /// `fork`, `gap`, `stale`, `repeats`, `clone`, `epoch`, `setBack`, `held`, `crowded` or `twoNetworks`.
    #[schema(value_type = String)]
    kind: AnomalyKind,
    at: String,
    epoch: u64,
    /// Of the batch that came.
    sequence: u64,
    /// The batch that would have fitted.
    expected: u64,
    /// Whether it is so still; a gap that was filled is not.
    stands: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    /// Give it to `mdfm-agent enrol`; usable once; a secret.
    token: String,
    expires_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Reason {
    pub(super) reason: String,
}

/// Registers a gateway.
#[utoipa::path(post, path = "/api/v1/gateways", request_body = NewGateway,
    responses((status = 201), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn register(
    State(api): State<Api>,
    origin: Origin,
    Json(new): Json<NewGateway>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "gateway.register", "gateway").await?;
    let command = Command::RegisterGateway {
        gateway: id("gatewayId", &new.gateway_id)?,
        hospital: id("hospitalId", &new.hospital_id)?,
    };
    origin.submit(&api, &caller, command).await?;
    Ok(StatusCode::CREATED)
}

/// Lists gateways.
#[utoipa::path(get, path = "/api/v1/gateways", params(ListQuery),
    responses((status = 200, body = Vec<GatewayView>), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    origin: Origin,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    origin.need(&api, Permission::ReadAll, "gateway.list", "gateway").await?;
    let state = api.runner.state();
    let (now, presence) = (clock::now(), api.runner.presence());
    query.page(
        "/api/v1/gateways",
        &state.gateways,
        |_, _| true,
        |id, g| {
            let heard = presence.gateway(now, id);
            GatewayView {
                presence: heard.standing,
                last_heartbeat_at: heard.heard_at.map(|at| at.to_string()),
                gateway_id: id.to_string(),
                hospital_id: g.hospital.to_string(),
                enrolled: g.credentials.is_some(),
                revoked: g.revoked,
                telemetry_sequence: g.chain.sequence,
                telemetry_epoch: g.chain.epoch,
                telemetry: g.telemetry_state(),
                telemetry_since: g.healing.held_since.or(g.healing.refused.map(|(_, at)| at)).map(|at| at.to_string()),
                epochs_begun: g.healing.epochs.iter().filter(|at| now.since_ms(**at) < DAY_MS).count(),
                directive_serial: g.directive.as_ref().map_or(0, |d| d.serial),
                withdrawals_version: presence.withdrawals_version(id),
                findings: g.anomalies.iter().filter(|a| g.stands(a)).count(),
                anomalies: g
                    .anomalies
                    .iter()
                    .map(|a| AnomalyView {
                        kind: a.kind,
                        at: a.at.to_string(),
                        epoch: a.epoch,
                        sequence: a.sequence,
                        expected: a.expected,
                        stands: g.stands(a),
                    })
                    .collect(),
                unregistered_devices: state
                    .inventory
                    .of_gateway(id)
                    .filter(|(device, claim)| claim.observed.present && !state.devices.contains_key(*device))
                    .map(|(device, _)| device.to_string())
                    .collect(),
            }
        },
    )
}

/// Makes a one-time enrolment token; a new one replaces an unused one. A person makes it: the word of an enrolled gateway moves devices. Whoever uses one for a gateway that is enrolled replaces that gateway:
/// this needs a person who has just shown the second factor, and administrators and operators are notified.
#[utoipa::path(post, path = "/api/v1/gateways/{gateway}/enrolment-tokens",
    responses((status = 201, body = TokenView), (status = 409, body = Problem)))]
pub(super) async fn issue_token(
    State(api): State<Api>,
    origin: Origin,
    Path(gateway): Path<String>,
) -> Result<(StatusCode, axum::Json<TokenView>), Problem> {
    let object = format!("gateway/{gateway}");
    let caller = origin.need(&api, Permission::ManageFleet, "gateway.token", &object).await?;
    let gateway: GatewayId = id("gateway", &gateway)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| Problem::internal("this machine gives no random numbers", &e))?;
    let expires_at = api.runner.now().plus_ms(TOKEN_MS);
    // The core refuses a token for a gateway that is enrolled, unless a person has just shown the second factor.
    let replaces = caller.may(Permission::ManageFleet, By::Factor, &api.sessions, api.runner.now()).is_ok();
    let command =
        Command::IssueToken { gateway: gateway.clone(), secret_sha256: Digest::of(&secret), expires_at, replaces };
    origin.submit(&api, &caller, command).await?;
    let trust_root = api.runner.state().first_root_digest.ok_or_else(|| {
        Problem::from(Refusal::conflict(
            "no-trust-root",
            "no token was made: there is no trust root yet that it could pin (mdfmctl trust publish)",
        ))
    })?;
    let ca = CertificateDer::from_pem_slice(api.authority.certificate.as_bytes())
        .map_err(|e| Problem::internal("the authority's certificate cannot be read", &e))?;
    let url = api.public_url.clone();
    let token = EnrolmentToken { gateway, url, secret, trust_root, ca_der: ca.to_vec() };
    Ok((StatusCode::CREATED, axum::Json(TokenView { token: token.to_text(), expires_at: expires_at.to_string() })))
}

/// Revokes a gateway permanently; its connections close at once.
#[utoipa::path(post, path = "/api/v1/gateways/{gateway}/revocation", request_body = Reason,
    responses((status = 204), (status = 409, body = Problem)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    origin: Origin,
    Path(gateway): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let caller = origin.need(&api, Permission::ManageFleet, "gateway.revoke", &format!("gateway/{gateway}")).await?;
    let command = Command::RevokeGateway { gateway: id("gateway", &gateway)?, reason: reason.reason };
    origin.submit(&api, &caller, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
