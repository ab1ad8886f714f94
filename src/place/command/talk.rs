//! What one program has been told, and what it has answered: plain state, without any I/O.
//!
//! A program answers in the order in which it is asked, so the first item without an answer is the one that it runs; what
//! stands behind it in the pipe has not begun, as far as we can know. That is what is charged with a crash, and what
//! a time-out counts from. Items are sent ahead only as far as the program is quick: those that it has been sent cannot be
//! taken back. When it ends, what it has left unread in its stdin has not begun either: how fast we wrote does not matter.
//!
//! An answer has no name on it: one too many moves all that follow to other items. So what a program has answered is held
//! until it is [believed](Talk::believe), and what comes next is sent only then: whoever listens does so when it asks for
//! more, and has said nothing else. If it has, nothing of what is held is a result.

use super::{
    fault::{Fault, Kind, VALUE},
    format::{Format, Next, next_answer, shown},
};
use crate::{
    engine::{Micros, Status, WorkerId},
    place::{Events, Exit},
};
use part::Part;
use said::Said;
use std::collections::VecDeque;

mod part;
mod said;

/// How the programs of a pool are spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub format: Format,
    /// Items that a program is sent before it has answered; none: as many as take it [`AHEAD_MICROS`].
    pub read_ahead: Option<u32>,
    /// Most bytes of an answer.
    pub max_answer: usize,
}

/// What of a program's answers nobody has heard yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    /// Answers, while others are still to come.
    Some,
    /// The answers to all that it was sent.
    All,
}

/// What fails of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charged {
    /// The first item without an answer.
    Next,
    /// All that is held: nobody knows what belongs to which item.
    Held,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Talk {
    protocol: Protocol,
    parts: VecDeque<Part>,
    /// For the engine, and what is not believed yet.
    said: Said,
    held: Said,
    /// Read, but no whole answer yet; how much of it was looked at.
    unread: Vec<u8>,
    seen: usize,
    /// Items that were sent and not answered.
    asked: u32,
    ahead: u32,
    /// When the first item was sent of those that run, and how many of them were answered.
    moved: Micros,
    answered: u32,
    /// When the part before ended.
    part_began: Micros,
    /// It keeps its answers until its stdin is closed: it is told all there is at once.
    buffers: bool,
    /// Nothing more is written, because nothing can be or is to be.
    closed: bool,
    /// Its stdin was closed so that it answers, and how many answers have come since then.
    flushed: bool,
    answers_since: u32,
    /// So much of what was written it has not read, and will not.
    untouched: usize,
    /// It is not listened to any more, and is killed: the first item without an answer fails of this.
    fault: Option<Fault>,
    charged: Charged,
    /// A line for which there was no item at all.
    surplus: Option<String>,
}

impl Talk {
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            parts: VecDeque::new(),
            said: Said::default(),
            held: Said::default(),
            unread: Vec::new(),
            seen: 0,
            asked: 0,
            ahead: 1,
            moved: 0,
            answered: 0,
            part_began: 0,
            buffers: false,
            closed: false,
            flushed: false,
            answers_since: 0,
            untouched: 0,
            fault: None,
            charged: Charged::Next,
            surplus: None,
        }
    }

    /// Takes a part. `buffers`: the programs of its pool are known to keep their answers until their stdin is closed.
    pub fn push(&mut self, part: &crate::place::Part<'_>, buffers: bool, now: Micros) {
        self.buffers |= buffers;
        if self.parts.is_empty() {
            self.part_began = now;
        }
        self.parts.push_back(Part::new(part, self.protocol.format));
        self.send(now);
    }

    /// How many of the items in the cell run, or have ended.
    #[must_use]
    pub fn claimed(&self, cell: u8, items: u32) -> u32 {
        let Some(at) = self.parts.iter().position(|part| part.cell == cell) else {
            return if self.held.has_done(cell) || self.said.has_done(cell) { items } else { 0 };
        };
        let runs = at == 0 && self.fault.is_none() && self.runs();
        (self.parts[at].answered + u32::from(runs)).min(items)
    }

    /// Takes items back that were not sent; returns how many are kept.
    pub fn take_back(&mut self, cell: u8, items: u32, most: u32, now: Micros) -> u32 {
        let Some(part) = self.parts.iter_mut().find(|part| part.cell == cell) else { return items };
        let end = part.items.min(items);
        part.items = part.sent.max(part.answered).max(end.saturating_sub(most)).min(end);
        let kept = part.items;
        self.settle(now);
        kept
    }

    /// What is to be written next.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        if self.closed || self.fault.is_some() {
            return &[];
        }
        self.parts.iter().map(Part::unwritten).find(|bytes| !bytes.is_empty()).unwrap_or_default()
    }

    /// So much of it was written.
    pub fn wrote(&mut self, bytes: usize) {
        if let Some(part) = self.parts.iter_mut().find(|part| !part.unwritten().is_empty()) {
            part.written += bytes;
        }
    }

    /// Something was sent and not answered.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.asked > 0
    }

    /// The program has read something, or may, of the first item without an answer.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.runs_without(self.untouched)
    }

    fn runs_without(&self, untouched: usize) -> bool {
        let behind: usize = self.parts.iter().skip(1).map(|part| part.written).sum();
        self.parts.front().is_some_and(|part| part.has_begun(untouched.saturating_sub(behind)))
    }

    /// Its stdin is closed, and the last so many bytes that were written to it nobody has read: items that were not
    /// touched run elsewhere, whether they were written in time or not.
    pub const fn leave_unread(&mut self, bytes: usize) {
        self.untouched = bytes;
    }

    /// Nothing is left to send or to answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.parts.is_empty()
    }

    /// It is time to close its stdin: it says nothing before that, and all there is to tell it is told.
    #[must_use]
    pub fn wants_end(&self) -> bool {
        self.buffers
            && self.asked > 0
            && self.unwritten().is_empty()
            && self.parts.iter().all(|part| part.sent == part.items)
    }

    /// Its stdin is closed; `flushed`: so that it answers.
    pub fn close(&mut self, flushed: bool) {
        self.closed = true;
        self.flushed = flushed;
        self.answers_since = 0;
    }

    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    #[must_use]
    pub const fn answers_since_close(&self) -> u32 {
        self.answers_since
    }

    /// It has broken the protocol, and is to be killed.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.fault.is_some()
    }

    pub fn fail(&mut self, kind: Kind, reason: String, line: Option<String>) {
        if self.fault.is_none() {
            self.fault = Some(Fault::new(kind, reason, line));
        }
    }

    /// A line that no item waited for, where none is left that could fail of it.
    pub fn take_surplus(&mut self) -> Option<String> {
        self.surplus.take()
    }

    /// There is something for the engine.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        !self.said.is_empty()
    }

    #[must_use]
    pub const fn held(&self) -> Held {
        match (self.held.has_values() && self.fault.is_none(), self.asked) {
            (false, _) => Held::Nothing,
            (true, 0) => Held::All,
            (true, _) => Held::Some,
        }
    }

    /// Items are sent while others run, however long that takes: somebody has said so.
    #[must_use]
    pub fn flows(&self) -> bool {
        self.protocol.read_ahead.is_some_and(|most| most > 1)
    }

    /// What is held are results: it has said no more than it was asked for, as far as anybody can see.
    pub fn believe(&mut self, now: Micros) {
        self.said.append(&mut self.held);
        self.send(now);
    }

    /// Takes what it has written to its stdout. Of what was written to its stdin it had not read the last `untouched`
    /// bytes: an answer to any of that there is none.
    pub fn read(&mut self, bytes: &[u8], untouched: usize, now: Micros) {
        if self.is_broken() {
            return;
        }
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let (mut at, mut seen, mut count) = (0, self.seen, 0u32);
        while !self.is_broken() {
            let rest = &unread[at..];
            match next_answer(self.protocol.format, rest, seen, self.protocol.max_answer) {
                Next::Whole { start, end, next } => {
                    self.answer(&rest[start..end], untouched, now);
                    (at, seen) = (at + next, 0);
                    count += 1;
                }
                Next::Partly { seen: looked_at } => {
                    seen = looked_at;
                    break;
                }
                Next::TooLong => {
                    let reason = format!("an answer has more than {} bytes", self.protocol.max_answer);
                    self.fail(Kind::Protocol, reason, Some(shown(rest)));
                }
            }
        }
        unread.drain(..at);
        // Not while a long answer comes: it would be copied with each part of it.
        if unread.is_empty() {
            unread.shrink_to(1 << 20);
        }
        (self.unread, self.seen) = (unread, seen);
        if count > 0 && !self.is_broken() {
            self.answered += count;
            if self.asked == 0 {
                self.pace(now);
            }
            self.send(now);
        }
    }

    /// Its process has ended, and all that it wrote was read. Says what the item that ran fails of, where it is no crash.
    pub fn end(&mut self, exit: &mut Exit, now: Micros) {
        if self.fault.is_none() && exit.exit_code == Some(0) {
            let unread = std::mem::take(&mut self.unread);
            if !unread.is_empty() && self.waits() {
                if self.protocol.format.end().is_some() {
                    // The last line may come without its end.
                    self.answer(&unread, 0, now);
                } else {
                    self.fail(Kind::Protocol, "it ended in the middle of an answer".into(), Some(shown(&unread)));
                }
            }
            // An item of which it has read nothing has not begun: it runs in the next process.
            let waits = self.runs();
            // It had read all it was sent, and has answered some of it: a line was left out, but which?
            if waits && self.flushed && self.held.has_values() {
                self.charged = Charged::Held;
                let reason = "it answered too little: it had read everything, waited for more, and left an item out";
                self.fail(Kind::Protocol, reason.into(), None);
            } else if waits && self.flushed && self.answers_since == 0 {
                let reason = "it answered nothing, not even when its stdin was closed, and exited with code 0";
                self.fail(Kind::Stalled, reason.into(), None);
            } else if waits {
                self.fail(Kind::Protocol, "it exited with code 0 and left it without an answer".into(), None);
            }
        }
        if let Some(fault) = self.fault.take() {
            exit.violation = Some(fault.reason.clone());
            let fault = fault.after(exit);
            let row = fault.row();
            if self.charged == Charged::Held {
                self.held.distrust(&row);
            }
            // Of what it answered too early it has read nothing.
            if self.waits() && (self.charged == Charged::Next || self.runs()) {
                self.put(&row, now);
            }
            // Whatever was behind it goes elsewhere.
            self.fault = Some(fault);
        }
        self.said.append(&mut self.held);
    }

    /// Hands over what it has answered, as far as that is believed.
    pub fn drain(&mut self, worker: WorkerId, events: &mut dyn Events) {
        self.said.drain(worker, events);
    }

    fn answer(&mut self, answer: &[u8], untouched: usize, now: Micros) {
        if !self.waits() {
            self.take_for_surplus(answer);
        } else if !self.runs_without(untouched) {
            if self.held.has_values() {
                self.charged = Charged::Held;
            }
            let reason = "it wrote a line before it had read the item".into();
            self.fail(Kind::Protocol, reason, Some(shown(answer)));
        } else if let Some(fault) = self.protocol.format.fault_of(answer) {
            self.fail(Kind::Protocol, format!("an answer {fault}"), Some(shown(answer)));
        } else {
            self.answers_since += 1;
            self.note(now, |held, cell, item| held.value(cell, item, answer));
        }
    }

    /// Nobody has asked for this. Which item it answers twice nobody knows: one of those whose answers nobody has heard of
    /// yet, if there are any, else the next one has to fail for it, so that somebody hears of it.
    fn take_for_surplus(&mut self, line: &[u8]) {
        if self.held.has_values() {
            self.charged = Charged::Held;
        } else if let Some(part) = self.parts.front_mut() {
            part.sent += 1;
            self.asked += 1;
        } else {
            self.surplus = Some(shown(line));
        }
        self.fail(Kind::Protocol, "it wrote a line that no item waited for".into(), Some(shown(line)));
    }

    fn put(&mut self, row: &[u8], now: Micros) {
        self.note(now, |held, cell, item| held.failure(cell, item, Status::Error, row));
    }

    /// The first item without an answer has ended.
    fn note(&mut self, now: Micros, say: impl FnOnce(&mut Said, u8, u32)) {
        let Some(part) = self.parts.front_mut() else { return };
        say(&mut self.held, part.cell, part.answered);
        part.answered += 1;
        self.asked -= 1;
        self.settle(now);
    }

    /// Sends as much as may be sent.
    fn send(&mut self, now: Micros) {
        if self.closed || self.is_broken() {
            return;
        }
        let flows = self.buffers || self.flows();
        // Else it is told more when it has answered all, and that is believed.
        if !flows && (self.asked > 0 || self.held.has_values()) {
            return;
        }
        let most = if self.buffers { u32::MAX } else { self.protocol.read_ahead.unwrap_or(self.ahead) };
        for part in &mut self.parts {
            while part.sent < part.items && (self.asked < most || part.has_failed(part.sent)) {
                if !part.has_failed(part.sent) {
                    if self.asked == 0 {
                        (self.moved, self.answered) = (now, 0);
                    }
                    self.asked += 1;
                }
                part.sent += 1;
            }
            if part.sent < part.items {
                break;
            }
        }
        self.settle(now);
    }

    /// Passes over items that had failed before, and ends parts that are through.
    fn settle(&mut self, now: Micros) {
        while let Some(part) = self.parts.front_mut() {
            while part.answered < part.items && part.answered < part.sent && part.has_failed(part.answered) {
                self.held.failure(part.cell, part.answered, Status::Rejected, &[]);
                part.answered += 1;
            }
            if part.answered < part.items {
                break;
            }
            let took = now.saturating_sub(self.part_began);
            // A program that has to be started for each of its chunks gets large ones.
            let took = if self.buffers { took / BUFFERED_SHARE } else { took };
            self.held.done(part.cell, took.min(u64::from(u32::MAX)) as u32);
            self.part_began = now;
            self.parts.pop_front();
        }
        if !self.held.has_values() {
            self.said.append(&mut self.held);
        }
    }

    /// All that was sent is answered: learns how far to send ahead.
    fn pace(&mut self, now: Micros) {
        let each = now.saturating_sub(self.moved) / u64::from(self.answered.max(1));
        let fitting = (AHEAD_MICROS / each.max(1)).clamp(1, u64::from(MAX_AHEAD)) as u32;
        self.ahead = fitting.min(self.ahead.saturating_mul(2));
    }
}

/// How long what was sent ahead may take a program: two chunks of the engine's, long against a crossing (some 50 µs).
const AHEAD_MICROS: Micros = 4_000;
const MAX_AHEAD: u32 = 16_384;
/// The start of a process takes some milliseconds, or some hundred, and should be a small part of what its chunk takes: so
/// one of these programs gets chunks of up to a second.
const BUFFERED_SHARE: Micros = 512;

#[cfg(test)]
mod tests;
