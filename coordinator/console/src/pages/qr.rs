//! QR codes (ISO/IEC 18004) as pictures.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};
use serde_json::{Value, json};

/// Modules of the quiet zone on each side; the standard demands four.
const QUIET: usize = 4;

/// A text as a QR code: the side in modules, and the path of its dark modules; `null` if it is too
/// long for one.
pub(super) fn code(text: &str) -> Value {
    // A long token fits with less to spare; a scanner reads a screen, which nobody scratches.
    let code =
        [EcLevel::M, EcLevel::L].into_iter().find_map(|level| QrCode::with_error_correction_level(text, level).ok());
    let Some(code) = code else { return Value::Null };
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (index, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let _ = write!(path, "M{} {}h1v1h-1z", index % width + QUIET, index / width + QUIET);
    }
    json!({ "side": width + 2 * QUIET, "path": path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_second_factor_is_a_qr_code() {
        let url = "otpauth://totp/MDFM:jdoe?secret=JBSWY3DPEHPK3PXP&issuer=MDFM";
        let made = code(url);
        let (side, path) = (made["side"].as_u64().expect("a side"), made["path"].as_str().expect("a path"));
        let code_of = QrCode::with_error_correction_level(url, EcLevel::M).expect("it fits");
        assert_eq!(side, code_of.width() as u64 + 8);
        for (index, color) in code_of.to_colors().iter().enumerate() {
            let module = format!("M{} {}h", index % code_of.width() + 4, index / code_of.width() + 4);
            assert_eq!(path.contains(&module), *color == Color::Dark, "{module}");
        }
        assert!(path.bytes().all(|b| b.is_ascii_digit() || b"Mhvz- ".contains(&b)), "nothing but a path");
    }

    #[test]
    fn console_a_token_is_a_qr_code_with_its_quiet_zone() {
        let made = code("mdfm1:abc");
        let (side, path) = (made["side"].as_u64().expect("a side"), made["path"].as_str().expect("a path"));
        assert!((side - 2 * QUIET as u64 - 17).is_multiple_of(4), "a version of the standard: {side}");
        assert!(path.starts_with("M4 4h1v1h-1z"), "the first finder begins behind the quiet zone");
        // Longer than the level of correction allows that is tried first.
        assert!(code(&"x".repeat(2_800))["side"].is_u64());
        assert_eq!(code(&"x".repeat(10_000)), Value::Null);
    }
}
