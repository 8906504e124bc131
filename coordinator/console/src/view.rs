//! How a reader looks at pages: colours, density, the zone of times, and whether keys lead to pages. A cookie without a secret
//! keeps it in the browser.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::tz::TimeZone;
use serde::Serialize;

/// Sent over TLS to this host alone; scripts do not need it.
const COOKIE: &str = "__Host-mdfm-view";
/// Seconds for which a browser keeps it: about a year.
const SECONDS: u32 = 34_000_000;
/// Colours that can be chosen.
pub(crate) const THEMES: [&str; 3] = ["system", "light", "dark"];
/// Whether single keys lead to pages; on without a choice.
pub(crate) const KEYS: [&str; 2] = ["on", "off"];
/// How close rows stand.
pub(crate) const DENSITIES: [&str; 2] = ["normal", "compact"];

/// Chosen values; each is one of those above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct View {
    pub(crate) theme: &'static str,
    pub(crate) density: &'static str,
    /// IANA name of a time zone.
    pub(crate) zone: String,
    /// Whether single keys lead to pages.
    pub(crate) keys: &'static str,
}

impl Default for View {
    fn default() -> Self {
        Self { theme: THEMES[0], density: DENSITIES[0], zone: "UTC".into(), keys: KEYS[0] }
    }
}

/// The name of a zone as the database writes it; `None` for anything else.
fn zone(name: &str) -> Option<String> {
    // Paths into other places of the disk are no names of zones.
    let is_name = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
    let found = is_name.then(|| TimeZone::get(name).ok())??;
    found.iana_name().map(str::to_owned)
}

impl View {
    /// Of values that somebody chose; what is not known is as if it had not been chosen.
    pub(crate) fn new(theme: &str, density: &str, zone_name: &str, keys: &str) -> Self {
        let known = |all: &[&'static str], given: &str| all.iter().copied().find(|one| *one == given);
        let default = Self::default();
        Self {
            theme: known(&THEMES, theme).unwrap_or(default.theme),
            density: known(&DENSITIES, density).unwrap_or(default.density),
            zone: zone(zone_name).unwrap_or(default.zone),
            keys: known(&KEYS, keys).unwrap_or(default.keys),
        }
    }

    /// Of the cookie that a browser sends.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let Some((_, value)) = pairs.find(|(name, _)| *name == COOKIE) else { return Self::default() };
        let mut parts = value.splitn(4, '|');
        let mut part = || parts.next().unwrap_or_default();
        let (theme, density, zone, keys) = (part(), part(), part(), part());
        Self::new(theme, density, zone, keys)
    }

    /// The header that keeps it in the browser.
    pub(crate) fn kept(&self) -> Option<HeaderValue> {
        let Self { theme, density, zone, keys } = self;
        let value = format!(
            "{COOKIE}={theme}|{density}|{zone}|{keys}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={SECONDS}"
        );
        HeaderValue::from_str(&value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookie: &'static str) -> View {
        View::of(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))]))
    }

    #[test]
    fn console_a_view_comes_back_from_its_cookie() {
        let chosen = View::new("dark", "compact", "europe/berlin", "off");
        assert_eq!(
            (chosen.theme, chosen.density, chosen.zone.as_str(), chosen.keys),
            ("dark", "compact", "Europe/Berlin", "off")
        );
        let kept = chosen.kept().expect("a header");
        let pair = kept.to_str().expect("text").split(';').next().expect("a pair").to_owned();
        let cookie = HeaderValue::from_str(&format!("__Host-mdfm=secret; {pair}")).expect("a header");
        assert_eq!(View::of(&HeaderMap::from_iter([(header::COOKIE, cookie)])), chosen);
    }

    #[test]
    fn sec_console_a_view_holds_known_values_alone() {
        for hostile in [
            "__Host-mdfm-view=\"><script>|x|UTC",
            "__Host-mdfm-view=dark\r|compact|../../etc/passwd",
            "__Host-mdfm-view=||/etc/localtime",
            "__Host-mdfm-view=",
            "__Host-mdfm-view",
            "other=dark|compact|Europe/Berlin",
        ] {
            let Ok(value) = HeaderValue::from_str(hostile) else { continue };
            assert_eq!(View::of(&HeaderMap::from_iter([(header::COOKIE, value)])), View::default(), "{hostile}");
        }
        assert_eq!(of("__Host-mdfm-view=dark").theme, "dark", "what is missing is as usual");
    }
}
