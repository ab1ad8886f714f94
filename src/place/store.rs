//! The bytes of a pool: items until they have ended, outcomes until they are delivered.

use super::{ItemSize, Large, Outcome, Values};
use crate::{
    engine::{ChunkId, Status, WorkerId},
    native::Output,
};
// Keys are our own numbers, so nobody can choose colliding ones.
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Items as JavaScript submitted them. A part that is sent twice (its worker died) is cut from the same bytes.
#[derive(Debug, Default)]
pub struct Items {
    pub first_index: u64,
    pub flags: u8,
    pub sizes: Vec<ItemSize>,
    pub rows: Vec<u8>,
    pub text: Vec<u8>,
    /// What is too large for a row, with its item, in the order of items.
    pub large: Vec<(u32, Arc<Large>)>,
}

impl Items {
    /// Sizes, rows and text of the items `start..end`.
    #[must_use]
    pub fn part(&self, start: u32, end: u32) -> (&[ItemSize], &[u8], &[u8]) {
        let (start, end) = (start as usize, end as usize);
        let sum = |sizes: &[ItemSize]| {
            sizes.iter().fold((0, 0), |(row, text), size| (row + size.row as usize, text + size.text as usize))
        };
        let (row_at, text_at) = if start == 0 { (0, 0) } else { sum(&self.sizes[..start]) };
        let (rows, text) = if start == 0 && end == self.sizes.len() {
            (self.rows.len(), self.text.len())
        } else {
            sum(&self.sizes[start..end])
        };
        (&self.sizes[start..end], &self.rows[row_at..row_at + rows], &self.text[text_at..text_at + text])
    }

    /// What the items `start..end` have beside their rows.
    #[must_use]
    pub fn large(&self, start: u32, end: u32) -> &[(u32, Arc<Large>)] {
        let at = |item: u32| self.large.partition_point(|(of, _)| *of < item);
        &self.large[at(start)..at(end)]
    }
}

/// One outcome, somewhere in the bytes of its chunk.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub status: Status,
    pub worker: WorkerId,
    pub size: ItemSize,
    row_at: usize,
    text_at: usize,
    /// Its value has no row: it is kept by itself.
    is_large: bool,
}

/// A chunk's items, and their outcomes as far as they have come.
#[derive(Debug, Default)]
pub struct Chunk {
    items: Items,
    entries: Vec<Option<Entry>>,
    rows: Vec<u8>,
    text: Vec<u8>,
    /// Values that are too large for a row, until they are delivered.
    large: FxHashMap<u32, Output>,
    /// Workers that outcomes came from.
    workers: Vec<WorkerId>,
}

impl Chunk {
    /// Position of an item in its source.
    #[must_use]
    pub fn index(&self, item: u32) -> u64 {
        self.items.first_index + u64::from(item)
    }

    /// An outcome with its row and text.
    #[must_use]
    pub fn entry(&self, item: u32) -> Option<(Entry, &[u8], &[u8])> {
        let entry = (*self.entries.get(item as usize)?)?;
        if entry.is_large {
            return Some((entry, &[], &[]));
        }
        let row = &self.rows[entry.row_at..entry.row_at + entry.size.row as usize];
        let text = &self.text[entry.text_at..entry.text_at + entry.size.text as usize];
        Some((entry, row, text))
    }

    /// An outcome came from this worker.
    fn note_worker(&mut self, worker: WorkerId, kept: &mut FxHashMap<WorkerId, u32>) {
        if self.workers.last() != Some(&worker) && !self.workers.contains(&worker) {
            self.workers.push(worker);
            *kept.entry(worker).or_default() += 1;
        }
    }

    /// The value of an outcome that has no row.
    pub fn take_large(&mut self, item: u32) -> Option<Output> {
        // Nearly all chunks have none, and this is asked for every outcome.
        if self.large.is_empty() { None } else { self.large.remove(&item) }
    }
}

/// Chunks by their names.
#[derive(Debug, Default)]
pub struct Store {
    chunks: FxHashMap<ChunkId, Chunk>,
    /// In how many chunks a worker's outcomes are kept: what it defined is needed that long.
    kept: FxHashMap<WorkerId, u32>,
    exited: Vec<WorkerId>,
}

impl Store {
    pub fn insert(&mut self, id: ChunkId, items: Items) {
        let entries = vec![None; items.sizes.len()];
        self.chunks.insert(id, Chunk { items, entries, ..Chunk::default() });
    }

    #[must_use]
    pub fn items(&self, id: ChunkId) -> Option<&Items> {
        self.chunks.get(&id).map(|chunk| &chunk.items)
    }

    #[must_use]
    pub fn chunk_mut(&mut self, id: ChunkId) -> Option<&mut Chunk> {
        self.chunks.get_mut(&id)
    }

    #[must_use]
    pub fn chunk(&self, id: ChunkId) -> Option<&Chunk> {
        self.chunks.get(&id)
    }

    /// Keeps an outcome; `write` appends its bytes.
    pub fn put(
        &mut self,
        (id, item): (ChunkId, u32),
        worker: WorkerId,
        outcome: Outcome,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>),
    ) {
        let Some(chunk) = self.chunks.get_mut(&id) else { return };
        let (row_at, text_at) = (chunk.rows.len(), chunk.text.len());
        write(&mut chunk.rows, &mut chunk.text);
        chunk.entries[item as usize] =
            Some(Entry { status: outcome.status, worker, size: outcome.size, row_at, text_at, is_large: false });
        chunk.note_worker(worker, &mut self.kept);
    }

    /// Keeps values of consecutive items from `start` on.
    pub fn put_values(&mut self, id: ChunkId, start: u32, worker: WorkerId, values: &Values) {
        let Some(chunk) = self.chunks.get_mut(&id) else { return };
        let (mut row_at, mut text_at) = (chunk.rows.len(), chunk.text.len());
        chunk.rows.extend_from_slice(&values.rows);
        chunk.text.extend_from_slice(&values.text);
        for (entry, &size) in chunk.entries[start as usize..].iter_mut().zip(&values.sizes) {
            *entry = Some(Entry { status: Status::Value, worker, size, row_at, text_at, is_large: false });
            row_at += size.row as usize;
            text_at += size.text as usize;
        }
        chunk.note_worker(worker, &mut self.kept);
    }

    /// Keeps an outcome whose value is too large for a row.
    pub fn put_large(&mut self, (id, item): (ChunkId, u32), worker: WorkerId, outcome: Outcome, value: Output) {
        self.put((id, item), worker, outcome, |_, _| ());
        if let Some(chunk) = self.chunks.get_mut(&id) {
            chunk.large.insert(item, value);
            if let Some(Some(entry)) = chunk.entries.get_mut(item as usize) {
                entry.is_large = true;
            }
        }
    }

    pub fn release(&mut self, id: ChunkId) {
        for worker in self.chunks.remove(&id).map(|chunk| chunk.workers).unwrap_or_default() {
            if let Some(count) = self.kept.get_mut(&worker) {
                *count -= 1;
            }
        }
    }

    pub fn worker_exited(&mut self, worker: WorkerId) {
        self.exited.push(worker);
    }

    /// Workers that have exited and of which nothing is left here.
    pub fn forgotten(&mut self) -> Vec<WorkerId> {
        let (gone, rest) = std::mem::take(&mut self.exited)
            .into_iter()
            .partition(|worker| self.kept.get(worker).is_none_or(|count| *count == 0));
        self.exited = rest;
        let gone: Vec<WorkerId> = gone;
        for worker in &gone {
            self.kept.remove(worker);
        }
        gone
    }
}
