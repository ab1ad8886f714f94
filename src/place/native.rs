//! Native operations: chunks go to a rayon pool that is as large as the machine. A "worker" is a queue whose chunks run
//! one after the other, so that the engine's limits mean the same here as for processes. All operations share the
//! workers: each call says what runs for its items.

use super::{Events, Held, ItemSize, Large, Outcome, Part, Place, Pool, row};
use crate::{
    engine::{CELLS, CallId, Status, WorkerId},
    native::{Failure, Operation, Output, Value},
};
use millrace_channel::claim;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU32},
    time::Instant,
};

/// First byte of the row of an item that has failed already on JavaScript's side, which keeps the error.
const REJECTED_BEFORE: u8 = 255;
/// How long an outcome may wait for others, to share their crossing.
const ANSWER_EVERY: std::time::Duration = std::time::Duration::from_millis(1);
/// Up to this size items run two at a time, whatever the sizes: neither waits for more than a millisecond.
const PAIR_BYTES: usize = 1 << 20;
/// Flag of a chunk whose items have a time-out: TIMED in lib/chunk-flags.js.
const TIMED: u8 = 8;

struct Chunk {
    worker: WorkerId,
    cell: u8,
    claims: Arc<AtomicU32>,
    operation: Arc<Operation>,
    /// The time of its items is counted.
    timed: bool,
    sizes: Vec<ItemSize>,
    rows: Vec<u8>,
    /// What its items have beside their rows, with the item's number in here.
    large: Vec<(u32, Arc<Large>)>,
}

enum Answer {
    Outcome { worker: WorkerId, cell: u8, item: u32, status: Status, row: Vec<u8>, text: Vec<u8> },
    Large { worker: WorkerId, cell: u8, item: u32, bytes: u32, value: Output },
    Done { worker: WorkerId, cell: u8, micros: u32 },
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    running: bool,
}

struct Worker {
    queue: Arc<Mutex<Queue>>,
    cells: [Arc<AtomicU32>; CELLS],
    /// Chunks that it has not answered whole.
    chunks: u32,
    /// Ends as soon as it has: a thread cannot be killed.
    ends: bool,
}

/// What the threads share with the place.
struct Shared {
    answers: Mutex<Vec<Answer>>,
    pool: Weak<Pool>,
}

/// The place.
pub struct Threads {
    shared: Arc<Shared>,
    operations: HashMap<CallId, Arc<Operation>>,
    workers: BTreeMap<WorkerId, Worker>,
    new: Vec<WorkerId>,
    gone: BTreeSet<WorkerId>,
}

impl Threads {
    #[must_use]
    pub fn new(pool: Weak<Pool>) -> Self {
        let shared = Arc::new(Shared { answers: Mutex::default(), pool });
        Self { shared, operations: HashMap::new(), workers: BTreeMap::new(), new: Vec::new(), gone: BTreeSet::new() }
    }
}

impl Place for Threads {
    fn spawn(&mut self, worker: WorkerId) {
        let cells = std::array::from_fn(|_| Arc::default());
        self.workers.insert(worker, Worker { queue: Arc::default(), cells, chunks: 0, ends: false });
        self.new.push(worker);
    }

    fn dispatch(&mut self, id: WorkerId, part: Part<'_>) {
        // Every call is bound before its first item.
        let Some(operation) = self.operations.get(&part.call).map(Arc::clone) else { return };
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.chunks += 1;
        let claims = Arc::clone(&worker.cells[usize::from(part.cell)]);
        claim::open(&claims, part.sizes.len() as u32);
        let large = part.large.iter().map(|(item, bytes)| (item - part.start, Arc::clone(bytes))).collect();
        let (sizes, rows, timed) = (part.sizes.to_vec(), part.rows.to_vec(), part.flags & TIMED != 0);
        let chunk = Chunk { worker: id, cell: part.cell, claims, operation, timed, sizes, rows, large };
        let mut queue = lock(&worker.queue);
        queue.chunks.push_back(chunk);
        if !std::mem::replace(&mut queue.running, true) {
            let (queue, shared) = (Arc::clone(&worker.queue), Arc::clone(&self.shared));
            rayon::spawn(move || run(&queue, &shared));
        }
    }

    fn take_back(&mut self, worker: WorkerId, cell: u8, items: u32, most: u32) -> Option<u32> {
        let cell = self.workers.get(&worker)?.cells.get(usize::from(cell))?;
        Some(claim::take_back(cell, items, most))
    }

    /// Operations are short and know no signal; what is not claimed comes back anyway.
    fn abort(&mut self, _: WorkerId, _: CallId) {}

    fn abort_item(&mut self, _: WorkerId, _: u8, _: u32) {}

    fn claimed(&self, worker: WorkerId, cell: u8, items: u32) -> u32 {
        let cell = self.workers.get(&worker).and_then(|worker| worker.cells.get(usize::from(cell)));
        cell.map_or(0, |cell| claim::claimed(cell, items))
    }

    fn forget(&mut self, _: WorkerId, _: CallId) {}

    /// A thread cannot be killed: its operation ends by itself, and then the worker is gone.
    fn kill(&mut self, worker: WorkerId) {
        self.retire(worker);
    }

    fn retire(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.ends = true;
            if worker.chunks == 0 {
                self.gone.insert(id);
            }
        }
    }

    fn define(&mut self, _: u32, _: &[u8]) {}

    fn bind(&mut self, call: CallId, operation: Arc<Operation>) {
        self.operations.insert(call, operation);
    }

    fn finished(&mut self, call: CallId) {
        self.operations.remove(&call);
    }

    fn drain(&mut self, events: &mut dyn Events) {
        for worker in std::mem::take(&mut self.new) {
            events.ready(worker, None);
        }
        let answers = std::mem::take(&mut *lock(&self.shared.answers));
        for answer in answers {
            match answer {
                Answer::Outcome { worker, cell, item, status, row, text } => {
                    let size = ItemSize { row: row.len() as u32, text: text.len() as u32 };
                    events.outcome(worker, Outcome { cell, item, status, size }, &mut |rows, texts| {
                        rows.extend_from_slice(&row);
                        texts.extend_from_slice(&text);
                    });
                }
                Answer::Large { worker, cell, item, bytes, value } => {
                    let size = ItemSize { row: bytes, text: 0 };
                    events.large_outcome(worker, Outcome { cell, item, status: Status::Value, size }, value);
                }
                Answer::Done { worker: id, cell, micros } => {
                    events.chunk_done(id, cell, micros);
                    if let Some(worker) = self.workers.get_mut(&id) {
                        worker.chunks -= 1;
                        if worker.ends && worker.chunks == 0 {
                            self.gone.insert(id);
                        }
                    }
                }
            }
        }
        for worker in std::mem::take(&mut self.gone) {
            self.workers.remove(&worker);
            events.exit(super::Exit { worker, ..super::Exit::default() }, &|_, _| 0);
        }
    }

    fn sleep(&mut self) -> bool {
        self.new.is_empty() && self.gone.is_empty() && lock(&self.shared.answers).is_empty()
    }
}

/// Runs the chunks of one worker until there is none.
fn run(queue: &Mutex<Queue>, shared: &Shared) {
    loop {
        let chunk = {
            let mut queue = lock(queue);
            let Some(chunk) = queue.chunks.pop_front() else {
                queue.running = false;
                return;
            };
            chunk
        };
        run_chunk(chunk, shared);
    }
}

fn run_chunk(mut chunk: Chunk, shared: &Shared) {
    let start = Instant::now();
    let (mut answers, mut answered) = (Vec::new(), start);
    let mut ends = Vec::with_capacity(chunk.sizes.len() + 1);
    ends.push(0);
    ends.extend(chunk.sizes.iter().scan(0, |end, size| {
        *end += size.row as usize;
        Some(*end)
    }));
    while let Some(item) = claim::claim(&chunk.claims) {
        let row = |item: u32| &chunk.rows[ends[item as usize]..ends[item as usize + 1]];
        match is_paired(&chunk, item).then(|| claim::claim(&chunk.claims)).flatten() {
            Some(second) => answers.extend(pair(&chunk, [(item, row(item)), (second, row(second))])),
            None => answers.push(outcome(&chunk, item, row(item))),
        }
        let now = Instant::now();
        // What waits for the next item would be cut off with it.
        if chunk.timed || now - answered > ANSWER_EVERY {
            answered = now;
            answer(shared, &mut answers);
        }
    }
    let micros = start.elapsed().as_micros().min(u128::from(u32::MAX)) as u32;
    answers.push(Answer::Done { worker: chunk.worker, cell: chunk.cell, micros });
    // The JavaScript thread, which hears of it, is then the last one to have it, and need not be woken for that.
    chunk.large.clear();
    answer(shared, &mut answers);
}

/// Hands answers over, and wakes the JavaScript thread for the first ones.
fn answer(shared: &Shared, answers: &mut Vec<Answer>) {
    let first = {
        let mut waiting = lock(&shared.answers);
        let first = waiting.is_empty();
        waiting.append(answers);
        first
    };
    if let Some(pool) = shared.pool.upgrade().filter(|_| first) {
        pool.bell.ring();
    }
}

/// Runs one item.
fn outcome(chunk: &Chunk, item: u32, row: &[u8]) -> Answer {
    if row.first() == Some(&REJECTED_BEFORE) {
        return rejected_before(chunk, item);
    }
    if let Some(outcome) = changed(chunk, item, row) {
        return outcome;
    }
    let value = held(chunk, item).and_then(|large| chunk.operation.run(row::item(row, row::beside(&large))?));
    settled(chunk, item, value)
}

/// Makes the result of an item in its own memory, if it was given away for that.
fn changed(chunk: &Chunk, item: u32, row: &[u8]) -> Option<Answer> {
    let code = row::array_beside(row).filter(|_| chunk.operation.changes())?;
    let large = large(chunk, item).iter().find_map(|(of, large)| (*of == item).then_some(large))?;
    let Large::Transferred(memory) = &**large else { return None };
    let changed = chunk.operation.change(code, &mut memory.change()?);
    // Where nothing was changed, nobody can read it any more all the same.
    let refused = || Failure::Internal("an item that cannot be changed where it is".to_owned());
    let value = changed.and_then(|changed| if changed { Ok(()) } else { Err(refused()) });
    Some(settled(chunk, item, value.map(|()| Value::Transferred(code, Arc::clone(memory)))))
}

/// Whether an item runs with the one after it on this thread. Both end together, so that neither should take much longer
/// than the other, nor than alone where that counts.
fn is_paired(chunk: &Chunk, item: u32) -> bool {
    if !chunk.operation.likes_pairs() || item as usize + 1 >= chunk.sizes.len() {
        return false;
    }
    let (one, other) = (bytes(chunk, item), bytes(chunk, item + 1));
    let (less, more) = (one.min(other), one.max(other));
    more <= PAIR_BYTES || (!chunk.timed && more / 2 <= less)
}

/// Bytes of an item, with what it has beside its row.
fn bytes(chunk: &Chunk, item: u32) -> usize {
    let beside = large(chunk, item).iter().take_while(|(of, _)| *of == item);
    chunk.sizes[item as usize].total() as usize + beside.map(|(_, bytes)| bytes.len()).sum::<usize>()
}

/// Runs two items at once.
fn pair(chunk: &Chunk, items: [(u32, &[u8]); 2]) -> [Answer; 2] {
    if items.iter().any(|(_, row)| row.first() == Some(&REJECTED_BEFORE)) {
        return items.map(|(item, row)| outcome(chunk, item, row));
    }
    let large = match items.map(|(item, _)| held(chunk, item)) {
        [Ok(first), Ok(second)] => [first, second],
        _ => return items.map(|(item, row)| outcome(chunk, item, row)),
    };
    match [0, 1].map(|at| row::item(items[at].1, row::beside(&large[at]))) {
        [Ok(first), Ok(second)] => {
            let [first, second] = chunk.operation.run_pair([first, second]);
            [settled(chunk, items[0].0, first), settled(chunk, items[1].0, second)]
        }
        _ => items.map(|(item, row)| outcome(chunk, item, row)),
    }
}

/// What the item has beside its row, and perhaps those after it.
fn large(chunk: &Chunk, item: u32) -> &[(u32, Arc<Large>)] {
    &chunk.large[chunk.large.partition_point(|(of, _)| *of < item)..]
}

/// What the item has beside its row, as long as it is read.
fn held(chunk: &Chunk, item: u32) -> Result<Vec<Held<'_>>, Failure> {
    let gone = || Failure::Internal("the memory of an item is gone".to_owned());
    let parts = large(chunk, item).iter().take_while(|(of, _)| *of == item);
    parts.map(|(_, bytes)| bytes.read().ok_or_else(gone)).collect()
}

fn rejected_before(chunk: &Chunk, item: u32) -> Answer {
    let (row, text) = (Vec::new(), Vec::new());
    Answer::Outcome { worker: chunk.worker, cell: chunk.cell, item, status: Status::Rejected, row, text }
}

/// What an operation has made of an item.
fn settled(chunk: &Chunk, item: u32, value: Result<Output, Failure>) -> Answer {
    let Chunk { worker, cell, .. } = *chunk;
    let encoded = |status: Status, value: &Output| {
        let (mut row, mut text) = (Vec::new(), Vec::new());
        row::encode(value, &mut row, &mut text);
        Answer::Outcome { worker, cell, item, status, row, text }
    };
    let value = value.and_then(|value| match row::large_size(&value) {
        None if row::size(&value) > row::MAX_ROW_BYTES => Err(Failure::TooLarge { limit: row::MAX_ROW_BYTES as u64 }),
        bytes => Ok((value, bytes)),
    });
    match value {
        Ok((value, Some(bytes))) => {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            Answer::Large { worker, cell, item, bytes, value }
        }
        Ok((value, None)) => encoded(Status::Value, &value),
        Err(failure) => encoded(Status::Error, &failure.to_record()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{native::Limits, place::spare::Spare};

    fn operation(json: &str) -> Operation {
        Operation::new(json, Limits { bytes: u64::MAX, units: u64::MAX }).unwrap()
    }

    fn chunk(json: &str, timed: bool, bytes: &[usize]) -> Chunk {
        let spare = Arc::<Spare>::default();
        let large = |(at, &bytes): (usize, &usize)| (at as u32, Arc::new(Large::Copied(spare.copy(&vec![0; bytes]))));
        Chunk {
            worker: 1,
            cell: 0,
            claims: Arc::default(),
            operation: Arc::new(operation(json)),
            timed,
            sizes: vec![ItemSize { row: 1, text: 0 }; bytes.len()],
            rows: vec![0x21; bytes.len()],
            large: bytes.iter().enumerate().map(large).collect(),
        }
    }

    #[test]
    fn pairs_are_of_items_that_take_about_as_long() {
        let sha256 = r#"[{"op":"digest","algorithm":"sha256","encoding":"hex"}]"#;
        if !operation(sha256).likes_pairs() {
            return;
        }
        let mib = 1 << 20;
        for (timed, bytes, paired) in [
            (false, &[9_000, 9_000][..], true),
            (false, &[9_000, mib - 1], true),
            (true, &[9_000, mib - 1], true),
            (false, &[2 * mib, 3 * mib], true),
            (true, &[2 * mib, 2 * mib], false),
            (false, &[9_000, 3 * mib], false),
            (false, &[3 * mib, mib], false),
            (false, &[9_000], false),
        ] {
            assert_eq!(is_paired(&chunk(sha256, timed, bytes), 0), paired, "{timed} {bytes:?}");
        }
        let pipe = sha256.replace("sha256", "sha512");
        assert!(!is_paired(&chunk(&pipe, false, &[9_000, 9_000]), 0), "what does not like pairs");
    }
}
