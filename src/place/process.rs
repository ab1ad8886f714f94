//! Worker processes: chunks go out and outcomes come back through shared memory, one channel per process.

mod worker;

use super::{
    Events, Exit, Part, Place, Pool,
    memory::Report,
    output::Outputs,
    spawn::{Inherited, Launch, control_pair},
    supervisor::{self, Exits, Start, StartKind, Started},
    watch::Watch,
};
use crate::engine::{CallId, WorkerId};
use millrace_channel::{layout::Capacities, link::Link, parent::ParentEnd, talk::Progress};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, Weak},
};
use worker::{Ears, Scratch, Worker, frame};

/// How long a lone worker polls before it sleeps, where a core is free for it. Waking a sleeper takes 10 to 30 µs.
const SPIN_MICROS: u32 = 50;

/// With so much on its way to a worker, no more messages are added: it does not listen.
const MAX_UNSENT_BYTES: usize = 64 << 20;

/// The place.
pub struct Processes {
    launch: Arc<Launch>,
    /// The first frame of every worker: what to load.
    init: Vec<u8>,
    watch: Arc<Watch>,
    pool: Weak<Pool>,
    workers: BTreeMap<WorkerId, Worker>,
    definitions: Vec<Vec<u8>>,
    exits: Exits,
    outputs: Outputs,
    started: Arc<Started>,
    /// What JavaScript listens to.
    listening: u32,
    /// It was started, and is not to be again.
    spent: bool,
    /// Makes the channel of a worker. Tests keep the worker's side of it.
    make_end: Box<dyn FnMut() -> std::io::Result<ParentEnd> + Send>,
    may_spin: bool,
    frame: Vec<u8>,
    scratch: Scratch,
}

impl Processes {
    #[must_use]
    pub fn new(launch: Launch, init: Vec<u8>, watch: Arc<Watch>, pool: Weak<Pool>) -> Self {
        Self {
            launch: Arc::new(launch),
            init,
            watch,
            pool,
            workers: BTreeMap::new(),
            definitions: Vec::new(),
            exits: Exits::default(),
            outputs: Outputs::default(),
            started: Arc::default(),
            listening: 0,
            spent: false,
            make_end: Box::new(|| ParentEnd::create(Capacities::default())),
            may_spin: std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1),
            frame: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The numbers of its processes.
    #[must_use]
    pub fn started(&self) -> Arc<Started> {
        Arc::clone(&self.started)
    }

    #[cfg(test)]
    #[must_use]
    pub fn with_ends(mut self, make: impl FnMut() -> std::io::Result<ParentEnd> + Send + 'static) -> Self {
        self.make_end = Box::new(make);
        self
    }

    fn try_spawn(&mut self, id: WorkerId) -> std::io::Result<()> {
        if self.launch.once && std::mem::replace(&mut self.spent, true) {
            return Err(std::io::Error::other("it is started once"));
        }
        let mut end = (self.make_end)()?;
        end.listen(self.listening);
        let (control, child_control) = control_pair()?;
        let report = Report::new()?;
        let inherited = Inherited::new(&end, child_control, &report)?;
        self.watch.add(&end.bell())?;
        let launch = supervisor::next_launch_id();
        let mut worker = Worker {
            end: Box::new(end),
            launch,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            sent: 0,
            defined: 0,
            defines: 0,
            chunks: 0,
            ready: false,
            cause: None,
            violation: None,
        };
        let mut init = Vec::new();
        frame(&mut init, &[frame::INIT], &[&self.init]);
        worker.send(&init);
        self.workers.insert(id, worker);
        supervisor::start(Start {
            id: launch,
            worker: id,
            launch: Arc::clone(&self.launch),
            kind: StartKind::Worker { inherited, report, control },
            exits: Arc::clone(&self.exits),
            outputs: Arc::clone(&self.outputs),
            started: Arc::clone(&self.started),
            pool: Weak::clone(&self.pool),
        });
        Ok(())
    }

    fn control(&mut self, worker: WorkerId, words: &[u32]) {
        self.frame.clear();
        frame(&mut self.frame, words, &[]);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.send(&self.frame);
        }
    }

    /// A lone busy worker may poll: then at least the cores of the other workers are free.
    fn set_spinning(&mut self) {
        let busy = self.workers.values().filter(|worker| worker.chunks > 0).count();
        for worker in self.workers.values().filter(|worker| worker.chunks > 0) {
            worker.end.allow_spinning(if self.may_spin && busy == 1 { SPIN_MICROS } else { 0 });
        }
    }
}

impl Place for Processes {
    fn spawn(&mut self, worker: WorkerId) {
        if let Err(error) = self.try_spawn(worker) {
            self.workers.remove(&worker);
            self.started.refused(worker);
            let exit = Exit { worker, starting: true, spawn_error: Some(error.to_string()), ..Exit::default() };
            self.exits.lock().unwrap_or_else(PoisonError::into_inner).push(exit);
        }
    }

    fn dispatch(&mut self, id: WorkerId, part: Part<'_>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.frame.clear();
        worker.definitions(&self.definitions, &mut self.frame);
        worker.end.open_claims(part.cell, part.sizes.len() as u32);
        worker.chunks += 1;
        let mut table = Vec::with_capacity(part.sizes.len() * 8);
        for size in part.sizes {
            table.extend_from_slice(&size.row.to_le_bytes());
            table.extend_from_slice(&size.text.to_le_bytes());
        }
        let words = [
            frame::CHUNK,
            part.call,
            u32::from(part.cell) | u32::from(part.flags) << 8 | part.lanes << 16,
            part.first_index as u32,
            (part.first_index >> 32) as u32,
            part.attempt,
            part.sizes.len() as u32,
            part.rows.len() as u32,
            part.text.len() as u32,
        ];
        frame(&mut self.frame, &words, &[&table, part.rows, part.text]);
        worker.send(&self.frame);
        if self.frame.capacity() > 1 << 20 {
            self.frame = Vec::new();
        }
        self.set_spinning();
    }

    fn take_back(&mut self, worker: WorkerId, cell: u8, items: u32, most: u32) -> Option<u32> {
        Some(self.workers.get(&worker)?.end.take_back(cell, items, most))
    }

    fn abort(&mut self, worker: WorkerId, call: CallId) {
        self.control(worker, &[frame::ABORT, call]);
    }

    fn abort_item(&mut self, worker: WorkerId, cell: u8, item: u32) {
        self.control(worker, &[frame::ABORT_ITEM, u32::from(cell), item]);
    }

    fn claimed(&self, worker: WorkerId, cell: u8, items: u32) -> u32 {
        self.workers.get(&worker).map_or(0, |worker| worker.end.claimed(cell, items))
    }

    fn stderr(&self, worker: WorkerId) -> Option<String> {
        self.started.stderr(worker)
    }

    fn forget(&mut self, worker: WorkerId, call: CallId) {
        self.control(worker, &[frame::FORGET, call]);
    }

    fn kill(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get(&worker) {
            supervisor::kill(worker.launch);
        }
    }

    fn retire(&mut self, worker: WorkerId) {
        self.control(worker, &[frame::RETIRE]);
    }

    fn listen(&mut self, to: u32) {
        self.listening = to;
        for worker in self.workers.values_mut() {
            worker.end.listen(to);
        }
    }

    fn messages_taken(&mut self, worker: WorkerId, bytes: u32) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.end.messages_taken(bytes);
        }
    }

    fn progress(&mut self, changed: &mut dyn FnMut(WorkerId, Progress)) {
        for (&id, worker) in &mut self.workers {
            worker.end.progress(&mut |progress| changed(id, progress));
        }
    }

    fn post(&mut self, row: &[u8], text: &[u8]) -> u32 {
        let mut count = 0;
        for worker in self.workers.values_mut() {
            if worker.violation.is_some() || worker.unsent_bytes > MAX_UNSENT_BYTES {
                continue;
            }
            self.frame.clear();
            worker.definitions(&self.definitions, &mut self.frame);
            frame(&mut self.frame, &[frame::MESSAGE, row.len() as u32, text.len() as u32], &[row, text]);
            worker.send(&self.frame);
            count += 1;
        }
        self.frame.shrink_to(1 << 20);
        count
    }

    fn define(&mut self, id: u32, definition: &[u8]) {
        debug_assert_eq!(id as usize, self.definitions.len(), "shapes are defined in order");
        self.definitions.push(definition.to_vec());
    }

    fn drain(&mut self, events: &mut dyn Events) {
        let mut ears = Ears { events, listening: self.listening, started: &self.started, scratch: &mut self.scratch };
        for (&id, worker) in &mut self.workers {
            worker.listen(id, &mut ears);
        }
        let exits = std::mem::take(&mut *self.exits.lock().unwrap_or_else(PoisonError::into_inner));
        // After the exits were taken: whatever those workers wrote is here, and comes before their ends.
        let outputs = std::mem::take(&mut *self.outputs.lock().unwrap_or_else(PoisonError::into_inner));
        for written in outputs {
            ears.events.written(written);
        }
        for mut exit in exits {
            let Some(mut worker) = self.workers.remove(&exit.worker) else {
                ears.events.exit(exit, &|_, _| 0);
                continue;
            };
            worker.listen(exit.worker, &mut ears);
            self.watch.remove(&worker.end.bell());
            exit.starting = !worker.ready;
            exit.cause = worker.cause.take();
            exit.violation = worker.violation.take();
            ears.events.exit(exit, &|cell, items| worker.end.claimed(cell, items));
        }
    }

    fn sleep(&mut self) -> bool {
        let more = self.workers.values_mut().any(|worker| worker.violation.is_none() && worker.end.sleep());
        !more
            && self.exits.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            && self.outputs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for worker in self.workers.values() {
            supervisor::kill(worker.launch);
        }
    }
}
