//! A disk in memory that behaves as badly as a disk may when the power goes: of what was not synced each write may be lost, kept or
//! torn, and each change of a name may have happened or not, in any combination that a journaling file system allows (a rename
//! is one step; what was synced stays).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Open, Place};

/// A sector is written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One change that reached the disk's queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    /// What was done.
    pub(crate) what: &'static str,
    /// To which file or directory.
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone)]
enum Dirty {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    seen: Vec<u8>,
    dirty: Vec<Dirty>,
    used: u64,
}

#[derive(Debug, Clone)]
enum Renaming {
    Bind(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Unbind(PathBuf),
}

impl Renaming {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Bind(path, _) | Self::Unbind(path) | Self::Move(_, path) => path.parent() == Some(dir),
        }
    }
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Bind(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Unbind(path) => drop(names.remove(path)),
            Self::Move(from, to) => {
                // Where the file never got its first name it cannot get the second.
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    durable: BTreeMap<PathBuf, usize>,
    seen: BTreeMap<PathBuf, usize>,
    renamings: Vec<Renaming>,
    changes: Vec<Change>,
    /// The power goes at the change with this number.
    cut_at: Option<usize>,
    random: u64,
    is_off: bool,
    free_bytes: Option<u64>,
    clock: u64,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model(Arc<Mutex<State>>);

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Cuts the power at the change with this number, counted from the disk's beginning; `seed` decides what survives.
    pub(crate) fn cut_at(&self, change: usize, seed: u64) {
        let mut state = self.state();
        state.cut_at = Some(change);
        state.random = seed.wrapping_mul(2).wrapping_add(1);
    }
    /// The power comes back: what had reached the disk is there.
    pub(crate) fn power_on(&self) {
        let mut state = self.state();
        state.is_off = false;
        state.cut_at = None;
    }
    pub(crate) fn is_off(&self) -> bool {
        self.state().is_off
    }
    /// The power goes now.
    pub(crate) fn cut(&self, seed: u64) {
        let mut state = self.state();
        state.random = seed.wrapping_mul(2).wrapping_add(1);
        state.lose();
    }
    /// Every change so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.state().changes.clone()
    }
    /// From now on so many bytes are free.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = Some(bytes);
    }
    /// Puts a file there that another machine wrote: durable, and no change of this one's.
    pub(crate) fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode { durable: content.to_vec(), seen: content.to_vec(), ..Inode::default() });
        state.seen.insert(path.to_owned(), inode);
        state.durable.insert(path.to_owned(), inode);
    }
    /// What a file holds; none if it is not there.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.seen.get(path).map(|inode| state.inodes[*inode].seen.clone())
    }
    /// Changes one bit of a file, as a worn cell does.
    pub(crate) fn flip(&self, path: &Path, offset: usize) {
        let mut state = self.state();
        if let Some(inode) = state.seen.get(path).copied() {
            let inode = &mut state.inodes[inode];
            inode.seen[offset] ^= 1;
            inode.durable = inode.seen.clone();
            inode.dirty.clear();
        }
    }
}

impl State {
    /// Notes a change; the power may go before it.
    fn change(&mut self, what: &'static str, path: &Path) -> io::Result<()> {
        if !self.is_off && self.cut_at == Some(self.changes.len()) {
            self.lose();
        }
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        self.changes.push(Change { what, path: path.to_owned() });
        Ok(())
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % of
    }

    fn lose(&mut self) {
        self.is_off = true;
        for renaming in std::mem::take(&mut self.renamings) {
            if self.chance(2) == 0 {
                renaming.apply(&mut self.durable);
            }
        }
        for i in 0..self.inodes.len() {
            for dirty in std::mem::take(&mut self.inodes[i].dirty) {
                match dirty {
                    Dirty::SetLen(len) => {
                        if self.chance(2) == 0 {
                            self.inodes[i].durable.resize(len, 0);
                        }
                    }
                    Dirty::Write(offset, data) => {
                        let fate = self.chance(3);
                        let mut at = 0;
                        while at < data.len() {
                            let n = (SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(data.len() - at);
                            if fate == 0 || fate == 2 && self.chance(2) == 0 {
                                write(&mut self.inodes[i].durable, offset + at, &data[at..at + n]);
                            }
                            at += n;
                        }
                    }
                }
            }
            self.inodes[i].seen = self.inodes[i].durable.clone();
        }
        self.seen = self.durable.clone();
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

impl Disk for Model {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn place(&self, path: &Path) -> io::Result<Place> {
        Ok(match self.state().seen.get(path) {
            Some(inode) => Place::Inode { device: 0, inode: *inode as u64 },
            None => Place::Missing { device: 0, inode: 0, name: path.to_owned() },
        })
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = match state.seen.get(path) {
            Some(inode) => *inode,
            None if how == Open::Create => {
                state.change("create", path)?;
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.seen.insert(path.to_owned(), inode);
                state.renamings.push(Renaming::Bind(path.to_owned(), inode));
                inode
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if state.is_off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(Box::new(ModelFile { disk: self.clone(), inode, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let Some(inode) = state.seen.get(from).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        state.change("rename", to)?;
        state.seen.remove(from);
        state.seen.insert(to.to_owned(), inode);
        state.renamings.push(Renaming::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.seen.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change("remove", path)?;
        state.seen.remove(path);
        state.renamings.push(Renaming::Unbind(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change("sync names", dir)?;
        let (synced, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.renamings).into_iter().partition(|r| r.is_in(dir));
        state.renamings = open;
        for renaming in synced {
            renaming.apply(&mut state.durable);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        let mut files: Vec<(u64, String, u64)> = state
            .seen
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .map(|(path, inode)| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (state.inodes[*inode].used, name, state.inodes[*inode].seen.len() as u64)
            })
            .collect();
        files.sort();
        Ok(files.into_iter().map(|(_, name, len)| (name, len)).collect())
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let Some(inode) = state.seen.get(path).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        state.clock += 1;
        state.inodes[inode].used = state.clock;
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free_bytes.unwrap_or(u64::MAX))
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send>> {
        Ok(Box::new(()))
    }
}

struct ModelFile {
    disk: Model,
    inode: usize,
    path: PathBuf,
}

impl DiskFile for ModelFile {
    fn place(&self) -> io::Result<Place> {
        Ok(Place::Inode { device: 0, inode: self.inode as u64 })
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].seen.len() as u64)
    }

    fn fixed_len_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn write_behind(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        if state.is_off {
            return Err(io::Error::other("the power is off"));
        }
        let content = &state.inodes[self.inode].seen;
        let offset = usize::try_from(offset).map_err(io::Error::other)?.min(content.len());
        let n = buffer.len().min(content.len() - offset);
        buffer[..n].copy_from_slice(&content[offset..offset + n]);
        Ok(n)
    }

    fn write_at(&mut self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change("write", &self.path)?;
        if let Some(free) = &mut state.free_bytes {
            *free = free.checked_sub(data.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
        }
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let (clock, inode) = (state.clock + 1, self.inode);
        state.clock = clock;
        let inode = &mut state.inodes[inode];
        write(&mut inode.seen, offset, data);
        inode.dirty.push(Dirty::Write(offset, data.to_vec()));
        inode.used = clock;
        Ok(())
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change("set length", &self.path)?;
        let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
        let inode = &mut state.inodes[self.inode];
        inode.seen.resize(len, 0);
        inode.dirty.push(Dirty::SetLen(len));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change("sync", &self.path)?;
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.seen.clone();
        inode.dirty.clear();
        Ok(())
    }
}
