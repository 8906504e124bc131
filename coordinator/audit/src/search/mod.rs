//! Search: which records have all of some keys, in a span of time, in the log's order or the newest first.

mod postings;
mod terms;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, RwLock};

use roaring::RoaringBitmap;

pub(crate) use postings::Full;
pub use terms::Field;
pub(crate) use terms::kind_of;

use crate::log::{LogError, LogReader};
use crate::segment::{Segment, terms_name};
use postings::{Growing, Postings, SPAN_ENTRIES};

/// Conditions in one query at most.
pub const CONDITIONS_MAX: usize = 32;

/// What is looked for. Everything named must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Fields with their values; a value that ends in `*` stands for all that begin so.
    pub fields: Vec<(Field, String)>,
    /// Words that the reason, or a device's own message, must have.
    pub text: Option<String>,
    /// Not before, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Before, milliseconds since 1970.
    pub until_ms: Option<u64>,
}

/// In which order records are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the log, from an index on.
    Oldest {
        /// First index looked at.
        from: u64,
    },
    /// Backwards.
    Newest {
        /// First index not looked at.
        before: u64,
    },
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Index and bytes of each record found.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Where to go on: the next `from` or `before`; none if that was all.
    pub next: Option<u64>,
}

#[derive(Default)]
struct Held {
    /// By the segment's first entry.
    full: BTreeMap<u64, Arc<Full>>,
    growing_first: u64,
    growing: Growing,
    /// Entries that are indexed.
    indexed: u64,
}

/// The search index of a log, cheap to clone.
#[derive(Clone)]
pub struct SearchIndex {
    log: LogReader,
    held: Arc<RwLock<Held>>,
}

impl SearchIndex {
    /// Opens the index; what is missing or damaged is rebuilt from the segments, which takes a while for a large log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(log: LogReader) -> Result<Self, LogError> {
        let index = Self { log, held: Arc::default() };
        index.catch_up()?;
        Ok(index)
    }

    /// Takes in what the log has got since.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn catch_up(&self) -> Result<(), LogError> {
        let mut held = self.held.write().map_err(|_| LogError::Failed)?;
        let segments = self.log.segments()?;
        // A segment that was rewritten since has other bytes.
        let stale = |full: &Full, s: &Segment| full.segment_bytes != s.bytes || full.count != s.count;
        for segment in segments.split_last().map_or(&[][..], |(_, full)| full) {
            if held.full.get(&segment.first).is_some_and(|full| !stale(full, segment)) {
                continue;
            }
            let full = self.full(&mut held, segment, &stale)?;
            held.full.insert(segment.first, Arc::new(full));
        }
        if let Some(active) = segments.last() {
            if held.growing_first != active.first {
                (held.growing, held.growing_first) = (Growing::default(), active.first);
            }
            let from = active.first + u64::from(held.growing.count);
            self.read(&mut held.growing, from, active.first + active.count)?;
            held.indexed = active.first + active.count;
        }
        Ok(())
    }

    fn full(
        &self,
        held: &mut Held,
        segment: &Segment,
        stale: &dyn Fn(&Full, &Segment) -> bool,
    ) -> Result<Full, LogError> {
        let (disk, name) = (&*self.log.disk, terms_name(segment.first));
        if let Some(full) = Full::open(disk, &name)?.filter(|full| !stale(full, segment)) {
            return Ok(full);
        }
        let mut growing = if held.growing_first == segment.first && u64::from(held.growing.count) <= segment.count {
            std::mem::take(&mut held.growing)
        } else {
            Growing::default()
        };
        held.growing_first = u64::MAX;
        let from = segment.first + u64::from(growing.count);
        self.read(&mut growing, from, segment.first + segment.count)?;
        growing.write(disk, &name, segment.bytes)?;
        Full::open(disk, &name)?.ok_or_else(|| io::Error::other(format!("{name} does not read back")).into())
    }

    fn read(&self, growing: &mut Growing, from: u64, to: u64) -> Result<(), LogError> {
        self.log.each(from, to, |_, entry| {
            growing.push(entry.and_then(terms::skim));
            Ok::<(), LogError>(())
        })
    }

    /// Looks for records; everything that is durable now is looked at.
    ///
    /// # Errors
    /// The log cannot be read, or is damaged at a record found.
    pub fn search(&self, query: &Query, order: Order, limit: usize) -> Result<Page, LogError> {
        let stale = self.held.read().map_err(|_| LogError::Failed)?.indexed < self.log.size();
        if stale {
            self.catch_up()?;
        }
        let wanted = Wanted::of(query);
        let held = self.held.read().map_err(|_| LogError::Failed)?;
        let mut parts: Vec<(u64, &dyn Postings)> =
            held.full.iter().map(|(first, full)| (*first, &**full as &dyn Postings)).collect();
        parts.push((held.growing_first, &held.growing));
        if matches!(order, Order::Newest { .. }) {
            parts.reverse();
        }
        let mut page = Page::default();
        for (first, postings) in parts {
            let hits = wanted.hits(postings)?;
            let inside = |local: &u32| match order {
                Order::Oldest { from } => first + u64::from(*local) >= from,
                Order::Newest { before } => first + u64::from(*local) < before,
            };
            let hits: Box<dyn Iterator<Item = u32>> = match order {
                Order::Oldest { .. } => Box::new(hits.into_iter()),
                Order::Newest { .. } => Box::new(hits.into_iter().rev()),
            };
            for local in hits.filter(inside) {
                let index = first + u64::from(local);
                let bytes = self.log.entry(index)?.and_then(crate::Entry::bytes);
                let Some(bytes) = bytes.filter(|bytes| wanted.is_met_by(bytes)) else { continue };
                if page.records.len() == limit {
                    page.next = Some(match order {
                        Order::Oldest { .. } => index,
                        Order::Newest { .. } => index + 1,
                    });
                    return Ok(page);
                }
                page.records.push((index, bytes));
            }
        }
        Ok(page)
    }

    /// Calls `each` with every record found, in the log's order; for reports, which need all of them.
    ///
    /// # Errors
    /// The log cannot be read, or what `each` returns.
    pub fn each<E: From<LogError>>(
        &self,
        query: &Query,
        before: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.catch_up()?;
        let wanted = Wanted::of(query);
        let parts: Vec<(u64, RoaringBitmap)> = {
            let held = self.held.read().map_err(|_| LogError::Failed)?;
            let full = held.full.iter().map(|(first, full)| (*first, &**full as &dyn Postings));
            let all = full.chain([(held.growing_first, &held.growing as &dyn Postings)]);
            all.map(|(first, postings)| Ok((first, wanted.hits(postings)?))).collect::<Result<_, LogError>>()?
        };
        for (first, hits) in parts {
            let (Some(from), Some(to)) = (hits.min(), hits.max()) else { continue };
            // Read through where hits are dense, one by one where they are far apart.
            if hits.len() * 16 > u64::from(to - from) {
                let to = (first + u64::from(to) + 1).min(before);
                self.log.each(first + u64::from(from), to, |index, entry| match entry {
                    Some(entry) if hits.contains((index - first) as u32) && wanted.is_in_time(entry) => {
                        each(index, entry)
                    }
                    _ => Ok(()),
                })?;
                continue;
            }
            for index in hits.into_iter().map(|local| first + u64::from(local)).filter(|i| *i < before) {
                let bytes = self.log.entry(index)?.and_then(crate::Entry::bytes);
                if let Some(bytes) = bytes.filter(|bytes| wanted.is_in_time(bytes)) {
                    each(index, &bytes)?;
                }
            }
        }
        Ok(())
    }

    /// What stands at a position of the log.
    ///
    /// # Errors
    /// See [`LogReader::entry`].
    pub fn entry(&self, index: u64) -> Result<Option<crate::Entry>, LogError> {
        self.log.entry(index)
    }

    /// How many entries the log had when the last record up to a time was made.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn size_at(&self, at_ms: u64) -> Result<u64, LogError> {
        let query = Query { until_ms: Some(at_ms.saturating_add(1)), ..Query::default() };
        let page = self.search(&query, Order::Newest { before: u64::MAX }, 1)?;
        Ok(page.records.first().map_or(0, |(index, _)| index + 1))
    }
}

/// A query made ready for records that no index holds, such as those of a copy.
pub struct Matcher(Wanted);

impl Matcher {
    /// Makes a query ready.
    pub fn new(query: &Query) -> Self {
        Self(Wanted::of(query))
    }
    /// Whether a record is meant.
    pub fn is_met_by(&self, entry: &[u8]) -> bool {
        self.0.is_met_by(entry)
    }
}

/// A query made ready.
struct Wanted {
    exact: Vec<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
    since_ms: u64,
    until_ms: u64,
    timed: bool,
}

impl Wanted {
    fn of(query: &Query) -> Self {
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for (field, value) in query.fields.iter().take(CONDITIONS_MAX) {
            match value.strip_suffix('*') {
                Some(begin) => prefixes.push(terms::key(*field, begin)),
                None => exact.push(terms::key(*field, value)),
            }
        }
        let words = query.text.iter().flat_map(|text| terms::words(text));
        exact.extend(words.take(CONDITIONS_MAX).map(|word| terms::key(Field::Word, &word)));
        Self {
            exact,
            prefixes,
            since_ms: query.since_ms.unwrap_or(0),
            until_ms: query.until_ms.unwrap_or(u64::MAX),
            timed: query.since_ms.is_some() || query.until_ms.is_some(),
        }
    }

    fn hits(&self, postings: &dyn Postings) -> io::Result<RoaringBitmap> {
        let mut hits: Option<RoaringBitmap> = None;
        let mut both = |list: RoaringBitmap| {
            let met = hits.take().map_or_else(|| list.clone(), |held| held & &list);
            let none = met.is_empty();
            hits = Some(met);
            none
        };
        for key in &self.exact {
            if both(postings.having(key)?) {
                return Ok(RoaringBitmap::new());
            }
        }
        for prefix in &self.prefixes {
            if both(postings.having_prefix(prefix)?) {
                return Ok(RoaringBitmap::new());
            }
        }
        if !self.timed
            && let Some(hits) = hits
        {
            return Ok(hits);
        }
        let mut in_time = RoaringBitmap::new();
        for (i, span) in (0_u32..).zip(postings.spans()) {
            if span.earliest < self.until_ms && span.latest >= self.since_ms {
                in_time.insert_range(i * SPAN_ENTRIES..((i + 1) * SPAN_ENTRIES).min(postings.count()));
            }
        }
        Ok(hits.map_or(in_time.clone(), |hits| hits & in_time))
    }

    fn is_in_time(&self, entry: &[u8]) -> bool {
        !self.timed || terms::skim(entry).is_some_and(|s| (self.since_ms..self.until_ms).contains(&s.at_ms))
    }

    /// The index only proposes: whether a record is meant, the record itself decides.
    fn is_met_by(&self, entry: &[u8]) -> bool {
        terms::skim(entry).is_some_and(|s| {
            (self.since_ms..self.until_ms).contains(&s.at_ms)
                && self.exact.iter().all(|key| s.keys.binary_search(key).is_ok())
                && self.prefixes.iter().all(|prefix| s.keys.iter().any(|key| key.starts_with(prefix)))
        })
    }
}

#[cfg(test)]
mod tests;
