//! What the engine and its owner say to each other.

use super::tries::Retry;

/// Microseconds since some moment that the owner chose.
pub type Micros = u64;
/// A call: one `parallelMap`, or all `run` calls of a pool together.
pub type CallId = u32;
/// A worker, never used again for another one.
pub type WorkerId = u32;

/// What a pool is.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolConfig {
    /// The most workers at once.
    pub size: u32,
    /// How many items one worker runs at the same time.
    pub lanes: u32,
    /// How long a cancelled mapper may go on before its worker is killed.
    pub grace: Micros,
    /// Of the random numbers that spread retries.
    pub seed: u64,
    /// How many workers there are at least, once the pool has been used.
    pub min: u32,
    /// How long a worker more than those stays without anything to do.
    pub idle: Option<Micros>,
    /// How many items one worker runs, at most.
    pub max_tasks: Option<u32>,
    /// How long after it was ready a worker is replaced.
    pub max_age: Option<Micros>,
    /// How long a worker may take until it is ready.
    pub start_timeout: Option<Micros>,
}

/// Why a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The pool is closed.
    Closing,
    /// There are more workers than the pool has now.
    Size,
    /// It has had nothing to do.
    Idle,
    /// It has run as many items as it may.
    Tasks,
    /// It is too old.
    Age,
    /// The machine is short of memory.
    Memory,
}

/// What a call is.
#[derive(Clone, Copy, Debug)]
pub struct CallConfig {
    /// Deliver in source order.
    pub ordered: bool,
    /// The first error ends the call.
    pub stop_on_error: bool,
    /// The most items of it that run at once.
    pub concurrency: u32,
    /// Items between source and consumer; `None`: two chunks per worker, at least two items per lane.
    pub window: Option<u32>,
    /// Bytes between source and consumer, as far as they are known before an item is pulled.
    pub max_bytes: u64,
    /// Items in a chunk; `None`: as many as take a worker one to two milliseconds.
    pub chunk: Option<u32>,
    /// Which failed items are tried again.
    pub retry: Retry,
    /// How often an item is run again, alone, that has ended its worker.
    pub crash_retries: u32,
    /// How long an item may run in a worker.
    pub timeout: Option<Micros>,
    /// What waits of a call with a higher one goes first.
    pub priority: i32,
    /// Items have keys: its chunks come by [`Engine::handle_keyed_chunk`](super::Engine::handle_keyed_chunk).
    pub keyed: bool,
}

/// A chunk of a call; sequence numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    pub call: CallId,
    pub sequence: u32,
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Value,
    Error,
    Skipped,
    /// Its worker died while it ran. Counts as an error.
    Lost,
    /// It took longer than it may. Counts as an error.
    TimedOut,
    /// It had failed before anything of it ran. Counts as an error, and is not tried again.
    Rejected,
}

impl Status {
    pub(super) fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Lost | Self::TimedOut | Self::Rejected)
    }
}

/// How a call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Running items may end.
    Soft,
    /// Workers whose running item does not end within the grace period are killed.
    Hard,
}

/// Why a call failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No worker could be started; the cause is that of this worker.
    Start(WorkerId),
}

/// A worker said something that cannot be: it is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation;

/// What the owner has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker; answer with `handle_ready` or `handle_exit`.
    Spawn { worker: WorkerId },
    /// Send a part of a chunk to the worker.
    Dispatch { worker: WorkerId, sent: Sent },
    /// Take up to `most` unclaimed items back from the end of the `items` in the cell; answer with `handle_taken_back`.
    TakeBack { worker: WorkerId, cell: u8, items: u32, most: u32 },
    /// Raise the call's signal in the worker.
    Abort { worker: WorkerId, call: CallId },
    /// Raise the signal of this one item of the part in the cell: its time is over.
    AbortItem { worker: WorkerId, cell: u8, item: u32 },
    /// The worker will not hear of the call again.
    Forget { worker: WorkerId, call: CallId },
    /// Kill the worker; `handle_exit` follows.
    Kill { worker: WorkerId },
    /// Let the worker end by itself; `handle_exit` follows.
    Retire { worker: WorkerId, why: Why },
    /// Kill the worker, which has taken too long to become ready; `handle_exit` follows.
    GiveUp { worker: WorkerId },
    /// The item ran in a worker that has died: note that as its outcome ([`Status::Lost`]). It was the try of this number.
    Lost { worker: WorkerId, chunk: ChunkId, item: u32, attempt: u32 },
    /// The item's time is over: note that as its outcome ([`Status::TimedOut`]), with what is known of its worker.
    TimedOut { worker: WorkerId, chunk: ChunkId, item: u32 },
    /// The owner does not want the item tried again: note as its outcome that it has failed of the error that it was
    /// asked about.
    Refused { chunk: ChunkId, item: u32 },
    /// This try has failed of what the worker did ([`Status::Lost`]) or of its time-out, and there may be another. `asks`:
    /// only if [`Engine::handle_verdict`](super::Engine::handle_verdict) says so.
    Again { worker: WorkerId, chunk: ChunkId, item: u32, attempt: u32, status: Status, asks: bool },
    /// The error that is delivered for the item is that of this try.
    Tried { chunk: ChunkId, item: u32, attempt: u32 },
    /// Hand the outcomes of the items `start..end` to the consumer. An error where the call stops on errors is the last
    /// one.
    Deliver { chunk: ChunkId, start: u32, end: u32 },
    /// Tell the consumer that this error will stop the call; it is delivered at its place later.
    Stopping { chunk: ChunkId, item: u32 },
    /// The call failed as a whole; nothing more is delivered.
    Failed { call: CallId, failure: Failure },
    /// All of the chunk has been delivered or dropped, and nothing of it is sent any more: its bytes can go. (After a
    /// cancel a worker may still run an item of it.)
    Release { chunk: ChunkId },
    /// Nothing of the call runs any more.
    Finished { call: CallId },
    /// A pool that was closed has no worker left.
    Closed,
}

/// A part of a chunk, as a worker gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub cell: u8,
    pub chunk: ChunkId,
    /// The items `start..end` of the chunk.
    pub start: u32,
    pub end: u32,
    /// How many items of the call the worker may run at once, over all that it has of it.
    pub lanes: u32,
    /// Which try at these items it is, from 1.
    pub attempt: u32,
}

/// How much the source may be pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// Items.
    pub items: u32,
    /// Bytes; the last item may go over it.
    pub bytes: u64,
    /// Items to put into a chunk.
    pub chunk: u32,
    /// A worker has nothing to do: a partial chunk is welcome.
    pub hungry: bool,
}

/// The most items that a chunk can have.
pub const MAX_CHUNK_ITEMS: u32 = 16_384;
/// The most items of an automatic window.
pub const MAX_AUTO_WINDOW: u32 = 16_384;
/// The most items that one worker may run at the same time.
pub const MAX_LANES: u32 = 128;
/// Cells that name the chunks of one worker: one for each lane, one that waits, and some that wait for an answer.
pub const CELLS: usize = 192;
/// How long no worker is started after one has died before it had finished anything; after the next one twice as long.
pub const REST: Micros = 100_000;
/// Workers in a row that may die before they have finished anything, without an item to charge it to.
pub const MAX_BARREN_DEATHS: u32 = 3;
