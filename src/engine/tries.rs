//! Tries: which failed one is followed by another, and when; how long one may take.
//!
//! Nothing here costs an item anything that has not failed, in a call without a time-out. Of one with it, the owner looks
//! now and then how far each worker has claimed its items. An item counts from the moment when it was first seen so: never
//! cut off too early, at most one look too late, and a worker that lies about its claims harms its own items alone.
//!
//! Of several items in one process, one that holds the event loop makes them all late. So one that has others beside it is
//! only charged when it ends late, or when the worker has heard that its time is over: then the event loop goes on, and
//! nobody but the item is to blame. If the worker dies without that, all that it ran are suspects, as after a crash.

use super::{
    Action, CallId, ChunkId, Engine, Micros, Status, Violation, WorkerId,
    call::{Call, Part},
    dispatch::Cut,
};
use std::collections::{BTreeMap, BTreeSet};

/// How often failed items are tried again, and after how long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    /// [`u32::MAX`]: without end.
    pub retries: u32,
    /// Before the first retry; each further one waits `factor` times as long, at most `max`.
    pub initial: Micros,
    pub factor: f64,
    pub max: Micros,
    /// Part of that time, from 0 to 1, of which a random share is left out.
    pub jitter: f64,
    /// The owner is asked first: [`Engine::handle_verdict`].
    pub asks: bool,
}

/// What the engine makes of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is that of the item.
    Outcome { chunk: ChunkId, item: u32 },
    /// It is only that of this try: the item is tried again, if the owner, where it is asked, wants that.
    Try { chunk: ChunkId, item: u32, attempt: u32, asks: bool },
    /// Nobody wants it any more.
    Nothing,
}

/// Sequence number of a chunk, and the item.
type Spot = (u32, u32);

/// The items of a call that have failed, and have not ended.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failed: BTreeMap<Spot, Failed>,
    waiting: BTreeMap<Spot, Waiting>,
    /// Those that wait for nothing but their time.
    due: BTreeSet<(Micros, Spot)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failed {
    errors: u32,
    crashes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Which try the next one is.
    attempt: u32,
    /// When that is due; none: the owner has not said whether there is one.
    at: Option<Micros>,
    /// The last try was cut off, and its worker may still be at it.
    running: bool,
}

impl Tries {
    /// The item has ended.
    pub fn forget(&mut self, chunk: ChunkId, item: u32) {
        if !self.failed.is_empty() {
            self.failed.remove(&(chunk.sequence, item));
        }
    }

    /// The chunks of items that have failed.
    #[cfg(test)]
    pub fn chunks(&self) -> impl Iterator<Item = u32> + '_ {
        self.failed.keys().chain(self.waiting.keys()).map(|(sequence, _)| *sequence)
    }

    /// No item has failed without having ended.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.waiting.is_empty()
    }

    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing starts any more: returns the chunks of what has waited, once for each.
    pub fn clear(&mut self) -> Vec<u32> {
        self.failed.clear();
        self.due.clear();
        std::mem::take(&mut self.waiting).into_keys().map(|(sequence, _)| sequence).collect()
    }

    pub fn next_due(&self) -> Option<Micros> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is due, and waits no more.
    fn take_due(&mut self, now: Micros) -> Vec<(Spot, u32)> {
        let mut taken = Vec::new();
        while let Some(&(at, spot)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, spot));
            taken.extend(self.waiting.remove(&spot).map(|waiting| (spot, waiting.attempt)));
        }
        taken
    }

    fn set_due(&mut self, spot: Spot) {
        if let Some(Waiting { at: Some(at), running: false, .. }) = self.waiting.get(&spot) {
            self.due.insert((*at, spot));
        }
    }
}

impl Call {
    /// Whether the item whose try has failed may have another; counts it.
    fn may_retry(&mut self, chunk: ChunkId, item: u32) -> Option<u32> {
        let retries = self.config.retry.retries;
        if retries == 0 || !self.starts_items() || !self.is_open(chunk, item) {
            return None;
        }
        let failed = self.tries.failed.entry((chunk.sequence, item)).or_default();
        (failed.errors < retries).then(|| {
            failed.errors = failed.errors.saturating_add(1);
            failed.errors
        })
    }

    /// Whether the item whose worker has died may run again; counts it.
    pub fn may_survive_crash(&mut self, chunk: ChunkId, item: u32) -> bool {
        let most = self.config.crash_retries;
        if most == 0 || !self.starts_items() || !self.is_open(chunk, item) {
            return false;
        }
        let failed = self.tries.failed.entry((chunk.sequence, item)).or_default();
        let survives = failed.crashes < most;
        failed.crashes += u32::from(survives);
        survives
    }

    /// How often its workers are looked at, at least: for what runs too long, and for tries that have failed, which must
    /// not wait for an owner who is busy with something else.
    pub fn look_every(&self) -> Option<Micros> {
        let timeout = self.config.timeout.map(|timeout| (timeout / LOOKS_PER_TIMEOUT).max(MIN_LOOK));
        let retry = (self.config.retry.retries > 0 && !self.config.retry.asks).then_some(LISTEN_EVERY);
        timeout.into_iter().chain(retry).min()
    }
}

impl Engine {
    /// Whether a try that the owner was asked about is followed by another. If not, its error is the item's.
    pub fn handle_verdict(&mut self, chunk: ChunkId, item: u32, attempt: u32, again: bool, now: Micros) {
        let spot = (chunk.sequence, item);
        let Some(call) = self.calls.get_mut(&chunk.call) else { return };
        let asked = |waiting: &&mut Waiting| waiting.at.is_none() && waiting.attempt == attempt.saturating_add(1);
        let Some(waiting) = call.tries.waiting.get_mut(&spot).filter(asked) else { return };
        if again {
            let errors = call.tries.failed.get(&spot).map_or(1, |failed| failed.errors);
            waiting.at = Some(now.saturating_add(delay(&call.config.retry, errors, &mut self.random)));
            call.tries.set_due(spot);
        } else {
            // What still runs keeps its key.
            let status = if waiting.running { Status::TimedOut } else { Status::Error };
            call.tries.waiting.remove(&spot);
            call.drop_part(chunk.sequence);
            self.settle(chunk, item, status, 0, Some(Action::Refused { chunk, item }));
            self.settle_end(chunk.call);
            self.schedule(now);
        }
    }

    /// A try has ended in an error. Where another one follows, it waits for its time now, and the answer says whether the
    /// owner is asked. `running`: the worker has not let go of it.
    pub(super) fn try_again(
        &mut self,
        chunk: ChunkId,
        item: u32,
        attempt: u32,
        running: bool,
        now: Micros,
    ) -> Option<bool> {
        let call = self.calls.get_mut(&chunk.call)?;
        let errors = call.may_retry(chunk, item)?;
        let retry = &call.config.retry;
        let at = (!retry.asks).then(|| now.saturating_add(delay(retry, errors, &mut self.random)));
        let asks = retry.asks;
        let spot = (chunk.sequence, item);
        call.hold_part(chunk.sequence);
        self.agenda.note_try(chunk.call);
        call.tries.waiting.insert(spot, Waiting { attempt: attempt.saturating_add(1), at, running });
        call.tries.set_due(spot);
        Some(asks)
    }

    /// The worker has let go of a try that was cut off.
    pub(super) fn end_cut_off(&mut self, chunk: ChunkId, item: u32) {
        let Some(call) = self.calls.get_mut(&chunk.call) else { return };
        self.lane_freed |= call.is_keyed();
        let spot = (chunk.sequence, item);
        if let Some(waiting) = call.tries.waiting.get_mut(&spot) {
            waiting.running = false;
            call.tries.set_due(spot);
        } else if !call.is_open(chunk, item) {
            call.end_key(chunk, item);
        }
    }

    /// Tries that are due go before all that waits.
    pub(super) fn queue_due(&mut self, now: Micros) {
        for id in self.agenda.tries().iter().copied().collect::<Vec<CallId>>() {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            for ((sequence, item), attempt) in call.tries.take_due(now).into_iter().rev() {
                let chunk = ChunkId { call: call.id, sequence };
                // It has been held as a part of its chunk all the time.
                call.drop_part(sequence);
                call.requeue(Part { chunk, items: item..item + 1, attempt, alone: false });
            }
            self.agenda.note(call);
        }
        self.agenda.keep_tries(|id| self.calls.get(&id).is_some_and(|call| call.tries.are_waiting()));
    }

    /// A part of a call was sent.
    pub(super) fn look_after(&mut self, call: CallId, now: Micros) {
        if let Some(every) = self.calls.get(&call).and_then(Call::look_every) {
            let at = now.saturating_add(every);
            self.next_look = Some(self.next_look.map_or(at, |before| before.min(at)));
        }
    }

    /// Looks how far workers have claimed, and cuts off what takes too long.
    pub(super) fn look(&mut self, claimed: impl Fn(WorkerId, u8, u32) -> u32, now: Micros) {
        if self.next_look.is_none_or(|at| at > now) {
            return;
        }
        let (mut next, mut cuts, mut hung) = (None::<Micros>, Vec::new(), Vec::new());
        // Cells of parts that are not sent still tell of the parts before.
        let unsent: BTreeSet<(WorkerId, u8)> = self
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Dispatch { worker, sent } => Some((*worker, sent.cell)),
                _ => None,
            })
            .collect();
        for (&id, worker) in &mut self.workers {
            let (mut running, mut longest, mut overdue) = (0, None::<Micros>, Vec::new());
            for part in worker.unfinished_parts() {
                let seen = if unsent.contains(&(id, part.cell)) { 0 } else { claimed(id, part.cell, part.items()) };
                running += seen.saturating_sub(part.finished);
                let Some(call) = self.calls.get(&part.chunk.call) else { continue };
                let Some(every) = call.look_every() else { continue };
                if part.is_timed() {
                    longest = longest.max(call.config.timeout);
                    let at = part.look(seen, now, |cut| overdue.push(cut));
                    next = next.into_iter().chain(at).min();
                }
                next = next.into_iter().chain([now.saturating_add(every)]).min();
            }
            if worker.hangs(longest.is_some() && running == 0, longest.unwrap_or(0).max(MIN_STILL), now) {
                hung.push(id);
            }
            cuts.extend(overdue.into_iter().map(|cut| (id, cut, running > 1)));
        }
        self.next_look = next;
        for id in hung {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            worker.condemn();
            self.actions.push_back(Action::Kill { worker: id });
        }
        for (worker, cut, beside_others) in cuts {
            self.cut_off(worker, cut, beside_others, now);
        }
    }

    fn cut_off(&mut self, id: WorkerId, cut: Cut, beside_others: bool, now: Micros) {
        let kill_at = now.saturating_add(self.config.grace);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Cut { cell, index, chunk, item, attempt } = cut;
        worker.cut_off(cell, index, kill_at);
        self.actions.push_back(Action::AbortItem { worker: id, cell, item: index });
        if !beside_others && worker.charge(cell, index).is_ok() {
            self.charge_time(id, chunk, item, attempt, now);
        }
    }

    /// The worker has heard that the time of this item of the part in the cell is over: its event loop goes on.
    pub fn handle_abort_heard(&mut self, worker: WorkerId, cell: u8, item: u32, now: Micros) -> Result<(), Violation> {
        let state = self.workers.get_mut(&worker).ok_or(Violation)?;
        if let Some(Cut { chunk, item, attempt, .. }) = state.charge(cell, item)? {
            self.charge_time(worker, chunk, item, attempt, now);
            self.settle_end(chunk.call);
            self.schedule(now);
        }
        Ok(())
    }

    /// The item fails of its time-out, and may run on.
    pub(super) fn charge_time(&mut self, worker: WorkerId, chunk: ChunkId, item: u32, attempt: u32, now: Micros) {
        let status = Status::TimedOut;
        if let Some(asks) = self.try_again(chunk, item, attempt, true, now) {
            self.actions.push_back(Action::Again { worker, chunk, item, attempt, status, asks });
        } else {
            self.note_attempt(chunk, item, attempt);
            self.settle(chunk, item, status, 0, Some(Action::TimedOut { worker, chunk, item }));
        }
    }

    /// Says which try an error comes from, where that is not the first.
    pub(super) fn note_attempt(&mut self, chunk: ChunkId, item: u32, attempt: u32) {
        if attempt > 1 {
            self.actions.push_back(Action::Tried { chunk, item, attempt });
        }
    }
}

/// How long the retry of this number waits, from 1.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // times of years, to the microsecond
fn delay(retry: &Retry, number: u32, random: &mut u64) -> Micros {
    if retry.initial == 0 {
        return 0;
    }
    let power = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
    // Infinity is at the cap, too.
    let whole = (retry.initial as f64 * retry.factor.powi(power)).min(retry.max as f64);
    let share = (next_random(random) >> 11) as f64 / (1u64 << 53) as f64;
    (whole * (1.0 - retry.jitter * share)).max(0.0) as Micros
}

/// splitmix64, by Sebastiano Vigna.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A worker that begins nothing of what it has is given up after the time-out of that, but not before this: it may have
/// to take in what is very large, or wait for a processor.
pub(super) const MIN_STILL: Micros = 10_000_000;
/// Claims are looked at so often within a time-out, but no more often than once in `MIN_LOOK`.
const LOOKS_PER_TIMEOUT: Micros = 16;
const MIN_LOOK: Micros = 1_000;
/// A look costs some microseconds, so this is no thousandth of a core.
const LISTEN_EVERY: Micros = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { retries: 9, initial: 100, factor: 2.0, max: 1_000, jitter: 0.0, asks: false };

    #[test]
    fn delays_grow_up_to_the_cap() {
        let delays: Vec<Micros> = (1..=6).map(|number| delay(&RETRY, number, &mut 1)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(delay(&RETRY, u32::MAX, &mut 1), 1_000);
        assert_eq!(delay(&Retry { initial: 0, ..RETRY }, u32::MAX, &mut 1), 0);
    }

    #[test]
    fn jitter_leaves_out_a_random_part() {
        let mut random = 7;
        let delays: Vec<Micros> =
            (0..1_000).map(|_| delay(&Retry { jitter: 0.5, initial: 1_000, ..RETRY }, 1, &mut random)).collect();
        assert!(delays.iter().all(|delay| (500..=1_000).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay < 550) && delays.iter().any(|delay| *delay > 950));
    }
}
