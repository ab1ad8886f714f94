//! Worker processes: chunks go out and outcomes come back through shared memory, one channel per process.

use super::{
    Events, Exit, ItemSize, Outcome, Part, Place, Pool,
    memory::Report,
    output::Outputs,
    spawn::{Inherited, Launch, control_pair},
    supervisor::{self, Exits, LaunchId, Start, StartKind, Started},
    watch::Watch,
};
use crate::engine::{CallId, Status, WorkerId};
use millrace_channel::{
    layout::{self, Capacities},
    link::Link,
    parent::{ParentEnd, Record, RecordKind},
    talk::Progress,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, Weak},
};

/// How long a lone worker polls before it sleeps, where a core is free for it. Waking a sleeper takes 10 to 30 µs.
const SPIN_MICROS: u32 = 50;

/// The most shapes that a worker can define, and the bytes of one; `lib/codec/shape.js` keeps to less.
const MAX_DEFINITIONS: u32 = 256;
const MAX_DEFINITION_BYTES: u32 = 128 << 10;

/// With so much on its way to a worker, no more messages are added: it does not listen.
const MAX_UNSENT_BYTES: usize = 64 << 20;

/// Kinds of frames to a worker; `lib/worker-port.js` holds the same numbers.
mod frame {
    pub const INIT: u32 = 1;
    pub const DEFINE: u32 = 2;
    pub const CHUNK: u32 = 3;
    pub const ABORT: u32 = 4;
    pub const FORGET: u32 = 5;
    pub const RETIRE: u32 = 6;
    pub const ABORT_ITEM: u32 = 7;
    pub const MESSAGE: u32 = 8;
}

struct Worker {
    end: Box<dyn Link>,
    launch: LaunchId,
    /// Frames for which there was no room yet, and how much of the first one is sent.
    unsent: VecDeque<Vec<u8>>,
    unsent_bytes: usize,
    sent: usize,
    /// Definitions that it knows.
    defined: usize,
    /// How many it has made itself.
    defines: u32,
    /// Chunks that it holds.
    chunks: u32,
    ready: bool,
    /// Why it cannot start, or what ended it, in its own words.
    cause: Option<Vec<u8>>,
    violation: Option<String>,
}

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
    discarded: (Vec<u8>, Vec<u8>),
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
            discarded: (Vec::new(), Vec::new()),
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
        for (&id, worker) in &mut self.workers {
            worker.listen(id, events, self.listening, &self.started, &mut self.discarded);
        }
        let exits = std::mem::take(&mut *self.exits.lock().unwrap_or_else(PoisonError::into_inner));
        // After the exits were taken: whatever those workers wrote is here, and comes before their ends.
        let outputs = std::mem::take(&mut *self.outputs.lock().unwrap_or_else(PoisonError::into_inner));
        for written in outputs {
            events.written(written);
        }
        for mut exit in exits {
            let Some(mut worker) = self.workers.remove(&exit.worker) else {
                events.exit(exit, &|_, _| 0);
                continue;
            };
            worker.listen(exit.worker, events, self.listening, &self.started, &mut self.discarded);
            self.watch.remove(&worker.end.bell());
            exit.starting = !worker.ready;
            exit.cause = worker.cause.take();
            exit.violation = worker.violation.take();
            events.exit(exit, &|cell, items| worker.end.claimed(cell, items));
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

impl Worker {
    /// Appends the definitions that it does not know yet.
    fn definitions(&mut self, all: &[Vec<u8>], into: &mut Vec<u8>) {
        for (number, definition) in all.iter().enumerate().skip(self.defined) {
            frame(into, &[frame::DEFINE, number as u32], &[definition]);
        }
        self.defined = all.len();
    }

    fn send(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.queue(bytes);
            return;
        }
        // Positions that cannot be are found again, and dealt with, when we listen.
        let sent = self.end.send(bytes).unwrap_or(0);
        if sent < bytes.len() {
            self.queue(bytes);
            self.sent = sent;
        }
    }

    fn queue(&mut self, bytes: &[u8]) {
        self.unsent_bytes += bytes.len();
        self.unsent.push_back(bytes.to_vec());
    }

    fn flush(&mut self) -> Result<(), String> {
        while let Some(first) = self.unsent.front() {
            self.sent +=
                self.end.send(&first[self.sent..]).map_err(|_| "it wrote an impossible ring position".to_owned())?;
            if self.sent < first.len() {
                break;
            }
            self.unsent_bytes -= first.len();
            self.unsent.pop_front();
            self.sent = 0;
        }
        Ok(())
    }

    /// Hands over what it has published. A worker that breaks the protocol is not listened to again, and killed.
    fn listen(
        &mut self,
        id: WorkerId,
        events: &mut dyn Events,
        listening: u32,
        started: &Started,
        discarded: &mut (Vec<u8>, Vec<u8>),
    ) {
        if self.violation.is_some() {
            return;
        }
        let heard = self.hear(id, events, listening, started, discarded).and_then(|()| self.flush());
        self.end.release();
        if let Err(violation) = heard {
            self.violation = Some(violation);
            supervisor::kill(self.launch);
        }
    }

    fn hear(
        &mut self,
        id: WorkerId,
        events: &mut dyn Events,
        listening: u32,
        started: &Started,
        discarded: &mut (Vec<u8>, Vec<u8>),
    ) -> Result<(), String> {
        loop {
            let Some(record) = self.end.next_record().map_err(|_| "it wrote an impossible record".to_owned())? else {
                return Ok(());
            };
            let fits = match record.kind {
                RecordKind::Outcome => {
                    let outcome = outcome_of(&record).ok_or("it wrote an outcome of no known status")?;
                    let mut taken = false;
                    let end = &mut self.end;
                    let fits = events.outcome(id, outcome, &mut |rows, text| {
                        taken = true;
                        end.take(&record, rows, text);
                    });
                    if !taken {
                        self.discard(&record, discarded);
                    }
                    fits
                }
                RecordKind::ChunkDone => {
                    self.discard(&record, discarded);
                    self.chunks = self.chunks.saturating_sub(1);
                    events.chunk_done(id, record.cell, record.number)
                }
                RecordKind::Define => {
                    // They are kept until JavaScript collects, and longer: whoever never stops would fill our memory.
                    self.defines += 1;
                    if self.defines > MAX_DEFINITIONS || record.sizes().0 > MAX_DEFINITION_BYTES {
                        return Err("it defined too many shapes, or too large ones".to_owned());
                    }
                    let definition = self.row(&record);
                    events.define(id, record.number, &definition)
                }
                RecordKind::Ready => {
                    self.discard(&record, discarded);
                    self.ready = true;
                    let pid = started.pid(id);
                    events.ready(id, Some(pid.unwrap_or(0)))
                }
                RecordKind::Message => {
                    if !self.end.note_message(&record) {
                        return Err("it sent more messages than it may".to_owned());
                    }
                    if listening & layout::MESSAGES == 0 {
                        self.discard(&record, discarded);
                        self.end.messages_taken(record.message_bytes());
                    } else {
                        let (row, text) = record.sizes();
                        let end = &mut self.end;
                        events.message(id, record.index(), ItemSize { row, text }, &mut |rows, text| {
                            end.take(&record, rows, text);
                        });
                    }
                    true
                }
                RecordKind::StartError | RecordKind::Fatal => {
                    self.cause = Some(self.row(&record));
                    true
                }
                RecordKind::Padding => {
                    self.discard(&record, discarded);
                    true
                }
            };
            if !fits {
                return Err(format!("it reported something that it was not asked for ({:?})", record.kind));
            }
        }
    }

    fn row(&mut self, record: &Record) -> Vec<u8> {
        let (mut row, mut text) = (Vec::new(), Vec::new());
        self.end.take(record, &mut row, &mut text);
        row
    }

    fn discard(&mut self, record: &Record, (rows, text): &mut (Vec<u8>, Vec<u8>)) {
        self.end.take(record, rows, text);
        rows.clear();
        text.clear();
        rows.shrink_to(1 << 20);
        text.shrink_to(1 << 20);
    }
}

fn outcome_of(record: &Record) -> Option<Outcome> {
    let status = match record.status {
        0 => Status::Value,
        1 => Status::Error,
        2 => Status::Skipped,
        3 => Status::Rejected,
        _ => return None,
    };
    let (row, text) = record.sizes();
    Some(Outcome { cell: record.cell, item: record.item, status, size: ItemSize { row, text } })
}

/// Appends a frame: length, words, bytes.
fn frame(into: &mut Vec<u8>, words: &[u32], bytes: &[&[u8]]) {
    let length = words.len() * 4 + bytes.iter().map(|bytes| bytes.len()).sum::<usize>();
    into.extend_from_slice(&(length as u32).to_le_bytes());
    for word in words {
        into.extend_from_slice(&word.to_le_bytes());
    }
    for bytes in bytes {
        into.extend_from_slice(bytes);
    }
}
