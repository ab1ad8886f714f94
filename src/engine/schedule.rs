//! Who gets what: parts to workers (least loaded first, calls in turn), new workers for parts that would wait, and work
//! that a busy worker has not begun to one that is idle.

use super::{
    Action, CallId, Engine, MAX_BARREN_DEATHS, Micros, WorkerId, call::Call, dispatch::Dispatch, worker::Worker,
};
use std::{cmp::Reverse, collections::BTreeSet};

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
        if self.rest_until.take_if(|at| *at <= now).is_some() && !self.workers.is_empty() {
            // The pool goes on as it is, and more may join it yet.
            self.hope_again();
        }
        if self.low {
            self.look_again = None;
            return self.make_room(now);
        }
        self.isolate(now);
        self.emptied = self.worker_to_empty();
        while let Some((worker, call)) = self.next_match(now) {
            let Some(state) = self.workers.get(&worker) else { break };
            let (lanes, most, reach) = (state.lanes_of(call), state.tasks_left(), self.reach());
            let Some(call) = self.calls.get_mut(&call) else { break };
            let Some((part, lanes)) = call.next_part(worker, reach, lanes, most) else { break };
            let (id, timeout) = (call.id, call.config.timeout);
            self.agenda.note(call);
            self.served = id;
            let Some(state) = self.workers.get_mut(&worker) else { break };
            let sent = state.push(part, lanes, timeout, now);
            self.actions.push_back(Action::Dispatch { worker, sent });
            self.look_after(id, now);
            self.spend(worker, now);
        }
        if !self.agenda.suspects().is_empty() {
            // Others have had their turn.
            self.isolate(now);
            self.emptied = self.worker_to_empty();
        }
        self.make_way();
        self.spawn_for_queue(now);
        self.staff_up(now);
        self.succeed(now);
        self.share(now);
    }

    /// Whether a part of this call would start at once, or with a worker that is about to be there.
    pub(super) fn has_idle_capacity(&self, call: &Call) -> bool {
        let starting = self.workers.values().filter(|worker| worker.is_starting()).count();
        self.free_workers().any(|(id, worker)| self.starts_at(id, worker, call))
            || (call.free_slots() > 0 && (self.can_spawn() || self.have_less_queued_than(starting)))
    }

    pub(super) fn spawn(&mut self, now: Micros) {
        let worker = self.next_worker;
        self.next_worker += 1;
        self.workers.insert(worker, Worker::new(self.config.lanes, self.config.max_tasks, now));
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

    /// How many workers there can be: as many as there are, where no more come.
    pub(super) fn reach(&self) -> u32 {
        if self.has_hope() { self.config.size } else { self.staff().max(1) }
    }

    pub(super) fn can_spawn(&self) -> bool {
        self.may_start() && self.staff() < self.config.size
    }

    /// Whether a worker may be started now.
    pub(super) fn may_start(&self) -> bool {
        self.has_hope() && self.rest_until.is_none() && !self.low
    }

    /// Calls of which something waits: those of the highest priority first, and of each the next one in turn.
    fn waiting(&self) -> impl Iterator<Item = &Call> {
        self.agenda.in_turn(self.served).filter_map(|id| self.calls.get(&id))
    }

    fn have_less_queued_than(&self, most: usize) -> bool {
        let mut queued = 0;
        most > 0
            && self.waiting().all(|call| {
                queued += call.queued_parts();
                queued < most
            })
    }

    /// Something else goes to this worker before what has to be alone of this call: it has a higher priority, or it is its
    /// turn.
    fn is_outranked(&self, id: WorkerId, worker: &Worker, call: CallId, priority: i32) -> bool {
        let mut above = self.agenda.above(priority).chain(self.agenda.beside(priority).filter(|_| self.served == call));
        above.any(|other| {
            let waits = |other: &Call| other.has_parts() && self.may_go(id, worker, other);
            other != call && self.calls.get(&other).is_some_and(waits)
        })
    }

    /// Items that have to be alone go to workers that have nothing, in turn with other calls of the same priority.
    fn isolate(&mut self, now: Micros) {
        for (priority, call) in self.suspects() {
            while self.calls.get(&call).is_some_and(|call| call.has_suspects() && call.free_slots() > 0) {
                let takes = |(id, worker): &(&WorkerId, &Worker)| {
                    worker.is_idle() && !self.is_outranked(**id, worker, call, priority)
                };
                let Some((&worker, _)) = self.workers.iter().find(takes) else { break };
                let (Some(owner), Some(state)) = (self.calls.get_mut(&call), self.workers.get_mut(&worker)) else {
                    break;
                };
                let Some((part, lanes)) = owner.next_suspect() else { break };
                self.agenda.note(owner);
                let sent = state.push(part, lanes, owner.config.timeout, now);
                self.actions.push_back(Action::Dispatch { worker, sent });
                self.served = call;
                self.look_after(call, now);
                self.spend(worker, now);
            }
        }
        self.agenda.keep_suspects(|id| self.calls.get(&id).is_some_and(Call::has_suspects));
    }

    /// Calls with items that have to be alone, the highest priority first.
    fn suspects(&self) -> Vec<(i32, CallId)> {
        let calls = self.agenda.suspects().iter().filter_map(|id| self.calls.get(id));
        let mut ids: Vec<(i32, CallId)> = calls.map(|call| (call.config.priority, call.id)).collect();
        ids.sort_by_key(|(priority, _)| Reverse(*priority));
        ids
    }

    /// Workers that would start something at once.
    fn free_workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        let workers = self.workers.iter().map(|(&id, worker)| (id, worker));
        workers.filter(|(id, worker)| worker.free_lanes() > 0 && Some(*id) != self.emptied)
    }

    /// A worker that gets nothing more until it has nothing, for an item that has to be alone, where no new worker will
    /// come for it.
    fn worker_to_empty(&self) -> Option<WorkerId> {
        let may_run = |id: &CallId| self.calls.get(id).is_some_and(|call| call.has_suspects() && call.free_slots() > 0);
        let (priority, call) = self.suspects().into_iter().find(|(_, id)| may_run(id))?;
        if self.can_spawn() || self.workers.values().any(Worker::is_starting) {
            return None;
        }
        let goes = |id, worker: &Worker| worker.may_be_emptied() && !self.is_outranked(id, worker, call, priority);
        self.workers.iter().find(|(id, worker)| goes(**id, worker)).map(|(&id, _)| id)
    }

    /// The worker with the most free lanes that can take something, and the call whose turn it is there. What would wait
    /// behind others goes to a worker only where no other worker could take it instead.
    fn next_match(&self, now: Micros) -> Option<(WorkerId, CallId)> {
        let waiting = || self.waiting().filter(|call| call.has_parts());
        waiting().next()?;
        let mut best: Option<(u32, WorkerId, CallId)> = None;
        let mut has_free_lanes = false;
        for (id, worker) in self.free_workers() {
            let free = worker.free_lanes();
            has_free_lanes = true;
            if free > best.map_or(0, |(most, ..)| most)
                && let Some(call) = waiting().find(|call| self.starts_at(id, worker, call))
            {
                best = Some((free, id, call.id));
                if self.config.lanes == 1 {
                    break;
                }
            }
        }
        if let Some((_, worker, call)) = best {
            return Some((worker, call));
        }
        let more_to_come = self.can_spawn() || has_free_lanes || self.workers.values().any(Worker::is_starting);
        let busy = self.workers.iter().filter(|(id, worker)| {
            Some(**id) != self.emptied && !worker.is_idle() && !(self.config.size > 1 && is_blocked(worker, now))
        });
        busy.into_iter().find_map(|(&id, worker)| {
            // Without keys it is the same for all of them.
            if !self.agenda.has_keys() && !worker.lets_wait(0) {
                return None;
            }
            let mut here = waiting().filter(|call| self.may_go(id, worker, call)).peekable();
            let highest = here.peek()?.config.priority;
            let fits = |call: &&Call| {
                let is_bound = !call.may_spread() || call.is_at_home(id);
                worker.lets_wait(call.parts_ahead())
                    && (!more_to_come || is_bound)
                    && !self.lower_parts(worker, highest).any(|(part, _)| part.may_come_back())
            };
            // What would have to make way again at once does not even go.
            here.take_while(|call| call.config.priority == highest).find(fits).map(|call| (id, call.id))
        })
    }

    /// Whether something of the call that waits may go to this worker, now or later.
    fn may_go(&self, id: WorkerId, worker: &Worker, call: &Call) -> bool {
        let fits = match worker.lanes_of(call.id) {
            Some(lanes) => !call.is_outgrown(Some(lanes)),
            None => call.may_spread(),
        };
        fits && call.has_parts_for(id, self.reach())
    }

    /// Whether a part of the call would start at once here.
    fn starts_at(&self, id: WorkerId, worker: &Worker, call: &Call) -> bool {
        let has_lanes = match worker.lanes_of(call.id) {
            Some(lanes) => worker.free_lanes_for(call.id) > 0 && !call.is_outgrown(Some(lanes)),
            None => worker.free_lanes() > 0 && call.may_spread(),
        };
        has_lanes && call.has_parts_for(id, self.reach())
    }

    /// Parts of a lower priority of which a worker has not begun something, and how many items that are.
    fn lower_parts<'a>(&'a self, worker: &'a Worker, priority: i32) -> impl Iterator<Item = (&'a Dispatch, u32)> {
        worker.parts().filter_map(move |(part, lanes)| {
            let call = self.calls.get(&part.chunk.call)?;
            // In each of its lanes, one unfinished item runs.
            let unclaimed = (part.items() - part.finished).saturating_sub(lanes);
            (unclaimed > 0 && call.config.priority < priority && call.starts_items()).then_some((part, unclaimed))
        })
    }

    /// What waits goes before all of a lower priority that workers hold and have not begun: that comes back.
    fn make_way(&mut self) {
        let waiting = || self.waiting().filter(|call| call.has_parts());
        let Some(highest) = waiting().next().map(|call| call.config.priority) else { return };
        if self.agenda.lowest().is_none_or(|lowest| lowest >= highest) {
            return;
        }
        let mut back = Vec::new();
        for (&id, worker) in &self.workers {
            let Some(call) = waiting().find(|call| self.may_go(id, worker, call)) else { continue };
            let highest = call.config.priority;
            let parts = self.lower_parts(worker, highest).filter(|(part, _)| !part.exhausted);
            back.extend(parts.map(|(part, unclaimed)| (id, part.cell, unclaimed)));
        }
        for (worker, cell, unclaimed) in back {
            self.take_back(worker, cell, unclaimed);
        }
    }

    fn spawn_for_queue(&mut self, now: Micros) {
        if !self.can_spawn() {
            return;
        }
        let starting = self.workers.values().filter(|worker| worker.is_starting()).count();
        // A call uses no more workers than its concurrency, so more are of no use to its parts.
        let useful = |call: &Call| call.queued_parts().min(call.free_slots() as usize);
        let (mut useful_parts, enough) = (0, starting + self.config.size as usize);
        for call in self.waiting() {
            useful_parts += useful(call);
            if useful_parts >= enough {
                break;
            }
        }
        if self.config.lanes > 1 {
            // What has found a lane beside others runs already, but what comes next should find a worker with less to do.
            let crowded = |call: &Call| call.crowded_parts().min(call.free_slots() as usize);
            let held: BTreeSet<CallId> =
                self.workers.values().flat_map(Worker::dispatches).map(|part| part.chunk.call).collect();
            let held = held.iter().filter_map(|id| self.calls.get(id));
            let crowded: usize = held.filter(|call| call.takes_items()).map(crowded).sum();
            let idle = self.workers.values().filter(|worker| worker.is_idle()).count();
            useful_parts = useful_parts.max(crowded.saturating_sub(idle));
        }
        for _ in starting..useful_parts {
            if !self.can_spawn() {
                return;
            }
            self.spawn(now);
        }
    }

    /// An idle worker takes what a busy one has not begun; what waits behind a slow part waits for any worker.
    fn share(&mut self, now: Micros) {
        let idle = self.free_workers().next().is_some();
        let (mut best, mut later) = (None::<Load>, None::<Micros>);
        for (&id, worker) in &self.workers {
            for (part, lanes) in worker.parts() {
                let Some(load) = self.load(id, worker, (part, lanes), idle, now) else { continue };
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

    /// What of a part, which has so many lanes, could be done elsewhere, and when.
    fn load(
        &self,
        id: WorkerId,
        worker: &Worker,
        (part, lanes): (&Dispatch, u32),
        idle: bool,
        now: Micros,
    ) -> Option<Load> {
        // In each of its lanes, one unfinished item runs. Without any, it waits behind others.
        let unclaimed = (part.items() - part.finished).saturating_sub(lanes);
        let behind = worker.blocked_since().filter(|_| lanes == 0);
        if unclaimed == 0 || part.exhausted || !(idle || behind.is_some()) || self.config.size == 1 {
            return None;
        }
        // What has a key stays where that is at home.
        let call = self.calls.get(&part.chunk.call).filter(|call| call.starts_items() && !call.is_keyed())?;
        // Where no more workers may run the call, all that this one has of it may still move to another.
        let may_spread = call.may_spread();
        let alone = || worker.dispatches().filter(|other| other.chunk.call == call.id).count() == 1;
        let may_move = may_spread || (behind.is_some() && !call.has_suspects() && alone());
        // It may wait for whoever comes free, unless that can only be the same worker.
        let blocked_at = behind.filter(|_| may_move || call.most_holders() > 1).map(|since| since + BLOCKED_MICROS);
        let worth_taking = call.nanos_per_item().unwrap_or(0) * u64::from(unclaimed) >= WORTH_TAKING_NANOS;
        let starts_elsewhere = idle
            && self.free_workers().filter(|(other, _)| *other != id).any(|(_, other)| match other.lanes_of(call.id) {
                Some(lanes) => other.free_lanes_for(call.id) > 0 && !call.is_outgrown(Some(lanes)),
                None => may_move,
            });
        let shared_at = starts_elsewhere.then_some(if worth_taking { 0 } else { part.since + SLOW_MICROS });
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

/// Whether what runs here has run for so long that nothing should wait behind it.
fn is_blocked(worker: &Worker, now: Micros) -> bool {
    worker.blocked_since().is_some_and(|since| now.saturating_sub(since) >= BLOCKED_MICROS)
}
