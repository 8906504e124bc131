//! Blocks onto pages: A4, upright or across where a table is wide, page numbers, tables that go over pages with their head repeated, two kinds
//! of chart. PDF/A-3b, so that it can still be read when the records' retention ends, with the report's JSON attached: the part that is signed.

use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
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

/// Name of the attached JSON.
const ATTACHED: &str = "report.json";
const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");
/// A4 in points.
const SHORT: f32 = 595.0;
const LONG: f32 = 842.0;
const MARGIN: f32 = 50.0;
const TEXT: f32 = 9.0;
const CELL: f32 = 7.5;
/// Lines of one cell at most; what is longer is in the JSON report.
const CELL_LINES_MAX: usize = 24;
/// A report whose cells need more lines on an upright page is set across.
const CELL_LINES_UPRIGHT: usize = 8;
/// A paragraph up to this many lines stays with what follows its heading.
const LEAD_LINES_MAX: usize = 6;
/// A word up to this width, in points, is not broken: a time, an id with its kind before it.
const LONG_WORD: f32 = 146.0;
/// The same in a list of names and values: a digest.
const LONG_VALUE: f32 = 330.0;
/// Behind these a longer word is broken, if it has one.
const BREAKS: [char; 7] = ['/', '-', '.', ':', '_', '@', ','];
/// Width of the labels of bars.
const LABEL: f32 = 130.0;
/// Height of a bar of a timeline with its words.
const SPAN_HEIGHT: f32 = 28.0;
/// Pages of one report; a longer one is for programs.
const PAGES_MAX: usize = 2_000;

const BLACK: (u8, u8, u8) = (20, 20, 20);
const GREY: (u8, u8, u8) = (110, 110, 110);
const RULE: (u8, u8, u8) = (200, 200, 200);
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
    /// A text on one line of a width; an ellipsis stands for the rest of a longer one.
    fn fitted(&self, text: &str, size: f32, width: f32) -> String {
        let text = self.shown(text);
        if self.width(&text, size, Weight::Regular) <= width {
            return text;
        }
        let mut room = width - self.width("…", size, Weight::Regular);
        let fits = text.chars().take_while(|c| {
            room -= self.width(c.encode_utf8(&mut [0; 4]), size, Weight::Regular);
            room >= 0.0
        });
        fits.chain(['…']).collect()
    }

    /// The lines of a text in a width; words that are longer are broken, behind a mark if they have one there. A space that does not break
    /// (U+00A0) is part of its word.
    fn wrap(&self, text: &str, size: f32, weight: Weight, width: f32) -> Vec<String> {
        let text = self.shown(text);
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split(is_break).filter(|word| !word.is_empty()) {
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
                let mark = word.chars().take(fits).collect::<Vec<_>>().iter().rposition(|c| BREAKS.contains(c));
                let fits = mark.map(|at| at + 1).filter(|at| *at * 3 >= fits).unwrap_or(fits).max(1);
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

/// Whether a line may be broken at a character.
fn is_break(c: char) -> bool {
    c.is_whitespace() && c != '\u{a0}'
}

/// Something to draw, with positions on its page; pages are set first and drawn then, when their number is known.
enum Ink {
    Text { x: f32, y: f32, size: f32, weight: Weight, colour: (u8, u8, u8), text: String },
    Box { x: f32, y: f32, width: f32, height: f32, colour: (u8, u8, u8) },
}

struct Setter {
    fonts: Fonts,
    /// Of each page.
    width: f32,
    height: f32,
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
    /// Where what is set ends.
    fn bottom(&self) -> f32 {
        self.height - MARGIN - 20.0
    }
    fn room(&self) -> f32 {
        self.width - 2.0 * MARGIN
    }
    /// Begins a new page when so much does not fit.
    fn need(&mut self, height: f32) -> bool {
        let full = self.pages.is_empty() || self.y + height > self.bottom();
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
        for line in self.fonts.wrap(text, size, weight, self.room()) {
            self.need(size * 1.45);
            self.y += size * 1.45;
            let y = self.y;
            self.text(MARGIN, y, size, weight, colour, &line);
        }
    }

    /// Height of the first block together with what may not be parted from it: a heading stands on the page of what it is the heading of.
    fn lead(&self, blocks: &[Block]) -> f32 {
        let Some((first, rest)) = blocks.split_first() else { return 0.0 };
        match first {
            Block::Title(_) => 40.0,
            Block::Section(_) => 30.0 + self.lead(rest),
            Block::Paragraph(text) => {
                let lines = self.fonts.wrap(text, TEXT, Weight::Regular, self.room()).len();
                let height = lines.min(LEAD_LINES_MAX) as f32 * TEXT * 1.45 + 5.0;
                let is_of_table = !matches!(rest.first(), None | Some(Block::Section(_) | Block::Paragraph(_)));
                if lines <= LEAD_LINES_MAX && is_of_table { height + self.lead(rest) } else { height }
            }
            Block::Table(rows) => {
                let widths = self.columns(rows);
                let height = |i: usize| {
                    let weight = if i == 0 { Weight::Bold } else { Weight::Regular };
                    rows.get(i).map_or(CELL * 1.35 + 5.0, |row| self.row_height(row, &widths, weight))
                };
                (height(0) + height(1)).max(CELL * 6.0)
            }
            Block::Timeline(spans) => spans.len().min(10) as f32 * SPAN_HEIGHT + 20.0,
            Block::Gates(bars) => bars.len().min(10) as f32 * 18.0 + 32.0,
        }
    }

    /// Sets the first of the blocks.
    fn block(&mut self, blocks: &[Block]) {
        let Some(block) = blocks.first() else { return };
        match block {
            Block::Title(title) => {
                self.lines(title, 17.0, Weight::Bold, BLACK);
                self.y += 8.0;
            }
            Block::Section(section) => {
                // What is longer than a page is parted somewhere.
                let lead = self.lead(blocks).min(self.bottom() - MARGIN);
                self.need(lead);
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
        let room = self.room();
        let wanted = |i: usize| {
            let cells = rows.iter().take(200).filter_map(|row| row.get(i));
            let widths = cells.map(|cell| self.fonts.width(cell, CELL, Weight::Bold) + 8.0);
            widths.fold(24.0_f32, f32::max).min(room * 0.6)
        };
        let leasts = self.leasts(rows);

        let all_wanted: Vec<f32> = (0..count).map(wanted).collect();
        let (sum, floor): (f32, f32) = (all_wanted.iter().sum(), leasts.iter().sum());
        if sum <= room {
            let scale = (room / sum).min(1.6);
            return all_wanted.into_iter().map(|w| w * scale).collect();
        }
        let over: f32 = all_wanted.iter().zip(&leasts).map(|(w, l)| (w - l).max(0.0)).sum();
        let share = ((room - floor) / over.max(1.0)).max(0.0);
        let width = |(w, l): (f32, &f32)| l + (w - l).max(0.0) * share;
        let widths: Vec<f32> = all_wanted.into_iter().zip(&leasts).map(width).collect();
        let all: f32 = widths.iter().sum();
        if all <= room + 0.5 {
            return widths;
        }
        // Too much even so: the widest columns give way, and their longest words are broken; the others stay whole.
        let (mut low, mut high) = (0.0_f32, room);
        for _ in 0..30 {
            let most = (low + high) / 2.0;
            let sum: f32 = leasts.iter().map(|l| l.min(most)).sum();
            if sum > room { high = most } else { low = most }
        }
        leasts.into_iter().map(|l| l.min(low.max(room / count as f32 / 4.0))).collect()
    }

    /// The least widths of columns: no word of the head is broken, and none of the body that is not much too long.
    fn leasts(&self, rows: &[Vec<String>]) -> Vec<f32> {
        let count = rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let widest = |cell: &str, weight| {
            let words = cell.split(is_break).map(|word| self.fonts.width(word, CELL, weight) + 7.0);
            words.fold(0.0_f32, f32::max)
        };
        let longest = if count <= 2 { LONG_VALUE } else { LONG_WORD };
        let least = |i: usize| {
            let cell = |row: &'_ Vec<String>| row.get(i).cloned().unwrap_or_default();
            let head = rows.first().map(|row| widest(&cell(row), Weight::Bold)).unwrap_or_default().max(16.0);
            let body = rows.iter().skip(1).take(200).map(|row| widest(&cell(row), Weight::Regular).min(longest));
            body.fold(head, f32::max)
        };
        (0..count).map(least).collect()
    }

    /// Whether a table does not fit an upright page: words would be broken, or cells become towers.
    fn is_wide(&self, block: &Block) -> bool {
        let Block::Table(rows) = block else { return false };
        if self.leasts(rows).iter().sum::<f32>() > self.room() {
            return true;
        }
        let widths = self.columns(rows);
        let is_tower = |row: &Vec<String>| {
            let lines =
                row.iter().zip(&widths).map(|(cell, width)| self.cell_lines(cell, *width, Weight::Regular).len());
            lines.max().unwrap_or(0) > CELL_LINES_UPRIGHT
        };
        // A list of two columns is no wide table.
        widths.len() > 3 && rows.iter().take(200).any(is_tower)
    }

    fn table(&mut self, rows: &[Vec<String>]) {
        let widths = self.columns(rows);
        let Some((head, body)) = rows.split_first() else { return };
        let lead = self.lead(&[Block::Table(rows.iter().take(2).cloned().collect())]);
        self.need(lead);
        let has_head = head.iter().any(|cell| !cell.is_empty());
        if has_head {
            self.row(head, &widths, Weight::Bold);
        }
        if body.is_empty() {
            self.row(&["none".to_owned()], &widths, Weight::Regular);
        }
        for row in body {
            let height = self.row_height(row, &widths, Weight::Regular);
            if self.need(height) && has_head {
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
        let room = self.room() - LABEL;
        let scale = room / ((to - from).max(1.0) as f32);
        for span in spans {
            self.need(SPAN_HEIGHT);
            let y = self.y + 4.0;
            let label = self.fonts.fitted(&span.label, 8.0, LABEL - 6.0);
            self.text(MARGIN, y + 9.0, 8.0, Weight::Regular, BLACK, &label);
            let at = |time: f64| MARGIN + LABEL + (time - from) as f32 * scale;
            let monitored = span.monitored.map_or(span.to, |time| time.clamp(span.from, span.to));
            self.fill(at(span.from), y, at(monitored) - at(span.from), 12.0, PALE);
            if span.monitored.is_some() {
                self.fill(at(monitored), y, at(span.to) - at(monitored), 12.0, BLUE);
            }
            let note = self.fonts.fitted(&span.note, 7.0, room);
            self.text(MARGIN + LABEL, y + 20.0, 7.0, Weight::Regular, GREY, &note);
            self.y += SPAN_HEIGHT;
        }
        self.need(14.0);
        self.y += 10.0;
        let y = self.y;
        let legend = "pale: devices are updated · dark: the phase is monitored, or waits for its signature";
        self.text(MARGIN + LABEL, y, 7.0, Weight::Regular, GREY, legend);
        self.y += 8.0;
    }

    fn gates(&mut self, bars: &[Bar]) {
        let Some(most) = bars.iter().flat_map(|b| [b.bound, b.limit, b.rate]).reduce(f64::max) else { return };
        let room = self.room() - LABEL - 100.0;
        let scale = room / (most.max(0.001) as f32);
        for bar in bars {
            self.need(20.0);
            let y = self.y + 4.0;
            let label = self.fonts.fitted(&bar.label, 8.0, LABEL - 6.0);
            self.text(MARGIN, y + 9.0, 8.0, Weight::Regular, BLACK, &label);
            let x = MARGIN + LABEL;
            self.fill(x, y, bar.bound as f32 * scale, 12.0, PALE);
            self.fill(x, y + 3.0, bar.rate as f32 * scale, 6.0, BLUE);
            self.fill(x + bar.limit as f32 * scale, y - 2.0, 1.2, 16.0, RED);
            let note = format!("{:.3}\u{a0}% ≤ {:.3}\u{a0}%", bar.rate, bar.bound);
            let x = self.width - MARGIN - self.fonts.width(&note, 7.0, Weight::Regular);
            self.text(x, y + 9.0, 7.0, Weight::Regular, GREY, &note);
            self.y += 18.0;
        }
        self.need(14.0);
        self.y += 10.0;
        let y = self.y;
        let legend = "dark: error rate observed · pale: its upper 95 % bound · red: limit of the gate";
        self.text(MARGIN + LABEL, y, 7.0, Weight::Regular, GREY, legend);
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

/// Sets blocks onto pages, upright or, where a table needs it, across.
fn lay_out(blocks: &[Block]) -> Result<Setter, String> {
    let mut setter = Setter { fonts: Fonts::load()?, width: SHORT, height: LONG, pages: Vec::new(), y: 0.0 };
    if blocks.iter().any(|block| setter.is_wide(block)) {
        (setter.width, setter.height) = (LONG, SHORT);
    }
    for at in 0..blocks.len() {
        setter.block(&blocks[at..]);
        if setter.pages.len() > PAGES_MAX {
            return Err(format!("more than {PAGES_MAX} pages; ask for the report as JSON or CSV"));
        }
    }
    Ok(setter)
}

/// The foot of a page: its number at the right edge, and what the report is beside it, in as many lines as fit in the margin.
fn foot(setter: &Setter, footer: &str, number: &str) -> Vec<Ink> {
    const SIZE: f32 = 7.0;
    const LINES_MAX: usize = 3;
    let number_width = setter.fonts.width(number, SIZE, Weight::Regular);
    let line = |x: f32, line: usize, text: &str| Ink::Text {
        x,
        y: setter.height - MARGIN + 12.0 + 9.0 * line as f32,
        size: SIZE,
        weight: Weight::Regular,
        colour: GREY,
        text: setter.fonts.shown(text),
    };
    let room = setter.width - 2.0 * MARGIN - number_width - 2.0 * SIZE;
    let lines = setter.fonts.wrap(footer, SIZE, Weight::Regular, room);
    let number = line(setter.width - MARGIN - number_width, 0, number);
    lines.iter().take(LINES_MAX).enumerate().map(|(n, text)| line(MARGIN, n, text)).chain([number]).collect()
}

/// Whether all of a foot fits on an upright page of the largest number.
#[cfg(test)]
pub(super) fn foot_is_whole(footer: &str) -> Result<bool, String> {
    let setter = lay_out(&[Block::Paragraph(String::new())])?;
    let number = format!("page {PAGES_MAX} of {PAGES_MAX}");
    let text = |ink: &Ink| if let Ink::Text { text, .. } = ink { text.replace(' ', "") } else { String::new() };
    let set: String = foot(&setter, footer, &number).iter().map(text).collect();
    Ok(set == setter.fonts.shown(footer).replace(' ', "") + &number.replace(' ', ""))
}

/// What of these blocks does not stand within the margins of its page, and pages without anything
/// on them.
#[cfg(test)]
pub(super) fn misplaced(blocks: &[Block]) -> Result<Vec<String>, String> {
    let setter = lay_out(blocks)?;
    let (right, bottom) = (setter.width - MARGIN + 1.0, setter.height - MARGIN);
    let mut found = Vec::new();
    for (number, page) in (1..).zip(&setter.pages) {
        if !page.iter().any(|ink| matches!(ink, Ink::Text { .. })) {
            found.push(format!("page {number} is empty"));
        }
        for ink in page {
            let (x, y, end, what) = match ink {
                Ink::Text { x, y, size, weight, text, .. } => {
                    (*x, *y, x + setter.fonts.width(text, *size, *weight), text.clone())
                }
                Ink::Box { x, y, width, height, .. } => (*x, y + height, x + width, "a bar".to_owned()),
            };
            if x < MARGIN || y < MARGIN || y > bottom || end > right {
                found.push(format!("page {number}: {what:?} from {x} to {end} at {y}"));
            }
        }
    }
    Ok(found)
}

/// Sets blocks as a PDF document, with the report's JSON attached as it is: uncompressed, so that it can be read without a PDF library.
pub(super) fn set(
    blocks: &[Block],
    title: &str,
    footer: &str,
    made_at: UtcMillis,
    json: &str,
) -> Result<Vec<u8>, String> {
    let setter = lay_out(blocks)?;
    let (width, height) = (setter.width, setter.height);
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A3_B)
        .finish()
        .map_err(|_| "PDF/A is not known")?;
    let mut document = Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    document.set_metadata(
        Metadata::new()
            .title(title.to_owned())
            .language("en".into())
            .creator("Medical Device Firmware Manager".into())
            .creation_date(date(made_at)),
    );
    let attached = document.embed_file(EmbeddedFile {
        path: ATTACHED.to_owned(),
        mime_type: MimeType::new("application/json"),
        description: Some("the facts of this report with the coordinator's signed statement".to_owned()),
        association_kind: AssociationKind::Source,
        data: json.as_bytes().to_vec().into(),
        modification_date: Some(date(made_at)),
        compress: Some(false),
        location: None,
    });
    attached.ok_or("the JSON cannot be attached")?;
    let count = setter.pages.len();
    for (i, page) in setter.pages.iter().enumerate() {
        let mut sheet = document.start_page_with(PageSettings::from_wh(width, height).ok_or("page size")?);
        let mut surface = sheet.surface();
        for ink in page {
            draw(&mut surface, &setter.fonts, ink);
        }
        for ink in foot(&setter, footer, &format!("page {} of {count}", i + 1)) {
            draw(&mut surface, &setter.fonts, &ink);
        }
        surface.finish();
        sheet.finish();
    }
    document.finish().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(setter: &Setter) -> Vec<(usize, f32, String)> {
        let pages = setter.pages.iter().enumerate();
        let texts = pages.flat_map(|(page, inks)| {
            inks.iter().filter_map(move |ink| match ink {
                Ink::Text { y, text, .. } => Some((page, *y, text.clone())),
                Ink::Box { .. } => None,
            })
        });
        texts.collect()
    }

    #[test]
    fn cli_30_a_heading_stands_on_the_page_of_its_table() {
        let table = |rows: usize| {
            let row = |n: usize| vec![format!("row-{n}"), "x".to_owned()];
            Block::Table(
                std::iter::once(vec!["Head".to_owned(), "Other".to_owned()]).chain((0..rows).map(row)).collect(),
            )
        };
        for rows in 30..60 {
            let blocks = [
                table(rows),
                Block::Section("Heading".into()),
                Block::Paragraph("The JSON form names every device.".into()),
                table(3),
            ];
            let setter = lay_out(&blocks).expect("fits");
            let all = words(&setter);
            let page_of =
                |wanted: &str| all.iter().filter(|(.., text)| text == wanted).map(|(page, ..)| *page).next_back();
            let last = all.iter().rposition(|(.., text)| text == "row-0").map(|at| all[at].0);
            assert_eq!(page_of("Heading"), last, "{rows} rows before it");
        }
    }

    #[test]
    fn cli_30_wide_tables_are_set_across_and_break_no_word() {
        let head = ["Entry", "Time", "Who", "Roles", "What", "To what", "Where", "Outcome", "Why"];
        let row = [
            "12345",
            "2026-11-14T22:13:20.000Z",
            "coordinator",
            "Regulatory",
            "deployment.phase.monitor",
            "user/user-regulatory",
            "H-12",
            "accepted",
            "the first roster",
        ];
        let rows = [head, row].map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let setter = lay_out(&[Block::Table(rows)]).expect("fits");
        assert!(setter.width > setter.height, "across");
        let all: Vec<String> = words(&setter).into_iter().map(|(.., text)| text).collect();
        for word in head.iter().chain(&row) {
            for part in word.split(' ') {
                assert!(all.iter().any(|line| line.split(' ').any(|w| w == part)), "{part} is broken: {all:?}");
            }
        }
        let narrow = vec![vec!["A".to_owned(), "B".to_owned()], vec!["1".to_owned(), "2".to_owned()]];
        let setter = lay_out(&[Block::Table(narrow)]).expect("fits");
        assert!(setter.width < setter.height, "upright");
    }

    #[test]
    fn cli_30_an_id_is_not_broken_in_a_table_of_records() {
        let row = ["61", "2026-11-30T20:23:53.789Z", "coordinator", "Regulatory", "deployment.phase.monitor"];
        let more =
            ["deployment/dep-71d73a075246", "HOSP-001", "accepted", "phase 1 (Everybody): 1 of 1 device settled"];
        let body: Vec<String> = row.iter().chain(&more).map(|cell| (*cell).to_owned()).collect();
        let head = ["Entry", "Time", "Who", "Roles", "What", "To what", "Where", "Outcome", "Why"];
        let setter = lay_out(&[Block::Table(vec![head.map(str::to_owned).to_vec(), body])]).expect("fits");
        assert!(words(&setter).iter().any(|(.., text)| text == more[0]));
    }

    #[test]
    fn cli_30_nothing_stands_outside_its_page() {
        let long = ["", "x", "deployment/dep-71d73a075246", "a sentence of some words that goes on for a while"];
        let cells: Vec<String> = [
            long.map(str::to_owned).to_vec(),
            vec!["f".repeat(64), "W".repeat(300), "WWW ".repeat(60), "\u{202e}\u{1f489}".repeat(30)],
        ]
        .concat();
        for columns in [1, 2, 5, 9, 12] {
            let rows = (0..9).map(|row| (0..columns).map(|c| cells[(row + c * c) % cells.len()].clone()).collect());
            let table = Block::Table(rows.collect());
            let span = |from| Span {
                label: "Phase 1 ".to_owned() + &"Wards of the region ".repeat(9),
                from,
                to: from + 1e12,
                monitored: Some(from - 5.0),
                note: "being updated, ended at 2026-11-30T20:23:53.789Z without passing; ".repeat(5),
            };
            let bar = |rate, bound| Bar { label: "W".repeat(90), rate, bound, limit: 1e9 };
            let blocks = [
                Block::Title("W".repeat(200)),
                Block::Section("A section ".repeat(30)),
                Block::Paragraph("word ".repeat(90) + &"W".repeat(300)),
                Block::Timeline((0..40).map(|n| span(f64::from(n))).collect()),
                Block::Gates(vec![bar(0.0, 0.0), bar(1e9, 1e9), bar(0.5, 100.0)]),
                Block::Section("The table".into()),
                table,
            ];
            assert_eq!(misplaced(&blocks).expect("fits"), Vec::<String>::new(), "{columns} columns");
        }
    }

    #[test]
    fn cli_30_a_digest_beside_its_name_is_whole() {
        let digest = "192d545a525acfd97cd34eaec84aa16eb38f2b4f2a10124c09df458e0e00283b";
        let name = "Days in which a device returns without a rollback order";
        let rows = [["", ""], ["Manifest digest (SHA-256)", digest], [name, "14"]];
        let table = Block::Table(rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect());
        let setter = lay_out(&[table]).expect("fits");
        assert!(setter.width < setter.height, "upright");
        assert!(words(&setter).iter().any(|(.., text)| text == digest));
    }

    #[test]
    fn cli_30_long_words_break_behind_a_mark_and_percents_never() {
        let fonts = Fonts::load().expect("fonts");
        let lines = fonts.wrap("rollback-order/0123456789abcdef", CELL, Weight::Regular, 90.0);
        assert_eq!(lines[0], "rollback-order/");
        let lines = fonts.wrap("rate 100.000\u{a0}%", CELL, Weight::Regular, 50.0);
        assert_eq!(lines, ["rate", "100.000\u{a0}%"]);
        let digest = "0123456789abcdef".repeat(8);
        assert_eq!(fonts.wrap(&digest, CELL, Weight::Regular, 100.0).concat(), digest);
    }

    #[test]
    fn cli_30_a_long_foot_stays_beside_the_page_number() {
        let setter = lay_out(&[Block::Paragraph("text".into())]).expect("one page");
        let number = "page 2 of 2";
        let inks = foot(&setter, &"TRIAL INSTALLATION, not for patients: Part 11 system summary ".repeat(9), number);
        let at = setter.width - MARGIN - setter.fonts.width(number, 7.0, Weight::Regular);
        assert_eq!(inks.len(), 4, "three lines and the number");
        for ink in &inks {
            let Ink::Text { x, y, text, .. } = ink else { panic!("only text") };
            let end = x + setter.fonts.width(text, 7.0, Weight::Regular);
            assert!(*y < setter.height && (text == number || end < at), "{text}");
        }
    }

    #[test]
    fn cli_30_a_phase_without_monitoring_has_no_full_bar() {
        let span =
            |monitored| Span { label: "Phase 1".into(), from: 0.0, to: 100.0, monitored, note: "being updated".into() };
        let inked = |monitored| {
            let setter = lay_out(&[Block::Timeline(vec![span(monitored)])]).expect("fits");
            let boxes = setter.pages.iter().flatten();
            boxes.filter(|ink| matches!(ink, Ink::Box { colour, .. } if *colour == BLUE)).count()
        };
        assert_eq!((inked(None), inked(Some(50.0))), (0, 1));
    }
}
