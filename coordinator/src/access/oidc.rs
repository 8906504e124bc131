//! Single sign-on: the coordinator as a relying party of one OpenID provider (OpenID Connect Core 1.0), by the authorization code flow with PKCE
//! (RFC 7636). The code goes to a loopback address of the person's own machine (RFC 8252) or to an address that the operator named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use mdfm_shared::digest::Digest;
use mdfm_shared::text::printable;
use mdfm_shared::time::MonotonicMs;
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
    /// How the secret is shown: `client_secret_basic` or `client_secret_post`; without it as the provider says it can.
    #[serde(default)]
    pub(crate) token_endpoint_auth_method: Option<SecretMethod>,
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

/// How the client's secret is shown (OpenID Connect Core 1.0 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum SecretMethod {
    /// In the header `Authorization`.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// In the form.
    #[serde(rename = "client_secret_post")]
    Post,
}

/// The provider's word about itself (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Clone, Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// Checks that it is the one that was configured, and speaks TLS everywhere.
    ///
    /// # Errors
    /// It is not, or does not.
    fn check(&self, issuer: &str) -> anyhow::Result<()> {
        ensure!(self.issuer == issuer, "the provider calls itself {}", words(&self.issuer));
        let is_safe = |url: &String| url.starts_with("https://") || is_loopback(url);
        let all = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        ensure!(all.into_iter().all(is_safe), "the provider names an address without TLS");
        Ok(())
    }

    /// How the secret is shown; the header where the provider says nothing (OpenID Connect Discovery 1.0 §3).
    ///
    /// # Errors
    /// It takes no secret of a kind that we have.
    fn secret_method(&self) -> anyhow::Result<SecretMethod> {
        let Some(methods) = &self.token_endpoint_auth_methods_supported else { return Ok(SecretMethod::Basic) };
        let has = |name: &str| methods.iter().any(|m| m == name);
        match (has("client_secret_basic"), has("client_secret_post")) {
            (true, _) => Ok(SecretMethod::Basic),
            (false, true) => Ok(SecretMethod::Post),
            (false, false) => {
                let named: Vec<String> = methods.iter().take(8).map(|m| words(m)).collect();
                bail!(
                    "the provider takes the client's secret by {} alone; none of these is supported",
                    named.join(", ")
                )
            }
        }
    }
}

/// Keys of a set that are looked at.
const KEYS_MAX: usize = 256;
/// Keys that are tried on one token.
const KEYS_TRIED_MAX: usize = 8;
/// Characters of what the provider says that are repeated.
const WORDS_CHARS_MAX: usize = 300;

/// What the provider says, short and printable.
fn words(text: &str) -> String {
    let text: String = text.chars().take(WORDS_CHARS_MAX).collect();
    printable(&text).into_owned()
}

/// An error of the provider (RFC 6749 §5.2).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProviderError {
    error: String,
    error_description: String,
}

/// The keys of a provider. Those of an unknown kind are passed over (RFC 7517 §5).
#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// The keys that may have made a signature of this algorithm and name.
    fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<Jwk> {
        let known = self.keys.iter().take(KEYS_MAX).filter(|key| {
            // A member that is there must say what the token says; the parser knows fewer names than providers.
            let says = |member: &str, wanted: &str| key.get(member).is_none_or(|v| v.as_str() == Some(wanted));
            says("use", "sig") && says("alg", &format!("{algorithm:?}")) && kid.is_none_or(|kid| says("kid", kid))
        });
        let read = known.filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let mut fitting: Vec<Jwk> = read.filter(|key| is_of(key, algorithm)).collect();
        // A key that says its name fits better than one that says none.
        fitting.sort_by_key(|key| key.common.key_id.is_none());
        fitting.truncate(KEYS_TRIED_MAX);
        fitting
    }
}

/// Whether a key makes signatures of an algorithm.
fn is_of(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signatures = key.common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature)
        && key.common.key_operations.as_ref().is_none_or(|o| o.contains(&KeyOperations::Verify));
    let is_of_its_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    is_for_signatures && is_of_its_kind
}

/// A sign-in on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flow {
    began: MonotonicMs,
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
    used: Mutex<BTreeMap<Digest, MonotonicMs>>,
}

impl Flows {
    fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| anyhow::anyhow!("no key"))?;
        Ok(Self { key: LessSafeKey::new(key), used: Mutex::default() })
    }

    fn seal(&self, flow: &Flow) -> anyhow::Result<String> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
        let mut sealed = serde_json::to_vec(flow)?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        let sealed_all = self.key.seal_in_place_append_tag(sealing, Aad::from(FLOW_PURPOSE), &mut sealed);
        sealed_all.map_err(|_| anyhow::anyhow!("the flow cannot be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a flow of this process that is not over; each once.
    fn take(&self, text: &str, now: MonotonicMs) -> Option<Flow> {
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

/// Gets a certificate in DER.
type Shown = dyn Fn(&[u8]) + Send + Sync;

/// The relying party.
pub(crate) struct Oidc {
    config: OidcConfig,
    secret: Option<String>,
    client: Client,
    flows: Flows,
    /// Gets the certificates that the provider shows.
    shown: Option<Box<Shown>>,
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Oidc {
    pub(crate) fn new(config: &OidcConfig) -> anyhow::Result<Self> {
        let client = https::client("oidc.ca_file", &config.issuer, config.ca_file.as_deref(), PATIENCE)?;
        let secret = config.client_secret_file.as_deref().map(mdfm_service::read_secret).transpose()?;
        let secret = secret.map(|text| text.trim().to_owned());
        Ok(Self { config: config.clone(), secret, client, flows: Flows::new()?, shown: None })
    }

    /// Has `shown` called with each certificate that the provider shows, in DER.
    #[must_use]
    pub(crate) fn noting(self, shown: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self { shown: Some(Box::new(shown)), ..self }
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
        let answer = https::send(request).await.context("the provider cannot be reached")?;
        if let (Some(shown), Some(der)) = (&self.shown, https::certificate(&answer)) {
            shown(der);
        }
        let status = answer.status();
        let body = https::body(answer, ANSWER_BYTES_MAX).await.context("reading the provider's answer")?;
        if !status.is_success() {
            let ProviderError { error, error_description } = serde_json::from_slice(&body).unwrap_or_default();
            let said = [error, error_description].map(|text| words(&text));
            let said = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
            bail!("the provider answered {status}{}{said}", if said.is_empty() { "" } else { "; it says: " });
        }
        serde_json::from_slice(&body).context("the provider's answer cannot be read")
    }

    async fn provider(&self) -> anyhow::Result<Provider> {
        let url = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let provider: Provider = self.answer(self.client.get(url)).await?;
        provider.check(&self.config.issuer)?;
        Ok(provider)
    }

    /// Begins a sign-in that comes back to `redirect_uri`.
    ///
    /// # Errors
    /// The provider cannot be asked.
    pub(crate) async fn begin(&self, redirect_uri: &str, now: MonotonicMs) -> anyhow::Result<Begun> {
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
    pub(crate) async fn finish(&self, flow: &str, state: &str, code: &str, now: MonotonicMs) -> anyhow::Result<String> {
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
            Some(secret) => {
                match self.config.token_endpoint_auth_method.map_or_else(|| provider.secret_method(), Ok)? {
                    SecretMethod::Basic => request.basic_auth(encoded(&self.config.client_id)?, Some(encoded(secret)?)),
                    SecretMethod::Post => {
                        form.extend([("client_id", self.config.client_id.as_str()), ("client_secret", secret)]);
                        request
                    }
                }
            }
            None => {
                form.push(("client_id", &self.config.client_id));
                request
            }
        };
        let body = serde_urlencoded::to_string(&form)?;
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let tokens: Tokens = self.answer(request).await?;
        let keys: Keys = self.answer(self.client.get(&provider.jwks_uri)).await?;
        self.subject(&tokens.id_token, &keys, &flow.nonce)
    }

    /// Checks an ID token (OpenID Connect Core 1.0 §3.1.3.7).
    fn subject(&self, token: &str, keys: &Keys, nonce: &str) -> anyhow::Result<String> {
        let header = jsonwebtoken::decode_header(token).context("the ID token cannot be read")?;
        ensure!(ALGORITHMS.contains(&header.alg), "the ID token is signed with {:?}, which does not count", header.alg);
        let candidates = keys.candidates(header.alg, header.kid.as_deref());
        ensure!(!candidates.is_empty(), "the ID token's key is not one of the provider's");
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_S;
        validation.set_audience(&[&self.config.client_id]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let mut claims = Err(anyhow::anyhow!("no key"));
        for key in &candidates {
            let decoded =
                DecodingKey::from_jwk(key).and_then(|k| jsonwebtoken::decode::<Claims>(token, &k, &validation));
            let wrong_key = decoded.as_ref().is_err_and(|e| *e.kind() == ErrorKind::InvalidSignature);
            claims = decoded.context("the ID token does not count");
            if !wrong_key {
                break;
            }
        }
        let Claims { sub, aud, azp, nonce: found } = claims?.claims;
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
    use serde_json::json;

    use super::*;

    fn oidc() -> Oidc {
        Oidc::new(&OidcConfig {
            issuer: "https://id.example".into(),
            client_id: "mdfm".into(),
            client_secret_file: None,
            token_endpoint_auth_method: None,
            ca_file: None,
            redirect_uris: vec!["https://firmware.example/signed-in".into()],
        })
        .expect("builds")
    }

    /// Nothing is kept of a flow that was begun, so there is nothing that a crowd could push out.
    #[test]
    fn sec_20_no_crowd_of_sign_ins_ends_the_one_of_another() {
        let (flows, began) = (Flows::new().expect("randomness"), MonotonicMs(1_000_000));
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
        let (oidc, none) = (oidc(), Keys { keys: vec![] });
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let claims = part(r#"{"iss":"https://id.example","aud":"mdfm","sub":"zoe","exp":99999999999,"nonce":"n"}"#);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"1"}"#, r#"{"alg":"RS256","kid":"1"}"#, "{}"] {
            let token = format!("{}.{claims}.", part(header));
            assert!(oidc.subject(&token, &none, "n").is_err(), "{header}");
        }
        assert!(oidc.subject("nonsense", &none, "n").is_err());
    }

    /// A key of a provider, with what it publishes of it.
    fn key(algorithm: Algorithm) -> (jsonwebtoken::EncodingKey, serde_json::Value) {
        use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
        let random = ring::rand::SystemRandom::new();
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match algorithm {
            Algorithm::EdDSA => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
                let shown = json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref()) });
                (jsonwebtoken::EncodingKey::from_ed_der(pkcs8.as_ref()), shown)
            }
            _ => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
                let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("a key");
                let point = pair.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                let shown = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
                (jsonwebtoken::EncodingKey::from_ec_der(pkcs8.as_ref()), shown)
            }
        }
    }

    fn token(algorithm: Algorithm, kid: Option<&str>, key: &jsonwebtoken::EncodingKey) -> String {
        let header = jsonwebtoken::Header { kid: kid.map(str::to_owned), ..jsonwebtoken::Header::new(algorithm) };
        let claims = json!({ "iss": "https://id.example", "aud": "mdfm", "sub": "zoe", "exp": 99_999_999_999_u64, "nonce": "n" });
        jsonwebtoken::encode(&header, &claims, key).expect("signs")
    }

    fn with(mut key: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
        key.as_object_mut().expect("a key").extend(more.as_object().expect("members").clone());
        key
    }

    /// RFC 7517 §5: keys of an unknown kind are passed over.
    #[test]
    fn fld_3_unknown_keys_of_a_provider_are_passed_over() {
        let oidc = oidc();
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
            let (secret, shown) = key(algorithm);
            let others = [
                json!({ "kty": "OKP", "crv": "X25519", "x": "AA", "use": "enc", "alg": "ECDH-ES", "kid": "e" }),
                json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "alg": "ES512", "kid": "5" }),
                json!({ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AA", "kid": "m" }),
                json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "alg": "ES256K", "kid": "k" }),
                json!({ "kty": "RSA", "n": "AA", "e": "AQAB", "use": "sig", "alg": "RSA-OAEP-256", "kid": "r" }),
                json!({ "kid": 5 }),
                json!("no key"),
            ];
            let mut all = others.to_vec();
            all.push(with(shown, json!({ "kid": "1", "use": "sig" })));
            let keys: Keys = serde_json::from_value(json!({ "keys": all })).expect("a set");
            for kid in [Some("1"), None] {
                let subject =
                    oidc.subject(&token(algorithm, kid, &secret), &keys, "n").expect("signed by a key of the set");
                assert_eq!(subject, "zoe");
            }
            assert!(oidc.subject(&token(algorithm, Some("e"), &secret), &keys, "n").is_err());
            let alone: Keys = serde_json::from_value(json!({ "keys": others })).expect("a set");
            let error = oidc.subject(&token(algorithm, Some("1"), &secret), &alone, "n").expect_err("not there");
            assert!(error.to_string().contains("not one of the provider's"), "{error}");
        }
    }

    #[test]
    fn fld_3_use_and_alg_choose_among_several_keys() {
        let oidc = oidc();
        let ((ours, shown), (theirs, other)) = (key(Algorithm::ES256), key(Algorithm::ES256));
        let keys = |all: serde_json::Value| serde_json::from_value::<Keys>(json!({ "keys": all })).expect("a set");
        let same_name = keys(json!([
            with(other.clone(), json!({ "kid": "1", "use": "enc" })),
            with(other.clone(), json!({ "kid": "1", "alg": "ECDH-ES" })),
            with(shown.clone(), json!({ "kid": "1", "use": "sig", "alg": "ES256" })),
        ]));
        let of = |secret, kid| token(Algorithm::ES256, kid, secret);
        assert!(oidc.subject(&of(&ours, Some("1")), &same_name, "n").is_ok());
        assert!(oidc.subject(&of(&theirs, Some("1")), &same_name, "n").is_err(), "a key for secrecy signs nothing");
        // Providers that change their key publish both, some without names.
        let both = keys(json!([other.clone(), shown.clone()]));
        assert!([&ours, &theirs].into_iter().all(|secret| oidc.subject(&of(secret, None), &both, "n").is_ok()));
        let (third, _) = key(Algorithm::ES256);
        assert!(oidc.subject(&of(&third, None), &both, "n").is_err());
        assert!(oidc.subject(&of(&ours, None), &both, "another").is_err(), "a key that fits is not enough");
        let for_secrecy = keys(json!([with(shown, json!({ "key_ops": ["deriveKey"] }))]));
        assert!(oidc.subject(&of(&ours, None), &for_secrecy, "n").is_err());
    }

    /// A provider that answers the discovery with `methods` and refuses every code; gives what it was sent.
    async fn refusing_provider(methods: serde_json::Value) -> (String, tokio::task::JoinHandle<String>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let issuer = format!("http://127.0.0.1:{}", listener.local_addr().expect("bound").port());
        let mut discovery = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/a"), "token_endpoint": format!("{issuer}/t"),
            "jwks_uri": format!("{issuer}/k"),
        });
        if !methods.is_null() {
            discovery["token_endpoint_auth_methods_supported"] = methods;
        }
        let description = format!("AADSTS7000215: the secret\u{1b}[2J is wrong {}", "x".repeat(10_000));
        let refusal = json!({ "error": "invalid_client", "error_description": description });
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
                let is_whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request).to_lowercase();
                    let length =
                        text.split("content-length: ").nth(1).and_then(|t| t.split("\r\n").next()?.parse().ok());
                    text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0))
                };
                while !is_whole(&request) && request.len() < 64 * 1024 {
                    let n = stream.read(&mut piece).await.expect("reads");
                    request.extend_from_slice(&piece[..n]);
                }
                let request = String::from_utf8(request).expect("text");
                let is_token = request.starts_with("POST /t");
                let (status, body) = if is_token { ("400 Bad Request", &refusal) } else { ("200 OK", &discovery) };
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.expect("writes");
                if is_token {
                    return request;
                }
            }
        });
        (issuer, serving)
    }

    #[test]
    fn sec_17_what_a_provider_calls_itself_is_printable_and_short() {
        let provider = |issuer: &str| -> Provider {
            let endpoints = json!({ "issuer": issuer, "authorization_endpoint": "https://a", "token_endpoint": "https://t",
                "jwks_uri": "https://k" });
            serde_json::from_value(endpoints).expect("a provider")
        };
        provider("https://id.example").check("https://id.example").expect("the same");
        let hostile = provider(&format!("https://x\u{1b}[2J\n{}", "y".repeat(10_000)));
        let error = hostile.check("https://id.example").expect_err("another").to_string();
        assert!(error.len() < 1_000 && !error.chars().any(char::is_control), "{error:?}");
    }

    #[tokio::test]
    async fn fld_3_secrets_go_as_the_provider_takes_them() {
        let secret_file = std::env::temp_dir().join(format!("mdfm-oidc-{}", std::process::id()));
        std::fs::write(&secret_file, "s&cr=t\n").expect("writes");
        std::fs::set_permissions(&secret_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("sets");
        let (basic, post) = (Some(SecretMethod::Basic), Some(SecretMethod::Post));
        for (methods, configured, in_form) in [
            (json!(["client_secret_post", "private_key_jwt"]), None, true),
            (json!(["client_secret_basic", "client_secret_post"]), None, false),
            (json!(["client_secret_basic", "client_secret_post"]), post, true),
            (json!(["client_secret_post"]), basic, false),
            (serde_json::Value::Null, None, false),
        ] {
            let (issuer, serving) = refusing_provider(methods.clone()).await;
            let config = OidcConfig {
                issuer,
                client_secret_file: Some(secret_file.clone()),
                token_endpoint_auth_method: configured,
                ..oidc().config
            };
            let oidc = Oidc::new(&config).expect("builds");
            let begun = oidc.begin("http://127.0.0.1:1/", MonotonicMs(0)).await.expect("begins");
            let state =
                begun.authorization_url.split("state=").nth(1).and_then(|t| t.split('&').next()).expect("state");
            let error = oidc.finish(&begun.flow, state, "code", MonotonicMs(1)).await.expect_err("refused").to_string();
            assert!(error.contains("400") && error.contains("invalid_client: AADSTS7000215: the secret"), "{error}");
            assert!(error.len() < 1_000 && !error.contains('\u{1b}'), "short and printable: {error}");
            let request = serving.await.expect("a request");
            assert_eq!(request.contains("&client_id=mdfm&client_secret=s%26cr%3Dt"), in_form, "{methods}: {request}");
            assert_eq!(request.to_lowercase().contains("authorization: basic "), !in_form, "{methods}: {request}");
        }
        let (issuer, serving) = refusing_provider(json!(["private_key_jwt"])).await;
        let config = OidcConfig { issuer, client_secret_file: Some(secret_file.clone()), ..oidc().config };
        let oidc = Oidc::new(&config).expect("builds");
        let begun = oidc.begin("http://127.0.0.1:1/", MonotonicMs(0)).await.expect("begins");
        let state = begun.authorization_url.split("state=").nth(1).and_then(|t| t.split('&').next()).expect("state");
        let error = oidc.finish(&begun.flow, state, "code", MonotonicMs(1)).await.expect_err("no common method");
        assert!(error.to_string().contains("private_key_jwt alone"), "{error}");
        serving.abort();
        let _ = std::fs::remove_file(secret_file);
    }
}
