//! Programs of any kind: items go to their stdin and answers come from their stdout ([`Programs`]), or one is started for
//! each item ([`perItem`](item::ItemPrograms)). The supervisor thread does the talking.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`format`] | how items and answers are cut out of a stream |
//! | [`talk`] | what a program was told and has answered: plain state |
//! | [`fault`] | what went wrong, for JavaScript |
//! | [`speech`] | its stdin and stdout |
//! | [`conversation`] | who writes and reads them, item after item |
//! | [`waits`] | whether it waits for input, as the system sees it |
//! | [`item`] | a program for each item |

mod conversation;
mod fault;
pub mod format;
pub mod item;
mod speech;
mod talk;
mod waits;

pub use speech::{Speaker, Speech};
pub use talk::Protocol;

use super::{
    Events, Exit, Notice, Part, Place, Pool,
    output::Outputs,
    spawn::Launch,
    supervisor::{self, Exits, LaunchId, Start, StartKind, Started},
};
use crate::engine::{CallId, Micros, WorkerId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use talk::Talk;

/// What the programs of a pool, and their place, have in common.
#[derive(Debug)]
pub struct Shared {
    pool: Weak<Pool>,
    epoch: Instant,
    /// How long a program may wait for input while an item waits for its answer.
    stall: Duration,
    /// They hold answers back until their stdin is closed.
    buffers: AtomicBool,
    /// One was held to do so, and only took its time.
    patient: AtomicBool,
    notices: Mutex<Vec<(WorkerId, Notice, String)>>,
}

impl Shared {
    fn now(&self) -> Micros {
        self.epoch.elapsed().as_micros() as Micros
    }

    /// True the first time.
    fn note_buffering(&self) -> bool {
        !self.buffers.swap(true, Ordering::Relaxed)
    }

    fn note_patience(&self) {
        self.patient.store(true, Ordering::Relaxed);
    }

    fn may_be_buffering(&self) -> bool {
        !self.patient.load(Ordering::Relaxed)
    }

    fn notice(&self, worker: WorkerId, notice: Notice, text: &str) {
        lock(&self.notices).push((worker, notice, text.to_owned()));
    }

    /// There is something for the pool. Not under a lock of ours.
    fn tell(&self) {
        if let Some(pool) = self.pool.upgrade() {
            supervisor::tell(&pool);
        }
    }
}

/// What the place and the supervisor share of one program.
#[derive(Debug)]
pub struct Line {
    worker: WorkerId,
    talk: Mutex<Talk>,
    changed: tokio::sync::Notify,
    retiring: AtomicBool,
    shared: Arc<Shared>,
}

impl Line {
    fn talk(&self) -> MutexGuard<'_, Talk> {
        lock(&self.talk)
    }

    fn now(&self) -> Micros {
        self.shared.now()
    }

    fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Relaxed)
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

struct Program {
    line: Arc<Line>,
    launch: LaunchId,
    ready: bool,
}

/// The place.
pub struct Programs {
    launch: Arc<Launch>,
    protocol: Protocol,
    shared: Arc<Shared>,
    running: BTreeMap<WorkerId, Program>,
    exits: Exits,
    outputs: Outputs,
    started: Arc<Started>,
}

impl Programs {
    #[must_use]
    pub fn new(launch: Launch, protocol: Protocol, stall: Duration, pool: Weak<Pool>) -> Self {
        let shared = Shared {
            pool,
            epoch: Instant::now(),
            stall,
            buffers: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            notices: Mutex::default(),
        };
        Self {
            launch: Arc::new(launch),
            protocol,
            shared: Arc::new(shared),
            running: BTreeMap::new(),
            exits: Exits::default(),
            outputs: Outputs::default(),
            started: Arc::default(),
        }
    }
}

impl Place for Programs {
    fn spawn(&mut self, worker: WorkerId) {
        let line = Arc::new(Line {
            worker,
            talk: Mutex::new(Talk::new(self.protocol)),
            changed: tokio::sync::Notify::new(),
            retiring: AtomicBool::new(false),
            shared: Arc::clone(&self.shared),
        });
        let launch = supervisor::next_launch_id();
        self.running.insert(worker, Program { line: Arc::clone(&line), launch, ready: false });
        supervisor::start(Start {
            id: launch,
            worker,
            launch: Arc::clone(&self.launch),
            kind: StartKind::Command { args: self.launch.args.clone(), speaker: Speaker::Line(line) },
            exits: Arc::clone(&self.exits),
            outputs: Arc::clone(&self.outputs),
            started: Arc::clone(&self.started),
            pool: Weak::clone(&self.shared.pool),
        });
    }

    fn dispatch(&mut self, worker: WorkerId, part: Part<'_>) {
        let Some(Program { line, .. }) = self.running.get(&worker) else { return };
        line.talk().push(&part, self.shared.buffers.load(Ordering::Relaxed), line.now());
        line.changed.notify_one();
    }

    fn take_back(&mut self, worker: WorkerId, cell: u8, items: u32, most: u32) -> Option<u32> {
        let line = &self.running.get(&worker)?.line;
        let kept = line.talk().take_back(cell, items, most, line.now());
        line.changed.notify_one();
        Some(kept)
    }

    /// A program knows of no signal; what it is through with is dropped.
    fn abort(&mut self, _: WorkerId, _: CallId) {}

    fn abort_item(&mut self, _: WorkerId, _: u8, _: u32) {}

    fn claimed(&self, worker: WorkerId, cell: u8, items: u32) -> u32 {
        self.running.get(&worker).map_or(0, |program| program.line.talk().claimed(cell, items))
    }

    fn stderr(&self, worker: WorkerId) -> Option<String> {
        self.started.stderr(worker)
    }

    fn forget(&mut self, _: WorkerId, _: CallId) {}

    fn kill(&mut self, worker: WorkerId) {
        if let Some(program) = self.running.get(&worker) {
            supervisor::kill(program.launch);
        }
    }

    fn retire(&mut self, worker: WorkerId) {
        if let Some(Program { line, .. }) = self.running.get(&worker) {
            line.retiring.store(true, Ordering::Relaxed);
            line.changed.notify_one();
        }
    }

    fn define(&mut self, _: u32, _: &[u8]) {}

    fn drain(&mut self, events: &mut dyn Events) {
        let exits = std::mem::take(&mut *lock(&self.exits));
        // After the exits were taken: whatever those programs wrote is here, and comes before their ends.
        for written in std::mem::take(&mut *lock(&self.outputs)) {
            events.written(written);
        }
        for (&id, program) in &mut self.running {
            if !program.ready
                && let Some(pid) = self.started.pid(id)
            {
                program.ready = true;
                events.ready(id, Some(pid));
            }
            program.line.talk().drain(id, events);
        }
        for (worker, notice, text) in std::mem::take(&mut *lock(&self.shared.notices)) {
            events.notice(worker, notice, &text);
        }
        for exit in exits {
            let Some(program) = self.running.remove(&exit.worker) else { continue };
            let exit = Exit { starting: !program.ready, ..exit };
            events.exit(exit, &|cell, items| program.line.talk().claimed(cell, items));
        }
    }

    fn sleep(&mut self) -> bool {
        let answered = self.running.values().any(|program| program.line.talk().has_answers());
        !answered
            && lock(&self.exits).is_empty()
            && lock(&self.outputs).is_empty()
            && lock(&self.shared.notices).is_empty()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for program in self.running.values() {
            supervisor::kill(program.launch);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
