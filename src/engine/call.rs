//! One call: its chunks, and the parts of them that wait for a worker.

mod delivery;

use super::{
    Action, CallConfig, CallId, ChunkId, Credit, Micros, WorkerId,
    keyed::{Keyed, Partition},
    tries::Tries,
    window::{TARGET_CHUNK_NANOS, Window},
};
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

/// The most small parts that wait in a worker.
const MAX_PARTS_AHEAD: u64 = 32;

/// Consecutive items of one chunk that wait for a worker.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub chunk: ChunkId,
    pub items: Range<u32>,
    /// Which try at the items the next one is.
    pub attempt: u32,
    /// One item that ran beside others when their worker died: it runs again alone.
    pub alone: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    pub id: CallId,
    /// Its concurrency is no more than the pool has at the moment.
    pub config: CallConfig,
    /// The concurrency that was asked for.
    wanted: u32,
    /// The pool has changed its size since.
    resized: bool,
    pub source_ended: bool,
    /// Nobody wants its outcomes any more.
    pub cancelled: bool,
    /// When workers that still run its items are killed.
    pub kill_at: Option<Micros>,
    /// Parts that workers hold.
    pub dispatches: u32,
    /// How many workers hold them, and the most that may.
    holders: u32,
    most_holders: u32,
    /// How many items these workers may run at once, together.
    granted: u32,
    /// Parts that wait for a worker.
    queue: VecDeque<Part>,
    /// The same, where items have keys.
    keyed: Option<Box<Keyed>>,
    /// Items that wait for a worker of their own.
    suspects: VecDeque<Part>,
    /// Items that have failed and not ended.
    pub tries: Tries,
    /// Chunks that are not released, by sequence number. Not a row from the oldest on: without order, one slow item
    /// must not keep all that came after it.
    chunks: BTreeMap<u32, Chunk>,
    /// The next chunk's number. It may run over, so numbers are compared by their distance from `cursor`.
    next_sequence: u32,
    /// The chunk at which ordered delivery stands.
    cursor: u32,
    /// The error that stops the call.
    stop: Option<Stop>,
    window: Window,
}

#[derive(Debug)]
struct Chunk {
    items: Vec<Item>,
    /// Of each item, where they have any.
    keys: Box<[Partition]>,
    /// Ordered: how many are delivered, from the start. Unordered: how many in all.
    delivered: u32,
    /// Parts of it that are queued or held by a worker.
    parts: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    ended: bool,
    /// Of the item until it has ended, of its outcome from then on.
    bytes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    chunk: ChunkId,
    item: u32,
    delivered: bool,
}

impl Call {
    /// `size`: the most workers of the pool; `lanes`: how many items each of them runs at the same time.
    pub fn new(id: CallId, config: CallConfig, size: u32, lanes: u32) -> Self {
        let wanted = config.concurrency;
        let config = CallConfig { concurrency: wanted.clamp(1, size.saturating_mul(lanes)), ..config };
        let most_holders = config.concurrency.min(size);
        Self {
            id,
            keyed: config.keyed.then(|| Box::new(Keyed::new(&config, most_holders, lanes))),
            config,
            wanted,
            resized: false,
            source_ended: false,
            cancelled: false,
            kill_at: None,
            dispatches: 0,
            holders: 0,
            most_holders,
            granted: 0,
            queue: VecDeque::new(),
            suspects: VecDeque::new(),
            tries: Tries::default(),
            chunks: BTreeMap::new(),
            next_sequence: 0,
            cursor: 0,
            stop: None,
            window: Window::default(),
        }
    }

    /// Whether more items may come.
    pub fn takes_items(&self) -> bool {
        self.starts_items() && !self.source_ended
    }

    /// Whether items that are there may start.
    pub fn starts_items(&self) -> bool {
        !self.cancelled && self.stop.is_none()
    }

    /// Something of it waits for a worker.
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty() || self.has_suspects() || self.keyed.as_ref().is_some_and(|keyed| keyed.waiting() > 0)
    }

    /// Something of it waits that may run beside others.
    pub fn has_parts(&self) -> bool {
        !self.queue.is_empty() || self.keyed.as_ref().is_some_and(|keyed| keyed.has_ready())
    }

    /// Some of that may go to this worker; `reach`: how many workers there can be.
    pub fn has_parts_for(&self, worker: WorkerId, reach: u32) -> bool {
        !self.queue.is_empty() || self.keyed.as_ref().is_some_and(|keyed| keyed.offers(worker, self.most_slots(reach)))
    }

    /// How many of its slots one worker may have: more than one only where there can be fewer workers than slots.
    fn most_slots(&self, reach: u32) -> usize {
        // A pool that has shrunk has more slots than before.
        let slots = self.keyed.as_ref().map_or(0, |keyed| keyed.slots());
        slots.div_ceil(reach.min(self.most_holders).max(1) as usize)
    }

    pub fn is_keyed(&self) -> bool {
        self.keyed.is_some()
    }

    /// Something of it is ready that may go to this worker alone.
    pub fn is_at_home(&self, worker: WorkerId) -> bool {
        self.keyed.as_ref().is_some_and(|keyed| keyed.is_at_home(worker))
    }

    /// How many parts may wait behind others in a worker: where they are as small as those with keys, about as much as a
    /// chunk that has none.
    pub fn parts_ahead(&self) -> usize {
        if self.keyed.is_none() {
            return 0;
        }
        let nanos = self.nanos_per_item().unwrap_or(TARGET_CHUNK_NANOS).max(1);
        (TARGET_CHUNK_NANOS / nanos).min(MAX_PARTS_AHEAD) as usize
    }

    /// The worker takes nothing more.
    pub fn leave_worker(&mut self, worker: WorkerId) {
        if let Some(keyed) = &mut self.keyed {
            keyed.leave(worker);
        }
    }

    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Parts that another worker could take.
    pub fn queued_parts(&self) -> usize {
        self.queue.len() + self.suspects.len() + self.keyed.as_ref().map_or(0, |keyed| keyed.homeless())
    }

    /// Parts that share a worker with another one of the call.
    pub fn crowded_parts(&self) -> usize {
        (self.dispatches - self.holders) as usize
    }

    /// How many workers more may run it.
    pub fn free_slots(&self) -> u32 {
        let left = self.config.concurrency.saturating_sub(self.granted);
        self.most_holders.saturating_sub(self.holders).min(left)
    }

    /// The pool has another size now. What workers have of the call they keep.
    pub fn resize(&mut self, size: u32, lanes: u32) {
        self.config.concurrency = self.wanted.clamp(1, size.saturating_mul(lanes));
        self.most_holders = self.config.concurrency.min(size);
        self.resized |= lanes > 1;
        if let Some(keyed) = &mut self.keyed {
            keyed.grow(self.most_holders);
        }
    }

    /// Whether a worker that may run so many items of it at once should have no more of it until it has none: what it
    /// was granted in a pool of another size is not its share any more.
    pub fn is_outgrown(&self, lanes: Option<u32>) -> bool {
        let Some(lanes) = lanes.filter(|_| self.resized) else { return false };
        let (concurrency, workers) = (self.config.concurrency, self.most_holders);
        !(concurrency / workers..=concurrency.div_ceil(workers)).contains(&lanes)
    }

    /// The most workers that run it at once.
    pub fn most_holders(&self) -> u32 {
        self.most_holders
    }

    /// Whether its parts may go to a worker that has none of them. One slot is kept for an item that has to be alone:
    /// else the workers that it waits for would always have others.
    pub fn may_spread(&self) -> bool {
        self.free_slots() > u32::from(self.has_suspects())
    }

    /// How many items the next worker may run at once: what is left is shared out evenly, so that no two workers differ
    /// by more than one, and all together come to the concurrency.
    fn next_grant(&self) -> u32 {
        let left = self.config.concurrency.saturating_sub(self.granted);
        let share = self.config.concurrency.div_ceil(self.most_holders);
        left.div_ceil(self.free_slots().max(1)).clamp(1, share)
    }

    /// Nothing runs, and nothing is left to deliver.
    pub fn is_over(&self) -> bool {
        let stopped = self.stop.is_some_and(|stop| stop.delivered);
        self.dispatches == 0 && (self.cancelled || stopped || (self.source_ended && self.chunks.is_empty()))
    }

    /// `keys`: the partition of each item, where the call has keys.
    pub fn push_chunk(&mut self, sizes: &[u32], keys: &[Partition]) -> Option<ChunkId> {
        if !self.takes_items() {
            return None;
        }
        let id = ChunkId { call: self.id, sequence: self.next_sequence };
        self.next_sequence = self.next_sequence.wrapping_add(1);
        let items = sizes.iter().map(|&bytes| Item { ended: false, bytes }).collect();
        let mut parts = 1;
        if let Some(keyed) = &mut self.keyed {
            let cut = keyed.cut(keys);
            parts = cut.len() as u32;
            for (start, end, key) in cut {
                keyed.push(key, Part { chunk: id, items: start..end, attempt: 1, alone: false });
            }
        } else {
            self.queue.push_back(Part { chunk: id, items: 0..sizes.len() as u32, attempt: 1, alone: false });
        }
        self.chunks.insert(id.sequence, Chunk { items, keys: keys.into(), delivered: 0, parts });
        self.window.take(sizes);
        Some(id)
    }

    /// The next part for a worker, which has these lanes for it already, or none, and takes so many items at most; returns
    /// with it how many lanes it has.
    pub fn next_part(
        &mut self,
        worker: WorkerId,
        reach: u32,
        lanes: Option<u32>,
        items: Option<u32>,
    ) -> Option<(Part, u32)> {
        let most = self.most_slots(reach);
        let keyed = self.keyed.as_mut();
        let part = keyed.and_then(|keyed| keyed.take(worker, most)).or_else(|| self.queue.pop_front())?;
        let part = self.cut(part, items.unwrap_or(u32::MAX));
        Some((part, self.give(lanes)))
    }

    /// The first items of a part, at most so many; the others wait again.
    fn cut(&mut self, mut part: Part, most: u32) -> Part {
        let middle = part.items.start.saturating_add(most);
        if middle < part.items.end {
            let rest = Part { items: middle..part.items.end, ..part.clone() };
            part.items.end = middle;
            self.requeue(rest);
        }
        part
    }

    /// The next item that has to be alone, for a worker that has nothing.
    pub fn next_suspect(&mut self) -> Option<(Part, u32)> {
        let part = self.suspects.pop_front()?;
        Some((part, self.give(None)))
    }

    fn give(&mut self, lanes: Option<u32>) -> u32 {
        self.dispatches += 1;
        lanes.unwrap_or_else(|| {
            let lanes = self.next_grant();
            self.holders += 1;
            self.granted += lanes;
            lanes
        })
    }

    /// Items that were not claimed wait again, before all others; or are dropped, where nothing may start any more.
    pub fn requeue(&mut self, part: Part) {
        if part.items.is_empty() || !self.starts_items() {
            return;
        }
        let Some(state) = self.chunks.get_mut(&part.chunk.sequence) else { return };
        state.parts += 1;
        match &mut self.keyed {
            _ if part.alone => self.suspects.push_front(part),
            Some(keyed) => keyed.put_back(state.keys[part.items.start as usize], part),
            None => self.queue.push_front(part),
        }
    }

    /// An item has ended, and nothing of it runs any more: the next one of its key may start.
    pub fn end_key(&mut self, chunk: ChunkId, item: u32) {
        if let (Some(keyed), Some(chunk)) = (&mut self.keyed, self.chunks.get(&chunk.sequence)) {
            keyed.end_item(chunk.keys[item as usize]);
        }
    }

    /// Nothing more may start.
    pub fn drop_queue(&mut self) {
        let keyed = self.keyed.as_mut().map(|keyed| keyed.clear()).unwrap_or_default();
        for part in self.queue.drain(..).chain(self.suspects.drain(..)).chain(keyed) {
            if let Some(chunk) = self.chunks.get_mut(&part.chunk.sequence) {
                chunk.parts -= 1;
            }
        }
        for sequence in self.tries.clear() {
            self.drop_part(sequence);
        }
    }

    /// Something of the chunk waits outside of the queue.
    pub fn hold_part(&mut self, sequence: u32) {
        if let Some(chunk) = self.chunks.get_mut(&sequence) {
            chunk.parts += 1;
        }
    }

    /// It does no more. What is left of the chunk sees to its release.
    pub fn drop_part(&mut self, sequence: u32) {
        if let Some(chunk) = self.chunks.get_mut(&sequence) {
            chunk.parts -= 1;
        }
    }

    /// A part of the chunk has left its worker; the last one of the call gives the lanes back that it had there.
    pub fn part_ended(&mut self, id: ChunkId, lanes: u32, actions: &mut VecDeque<Action>) {
        self.dispatches -= 1;
        self.holders -= u32::from(lanes > 0);
        self.granted -= lanes;
        if let Some(chunk) = self.chunks.get_mut(&id.sequence) {
            chunk.parts -= 1;
            if chunk.is_whole() {
                self.release(id, actions);
            }
        }
    }

    fn release(&mut self, id: ChunkId, actions: &mut VecDeque<Action>) {
        self.chunks.remove(&id.sequence);
        actions.push_back(Action::Release { chunk: id });
    }

    /// Lets go of all chunks.
    pub fn release_all(&mut self, actions: &mut VecDeque<Action>) {
        for sequence in std::mem::take(&mut self.chunks).into_keys() {
            actions.push_back(Action::Release { chunk: ChunkId { call: self.id, sequence } });
        }
    }

    pub fn consume(&mut self, items: u32, bytes: u64) {
        self.window.consume(items, bytes);
    }

    /// A worker took this long for this many items, in so many lanes.
    pub fn measure(&mut self, items: u32, lanes: u32, micros: u32) {
        self.window.measure(items, lanes, micros);
    }

    pub fn nanos_per_item(&self) -> Option<u64> {
        self.window.nanos_per_item()
    }

    pub fn credit(&self) -> Credit {
        self.window.credit(&self.config, self.most_holders)
    }
}

impl Chunk {
    /// All is delivered, and no part of it is under way.
    fn is_whole(&self) -> bool {
        self.parts == 0 && self.delivered as usize == self.items.len()
    }
}

#[cfg(test)]
impl Call {
    pub fn live_chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Those that are remembered are of live chunks.
    pub fn forgets_failures(&self) -> bool {
        self.tries.chunks().all(|sequence| self.chunks.contains_key(&sequence))
    }

    pub fn start_numbering_at(&mut self, sequence: u32) {
        self.next_sequence = sequence;
        self.cursor = sequence;
    }
}
