//! SPDX in JSON: packages of version 2 (ISO/IEC 5962), elements of version 3.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::read::{Collector, Each, Keys, TakesItem, Text, Texts, Version};
use super::{IDENTIFIERS_MAX, PARTS_BYTES_MAX, PARTS_MAX, Part, SbomError};

/// Elements of version 3 to which others refer.
const REFERRED_MAX: usize = 200_000;
/// Documents that one of version 2 refers to.
const DOCUMENTS_MAX: usize = 1_000;

/// What version 2 writes where nothing is known.
fn known(text: Option<String>) -> Option<String> {
    text.filter(|t| !matches!(t.as_str(), "NOASSERTION" | "NONE"))
}

/// A name of `Organization: name (address)`.
fn supplier(text: &str) -> String {
    let name = text.split_once(':').filter(|(kind, _)| matches!(*kind, "Organization" | "Person" | "Tool"));
    let name = name.map_or(text, |(_, name)| name).trim();
    name.rsplit_once(" (").filter(|(_, rest)| rest.ends_with(')')).map_or(name, |(name, _)| name).to_owned()
}

/// Identifiers that are kept of a part.
fn add(part: &mut Part, kind: &str, locator: String) {
    let kind = kind.rsplit('/').next().unwrap_or(kind).to_ascii_lowercase();
    let list = match kind.as_str() {
        "purl" | "packageurl" => &mut part.purls,
        "cpe23type" | "cpe22type" | "cpe23" | "cpe22" => &mut part.cpes,
        _ => return,
    };
    if list.len() < IDENTIFIERS_MAX && !list.contains(&locator) {
        list.push(locator);
    }
}

/// `packages` of version 2.
pub(super) struct Packages<'a>(pub(super) &'a mut Collector);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Package {
    name: Text,
    version_info: Version,
    supplier: Text,
    originator: Text,
    external_refs: References,
}

/// The first identifiers of a package: type and locator.
#[derive(Default)]
struct References(Vec<(String, String)>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    reference_type: Text,
    reference_locator: Text,
}

impl TakesItem for &mut References {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let Reference { reference_type, reference_locator } = Reference::deserialize(deserializer)?;
        if let (Some(kind), Some(locator)) = (reference_type.0, reference_locator.0)
            && self.0.len() < 4 * IDENTIFIERS_MAX
        {
            self.0.push((kind, locator));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Self::default();
        Each(&mut found).deserialize(deserializer)?;
        Ok(found)
    }
}

impl TakesItem for Packages<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let package = Package::deserialize(deserializer)?;
        let mut part = Part::new(package.name.0.unwrap_or_default(), None);
        part.version = known(package.version_info.0);
        part.supplier = known(package.supplier.0).or(known(package.originator.0)).map(|text| supplier(&text));
        for (kind, locator) in package.external_refs.0 {
            add(&mut part, &kind, locator);
        }
        self.0.push(part)
    }
}

/// `externalDocumentRefs` of version 2: what a document calls others.
pub(super) struct Documents<'a>(pub(super) &'a mut BTreeMap<String, String>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExternalDocument {
    external_document_id: Text,
    spdx_document: Text,
}

impl TakesItem for Documents<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let named = ExternalDocument::deserialize(deserializer)?;
        if let (Some(id), Some(document)) = (named.external_document_id.0, named.spdx_document.0)
            && self.0.len() < DOCUMENTS_MAX
        {
            self.0.insert(id, document);
        }
        Ok(())
    }
}

/// `relationships` of version 2, of which those to other documents are noted.
pub(super) struct Relationships<'a>(pub(super) &'a mut Collector);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: Text,
    related_spdx_element: Text,
}

impl TakesItem for Relationships<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let Relationship { spdx_element_id, related_spdx_element } = Relationship::deserialize(deserializer)?;
        for end in [spdx_element_id.0, related_spdx_element.0].into_iter().flatten() {
            if end.starts_with("DocumentRef-") {
                self.0.note_elsewhere(end.split(':').next().unwrap_or(&end));
            }
        }
        Ok(())
    }
}

/// `@graph` of version 3: elements in any order, which refer to each other.
#[derive(Default)]
pub(super) struct Spdx3 {
    /// Versions that the document says it follows.
    pub(super) versions: BTreeSet<String>,
    packages: Vec<Pending>,
    /// Names of those who supply, by their id.
    agents: BTreeMap<String, String>,
    /// Identifiers that are elements of their own: type and value, by their id.
    identifiers: BTreeMap<String, (String, String)>,
    bytes: usize,
    too_many: bool,
    elsewhere: Vec<String>,
}

/// A package whose references are not resolved yet.
struct Pending {
    part: Part,
    identifiers: Vec<String>,
    suppliers: Vec<String>,
}

impl Spdx3 {
    /// Resolves the references and hands the parts over.
    ///
    /// # Errors
    /// A bound was met, or a package is not a part.
    pub(super) fn into_parts(self, collector: &mut Collector) -> Result<(), SbomError> {
        if self.too_many {
            return Err(SbomError::TooLarge("it has more elements than are read".into()));
        }
        for name in &self.elsewhere {
            collector.note_elsewhere(name);
        }
        for Pending { mut part, identifiers, suppliers } in self.packages {
            for (kind, value) in identifiers.iter().filter_map(|id| self.identifiers.get(id)) {
                add(&mut part, kind, value.clone());
            }
            part.supplier = suppliers.iter().find_map(|id| self.agents.get(id)).cloned();
            let pushed: Result<(), serde_json::Error> = collector.push(part);
            if let Err(error) = pushed {
                return Err(collector.error.take().unwrap_or_else(|| SbomError::Malformed(error.to_string())));
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let count = self.packages.len() + self.agents.len() + self.identifiers.len();
        let fits = self.bytes <= 4 * PARTS_BYTES_MAX && count < REFERRED_MAX + PARTS_MAX;
        self.too_many |= !fits;
        fits
    }

    fn take(&mut self, element: Element) {
        let kind = element.kind.unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default();
        self.versions.extend(element.spec_version.filter(|_| self.versions.len() < 8));
        let id = element.id.unwrap_or_default();
        match kind {
            "ExternalIdentifier" => {
                if let (Some(kind), Some(value)) = (element.identifier_type, element.identifier)
                    && self.keep(id.len() + kind.len() + value.len())
                {
                    self.identifiers.insert(id, (kind, value));
                }
            }
            "Organization" | "Person" | "Agent" | "SoftwareAgent" => {
                if let Some(name) = element.name
                    && self.keep(id.len() + name.len())
                {
                    self.agents.insert(id, name);
                }
            }
            "ExternalMap" => self.elsewhere.extend(element.external_id.filter(|_| self.elsewhere.len() < 16)),
            _ if kind.ends_with("Package") => {
                let mut part = Part::new(element.name.unwrap_or_default(), None);
                part.version = known(element.version);
                part.purls.extend(element.purl);
                for (kind, value) in element.inline {
                    add(&mut part, &kind, value);
                }
                let references: usize = element.identifiers.iter().chain(&element.suppliers).map(String::len).sum();
                if self.keep(part.bytes() + references) {
                    self.packages.push(Pending {
                        part,
                        identifiers: element.identifiers,
                        suppliers: element.suppliers,
                    });
                }
            }
            _ => {}
        }
    }
}

/// What is read of one element.
#[derive(Default)]
struct Element {
    kind: Option<String>,
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
    purl: Option<String>,
    spec_version: Option<String>,
    external_id: Option<String>,
    identifier_type: Option<String>,
    identifier: Option<String>,
    /// Identifiers by reference,
    identifiers: Vec<String>,
    /// and those that are written in place.
    inline: Vec<(String, String)>,
    suppliers: Vec<String>,
}

/// `@graph`.
pub(super) struct Elements<'a>(pub(super) &'a mut Spdx3);

impl TakesItem for Elements<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let element = deserializer.deserialize_map(ElementVisitor)?;
        self.0.take(element);
        Ok(())
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Element, A::Error> {
        let mut element = Element::default();
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            let (key, place) = match key.as_str() {
                "type" | "@type" => ("type", &mut element.kind),
                "spdxId" | "@id" => ("spdxId", &mut element.id),
                "name" => ("name", &mut element.name),
                "software_packageUrl" => ("software_packageUrl", &mut element.purl),
                "specVersion" => ("specVersion", &mut element.spec_version),
                "externalSpdxId" => ("externalSpdxId", &mut element.external_id),
                "externalIdentifierType" => ("externalIdentifierType", &mut element.identifier_type),
                "identifier" => ("identifier", &mut element.identifier),
                "software_packageVersion" => {
                    keys.once("software_packageVersion")?;
                    element.version = entries.next_value::<Version>()?.0;
                    continue;
                }
                "externalIdentifier" => {
                    keys.once("externalIdentifier")?;
                    entries.next_value_seed(Identifiers(&mut element))?;
                    continue;
                }
                "suppliedBy" => {
                    keys.once("suppliedBy")?;
                    element.suppliers.extend(entries.next_value::<Texts>()?.0);
                    continue;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            keys.once(key)?;
            *place = entries.next_value::<Text>()?.0;
        }
        Ok(element)
    }
}

/// `externalIdentifier`: one or several, by reference or in place.
struct Identifiers<'a>(&'a mut Element);

impl<'de> DeserializeSeed<'de> for Identifiers<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Identifiers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier or an array of them")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, id: &str) -> Result<(), E> {
        if self.0.identifiers.len() < 4 * IDENTIFIERS_MAX {
            self.0.identifiers.push(id.to_owned());
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let inner = ElementVisitor.visit_map(entries)?;
        if let (Some(kind), Some(value)) = (inner.identifier_type, inner.identifier)
            && self.0.inline.len() < 4 * IDENTIFIERS_MAX
        {
            self.0.inline.push((kind, value));
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Identifiers(self.0))?.is_some() {}
        Ok(())
    }
}
