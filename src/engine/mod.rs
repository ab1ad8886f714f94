//! The engine: which chunk goes where, when, and again. A pure state machine: no I/O, no clock, no thread.
//!
//! Inputs are `handle_*`, each with the time where it matters; outputs are `poll_*`, and nothing else. The owner (a
//! place) performs the actions in the order in which they come, and reports back. It may hand in several inputs before
//! it looks at the actions. Bytes never come here: the engine knows an item by its position and sizes.
//!
//! An item's life:
//!
//! ```text
//!   handle_chunk ─▶ queued ─▶ dispatched ─▶ claimed ─▶ outcome ─▶ delivered (in order, or as it comes)
//!                     ▲            │           ├─ error, or time-out ─▶ waits, and is queued again, where it is retried
//!                     │            │           ├─ worker dies ─▶ lost: a crash is charged to it, or it runs again alone
//!                     │            │           └─ likewise, with others beside it ─▶ suspect: queued to run alone
//!                     └── taken back, or its worker died before it was claimed
//! ```
//!
//! A worker runs up to [`PoolConfig::lanes`] items at a time. A call counts items: each worker that has some of it is
//! granted lanes for it, which come to the call's concurrency at most, and keeps to them itself.
//!
//! A call ends by itself (source at its end, all delivered), by an error that stops it, or by a cancel. From then on
//! nothing of it starts; [`Action::Finished`] comes when nothing of it runs any more.

mod agenda;
mod call;
mod contract;
mod death;
mod dispatch;
mod ending;
mod keyed;
mod lifecycle;
mod schedule;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod tries;
mod window;
mod worker;

pub use contract::{
    Action, CELLS, CallConfig, CallId, Cancel, ChunkId, Credit, Failure, MAX_AUTO_WINDOW, MAX_BARREN_DEATHS,
    MAX_CHUNK_ITEMS, MAX_LANES, Micros, PoolConfig, REST, Sent, Status, Violation, Why, WorkerId,
};
pub use keyed::{PARTITIONS, Partition};
pub use tries::{Kept, Retry};

use agenda::Agenda;
use call::{Call, Part};
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};
use worker::{Ended, Worker};

/// See the module's documentation.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub struct Engine {
    config: PoolConfig,
    calls: BTreeMap<CallId, Call>,
    agenda: Agenda,
    workers: BTreeMap<WorkerId, Worker>,
    actions: VecDeque<Action>,
    next_call: CallId,
    next_worker: WorkerId,
    /// The call that was served last: the next one has its turn.
    served: CallId,
    /// Workers in a row that died before they had finished anything, without an item to charge it to. Too many, and no
    /// more are started, until one has done something, waiting work has failed, or a call opens.
    barren: u32,
    /// The same, but waiting work that has failed changes nothing: the more there were, the longer none is started.
    deaths: u32,
    /// No worker is started before this.
    rest_until: Option<Micros>,
    /// There was work, and workers could be started for it: there are as many as there are to be at least.
    used: bool,
    /// The machine is short of memory: nothing starts.
    low: bool,
    /// So many workers are to be there, ahead of work; none when they are.
    warm: u32,
    /// So many have still to become ready since that was asked for: one that has ended since was ready all the same.
    awaited: u32,
    /// How long workers take to start: the longest of late, which counts the less the more have started since.
    start: Micros,
    /// A worker has said why it cannot start: the same at once.
    start_failed: bool,
    /// When to look again whether an idle worker can take something over.
    look_again: Option<Micros>,
    /// The worker that gets nothing more until it has nothing: an item that has to be alone waits for it.
    emptied: Option<WorkerId>,
    /// Items have ended beside others, or before others of their key: a lane may be free, or a part ready.
    lane_freed: bool,
    /// When to look again how long items have run.
    next_look: Option<Micros>,
    /// The state of random numbers.
    random: u64,
    closing: bool,
    closed: bool,
}

impl Engine {
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        let config = PoolConfig { size: config.size.max(1), lanes: config.lanes.clamp(1, MAX_LANES), ..config };
        Self {
            config,
            calls: BTreeMap::new(),
            agenda: Agenda::default(),
            workers: BTreeMap::new(),
            actions: VecDeque::new(),
            next_call: 0,
            next_worker: 0,
            served: CallId::MAX,
            barren: 0,
            deaths: 0,
            rest_until: None,
            warm: 0,
            awaited: 0,
            used: false,
            low: false,
            start: 0,
            start_failed: false,
            look_again: None,
            emptied: None,
            lane_freed: false,
            next_look: None,
            random: config.seed,
            closing: false,
            closed: false,
        }
    }

    /// Opens a call.
    pub fn handle_open(&mut self, config: CallConfig) -> CallId {
        self.start_over();
        self.used = true;
        let id = self.next_call;
        self.next_call += 1;
        let call = Call::new(id, config, self.config.size, self.config.lanes);
        self.agenda.open(&call);
        self.calls.insert(id, call);
        id
    }

    /// Takes a chunk: the sizes in bytes of its items, which follow those of the chunk before.
    ///
    /// Returns `None`, and takes nothing, where the call has ended.
    pub fn handle_chunk(&mut self, call: CallId, sizes: &[u32], now: Micros) -> Option<ChunkId> {
        self.handle_keyed_chunk(call, sizes, &[], now)
    }

    /// The same for a call whose items have keys: the partition of the key of each, less than [`PARTITIONS`].
    pub fn handle_keyed_chunk(
        &mut self,
        call: CallId,
        sizes: &[u32],
        keys: &[Partition],
        now: Micros,
    ) -> Option<ChunkId> {
        assert!(!sizes.is_empty() && sizes.len() <= MAX_CHUNK_ITEMS as usize, "a chunk of {} items", sizes.len());
        let call = self.calls.get_mut(&call)?;
        assert_eq!(keys.len(), if call.is_keyed() { sizes.len() } else { 0 }, "keys of {} items", sizes.len());
        let chunk = call.push_chunk(sizes, keys)?;
        self.agenda.note(call);
        self.used = true;
        self.schedule(now);
        Some(chunk)
    }

    /// The source has no more items.
    pub fn handle_source_end(&mut self, call: CallId) {
        if let Some(state) = self.calls.get_mut(&call) {
            state.source_ended = true;
        }
        self.settle_end(call);
    }

    /// The consumer has taken this many items, with this many bytes.
    pub fn handle_consumed(&mut self, call: CallId, items: u32, bytes: u64) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.consume(items, bytes);
        }
    }

    /// The consumer wants nothing more. Whatever is delivered after it is not wanted.
    pub fn handle_cancel(&mut self, call: CallId, cancel: Cancel, now: Micros) {
        let Some(state) = self.calls.get_mut(&call) else { return };
        if cancel == Cancel::Hard {
            let at = now.saturating_add(self.config.grace);
            state.kill_at = Some(state.kill_at.map_or(at, |before| before.min(at)));
            self.agenda.note_cut_off(call);
        }
        let starts_items = state.starts_items();
        if !std::mem::replace(&mut state.cancelled, true) {
            state.drop_queue();
            self.agenda.note(state);
            state.release_all(&mut self.actions);
            if starts_items {
                self.stop_starting(call);
            }
            self.settle_end(call);
            self.schedule(now);
        }
    }

    /// The worker is ready.
    pub fn handle_ready(&mut self, worker: WorkerId, now: Micros) -> Result<(), Violation> {
        let before = self.ready_staff();
        let worker = self.workers.get_mut(&worker).ok_or(Violation)?;
        let started = worker.starts_since();
        if !worker.become_ready(now) {
            return Err(Violation);
        }
        if let Some(since) = started {
            self.note_start(now.saturating_sub(since));
        }
        self.start_failed = false;
        self.take_over(now);
        // One that came for another is no more than there were.
        self.awaited = self.awaited.saturating_sub(self.ready_staff().saturating_sub(before));
        self.retire_idle();
        self.schedule(now);
        Ok(())
    }

    /// The item of the chunk in this cell has ended; its outcome has `bytes`. Returns what becomes of it.
    pub fn handle_outcome(
        &mut self,
        worker: WorkerId,
        cell: u8,
        item: u32,
        status: Status,
        bytes: u32,
        now: Micros,
    ) -> Result<Kept, Violation> {
        let state = self.workers.get_mut(&worker).ok_or(Violation)?;
        let Ended { chunk, item, attempt, first, cut_off } = state.finish_item(cell, item)?;
        if first {
            // Not at every item: else a healthy worker would hide that all its new neighbours die at once.
            self.forget_deaths();
        }
        self.lane_freed |= self.config.lanes > 1;
        if let Some(cut_off) = cut_off {
            if !cut_off.charged {
                self.charge_time(worker, chunk, item, attempt, now);
            }
            self.end_cut_off(chunk, item);
            return Ok(Kept::Nothing);
        }
        if status == Status::Error {
            if let Some(asks) = self.try_again(chunk, item, attempt, false, now) {
                return Ok(Kept::Try { chunk, item, attempt, asks });
            }
            self.note_attempt(chunk, item, attempt);
        }
        let wanted = self.settle(chunk, item, status, bytes, None);
        Ok(if wanted { Kept::Outcome { chunk, item } } else { Kept::Nothing })
    }

    /// Consecutive items of the chunk in this cell, from `first` on, have ended in values of so many bytes. Returns their
    /// chunk and the number of the first in it; `None`, and nothing is noted, where they have to be handed in one by one.
    pub fn handle_values(
        &mut self,
        worker: WorkerId,
        cell: u8,
        first: u32,
        sizes: &[u32],
    ) -> Result<Option<(ChunkId, u32)>, Violation> {
        let end = u32::try_from(sizes.len()).ok().and_then(|count| first.checked_add(count)).ok_or(Violation)?;
        let state = self.workers.get_mut(&worker).ok_or(Violation)?;
        let Some((chunk, items)) = state.open_items(cell, first..end)? else { return Ok(None) };
        let owner = self.calls.get_mut(&chunk.call).filter(|owner| owner.takes_values(chunk, &items));
        let Some(owner) = owner else { return Ok(None) };
        let is_first = state.finish_items(cell, first..end);
        owner.finish_values(chunk, items.start, sizes);
        if is_first {
            // As for a single outcome.
            self.forget_deaths();
        }
        self.lane_freed |= self.config.lanes > 1;
        let start = items.start;
        self.deliver(chunk.call, Some((chunk, items)));
        Ok(Some((chunk, start)))
    }

    /// All outcomes that are there for now were handed in: with lanes or keys, their workers may do more.
    pub fn handle_heard(&mut self, now: Micros) {
        if std::mem::take(&mut self.lane_freed) {
            self.schedule(now);
        }
    }

    /// The worker is through with the chunk in this cell.
    pub fn handle_chunk_done(&mut self, worker: WorkerId, cell: u8, micros: u32, now: Micros) -> Result<(), Violation> {
        let state = self.workers.get_mut(&worker).ok_or(Violation)?;
        let (id, part) = state.end_dispatch(cell, now)?;
        if let (Some(part), Some(call)) = (part, self.calls.get_mut(&id)) {
            call.measure(part.finished, part.lanes, micros);
            let lanes = if state.runs(id) { 0 } else { part.lanes };
            call.part_ended(part.chunk, lanes, &mut self.actions);
        }
        self.settle_end(id);
        self.forget(worker, id);
        self.retire_idle();
        self.retire_leaving(worker, now);
        self.schedule(now);
        Ok(())
    }

    /// Items from `end` on of the chunk in this cell were unclaimed and came back.
    pub fn handle_taken_back(&mut self, worker: WorkerId, cell: u8, end: u32, now: Micros) {
        let Some(state) = self.workers.get_mut(&worker) else { return };
        let is_hard = |call| self.calls.get(&call).is_some_and(|call| call.kill_at.is_some());
        let cut_off = state.call_in(cell).filter(|call| is_hard(*call)).map(|_| (now, self.config.grace));
        let Some(back) = state.shorten(cell, end, cut_off) else { return };
        if let Some(call) = self.calls.get_mut(&back.chunk.call) {
            call.requeue(Part { chunk: back.chunk, items: back.items, attempt: back.attempt, alone: back.alone });
            self.agenda.note(call);
            if back.whole {
                call.part_ended(back.chunk, back.lanes, &mut self.actions);
            }
        }
        // An error that stops the call may have waited for one of these items, which now never runs.
        self.settle_end(back.chunk.call);
        self.schedule(now);
    }

    /// Time has passed. `claimed` tells for a cell of a worker and its number of items how many are claimed; outcomes
    /// that are there should have been handed in before.
    pub fn handle_timeout(&mut self, claimed: impl Fn(WorkerId, u8, u32) -> u32, now: Micros) {
        self.look(claimed, now);
        for (&id, worker) in &mut self.workers {
            if kill_time(worker, &self.calls).is_some_and(|at| at <= now) {
                worker.condemn();
                self.actions.push_back(Action::Kill { worker: id });
            }
        }
        self.queue_due(now);
        self.watch_workers(now);
        self.schedule(now);
        self.watch_ends(now);
    }

    /// Accepts no new work. Workers end as soon as they have nothing to do.
    pub fn handle_close(&mut self) {
        self.closing = true;
        self.retire_idle();
        self.settle_closing();
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When `handle_timeout` is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Micros> {
        let is_hard = self.agenda.has_cut_off();
        let in_danger = |worker: &&Worker| is_hard || worker.stuck_at().is_some() || worker.has_cut_off();
        let kills = self.workers.values().filter(in_danger).filter_map(|worker| kill_time(worker, &self.calls));
        let retries = self.agenda.tries().iter().filter_map(|id| self.calls.get(id)?.tries.next_due());
        let lives = self.next_change();
        kills.chain(retries).chain(self.look_again).chain(self.next_look).chain(lives).min()
    }

    /// How much the source of this call may be pulled.
    #[must_use]
    pub fn poll_credit(&self, call: CallId) -> Credit {
        let Some(call) = self.calls.get(&call).filter(|call| call.takes_items()) else { return Credit::default() };
        let mut credit = call.credit();
        // With nothing under way it is welcome to wait for its turn: the workers may never be idle where others share them.
        credit.hungry = !call.has_queued() && (call.dispatches == 0 || self.has_idle_capacity(call));
        credit
    }

    /// Whether a call that somebody waits for has items that are queued or run.
    #[must_use]
    pub fn poll_busy(&self) -> bool {
        let running = self.workers.values().flat_map(Worker::dispatches).map(|part| part.chunk.call);
        let noted = self.agenda.in_turn(0).chain(self.agenda.tries().iter().copied());
        let is_busy = |call: &Call| call.dispatches > 0 || call.has_queued() || call.tries.are_waiting();
        running.chain(noted).filter_map(|id| self.calls.get(&id)).any(|call| !call.cancelled && is_busy(call))
    }

    /// Workers that are ready, and that start.
    /// Workers that are up, and stay, and those that start.
    #[must_use]
    pub fn poll_workers(&self) -> (u32, u32) {
        let starting = self.workers.values().filter(|worker| worker.is_starting()).count();
        (self.ready_staff(), starting as u32)
    }

    /// Workers that have still to become ready until there were as many as the last warm-up asked for.
    #[must_use]
    pub fn poll_awaited(&self) -> u32 {
        self.awaited
    }

    /// An item has ended: note it, deliver what can be, stop the call if need be. False where nobody wants it any more.
    /// `lost`: the action that tells of it.
    fn settle(&mut self, chunk: ChunkId, item: u32, status: Status, bytes: u32, lost: Option<Action>) -> bool {
        let Some(call) = self.calls.get_mut(&chunk.call) else { return false };
        let wanted = call.finish_item(chunk, item, status, bytes);
        self.lane_freed |= call.is_keyed();
        if wanted {
            self.actions.extend(lost);
        }
        if wanted && status.is_error() && call.config.stop_on_error {
            call.stop_at(chunk, item);
            self.agenda.note(call);
            self.actions.push_back(Action::Stopping { chunk, item });
            self.stop_starting(chunk.call);
        }
        self.deliver(chunk.call, wanted.then_some((chunk, item..item + 1)));
        wanted
    }

    /// Delivers what can be; `ended` are items that have just ended.
    fn deliver(&mut self, id: CallId, ended: Option<(ChunkId, Range<u32>)>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (workers, actions) = (&self.workers, &mut self.actions);
        match ended {
            Some((chunk, items)) if !call.config.ordered => call.deliver(chunk, items, actions),
            None if !call.stop_waits() => {}
            _ => call
                .deliver_in_order(actions, |chunk, item| workers.values().any(|worker| worker.runs_item(chunk, item))),
        }
    }
}

/// When a worker is to be killed: it runs an item that was cut off, or one of a call that was cancelled hard, or hangs
/// before one.
fn kill_time(worker: &Worker, calls: &BTreeMap<CallId, Call>) -> Option<Micros> {
    if worker.is_condemned() {
        return None;
    }
    let running = worker.dispatches().filter(|part| part.has_unfinished());
    let cancelled = running.filter_map(|part| calls.get(&part.chunk.call)?.kill_at);
    cancelled.chain(worker.stuck_at()).chain(worker.cut_off_until()).min()
}
