//! Style sheet, scripts and pictures, byte for byte as they stand in the repository, under names that hold their digest.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::{Environment, Error, ErrorKind};
use sha2::{Digest, Sha256};

/// A name holds the digest, so what is behind it never changes.
pub(crate) const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Name, media type, bytes.
const ASSETS: [(&str, &str, &str); 6] = [
    ("console.css", "text/css; charset=utf-8", include_str!("../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("../assets/console.js")),
    ("verify.js", "text/javascript; charset=utf-8", include_str!("../assets/verify.js")),
    ("wall.js", "text/javascript; charset=utf-8", include_str!("../assets/wall.js")),
    ("file.js", "text/javascript; charset=utf-8", include_str!("../assets/file.js")),
    ("mark.svg", "image/svg+xml", include_str!("../assets/mark.svg")),
];

fn digest(bytes: &str) -> String {
    hex::encode(&Sha256::digest(bytes.as_bytes())[..8])
}

/// Adds `asset(name)`, the path of an asset, to templates.
pub(crate) fn add(environment: &mut Environment<'static>) {
    let paths = ASSETS.map(|(name, _, bytes)| (name, format!("{}/assets/{}/{name}", crate::ROOT, digest(bytes))));
    environment.add_function("asset", move |name: &str| {
        let found = paths.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
        found.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "there is no such asset"))
    });
}

/// `GET /console/assets/{digest}/{name}`
pub(crate) async fn show(Path((given, name)): Path<(String, String)>) -> Response {
    match ASSETS.iter().find(|(known, _, bytes)| *known == name && digest(bytes) == given) {
        Some((_, kind, bytes)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, FOR_EVER)], *bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    /// The part of a text between two marks.
    fn between<'a>(text: &'a str, first: &str, last: &str) -> &'a str {
        text.split_once(first).and_then(|(_, rest)| rest.split_once(last)).expect("both marks").0
    }

    #[test]
    fn sec_console_verifies_as_the_verifier_page_does() {
        let page = include_str!("../../ctl/verifier.html");
        let module = include_str!("../assets/verify.js");
        let core = between(page, "'use strict';\n", "const STATES = [");
        let shown = between(page, "// What would be invisible", "const line = (parent");
        let own = between(module, "// --- as in verifier.html\n", "// --- as in verifier.html, end");
        assert_eq!(own, format!("{core}// What would be invisible{shown}"));
        for sink in ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!module.contains(sink), "{sink}");
        }
    }
}
