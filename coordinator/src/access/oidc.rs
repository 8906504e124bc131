//! Single sign-on: the coordinator as a relying party of one OpenID provider (OpenID Connect Core 1.0), by the authorization code flow with PKCE
//! (RFC 7636). The code goes to a loopback address of the person's own machine (RFC 8252) or to an address that the operator named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use mdfm_shared::digest::Digest;
use mdfm_shared::time::UtcMillis;
use reqwest::Client;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::https;

/// Longest wait for the provider.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read of one of its answers.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// For so long somebody may take to sign in at the provider.
const FLOW_MS: u64 = 10 * 60_000;
/// Bytes of a flow as its caller holds it.
const FLOW_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an address to come back to.
const REDIRECT_BYTES_MAX: usize = 2 * 1024;
/// Flows that were taken up, remembered until they are over; the oldest go first, and the provider takes each code once anyway.
const USED_MAX: usize = 100_000;
/// How far the clocks of provider and coordinator may differ, in seconds.
const LEEWAY_S: u64 = 60;
/// Signatures that count: none without a key of the provider's own, and none that the client's secret could make.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// The provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcConfig {
    /// Its issuer identifier, under which its discovery document is.
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// Needed where the provider knows the coordinator as a confidential client.
    #[serde(default)]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Certificate of the authority that its certificate is from; without it the system's are trusted.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Addresses beside those of the own machine to which the provider may send people back.
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
}

/// Whether an address is on the own machine, written so that nobody can take it for another one: a loopback address as such (RFC 8252 §7.3), a
/// port, and no name or password before it.
pub(crate) fn is_loopback(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        url.scheme() == "http"
            && matches!(url.host_str(), Some("127.0.0.1" | "[::1]"))
            && url.port().is_some()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// The provider's word about itself (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Clone, Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// A sign-in on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flow {
    began: UtcMillis,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
}

/// Where to send somebody, and by what the flow is taken up again.
#[derive(Debug)]
pub(crate) struct Begun {
    /// A secret: whoever has it gets the session.
    pub(crate) flow: String,
    pub(crate) authorization_url: String,
}

/// Sign-ins on their way are held by those who began them, sealed under a key of this process: nothing is kept for a stranger, so nobody can
/// crowd out anybody's.
struct Flows {
    key: LessSafeKey,
    used: Mutex<BTreeMap<Digest, UtcMillis>>,
}

impl Flows {
    fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| anyhow::anyhow!("no key"))?;
        Ok(Self { key: LessSafeKey::new(key), used: Mutex::default() })
    }

    fn seal(&self, flow: &Flow) -> anyhow::Result<String> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let mut sealed = serde_json::to_vec(flow)?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        let sealed_all = self.key.seal_in_place_append_tag(sealing, Aad::from(FLOW_PURPOSE), &mut sealed);
        sealed_all.map_err(|_| anyhow::anyhow!("the flow cannot be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a flow of this process that is not over; each once.
    fn take(&self, text: &str, now: UtcMillis) -> Option<Flow> {
        if text.len() > FLOW_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let (nonce, mut sealed) = (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
        let opened = self.key.open_in_place(nonce, Aad::from(FLOW_PURPOSE), &mut sealed).ok()?;
        let flow: Flow = serde_json::from_slice(opened).ok()?;
        if now.since_ms(flow.began) >= FLOW_MS {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, began| now.since_ms(*began) < FLOW_MS);
        if used.len() >= USED_MAX
            && let Some(oldest) = used.iter().min_by_key(|(_, began)| **began).map(|(id, _)| *id)
        {
            used.remove(&oldest);
        }
        used.insert(Digest::of(&bytes), flow.began).is_none().then_some(flow)
    }
}

/// What the key of flows seals.
const FLOW_PURPOSE: &[u8] = b"mdfm sign-in by OpenID Connect v1";

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
}

/// The relying party.
pub(crate) struct Oidc {
    config: OidcConfig,
    secret: Option<String>,
    client: Client,
    flows: Flows,
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Oidc {
    pub(crate) fn new(config: &OidcConfig) -> anyhow::Result<Self> {
        let client = https::client("oidc.ca_file", &config.issuer, config.ca_file.as_deref(), PATIENCE)?;
        let secret = config.client_secret_file.as_deref().map(mdfm_service::read_secret).transpose()?;
        let secret = secret.map(|text| text.trim().to_owned());
        Ok(Self { config: config.clone(), secret, client, flows: Flows::new()? })
    }

    /// The provider's identifier.
    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Whether the provider may send people back there.
    pub(crate) fn may_return_to(&self, redirect_uri: &str) -> bool {
        if redirect_uri.len() > REDIRECT_BYTES_MAX {
            return false;
        }
        is_loopback(redirect_uri) || self.config.redirect_uris.iter().any(|uri| uri == redirect_uri)
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let mut answer = request.send().await.context("the provider cannot be reached")?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            body.extend_from_slice(&piece);
            ensure!(body.len() <= ANSWER_BYTES_MAX, "the provider's answer has more than {ANSWER_BYTES_MAX} bytes");
        }
        ensure!(status.is_success(), "the provider answered {status}");
        serde_json::from_slice(&body).context("the provider's answer cannot be read")
    }

    async fn provider(&self) -> anyhow::Result<Provider> {
        let url = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let provider: Provider = self.answer(self.client.get(url)).await?;
        ensure!(provider.issuer == self.config.issuer, "the provider calls itself {}", provider.issuer);
        let is_safe = |url: &String| url.starts_with("https://") || is_loopback(url);
        let all = [&provider.authorization_endpoint, &provider.token_endpoint, &provider.jwks_uri];
        ensure!(all.into_iter().all(is_safe), "the provider names an address without TLS");
        Ok(provider)
    }

    /// Begins a sign-in that comes back to `redirect_uri`.
    ///
    /// # Errors
    /// The provider cannot be asked.
    pub(crate) async fn begin(&self, redirect_uri: &str, now: UtcMillis) -> anyhow::Result<Begun> {
        let provider = self.provider().await?;
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).0);
        let query = serde_urlencoded::to_string([
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", "openid"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ])?;
        let joint = if provider.authorization_endpoint.contains('?') { '&' } else { '?' };
        let authorization_url = format!("{}{joint}{query}", provider.authorization_endpoint);
        let flow = Flow { began: now, state, nonce, verifier, redirect_uri: redirect_uri.to_owned() };
        let flow = self.flows.seal(&flow)?;
        Ok(Begun { flow, authorization_url })
    }

    /// Takes a sign-in up again; each can be once. Gives the subject that the provider vouches for.
    ///
    /// # Errors
    /// Why it does not count.
    pub(crate) async fn finish(&self, flow: &str, state: &str, code: &str, now: UtcMillis) -> anyhow::Result<String> {
        let flow = self.flows.take(flow, now).context("the sign-in is over, or unknown")?;
        ensure!(flow.state == state, "the sign-in came back with a state that is not its own");
        let provider = self.provider().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &flow.redirect_uri),
            ("code_verifier", &flow.verifier),
        ];
        let request = self.client.post(&provider.token_endpoint);
        let request = match &self.secret {
            Some(secret) => request.basic_auth(encoded(&self.config.client_id)?, Some(encoded(secret)?)),
            None => {
                form.push(("client_id", &self.config.client_id));
                request
            }
        };
        let body = serde_urlencoded::to_string(&form)?;
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let tokens: Tokens = self.answer(request).await?;
        let keys: JwkSet = self.answer(self.client.get(&provider.jwks_uri)).await?;
        self.subject(&tokens.id_token, &keys, &flow.nonce)
    }

    /// Checks an ID token (OpenID Connect Core 1.0 §3.1.3.7).
    fn subject(&self, token: &str, keys: &JwkSet, nonce: &str) -> anyhow::Result<String> {
        let header = jsonwebtoken::decode_header(token).context("the ID token cannot be read")?;
        ensure!(ALGORITHMS.contains(&header.alg), "the ID token is signed with {:?}, which does not count", header.alg);
        let key = match &header.kid {
            Some(kid) => keys.find(kid),
            None if keys.keys.len() == 1 => keys.keys.first(),
            None => None,
        };
        let key = DecodingKey::from_jwk(key.context("the ID token's key is none of the provider's")?)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_S;
        validation.set_audience(&[&self.config.client_id]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).context("the ID token does not count")?;
        let Claims { sub, aud, azp, nonce: found } = claims.claims;
        ensure!(found.as_deref() == Some(nonce), "the ID token is for another sign-in");
        let is_ours_alone = match &aud {
            Audience::One(one) => *one == self.config.client_id,
            Audience::Many(all) => all.len() == 1 || azp.as_ref() == Some(&self.config.client_id),
        };
        if !is_ours_alone {
            bail!("the ID token is for another client");
        }
        Ok(sub)
    }
}

/// Text as a form writes it (RFC 6749 §2.3.1).
fn encoded(text: &str) -> anyhow::Result<String> {
    let pair = serde_urlencoded::to_string([("x", text)])?;
    Ok(pair.trim_start_matches("x=").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oidc() -> Oidc {
        Oidc::new(&OidcConfig {
            issuer: "https://id.example".into(),
            client_id: "mdfm".into(),
            client_secret_file: None,
            ca_file: None,
            redirect_uris: vec!["https://firmware.example/signed-in".into()],
        })
        .expect("builds")
    }

    /// Nothing is kept of a flow that was begun, so there is nothing that a crowd could push out.
    #[test]
    fn sec_20_no_crowd_of_sign_ins_ends_the_one_of_another() {
        let (flows, began) = (Flows::new().expect("randomness"), UtcMillis(1_000_000));
        let flow = |state: &str| Flow {
            began,
            state: state.into(),
            nonce: "n".into(),
            verifier: "v".into(),
            redirect_uri: "http://127.0.0.1:1/".into(),
        };
        let mine = flows.seal(&flow("mine")).expect("seals");
        let crowd: Vec<String> = (0..5_000).map(|n| flows.seal(&flow(&n.to_string())).expect("seals")).collect();
        assert!(flows.used.lock().expect("whole").is_empty(), "nothing is kept of them");
        crowd.iter().take(2_000).for_each(|other| assert!(flows.take(other, began).is_some()));
        assert_eq!(flows.take(&mine, began.plus_ms(FLOW_MS - 1)), Some(flow("mine")));
        assert_eq!(flows.take(&mine, began.plus_ms(FLOW_MS - 1)), None, "each once");
        let late = flows.seal(&flow("late")).expect("seals");
        assert_eq!(flows.take(&late, began.plus_ms(FLOW_MS)), None, "it is over");
        let other = Flows::new().expect("randomness").seal(&flow("other")).expect("seals");
        for bad in [other.as_str(), "", "made up", &late[..late.len() - 2], &"A".repeat(2 * FLOW_BYTES_MAX)] {
            assert_eq!(flows.take(bad, began), None, "{bad}");
        }
    }

    #[test]
    fn people_are_sent_back_to_their_own_machine_or_where_the_operator_says() {
        let oidc = oidc();
        for (uri, may) in [
            ("http://127.0.0.1:4711/callback", true),
            ("http://[::1]:4711/callback", true),
            ("https://firmware.example/signed-in", true),
            ("https://firmware.example/signed-in/evil", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://127.0.0.1:4711@evil.example/", false),
            ("http://127.0.0.1:4711:x@evil.example/", false),
            ("http://somebody@127.0.0.1:4711/", false),
            ("http://[::1]:4711@evil.example/", false),
            ("http://localhost:4711/", false),
            ("https://evil.example/", false),
        ] {
            assert_eq!(oidc.may_return_to(uri), may, "{uri}");
        }
    }

    #[test]
    fn tokens_without_a_signature_or_signed_with_the_clients_secret_do_not_count() {
        let (oidc, none) = (oidc(), JwkSet { keys: vec![] });
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let claims = part(r#"{"iss":"https://id.example","aud":"mdfm","sub":"zoe","exp":99999999999,"nonce":"n"}"#);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"1"}"#, r#"{"alg":"RS256","kid":"1"}"#, "{}"] {
            let token = format!("{}.{claims}.", part(header));
            assert!(oidc.subject(&token, &none, "n").is_err(), "{header}");
        }
        assert!(oidc.subject("nonsense", &none, "n").is_err());
    }
}
