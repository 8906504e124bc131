//! The cookie that carries the session, and the token that ties a form to it.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// Sent over TLS to this host alone, never to scripts, never with requests that another site began.
const COOKIE: &str = "__Host-mdfm";
/// Characters of a session's token at most.
const TOKEN_CHARS_MAX: usize = 256;

/// The session's token from the request's cookie; `None` without one. It is taken under [`crate::ROOT`] alone.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE).map(str::to_owned)
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
    (!value.is_empty() && value.len() <= TOKEN_CHARS_MAX).then_some(value)
}

/// The header that opens a session in the browser; `None` for a token that no header can carry.
pub(crate) fn opened(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict")).ok()
}

/// The header that ends it there.
pub(crate) fn ended() -> HeaderValue {
    HeaderValue::from_static("__Host-mdfm=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// What the API puts before every token for a machine; sessions have none.
const MACHINE: &str = "mdfm_";
/// Sent while a display waits to be paired: its code and its secret.
const PAIRING: &str = "__Host-mdfm-display";
/// A display's cookie outlives a restart of its browser, for as long as a display is paired at most: 31 days.
const DISPLAY_SECONDS: u32 = 31 * 86_400;

/// Whether this is the token of a display, at which nobody is signed in.
pub(crate) fn is_display(token: &str) -> bool {
    token.starts_with(MACHINE)
}

/// The header that gives a display its token.
pub(crate) fn display(token: &str) -> Option<HeaderValue> {
    let cookie = format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={DISPLAY_SECONDS}");
    HeaderValue::from_str(&cookie).ok().filter(|_| is_display(token))
}

/// The code and the secret of a display that waits.
pub(crate) fn pairing(headers: &HeaderMap) -> Option<(String, String)> {
    let value = cookie(headers, PAIRING)?;
    value.split_once('.').map(|(code, secret)| (code.to_owned(), secret.to_owned()))
}

/// The header that keeps both.
pub(crate) fn waits(code: &str, secret: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{PAIRING}={code}.{secret}; Path=/; Secure; HttpOnly; SameSite=Strict")).ok()
}

/// The header that forgets them.
pub(crate) fn pairing_ended() -> HeaderValue {
    HeaderValue::from_static("__Host-mdfm-display=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// What each form of a session carries, and another site cannot know.
pub(crate) fn form_token(session: &str) -> String {
    hex::encode(&Sha256::new().chain_update(b"mdfm console form\0").chain_update(session).finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_console_the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(token(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; __Host-mdfm=secret; c=d"));
        assert_eq!(token(&headers).as_deref(), Some("secret"));
        for hostile in ["__Host-mdfm=", "__host-mdfm=x", "mdfm=x", "=__Host-mdfm"] {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(hostile))]);
            assert_eq!(token(&headers), None, "{hostile}");
        }
        let long = HeaderValue::from_str(&format!("__Host-mdfm={}", "x".repeat(300))).expect("a header");
        assert_eq!(token(&HeaderMap::from_iter([(header::COOKIE, long)])), None);
    }

    #[test]
    fn sec_console_a_form_belongs_to_one_session() {
        assert_ne!(form_token("a"), form_token("b"));
        assert_eq!(form_token("a").len(), 32);
        assert!(!form_token("a").contains('a') || form_token("a") != "a", "the session's token is not in it");
    }
}
