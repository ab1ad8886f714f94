//! Who gets what: parts to workers (least loaded first, calls in turn), new workers for parts that would wait, and work
//! that a busy worker has not begun to one that is idle.

use super::{
    Action, CallId, Engine, MAX_BARREN_DEATHS, Micros, WorkerId,
    call::Call,
    worker::{Dispatch, Worker},
};

/// Less work than this is not worth taking from a worker: it costs a crossing.
const WORTH_TAKING_NANOS: u64 = 300_000;
/// A part that has been with a worker for this long is slow, whatever was measured before.
const SLOW_MICROS: Micros = 1_000;
/// Nothing waits behind a part that a worker has run for this long, if another worker may come free earlier. A crossing
/// that could have been saved is then 0.3 % of it.
const BLOCKED_MICROS: Micros = 20_000;

/// Work of a worker that another one could do.
struct Load {
    worker: WorkerId,
    cell: u8,
    /// From when on it may be taken.
    due: Micros,
    waits_behind: bool,
    /// How many items the worker has not begun, and how many of them to take.
    unclaimed: u32,
    most: u32,
}

impl Engine {
    pub(super) fn schedule(&mut self, now: Micros) {
        while let Some((worker, call)) = self.next_match(now) {
            let Some(state) = self.workers.get_mut(&worker) else { break };
            let is_new = !state.runs(call);
            let Some(part) = self.calls.get_mut(&call).and_then(|call| call.next_part(is_new)) else { break };
            self.served = call;
            let (chunk, start, end) = (part.chunk, part.items.start, part.items.end);
            let cell = state.push(chunk, part.items, now);
            self.actions.push_back(Action::Dispatch { worker, cell, chunk, start, end });
        }
        self.spawn_for_queue();
        self.share(now);
    }

    /// Whether a part of this call would start at once, or with a worker that is about to be there.
    pub(super) fn has_idle_capacity(&self, call: &Call) -> bool {
        let idle = self.workers.values().any(Worker::is_idle);
        let starting = self.workers.values().filter(|worker| worker.is_starting()).count();
        call.free_slots() > 0 && (idle || self.can_spawn() || starting > self.queued())
    }

    pub(super) fn spawn(&mut self) {
        let worker = self.next_worker;
        self.next_worker += 1;
        self.workers.insert(worker, Worker::default());
        self.actions.push_back(Action::Spawn { worker });
    }

    /// Items that a worker has not begun are to come back.
    pub(super) fn take_back(&mut self, worker: WorkerId, cell: u8, most: u32) {
        if let Some(state) = self.workers.get_mut(&worker) {
            let items = state.ask_back(cell);
            self.actions.push_back(Action::TakeBack { worker, cell, items, most });
        }
    }

    /// Whether new workers have a chance: the last ones did not all die before they had done anything.
    pub(super) fn has_hope(&self) -> bool {
        !self.start_failed && self.barren < MAX_BARREN_DEATHS
    }

    fn can_spawn(&self) -> bool {
        self.has_hope() && (self.workers.len() as u32) < self.config.size
    }

    fn queued(&self) -> usize {
        self.calls.values().map(Call::queued_parts).sum()
    }

    /// The idlest worker that can take something, and the call whose turn it is there. A second part goes to a worker
    /// only where no other worker could take it instead.
    fn next_match(&self, now: Micros) -> Option<(WorkerId, CallId)> {
        let after = self.calls.range(self.served.saturating_add(1)..);
        let in_turn = after.chain(self.calls.range(..=self.served)).map(|(_, call)| call);
        let waiting: Vec<(CallId, bool)> =
            in_turn.filter(|call| call.has_queued()).map(|call| (call.id, call.free_slots() > 0)).collect();
        if waiting.is_empty() {
            return None;
        }
        let call_for = |worker: &Worker, may_wait: bool| {
            let fits = |&&(call, may_spread): &&(CallId, bool)| {
                (may_spread || worker.runs(call)) && (worker.is_idle() || may_wait || !may_spread)
            };
            waiting.iter().find(fits).map(|(call, _)| *call)
        };
        let idle = self.workers.iter().filter(|(_, worker)| worker.is_idle());
        if let Some(found) = idle.clone().find_map(|(&id, worker)| Some((id, call_for(worker, false)?))) {
            return Some(found);
        }
        let more_to_come = self.can_spawn() || idle.count() > 0 || self.workers.values().any(Worker::is_starting);
        let busy = self.workers.iter().filter(|(_, worker)| {
            worker.room() > 0 && !worker.is_idle() && !(self.config.size > 1 && is_blocked(worker, now))
        });
        busy.into_iter().find_map(|(&id, worker)| Some((id, call_for(worker, !more_to_come)?)))
    }

    fn spawn_for_queue(&mut self) {
        if !self.can_spawn() {
            return;
        }
        let starting = self.workers.values().filter(|worker| worker.is_starting()).count();
        // A call uses no more workers than its concurrency, so more are of no use to its parts.
        let useful = |call: &Call| call.queued_parts().min(call.free_slots() as usize);
        let useful: usize = self.calls.values().filter(|call| call.has_queued()).map(useful).sum();
        for _ in starting..useful {
            if !self.can_spawn() {
                return;
            }
            self.spawn();
        }
    }

    /// An idle worker takes what a busy one has not begun; what waits behind a slow part waits for any worker.
    fn share(&mut self, now: Micros) {
        let idle = self.workers.values().any(Worker::is_idle);
        let (mut best, mut later) = (None::<Load>, None::<Micros>);
        for (&id, worker) in &self.workers {
            let first = worker.dispatches().next().map_or(0, |first| first.since);
            for (at, part) in worker.dispatches().enumerate() {
                let Some(load) = self.load(id, worker, part, (at > 0).then_some(first), idle, now) else { continue };
                if load.due > now {
                    later = Some(later.map_or(load.due, |other| other.min(load.due)));
                } else if best.as_ref().is_none_or(|best| load.size() > best.size()) {
                    best = Some(load);
                }
            }
        }
        self.look_again = later;
        if let Some(load) = best {
            self.take_back(load.worker, load.cell, load.most);
        }
    }

    /// What of a part could be done elsewhere, and when; `behind` tells since when the part before it has run.
    fn load(
        &self,
        id: WorkerId,
        worker: &Worker,
        part: &Dispatch,
        behind: Option<Micros>,
        idle: bool,
        now: Micros,
    ) -> Option<Load> {
        // Of the first part, the first unfinished item runs.
        let unclaimed = (part.items() - part.finished).saturating_sub(u32::from(behind.is_none()));
        if unclaimed == 0 || part.exhausted || !(idle || behind.is_some()) || self.config.size == 1 {
            return None;
        }
        let call = self.calls.get(&part.chunk.call).filter(|call| call.starts_items())?;
        // Where no more workers may run the call, all that this one has of it may still move to another.
        let may_spread = call.free_slots() > 0;
        let alone = || worker.dispatches().filter(|other| other.chunk.call == call.id).count() == 1;
        let may_move = may_spread || (behind.is_some() && alone());
        // It may wait for whoever comes free, unless that can only be the same worker.
        let blocked_at = behind.filter(|_| may_move || call.config.concurrency > 1).map(|since| since + BLOCKED_MICROS);
        let worth_taking = call.nanos_per_item().unwrap_or(0) * u64::from(unclaimed) >= WORTH_TAKING_NANOS;
        let shared_at = (idle && may_move).then_some(if worth_taking { 0 } else { part.since + SLOW_MICROS });
        let due = blocked_at.into_iter().chain(shared_at).min()?;
        let most = match behind {
            Some(_) if !may_spread || blocked_at.is_some_and(|at| at <= now) => unclaimed,
            Some(_) => unclaimed.div_ceil(2),
            None => (unclaimed / 2).max(1),
        };
        Some(Load { worker: id, cell: part.cell, due, waits_behind: behind.is_some(), unclaimed, most })
    }
}

impl Load {
    /// Rather what waits than what is at work, rather much than little.
    fn size(&self) -> (bool, u32) {
        (self.waits_behind, self.unclaimed)
    }
}

/// Whether its first part has run for so long that nothing should wait behind it.
fn is_blocked(worker: &Worker, now: Micros) -> bool {
    worker.dispatches().next().is_some_and(|first| now.saturating_sub(first.since) >= BLOCKED_MICROS)
}
