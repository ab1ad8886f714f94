//! For which of the open calls there is something to do, so that thousands of others, to which nothing happens, cost
//! nothing. A set has at least the calls that belong into it; one that does not any more is dropped when somebody looks.

use super::{CallId, call::Call};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Something waits for a worker; by priority, the highest first.
    waiting: BTreeMap<Reverse<i32>, BTreeSet<CallId>>,
    /// Something of that has to be alone.
    suspects: BTreeSet<CallId>,
    /// Tries wait for their time, or for a verdict.
    tries: BTreeSet<CallId>,
    /// Exactly those that were cancelled hard.
    cut_off: BTreeSet<CallId>,
    /// How many calls of each priority are open, and how many have keys.
    priorities: BTreeMap<i32, u32>,
    keyed: u32,
}

impl Agenda {
    pub fn open(&mut self, call: &Call) {
        *self.priorities.entry(call.config.priority).or_default() += 1;
        self.keyed += u32::from(call.is_keyed());
    }

    pub fn close(&mut self, call: &Call) {
        self.settle(call.id, call.config.priority);
        self.suspects.remove(&call.id);
        self.tries.remove(&call.id);
        self.cut_off.remove(&call.id);
        self.keyed -= u32::from(call.is_keyed());
        if let Some(open) = self.priorities.get_mut(&call.config.priority) {
            *open -= 1;
            if *open == 0 {
                self.priorities.remove(&call.config.priority);
            }
        }
    }

    /// Notes what of the call waits for a worker.
    pub fn note(&mut self, call: &Call) {
        if !call.has_queued() {
            return self.settle(call.id, call.config.priority);
        }
        self.waiting.entry(Reverse(call.config.priority)).or_default().insert(call.id);
        if call.has_suspects() {
            self.suspects.insert(call.id);
        }
    }

    fn settle(&mut self, call: CallId, priority: i32) {
        if let Some(level) = self.waiting.get_mut(&Reverse(priority)) {
            level.remove(&call);
            if level.is_empty() {
                self.waiting.remove(&Reverse(priority));
            }
        }
    }

    pub fn note_try(&mut self, call: CallId) {
        self.tries.insert(call);
    }

    pub fn note_cut_off(&mut self, call: CallId) {
        self.cut_off.insert(call);
    }

    /// Calls of which something waits: those of the highest priority first, and of each the one after this first.
    pub fn in_turn(&self, served: CallId) -> impl Iterator<Item = CallId> {
        self.waiting
            .values()
            .flat_map(move |level| level.range(served.saturating_add(1)..).chain(level.range(..=served)))
            .copied()
    }

    /// Those of a higher priority than this.
    pub fn above(&self, priority: i32) -> impl Iterator<Item = CallId> {
        self.waiting.range(..Reverse(priority)).flat_map(|(_, level)| level).copied()
    }

    /// Those of this priority.
    pub fn beside(&self, priority: i32) -> impl Iterator<Item = CallId> {
        self.waiting.get(&Reverse(priority)).into_iter().flatten().copied()
    }

    pub fn suspects(&self) -> &BTreeSet<CallId> {
        &self.suspects
    }

    pub fn tries(&self) -> &BTreeSet<CallId> {
        &self.tries
    }

    /// Only these of what was noted are still true.
    pub fn keep_suspects(&mut self, is: impl Fn(CallId) -> bool) {
        self.suspects.retain(|call| is(*call));
    }

    pub fn keep_tries(&mut self, are: impl Fn(CallId) -> bool) {
        self.tries.retain(|call| are(*call));
    }

    pub fn has_cut_off(&self) -> bool {
        !self.cut_off.is_empty()
    }

    pub fn has_keys(&self) -> bool {
        self.keyed > 0
    }

    /// The lowest priority of an open call.
    pub fn lowest(&self) -> Option<i32> {
        self.priorities.keys().next().copied()
    }

    /// Nothing that belongs into a set is missing.
    #[cfg(test)]
    pub fn has_all<'a>(&self, calls: impl Iterator<Item = &'a Call>) -> bool {
        calls.into_iter().all(|call| {
            let level = self.waiting.get(&Reverse(call.config.priority));
            (!call.has_queued() || level.is_some_and(|level| level.contains(&call.id)))
                && (!call.has_suspects() || self.suspects.contains(&call.id))
                && (!call.tries.are_waiting() || self.tries.contains(&call.id))
                && call.kill_at.is_some() == self.cut_off.contains(&call.id)
        })
    }
}
