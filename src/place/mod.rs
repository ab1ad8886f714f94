//! Places: what carries chunks out. A place has workers (processes, threads); the engine decides what each of them gets.
//!
//! [`Pool`] binds one engine to one place. It is shared by the JavaScript thread, which submits and collects, and the
//! supervisor thread, which sees workers end and time pass; whoever holds the lock performs what the engine asks for, so
//! that a blocked event loop delays no kill. Where that does not come, the [`timekeeper`] hears workers in its place.

pub mod batch;
mod child;
pub mod command;
mod heard;
pub mod limits;
#[cfg(test)]
mod lying_worker;
pub mod memory;
pub mod native;
pub mod output;
mod pieces;
pub mod pool;
pub mod process;
pub mod row;
pub mod spare;
pub mod spawn;
mod store;
pub mod supervisor;
mod timekeeper;
pub mod watch;

pub use pool::Pool;

use crate::{
    engine::{CallId, Status, WorkerId},
    native::{
        Operation, Output,
        transferred::{Reading, Transferred},
    },
};
use millrace_channel::talk::Progress;
use std::{ops::Deref, sync::Arc};

/// A part of a chunk on its way to a worker: `count` items whose rows and texts lie one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub call: CallId,
    pub cell: u8,
    /// Position of the first item in the source.
    pub first_index: u64,
    /// How many items of the call the worker may run at once.
    pub lanes: u32,
    /// Which try at the items it is, from 1.
    pub attempt: u32,
    /// How the worker is to treat the items; `lib/chunk-flags.js` says what they mean.
    pub flags: u8,
    /// Lengths of row and text of each item.
    pub sizes: &'a [ItemSize],
    pub rows: &'a [u8],
    pub text: &'a [u8],
    /// What is too large for a row, each with the item of the chunk that it belongs to, in their order.
    pub large: &'a [(u32, Arc<Large>)],
    /// Number of the first item in the chunk.
    pub start: u32,
}

/// Bytes that an item of a native operation takes along beside its row.
#[derive(Debug)]
pub enum Large {
    Copied(spare::Copied),
    /// JavaScript gave them away.
    Transferred(Arc<Transferred>),
}

impl Large {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Copied(bytes) => bytes.len(),
            Self::Transferred(memory) => memory.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, for as long as they are needed. `None`: they are gone.
    #[must_use]
    pub fn read(&self) -> Option<Held<'_>> {
        match self {
            Self::Copied(bytes) => Some(Held::Copied(bytes)),
            Self::Transferred(memory) => memory.read().map(Held::Transferred),
        }
    }
}

/// Bytes of an item, which stay while somebody has this.
pub enum Held<'a> {
    Copied(&'a [u8]),
    Transferred(Reading<'a>),
}

impl Deref for Held<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Transferred(bytes) => bytes,
        }
    }
}

/// Bytes of one item or outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemSize {
    pub row: u32,
    pub text: u32,
}

impl ItemSize {
    #[must_use]
    pub const fn total(self) -> u32 {
        self.row.saturating_add(self.text)
    }
}

/// How a worker ended.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    pub worker: WorkerId,
    pub pid: Option<u32>,
    /// Exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// The end of what it wrote to stderr.
    pub stderr: String,
    /// Why it could not be started at all.
    pub spawn_error: Option<String>,
    /// The system's number for that.
    pub spawn_errno: Option<i32>,
    /// What it did against the protocol, for which it was killed.
    pub violation: Option<String>,
    /// It had not become ready.
    pub starting: bool,
    /// It ended because it had no memory left, or more than it may have.
    pub out_of_memory: Option<memory::OutOfMemory>,
    /// It said itself why it cannot start, or what ended it: an encoded value.
    #[serde(skip)]
    pub cause: Option<Vec<u8>>,
}

impl Exit {
    /// With another worker it would be the same: it could not be started, or has said what is wrong, or was killed for
    /// something. One that just ends or is killed from outside may have had bad luck.
    #[must_use]
    pub fn says_why(&self) -> bool {
        self.cause.is_some() || self.spawn_error.is_some() || self.violation.is_some() || self.out_of_memory.is_some()
    }
}

/// What workers say. Bytes are written by `take`, called at most once, to wherever the receiver keeps them.
pub trait Events {
    /// A worker that is no process has no `pid`.
    fn ready(&mut self, worker: WorkerId, pid: Option<u32>) -> bool;
    fn outcome(&mut self, worker: WorkerId, outcome: Outcome, take: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>))
    -> bool;
    /// Values of consecutive items, in one go.
    fn values(&mut self, worker: WorkerId, values: &Values) -> bool;
    /// A value that is too large for a row: it goes to JavaScript as it is. Its size counts as that of the outcome.
    fn large_outcome(&mut self, worker: WorkerId, outcome: Outcome, value: Output) -> bool;
    fn chunk_done(&mut self, worker: WorkerId, cell: u8, micros: u32) -> bool;
    /// The worker knows that the time of this item is over, and goes on with the others.
    fn abort_heard(&mut self, worker: WorkerId, cell: u8, item: u32) -> bool;
    fn define(&mut self, worker: WorkerId, id: u32, definition: &[u8]) -> bool;
    /// What a mapper said, in the name of the item with this index.
    fn message(
        &mut self,
        worker: WorkerId,
        index: u64,
        size: ItemSize,
        take: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>),
    );
    /// A part of what a worker wrote to stdout or stderr.
    fn written(&mut self, written: output::Written);
    /// Something that JavaScript warns of.
    fn notice(&mut self, worker: WorkerId, notice: Notice, text: &str);
    /// A worker that is no process has started one.
    fn process_started(&mut self, worker: WorkerId, pid: u32);
    /// And that has ended.
    fn process_ended(&mut self, exit: &Exit);
    /// All that it had published was handed in before. `claimed` tells how many of the items in a cell were claimed.
    fn exit(&mut self, exit: Exit, claimed: &dyn Fn(u8, u32) -> u32);
}

/// What is worth a warning; `lib/batch-reader.js` has the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A program keeps its answers until its stdin is closed.
    Buffers = 1,
    /// A program wrote something that no item waited for, and no item could fail of it.
    Surplus = 2,
}

/// How an item ended, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub cell: u8,
    pub item: u32,
    pub status: Status,
    pub size: ItemSize,
}

/// Values of consecutive items of a cell.
#[derive(Debug, Default)]
pub struct Values {
    pub cell: u8,
    pub first: u32,
    /// Bytes of row and text of each.
    pub sizes: Vec<ItemSize>,
    /// The bytes themselves, one behind the other.
    pub rows: Vec<u8>,
    pub text: Vec<u8>,
}

impl Values {
    /// What many of them needed is not kept for ever.
    pub fn clear(&mut self) {
        self.sizes.clear();
        for area in [&mut self.rows, &mut self.text] {
            area.clear();
            area.shrink_to(256 << 10);
        }
    }

    /// Whether this item is the one that follows them.
    #[must_use]
    pub fn is_next(&self, cell: u8, item: u32) -> bool {
        !self.sizes.is_empty() && self.cell == cell && self.first.checked_add(self.sizes.len() as u32) == Some(item)
    }
}

/// What carries chunks out. The pool calls these as the engine asks; none of them blocks.
pub trait Place: Send {
    fn spawn(&mut self, worker: WorkerId);
    fn dispatch(&mut self, worker: WorkerId, part: Part<'_>);
    /// Takes up to `most` of the `items` in the cell back, if they are unclaimed; returns how many the worker keeps.
    fn take_back(&mut self, worker: WorkerId, cell: u8, items: u32, most: u32) -> Option<u32>;
    fn abort(&mut self, worker: WorkerId, call: CallId);
    /// Raises the signal of one item of the part in a cell: it has run for too long.
    fn abort_item(&mut self, worker: WorkerId, cell: u8, item: u32);
    /// How many of the `items` in the cell are claimed.
    fn claimed(&self, worker: WorkerId, cell: u8, items: u32) -> u32;
    /// The end of what a worker's process has written to stderr so far. `None`: it has none, or that does not run.
    fn stderr(&self, _worker: WorkerId) -> Option<String> {
        None
    }
    fn forget(&mut self, worker: WorkerId, call: CallId);
    fn kill(&mut self, worker: WorkerId);
    fn retire(&mut self, worker: WorkerId);
    /// What is listened to of what mappers say: bits of [`millrace_channel::layout::LISTENING`]. Threads say nothing.
    fn listen(&mut self, _to: u32) {}
    /// These bytes of messages of a worker have been taken by JavaScript.
    fn messages_taken(&mut self, _worker: WorkerId, _bytes: u32) {}
    /// Hands over the progress that has changed since the last time.
    fn progress(&mut self, _changed: &mut dyn FnMut(WorkerId, Progress)) {}
    /// Sends a value to all workers that are up or start; returns how many those are.
    fn post(&mut self, _row: &[u8], _text: &[u8]) -> u32 {
        0
    }
    /// A shape that rows of items refer to from now on.
    fn define(&mut self, id: u32, definition: &[u8]);
    /// What runs for the items of a call, where a place can run several things.
    fn bind(&mut self, _: CallId, _: Arc<Operation>) {}
    /// Nothing of the call runs any more.
    fn finished(&mut self, _: CallId) {}
    /// Hands over what workers have said since the last time. An event that is answered with `false` is against the
    /// protocol: its worker is killed.
    fn drain(&mut self, events: &mut dyn Events);
    /// Announces that nobody looks until a doorbell rings; returns false if there is something to look at already.
    fn sleep(&mut self) -> bool;
}
