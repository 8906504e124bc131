//! CycloneDX in JSON (ECMA-424): components and what they hold, the product itself, and the components that a part was made from.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Part;
use super::read::{Collector, Each, Keys, TakesItem, Text, Version};

/// `components`.
pub(super) struct Components<'a>(pub(super) &'a mut Collector);

impl TakesItem for Components<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(Component(self.0))
    }
}

/// One component with those in it.
struct Component<'a>(&'a mut Collector);

impl<'de> DeserializeSeed<'de> for Component<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// `supplier`, `manufacturer`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Organisation {
    name: Text,
}

impl<'de> Visitor<'de> for Component<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a component")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let collector = self.0;
        let mut keys = Keys::default();
        let mut part = Part::new("", None);
        let (mut publisher, mut manufacturer) = (None, None);
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "name" => {
                    keys.once("name")?;
                    part.name = entries.next_value::<Text>()?.0.unwrap_or_default();
                }
                "version" => {
                    keys.once("version")?;
                    part.version = entries.next_value::<Version>()?.0;
                }
                "group" => {
                    keys.once("group")?;
                    part.group = entries.next_value::<Text>()?.0;
                }
                "purl" => {
                    keys.once("purl")?;
                    part.purls.extend(entries.next_value::<Text>()?.0);
                }
                "cpe" => {
                    keys.once("cpe")?;
                    part.cpes.extend(entries.next_value::<Text>()?.0);
                }
                "supplier" => {
                    keys.once("supplier")?;
                    part.supplier = entries.next_value::<Option<Organisation>>()?.and_then(|o| o.name.0);
                }
                "manufacturer" => {
                    keys.once("manufacturer")?;
                    manufacturer = entries.next_value::<Option<Organisation>>()?.and_then(|o| o.name.0);
                }
                "publisher" => {
                    keys.once("publisher")?;
                    publisher = entries.next_value::<Text>()?.0;
                }
                "components" => {
                    keys.once("components")?;
                    entries.next_value_seed(Each(Components(collector)))?;
                }
                "pedigree" => {
                    keys.once("pedigree")?;
                    entries.next_value_seed(Object("ancestors", collector))?;
                }
                "externalReferences" => {
                    keys.once("externalReferences")?;
                    entries.next_value_seed(Each(Links(collector)))?;
                }
                _ => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        part.supplier = part.supplier.or(manufacturer).or(publisher);
        collector.push(part)
    }
}

/// `metadata`, with the product itself.
pub(super) struct Metadata<'a>(pub(super) &'a mut Collector);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Object("component", self.0).deserialize(deserializer)
    }
}

/// An object of which one key is read: a component, or an array of them.
struct Object<'a>(&'static str, &'a mut Collector);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            if key != self.0 {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            keys.once(self.0)?;
            if self.0 == "component" {
                entries.next_value_seed(Component(self.1))?;
            } else {
                entries.next_value_seed(Each(Components(self.1)))?;
            }
        }
        Ok(())
    }
}

/// `externalReferences`, of which other bills of materials are noted.
pub(super) struct Links<'a>(pub(super) &'a mut Collector);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    r#type: Text,
    url: Text,
}

impl TakesItem for Links<'_> {
    fn take<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let link = Link::deserialize(deserializer)?;
        if let (Some("bom"), Some(url)) = (link.r#type.0.as_deref(), &link.url.0) {
            self.0.note_elsewhere(url);
        }
        Ok(())
    }
}
