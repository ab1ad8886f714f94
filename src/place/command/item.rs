//! A program for each item, which is one of its arguments; what it writes to stdout is the answer. A "worker" is a slot
//! that runs one program at a time, so that the engine's limits mean the same as for programs that stay. One that is
//! ended by a signal takes its slot with it: a crash is a crash.

use super::{
    fault::{Fault, Kind, VALUE},
    format::{Format, shown},
    lock,
    speech::{Speaker, Whole},
    talk::Protocol,
};
use crate::{
    engine::{CallId, Status, WorkerId},
    place::{
        Events, Exit, ItemSize, Outcome, Part, Place, Pool,
        output::Outputs,
        spawn::Launch,
        supervisor::{self, Exits, LaunchId, Start, StartKind, Started},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    sync::{Arc, Mutex, Weak},
    time::Instant,
};

/// Stands for the item in arguments.
const PLACEHOLDER: &[u8] = b"{}";

/// Items that wait in a slot; the first one of the first part may run.
struct Waiting {
    call: CallId,
    cell: u8,
    /// Lowered when items are taken back.
    items: u32,
    /// Without those that have ended.
    rows: VecDeque<Vec<u8>>,
    ended: u32,
    began: Instant,
}

struct Running {
    launch: LaunchId,
    whole: Arc<Mutex<Whole>>,
    told: bool,
}

#[derive(Default)]
struct Slot {
    waiting: VecDeque<Waiting>,
    running: Option<Running>,
    /// To be killed or retired: it starts nothing more.
    ends: bool,
}

/// The place.
pub struct ItemPrograms {
    launch: Arc<Launch>,
    /// So many arguments are the shell's own, the first ones. The item is put in none of them: it would be code.
    fixed: usize,
    /// Whether the item has a place in one of the others.
    has_place: bool,
    protocol: Protocol,
    pool: Weak<Pool>,
    slots: BTreeMap<WorkerId, Slot>,
    new: Vec<WorkerId>,
    gone: BTreeSet<WorkerId>,
    answers: Vec<(WorkerId, Answer)>,
    exits: Exits,
    outputs: Outputs,
    started: Arc<Started>,
}

enum Answer {
    Outcome { cell: u8, item: u32, status: Status, row: Vec<u8> },
    Done { cell: u8, micros: u32 },
}

impl ItemPrograms {
    /// The first `fixed` arguments of `launch` are the shell's own.
    #[must_use]
    pub fn new(launch: Launch, fixed: usize, protocol: Protocol, pool: Weak<Pool>) -> Self {
        let has_place = launch.args.iter().skip(fixed).any(|arg| position(arg.as_bytes()).is_some());
        Self {
            launch: Arc::new(launch),
            fixed,
            has_place,
            protocol,
            pool,
            slots: BTreeMap::new(),
            new: Vec::new(),
            gone: BTreeSet::new(),
            answers: Vec::new(),
            exits: Exits::default(),
            outputs: Outputs::default(),
            started: Arc::default(),
        }
    }
}

impl ItemPrograms {
    /// Starts what is next in a slot, if nothing runs there.
    fn go_on(&mut self, worker: WorkerId) {
        let Some(slot) = self.slots.get_mut(&worker).filter(|slot| slot.running.is_none()) else { return };
        if slot.ends {
            self.gone.insert(worker);
            return;
        }
        while let Some(first) = slot.waiting.front_mut() {
            if first.ended == first.items {
                let micros = first.began.elapsed().as_micros().min(u128::from(u32::MAX)) as u32;
                self.answers.push((worker, Answer::Done { cell: first.cell, micros }));
                slot.waiting.pop_front();
                if let Some(next) = slot.waiting.front_mut() {
                    next.began = Instant::now();
                }
                continue;
            }
            let row = first.rows.pop_front().unwrap_or_default();
            let Some((&VALUE, item)) = row.split_first() else {
                let (cell, item, status) = (first.cell, first.ended, Status::Rejected);
                self.answers.push((worker, Answer::Outcome { cell, item, status, row: Vec::new() }));
                first.ended += 1;
                continue;
            };
            let (own, rest) = self.launch.args.split_at(self.fixed);
            let rest = rest.iter().map(|arg| filled(arg.as_bytes(), item));
            let mut args: Vec<OsString> = own.iter().cloned().chain(rest).collect();
            if !self.has_place {
                args.push(OsString::from_vec(item.to_vec()));
            }
            let launch = supervisor::next_launch_id();
            let whole = Arc::new(Mutex::new(Whole::new(self.protocol.max_answer)));
            slot.running = Some(Running { launch, whole: Arc::clone(&whole), told: false });
            supervisor::start(Start {
                id: launch,
                worker,
                launch: Arc::clone(&self.launch),
                kind: StartKind::Command { args, speaker: Speaker::Whole(whole) },
                exits: Arc::clone(&self.exits),
                outputs: Arc::clone(&self.outputs),
                started: Arc::clone(&self.started),
                pool: Weak::clone(&self.pool),
            });
            return;
        }
    }

    /// A program has ended.
    fn ended(&mut self, exit: Exit, events: &mut dyn Events) {
        let worker = exit.worker;
        let Some(slot) = self.slots.get_mut(&worker) else { return };
        let Some(Running { whole, told, .. }) = slot.running.take() else { return };
        if let Some(pid) = exit.pid {
            if !told {
                events.process_started(worker, pid);
            }
            events.process_ended(&exit);
        }
        let whole = std::mem::replace(&mut *lock(&whole), Whole::new(0));
        if exit.signal.is_some() && !whole.is_too_much {
            let slot = self.slots.remove(&worker).unwrap_or_default();
            // That it had a process of its own was told.
            events.exit(Exit { pid: None, ..exit }, &|cell, items| slot.claimed(cell, true).min(items));
            return;
        }
        let outcome = self.protocol.format.outcome(whole, &exit);
        if let Some(first) = slot.waiting.front_mut() {
            let (status, row) = match outcome {
                Ok(row) => (Status::Value, row),
                Err(fault) => (Status::Error, fault.after(&exit).row()),
            };
            let (cell, item) = (first.cell, first.ended);
            first.ended += 1;
            self.answers.push((worker, Answer::Outcome { cell, item, status, row }));
        }
        self.go_on(worker);
    }
}

impl Format {
    /// What a program that has ended has answered.
    fn outcome(self, Whole { bytes, most, is_too_much }: Whole, exit: &Exit) -> Result<Vec<u8>, Fault> {
        let protocol = |reason: String| Fault::new(Kind::Protocol, reason, Some(shown(&bytes)));
        if let Some(why) = &exit.spawn_error {
            return Err(Fault::new(Kind::Start, why.clone(), None));
        }
        if is_too_much {
            return Err(protocol(format!("an answer has more than {most} bytes")));
        }
        if exit.exit_code != Some(0) {
            return Err(Fault::new(Kind::Exit, String::new(), None));
        }
        let end = self.end().filter(|_| self != Self::Ndjson);
        let answer = end.and_then(|end| bytes.strip_suffix(&[end])).unwrap_or(&bytes);
        match self.fault_of(answer) {
            Some(fault) => Err(protocol(format!("an answer {fault}"))),
            None => Ok([&[VALUE], answer].concat()),
        }
    }
}

impl Slot {
    /// How many items of the cell run, or have ended.
    fn claimed(&self, cell: u8, runs: bool) -> u32 {
        match self.waiting.front() {
            Some(first) if first.cell == cell => first.ended + u32::from(runs),
            _ => 0,
        }
    }

    fn terminate(&self) {
        if let Some(running) = &self.running {
            supervisor::terminate(running.launch);
        }
    }
}

impl Place for ItemPrograms {
    fn spawn(&mut self, worker: WorkerId) {
        self.slots.insert(worker, Slot::default());
        self.new.push(worker);
    }

    fn dispatch(&mut self, worker: WorkerId, part: Part<'_>) {
        let Some(slot) = self.slots.get_mut(&worker) else { return };
        let mut rest = part.rows;
        let rows = part.sizes.iter().map(|size| {
            let (row, more) = rest.split_at(size.row as usize);
            rest = more;
            row.to_vec()
        });
        slot.waiting.push_back(Waiting {
            call: part.call,
            cell: part.cell,
            items: part.sizes.len() as u32,
            rows: rows.collect(),
            ended: 0,
            began: Instant::now(),
        });
        self.go_on(worker);
    }

    fn take_back(&mut self, worker: WorkerId, cell: u8, items: u32, most: u32) -> Option<u32> {
        let slot = self.slots.get_mut(&worker)?;
        let claimed = slot.claimed(cell, slot.running.is_some());
        let part = slot.waiting.iter_mut().find(|part| part.cell == cell)?;
        let end = part.items.min(items);
        part.items = claimed.max(end.saturating_sub(most)).min(end);
        let kept = part.items;
        self.go_on(worker);
        Some(kept)
    }

    /// Its signal is SIGTERM.
    fn abort(&mut self, worker: WorkerId, call: CallId) {
        if let Some(slot) = self.slots.get(&worker)
            && slot.waiting.front().is_some_and(|first| first.call == call)
        {
            slot.terminate();
        }
    }

    fn abort_item(&mut self, worker: WorkerId, cell: u8, item: u32) {
        if let Some(slot) = self.slots.get(&worker)
            && slot.waiting.front().is_some_and(|first| (first.cell, first.ended) == (cell, item))
        {
            slot.terminate();
        }
    }

    fn claimed(&self, worker: WorkerId, cell: u8, items: u32) -> u32 {
        self.slots.get(&worker).map_or(0, |slot| slot.claimed(cell, slot.running.is_some()).min(items))
    }

    fn stderr(&self, worker: WorkerId) -> Option<String> {
        self.started.stderr(worker)
    }

    fn forget(&mut self, _: WorkerId, _: CallId) {}

    fn kill(&mut self, worker: WorkerId) {
        if let Some(slot) = self.slots.get_mut(&worker) {
            slot.ends = true;
            if let Some(running) = &slot.running {
                supervisor::kill(running.launch);
            } else {
                self.gone.insert(worker);
            }
        }
    }

    fn retire(&mut self, worker: WorkerId) {
        if let Some(slot) = self.slots.get_mut(&worker) {
            slot.ends = true;
            if slot.running.is_none() {
                self.gone.insert(worker);
            }
        }
    }

    fn define(&mut self, _: u32, _: &[u8]) {}

    fn drain(&mut self, events: &mut dyn Events) {
        for worker in std::mem::take(&mut self.new) {
            events.ready(worker, None);
        }
        let exits = std::mem::take(&mut *lock(&self.exits));
        // After the exits were taken: whatever those programs wrote is here, and comes before their ends.
        for written in std::mem::take(&mut *lock(&self.outputs)) {
            events.written(written);
        }
        for (&worker, slot) in &mut self.slots {
            if let Some(running) = slot.running.as_mut().filter(|running| !running.told)
                && let Some(pid) = self.started.pid(worker)
            {
                running.told = true;
                events.process_started(worker, pid);
            }
        }
        for exit in exits {
            self.ended(exit, events);
        }
        for (worker, answer) in std::mem::take(&mut self.answers) {
            match answer {
                Answer::Outcome { cell, item, status, row } => {
                    let size = ItemSize { row: row.len() as u32, text: 0 };
                    events.outcome(worker, Outcome { cell, item, status, size }, &mut |rows, _| {
                        rows.extend_from_slice(&row);
                    });
                }
                Answer::Done { cell, micros } => {
                    events.chunk_done(worker, cell, micros);
                }
            }
        }
        for worker in std::mem::take(&mut self.gone) {
            if self.slots.remove(&worker).is_some() {
                events.exit(Exit { worker, ..Exit::default() }, &|_, _| 0);
            }
        }
    }

    fn sleep(&mut self) -> bool {
        self.new.is_empty()
            && self.gone.is_empty()
            && self.answers.is_empty()
            && lock(&self.exits).is_empty()
            && lock(&self.outputs).is_empty()
    }
}

impl Drop for ItemPrograms {
    fn drop(&mut self) {
        for running in self.slots.values().filter_map(|slot| slot.running.as_ref()) {
            supervisor::kill(running.launch);
        }
    }
}

fn position(arg: &[u8]) -> Option<usize> {
    memchr::memmem::find(arg, PLACEHOLDER)
}

/// An argument with the item wherever its place is.
fn filled(mut arg: &[u8], item: &[u8]) -> OsString {
    let mut whole = Vec::with_capacity(arg.len() + item.len());
    while let Some(at) = position(arg) {
        whole.extend_from_slice(&arg[..at]);
        whole.extend_from_slice(item);
        arg = &arg[at + PLACEHOLDER.len()..];
    }
    whole.extend_from_slice(arg);
    OsString::from_vec(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_item_stands_wherever_its_place_is_and_is_not_looked_at() {
        for (arg, item, filled_in) in [
            ("{}", "a b", "a b"),
            ("in={} out={}.txt", "$(x)", "in=$(x) out=$(x).txt"),
            ("{}", "{}", "{}"),
            ("{", "x", "{"),
            ("", "x", ""),
        ] {
            assert_eq!(filled(arg.as_bytes(), item.as_bytes()), OsString::from(filled_in), "{arg}");
        }
    }
}
