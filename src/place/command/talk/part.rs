//! A part of a chunk, as a program is told it: how much of it was sent, written and answered.

use super::{Format, VALUE};
use crate::place;

/// A part of a chunk.
#[derive(Debug)]
pub struct Part {
    pub cell: u8,
    /// Lowered when items are taken back.
    pub items: u32,
    /// Where the bytes of each item end; those of one that has failed already are none.
    pub ends: Vec<usize>,
    pub bytes: Vec<u8>,
    /// Items that may be written, and the bytes of them that are.
    pub sent: u32,
    pub written: usize,
    pub answered: u32,
}

impl Part {
    pub fn new(part: &place::Part<'_>, format: Format) -> Self {
        let (mut bytes, mut ends) = (Vec::with_capacity(part.rows.len() + part.sizes.len()), Vec::new());
        let mut rows = part.rows;
        for size in part.sizes {
            let (row, rest) = rows.split_at(size.row as usize);
            rows = rest;
            if let Some((&VALUE, item)) = row.split_first() {
                format.write(item, &mut bytes);
            }
            ends.push(bytes.len());
        }
        let items = ends.len() as u32;
        Self { cell: part.cell, items, ends, bytes, sent: 0, written: 0, answered: 0 }
    }

    pub fn has_failed(&self, item: u32) -> bool {
        let item = item as usize;
        self.ends[item] == if item == 0 { 0 } else { self.ends[item - 1] }
    }

    /// Something of the first item without an answer was written, and is not among the last `untouched` bytes.
    pub fn has_begun(&self, untouched: usize) -> bool {
        let before = self.answered.checked_sub(1).map_or(0, |item| self.ends[item as usize]);
        self.answered < self.sent && self.written.saturating_sub(untouched) > before
    }

    pub fn unwritten(&self) -> &[u8] {
        let end = if self.sent == 0 { 0 } else { self.ends[self.sent as usize - 1] };
        &self.bytes[self.written..end]
    }
}
