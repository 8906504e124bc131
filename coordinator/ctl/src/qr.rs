//! QR codes (ISO/IEC 18004) for a terminal.

use qrcode::{Color, EcLevel, QrCode};

/// Modules of the quiet zone on each side; the standard demands four.
const QUIET: usize = 4;

/// A text as a QR code of half blocks, two rows of modules in each line: dark on light whatever the terminal's colours are, as a full block is a light
/// module and a blank is a dark one on a dark terminal. `None` if the text is too long for a code.
pub(crate) fn in_half_blocks(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let size = width + 2 * QUIET;
    let is_light = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + width).contains(&x) && (QUIET..QUIET + width).contains(&y);
        !inside || colors[(y - QUIET) * width + x - QUIET] == Color::Light
    };
    let half = |x: usize, y: usize| match (is_light(x, y), y + 1 == size || is_light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let line = |y: usize| (0..size).map(|x| half(x, y)).collect::<String>();
    Some((0..size).step_by(2).map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_29_a_second_factor_is_a_qr_code_on_the_terminal() {
        let url = "otpauth://totp/mdfm:jdoe?secret=JBSWY3DPEHPK3PXP&issuer=mdfm";
        let shown = in_half_blocks(url).expect("it fits");
        let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(lines.iter().all(|line| line.len() == width) && lines.len() == width.div_ceil(2), "{shown}");
        assert!(width <= 80 && (width - 2 * QUIET - 17).is_multiple_of(4), "a version of the standard: {width}");
        assert!(lines[..2].concat().iter().all(|c| *c == '█'), "the quiet zone");
        // Each module, read back from the blocks, is what the code has; a finder stands in three corners (7 modules, dark, light, dark).
        let is_dark = |x: usize, y: usize| match (lines[y / 2][x], y % 2) {
            ('█', _) => false,
            (' ', _) => true,
            ('▀', half) => half == 1,
            ('▄', half) => half == 0,
            (other, _) => panic!("{other:?}"),
        };
        let finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"];
        let far = width - QUIET - 7;
        for (left, top) in [(QUIET, QUIET), (far, QUIET), (QUIET, far)] {
            for (y, row) in finder.iter().enumerate() {
                let read: String = (0..7).map(|x| if is_dark(left + x, top + y) { '1' } else { '0' }).collect();
                assert_eq!(read, *row, "row {y} of the finder at {left}, {top}:\n{shown}");
            }
        }
        let code = QrCode::with_error_correction_level(url, EcLevel::L).expect("it fits");
        let colors = code.to_colors();
        for (i, color) in colors.iter().enumerate() {
            let (x, y) = (QUIET + i % code.width(), QUIET + i / code.width());
            assert_eq!(is_dark(x, y), *color == Color::Dark, "{x}, {y}");
        }
        assert!(in_half_blocks(&"x".repeat(10_000)).is_none());
    }
}
