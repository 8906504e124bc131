//! What agents ask for over HTTPS: enrolment, images, consistency proofs.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_shared::digest::Digest;
use mdfm_shared::enrol::{EnrolmentRequest, EnrolmentResponse, telemetry_key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Json, Origin, Path, Query, id};
use super::{Api, Problem};
use crate::pki;
use crate::runner::{anonymous, gateway_actor};
use mdfm_coordinator_core::fleet::check_token;
use mdfm_coordinator_core::{Command, Refusal, directive};

/// Enrols a gateway with its one-time token.
#[utoipa::path(post, path = "/agent/v1/enrolments", request_body(content = Object),
    responses((status = 201, body = Object), (status = 403, body = Problem)))]
pub(super) async fn enrol(
    State(api): State<Api>,
    origin: Origin,
    Json(request): Json<EnrolmentRequest>,
) -> Result<(StatusCode, axum::Json<EnrolmentResponse>), Problem> {
    // The token first: nothing is computed, signed or compared for somebody without one.
    let secret_sha256 = Digest::of(&hex::decode(&request.secret).unwrap_or_default());
    let claimed = anonymous(request.gateway.as_str());
    let now = api.runner.now();
    let may = check_token(&api.runner.state(), now, &request.gateway, secret_sha256).map(drop);
    if let Err(refusal) = may {
        let object = format!("gateway/{}", request.gateway);
        return Err(origin.deny(&api, claimed, "gateway.enrol", &object, refusal).await);
    }
    let key = telemetry_key(&request).map_err(|e| Refusal::invalid("telemetryKey", e))?;
    let (certificate_pem, certificate_sha256) = pki::sign_gateway(&api.authority, &request.gateway, &request.csr_pem)
        .map_err(|e| Refusal::invalid("csrPem", e))?;
    let command =
        Command::Enrol { gateway: request.gateway.clone(), secret_sha256, telemetry_key: key, certificate_sha256 };
    api.runner.submit(claimed, origin.address(), command).await.map_err(Problem::recorded)?;
    let state = api.runner.state();
    let gateway = state.need_gateway(&request.gateway)?;
    let response = EnrolmentResponse { certificate_pem, epoch: gateway.chain.epoch, trust_roots: state.roots.clone() };
    Ok((StatusCode::CREATED, axum::Json(response)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Renewal {
    /// Certificate signing request of a new key.
    csr_pem: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenewalView {
    certificate_pem: String,
}

/// Renews the certificate with which the gateway calls; the one that it has is let in for another week.
#[utoipa::path(post, path = "/agent/v1/certificates", request_body = Renewal,
    responses((status = 201, body = RenewalView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn renew(
    State(api): State<Api>,
    origin: Origin,
    Json(renewal): Json<Renewal>,
) -> Result<(StatusCode, axum::Json<RenewalView>), Problem> {
    let gateway = origin.need_gateway(&api, "gateway.renew").await?;
    let (certificate_pem, certificate_sha256) =
        pki::sign_gateway(&api.authority, &gateway, &renewal.csr_pem).map_err(|e| Refusal::invalid("csrPem", e))?;
    let presented = origin.certificate().ok_or_else(|| Refusal::forbidden("no-certificate", "none was presented"))?;
    let command = Command::RenewCertificate { gateway: gateway.clone(), presented, certificate_sha256 };
    api.runner.submit(gateway_actor(&gateway), origin.address(), command).await.map_err(Problem::recorded)?;
    Ok((StatusCode::CREATED, axum::Json(RenewalView { certificate_pem })))
}

/// The start of a `Range: bytes=n-` header; none for any other form, which means the whole image.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Serves an image or a patch by its SHA-256, whole or from an offset (`Range: bytes=n-`), if the gateway's directive leads to it.
#[utoipa::path(get, path = "/agent/v1/images/{sha256}",
    responses((status = 200), (status = 206), (status = 404, body = Problem), (status = 416, body = Problem)))]
pub(super) async fn image(
    State(api): State<Api>,
    origin: Origin,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let gateway = origin.need_gateway(&api, "image.get").await?;
    let sha256 = id("sha256", &sha256)?;
    // What no directive leads this gateway to is not there for it, whether it is stored or not.
    if !directive::leads_to(&api.runner.state(), &gateway, sha256) {
        return Err(Refusal::not_found("image", sha256).into());
    }
    serve_image(&api, sha256, &headers).await
}

/// An image as a stream, whole or from an offset.
pub(super) async fn serve_image(api: &Api, sha256: Digest, headers: &HeaderMap) -> Result<Response, Problem> {
    let start = range_start(headers).unwrap_or(0);
    let stored = api.images.read(sha256, start).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Problem::from(Refusal::not_found("image", sha256)),
        _ => Problem::internal("the image cannot be read", &e),
    })?;
    let total = stored.size_bytes();
    if start > total {
        return Err(Refusal::invalid("range", format!("the image has {total} bytes")).into());
    }
    let chunks = futures_util::stream::unfold(Some(stored), move |stored| async move {
        let mut stored = stored?;
        let read = tokio::task::spawn_blocking(move || (stored.next_bytes(), stored)).await;
        match read {
            Ok((Ok(bytes), stored)) => bytes.map(|bytes| (Ok(bytes), Some(stored))),
            Ok((Err(error), _)) => {
                // The stream ends here, and the gateway sees that bytes are missing.
                tracing::error!(%error, %sha256, "an image on disk cannot be read to its end");
                Some((Err(error), None))
            }
            Err(error) => Some((Err(std::io::Error::other(error)), None)),
        }
    });
    let length = (header::CONTENT_LENGTH, (total - start).to_string());
    let body = Body::from_stream(chunks);
    Ok(if start == 0 {
        (StatusCode::OK, [length], body).into_response()
    } else {
        let range = (header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", total.saturating_sub(1)));
        (StatusCode::PARTIAL_CONTENT, [length, range], body).into_response()
    })
}

#[derive(Deserialize)]
pub(super) struct Sizes {
    old: u64,
    new: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProofView {
    /// Base64 hashes, in the order of RFC 6962 §2.1.2.
    hashes: Vec<String>,
}

/// Proves that the log of size `new` begins with the log of size `old`.
#[utoipa::path(get, path = "/agent/v1/log/consistency", params(("old" = u64, Query), ("new" = u64, Query)),
    responses((status = 200, body = ProofView), (status = 422, body = Problem)))]
pub(super) async fn consistency(
    State(api): State<Api>,
    origin: Origin,
    Query(sizes): Query<Sizes>,
) -> Result<axum::Json<ProofView>, Problem> {
    origin.need_gateway(&api, "log.consistency").await?;
    let proof = api.runner.log.consistency(sizes.old, sizes.new);
    let proof = proof.map_err(|e| Problem::internal("the log cannot be read", &e))?.ok_or_else(|| {
        Refusal::invalid("old", format!("sizes must satisfy 0 < old <= new <= {}", api.runner.log.size()))
    })?;
    Ok(axum::Json(ProofView { hashes: proof.iter().map(|h| STANDARD.encode(h)).collect() }))
}
