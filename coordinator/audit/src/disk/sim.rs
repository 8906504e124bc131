//! A disk in memory that can be cut at any effect. After a cut, of what was not synced anything may have survived: each write
//! whole, not at all, or in part; of names the changes that the journal had reached.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile, SharedFile, dir_of};

#[derive(Debug, Clone)]
enum Pending {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    now: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create { name: String, file: usize },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl NameChange {
    fn dir(&self) -> &str {
        match self {
            Self::Create { name, .. } | Self::Remove { name } => dir_of(name),
            Self::Rename { to, .. } => dir_of(to),
        }
    }
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    effects: u64,
    cut_at: Option<u64>,
    free_bytes: Option<u64>,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<Inner>>);

struct SimFile {
    disk: SimDisk,
    file: usize,
}

fn cut() -> io::Error {
    io::Error::other("the power is off")
}

fn apply(content: &mut Vec<u8>, change: &Pending) {
    match change {
        Pending::Write { offset, bytes } => {
            let end = *offset as usize + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset as usize..end].copy_from_slice(bytes);
        }
        Pending::Length(n) => content.resize(*n as usize, 0),
    }
}

/// A small generator for what survives (xorshift).
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

impl SimDisk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while it holds this")
    }
    /// Counts one effect; from the cut on nothing works any more.
    fn effect(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        if inner.cut_at.is_some_and(|at| inner.effects >= at) {
            return Err(cut());
        }
        inner.effects += 1;
        Ok(inner)
    }
    pub(crate) fn effects(&self) -> u64 {
        self.lock().effects
    }
    pub(crate) fn cut_at(&self, effect: u64) {
        self.lock().cut_at = Some(effect);
    }
    /// Full from now on, or not.
    pub(crate) fn set_free(&self, bytes: Option<u64>) {
        self.lock().free_bytes = bytes;
    }
    /// The disk as it is found after the cut.
    pub(crate) fn after_cut(&self, mut seed: u64) -> Self {
        seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let inner = self.lock();
        let mut found = Inner { files: inner.files.clone(), ..Inner::default() };
        for content in &mut found.files {
            let mut survived = content.durable.clone();
            for change in std::mem::take(&mut content.pending) {
                match (next(&mut seed) % 4, change) {
                    (0, _) => {}
                    (1, Pending::Write { offset, bytes }) => {
                        let torn = (next(&mut seed) as usize) % (bytes.len() + 1);
                        apply(&mut survived, &Pending::Write { offset, bytes: bytes[..torn].to_vec() });
                    }
                    (2, Pending::Write { offset, mut bytes }) => {
                        // The length got there, the first half of the data did not.
                        let half = bytes.len() / 2;
                        bytes[..half].fill(0);
                        apply(&mut survived, &Pending::Write { offset, bytes });
                    }
                    (_, change) => apply(&mut survived, &change),
                }
            }
            *content = Content { durable: survived.clone(), now: survived, pending: Vec::new() };
        }
        let mut names = inner.durable_names.clone();
        let reached = (next(&mut seed) as usize) % (inner.name_changes.len() + 1);
        inner.name_changes[..reached].iter().for_each(|change| change.apply(&mut names));
        found.names = names.clone();
        found.durable_names = names;
        Self(Arc::new(Mutex::new(found)))
    }
    pub(crate) fn files(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }
    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let inner = self.lock();
        inner.files[inner.names[name]].now.clone()
    }
    /// Puts bytes there behind everybody's back.
    pub(crate) fn set_bytes(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.lock();
        let file = inner.names[name];
        inner.files[file] = Content { durable: bytes.to_vec(), now: bytes.to_vec(), pending: Vec::new() };
    }
    pub(crate) fn unlink(&self, name: &str) {
        let mut inner = self.lock();
        inner.names.remove(name);
        inner.durable_names.remove(name);
    }
    /// A second disk with the same durable content.
    pub(crate) fn copy(&self) -> Self {
        let inner = self.lock();
        let files = inner.files.iter().map(|c| Content { durable: c.now.clone(), now: c.now.clone(), pending: vec![] });
        let (names, durable_names) = (inner.names.clone(), inner.names.clone());
        Self(Arc::new(Mutex::new(Inner { files: files.collect(), names, durable_names, ..Inner::default() })))
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.file].now.len() as u64)
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.disk.lock();
        let content = &inner.files[self.file].now;
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let part = from.checked_add(buffer.len()).and_then(|to| content.get(from..to));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.effect()?;
        if inner.free_bytes.is_some_and(|free| free < bytes.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = &mut inner.files[self.file];
        let change = Pending::Write { offset, bytes: bytes.to_vec() };
        apply(&mut content.now, &change);
        content.pending.push(change);
        Ok(())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut inner = self.disk.effect()?;
        let content = &mut inner.files[self.file];
        apply(&mut content.now, &Pending::Length(bytes));
        content.pending.push(Pending::Length(bytes));
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.effect()?;
        let content = &mut inner.files[self.file];
        content.durable = content.now.clone();
        content.pending.clear();
        Ok(())
    }
}

impl Disk for SimDisk {
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let inner = self.lock();
        let names = inner.names.keys().filter(|n| dir_of(n) == dir);
        Ok(names.map(|n| n.rsplit('/').next().unwrap_or_default().to_owned()).collect())
    }
    fn open(&self, name: &str) -> io::Result<SharedFile> {
        let file = *self.lock().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }
    fn create(&self, name: &str) -> io::Result<SharedFile> {
        let mut inner = self.effect()?;
        inner.files.push(Content::default());
        let file = inner.files.len() - 1;
        let change = NameChange::Create { name: name.to_owned(), file };
        change.apply(&mut inner.names);
        inner.name_changes.push(change);
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.effect()?;
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned() };
        change.apply(&mut inner.names);
        inner.name_changes.push(change);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.lock().names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut inner = self.effect()?;
        let change = NameChange::Remove { name: name.to_owned() };
        change.apply(&mut inner.names);
        inner.name_changes.push(change);
        Ok(())
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut inner = self.effect()?;
        let (synced, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.name_changes).into_iter().partition(|c| c.dir() == dir);
        synced.iter().for_each(|change| change.apply(&mut inner.durable_names));
        inner.name_changes = rest;
        Ok(())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.lock().free_bytes.unwrap_or(u64::MAX))
    }
    fn show(&self, name: &str) -> String {
        name.to_owned()
    }
}
