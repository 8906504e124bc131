//! Bundles for gateways that no line reaches: everything that would have gone to one as messages, and its telemetry on the way back.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::bundle::{Document, Header, Image, Proof};
use mdfm_shared::id::{FirmwareId, GatewayId};
use mdfm_shared::sign::Signed;
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::wire::{self, Topic};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent::serve_image;
use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::clock;
use crate::runner::gateway_actor;
use mdfm_coordinator_core::access::Permission;
use mdfm_coordinator_core::refusal::Class;
use mdfm_coordinator_core::{Command, Refusal, dispatch, telemetry};

/// How long an export waits for the checkpoint that covers what it carries; one is due each second.
const PROOF_PATIENCE: Duration = Duration::from_secs(10);
const PROOF_LOOK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Entries of the audit log that the gateway knows; by default what it said last.
    from: Option<u64>,
}

/// What would go to the gateway as messages: trust documents, checkpoint with its proof, directive, releases; and which images they name.
#[utoipa::path(get, path = "/api/v1/gateways/{gateway}/bundle", params(("from" = Option<u64>, Query)),
    responses((status = 200, body = Object), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn compose(
    State(api): State<Api>,
    origin: Origin,
    Path(gateway): Path<String>,
    Query(range): Query<From>,
) -> Result<axum::Json<Header>, Problem> {
    origin.need(&api, Permission::ManageFleet, "gateway.bundle", &format!("gateway/{gateway}")).await?;
    let gateway: GatewayId = id("gateway", &gateway)?;
    let known = match range.from {
        Some(from) => from,
        None => api.runner.presence().checkpoint_size(&gateway),
    };
    let log = &api.runner.log;
    let asked = Instant::now();
    let (bundle, newest) = loop {
        let composed = {
            let state = api.runner.state();
            state.need_gateway(&gateway)?;
            let newest = log.published().map_or(0, |(checkpoint, _)| checkpoint.size);
            (dispatch::bundle(&state, log, &gateway, state.not_before(clock::now())), newest)
        };
        // What was decided a moment ago is proved by the next checkpoint; without its proof the gateway could do nothing with it.
        if !composed.0.is_unproved {
            break composed;
        }
        if asked.elapsed() > PROOF_PATIENCE {
            return Err(Refusal::new(
                Class::Unavailable,
                "not-proved-yet",
                format!(
                    "no published checkpoint of the audit log covers what gateway {gateway} is directed to yet; ask again in a minute, and look at the witnesses (mdfmctl audit state) if it stays so"
                ),
            )
            .into());
        }
        tokio::time::sleep(PROOF_LOOK).await;
    };
    if bundle.messages.is_empty() {
        return Err(Refusal::conflict(
            "nothing-published",
            "nothing to export: no trust documents are published yet (mdfmctl trust publish)",
        )
        .into());
    }
    let mut proofs = Vec::new();
    if known > 0 && known < newest {
        let hashes = log.consistency(known, newest).map_err(|e| Problem::internal("the log cannot be read", &e))?;
        let hashes = hashes.ok_or_else(|| Refusal::invalid("from", format!("must be 1 to {newest}")))?;
        proofs.push(Proof { old: known, new: newest, hashes: hashes.iter().map(|h| STANDARD.encode(h)).collect() });
    }
    let document =
        |(topic, payload): (Topic, Vec<u8>)| Document { topic: topic.to_string(), payload: STANDARD.encode(payload) };
    Ok(axum::Json(Header {
        gateway: gateway.to_string(),
        documents: bundle.messages.into_iter().map(document).collect(),
        proofs,
        images: bundle.images.into_iter().map(|(sha256, size_bytes)| Image { sha256, size_bytes }).collect(),
    }))
}

/// The image of a release, whole or from an offset (`Range: bytes=n-`).
#[utoipa::path(get, path = "/api/v1/firmware/{firmware}/image",
    responses((status = 200), (status = 206), (status = 404, body = Problem)))]
pub(super) async fn image(
    State(api): State<Api>,
    origin: Origin,
    Path(firmware): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    origin.need(&api, Permission::ReadAll, "firmware.image.get", &format!("firmware/{firmware}")).await?;
    let firmware: FirmwareId = id("firmware", &firmware)?;
    let image = api.runner.state().need_firmware(&firmware)?.image;
    let (sha256, _) = image.ok_or_else(|| Refusal::not_found("image of firmware", &firmware))?;
    serve_image(&api, sha256, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Delivery {
    /// Telemetry batches, each signed by the gateway, in their order.
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Document>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// Batches that are new in the log now.
    taken: usize,
    /// Batches that were there already.
    known: usize,
    /// Why a batch, and everything behind it, does not continue what is in the log; `null` if all of them do. Bring the answer back to
    /// the gateway: it begins a new epoch.
    refused: Option<String>,
    /// What is in the log, signed; bring it back to the gateway, which keeps its batches until then.
    #[schema(value_type = Object)]
    head: Document,
    /// The same for agents of earlier versions; `null` while batches of the gateway are refused.
    #[schema(value_type = Object)]
    acknowledgement: Option<Document>,
}

/// Takes a gateway's telemetry that came on removable media: the same checks as over the line.
#[utoipa::path(post, path = "/api/v1/gateways/{gateway}/telemetry", request_body = Delivery,
    responses((status = 200, body = DeliveryView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn deliver(
    State(api): State<Api>,
    origin: Origin,
    Path(gateway): Path<String>,
    Json(delivery): Json<Delivery>,
) -> Result<axum::Json<DeliveryView>, Problem> {
    origin.need(&api, Permission::ManageFleet, "gateway.telemetry", &format!("gateway/{gateway}")).await?;
    let gateway: GatewayId = id("gateway", &gateway)?;
    api.runner.state().need_gateway(&gateway)?;
    let topic = Topic::Telemetry(gateway.clone()).to_string();
    let (mut taken, mut known) = (0, 0);
    let mut not_taken = None;
    for document in delivery.documents {
        if document.topic != topic {
            return Err(Refusal::invalid("topic", format!("must be {topic}, found {}", document.topic)).into());
        }
        let frame = STANDARD.decode(&document.payload).map_err(|e| Refusal::document("malformed-document", e))?;
        let signed: Signed<TelemetryBatch> =
            wire::decode(&frame).map_err(|e| Refusal::document("malformed-frame", format!("telemetry: {e}")))?;
        if telemetry::is_repeat(&api.runner.state(), &gateway, &signed) {
            known += 1;
            not_taken = Some((signed.digest(), None));
            continue;
        }
        let digest = signed.digest();
        let command = Command::Telemetry { gateway: gateway.clone(), batch: signed.into() };
        match api.runner.submit(gateway_actor(&gateway), origin.address(), command).await {
            Ok(()) => taken += 1,
            Err(refusal) => match telemetry::chain_refusal(refusal.code) {
                Some(reason) => {
                    not_taken = Some((digest, Some(reason)));
                    break;
                }
                None => return Err(Problem::recorded(refusal)),
            },
        }
    }
    let documents = dispatch::chain_documents(&api.runner.state(), &gateway, not_taken);
    let messages =
        documents.sign(&api.online_key).map_err(|e| Problem::internal("the acknowledgement cannot be signed", &e))?;
    let mut messages = messages
        .into_iter()
        .map(|(topic, frame)| Document { topic: topic.to_string(), payload: STANDARD.encode(frame) });
    let head = messages.next().ok_or_else(|| Refusal::not_found("gateway", &gateway))?;
    let refused = not_taken.and_then(|(_, reason)| reason).map(|reason| reason.words().to_owned());
    Ok(axum::Json(DeliveryView { taken, known, refused, head, acknowledgement: messages.next() }))
}
