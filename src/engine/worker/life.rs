//! From the start of a worker to its end: whether it is ready, worn, wanted, told to end, or hangs.

use super::{Prospect, Worker};
use crate::engine::{Micros, Why};

impl Worker {
    /// True the first time.
    pub fn become_ready(&mut self, now: Micros) -> bool {
        let first = !std::mem::replace(&mut self.ready, true);
        if first {
            self.ready_at = Some(now);
            self.idle_since = Some(now);
        }
        first
    }

    /// Since when it starts.
    pub fn starts_since(&self) -> Option<Micros> {
        (!self.ready && !self.given_up && !self.is_condemned()).then_some(self.spawned)
    }

    /// True once, where it has taken longer than this to start.
    pub fn give_up(&mut self, limit: Micros, now: Micros) -> bool {
        let late = self.starts_since().is_some_and(|since| since.saturating_add(limit) <= now);
        self.given_up |= late;
        late
    }

    /// True where it was told to end longer ago than this.
    pub fn outlives(&mut self, limit: Micros, now: Micros) -> bool {
        self.is_retired() && self.ending.get_or_insert(now).saturating_add(limit) <= now
    }

    /// When it is killed if it was told to end so long before; at once where nobody has looked yet since when that is.
    pub fn killed_at(&self, limit: Micros) -> Option<Micros> {
        self.is_retired().then(|| self.ending.map_or(0, |since| since.saturating_add(limit)))
    }

    /// Notes whether it is `still`: it runs nothing, and has something to begin. True where that has lasted so long.
    pub fn hangs(&mut self, still: bool, limit: Micros, now: Micros) -> bool {
        let before = self.still.filter(|(_, ended)| *ended == self.ended);
        self.still = still.then(|| before.unwrap_or((now, self.ended)));
        self.hung = !self.is_condemned() && self.still.is_some_and(|(since, _)| since.saturating_add(limit) <= now);
        self.hung
    }

    pub fn is_hung(&self) -> bool {
        self.hung
    }

    #[cfg(test)]
    pub fn spawned(&self) -> Micros {
        self.spawned
    }

    pub fn ready_at(&self) -> Option<Micros> {
        self.ready_at
    }

    pub fn idle_since(&self) -> Option<Micros> {
        self.idle_since
    }

    /// If it has nothing to do, that counts from now on.
    pub fn wait_from(&mut self, now: Micros) {
        self.idle_since = self.idle_since.map(|_| now);
    }

    pub fn tasks_left(&self) -> Option<u32> {
        self.tasks_left
    }

    /// It has got all the items that it may run.
    pub fn is_spent(&self) -> bool {
        self.tasks_left == Some(0)
    }

    /// Notes its age. `soon`: an age at which it is time for a successor.
    pub fn grow_old(&mut self, age: Micros, soon: Micros, now: Micros) {
        let has_lived = |age: Micros| self.ready_at.is_some_and(|at| at.saturating_add(age) <= now);
        self.ages |= has_lived(soon);
        self.old |= has_lived(age);
    }

    /// When there is something new to note of its age.
    pub fn ages_at(&self, age: Micros, soon: Micros) -> Option<Micros> {
        let next = if self.old {
            return None;
        } else if self.ages {
            age
        } else {
            soon.min(age)
        };
        self.ready_at.map(|at| at.saturating_add(next))
    }

    pub fn is_old(&self) -> bool {
        self.old
    }

    /// It is about to go, and nobody comes for it yet. `lead`: how long before its last item ends that should be.
    pub fn needs_successor(&self, lead: Micros, now: Micros) -> bool {
        self.successor.is_none() && self.stays() && (self.ages || self.is_worn(lead, now))
    }

    /// Whether it will soon have run as many items as it may.
    fn is_worn(&self, lead: Micros, now: Micros) -> bool {
        let Some(left) = self.tasks_left else { return false };
        // The first few items tell little: others may take longer.
        if self.ended <= self.worn_at / 4 {
            return left <= self.worn_at;
        }
        // The next look comes when its first part has ended: that is not counted.
        let behind: u32 = self.dispatches().skip(1).map(|part| part.items() - part.finished).sum();
        let busy = self.busy + if self.idle_since.is_none() { now.saturating_sub(self.busy_since) } else { 0 };
        let to_go = u128::from(busy) * u128::from(left.saturating_add(behind)) / u128::from(self.ended);
        to_go <= u128::from(lead)
    }

    /// Lets it end if it has nothing to do; true the first time.
    pub fn retire_idle(&mut self) -> bool {
        let goes = matches!(self.prospect, Prospect::Stays | Prospect::Leaves(_));
        let retires = self.dispatches.is_empty() && goes;
        if retires {
            self.prospect = Prospect::Retired;
        }
        retires
    }

    pub fn stays(&self) -> bool {
        self.prospect == Prospect::Stays
    }

    /// It gets nothing more.
    pub fn leave(&mut self, why: Why) {
        self.prospect = Prospect::Leaves(why);
    }

    /// It is wanted again, if it was to go because there were too many.
    pub fn stay(&mut self) -> bool {
        let stays = self.leaves() == Some(Why::Size);
        if stays {
            self.prospect = Prospect::Stays;
        }
        stays
    }

    /// It is to go, and has something.
    pub fn leaves(&self) -> Option<Why> {
        if let Prospect::Leaves(why) = self.prospect { Some(why) } else { None }
    }

    /// How little is lost where it goes: nothing, a start, or time until what it has begun has ended.
    pub fn cost(&self) -> (bool, bool, u32) {
        let unfinished = self.dispatches().map(|part| part.items() - part.finished).sum();
        (!self.dispatches.is_empty(), !self.ready, unfinished)
    }

    pub fn is_starting(&self) -> bool {
        !self.ready
    }

    pub fn is_retired(&self) -> bool {
        self.prospect == Prospect::Retired
    }

    pub fn condemn(&mut self) {
        self.prospect = Prospect::Condemned;
    }

    pub fn is_condemned(&self) -> bool {
        self.prospect == Prospect::Condemned
    }

    pub fn has_finished_any(&self) -> bool {
        self.finished_any
    }
}
