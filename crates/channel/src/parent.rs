//! The parent's end of a channel. All that it reads was written by the worker and is hostile: a header is copied once
//! and checked, rows and text are copied out, and lengths that cannot be are [`Corrupt`]. The worst that a worker can
//! do here is to lose its own items and be killed.

use crate::{
    claim,
    doorbell::Doorbell,
    layout,
    link::Link,
    ring::{self, Corrupt, RingMemory},
    segment::Segment,
    sleep,
    sync::Ordering,
    talk::{Progress, ProgressCells, Window},
};
use std::os::fd::{AsFd, BorrowedFd};

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
    /// Something for whoever listens to the worker; `item` and `number` are the halves of an item's index.
    Message = 7,
    /// The worker has heard that the time of an item is over: cell, item.
    AbortHeard = 8,
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
            7 => Self::Message,
            8 => Self::AbortHeard,
            _ => return None,
        })
    }

    /// The most bytes that row and text can have together.
    const fn most_bytes(self) -> u64 {
        match self {
            Self::Message => layout::MAX_MESSAGE_BYTES,
            _ => layout::MAX_RECORD_BYTES,
        }
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

    /// The index that a message names: one that JavaScript can hold, whatever the worker wrote.
    #[must_use]
    pub fn index(&self) -> u64 {
        u64::from(self.item) | u64::from(self.number & INDEX_HIGH) << 32
    }

    /// What a message takes of [`layout::MESSAGE_WINDOW`].
    #[must_use]
    pub const fn message_bytes(&self) -> u32 {
        // Both were checked against what a message can have.
        self.row_bytes + self.text_bytes + layout::RECORD_BYTES as u32
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
    /// How far the worker knows that we have read: it may write a capacity ahead of this, and no further. So however it
    /// moves its tail meanwhile, what there is to read before the next [`Self::release`] has an end.
    row_released: u32,
    text_released: u32,
    /// A streamed record that is arriving: its header, and row and text so far.
    stream: Option<(Record, Vec<u8>)>,
    messages: Window,
    progress: ProgressCells,
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
            row_released: 0,
            text_released: 0,
            stream: None,
            messages: Window::default(),
            progress: ProgressCells::default(),
        })
    }

    /// What the child inherits: segment, its doorbell, ours.
    #[must_use]
    pub fn inherited(&self) -> (&Segment, &Doorbell, &Doorbell) {
        (&self.segment, &self.worker_bell, &self.bell)
    }

    /// Wakes the worker, if it waits for room of any kind.
    fn wake_waiter(&self) {
        let wants = self.segment.word(layout::WORKER_WANTS_ROOM);
        if sleep::must_ring(wants) {
            crate::worker::wake_waiter(wants);
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let (head, tail) = (self.segment.word(layout::REQUEST_HEAD), self.segment.word(layout::REQUEST_TAIL));
        ring::write(&self.segment.request(), head, tail, bytes)
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
            let whole = u64::from(record.row_bytes) + u64::from(record.text_bytes);
            let can_be = record.kind != RecordKind::Padding && whole <= record.kind.most_bytes();
            return if can_be { Ok(record) } else { Err(Corrupt) };
        }
        // The row: whole, and not around the end.
        let row =
            u64::from(record.row_bytes).next_multiple_of(layout::RECORD_ALIGN as u64) + layout::RECORD_BYTES as u64;
        if row > u64::from(there) || row > u64::from(to_end) {
            return Err(Corrupt);
        }
        // The text: ahead of what was read, and not around the end.
        if record.text_bytes > 0 {
            let capacity = self.segment.text().capacity();
            let read = self.text_head.wrapping_sub(self.text_released);
            let start = record.text_at.wrapping_sub(self.text_released);
            let end = u64::from(start) + u64::from(record.text_bytes);
            let at_end = u64::from(record.text_at & (capacity - 1)) + u64::from(record.text_bytes);
            if start < read || end > u64::from(capacity) || at_end > u64::from(capacity) {
                return Err(Corrupt);
            }
        }
        Ok(record)
    }

    /// Reads on in a streamed record; returns whether it is whole.
    fn continue_stream(&mut self, record: Record) -> Result<bool, Corrupt> {
        let there = self.unread()? as usize;
        let Some((_, bytes)) = &mut self.stream else { return Ok(false) };
        // Grows as bytes arrive: a length alone makes no allocation.
        let whole = record.row_bytes as usize + record.text_bytes as usize;
        let count = (whole - bytes.len()).min(there);
        ring::copy(&self.segment.row(), self.row_head, count, bytes);
        // The next header is aligned again: what fills up to there is part of the stream, and may come later.
        let fill = whole.next_multiple_of(layout::RECORD_ALIGN) - whole;
        let is_whole = bytes.len() == whole && there - count >= fill;
        self.skip(if is_whole { count + fill } else { count } as u32);
        Ok(is_whole)
    }

    /// How much was published and is not read.
    fn unread(&self) -> Result<u32, Corrupt> {
        let published = self.segment.word(layout::ROW_TAIL).load(Ordering::Acquire).wrapping_sub(self.row_released);
        let read = self.row_head.wrapping_sub(self.row_released);
        if published < read || published > self.segment.row().capacity() {
            return Err(Corrupt);
        }
        Ok(published - read)
    }

    fn skip(&mut self, bytes: u32) {
        self.row_head = self.row_head.wrapping_add(bytes);
    }
}

impl Link for ParentEnd {
    fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
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

    fn next_record(&mut self) -> Result<Option<Record>, Corrupt> {
        loop {
            if let Some((record, _)) = self.stream {
                return Ok(self.continue_stream(record)?.then_some(record));
            }
            let there = self.unread()?;
            if there == 0 {
                return Ok(None);
            }
            let capacity = self.segment.row().capacity();
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

    fn take(&mut self, record: &Record, rows: &mut Vec<u8>, text: &mut Vec<u8>) {
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

    fn release(&mut self) {
        if (self.row_head, self.text_head) == (self.row_released, self.text_released) {
            return;
        }
        (self.row_released, self.text_released) = (self.row_head, self.text_head);
        self.segment.word(layout::ROW_HEAD).store(self.row_head, Ordering::Release);
        self.segment.word(layout::TEXT_HEAD).store(self.text_head, Ordering::Release);
        self.wake_waiter();
    }

    fn sleep(&mut self) -> bool {
        let flag = self.segment.word(layout::PARENT_SLEEPS);
        sleep::announce(flag);
        let more = self.segment.word(layout::ROW_TAIL).load(Ordering::Acquire) != self.row_head;
        if more {
            sleep::withdraw(flag);
        }
        more
    }

    fn open_claims(&self, cell: u8, items: u32) {
        claim::open(self.segment.claim_cell(cell.into()), items);
    }

    fn claimed(&self, cell: u8, items: u32) -> u32 {
        claim::claimed(self.segment.claim_cell(cell.into()), items)
    }

    fn take_back(&self, cell: u8, items: u32, most: u32) -> u32 {
        claim::take_back(self.segment.claim_cell(cell.into()), items, most)
    }

    fn listen(&mut self, to: u32) {
        // What was said before is nothing new.
        self.progress.read(&self.segment, &mut |_| ());
        self.segment.word(layout::LISTENING).store(to, Ordering::SeqCst);
    }

    fn note_message(&mut self, record: &Record) -> bool {
        self.messages.note(record.message_bytes())
    }

    fn messages_taken(&mut self, bytes: u32) {
        let head = self.messages.take(bytes);
        self.segment.word(layout::MESSAGE_HEAD).store(head, Ordering::Release);
        self.wake_waiter();
    }

    fn progress(&mut self, changed: &mut dyn FnMut(Progress)) {
        self.progress.read(&self.segment, changed);
    }

    fn allow_spinning(&self, micros: u32) {
        let word = self.segment.word(layout::SPIN_MICROS);
        if word.load(Ordering::Relaxed) != micros {
            word.store(micros, Ordering::Relaxed);
        }
    }
}

/// Indexes have 53 bits.
pub(crate) const INDEX_HIGH: u32 = (1 << 21) - 1;

fn padded(bytes: u32) -> u32 {
    bytes.next_multiple_of(layout::RECORD_ALIGN as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROW: usize = 4096;
    const TEXT: usize = 4096;

    fn end() -> ParentEnd {
        ParentEnd::create(layout::Capacities { request: 4096, row: ROW, text: TEXT }).unwrap()
    }

    #[derive(Clone, Copy, Debug)]
    struct Header {
        row: u32,
        text: u32,
        text_at: u32,
        kind: u8,
    }

    impl Header {
        fn bytes(self) -> [u8; layout::RECORD_BYTES] {
            let mut bytes = [0; layout::RECORD_BYTES];
            bytes[0..4].copy_from_slice(&self.row.to_le_bytes());
            bytes[4..8].copy_from_slice(&self.text.to_le_bytes());
            bytes[8..12].copy_from_slice(&self.text_at.to_le_bytes());
            bytes[12] = self.kind;
            bytes
        }
    }

    const OUTCOME: u8 = RecordKind::Outcome as u8;
    const BARE: Header = Header { row: 0, text: 0, text_at: 0, kind: OUTCOME };

    /// What a worker does: writes bytes at a position of the row ring, and publishes up to one.
    fn put(end: &ParentEnd, at: u32, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            end.segment.row().store(at.wrapping_add(offset as u32) & (ROW as u32 - 1), &[*byte]);
        }
    }

    fn publish(end: &ParentEnd, tail: u32) {
        end.segment.word(layout::ROW_TAIL).store(tail, Ordering::SeqCst);
    }

    fn take(end: &mut ParentEnd, record: &Record) -> (Vec<u8>, Vec<u8>) {
        let (mut row, mut text) = (Vec::new(), Vec::new());
        end.take(record, &mut row, &mut text);
        (row, text)
    }

    fn stream_of(row: u32, text: u32) -> [u8; layout::RECORD_BYTES] {
        Header { row, text, text_at: 0, kind: OUTCOME | layout::STREAMED }.bytes()
    }

    #[test]
    fn a_stream_whose_padding_comes_later_than_its_bytes_is_not_corrupt() {
        let mut end = end();
        put(&end, 0, &stream_of(3, 2));
        put(&end, 24, b"abcde");
        publish(&end, 29);
        assert!(end.next_record().unwrap().is_none(), "the padding belongs to it");
        publish(&end, 32);
        let record = end.next_record().unwrap().unwrap();
        assert_eq!(take(&mut end, &record), (b"abc".to_vec(), b"de".to_vec()));
        assert!(end.next_record().unwrap().is_none());
    }

    #[test]
    fn a_stream_allocates_only_for_bytes_that_arrive() {
        let mut end = end();
        put(&end, 0, &stream_of(1 << 31, 0));
        publish(&end, 24 + 1000);
        assert!(end.next_record().unwrap().is_none());
        assert!(end.stream.as_ref().unwrap().1.capacity() <= 2 * ROW);
    }

    #[test]
    fn what_cannot_be_streamed_is_refused() {
        for header in [
            stream_of(1 << 31, 1),
            stream_of(u32::MAX, u32::MAX),
            Header { kind: layout::STREAMED, row: 0, text: 0, text_at: 0 }.bytes(),
            Header { kind: layout::STREAMED, row: u32::MAX, text: 0, text_at: 0 }.bytes(),
        ] {
            let mut end = end();
            put(&end, 0, &header);
            publish(&end, 24);
            assert_eq!(end.next_record().err(), Some(Corrupt));
        }
    }

    #[test]
    fn a_tail_that_runs_ahead_of_the_reader_ends_at_what_was_released() {
        let mut end = end();
        // 32 bytes each, so that they fill the ring, and any piece of its endless repetition is right.
        for at in (0..ROW as u32).step_by(32) {
            put(&end, at, &Header { kind: RecordKind::Ready as u8, row: 8, ..BARE }.bytes());
        }
        let mut records = 0;
        let corrupt = loop {
            // As fast as we read, without ever being given room.
            publish(&end, end.row_head + 32);
            match end.next_record() {
                Ok(Some(record)) => _ = take(&mut end, &record),
                Ok(None) => unreachable!("there is always one"),
                Err(corrupt) => break corrupt,
            }
            records += 1;
            assert!(records <= ROW / 32, "more than the ring holds");
        };
        assert_eq!(corrupt, Corrupt);
    }

    #[test]
    fn the_same_text_cannot_be_given_out_twice() {
        let mut end = end();
        let header = Header { text: 4000, ..BARE }.bytes();
        put(&end, 0, &header);
        put(&end, 24, &header);
        publish(&end, 48);
        let record = end.next_record().unwrap().unwrap();
        take(&mut end, &record);
        assert_eq!(end.next_record().err(), Some(Corrupt));
    }

    #[test]
    fn a_tail_cannot_go_back() {
        let mut end = end();
        put(&end, 0, &BARE.bytes());
        publish(&end, 24);
        let record = end.next_record().unwrap().unwrap();
        take(&mut end, &record);
        publish(&end, 0);
        assert_eq!(end.next_record().err(), Some(Corrupt));
    }

    #[test]
    fn a_record_may_end_exactly_at_the_end_of_its_ring() {
        let mut end = end();
        (end.row_head, end.row_released) = (4056, 4056);
        (end.text_head, end.text_released) = (4090, 4090);
        put(&end, 4056, &Header { row: 16, text: 6, text_at: 4090, kind: OUTCOME }.bytes());
        publish(&end, 4096);
        let record = end.next_record().unwrap().unwrap();
        let (row, text) = take(&mut end, &record);
        assert_eq!((row.len(), text.len(), end.row_head, end.text_head), (16, 6, 4096, 4096));
    }

    fn header() -> impl Strategy<Value = Header> {
        let length = prop_oneof![0..64u32, 0..8192u32, any::<u32>(), (0..64u32).prop_map(|less| u32::MAX - less)];
        let kind = prop_oneof![0..9u8, (0..9u8).prop_map(|kind| kind | layout::STREAMED), any::<u8>()];
        (length.clone(), length, any::<u32>(), 0..8192u32, any::<bool>(), kind).prop_map(
            |(row, text, far, near, is_near, kind)| Header {
                row,
                text,
                text_at: if is_near { near } else { far },
                kind,
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_a_worker_writes_is_a_record_or_corrupt(
            start in any::<u32>().prop_map(|at| at & !7),
            text_start in any::<u32>(),
            headers in proptest::collection::vec((0..ROW as u32, header(), any::<bool>()), 1..40),
            tails in proptest::collection::vec(prop_oneof![0..=ROW as u32, any::<u32>()], 1..8),
            noise in proptest::collection::vec(any::<u8>(), 64),
        ) {
            let mut end = end();
            (end.row_head, end.row_released) = (start, start);
            (end.text_head, end.text_released) = (text_start, text_start);
            for at in (0..ROW as u32).step_by(noise.len()) {
                put(&end, at, &noise);
            }
            let mut at = start;
            for (jump, header, follows) in headers {
                put(&end, at, &header.bytes());
                at = at.wrapping_add(if follows { 24 + (header.row % 4096).next_multiple_of(8) } else { jump });
            }
            'worker: for tail in tails {
                publish(&end, start.wrapping_add(tail));
                let (mut rows, mut texts) = (Vec::new(), Vec::new());
                for _ in 0..=ROW / layout::RECORD_BYTES {
                    let Ok(record) = end.next_record() else { break 'worker };
                    let Some(record) = record else { break };
                    let before = (rows.len(), texts.len());
                    end.take(&record, &mut rows, &mut texts);
                    prop_assert_eq!(record.sizes(), ((rows.len() - before.0) as u32, (texts.len() - before.1) as u32));
                }
                // In one go no more than the rings hold; a stream may have collected some before.
                prop_assert!(rows.len() <= 8 * ROW && texts.len() <= TEXT + 8 * ROW);
                prop_assert!(end.row_head.wrapping_sub(end.row_released) <= ROW as u32);
                end.release();
            }
        }
    }
}
