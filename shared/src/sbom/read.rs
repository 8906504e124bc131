//! One pass over a document: whatever its format, its keys come in any order, so the format is judged at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::cyclonedx::{Components, Links, Metadata};
use super::spdx::{Documents, Elements, Packages, Relationships, Spdx3};
use super::{DOCUMENT_BYTES_MAX, IDENTIFIERS_MAX, PARTS_BYTES_MAX, PARTS_MAX, Part, Sbom, SbomError};
use crate::json;

const BUFFER_BYTES: usize = 64 * 1024;
/// Parts as the document lists them, before equal ones are taken together.
const LISTED_MAX: usize = 1_000_000;
/// Other documents that are named.
const ELSEWHERE_MAX: usize = 16;

/// Parts on their way in.
#[derive(Default)]
pub(super) struct Collector {
    parts: BTreeSet<Part>,
    bytes: usize,
    listed: usize,
    pub(super) elsewhere: BTreeSet<String>,
    /// A bound that was met, or a part that is not one: the error behind the reader's own.
    pub(super) error: Option<SbomError>,
}

impl Collector {
    /// Takes a part.
    ///
    /// # Errors
    /// It is not a part, or one too many; the reason is in `error`.
    pub(super) fn push<E: serde::de::Error>(&mut self, part: Part) -> Result<(), E> {
        self.listed += 1;
        let checked = part.check().and_then(|()| {
            if self.listed > LISTED_MAX {
                return Err(SbomError::TooLarge(format!("it lists more than {LISTED_MAX} parts")));
            }
            let bytes = part.bytes();
            if self.parts.insert(part) {
                self.bytes += bytes;
            }
            if self.parts.len() > PARTS_MAX {
                return Err(SbomError::TooLarge(format!("it has more than {PARTS_MAX} different parts")));
            }
            if self.bytes > PARTS_BYTES_MAX {
                return Err(SbomError::TooLarge(format!(
                    "names and identifiers have more than {PARTS_BYTES_MAX} bytes"
                )));
            }
            Ok(())
        });
        checked.map_err(|error| {
            let text = error.to_string();
            self.error = Some(error);
            E::custom(text)
        })
    }

    /// Notes another document that is named.
    pub(super) fn note_elsewhere(&mut self, name: &str) {
        if self.elsewhere.len() < ELSEWHERE_MAX {
            self.elsewhere.insert(name.chars().filter(|c| !c.is_control()).take(256).collect());
        }
    }
}

/// The keys of one object that were read, each of which may stand once.
#[derive(Default)]
pub(super) struct Keys(Vec<&'static str>);

impl Keys {
    /// # Errors
    /// The key stands in the object already.
    pub(super) fn once<E: serde::de::Error>(&mut self, key: &'static str) -> Result<(), E> {
        if self.0.contains(&key) {
            return Err(json::duplicate(key));
        }
        self.0.push(key);
        Ok(())
    }
}

/// A text that may be `null`, empty or a number; whatever else stands there is passed over.
#[derive(Debug, Default, Clone)]
pub(super) struct Text(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor { takes_fractions: true })
    }
}

/// A version label, which both formats write as a string. A number with a fraction is passed over: 1.10 and 1.1 are one number and two versions, and a
/// part without a version counts as every version.
#[derive(Debug, Default, Clone)]
pub(super) struct Version(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor { takes_fractions: false }).map(|Text(text)| Self(text))
    }
}

struct TextVisitor {
    takes_fractions: bool,
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        let text = text.trim();
        Ok(Text((!text.is_empty()).then(|| text.to_owned())))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
        Ok(Text(self.takes_fractions.then(|| number.to_string())))
    }
    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// The texts of an array, or one text; the first that fits are kept.
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an array of texts")
    }
    fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.trim().to_owned()]))
    }
    fn visit_unit<E>(self) -> Result<Texts, E> {
        Ok(Texts(Vec::new()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = items.next_element()? {
            if texts.len() < IDENTIFIERS_MAX {
                texts.extend(text);
            }
        }
        Ok(Texts(texts))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Texts, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Texts(Vec::new()))
    }
}

/// Runs over an array and takes each item with a seed of its own. Where something else stands, it is an error.
pub(super) struct Each<F>(pub(super) F);

/// A seed that is made for each item.
pub(super) trait TakesItem {
    /// Takes the next item.
    ///
    /// # Errors
    /// It is not one.
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

struct Item<'a, F>(&'a mut F);

impl<'de, F: TakesItem> DeserializeSeed<'de> for Item<'_, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.take(deserializer)
    }
}

impl<'de, F: TakesItem> DeserializeSeed<'de> for Each<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: TakesItem> Visitor<'de> for Each<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Item(&mut self.0))?.is_some() {}
        Ok(())
    }
}

/// What stands at the top of a document.
#[derive(Default)]
struct Top {
    collector: Collector,
    bom_format: Option<String>,
    spec_version: Option<String>,
    spdx_version: Option<String>,
    /// Whether there is an `@context`, and of which version of SPDX it is.
    context: Option<String>,
    spdx3: Spdx3,
    /// Names of other documents by their `DocumentRef-`.
    external: BTreeMap<String, String>,
}

struct TopSeed<'a>(&'a mut Top);

impl<'de> DeserializeSeed<'de> for TopSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bill of materials in JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let top = self.0;
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "bomFormat" => {
                    keys.once("bomFormat")?;
                    top.bom_format = entries.next_value::<Text>()?.0;
                }
                "specVersion" => {
                    keys.once("specVersion")?;
                    top.spec_version = entries.next_value::<Text>()?.0;
                }
                "spdxVersion" => {
                    keys.once("spdxVersion")?;
                    top.spdx_version = entries.next_value::<Text>()?.0;
                }
                "@context" => {
                    keys.once("@context")?;
                    let Texts(named) = entries.next_value()?;
                    let is_spdx = |c: &String| c.contains("spdx.org/rdf/");
                    top.context = named.iter().find(|c| is_spdx(c)).or(named.first()).cloned();
                }
                "components" => {
                    keys.once("components")?;
                    entries.next_value_seed(Each(Components(&mut top.collector)))?;
                }
                "metadata" => {
                    keys.once("metadata")?;
                    entries.next_value_seed(Metadata(&mut top.collector))?;
                }
                "externalReferences" => {
                    keys.once("externalReferences")?;
                    entries.next_value_seed(Each(Links(&mut top.collector)))?;
                }
                "packages" => {
                    keys.once("packages")?;
                    entries.next_value_seed(Each(Packages(&mut top.collector)))?;
                }
                "externalDocumentRefs" => {
                    keys.once("externalDocumentRefs")?;
                    entries.next_value_seed(Each(Documents(&mut top.external)))?;
                }
                "relationships" => {
                    keys.once("relationships")?;
                    entries.next_value_seed(Each(Relationships(&mut top.collector)))?;
                }
                "@graph" => {
                    keys.once("@graph")?;
                    entries.next_value_seed(Each(Elements(&mut top.spdx3)))?;
                }
                _ => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Bytes up to the limit; more is an error and not an end.
struct Limited<R> {
    source: R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.source.read(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                return Err(kind.into());
            }
        };
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => {
                self.failed = Some(io::ErrorKind::FileTooLarge.into());
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(n)
    }
}

/// What a text is that is not JSON.
fn other_format(begin: &[u8]) -> Option<SbomError> {
    let text = String::from_utf8_lossy(begin);
    let text = text.trim_start();
    if text.starts_with('<') {
        return Some(SbomError::Format("a bill of materials in XML".into()));
    }
    if text.starts_with("SPDXVersion:") || text.starts_with('#') {
        return Some(SbomError::Format("SPDX as tag and value".into()));
    }
    if begin.starts_with(&[0xff, 0xfe]) || begin.starts_with(&[0xfe, 0xff]) {
        return Some(SbomError::Format("a bill of materials in UTF-16".into()));
    }
    (!text.starts_with('{')).then(|| SbomError::Format("what is not a JSON object".into()))
}

pub(super) fn document(source: impl Read) -> Result<Sbom, SbomError> {
    let mut limited = Limited { source, left: DOCUMENT_BYTES_MAX, failed: None };
    let mut begin = Vec::new();
    (&mut limited).take(512).read_to_end(&mut begin).map_err(SbomError::Io)?;
    let mut top = Top::default();
    let parsed = {
        let begin = json::without_mark(&begin);
        if let Some(other) = other_format(begin) {
            return Err(other);
        }
        let reader = BufReader::with_capacity(BUFFER_BYTES, begin.chain(&mut limited));
        let mut reader = serde_json::Deserializer::from_reader(reader);
        TopSeed(&mut top).deserialize(&mut reader).and_then(|()| reader.end())
    };
    if let Some(failed) = limited.failed.take() {
        return Err(match failed.kind() {
            io::ErrorKind::FileTooLarge => SbomError::TooLarge(format!("it has more than {DOCUMENT_BYTES_MAX} bytes")),
            _ => SbomError::Io(failed),
        });
    }
    if let Err(error) = parsed {
        // A version that is not read explains more than the place where its reading ended.
        if top.is_named() {
            format_of(&top)?;
        }
        return Err(top.collector.error.take().unwrap_or_else(|| SbomError::Malformed(error.to_string())));
    }
    let format = format_of(&top)?;
    let Top { mut collector, spdx3, external, .. } = top;
    spdx3.into_parts(&mut collector)?;
    if collector.parts.is_empty() {
        return Err(SbomError::Empty);
    }
    let name = |id: String| match external.get(&id) {
        Some(document) => format!("{id} ({document})").chars().filter(|c| !c.is_control()).take(256).collect(),
        None => id,
    };
    let elsewhere = collector.elsewhere.into_iter().map(name).collect();
    Ok(Sbom { format, parts: collector.parts.into_iter().collect(), elsewhere })
}

impl Top {
    /// Whether format and version were read.
    fn is_named(&self) -> bool {
        self.bom_format.is_some() && self.spec_version.is_some()
            || self.spdx_version.is_some()
            || self.context.is_some()
    }
}

/// Format and version.
fn format_of(top: &Top) -> Result<String, SbomError> {
    let is_spdx3 = top.context.as_deref().filter(|c| c.contains("spdx.org/rdf/"));
    match (&top.bom_format, &top.spdx_version, is_spdx3) {
        (Some(format), None, None) if format == "CycloneDX" => {
            let version = top.spec_version.clone().unwrap_or_default();
            match version.as_str() {
                "1.2" | "1.3" | "1.4" | "1.5" | "1.6" | "1.7" => Ok(format!("CycloneDX {version}")),
                "" => Err(SbomError::Format("CycloneDX without a specVersion".into())),
                other => Err(SbomError::Format(format!("CycloneDX {:?}", shortened(other)))),
            }
        }
        (Some(format), None, None) => Err(SbomError::Format(format!("the format {:?}", shortened(format)))),
        (None, Some(version), None) => match version.strip_prefix("SPDX-") {
            Some(number @ ("2.2" | "2.2.1" | "2.2.2" | "2.3" | "2.3.1")) => Ok(format!("SPDX {number}")),
            _ => Err(SbomError::Format(format!("{:?}", shortened(version)))),
        },
        (None, None, Some(context)) => {
            let versions: Vec<&String> = top.spdx3.versions.iter().collect();
            let is_read = |v: &str| v == "3.0" || v.starts_with("3.0.");
            match versions.iter().find(|v| !is_read(v)) {
                Some(other) => Err(SbomError::Format(format!("SPDX {:?}", shortened(other)))),
                None if context.contains("spdx.org/rdf/3.0") => {
                    Ok(format!("SPDX {}", versions.first().map_or("3.0", |v| v.as_str())))
                }
                None => Err(SbomError::Format(format!("the context {}", shortened(context)))),
            }
        }
        (None, None, None) => Err(SbomError::Format("JSON that names neither bomFormat nor spdxVersion".into())),
        _ => Err(SbomError::Format("a document that names two formats".into())),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
