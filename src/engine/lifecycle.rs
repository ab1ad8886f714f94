//! How many workers there are, and for how long: a pool that grows and shrinks, and replaces those that are worn.
//!
//! A worker that is to go gets nothing more, gives back what it has not begun, and is told to end when what it has begun
//! has ended. So nothing is lost, and nothing is charged to anybody. One that is worn (it is soon too old, or has soon run
//! all its items) has a successor, which is started so early that it is ready in time, as far as can be told from how long
//! starts have taken and how fast the worker has been; so long there is one worker more than the pool has.

use super::{Action, Engine, MAX_CHUNK_ITEMS, Micros, Why, WorkerId, worker::Worker};
use std::cmp::Reverse;

impl Engine {
    /// The pool has so many workers at most from now on. Those that are too many go between items.
    pub fn handle_resize(&mut self, size: u32, now: Micros) {
        let size = size.max(1);
        if size == self.config.size {
            return;
        }
        self.config.size = size;
        for call in self.calls.values_mut() {
            call.resize(size, self.config.lanes);
        }
        self.call_back();
        let surplus = self.staff().saturating_sub(size) as usize;
        let mut staying: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.stays()).map(|(&id, _)| id).collect();
        // The youngest of those whose going costs the same.
        staying.sort_by_key(|id| (self.workers[id].cost(), Reverse(*id)));
        for worker in staying.into_iter().take(surplus) {
            self.let_go(worker, Why::Size, now);
        }
        self.awaited = self.awaited.min(size.saturating_sub(self.ready_staff()));
        self.schedule(now);
    }

    /// Starts workers ahead of work, up to `count` in all.
    pub fn handle_warm_up(&mut self, count: u32, now: Micros) {
        if !self.closing {
            self.start_over();
            let count = count.min(self.config.size);
            self.warm = self.warm.max(count);
            self.awaited = count.saturating_sub(self.ready_staff());
            self.schedule(now);
        }
    }

    /// The machine is short of memory, or no longer: as long as it is, nothing starts, and workers without anything to do
    /// go.
    pub fn handle_memory(&mut self, low: bool, now: Micros) {
        if std::mem::replace(&mut self.low, low) == low {
            return;
        }
        if low {
            let waiting = |worker: &Worker| -> Vec<u8> {
                worker
                    .parts()
                    .filter(|(part, lanes)| *lanes == 0 && !part.exhausted)
                    .map(|(part, _)| part.cell)
                    .collect()
            };
            let cells: Vec<(WorkerId, u8)> = self
                .workers
                .iter()
                .flat_map(|(&id, worker)| waiting(worker).into_iter().map(move |cell| (id, cell)))
                .collect();
            for (worker, cell) in cells {
                self.take_back(worker, cell, MAX_CHUNK_ITEMS);
            }
        }
        self.schedule(now);
    }

    /// Starts those that are to be there whatever there is to do.
    pub(super) fn staff_up(&mut self, now: Micros) {
        let least = if self.used { self.config.min } else { 0 };
        if self.warm.max(least) == 0 || self.closing {
            return;
        }
        let most = self.warm.max(least).min(self.config.size);
        for _ in self.staff()..most {
            if !self.can_spawn() {
                return;
            }
            self.spawn(now);
        }
        if self.ready_staff() >= most {
            self.warm = 0;
        }
    }

    /// Workers that were to go, because there were too many, and have not gone.
    fn call_back(&mut self) {
        let mut free = self.config.size.saturating_sub(self.staff());
        for worker in self.workers.values_mut() {
            if free == 0 {
                return;
            }
            free -= u32::from(worker.stay());
        }
    }

    /// Workers that are here to stay.
    pub(super) fn staff(&self) -> u32 {
        self.workers.values().filter(|worker| worker.stays()).count() as u32
    }

    /// Those of them that are ready. One that starts in the place of another is none too many.
    pub(super) fn ready_staff(&self) -> u32 {
        self.workers.values().filter(|worker| worker.stays() && !worker.is_starting()).count() as u32
    }

    /// The worker goes as soon as what it has begun has ended.
    pub(super) fn let_go(&mut self, id: WorkerId, why: Why, now: Micros) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.stays()) else { return };
        worker.leave(why);
        for call in self.calls.values_mut() {
            call.leave_worker(id);
        }
        let cells: Vec<u8> = worker.dispatches().filter(|part| part.has_unfinished()).map(|part| part.cell).collect();
        for cell in cells {
            self.take_back(id, cell, MAX_CHUNK_ITEMS);
        }
        self.retire_leaving(id, now);
    }

    /// The worker has ended something: if it is to go, and has nothing more, it goes.
    pub(super) fn retire_leaving(&mut self, id: WorkerId, now: Micros) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Some(why) = worker.leaves().filter(|_| worker.retire_idle()) {
            let successor = worker.successor;
            self.actions.push_back(Action::Retire { worker: id, why });
            self.wait_from(successor, now);
        }
    }

    /// Whom this one was to come for has gone: only from now on it waits for work.
    pub(super) fn wait_from(&mut self, successor: Option<WorkerId>, now: Micros) {
        if let Some(worker) = successor.and_then(|id| self.workers.get_mut(&id)) {
            worker.wait_from(now);
        }
    }

    /// The worker has got the last items that it may run: nothing more goes to it, and nothing comes back.
    pub(super) fn spend(&mut self, id: WorkerId, now: Micros) {
        let worker = self.workers.get_mut(&id).filter(|worker| worker.stays() && worker.is_spent());
        let Some(worker) = worker else { return };
        worker.leave(Why::Tasks);
        let has_successor = worker.successor.is_some();
        for call in self.calls.values_mut() {
            call.leave_worker(id);
        }
        // Whatever comes next needs one in its place, which takes its time to start.
        let goes_on = self.calls.values().any(|call| call.takes_items() || call.has_queued());
        if !has_successor && goes_on && self.can_spawn() {
            self.spawn(now);
        }
    }

    /// Each worker that is worn has a successor, as far as workers can be started.
    pub(super) fn succeed(&mut self, now: Micros) {
        if !self.replaces() {
            return;
        }
        let lead = self.lead();
        let worn = self.workers.iter().filter(|(_, worker)| worker.needs_successor(lead, now)).map(|(&id, _)| id);
        for id in worn.collect::<Vec<WorkerId>>() {
            // Where lives are shorter than starts, successors of successors that work already would come without end.
            let is_full = self.staff() >= self.config.size.saturating_mul(2);
            if self.closing || is_full || self.calls.is_empty() || !self.may_start() {
                return;
            }
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.successor = Some(self.next_worker);
            }
            self.spawn(now);
        }
    }

    /// Whether workers are replaced at all.
    fn replaces(&self) -> bool {
        self.config.max_tasks.is_some() || self.config.max_age.is_some()
    }

    /// Notes how long a worker took to become ready.
    pub(super) fn note_start(&mut self, took: Micros) {
        self.start = took.max(self.start - self.start / 8);
    }

    /// How long before its worker goes a successor is started: a start as long as the longest of late, and as much again,
    /// as starts take longer while others work.
    fn lead(&self) -> Micros {
        self.start.saturating_mul(2)
    }

    /// At which age a worker needs a successor; not in the first half of its life, however long starts take.
    fn soon_old(&self, age: Micros) -> Micros {
        age.saturating_sub(self.lead()).max(age / 2)
    }

    /// Whether it waits to take the place of one that is still there.
    fn is_successor(&self, id: WorkerId) -> bool {
        self.replaces() && self.workers.values().any(|worker| !worker.is_retired() && worker.successor == Some(id))
    }

    /// A worker has become ready: one that is too old goes for it.
    pub(super) fn take_over(&mut self, now: Micros) {
        let oldest =
            self.workers.iter().filter(|(_, worker)| worker.stays() && worker.is_old() && worker.successor.is_some());
        if let Some((&id, _)) = oldest.min_by_key(|(_, worker)| worker.ready_at()) {
            self.let_go(id, Why::Age, now);
        }
    }

    /// Time has passed for workers: those that start, those that are old, those without anything to do.
    pub(super) fn watch_workers(&mut self, now: Micros) {
        if let Some(limit) = self.config.start_timeout {
            for (&id, worker) in &mut self.workers {
                if worker.give_up(limit, now) {
                    self.actions.push_back(Action::GiveUp { worker: id });
                }
            }
        }
        if let Some(age) = self.config.max_age {
            let soon = self.soon_old(age);
            for worker in self.workers.values_mut() {
                worker.grow_old(age, soon, now);
            }
            let is_ready = |id| self.workers.get(&id).is_some_and(|worker| worker.stays() && !worker.is_starting());
            let relieved =
                |worker: &Worker| worker.stays() && worker.is_old() && worker.successor.is_some_and(is_ready);
            let ids: Vec<WorkerId> =
                self.workers.iter().filter(|(_, worker)| relieved(worker)).map(|(&id, _)| id).collect();
            for id in ids {
                self.let_go(id, Why::Age, now);
            }
        }
        if let Some(idle) = self.config.idle {
            let least = self.config.min.max(self.warm);
            while self.ready_staff() > least {
                // One after the other: where one goes, its successor may, too.
                let due = |worker: &Worker| worker.idle_since().is_some_and(|since| since.saturating_add(idle) <= now);
                let goes = |id, worker: &Worker| worker.stays() && due(worker) && !self.is_successor(id);
                let Some((&id, _)) = self.workers.iter().find(|(id, worker)| goes(**id, worker)) else { break };
                self.let_go(id, Why::Idle, now);
            }
        }
    }

    /// Those that were told to end and do not are killed. To be called last: the time of those begins now.
    pub(super) fn watch_ends(&mut self, now: Micros) {
        let Some(limit) = self.config.start_timeout else { return };
        for (&id, worker) in &mut self.workers {
            if worker.outlives(limit, now) {
                worker.condemn();
                self.actions.push_back(Action::Kill { worker: id });
            }
        }
    }

    /// When [`Engine::watch_workers`] and [`Engine::watch_ends`] have something to do.
    pub(super) fn next_change(&self) -> Option<Micros> {
        let staying = || self.workers.values().filter(|worker| worker.stays());
        let starts = self.config.start_timeout.and_then(|limit| {
            self.workers.values().filter_map(Worker::starts_since).map(|at| at.saturating_add(limit)).min()
        });
        let limit = self.config.start_timeout;
        let ends = limit.and_then(|limit| self.workers.values().filter_map(|worker| worker.killed_at(limit)).min());
        let rest = self.rest_until.filter(|_| !self.closed);
        let ages = self.config.max_age.and_then(|age| {
            let soon = self.soon_old(age);
            staying().filter_map(|worker| worker.ages_at(age, soon)).min()
        });
        let idle = self.config.idle.filter(|_| self.ready_staff() > self.config.min.max(self.warm));
        let idle = idle.and_then(|idle| {
            let goes = |(id, worker): &(&WorkerId, &Worker)| worker.stays() && !self.is_successor(**id);
            let may_go = self.workers.iter().filter(goes);
            may_go.filter_map(|(_, worker)| worker.idle_since()).map(|at| at.saturating_add(idle)).min()
        });
        starts.into_iter().chain(ends).chain(rest).chain(ages).chain(idle).min()
    }

    /// Workers that have nothing to do go, where the machine is short of memory.
    pub(super) fn make_room(&mut self, now: Micros) {
        let idle = self.workers.iter().filter(|(_, worker)| worker.stays() && worker.idle_since().is_some());
        for id in idle.map(|(&id, _)| id).collect::<Vec<WorkerId>>() {
            self.let_go(id, Why::Memory, now);
        }
    }
}

impl Worker {
    /// Whether, as it ends now, it has been of no use: nothing that it was asked for explains it.
    pub(super) fn is_barren(&self) -> bool {
        !self.has_finished_any() && (self.is_hung() || (!self.is_condemned() && !self.is_retired()))
    }
}
