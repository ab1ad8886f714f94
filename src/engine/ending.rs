//! How things end: what is left of a call that is stopped, cancelled or over, workers that go, the pool that closes.

use super::{Action, CallId, Cancel, Engine, Failure, MAX_CHUNK_ITEMS, Micros, Why, WorkerId, call::Call};

impl Engine {
    /// Items of the call that no worker has claimed come back, and its signal is raised where it runs.
    pub(super) fn stop_starting(&mut self, call: CallId) {
        let held: Vec<(WorkerId, u8)> = self
            .workers
            .iter()
            .flat_map(|(&id, worker)| worker.dispatches().map(move |part| (id, part)))
            .filter(|(_, part)| part.chunk.call == call && part.has_unfinished())
            .map(|(id, part)| (id, part.cell))
            .collect();
        for &(worker, cell) in &held {
            self.take_back(worker, cell, MAX_CHUNK_ITEMS);
        }
        for (&worker, _) in self.workers.iter().filter(|(_, worker)| worker.runs(call)) {
            self.actions.push_back(Action::Abort { worker, call });
        }
    }

    /// Ends the call if nothing of it is left.
    pub(super) fn settle_end(&mut self, id: CallId) {
        // A stopping error may wait for a running item before it that has now gone.
        self.deliver(id, None);
        if !self.calls.get(&id).is_some_and(Call::is_over) {
            return;
        }
        if let Some(mut call) = self.calls.remove(&id) {
            call.release_all(&mut self.actions);
            self.agenda.close(&call);
        }
        self.actions.push_back(Action::Finished { call: id });
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            self.forget(worker, id);
        }
        self.retire_idle();
        self.settle_closing();
    }

    /// Has the worker forget a call that has finished, as soon as it has nothing of it in its hands.
    pub(super) fn forget(&mut self, worker: WorkerId, call: CallId) {
        if self.calls.contains_key(&call) {
            return;
        }
        if self.workers.get_mut(&worker).is_some_and(|worker| worker.forget(call)) {
            self.actions.push_back(Action::Forget { worker, call });
        }
    }

    /// Drops what a worker that has gone was still to be told; returns the cells of parts that it has never seen. Nobody
    /// has opened those cells, so they still tell of the parts before.
    pub(super) fn drop_actions_for(&mut self, gone: WorkerId) -> Vec<u8> {
        let mut unsent = Vec::new();
        self.actions.retain(|action| match *action {
            Action::Dispatch { worker, sent } if worker == gone => {
                unsent.push(sent.cell);
                false
            }
            Action::TakeBack { worker, .. }
            | Action::Abort { worker, .. }
            | Action::AbortItem { worker, .. }
            | Action::Forget { worker, .. }
            | Action::Kill { worker }
            | Action::Retire { worker, .. }
            | Action::GiveUp { worker } => worker != gone,
            _ => true,
        });
        unsent
    }

    pub(super) fn hope_again(&mut self) {
        self.barren = 0;
        self.start_failed = false;
    }

    /// Workers are of use.
    pub(super) fn forget_deaths(&mut self) {
        self.barren = 0;
        self.deaths = 0;
        if !self.start_failed {
            // It is over as soon as somebody looks, which has to be soon: something may wait for that alone.
            self.rest_until = self.rest_until.map(|_| 0);
        }
    }

    /// Workers may be started at once, whatever became of others.
    pub(super) fn start_over(&mut self) {
        self.hope_again();
        self.forget_deaths();
    }

    /// No worker can be started, and none is left: all calls with waiting work fail. Those that are to be there in any
    /// case are started after a rest, but, where one has said why it cannot start, not before there is work.
    pub(super) fn fail_waiting(&mut self, worker: WorkerId, now: Micros) {
        self.used &= !self.start_failed;
        self.hope_again();
        let waiting: Vec<CallId> =
            self.calls.values().filter(|call| call.starts_items() && call.has_queued()).map(|call| call.id).collect();
        for id in waiting {
            self.actions.push_back(Action::Failed { call: id, failure: Failure::Start(worker) });
            self.handle_cancel(id, Cancel::Soft, now);
        }
    }

    pub(super) fn retire_idle(&mut self) {
        if !self.closing || self.calls.values().any(|call| !call.cancelled) {
            return;
        }
        for (&id, worker) in &mut self.workers {
            if worker.retire_idle() {
                self.actions.push_back(Action::Retire { worker: id, why: Why::Closing });
            }
        }
    }

    pub(super) fn settle_closing(&mut self) {
        if self.closing && !self.closed && self.workers.is_empty() && self.calls.is_empty() {
            self.closed = true;
            self.actions.push_back(Action::Closed);
        }
    }
}
