//! The parent's end of a channel. All that it reads was written by the worker and is hostile: a header is copied once
//! and checked, rows and text are copied out, and lengths that cannot be are [`Corrupt`]. The worst that a worker can
//! do here is to lose its own items and be killed.

use crate::{
    claim,
    doorbell::Doorbell,
    layout,
    ring::{self, Corrupt, RingMemory},
    segment::Segment,
    sleep,
    sync::Ordering,
};

/// What a record in the row ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Fills the rest of the ring; skipped.
    Padding = 0,
    /// The outcome of one item: cell, item, status, value.
    Outcome = 1,
    /// The chunk in a cell is over; `number` is the microseconds that it took.
    ChunkDone = 2,
    /// A shape that later values refer to.
    Define = 3,
    /// The worker is ready.
    Ready = 4,
    /// The worker cannot start; the row is the error.
    StartError = 5,
    /// An uncaught error is about to end the worker; the row is the error.
    Fatal = 6,
    /// The worker lets go of a cell that it was told to forget.
    Released = 7,
}

impl RecordKind {
    fn parse(kind: u8) -> Option<Self> {
        Some(match kind {
            0 => Self::Padding,
            1 => Self::Outcome,
            2 => Self::ChunkDone,
            3 => Self::Define,
            4 => Self::Ready,
            5 => Self::StartError,
            6 => Self::Fatal,
            7 => Self::Released,
            _ => return None,
        })
    }
}

/// A checked record header.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub kind: RecordKind,
    pub cell: u8,
    pub status: u8,
    pub item: u32,
    pub number: u32,
    row_bytes: u32,
    text_bytes: u32,
    text_at: u32,
    streamed: bool,
}

impl Record {
    /// Bytes of row and text.
    #[must_use]
    pub const fn sizes(&self) -> (u32, u32) {
        (self.row_bytes, self.text_bytes)
    }
}

/// The parent's end.
#[derive(Debug)]
pub struct ParentEnd {
    segment: Segment,
    /// Rung by us.
    worker_bell: Doorbell,
    /// Rung by the worker.
    bell: Doorbell,
    /// How far we have read. Kept here because the worker could change the words in the segment.
    row_head: u32,
    text_head: u32,
    /// A streamed record that is arriving: its header, and row and text so far.
    stream: Option<(Record, Vec<u8>)>,
}

impl ParentEnd {
    /// Makes the segment and both doorbells.
    pub fn create(capacities: layout::Capacities) -> std::io::Result<Self> {
        Ok(Self {
            segment: Segment::create(capacities)?,
            worker_bell: Doorbell::new()?,
            bell: Doorbell::new()?,
            row_head: 0,
            text_head: 0,
            stream: None,
        })
    }

    /// What the child inherits: segment, its doorbell, ours.
    #[must_use]
    pub fn inherited(&self) -> (&Segment, &Doorbell, &Doorbell) {
        (&self.segment, &self.worker_bell, &self.bell)
    }

    /// The doorbell to wait for.
    #[must_use]
    pub const fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// Writes as much of `bytes` into the request ring as there is room for; returns how much. Where not all fitted, the
    /// worker rings us when there is room again.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let mut sent = self.write(bytes)?;
        if sent < bytes.len() {
            sleep::announce(self.segment.word(layout::PARENT_WANTS_ROOM));
            sent += self.write(&bytes[sent..])?;
        }
        if sleep::must_ring(self.segment.word(layout::WORKER_SLEEPS)) {
            self.worker_bell.ring();
        }
        Ok(sent)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let (head, tail) = (self.segment.word(layout::REQUEST_HEAD), self.segment.word(layout::REQUEST_TAIL));
        ring::write(&self.segment.request(), head, tail, bytes)
    }

    /// The next record, if a whole one is there. Take it with [`Self::take`] before asking again.
    pub fn next_record(&mut self) -> Result<Option<Record>, Corrupt> {
        loop {
            if let Some((record, _)) = self.stream {
                return Ok(self.continue_stream(record)?.then_some(record));
            }
            let there = self.segment.word(layout::ROW_TAIL).load(Ordering::SeqCst).wrapping_sub(self.row_head);
            let capacity = self.segment.row().capacity();
            if there > capacity {
                return Err(Corrupt);
            }
            if there == 0 {
                return Ok(None);
            }
            let offset = self.row_head & (capacity - 1);
            let to_end = capacity - offset;
            if to_end < layout::RECORD_BYTES as u32 {
                if there < to_end {
                    return Err(Corrupt);
                }
                self.row_head = self.row_head.wrapping_add(to_end);
                continue;
            }
            let record = self.header(offset, there, to_end)?;
            match record.kind {
                RecordKind::Padding => self.skip(layout::RECORD_BYTES as u32 + padded(record.row_bytes)),
                _ if record.streamed => {
                    self.skip(layout::RECORD_BYTES as u32);
                    self.stream = Some((record, Vec::new()));
                }
                _ => return Ok(Some(record)),
            }
        }
    }

    /// Appends the row and the text of the record that [`Self::next_record`] returned, and moves past it.
    pub fn take(&mut self, record: &Record, rows: &mut Vec<u8>, text: &mut Vec<u8>) {
        if let Some((_, bytes)) = self.stream.take() {
            let (row, characters) = bytes.split_at(record.row_bytes as usize);
            rows.extend_from_slice(row);
            text.extend_from_slice(characters);
            return;
        }
        let row_at = self.row_head.wrapping_add(layout::RECORD_BYTES as u32);
        ring::copy(&self.segment.row(), row_at, record.row_bytes as usize, rows);
        if record.text_bytes > 0 {
            ring::copy(&self.segment.text(), record.text_at, record.text_bytes as usize, text);
            self.text_head = record.text_at.wrapping_add(record.text_bytes);
        }
        self.skip(layout::RECORD_BYTES as u32 + padded(record.row_bytes));
    }

    /// Gives the room of everything taken so far back to the worker.
    pub fn release(&mut self) {
        self.segment.word(layout::ROW_HEAD).store(self.row_head, Ordering::SeqCst);
        self.segment.word(layout::TEXT_HEAD).store(self.text_head, Ordering::SeqCst);
        let wants = self.segment.word(layout::WORKER_WANTS_ROOM);
        if sleep::must_ring(wants) {
            crate::worker::wake_waiter(wants);
        }
    }

    /// Says that we are about to sleep; returns whether there is something after all (then we do not).
    pub fn sleep(&mut self) -> bool {
        let flag = self.segment.word(layout::PARENT_SLEEPS);
        sleep::announce(flag);
        let more = self.segment.word(layout::ROW_TAIL).load(Ordering::SeqCst) != self.row_head;
        if more {
            sleep::withdraw(flag);
        }
        more
    }

    /// Opens a claim cell for a chunk of `items`. Send the chunk after it.
    pub fn open_claims(&self, cell: u8, items: u32) {
        claim::open(self.segment.claim_cell(cell.into()), items);
    }

    /// How many of the `items` of the chunk in `cell` are claimed.
    #[must_use]
    pub fn claimed(&self, cell: u8, items: u32) -> u32 {
        claim::claimed(self.segment.claim_cell(cell.into()), items)
    }

    /// Takes up to `most` unclaimed items of the chunk in `cell` back from its end; returns the new end.
    #[must_use]
    pub fn take_back(&self, cell: u8, items: u32, most: u32) -> u32 {
        claim::take_back(self.segment.claim_cell(cell.into()), items, most)
    }

    /// Lets the worker poll for up to `micros` before it sleeps: where a core is free, that saves waking it.
    pub fn allow_spinning(&self, micros: u32) {
        let word = self.segment.word(layout::SPIN_MICROS);
        if word.load(Ordering::Relaxed) != micros {
            word.store(micros, Ordering::Relaxed);
        }
    }

    fn header(&self, offset: u32, there: u32, to_end: u32) -> Result<Record, Corrupt> {
        if there < layout::RECORD_BYTES as u32 {
            return Err(Corrupt);
        }
        let mut bytes = [0; layout::RECORD_BYTES];
        self.segment.row().load(offset, &mut bytes);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let streamed = bytes[12] & layout::STREAMED != 0;
        let record = Record {
            kind: RecordKind::parse(bytes[12] & !layout::STREAMED).ok_or(Corrupt)?,
            cell: bytes[13],
            status: bytes[14],
            row_bytes: word(0),
            text_bytes: word(4),
            text_at: word(8),
            item: word(16),
            number: word(20),
            streamed,
        };
        if streamed {
            return Ok(record);
        }
        // The row: whole, and not around the end.
        let row = u64::from(record.row_bytes).next_multiple_of(layout::RECORD_ALIGN as u64) + layout::RECORD_BYTES as u64;
        if row > u64::from(there) || row > u64::from(to_end) {
            return Err(Corrupt);
        }
        // The text: ahead of what was read, and not around the end.
        if record.text_bytes > 0 {
            let capacity = self.segment.text().capacity();
            let ahead = u64::from(record.text_at.wrapping_sub(self.text_head)) + u64::from(record.text_bytes);
            let at_end = u64::from(record.text_at & (capacity - 1)) + u64::from(record.text_bytes);
            if ahead > u64::from(capacity) || at_end > u64::from(capacity) {
                return Err(Corrupt);
            }
        }
        Ok(record)
    }

    /// Reads on in a streamed record; returns whether it is whole.
    fn continue_stream(&mut self, record: Record) -> Result<bool, Corrupt> {
        let Some((_, bytes)) = &mut self.stream else { return Ok(false) };
        // Grows as bytes arrive: a length alone makes no allocation.
        let whole = record.row_bytes as usize + record.text_bytes as usize;
        let missing = whole - bytes.len();
        let there = self.segment.word(layout::ROW_TAIL).load(Ordering::SeqCst).wrapping_sub(self.row_head);
        if there > self.segment.row().capacity() {
            return Err(Corrupt);
        }
        let count = missing.min(there as usize);
        ring::copy(&self.segment.row(), self.row_head, count, bytes);
        self.row_head = self.row_head.wrapping_add(count as u32);
        if count < missing {
            return Ok(false);
        }
        // The next header is aligned again.
        self.row_head = self.row_head.wrapping_add(self.row_head.wrapping_neg() % layout::RECORD_ALIGN as u32);
        Ok(true)
    }

    fn skip(&mut self, bytes: u32) {
        self.row_head = self.row_head.wrapping_add(bytes);
    }
}

fn padded(bytes: u32) -> u32 {
    bytes.next_multiple_of(layout::RECORD_ALIGN as u32)
}
