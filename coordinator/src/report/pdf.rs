//! Blocks onto pages: A4, page numbers, tables that go over pages with their head repeated, two kinds of chart. PDF/A-2b, so that
//! it can still be read when the records' retention ends.

use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::text::{Font, TextDirection};
use mdfm_shared::time::UtcMillis;
use ttf_parser::Face;

use super::blocks::{Bar, Block, Span};

const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");
/// A4 in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 50.0;
const TEXT: f32 = 9.0;
const CELL: f32 = 7.5;
/// Lines of one cell at most; what is longer is in the JSON report.
const CELL_LINES_MAX: usize = 12;
/// A word up to this width, in points, is not broken: a time, an id.
const LONG_WORD: f32 = 108.0;
/// Pages of one report; a longer one is for programs.
const PAGES_MAX: usize = 2_000;

const BLACK: (u8, u8, u8) = (20, 20, 20);
const GREY: (u8, u8, u8) = (110, 110, 110);
const RULE: (u8, u8, u8) = (200, 200, 200);
const WHITE: (u8, u8, u8) = (255, 255, 255);
const BLUE: (u8, u8, u8) = (52, 101, 164);
const PALE: (u8, u8, u8) = (178, 200, 226);
const RED: (u8, u8, u8) = (190, 40, 40);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Regular,
    Bold,
}

struct Fonts {
    regular: (Font, Face<'static>),
    bold: (Font, Face<'static>),
}

impl Fonts {
    fn load() -> Result<Self, String> {
        let load = |bytes: &'static [u8]| {
            let font = Font::new(bytes.to_vec().into(), 0).ok_or("a font cannot be read")?;
            Ok::<_, String>((font, Face::parse(bytes, 0).map_err(|e| e.to_string())?))
        };
        Ok(Self { regular: load(REGULAR)?, bold: load(BOLD)? })
    }
    fn of(&self, weight: Weight) -> &(Font, Face<'static>) {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }
    fn width(&self, text: &str, size: f32, weight: Weight) -> f32 {
        let face = &self.of(weight).1;
        let units = f32::from(face.units_per_em());
        let advance = |c| face.glyph_index(c).and_then(|g| face.glyph_hor_advance(g)).unwrap_or(600);
        text.chars().map(|c| f32::from(advance(c))).sum::<f32>() * size / units
    }
    /// A text with what the fonts cannot show named instead.
    fn shown(&self, text: &str) -> String {
        let mut shown = String::new();
        for c in text.chars() {
            if self.regular.1.glyph_index(c).is_some() {
                shown.push(c);
            } else {
                shown.push_str(&format!("[U+{:04X}]", u32::from(c)));
            }
        }
        shown
    }
    /// The lines of a text in a width; words that are longer are cut.
    fn wrap(&self, text: &str, size: f32, weight: Weight, width: f32) -> Vec<String> {
        let text = self.shown(text);
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split_whitespace() {
            let mut word = word.to_owned();
            loop {
                let candidate = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
                if self.width(&candidate, size, weight) <= width {
                    line = candidate;
                    break;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    continue;
                }
                let (mut fits, mut room) = (0, width);
                for c in word.chars() {
                    room -= self.width(c.encode_utf8(&mut [0; 4]), size, weight);
                    if room < 0.0 {
                        break;
                    }
                    fits += 1;
                }
                let fits = fits.max(1);
                lines.push(word.chars().take(fits).collect());
                word = word.chars().skip(fits).collect();
                if word.is_empty() {
                    break;
                }
            }
        }
        if !line.is_empty() || lines.is_empty() {
            lines.push(line);
        }
        lines
    }
}

/// Something to draw, with positions on its page; pages are set first and drawn then, when their number is known.
enum Ink {
    Text { x: f32, y: f32, size: f32, weight: Weight, colour: (u8, u8, u8), text: String },
    Box { x: f32, y: f32, width: f32, height: f32, colour: (u8, u8, u8) },
}

struct Setter {
    fonts: Fonts,
    pages: Vec<Vec<Ink>>,
    y: f32,
}

impl Setter {
    fn page(&mut self) -> &mut Vec<Ink> {
        if self.pages.is_empty() {
            self.new_page();
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }
    fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN;
    }
    /// Begins a new page when so much does not fit.
    fn need(&mut self, height: f32) -> bool {
        let full = self.pages.is_empty() || self.y + height > HEIGHT - MARGIN - 20.0;
        if full {
            self.new_page();
        }
        full
    }
    fn text(&mut self, x: f32, y: f32, size: f32, weight: Weight, colour: (u8, u8, u8), text: &str) {
        if !text.is_empty() {
            let text = self.fonts.shown(text);
            self.page().push(Ink::Text { x, y, size, weight, colour, text });
        }
    }
    fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, colour: (u8, u8, u8)) {
        self.page().push(Ink::Box { x, y, width: width.max(0.4), height, colour });
    }

    fn lines(&mut self, text: &str, size: f32, weight: Weight, colour: (u8, u8, u8)) {
        for line in self.fonts.wrap(text, size, weight, WIDTH - 2.0 * MARGIN) {
            self.need(size * 1.45);
            self.y += size * 1.45;
            let y = self.y;
            self.text(MARGIN, y, size, weight, colour, &line);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Title(title) => {
                self.lines(title, 17.0, Weight::Bold, BLACK);
                self.y += 8.0;
            }
            Block::Section(section) => {
                self.need(50.0);
                self.y += 8.0;
                self.lines(section, 11.5, Weight::Bold, BLUE);
                self.y += 2.0;
            }
            Block::Paragraph(paragraph) => {
                self.lines(paragraph, TEXT, Weight::Regular, BLACK);
                self.y += 5.0;
            }
            Block::Table(rows) => self.table(rows),
            Block::Timeline(spans) => self.timeline(spans),
            Block::Gates(bars) => self.gates(bars),
        }
    }

    /// Widths of columns: as wide as their words want, shared out where that is too much.
    fn columns(&self, rows: &[Vec<String>]) -> Vec<f32> {
        let count = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let room = WIDTH - 2.0 * MARGIN;
        let wish = |i: usize| {
            let cells = rows.iter().take(200).filter_map(|row| row.get(i));
            let widths = cells.map(|cell| self.fonts.width(cell, CELL, Weight::Bold) + 8.0);
            widths.fold(24.0_f32, f32::max).min(room * 0.6)
        };
        // No word of the head is broken, and none of the body that is not much too long.
        let least = |i: usize| {
            let width = |word: &str, weight| self.fonts.width(word, CELL, weight) + 7.0;
            let words = |row: &'_ Vec<String>| row.get(i).cloned().unwrap_or_default();
            let head = rows.first().map(words).unwrap_or_default();
            let head = head.split_whitespace().map(|w| width(w, Weight::Bold)).fold(16.0_f32, f32::max);
            let body = rows.iter().skip(1).take(100).map(words);
            body.flat_map(|cell| cell.split_whitespace().map(|w| width(w, Weight::Regular)).collect::<Vec<_>>())
                .fold(head, |least, w| least.max(w.min(LONG_WORD).max(head)))
        };
        let wishes: Vec<f32> = (0..count).map(wish).collect();
        let leasts: Vec<f32> = (0..count).map(least).collect();
        let (sum, floor): (f32, f32) = (wishes.iter().sum(), leasts.iter().sum());
        if sum <= room {
            let scale = (room / sum).min(1.6);
            return wishes.into_iter().map(|w| w * scale).collect();
        }
        let over: f32 = wishes.iter().zip(&leasts).map(|(w, l)| (w - l).max(0.0)).sum();
        let share = ((room - floor) / over.max(1.0)).max(0.0);
        let width = |(w, l): (f32, &f32)| l + (w - l).max(0.0) * share;
        let widths: Vec<f32> = wishes.into_iter().zip(&leasts).map(width).collect();
        let all: f32 = widths.iter().sum();
        widths.into_iter().map(|w| w * (room / all).min(1.0)).collect()
    }

    fn table(&mut self, rows: &[Vec<String>]) {
        let widths = self.columns(rows);
        let Some((head, body)) = rows.split_first() else { return };
        self.need(CELL * 6.0);
        self.row(head, &widths, Weight::Bold);
        if body.is_empty() {
            self.row(&["none".to_owned()], &widths, Weight::Regular);
        }
        for row in body {
            let height = self.row_height(row, &widths, Weight::Regular);
            if self.need(height) {
                self.row(head, &widths, Weight::Bold);
            }
            self.row(row, &widths, Weight::Regular);
        }
        self.y += 8.0;
    }

    fn cell_lines(&self, cell: &str, width: f32, weight: Weight) -> Vec<String> {
        let mut lines = self.fonts.wrap(cell, CELL, weight, width - 6.0);
        if lines.len() > CELL_LINES_MAX {
            lines.truncate(CELL_LINES_MAX);
            lines.push("…".to_owned());
        }
        lines
    }

    fn row_height(&self, row: &[String], widths: &[f32], weight: Weight) -> f32 {
        let lines = row.iter().zip(widths).map(|(cell, width)| self.cell_lines(cell, *width, weight).len());
        CELL * 1.35 * lines.max().unwrap_or(1) as f32 + 5.0
    }

    fn row(&mut self, row: &[String], widths: &[f32], weight: Weight) {
        let height = self.row_height(row, widths, weight);
        let (mut x, top) = (MARGIN, self.y);
        for (cell, width) in row.iter().zip(widths) {
            for (i, line) in self.cell_lines(cell, *width, weight).iter().enumerate() {
                let y = top + CELL * 1.35 * (i + 1) as f32;
                self.text(x + 2.0, y, CELL, weight, BLACK, line);
            }
            x += width;
        }
        self.y = top + height;
        let (y, width) = (self.y, widths.iter().sum());
        self.fill(MARGIN, y, width, if weight == Weight::Bold { 0.9 } else { 0.4 }, RULE);
    }

    fn timeline(&mut self, spans: &[Span]) {
        let (Some(from), Some(to)) =
            (spans.iter().map(|s| s.from).reduce(f64::min), spans.iter().map(|s| s.to).reduce(f64::max))
        else {
            return;
        };
        let room = WIDTH - 2.0 * MARGIN - 130.0;
        let scale = room / ((to - from).max(1.0) as f32);
        for span in spans {
            self.need(20.0);
            let y = self.y + 4.0;
            self.text(MARGIN, y + 9.0, 8.0, Weight::Regular, BLACK, &span.label);
            let x = MARGIN + 130.0 + (span.from - from) as f32 * scale;
            let width = (span.to - span.from) as f32 * scale;
            self.fill(x, y, width, 12.0, BLUE);
            let note_width = self.fonts.width(&span.note, 7.0, Weight::Regular);
            let after = x + width + 4.0;
            let inside = after + note_width > WIDTH - MARGIN;
            let (at, colour) = if inside { (x + 4.0, WHITE) } else { (after, GREY) };
            self.text(at, y + 9.0, 7.0, Weight::Regular, colour, &span.note);
            self.y += 18.0;
        }
        self.y += 6.0;
    }

    fn gates(&mut self, bars: &[Bar]) {
        let Some(most) = bars.iter().flat_map(|b| [b.bound, b.limit, b.rate]).reduce(f64::max) else { return };
        let room = WIDTH - 2.0 * MARGIN - 210.0;
        let scale = room / (most.max(0.001) as f32);
        for bar in bars {
            self.need(20.0);
            let y = self.y + 4.0;
            self.text(MARGIN, y + 9.0, 8.0, Weight::Regular, BLACK, &bar.label);
            let x = MARGIN + 130.0;
            self.fill(x, y, bar.bound as f32 * scale, 12.0, PALE);
            self.fill(x, y + 3.0, bar.rate as f32 * scale, 6.0, BLUE);
            self.fill(x + bar.limit as f32 * scale, y - 2.0, 1.2, 16.0, RED);
            let note = format!("{:.3} % ≤ {:.3} %", bar.rate, bar.bound);
            self.text(WIDTH - MARGIN - 78.0, y + 9.0, 7.0, Weight::Regular, GREY, &note);
            self.y += 18.0;
        }
        self.need(14.0);
        self.y += 10.0;
        let y = self.y;
        let legend = "dark: error rate observed · pale: its upper 95 % bound · red: limit of the gate";
        self.text(MARGIN + 130.0, y, 7.0, Weight::Regular, GREY, legend);
        self.y += 8.0;
    }
}

fn fill(colour: (u8, u8, u8)) -> Fill {
    let paint = rgb::Color::new(colour.0, colour.1, colour.2).into();
    Fill { paint, opacity: NormalizedF32::ONE, rule: Default::default() }
}

fn draw(surface: &mut Surface<'_>, fonts: &Fonts, ink: &Ink) {
    match ink {
        Ink::Text { x, y, size, weight, colour, text } => {
            surface.set_fill(Some(fill(*colour)));
            let font = fonts.of(*weight).0.clone();
            surface.draw_text(Point::from_xy(*x, *y), font, *size, text, false, TextDirection::Auto);
        }
        Ink::Box { x, y, width, height, colour } => {
            surface.set_fill(Some(fill(*colour)));
            let mut path = PathBuilder::new();
            if let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) {
                path.push_rect(rect);
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
    }
}

fn date(at: UtcMillis) -> DateTime {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(0)).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |n: i8| u8::try_from(n).unwrap_or(0);
    DateTime::new(u16::try_from(at.year()).unwrap_or(1970))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

/// Sets blocks as a PDF document.
pub(super) fn set(blocks: &[Block], title: &str, footer: &str, made_at: UtcMillis) -> Result<Vec<u8>, String> {
    let mut setter = Setter { fonts: Fonts::load()?, pages: Vec::new(), y: 0.0 };
    for block in blocks {
        setter.block(block);
        if setter.pages.len() > PAGES_MAX {
            return Err(format!("more than {PAGES_MAX} pages; ask for the report as JSON or CSV"));
        }
    }
    let configuration =
        ConfigurationBuilder::new().with_archival_validator(Archival::A2_B).finish().map_err(|e| format!("{e:?}"))?;
    let mut document = Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    document.set_metadata(
        Metadata::new()
            .title(title.to_owned())
            .language("en".into())
            .creator("Medical Device Firmware Manager".into())
            .creation_date(date(made_at)),
    );
    let count = setter.pages.len();
    for (i, page) in setter.pages.iter().enumerate() {
        let mut sheet = document.start_page_with(PageSettings::from_wh(WIDTH, HEIGHT).ok_or("page size")?);
        let mut surface = sheet.surface();
        for ink in page {
            draw(&mut surface, &setter.fonts, ink);
        }
        let foot = |x: f32, text: &str| Ink::Text {
            x,
            y: HEIGHT - MARGIN + 12.0,
            size: 7.0,
            weight: Weight::Regular,
            colour: GREY,
            text: setter.fonts.shown(text),
        };
        draw(&mut surface, &setter.fonts, &foot(MARGIN, footer));
        let number = format!("page {} of {count}", i + 1);
        let x = WIDTH - MARGIN - setter.fonts.width(&number, 7.0, Weight::Regular);
        draw(&mut surface, &setter.fonts, &foot(x, &number));
        surface.finish();
        sheet.finish();
    }
    document.finish().map_err(|e| format!("{e:?}"))
}
