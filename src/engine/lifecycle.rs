//! How many workers there are, and for how long: a pool that grows and shrinks.
//!
//! A worker that is to go gets nothing more, gives back what it has not begun, and is told to end when what it has begun
//! has ended. So nothing is lost, and nothing is charged to anybody.

use super::{Action, Engine, MAX_CHUNK_ITEMS, Micros, WorkerId, worker::Worker};
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
            self.let_go(worker);
        }
        self.schedule(now);
    }

    /// Starts workers ahead of work, up to `count` in all.
    pub fn handle_warm_up(&mut self, count: u32, now: Micros) {
        if !self.closing {
            self.hope_again();
            self.warm = self.warm.max(count.min(self.config.size));
            self.schedule(now);
        }
    }

    /// Starts those that are to be there whatever there is to do.
    pub(super) fn staff_up(&mut self) {
        if self.warm == 0 || self.closing {
            return;
        }
        let most = self.warm.min(self.config.size);
        for _ in self.staff()..most {
            if !self.can_spawn() {
                return;
            }
            self.spawn();
        }
        let ready = self.workers.values().filter(|worker| worker.stays() && !worker.is_starting()).count() as u32;
        if ready >= most {
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

    /// The worker goes as soon as what it has begun has ended.
    pub(super) fn let_go(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.stays()) else { return };
        worker.leave();
        for call in self.calls.values_mut() {
            call.leave_worker(id);
        }
        let cells: Vec<u8> = worker.dispatches().filter(|part| part.has_unfinished()).map(|part| part.cell).collect();
        for cell in cells {
            self.take_back(id, cell, MAX_CHUNK_ITEMS);
        }
        self.retire_leaving(id);
    }

    /// The worker has ended something: if it is to go, and has nothing more, it goes.
    pub(super) fn retire_leaving(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.leaves() && worker.retire_idle() {
            self.actions.push_back(Action::Retire { worker: id });
        }
    }
}

impl Worker {
    /// Whether, as it ends now, it has been of no use: nothing that it was asked for explains it.
    pub(super) fn is_barren(&self) -> bool {
        !self.has_finished_any() && !self.is_condemned() && !self.is_retired()
    }
}
