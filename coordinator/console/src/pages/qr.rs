//! QR codes (ISO/IEC 18004) as pictures.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// Modules of the quiet zone on each side; the standard demands four.
const QUIET: usize = 4;

/// The dark modules of a text as one SVG path, and the width of the picture in modules; `None` if
/// the text is too long for a code.
pub(super) fn path_of(text: &str) -> Option<(String, usize)> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (index, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let _ = write!(path, "M{} {}h1v1h-1z", index % width + QUIET, index / width + QUIET);
    }
    Some((path, width + 2 * QUIET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_second_factor_is_a_qr_code() {
        let url = "otpauth://totp/MDFM:jdoe?secret=JBSWY3DPEHPK3PXP&issuer=MDFM";
        let (path, size) = path_of(url).expect("it fits");
        let code = QrCode::with_error_correction_level(url, EcLevel::M).expect("it fits");
        assert_eq!(size, code.width() + 8);
        for (index, color) in code.to_colors().iter().enumerate() {
            let module = format!("M{} {}h", index % code.width() + 4, index / code.width() + 4);
            assert_eq!(path.contains(&module), *color == Color::Dark, "{module}");
        }
        assert!(path.bytes().all(|b| b.is_ascii_digit() || b"Mhvz- ".contains(&b)), "nothing but a path");
        assert!(path_of(&"x".repeat(10_000)).is_none());
    }
}
