//! Keys: items of one key run one after the other, in the order of their source, and in one worker as long as that lives.
//!
//! A key comes as the number of its partition, one of [`PARTITIONS`]: two keys may share one, which costs them some
//! parallelism and nothing else, and what is kept does not grow with the number of keys. A partition belongs to a slot
//! from its first item on (the slot that has the fewest), a slot to a worker until that has gone.
//!
//! A partition is ready while something of it waits, and none of its items is under way: sent to a worker and not ended,
//! or waiting for another try.

use super::{CallConfig, WorkerId, call::Part};
use std::collections::{BTreeMap, VecDeque};

/// The partition of a key: from 0 to [`PARTITIONS`] - 1.
pub type Partition = u16;
/// Plenty against the workers of a pool, so that few keys share one; few against what a call holds anyway.
pub const PARTITIONS: Partition = 4096;

/// Parts of a call with keys that wait.
#[derive(Debug)]
pub(super) struct Keyed {
    partitions: BTreeMap<Partition, Waiting>,
    slots: Vec<Slot>,
    /// Parts that wait, ready or not.
    waiting: usize,
    /// Items of one partition that follow each other may travel together: a worker runs them one after the other, and
    /// none of them is tried again while the next one runs.
    in_runs: bool,
}

#[derive(Debug)]
struct Waiting {
    slot: usize,
    parts: VecDeque<Part>,
    /// Items that are under way.
    under_way: u32,
}

#[derive(Debug, Default)]
struct Slot {
    worker: Option<WorkerId>,
    partitions: u32,
    /// The partitions that are ready, oldest first.
    ready: VecDeque<Partition>,
}

impl Keyed {
    /// `slots`: how many workers may run the call; `lanes`: how many items each of them runs at the same time.
    pub fn new(config: &CallConfig, slots: u32, lanes: u32) -> Self {
        Self {
            partitions: BTreeMap::new(),
            slots: (0..slots).map(|_| Slot::default()).collect(),
            waiting: 0,
            in_runs: lanes == 1 && config.retry.retries == 0 && config.crash_retries == 0,
        }
    }

    /// More workers may run the call: what comes for the first time goes to them.
    pub fn grow(&mut self, slots: u32) {
        while self.slots.len() < slots as usize {
            self.slots.push(Slot::default());
        }
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Parts of a chunk with these keys: the ends of each, and its partition.
    pub fn cut(&self, keys: &[Partition]) -> Vec<(u32, u32, Partition)> {
        let mut parts: Vec<(u32, u32, Partition)> = Vec::new();
        for (item, &key) in keys.iter().enumerate() {
            let item = item as u32;
            match parts.last_mut() {
                Some((_, end, last)) if self.in_runs && *last == key => *end = item + 1,
                _ => parts.push((item, item + 1, key)),
            }
        }
        parts
    }

    /// A part waits behind all others of its partition.
    pub fn push(&mut self, key: Partition, part: Part) {
        self.waiting += 1;
        let slots = &mut self.slots;
        let partition = self.partitions.entry(key).or_insert_with(|| {
            let slot = (0..slots.len()).min_by_key(|slot| slots[*slot].partitions).unwrap_or(0);
            slots[slot].partitions += 1;
            Waiting { slot, parts: VecDeque::new(), under_way: 0 }
        });
        partition.parts.push_back(part);
        if partition.under_way == 0 && partition.parts.len() == 1 {
            self.slots[partition.slot].ready.push_back(key);
        }
    }

    /// Items that were under way wait again, before all others of their partition.
    pub fn put_back(&mut self, key: Partition, part: Part) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        self.waiting += 1;
        partition.under_way -= part.items.len() as u32;
        partition.parts.push_front(part);
        if partition.under_way == 0 {
            self.slots[partition.slot].ready.push_front(key);
        }
    }

    /// An item that was under way has ended, and nothing runs of it any more.
    pub fn end_item(&mut self, key: Partition) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        partition.under_way -= 1;
        if partition.under_way == 0 && !partition.parts.is_empty() {
            self.slots[partition.slot].ready.push_back(key);
        }
    }

    /// Whether something is ready for this worker; `most`: how many slots one worker may have.
    pub fn offers(&self, worker: WorkerId, most: usize) -> bool {
        self.slot_for(worker, most).is_some()
    }

    /// Whether something is ready for this worker and no other.
    pub fn is_at_home(&self, worker: WorkerId) -> bool {
        self.slots.iter().any(|slot| slot.worker == Some(worker) && !slot.ready.is_empty())
    }

    /// The next part for this worker, which has the slot of it from now on.
    pub fn take(&mut self, worker: WorkerId, most: usize) -> Option<Part> {
        let slot = self.slot_for(worker, most)?;
        let slot = &mut self.slots[slot];
        let key = slot.ready.pop_front()?;
        slot.worker = Some(worker);
        let partition = self.partitions.get_mut(&key)?;
        let part = partition.parts.pop_front()?;
        partition.under_way += part.items.len() as u32;
        self.waiting -= 1;
        Some(part)
    }

    /// The worker takes nothing more: its slots are free for another one.
    pub fn leave(&mut self, worker: WorkerId) {
        for slot in self.slots.iter_mut().filter(|slot| slot.worker == Some(worker)) {
            slot.worker = None;
        }
    }

    /// Parts that wait, ready or not.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn has_ready(&self) -> bool {
        self.slots.iter().any(|slot| !slot.ready.is_empty())
    }

    /// How many workers more would have something to do.
    pub fn homeless(&self) -> usize {
        self.slots.iter().filter(|slot| slot.worker.is_none() && !slot.ready.is_empty()).count()
    }

    /// Nothing more starts: all that waits.
    pub fn clear(&mut self) -> Vec<Part> {
        self.waiting = 0;
        for slot in &mut self.slots {
            slot.ready.clear();
        }
        self.partitions.values_mut().flat_map(|partition| partition.parts.drain(..)).collect()
    }

    fn slot_for(&self, worker: WorkerId, most: usize) -> Option<usize> {
        let mine = |slot: &&Slot| slot.worker == Some(worker);
        let of =
            |owner: Option<WorkerId>| self.slots.iter().position(|slot| slot.worker == owner && !slot.ready.is_empty());
        of(Some(worker)).or_else(|| of(None).filter(|_| self.slots.iter().filter(mine).count() < most))
    }
}
