//! The death of a worker: what it had not begun waits again, what it ran is charged, or runs again alone.

use super::{Action, Engine, Micros, REST, Status, WorkerId, call::Part, dispatch::Dispatch, worker::Worker};

impl Engine {
    /// The worker's process has ended. `claimed` tells for a cell and its number of items how many were claimed.
    /// Outcomes that it had published must have been handed in before. Returns whether no worker is started any more for
    /// what waits now: too many in a row have died for nothing.
    pub fn handle_exit(&mut self, worker: WorkerId, claimed: impl Fn(u8, u32) -> u32, now: Micros) -> bool {
        let Some(state) = self.workers.remove(&worker) else { return false };
        for call in self.calls.values_mut() {
            call.leave_worker(worker);
        }
        // Who was to come after it comes for the one that it came for.
        for other in self.workers.values_mut().filter(|other| other.successor == Some(worker)) {
            other.successor = state.successor;
        }
        self.wait_from(state.successor, now);
        let unsent = self.drop_actions_for(worker);
        let (mut ran, mut cut_off, mut late) = (Vec::new(), Vec::new(), 0);
        let in_doubt = state.dispatches().any(Dispatch::has_doubt);
        // Later items first: what goes back to the front of the queue keeps its order.
        for part in state.dispatches().rev() {
            let claimed = if unsent.contains(&part.cell) { 0 } else { claimed(part.cell, part.items()) };
            let unclaimed = part.first_unclaimed(claimed);
            let Some(call) = self.calls.get_mut(&part.chunk.call) else { continue };
            let (chunk, attempt, alone) = (part.chunk, part.attempt, part.alone);
            call.requeue(Part { chunk, items: unclaimed..part.end, attempt, alone });
            self.agenda.note(call);
            for item in part.unfinished().rev().filter(|item| *item < unclaimed) {
                let found = part.cut_off_of(item);
                if found.is_some_and(|found| found.charged) {
                    cut_off.push((chunk, item));
                    continue;
                }
                late += usize::from(found.is_some());
                let again = Part { chunk, items: item..item + 1, attempt: attempt.saturating_add(1), alone };
                if state.is_condemned() && !in_doubt {
                    // We killed it for the sake of another one: this item did nothing wrong. If that happens to it again,
                    // it goes where nobody is beside it, or it might never end.
                    call.requeue(Part { alone: alone || attempt > 1, ..again });
                    self.agenda.note(call);
                } else {
                    ran.push(again);
                }
            }
        }
        let barren = ran.is_empty() && cut_off.is_empty() && state.is_barren();
        if ran.len() == 1 && cut_off.is_empty() {
            let ran = ran.remove(0);
            if late == 0 {
                self.charge(worker, ran);
            } else {
                self.charge_time(worker, ran.chunk, ran.items.start, ran.attempt - 1, now);
                self.end_cut_off(ran.chunk, ran.items.start);
            }
        } else {
            // One of them did it, or held all others up, and nobody knows which; it may have been one that was cut off.
            for suspect in ran {
                if let Some(call) = self.calls.get_mut(&suspect.chunk.call) {
                    call.requeue(Part { alone: true, ..suspect });
                    self.agenda.note(call);
                }
            }
        }
        for (chunk, item) in cut_off {
            self.end_cut_off(chunk, item);
        }
        for (at, part) in state.dispatches().enumerate() {
            if let Some(call) = self.calls.get_mut(&part.chunk.call) {
                let more = state.dispatches().skip(at + 1).any(|other| other.chunk.call == call.id);
                call.part_ended(part.chunk, if more { 0 } else { part.lanes }, &mut self.actions);
            }
        }
        if barren {
            self.barren += 1;
            self.deaths = (self.deaths + 1).min(MAX_DEATHS);
            self.rest_until = Some(now.saturating_add(REST << (self.deaths - 1)));
        } else {
            self.start_over();
        }
        let hopeless = !self.has_hope();
        if hopeless {
            self.warm = 0;
        }
        if hopeless && self.workers.values().all(Worker::is_retired) {
            self.fail_waiting(worker, now);
        }
        for part in state.dispatches() {
            self.settle_end(part.chunk.call);
        }
        self.schedule(now);
        self.settle_closing();
        hopeless
    }

    /// The worker has said why it cannot start, or cannot even be started; `handle_exit` follows. With another one it
    /// would be the same.
    pub fn handle_start_error(&mut self, worker: WorkerId) {
        self.start_failed |= self.workers.get(&worker).is_some_and(Worker::is_starting);
    }

    /// This item, and no other, ran in a worker that has died.
    fn charge(&mut self, worker: WorkerId, ran: Part) {
        let (chunk, item, attempt) = (ran.chunk, ran.items.start, ran.attempt - 1);
        let Some(call) = self.calls.get_mut(&chunk.call) else { return };
        if call.may_survive_crash(chunk, item) {
            let status = Status::Lost;
            self.actions.push_back(Action::Again { worker, chunk, item, attempt, status, asks: false });
            call.requeue(Part { alone: true, ..ran });
            self.agenda.note(call);
        } else {
            self.settle(chunk, item, Status::Lost, 0, Some(Action::Lost { worker, chunk, item, attempt }));
        }
    }
}

/// Rests get no longer after this many deaths: 25.6 s.
const MAX_DEATHS: u32 = 9;
