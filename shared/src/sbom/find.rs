//! Whether a part is the one that somebody looks for: by name, package URL or CPE name, and version. Names differ between tools in case, in `_` and
//! `-`, and in how the group is written; a part whose version nobody wrote down counts as every version, because a recall must not pass it over.

use serde::{Deserialize, Serialize};

use super::{FIELD_BYTES_MAX, Part};
use crate::version::{self, VersionRange};

/// Which parts are looked for. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartQuery {
    /// Name, with or without its group (`core`, `@angular/core`, `org.apache.logging.log4j:log4j-core`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Group of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Package URL; its qualifiers are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// CPE name, 2.3 or 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpe: Option<String>,
    /// That version alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Versions between others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionRange>,
}

/// What is asked for is not a part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(&'static str);

/// As names are compared.
fn folded(name: &str) -> String {
    name.trim()
        .trim_start_matches('@')
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '_' { '-' } else { c })
        .collect()
}

/// A package URL (ECMA-427): what of it tells parts apart.
struct Purl {
    kind: String,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    /// The source package that a distribution built it from.
    upstream: Option<String>,
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).filter(|_| *first == b'%').and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Purl {
    fn parse(text: &str) -> Option<Self> {
        let rest = text
            .trim()
            .get(..4)
            .filter(|s| s.eq_ignore_ascii_case("pkg:"))
            .map(|_| text.trim()[4..].trim_start_matches('/'))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let (path, version) = match path.rsplit_once('@') {
            // The scope of an npm package begins with the same character.
            Some((path, version)) if !version.contains('/') && !path.ends_with('/') => (path, Some(decoded(version))),
            _ => (path, None),
        };
        let (kind, path) = path.split_once('/')?;
        let (namespace, name) = path.rsplit_once('/').map_or((None, path), |(n, name)| (Some(decoded(n)), name));
        let upstream = qualifiers.split('&').find_map(|q| q.strip_prefix("upstream=")).map(decoded);
        let upstream = upstream.map(|u| u.split('@').next().unwrap_or_default().to_owned()).filter(|u| !u.is_empty());
        let name = decoded(name);
        let is_whole = !kind.is_empty() && !name.is_empty();
        is_whole.then(|| Self {
            kind: kind.to_lowercase(),
            namespace,
            name,
            version: version.filter(|v| !v.is_empty()),
            upstream,
        })
    }

    fn is(&self, wanted: &Self) -> bool {
        let group = |purl: &Self| purl.namespace.as_deref().map(folded);
        self.kind == wanted.kind && group(self) == group(wanted) && folded(&self.name) == folded(&wanted.name)
    }
}

/// A CPE name (NIST IR 7695): kind, vendor, product, version and update, in lower case without escapes; `None` is any.
struct Cpe([Option<String>; 5]);

impl Cpe {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (rest, is_uri) = match text.strip_prefix("cpe:2.3:") {
            Some(rest) => (rest, false),
            None => (text.strip_prefix("cpe:/")?, true),
        };
        let mut fields = vec![String::new()];
        let mut characters = rest.chars();
        while let Some(c) = characters.next() {
            match c {
                ':' => fields.push(String::new()),
                '\\' if !is_uri => {
                    fields.last_mut()?.extend(characters.next().into_iter().flat_map(char::to_lowercase))
                }
                c => fields.last_mut()?.extend(c.to_lowercase()),
            }
        }
        let mut fields = fields.into_iter().map(|f| if is_uri { decoded(&f) } else { f });
        let all = std::array::from_fn(|_| fields.next().filter(|f| !matches!(f.as_str(), "" | "*")));
        // Without a product it is every one.
        let Self([kind, _, product, ..]) = &Self(all.clone());
        (kind.is_some() && product.is_some()).then_some(Self(all))
    }

    /// The version, with the update behind it: of OpenSSL 1.1.1k the letter stands in either field (`1.1.1k`, `1.1.1:k`).
    fn version(&self) -> Option<String> {
        Some(format!("{}{}", self.field(3)?, self.update().unwrap_or_default()))
    }

    fn update(&self) -> Option<&str> {
        self.field(4)
    }

    fn field(&self, at: usize) -> Option<&str> {
        self.0[at].as_deref().filter(|v| *v != "-")
    }

    /// Whether this name has a version that `wanted` names: where that has no update, with any.
    fn has_version_of(&self, wanted: &Self) -> bool {
        let same = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (Some(a), Some(b)) => version::compare(a, b).is_eq(),
            _ => false,
        };
        let joined = (self.version(), wanted.version());
        self.is(wanted)
            && (same(joined.0.as_deref(), joined.1.as_deref())
                || (wanted.update().is_none() && same(self.field(3), wanted.field(3))))
    }

    fn is(&self, wanted: &Self) -> bool {
        let same = |at: usize| match (&self.0[at], &wanted.0[at]) {
            (Some(a), Some(b)) => folded(a) == folded(b),
            _ => true,
        };
        same(0) && same(1) && same(2)
    }
}

impl PartQuery {
    /// The parts of a name, and of one version if it is given.
    pub fn named(name: impl Into<String>, version: Option<String>) -> Self {
        Self { name: Some(name.into()), version, ..Self::default() }
    }

    /// Checks that something is asked for, and that it can be.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), QueryError> {
        let texts = [&self.name, &self.group, &self.purl, &self.cpe, &self.version];
        let is_text =
            |t: &String| !t.trim().is_empty() && t.len() <= FIELD_BYTES_MAX && !t.chars().any(char::is_control);
        if !texts.into_iter().flatten().all(is_text) {
            return Err(QueryError("names, versions and identifiers must be printable and not empty"));
        }
        if self.name.is_none() && self.purl.is_none() && self.cpe.is_none() {
            return Err(QueryError("a part needs a name, a package URL or a CPE name"));
        }
        if self.group.is_some() && self.name.is_none() {
            return Err(QueryError("a group needs a name"));
        }
        if self.purl.as_deref().is_some_and(|p| Purl::parse(p).is_none()) {
            return Err(QueryError("a package URL looks like pkg:type/namespace/name@version"));
        }
        if self.cpe.as_deref().is_some_and(|c| Cpe::parse(c).is_none()) {
            return Err(QueryError(
                "a CPE name looks like cpe:2.3:a:vendor:product:version:*:*:*:*:*:*:*, with a product",
            ));
        }
        if self.version.is_some() && self.versions.is_some() {
            return Err(QueryError("give one version or a range, not both"));
        }
        Ok(())
    }

    /// Whether a part is the one, whatever its version.
    pub fn names(&self, part: &Part) -> bool {
        let purls: Vec<Purl> = part.purls.iter().filter_map(|p| Purl::parse(p)).collect();
        let cpes: Vec<Cpe> = part.cpes.iter().filter_map(|c| Cpe::parse(c)).collect();
        self.is_named(part, &purls, &cpes)
    }

    fn is_named(&self, part: &Part, purls: &[Purl], cpes: &[Cpe]) -> bool {
        let by_name = || {
            let Some(wanted) = self.name.as_deref().map(folded) else { return true };
            let group = self.group.as_deref().map(folded);
            let fits = |(of, name): &(Option<String>, String)| match (&group, of) {
                (Some(group), Some(of)) => group == of && wanted == *name,
                (Some(_), None) => false,
                (None, of) => {
                    let joined = |sign: char| of.as_ref().is_some_and(|of| format!("{of}{sign}{name}") == wanted);
                    wanted == *name || joined('/') || joined(':') || joined('.')
                }
            };
            names(part, purls, cpes).iter().any(fits)
        };
        let by_purl = || {
            let wanted = self.purl.as_deref().and_then(Purl::parse);
            wanted.is_none_or(|wanted| purls.iter().any(|p| p.is(&wanted)))
        };
        let by_cpe = || {
            let wanted = self.cpe.as_deref().and_then(Cpe::parse);
            wanted.is_none_or(|wanted| cpes.iter().any(|c| c.is(&wanted)))
        };
        by_name() && by_purl() && by_cpe()
    }

    /// Whether a part is the one.
    pub fn holds(&self, part: &Part) -> bool {
        let purls: Vec<Purl> = part.purls.iter().filter_map(|p| Purl::parse(p)).collect();
        let cpes: Vec<Cpe> = part.cpes.iter().filter_map(|c| Cpe::parse(c)).collect();
        if !self.is_named(part, &purls, &cpes) {
            return false;
        }
        let mut versions: Vec<String> = part.version.iter().cloned().collect();
        versions.extend(purls.iter().filter_map(|p| p.version.clone()));
        // Tools that split the letter off write the version without it in the other fields too.
        let is_only = versions.is_empty();
        versions.extend(cpes.iter().filter(|c| is_only || c.update().is_some()).filter_map(Cpe::version));
        let any = |holds: &dyn Fn(&str) -> bool| versions.is_empty() || versions.iter().any(|v| holds(v));
        let is = |wanted: &str| any(&|v| version::compare(v, wanted).is_eq());
        let of_purl = self.purl.as_deref().and_then(Purl::parse).and_then(|p| p.version);
        let of_cpe = self.cpe.as_deref().and_then(Cpe::parse);
        let is_cpe =
            |wanted: &Cpe| wanted.version().is_none_or(|v| is(&v)) || cpes.iter().any(|c| c.has_version_of(wanted));
        [self.version.as_deref(), of_purl.as_deref()].into_iter().flatten().all(is)
            && of_cpe.as_ref().is_none_or(is_cpe)
            && self.versions.as_ref().is_none_or(|range| any(&|v| range.holds(v)))
    }

    /// As one reads it.
    pub fn words(&self) -> String {
        let given = [&self.group, &self.name, &self.purl, &self.cpe, &self.version];
        let mut words: Vec<String> = given.into_iter().flatten().cloned().collect();
        words.extend(self.versions.as_ref().map(ToString::to_string));
        words.join(" ")
    }
}

/// Every group and name by which a part is known, as they are compared.
fn names(part: &Part, purls: &[Purl], cpes: &[Cpe]) -> Vec<(Option<String>, String)> {
    let mut all = vec![(part.group.as_deref().map(folded), folded(&part.name))];
    // Tools without a field for the group write it before the name.
    if let Some((group, name)) = part.name.rsplit_once(['/', ':']) {
        all.push((Some(folded(group)), folded(name)));
    }
    for purl in purls {
        all.push((purl.namespace.as_deref().map(folded), folded(&purl.name)));
        all.extend(purl.upstream.as_deref().map(|u| (purl.namespace.as_deref().map(folded), folded(u))));
    }
    for Cpe([_, vendor, product, ..]) in cpes {
        all.extend(product.as_deref().map(|p| (vendor.as_deref().map(folded), folded(p))));
    }
    all
}
