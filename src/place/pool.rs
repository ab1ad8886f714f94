//! A pool: one engine, one place, the bytes between them, behind one lock.

mod perform;

use super::{
    Exit, ItemSize, Large, Place,
    batch::Batch,
    heard::Heard,
    store::{Items, Store},
    watch::Watch,
};
use crate::{
    engine::{CallConfig, CallId, Cancel, ChunkId, Credit, Engine, Micros, Partition, PoolConfig, WorkerId},
    native::{Operation, Output},
};
use millrace_channel::{doorbell::Doorbell, layout};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How often one [`Core::pump`] listens before it leaves the rest to the event loop: a worker that publishes as fast as we
/// read must not keep everybody else waiting.
const MAX_ROUNDS: u32 = 16;

/// How often progress is looked at while somebody listens to it.
const PROGRESS_INTERVAL: Micros = 50_000;

/// See the module's documentation.
pub struct Pool {
    core: Mutex<Core>,
    /// Rung for the JavaScript thread when the supervisor, or a thread, has something for it.
    pub bell: Doorbell,
    /// All doorbells that the JavaScript thread waits for, and those that are heard in its place.
    pub watch: Arc<Watch>,
    /// Told when the engine's next deadline has come closer.
    pub deadline_changed: Arc<tokio::sync::Notify>,
    /// How often JavaScript has come: whoever has rung for it sees whether it did.
    visits: AtomicU64,
}

/// What the lock guards.
pub struct Core {
    engine: Engine,
    store: Store,
    batch: Batch,
    place: Box<dyn Place>,
    /// How workers ended, while the engine deals with it, and the last failed start for calls that fail of it.
    exits: HashMap<WorkerId, Arc<Exit>>,
    alive: BTreeSet<WorkerId>,
    /// Workers that took too long to start.
    late: BTreeSet<WorkerId>,
    next_index: HashMap<CallId, u64>,
    /// Calls with a time-out.
    timed: BTreeSet<CallId>,
    epoch: Instant,
    /// The deadline that the supervisor knows of.
    armed: Option<Micros>,
    /// When workers that are still there after a forced close are killed: one that never becomes ready, or does not end.
    kill_all_at: Option<Micros>,
    /// When progress is looked at next, while somebody listens to it.
    progress_at: Option<Micros>,
    /// JavaScript has been woken to look at it.
    progress_waits: bool,
    grace: Micros,
    /// A pump has left something to do.
    unfinished: bool,
    /// Room for sizes.
    totals: Vec<u32>,
    spent: Spent,
}

/// Where the time under the lock goes, for whoever wants to make it faster: two clock readings per crossing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Reading what workers have published, and noting each outcome in the engine.
    pub receiving: Duration,
    /// Everything else: taking chunks, scheduling, sending them, order, filling batches.
    pub deciding: Duration,
}

/// What is still to be heard of workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unheard {
    /// They have more to say already.
    pub more: bool,
    /// Some items have a time-out, for which it counts when that is heard.
    pub is_timed: bool,
}

impl Pool {
    /// Binds a new engine to a place, which `place` makes.
    pub fn new(
        config: PoolConfig,
        watch: Arc<Watch>,
        place: impl FnOnce(Weak<Self>) -> Box<dyn Place>,
    ) -> io::Result<Arc<Self>> {
        let bell = Doorbell::new()?;
        watch.add_own(&bell)?;
        Ok(Arc::new_cyclic(|pool| Self {
            core: Mutex::new(Core {
                engine: Engine::new(config),
                store: Store::default(),
                batch: Batch::default(),
                place: place(Weak::clone(pool)),
                exits: HashMap::new(),
                alive: BTreeSet::new(),
                late: BTreeSet::new(),
                next_index: HashMap::new(),
                timed: BTreeSet::new(),
                epoch: Instant::now(),
                armed: None,
                unfinished: false,
                kill_all_at: None,
                progress_at: None,
                progress_waits: false,
                grace: config.grace,
                totals: Vec::new(),
                spent: Spent::default(),
            }),
            bell,
            watch,
            deadline_changed: Arc::default(),
            visits: AtomicU64::new(0),
        }))
    }

    /// As [`Pool::with`], for JavaScript. Noted before the lock is taken: who works in its place then lets it have that.
    pub fn visit<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        self.visits.fetch_add(1, Ordering::Relaxed);
        self.with(act)
    }

    /// How often JavaScript has come.
    #[must_use]
    pub fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }

    /// Does something with the core, which ends with a [`Core::pump`].
    pub fn with<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let (began, received) = (Instant::now(), core.spent.receiving);
        let result = act(&mut core);
        let receiving = core.spent.receiving.saturating_sub(received);
        core.spent.deciding += began.elapsed().saturating_sub(receiving);
        if std::mem::take(&mut core.unfinished) {
            self.bell.ring();
        }
        let due = core.due();
        if due.is_some() && core.armed.is_none_or(|armed| due < Some(armed)) {
            core.armed = due;
            drop(core);
            self.deadline_changed.notify_one();
        }
        result
    }

    /// The time until the next deadline, for the supervisor, who will wait for it.
    pub fn arm(&self) -> Option<std::time::Duration> {
        let mut core = self.lock();
        core.armed = core.due();
        core.armed.map(|due| std::time::Duration::from_micros(due.saturating_sub(core.now())))
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock was turned into an error at the boundary; the state is as good as it was.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Its timekeeper looks, and finds it gone.
        self.deadline_changed.notify_one();
    }
}

impl Core {
    pub fn open(&mut self, config: CallConfig) -> CallId {
        let is_timed = config.timeout.is_some();
        let call = self.engine.handle_open(config);
        if is_timed {
            self.timed.insert(call);
        }
        self.next_index.insert(call, 0);
        call
    }

    /// Takes a chunk. Its items' indices follow those of the chunk before.
    /// `keys`: the partition of each, where they have keys.
    #[allow(clippy::too_many_arguments)] // they are the chunk
    pub fn submit(
        &mut self,
        call: CallId,
        sizes: Vec<ItemSize>,
        keys: &[Partition],
        rows: Vec<u8>,
        text: Vec<u8>,
        large: Vec<(u32, Arc<Large>)>,
        flags: u8,
    ) {
        let mut totals: Vec<u32> = sizes.iter().map(|size| size.total()).collect();
        for (item, bytes) in &large {
            let total = &mut totals[*item as usize];
            *total = total.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let Some(next) = self.next_index.get_mut(&call) else { return };
        let first_index = *next;
        *next += sizes.len() as u64;
        let now = self.now();
        if let Some(chunk) = self.engine.handle_keyed_chunk(call, &totals, keys, now) {
            self.store.insert(chunk, Items { first_index, flags, sizes, rows, text, large });
        }
    }

    pub fn consumed(&mut self, call: CallId, items: u32, bytes: u64) {
        self.engine.handle_consumed(call, items, bytes);
    }

    #[must_use]
    pub fn credit(&self, call: CallId) -> Credit {
        self.engine.poll_credit(call)
    }

    pub fn end_source(&mut self, call: CallId) {
        self.engine.handle_source_end(call);
    }

    pub fn cancel(&mut self, call: CallId, cancel: Cancel) {
        let now = self.now();
        self.engine.handle_cancel(call, cancel, now);
    }

    /// Lets workers end as soon as no call is left; `force`: kills what is still there after the grace period.
    pub fn close(&mut self, force: bool) {
        self.engine.handle_close();
        if force {
            self.kill_all_at = Some(self.now() + self.grace);
        }
    }

    /// The machine is short of memory, or no longer.
    pub fn memory(&mut self, low: bool) {
        let now = self.now();
        self.engine.handle_memory(low, now);
        self.pump();
    }

    /// The pool has so many workers at most from now on.
    pub fn resize(&mut self, size: u32) {
        let now = self.now();
        self.engine.handle_resize(size, now);
    }

    pub fn warm_up(&mut self, workers: u32) {
        let now = self.now();
        self.engine.handle_warm_up(workers, now);
    }

    /// What the consumer said of a try that it was asked about: whether there is another.
    pub fn verdict(&mut self, chunk: ChunkId, item: u32, attempt: u32, again: bool) {
        let now = self.now();
        self.engine.handle_verdict(chunk, item, attempt, again, now);
    }

    pub fn time_passed(&mut self) -> Unheard {
        // What has ended before its time was over must not be cut off, whoever was too busy to read it.
        self.pump();
        let now = self.now();
        let place = &self.place;
        self.engine.handle_timeout(|worker, cell, items| place.claimed(worker, cell, items), now);
        if self.kill_all_at.is_some_and(|at| at <= now) {
            self.kill_all_at = None;
            self.abandon();
        }
        if self.progress_at.is_some_and(|at| at <= now) {
            // Whoever passes time wakes JavaScript.
            self.progress_waits = true;
            self.progress_at = Some(now + PROGRESS_INTERVAL);
        }
        self.pump();
        Unheard { more: self.unfinished, is_timed: !self.timed.is_empty() }
    }

    /// When `time_passed` is due.
    fn due(&self) -> Option<Micros> {
        let progress_at = self.progress_at.filter(|_| self.engine.poll_busy());
        self.engine.poll_timeout().into_iter().chain(self.kill_all_at).chain(progress_at).min()
    }

    /// Looks how far items are, if that is due. Only where JavaScript takes it at once: until then the newest is in its cell.
    fn look_at_progress(&mut self) {
        let now = self.now();
        if std::mem::take(&mut self.progress_waits) || self.progress_at.is_some_and(|at| at <= now) {
            let batch = &mut self.batch;
            self.place.progress(&mut |worker, progress| batch.progress(worker, progress));
            self.progress_at = self.progress_at.map(|_| now + PROGRESS_INTERVAL);
        }
    }

    /// Somebody listens to these (bits of [`layout::LISTENING`]) from now on.
    pub fn listen(&mut self, to: u32) {
        self.place.listen(to);
        self.progress_at = (to & layout::PROGRESS != 0).then(|| self.now());
    }

    /// Sends a value to all workers that are up or start; returns how many those are.
    pub fn post(&mut self, row: &[u8], text: &[u8]) -> u32 {
        self.place.post(row, text)
    }

    pub fn define(&mut self, id: u32, definition: &[u8]) {
        self.place.define(id, definition);
    }

    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.engine.poll_busy()
    }

    #[must_use]
    pub fn has_batch(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Writes what JavaScript has to know into a buffer; returns how many bytes that are. Where there are more than it
    /// has room for, nothing is written, and nothing is lost.
    pub fn collect(&mut self, into: &mut [u8]) -> usize {
        self.look_at_progress();
        if self.batch.is_empty() {
            return 0;
        }
        let bytes = self.batch.len();
        if bytes <= into.len() {
            for (worker, bytes) in self.batch.take_messages() {
                self.place.messages_taken(worker, bytes);
            }
            self.batch.write_to(into);
        }
        bytes
    }

    /// The values that belong to the batch that was written last, and have no row in it.
    pub fn take_large(&mut self) -> Vec<Output> {
        self.batch.take_large()
    }

    /// What runs for the items of a call.
    pub fn bind(&mut self, call: CallId, operation: Arc<Operation>) {
        self.place.bind(call, operation);
    }

    #[must_use]
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Workers that are up.
    #[must_use]
    pub fn ready_workers(&self) -> u32 {
        self.engine.poll_workers().0
    }

    /// Workers that have still to become ready since `warm_up`.
    #[must_use]
    pub fn awaited_workers(&self) -> u32 {
        self.engine.poll_awaited()
    }

    /// Ends all workers at once: nobody is left who could want anything of them.
    pub fn abandon(&mut self) {
        for worker in &self.alive {
            self.place.kill(*worker);
        }
    }

    fn now(&self) -> Micros {
        self.epoch.elapsed().as_micros() as Micros
    }

    /// Hears what workers say and does what the engine asks for, until there is nothing more. Where that does not come,
    /// [`Pool::with`] rings for another pump.
    pub fn pump(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let now = self.now();
            let mut heard = Heard {
                engine: &mut self.engine,
                store: &mut self.store,
                batch: &mut self.batch,
                exits: &mut self.exits,
                alive: &mut self.alive,
                late: &mut self.late,
                now,
                totals: &mut self.totals,
            };
            let began = Instant::now();
            self.place.drain(&mut heard);
            self.engine.handle_heard(now);
            self.spent.receiving += began.elapsed();
            while let Some(action) = self.engine.poll_action() {
                self.perform(action);
            }
            for worker in self.store.forgotten() {
                self.batch.forget(worker);
                self.exits.remove(&worker);
            }
            if self.place.sleep() {
                return;
            }
        }
        self.unfinished = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{Events, Part};
    use std::os::fd::AsRawFd;

    /// A worker that publishes as fast as it is read.
    struct Restless;

    impl Place for Restless {
        fn spawn(&mut self, _: WorkerId) {}
        fn dispatch(&mut self, _: WorkerId, _: Part<'_>) {}
        fn take_back(&mut self, _: WorkerId, _: u8, _: u32, _: u32) -> Option<u32> {
            None
        }
        fn abort(&mut self, _: WorkerId, _: CallId) {}
        fn abort_item(&mut self, _: WorkerId, _: u8, _: u32) {}
        fn claimed(&self, _: WorkerId, _: u8, _: u32) -> u32 {
            0
        }
        fn forget(&mut self, _: WorkerId, _: CallId) {}
        fn kill(&mut self, _: WorkerId) {}
        fn retire(&mut self, _: WorkerId) {}
        fn define(&mut self, _: u32, _: &[u8]) {}
        fn drain(&mut self, _: &mut dyn Events) {}
        fn sleep(&mut self) -> bool {
            false
        }
    }

    #[test]
    fn a_place_that_never_rests_keeps_nobody_waiting_and_is_looked_at_again() {
        let watch = Arc::new(Watch::new().unwrap());
        let pool = Pool::new(
            PoolConfig { size: 1, lanes: 1, grace: 0, seed: 0, ..PoolConfig::default() },
            Arc::clone(&watch),
            |_| Box::new(Restless),
        )
        .unwrap();
        for _ in 0..3 {
            pool.with(Core::pump);
            let mut bells = libc::pollfd { fd: watch.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one live pollfd.
            assert_eq!(unsafe { libc::poll(&raw mut bells, 1, 0) }, 1, "JavaScript is woken for the rest");
            watch.answer();
        }
    }
}
