//! A pool of workers, for `lib/worker-pool.js` and `lib/native.js`: submit chunks, collect batches. One crossing per
//! chunk each way; nothing here is called per item.

use super::{
    event_loop::Poll,
    operation::{NativeOperation, to_javascript},
    options::{CommandOptions, LifeOptions, ProcessOptions, TryOptions, f64_of, micros, whole},
    thrown,
    transferred::References,
};
use crate::{
    engine::{CallConfig, Cancel, ChunkId, MAX_CHUNK_ITEMS, PARTITIONS, PoolConfig},
    error::Error,
    place::{
        ItemSize, Large, Place, Pool,
        command::{Programs, item::ItemPrograms},
        native::Threads,
        pool::{Core, Spent},
        process::Processes,
        spare::Spare,
        supervisor::{self, Started},
        watch::Watch,
    },
};
use napi::{
    Env, JsValue, Result,
    bindgen_prelude::{Float64ArraySlice, Function, Uint8ArraySlice, Unknown},
};
use napi_derive::napi;
use rustc_hash::FxHashMap;
use std::{
    cell::{Cell, OnceCell, RefCell},
    os::fd::AsRawFd,
    sync::{Arc, Weak},
};

/// Another one for each pool: programs that fail together should not retry together.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// A pool. `onWake` is called when there may be something to collect.
#[napi]
pub struct NativePool {
    /// Gone after `dispose`.
    open: RefCell<Option<Open>>,
    held: Cell<bool>,
    large: RefCell<Waiting>,
    spare: Arc<Spare>,
    /// What was given away, once something was.
    references: OnceCell<References>,
    env: Env,
    /// Of worker processes.
    started: Option<Arc<Started>>,
}

/// What was copied for items that are not submitted yet.
#[derive(Default)]
struct Waiting {
    next: u32,
    bytes: FxHashMap<u32, Large>,
}

impl Waiting {
    fn put(&mut self, large: Large) -> u32 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.bytes.insert(id, large);
        id
    }
}

struct Open {
    // Dropped first: the event loop lets go of the descriptor before the pool closes it.
    poll: Poll,
    pool: Arc<Pool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Nobody is left who could want anything of its workers.
        self.pool.with(Core::abandon);
    }
}

#[napi]
impl NativePool {
    /// A pool of worker processes, each of which runs up to `lanes` items at the same time.
    #[napi(factory, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // napi hands arguments over by value
    pub fn processes(
        env: Env,
        size: u32,
        lanes: u32,
        grace_ms: f64,
        lives: LifeOptions,
        options: ProcessOptions,
        on_wake: Function<(), ()>,
    ) -> Result<Self> {
        let init = options.init.to_vec();
        let launch = options.resolved()?;
        let config = PoolConfig { size, lanes, grace: micros(grace_ms), seed: seed(), ..lives.resolved() };
        let mut started = None;
        let pool = Self::new(env, config, &on_wake, |watch, pool| {
            let processes = Processes::new(launch, init, watch, pool);
            started = Some(processes.started());
            Box::new(processes)
        })?;
        pool.watch_memory(&lives);
        Ok(Self { started, ..pool })
    }

    /// A pool of programs of any kind.
    #[napi(factory, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn commands(
        env: Env,
        size: u32,
        grace_ms: f64,
        lives: LifeOptions,
        options: ProcessOptions,
        command: CommandOptions,
        on_wake: Function<(), ()>,
    ) -> Result<Self> {
        let (launch, protocol) = (options.resolved()?, command.protocol()?);
        let config = PoolConfig { size, lanes: 1, grace: micros(grace_ms), seed: seed(), ..lives.resolved() };
        let pool = Self::new(env, config, &on_wake, |_, pool| match command.per_item_from {
            Some(from) => Box::new(ItemPrograms::new(launch, from as usize, protocol, pool)),
            None => Box::new(Programs::new(launch, protocol, command.stall(), pool)),
        })?;
        pool.watch_memory(&lives);
        Ok(pool)
    }

    /// A pool of threads that run native operations.
    #[napi(factory, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn threads(env: Env, size: u32, on_wake: Function<(), ()>) -> Result<Self> {
        let config = PoolConfig { size, lanes: 1, seed: seed(), ..PoolConfig::default() };
        Self::new(env, config, &on_wake, |_, pool| Box::new(Threads::new(pool)))
    }

    /// Says what runs for the items of a call. Before its first one.
    #[napi(catch_unwind)]
    pub fn bind(&self, call: u32, operation: &NativeOperation) {
        let operation = operation.shared();
        self.act(|core| core.bind(call, operation));
    }

    /// Copies what is too large for a row of items; returns the number under which `submit` takes it.
    #[napi(catch_unwind)]
    pub fn put_large(&self, bytes: &[u8]) -> u32 {
        self.large.borrow_mut().put(Large::Copied(self.spare.copy(bytes)))
    }

    /// Takes bytes as they are, to read them in place, and to change them if nobody needs them a second time. Returns as
    /// `putLarge` does. Nobody else must know the array, or what it is a view of (`lib/native/transfer.js`).
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // napi hands arguments over by value
    pub fn put_transferred(
        &self,
        #[napi(ts_arg_type = "Uint8Array")] bytes: Unknown<'_>,
        may_change: bool,
    ) -> Result<u32> {
        let open = self.open.borrow();
        let pool = open.as_ref().map(|open| Arc::downgrade(&open.pool)).unwrap_or_default();
        let references = self.references.get_or_init(|| References::new(self.env, pool));
        // SAFETY: the one caller, lib/native/item-writer.js, has an ArrayBuffer that was transferred just now and that it
        // tells nobody of, and lets go of it.
        let memory = unsafe { references.take(bytes.raw(), may_change) }?;
        Ok(self.large.borrow_mut().put(Large::Transferred(Arc::new(memory))))
    }

    /// Forgets what was put and will not be submitted.
    #[napi(catch_unwind)]
    pub fn drop_large(&self, ids: &[u32]) {
        let mut waiting = self.large.borrow_mut();
        for id in ids {
            waiting.bytes.remove(id);
        }
        self.delete_released();
    }

    /// The values that are beside the batch that was collected last.
    #[napi(catch_unwind, ts_return_type = "unknown[]")]
    pub fn take_large<'env>(&self, env: &'env Env) -> Result<Vec<Unknown<'env>>> {
        let open = self.open.borrow();
        let values = open.as_ref().map(|open| open.pool.with(Core::take_large)).unwrap_or_default();
        values.into_iter().map(|value| to_javascript(env, value)).collect()
    }

    fn new(
        env: Env,
        config: PoolConfig,
        on_wake: &Function<(), ()>,
        place: impl FnOnce(Arc<Watch>, Weak<Pool>) -> Box<dyn Place>,
    ) -> Result<Self> {
        let watch = Arc::new(Watch::new().map_err(|error| thrown(&Error::Watch(error)))?);
        let pool = Pool::new(config, Arc::clone(&watch), |pool| place(watch, pool))
            .map_err(|error| thrown(&Error::Watch(error)))?;
        let watcher = Poll::new(env, pool.watch.as_raw_fd(), on_wake.raw())?;
        supervisor::watch(&pool).map_err(|error| thrown(&Error::Watch(error)))?;
        Ok(Self {
            open: RefCell::new(Some(Open { poll: watcher, pool })),
            held: Cell::new(false),
            large: RefCell::default(),
            spare: Arc::default(),
            references: OnceCell::new(),
            env,
            started: None,
        })
    }

    fn watch_memory(&self, lives: &LifeOptions) {
        if let (Some(least), Some(open)) = (lives.min_free_memory, &*self.open.borrow()) {
            supervisor::watch_memory(&open.pool, whole(least));
        }
    }

    /// Opens a call. `window` and `chunk` 0: automatic. `keyed`: its items have keys. Without `tries`, an item has one,
    /// however long it takes.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // one crossing per call
    pub fn open(
        &self,
        ordered: bool,
        stop_on_error: bool,
        concurrency: u32,
        window: u32,
        max_bytes: f64,
        chunk: u32,
        priority: i32,
        keyed: bool,
        tries: Option<TryOptions>,
    ) -> u32 {
        let (retry, crash_retries, timeout) = tries.map_or_else(Default::default, |tries| tries.resolved());
        let config = CallConfig {
            ordered,
            stop_on_error,
            concurrency,
            window: (window > 0).then_some(window),
            max_bytes: whole(max_bytes),
            chunk: (chunk > 0).then_some(chunk),
            retry,
            crash_retries,
            timeout,
            priority,
            keyed,
        };
        self.with(|_| (), |core| core.open(config))
    }

    /// Submits a chunk of items: rows and texts, one behind the other, the lengths of both for each, and the partitions
    /// of their keys (none, where they have no keys). Says how far
    /// the consumer has come, and writes into `gauge` how far the source may be pulled: items, bytes, items of a chunk,
    /// whether a worker has nothing to do. `flags` are for the place, see [`crate::place::Part::flags`]. `large`: the number
    /// of an item, and of what was put for it, in turn.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // one crossing per chunk, and no object to make for it
    pub fn submit(
        &self,
        call: u32,
        sizes: &[u32],
        keys: &[u16],
        rows: &[u8],
        text: &[u8],
        flags: u8,
        consumed: u32,
        consumed_bytes: f64,
        gauge: Float64ArraySlice<'_>,
        large: Option<&[u32]>,
    ) -> Result<()> {
        let sizes: Vec<ItemSize> = sizes.chunks_exact(2).map(|pair| ItemSize { row: pair[0], text: pair[1] }).collect();
        let sum = |part: fn(&ItemSize) -> u32| sizes.iter().map(|size| u64::from(part(size))).sum::<u64>();
        if sizes.is_empty()
            || sizes.len() > MAX_CHUNK_ITEMS as usize
            || sum(|size| size.row) != rows.len() as u64
            || sum(|size| size.text) != text.len() as u64
            || keys.iter().any(|key| *key >= PARTITIONS)
        {
            return Err(napi::Error::from_reason("a chunk whose sizes do not fit its bytes"));
        }
        let mut waiting = self.large.borrow_mut();
        let large = large.unwrap_or_default().chunks_exact(2).map(|pair| {
            let bytes = waiting.bytes.remove(&pair[1]).filter(|_| (pair[0] as usize) < sizes.len());
            bytes.map(|bytes| (pair[0], Arc::new(bytes)))
        });
        let Some(large) = large.collect() else {
            return Err(napi::Error::from_reason("a chunk with what was never put"));
        };
        drop(waiting);
        let (rows, text) = (rows.to_vec(), text.to_vec());
        let submit = |core: &mut Core| core.submit(call, sizes, keys, rows, text, large, flags);
        self.gauged(call, consumed, consumed_bytes, gauge, submit);
        Ok(())
    }

    /// Says how far the consumer has come, as `submit` does, without a chunk.
    #[napi(catch_unwind)]
    pub fn consumed(&self, call: u32, consumed: u32, consumed_bytes: f64, gauge: Float64ArraySlice<'_>) {
        self.gauged(call, consumed, consumed_bytes, gauge, |_| ());
    }

    /// The source has no more items.
    #[napi(catch_unwind)]
    pub fn end(&self, call: u32) {
        self.act(|core| core.end_source(call));
    }

    /// Nothing more is wanted. `hard`: workers whose item does not end within the grace period are killed.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32, hard: bool) {
        self.act(|core| core.cancel(call, if hard { Cancel::Hard } else { Cancel::Soft }));
    }

    /// Answers an "again" section that asks: whether the item is tried once more.
    #[napi(catch_unwind)]
    pub fn verdict(&self, call: u32, sequence: u32, item: u32, attempt: u32, again: bool) {
        self.act(|core| core.verdict(ChunkId { call, sequence }, item, attempt, again));
    }

    /// Names a shape for the rows of items from now on; shapes are numbered from 0.
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn define(&self, id: u32, definition: String) {
        self.act(|core| core.define(id, definition.as_bytes()));
    }

    /// Writes what has happened into a buffer, as a batch for `lib/batch-reader.js`; returns its bytes, 0 for nothing.
    /// Where they are more than the buffer has, nothing is written: call again with a larger one.
    #[napi(catch_unwind)]
    pub fn collect(&self, mut into: Uint8ArraySlice<'_>) -> u32 {
        if let Some(open) = &*self.open.borrow() {
            open.pool.watch.answer();
        }
        // SAFETY: JavaScript, to which the buffer belongs, does not run meanwhile, and no other reference to it exists.
        let into = unsafe { into.as_mut() };
        self.with(|_| (), |core| core.collect(into)) as u32
    }

    /// Says what somebody listens to: bits 1 messages, 2 progress.
    #[napi(catch_unwind)]
    pub fn listen(&self, to: u32) {
        self.act(|core| core.listen(to));
    }

    /// Sends a value to all workers that are up or start; returns how many those are.
    #[napi(catch_unwind)]
    pub fn post(&self, row: &[u8], text: &[u8]) -> u32 {
        self.with(|_| (), |core| core.post(row, text))
    }

    /// Starts workers ahead of work.
    #[napi(catch_unwind)]
    pub fn warm_up(&self, workers: u32) {
        self.act(|core| core.warm_up(workers));
    }

    /// The number of the first process, after `warmUp`: waits until it is started, for a millisecond or so. 0: it cannot be.
    #[napi(catch_unwind)]
    pub fn started_pid(&self) -> u32 {
        self.started.as_ref().map_or(0, |started| started.first_pid())
    }

    /// The pool has so many workers at most from now on.
    #[napi(catch_unwind)]
    pub fn resize(&self, size: u32) {
        self.act(|core| core.resize(size));
    }

    /// Workers that are up.
    #[napi(catch_unwind)]
    pub fn ready_workers(&self) -> u32 {
        self.with(|_| (), |core| core.ready_workers())
    }

    /// Workers that have still to become ready since `warmUp`; one that has ended since then was ready all the same.
    #[napi(catch_unwind)]
    pub fn awaited_workers(&self) -> u32 {
        self.with(|_| (), |core| core.awaited_workers())
    }

    /// Milliseconds spent in here so far: reading what workers published; everything else.
    #[napi(catch_unwind)]
    pub fn spent(&self) -> Vec<f64> {
        let milliseconds =
            |spent: Spent| [spent.receiving, spent.deciding].map(|time| time.as_secs_f64() * 1000.0).to_vec();
        self.with(|_| (), |core| milliseconds(core.spent()))
    }

    /// Lets workers end as soon as no call is left; `force`: kills what is still there after the grace period.
    #[napi(catch_unwind)]
    pub fn close(&self, force: bool) {
        self.act(|core| core.close(force));
    }

    /// Ends all workers, and gives everything back to the system. Nothing happens here any more after it.
    #[napi(catch_unwind)]
    pub fn dispose(&self) {
        let open = self.open.borrow_mut().take();
        drop(open);
    }

    /// Keeps the program alive, even where nothing runs: somebody waits for the pool itself.
    #[napi(catch_unwind)]
    pub fn hold(&self, hold: bool) {
        self.held.set(hold);
        self.act(|_| ());
    }

    fn gauged(
        &self,
        call: u32,
        consumed: u32,
        bytes: f64,
        mut gauge: Float64ArraySlice<'_>,
        act: impl FnOnce(&mut Core),
    ) {
        let act = |core: &mut Core| {
            core.consumed(call, consumed, whole(bytes));
            act(core);
        };
        let credit = self.with(act, |core| core.credit(call));
        // SAFETY: JavaScript, to which the array belongs, does not run meanwhile, and no other reference to it exists.
        if let [items, bytes, chunk, hungry, ..] = unsafe { gauge.as_mut() } {
            *items = credit.items.into();
            *bytes = f64_of(credit.bytes);
            *chunk = credit.chunk.into();
            *hungry = f64::from(u8::from(credit.hungry));
        }
    }

    /// Does something with the pool, all that follows from it, then something more. What there is to collect after that,
    /// JavaScript hears of by a wake-up: whoever drains a worker has taken away the ring that would have brought it. Does
    /// nothing after `dispose`.
    fn with<T: Default>(&self, act: impl FnOnce(&mut Core), then: impl FnOnce(&mut Core) -> T) -> T {
        let open = self.open.borrow();
        let Some(Open { poll, pool }) = &*open else { return T::default() };
        let (result, busy, more) = pool.visit(|core| {
            act(core);
            core.pump();
            let result = then(core);
            (result, core.is_busy(), core.has_batch())
        });
        if more {
            pool.bell.ring();
        }
        poll.keep_alive(busy || more || self.held.get());
        self.delete_released();
        result
    }

    fn delete_released(&self) {
        if let Some(references) = self.references.get() {
            references.delete_released();
        }
    }

    fn act(&self, act: impl FnOnce(&mut Core)) {
        self.with(act, |_| ());
    }
}
