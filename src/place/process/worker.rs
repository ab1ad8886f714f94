//! The parent's side of one worker process: what is on its way to it, and what it says.

use super::super::supervisor::{LaunchId, Started};
use super::super::{Events, ItemSize, Outcome, Values, supervisor};
use crate::engine::{Status, WorkerId};
use millrace_channel::{
    layout,
    link::Link,
    parent::{Record, RecordKind},
};
use std::collections::VecDeque;

/// The most shapes that a worker can define, and the bytes of one; `lib/codec/shape.js` keeps to less.
const MAX_DEFINITIONS: u32 = 256;
const MAX_DEFINITION_BYTES: u32 = 128 << 10;

/// The status of an outcome that is a value.
const VALUE: u8 = 0;

/// A value of at most so many bytes is read together with those that follow it.
const SMALL_BYTES: u32 = 1 << 10;

/// Kinds of frames to a worker; `lib/worker-port.js` holds the same numbers.
pub(super) mod frame {
    pub const INIT: u32 = 1;
    pub const DEFINE: u32 = 2;
    pub const CHUNK: u32 = 3;
    pub const ABORT: u32 = 4;
    pub const FORGET: u32 = 5;
    pub const RETIRE: u32 = 6;
    pub const ABORT_ITEM: u32 = 7;
    pub const MESSAGE: u32 = 8;
}

pub(super) struct Worker {
    pub end: Box<dyn Link>,
    pub launch: LaunchId,
    /// Frames for which there was no room yet, and how much of the first one is sent.
    pub unsent: VecDeque<Vec<u8>>,
    pub unsent_bytes: usize,
    pub sent: usize,
    /// Definitions that it knows.
    pub defined: usize,
    /// How many it has made itself.
    pub defines: u32,
    /// Chunks that it holds.
    pub chunks: u32,
    pub ready: bool,
    /// Why it cannot start, or what ended it, in its own words.
    pub cause: Option<Vec<u8>>,
    pub violation: Option<String>,
}

/// Room for what is read.
#[derive(Default)]
pub(super) struct Scratch {
    discarded: (Vec<u8>, Vec<u8>),
    /// Small values that were read, and not handed in.
    values: Values,
}

/// What hears workers.
pub(super) struct Ears<'a> {
    pub events: &'a mut dyn Events,
    /// Bits of [`layout::LISTENING`].
    pub listening: u32,
    pub started: &'a Started,
    pub scratch: &'a mut Scratch,
}

impl Ears<'_> {
    /// Hands in the values that were read.
    fn hand_in(&mut self, id: WorkerId) -> Result<(), String> {
        let values = &mut self.scratch.values;
        let fits = values.sizes.is_empty() || self.events.values(id, values);
        values.clear();
        if fits { Ok(()) } else { Err(not_asked_for(RecordKind::Outcome)) }
    }
}

impl Worker {
    /// Appends the definitions that it does not know yet.
    pub fn definitions(&mut self, all: &[Vec<u8>], into: &mut Vec<u8>) {
        for (number, definition) in all.iter().enumerate().skip(self.defined) {
            frame(into, &[frame::DEFINE, number as u32], &[definition]);
        }
        self.defined = all.len();
    }

    pub fn send(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.queue(bytes);
            return;
        }
        // Positions that cannot be are found again, and dealt with, when we listen.
        let sent = self.end.send(bytes).unwrap_or(0);
        if sent < bytes.len() {
            self.queue(bytes);
            self.sent = sent;
        }
    }

    fn queue(&mut self, bytes: &[u8]) {
        self.unsent_bytes += bytes.len();
        self.unsent.push_back(bytes.to_vec());
    }

    pub fn flush(&mut self) -> Result<(), String> {
        while let Some(first) = self.unsent.front() {
            self.sent +=
                self.end.send(&first[self.sent..]).map_err(|_| "it wrote an impossible ring position".to_owned())?;
            if self.sent < first.len() {
                break;
            }
            self.unsent_bytes -= first.len();
            self.unsent.pop_front();
            self.sent = 0;
        }
        Ok(())
    }

    /// Hands over what it has published. A worker that breaks the protocol is not listened to again, and killed.
    pub fn listen(&mut self, id: WorkerId, ears: &mut Ears<'_>) {
        if self.violation.is_some() {
            return;
        }
        let heard = self.hear(id, ears);
        let heard = heard.and(ears.hand_in(id)).and_then(|()| self.flush());
        self.end.release();
        if let Err(violation) = heard {
            self.violation = Some(violation);
            supervisor::kill(self.launch);
        }
    }

    fn hear(&mut self, id: WorkerId, ears: &mut Ears<'_>) -> Result<(), String> {
        loop {
            let Some(record) = self.end.next_record().map_err(|_| "it wrote an impossible record".to_owned())? else {
                return Ok(());
            };
            if let Some(size) = small_value(&record) {
                if !ears.scratch.values.is_next(record.cell, record.item) {
                    ears.hand_in(id)?;
                    (ears.scratch.values.cell, ears.scratch.values.first) = (record.cell, record.item);
                }
                let values = &mut ears.scratch.values;
                values.sizes.push(size);
                self.end.take(&record, &mut values.rows, &mut values.text);
                continue;
            }
            ears.hand_in(id)?;
            let Ears { events, listening, started, scratch } = ears;
            let fits = match record.kind {
                RecordKind::Outcome => {
                    let outcome = outcome_of(&record).ok_or("it wrote an outcome of no known status")?;
                    let mut taken = false;
                    let end = &mut self.end;
                    let fits = events.outcome(id, outcome, &mut |rows, text| {
                        taken = true;
                        end.take(&record, rows, text);
                    });
                    if !taken {
                        self.discard(&record, scratch);
                    }
                    fits
                }
                RecordKind::ChunkDone => {
                    self.discard(&record, scratch);
                    self.chunks = self.chunks.saturating_sub(1);
                    events.chunk_done(id, record.cell, record.number)
                }
                RecordKind::Define => {
                    // They are kept until JavaScript collects, and longer: whoever never stops would fill our memory.
                    self.defines += 1;
                    if self.defines > MAX_DEFINITIONS || record.sizes().0 > MAX_DEFINITION_BYTES {
                        return Err("it defined too many shapes, or too large ones".to_owned());
                    }
                    let definition = self.row(&record);
                    events.define(id, record.number, &definition)
                }
                RecordKind::AbortHeard => {
                    self.discard(&record, scratch);
                    events.abort_heard(id, record.cell, record.item)
                }
                RecordKind::Ready => {
                    self.discard(&record, scratch);
                    self.ready = true;
                    let pid = started.pid(id);
                    events.ready(id, Some(pid.unwrap_or(0)))
                }
                RecordKind::Message => {
                    if !self.end.note_message(&record) {
                        return Err("it sent more messages than it may".to_owned());
                    }
                    if *listening & layout::MESSAGES == 0 {
                        self.discard(&record, scratch);
                        self.end.messages_taken(record.message_bytes());
                    } else {
                        let (row, text) = record.sizes();
                        let end = &mut self.end;
                        events.message(id, record.index(), ItemSize { row, text }, &mut |rows, text| {
                            end.take(&record, rows, text);
                        });
                    }
                    true
                }
                RecordKind::StartError | RecordKind::Fatal => {
                    self.cause = Some(self.row(&record));
                    true
                }
                RecordKind::Padding => {
                    self.discard(&record, scratch);
                    true
                }
            };
            if !fits {
                return Err(not_asked_for(record.kind));
            }
        }
    }

    fn row(&mut self, record: &Record) -> Vec<u8> {
        let (mut row, mut text) = (Vec::new(), Vec::new());
        self.end.take(record, &mut row, &mut text);
        row
    }

    fn discard(&mut self, record: &Record, Scratch { discarded: (rows, text), .. }: &mut Scratch) {
        self.end.take(record, rows, text);
        rows.clear();
        text.clear();
        rows.shrink_to(1 << 20);
        text.shrink_to(1 << 20);
    }
}

fn outcome_of(record: &Record) -> Option<Outcome> {
    let status = match record.status {
        VALUE => Status::Value,
        1 => Status::Error,
        2 => Status::Skipped,
        3 => Status::Rejected,
        _ => return None,
    };
    let (row, text) = record.sizes();
    Some(Outcome { cell: record.cell, item: record.item, status, size: ItemSize { row, text } })
}

/// The size of a value that is worth waiting for its neighbours.
fn small_value(record: &Record) -> Option<ItemSize> {
    let (row, text) = record.sizes();
    let is_small = row.saturating_add(text) <= SMALL_BYTES;
    (record.kind == RecordKind::Outcome && record.status == VALUE && is_small).then_some(ItemSize { row, text })
}

fn not_asked_for(kind: RecordKind) -> String {
    format!("it reported something that it was not asked for ({kind:?})")
}

/// Appends a frame: length, words, bytes.
pub(super) fn frame(into: &mut Vec<u8>, words: &[u32], bytes: &[&[u8]]) {
    let length = words.len() * 4 + bytes.iter().map(|bytes| bytes.len()).sum::<usize>();
    into.extend_from_slice(&(length as u32).to_le_bytes());
    for word in words {
        into.extend_from_slice(&word.to_le_bytes());
    }
    for bytes in bytes {
        into.extend_from_slice(bytes);
    }
}
