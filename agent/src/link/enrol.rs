//! Enrolment: the token once, credentials for as long as they last.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{HeaderMap, StatusCode, header};
use mdfm_agent_core::store::{Store as _, StoreError, owner_write, unacknowledged};
use mdfm_agent_core::trust::Trust;
use mdfm_service::{Exit, Stop, atomic_write};
use mdfm_shared::digest::Digest;
use mdfm_shared::enrol::{EnrolmentRequest, EnrolmentResponse, EnrolmentToken};
use mdfm_shared::id::GatewayId;
use mdfm_shared::sign::SecretKey;
use mdfm_shared::time::UtcMillis;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::https::Https;
use super::{Road, tls_config};
use crate::disk::{DiskHandle, Real};
use crate::store::{LogStore, StateLock};

/// Times that an enrolment is asked for while the coordinator answers that there are too many.
const BUSY_TRIES_MAX: u32 = 30;
/// Longest pause between two of them, in seconds.
const BUSY_PAUSE_S_MAX: u64 = 10;

const FILE: &str = "identity.json";
/// For the answer, and for its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer to an enrolment.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Who this gateway is; one file, written at once, readable by the owner alone.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) gateway: GatewayId,
    pub(crate) url: String,
    pub(crate) ca_der_base64: String,
    pub(crate) trust_root: Digest,
    pub(crate) epoch: u64,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    telemetry_secret: String,
}

impl Identity {
    /// Reads the identity of an enrolled gateway.
    pub(crate) fn load(state_dir: &Path) -> anyhow::Result<Self> {
        let path = state_dir.join(FILE);
        if !path.exists() {
            let hint = "is this gateway enrolled? (mdfm-agent enrol --token-file FILE)";
            return Err(Stop::new(Exit::NoState, format!("{} is missing; {hint}", path.display())).into());
        }
        let text = mdfm_service::read_secret(&path)?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged; enrol again", path.display()))
    }
    /// The key that signs telemetry.
    pub(crate) fn telemetry_key(&self) -> anyhow::Result<SecretKey> {
        Ok(SecretKey::from_secret_text(&self.telemetry_secret)?)
    }
    /// When it is time to get the next certificate: `days` before this one ends.
    pub(crate) fn renewal_is_due(&self, now: UtcMillis, days: u32) -> bool {
        let Some(validity) = mdfm_service::validity(&self.certificate_pem) else { return true };
        let now_s = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
        now_s >= validity.not_after_s - i64::from(days) * 86_400
    }

    /// A new key and its certificate take the place of the old, durably when this returns.
    pub(crate) fn renew(self, state_dir: &Path, key_pem: String, certificate_pem: String) -> anyhow::Result<Self> {
        let renewed = Self { certificate_pem, key_pem, ..self };
        // What cannot be used must not take the place of what can.
        tls_config(&renewed.ca_der()?, Some((&renewed.certificate_pem, &renewed.key_pem)))?;
        atomic_write(&state_dir.join(FILE), &serde_json::to_vec(&renewed)?)?;
        Ok(renewed)
    }

    /// The authority's certificate.
    pub(crate) fn ca_der(&self) -> anyhow::Result<Vec<u8>> {
        Ok(STANDARD.decode(&self.ca_der_base64)?)
    }
}

/// Whether this gateway has an identity.
pub(crate) fn is_enrolled(state_dir: &Path) -> bool {
    state_dir.join(FILE).exists()
}

/// Enrols this gateway: makes its keys, proves the token, checks and stores what comes back.
pub(crate) async fn enrol(state_dir: &Path, road: &Road, token: &str, again: bool) -> anyhow::Result<GatewayId> {
    use std::os::unix::fs::DirBuilderExt;
    let token = EnrolmentToken::from_text(token)?;
    if state_dir.join(FILE).exists() && !again {
        bail!("{} holds an identity already; use --again to replace it", state_dir.display());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let _lock = StateLock::take(&state_dir.join("state"))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    let telemetry = SecretKey::from_seed(seed);
    let tls_key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::default().serialize_request(&tls_key)?;
    let request = EnrolmentRequest {
        gateway: token.gateway.clone(),
        secret: hex::encode(token.secret),
        csr_pem: csr.pem()?,
        telemetry_key: telemetry.public().to_string(),
    };
    let https = Https::new(&token.url, road, tls_config(&token.ca_der, None)?)?;
    let mut tries = 1;
    let mut answer = loop {
        let answer = timeout(REQUEST_TIMEOUT, https.post("/agent/v1/enrolments", &request)).await;
        let answer = answer.map_err(anyhow::Error::from).and_then(|answer| answer);
        let answer = answer.with_context(|| format!("reaching {}", token.url))?;
        // Many gateways behind one address share its rate; nothing was done with the token then.
        if answer.status != StatusCode::TOO_MANY_REQUESTS || tries >= BUSY_TRIES_MAX {
            break answer;
        }
        let pause_s = retry_after_s(&answer.headers);
        tracing::info!(tries, pause_s, "the coordinator has too many enrolments from this network; trying again");
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
        tries += 1;
    };
    let status = answer.status;
    let body = timeout(REQUEST_TIMEOUT, answer.body(ANSWER_BYTES_MAX)).await??;
    if !status.is_success() {
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        bail!("the coordinator refused ({status}): {}", problem["detail"].as_str().unwrap_or("no reason given"));
    }
    let response: EnrolmentResponse = serde_json::from_slice(&body)?;
    let roots: Vec<Vec<u8>> = response.trust_roots.iter().map(|r| STANDARD.decode(r)).collect::<Result<_, _>>()?;
    let roots = Trust::enrol(&roots, token.trust_root)?;
    let disk: DiskHandle = std::sync::Arc::new(Real);
    let state = state_dir.join("state");
    let mut store = match LogStore::open(&disk, &state) {
        Err(StoreError::Damaged { .. } | StoreError::Decode { .. }) if again => {
            LogStore::put_aside(&disk, &state)?;
            LogStore::open(&disk, &state)?
        }
        opened => opened?,
    };
    // The documents of another trust root are put aside first; journals and outbox stay. Should the identity below not be written, the
    // next start under the old one takes them back.
    let mut writes = Trust::switch(&store, token.trust_root, true)?;
    writes.extend(roots);
    // Telemetry on disk was chained under the key of before, whatever epoch the coordinator names.
    if let Ok(before) = Identity::load(state_dir).and_then(|identity| identity.telemetry_key()) {
        writes.push(owner_write(before.public().id()));
    }
    store.commit(writes)?;
    let (batches, events) = unacknowledged(&store)?;
    if batches + events > 0 {
        tracing::info!(
            batches,
            events,
            "telemetry that was not acknowledged is kept and is sent under the new identity"
        );
    }
    let identity = Identity {
        gateway: token.gateway.clone(),
        url: token.url,
        ca_der_base64: STANDARD.encode(&token.ca_der),
        trust_root: token.trust_root,
        epoch: response.epoch,
        certificate_pem: response.certificate_pem,
        key_pem: tls_key.serialize_pem(),
        telemetry_secret: telemetry.to_secret_text(),
    };
    atomic_write(&state_dir.join(FILE), &serde_json::to_vec(&identity)?)?;
    Ok(token.gateway)
}

/// The pause that an answer asks for, in seconds: 1 to [`BUSY_PAUSE_S_MAX`].
fn retry_after_s(headers: &HeaderMap) -> u64 {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    seconds.unwrap_or(1).clamp(1, BUSY_PAUSE_S_MAX)
}
