//! What goes to JavaScript in one crossing: words, then rows, then text, in one buffer. `lib/batch-reader.js` reads it.
//!
//! ```text
//! u32 words · u32 rows · u32 text        lengths: words in u32s (these four included), the others in bytes
//! u32 large                              how many values have no row here: they come by themselves
//! sections                               in words
//! rows                                   bytes of all entries, one behind the other
//! text                                   likewise
//! ```
//!
//! | section | words after its kind |
//! | --- | --- |
//! | 1 outcomes | call, count, then 5 words per entry |
//! | 2 stopping | call, one entry |
//! | 3 failed | call, one entry |
//! | 4 finished | call |
//! | 5 define | worker, shape, bytes in rows |
//! | 6 forget | worker: nothing that it defined is needed any more |
//! | 7 ready | worker, pid |
//! | 8 closed | |
//! | 9 start failed | one entry |
//! | 10 written | worker, stream (1 stdout, 2 stderr), bytes in rows |
//! | 11 exited | one entry |
//! | 12 again | call, chunk, item of it, attempt, whether JavaScript is asked, one entry: a try that failed |
//! | 13 tried | call, low and high half of the index, attempt: which try the error is of that comes |
//! | 14 message | worker, low and high half of the index, bytes in rows, bytes in text |
//! | 15 progress | worker, low and high half of the index, then two doubles (low half first): done, total |
//! | 16 notice | worker, which (see [`super::Notice`]), bytes in rows |
//! | 17 recycled | worker, why: 0 the pool closes, 1 its size, 2 idle, 3 tasks, 4 age, 5 memory |
//!
//! An entry: low half of the index; status and, from bit 8 on, the high half; worker; bytes of row; bytes of text.
//! The row of a lost item, a failed start or an exit is not a value: u32 length, JSON (see [`super::Exit`]), then the value that
//! the worker gave as the cause, or nothing.

use super::{ItemSize, Notice, output::Written, row};
use crate::{
    engine::{CallId, ChunkId, Status, Why, WorkerId},
    native::Output,
};
use millrace_channel::{layout::RECORD_BYTES, talk::Progress};
use tokio::sync::OwnedSemaphorePermit;

const OUTCOMES: u32 = 1;
const STOPPING: u32 = 2;
const FAILED: u32 = 3;
const FINISHED: u32 = 4;
const DEFINE: u32 = 5;
const FORGET: u32 = 6;
const READY: u32 = 7;
const CLOSED: u32 = 8;
const START_FAILED: u32 = 9;
const WRITTEN: u32 = 10;
const EXITED: u32 = 11;
const AGAIN: u32 = 12;
const TRIED: u32 = 13;
const MESSAGE: u32 = 14;
const PROGRESS: u32 = 15;
const NOTICE: u32 = 16;
const RECYCLED: u32 = 17;

/// Bytes of the three lengths, and of the number of large values.
const HEADER_BYTES: usize = 16;

/// An entry without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub index: u64,
    pub status: Status,
    pub worker: WorkerId,
    pub size: ItemSize,
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub struct Batch {
    /// Little-endian.
    words: Vec<u8>,
    rows: Vec<u8>,
    text: Vec<u8>,
    /// Values that are too large for a row. The rows of their entries say which.
    large: Vec<Output>,
    /// Those of the batch that was written last, until JavaScript takes them.
    taken: Vec<Output>,
    /// Where the count of the last section of outcomes stands, and its call, as long as it is the last section.
    open: Option<(usize, CallId)>,
    /// Of what workers wrote: they may write more when JavaScript has taken it.
    room: Vec<OwnedSemaphorePermit>,
    /// What messages in here take of the windows of their workers.
    messages: Vec<(WorkerId, u32)>,
}

impl Batch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub fn outcome(&mut self, call: CallId, head: Head, row: &[u8], text: &[u8]) {
        match self.open {
            Some((count_at, open)) if open == call => {
                let count = &mut self.words[count_at..count_at + 4];
                let more = u32::from_le_bytes([count[0], count[1], count[2], count[3]]) + 1;
                count.copy_from_slice(&more.to_le_bytes());
            }
            _ => {
                self.section([OUTCOMES, call, 1]);
                self.open = Some((self.words.len() - 4, call));
            }
        }
        self.entry(head, row, text);
    }

    pub fn large_outcome(&mut self, call: CallId, head: Head, value: Output) {
        let row = row::large(self.large.len() as u32, head.size.total());
        self.large.push(value);
        let size = ItemSize { row: row.len() as u32, text: 0 };
        self.outcome(call, Head { size, ..head }, &row, &[]);
    }

    pub fn stopping(&mut self, call: CallId, head: Head, row: &[u8], text: &[u8]) {
        self.section([STOPPING, call]);
        self.entry(head, row, text);
    }

    pub fn failed(&mut self, call: CallId, head: Head, row: &[u8]) {
        self.section([FAILED, call]);
        self.entry(head, row, &[]);
    }

    pub fn start_failed(&mut self, head: Head, row: &[u8]) {
        self.section([START_FAILED]);
        self.entry(head, row, &[]);
    }

    /// A try that failed, and after which there is, or may be, another.
    #[allow(clippy::too_many_arguments)] // they are the section
    pub fn again(&mut self, chunk: ChunkId, item: u32, attempt: u32, asks: bool, head: Head, row: &[u8], text: &[u8]) {
        self.section([AGAIN, chunk.call, chunk.sequence, item, attempt, u32::from(asks)]);
        self.entry(head, row, text);
    }

    pub fn tried(&mut self, call: CallId, index: u64, attempt: u32) {
        self.section([TRIED, call, index as u32, (index >> 32) as u32, attempt]);
    }

    pub fn finished(&mut self, call: CallId) {
        self.section([FINISHED, call]);
    }

    pub fn define(&mut self, worker: WorkerId, id: u32, definition: &[u8]) {
        self.section([DEFINE, worker, id, definition.len() as u32]);
        self.rows.extend_from_slice(definition);
    }

    pub fn forget(&mut self, worker: WorkerId) {
        self.section([FORGET, worker]);
    }

    pub fn ready(&mut self, worker: WorkerId, pid: u32) {
        self.section([READY, worker, pid]);
    }

    pub fn written(&mut self, Written { worker, stream, bytes, room }: Written) {
        self.section([WRITTEN, worker, stream as u32, bytes.len() as u32]);
        self.rows.extend_from_slice(&bytes);
        self.room.extend(room);
    }

    pub fn exited(&mut self, head: Head, row: &[u8]) {
        self.section([EXITED]);
        self.entry(head, row, &[]);
    }

    /// A message, whose bytes are written by `take`.
    pub fn message(
        &mut self,
        worker: WorkerId,
        index: u64,
        size: ItemSize,
        take: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>),
    ) {
        self.section([MESSAGE, worker, index as u32, (index >> 32) as u32, size.row, size.text]);
        take(&mut self.rows, &mut self.text);
        let bytes = size.total() + RECORD_BYTES as u32;
        match self.messages.last_mut() {
            Some((last, sum)) if *last == worker && sum.checked_add(bytes).is_some() => *sum += bytes,
            _ => self.messages.push((worker, bytes)),
        }
    }

    pub fn progress(&mut self, worker: WorkerId, Progress { index, done, total }: Progress) {
        let wide = [index, done.to_bits(), total.to_bits()].map(|wide| [wide as u32, (wide >> 32) as u32]);
        let [[index, index_high], [done, done_high], [total, total_high]] = wide;
        self.section([PROGRESS, worker, index, index_high, done, done_high, total, total_high]);
    }

    /// Whose messages are taken with this batch, and how much that is of their windows.
    pub fn take_messages(&mut self) -> Vec<(WorkerId, u32)> {
        std::mem::take(&mut self.messages)
    }

    pub fn notice(&mut self, worker: WorkerId, notice: Notice, text: &str) {
        self.section([NOTICE, worker, notice as u32, text.len() as u32]);
        self.rows.extend_from_slice(text.as_bytes());
    }

    pub fn recycled(&mut self, worker: WorkerId, why: Why) {
        let why = match why {
            Why::Closing => 0,
            Why::Size => 1,
            Why::Idle => 2,
            Why::Tasks => 3,
            Why::Age => 4,
            Why::Memory => 5,
        };
        self.section([RECYCLED, worker, why]);
    }

    pub fn closed(&mut self) {
        self.section([CLOSED]);
    }

    /// Bytes of the buffer that it becomes.
    #[must_use]
    pub fn len(&self) -> usize {
        HEADER_BYTES + self.words.len() + self.rows.len() + self.text.len()
    }

    /// Writes it to the start of `into`, which has room for it, and empties it.
    pub fn write_to(&mut self, into: &mut [u8]) {
        let lengths = [(HEADER_BYTES + self.words.len()) / 4, self.rows.len(), self.text.len(), self.large.len()];
        let header = lengths.map(|length| (length as u32).to_le_bytes());
        let mut at = 0;
        for area in [header.as_flattened(), &self.words, &self.rows, &self.text] {
            into[at..at + area.len()].copy_from_slice(area);
            at += area.len();
        }
        self.open = None;
        self.taken = std::mem::take(&mut self.large);
        self.room.clear();
        // What one large result needed is not kept for ever.
        for area in [&mut self.words, &mut self.rows, &mut self.text] {
            area.clear();
            area.shrink_to(256 << 10);
        }
    }

    /// The large values of the batch that was written last.
    pub fn take_large(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.taken)
    }

    fn section<const N: usize>(&mut self, words: [u32; N]) {
        self.open = None;
        self.push(words);
    }

    fn push<const N: usize>(&mut self, words: [u32; N]) {
        self.words.extend_from_slice(words.map(u32::to_le_bytes).as_flattened());
    }

    fn entry(&mut self, head: Head, row: &[u8], text: &[u8]) {
        let status = match head.status {
            Status::Value => 0,
            Status::Error | Status::Rejected => 1,
            Status::Skipped => 2,
            Status::Lost => 3,
            Status::TimedOut => 4,
        };
        let high = (head.index >> 32) as u32;
        self.push([head.index as u32, status | high << 8, head.worker, head.size.row, head.size.text]);
        self.rows.extend_from_slice(row);
        self.text.extend_from_slice(text);
    }
}
