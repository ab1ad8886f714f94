//! A part of a chunk that a worker holds: which of its items have ended, and how long the others have run.

use super::{ChunkId, Micros, Violation, call::Part};
use std::{collections::BTreeMap, ops::Range};

/// A part that a worker holds. Its items are numbered from `start` in the chunk, from 0 in the cell.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub cell: u8,
    pub chunk: ChunkId,
    pub start: u32,
    /// Lowered when items are taken back.
    pub end: u32,
    /// Which try at its items it is.
    pub attempt: u32,
    /// Its item is suspected of a crash: while the worker has it, it gets nothing else.
    pub alone: bool,
    /// How many items of its call the worker may run at once: the same for all parts of the call that it holds.
    pub lanes: u32,
    /// Since when the worker has it, or since when it is the first.
    pub since: Micros,
    /// Items that have ended.
    pub finished: u32,
    ended: Vec<bool>,
    /// Items were asked back: not again before the answer, and not after one that brought nothing.
    pub exhausted: bool,
    /// Everything was taken back before it began: its call knows nothing of it any more, and only its cell is still in
    /// use, until the worker comes past it. That can take long, where it waits behind a slow item of another call.
    pub void: bool,
    /// Its call was cut off: how long the worker may take to come past what is void.
    pub grace: Option<Micros>,
    /// `TakeBack`s that are not answered.
    asked: u32,
    /// Of a call with a time-out.
    timing: Option<Box<Timing>>,
}

/// How long the items of a part have run; they are numbered as in the cell.
#[derive(Debug)]
struct Timing {
    timeout: Micros,
    /// When each item was first seen to be claimed, from the first to the last one that was.
    seen: Vec<Micros>,
    /// The items before it have ended.
    open: u32,
    /// Those that ran for too long and have not ended.
    cut_off: BTreeMap<u32, CutOff>,
}

/// What follows for an item that has run for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CutOff {
    /// When its worker is killed for it.
    kill_at: Micros,
    /// It has failed of that. Before, it is a suspect: another one may hold the worker.
    pub charged: bool,
}

/// An item that has run for too long; `index` is its number in the cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub cell: u8,
    pub index: u32,
    pub chunk: ChunkId,
    pub item: u32,
    pub attempt: u32,
}

impl Dispatch {
    /// A part that goes into a cell of a worker, of whose call it may run so many items at once, each for so long.
    pub fn new(cell: u8, part: Part, lanes: u32, timeout: Option<Micros>, now: Micros) -> Self {
        let Part { chunk, items, attempt, alone } = part;
        Self {
            cell,
            chunk,
            start: items.start,
            end: items.end,
            attempt,
            alone,
            lanes,
            since: now,
            finished: 0,
            ended: vec![false; items.len()],
            exhausted: false,
            void: false,
            grace: None,
            asked: 0,
            timing: timeout
                .map(|timeout| Box::new(Timing { timeout, seen: Vec::new(), open: 0, cut_off: BTreeMap::new() })),
        }
    }

    /// An item (as numbered in the cell) has ended; returns what it was, if it was cut off before.
    pub fn finish(&mut self, item: u32) -> Result<Option<CutOff>, Violation> {
        if item >= self.items() || std::mem::replace(&mut self.ended[item as usize], true) {
            return Err(Violation);
        }
        self.finished += 1;
        Ok(self.timing.as_mut().and_then(|timing| timing.cut_off.remove(&item)))
    }

    /// Where in their chunk these items (as numbered in the cell) are, which have ended now; `None`: an item of the part
    /// was cut off, and each needs a look of its own.
    pub fn open_items(&self, items: Range<u32>) -> Result<Option<Range<u32>>, Violation> {
        if items.end > self.items() || self.ended[items.start as usize..items.end as usize].contains(&true) {
            return Err(Violation);
        }
        let cut_off = self.timing.as_ref().is_some_and(|timing| !timing.cut_off.is_empty());
        Ok((!cut_off).then_some(self.start + items.start..self.start + items.end))
    }

    /// Items that were [open](Self::open_items) have ended.
    pub fn finish_items(&mut self, items: Range<u32>) {
        self.finished += items.len() as u32;
        self.ended[items.start as usize..items.end as usize].fill(true);
    }

    pub fn has_ended(&self, item: u32) -> bool {
        self.ended[(item - self.start) as usize]
    }

    /// Items are asked back.
    pub fn ask_back(&mut self) {
        self.exhausted = true;
        self.asked += 1;
    }

    /// How many answers to that are to come.
    pub fn answers(&self) -> u32 {
        self.asked
    }

    /// The answer: its items from `end` (counted in the cell) on are the worker's no more, as far as nothing is known of
    /// them. Returns which those are, and whether that leaves nothing of the part for the first time.
    pub fn give_back(&mut self, end: u32) -> (Range<u32>, bool) {
        self.asked = self.asked.saturating_sub(1);
        let old = self.end;
        self.end = self.first_unclaimed(end);
        self.exhausted = self.end == old || self.asked > 0;
        let whole = self.items() == 0 && !std::mem::replace(&mut self.void, self.end == self.start);
        (self.end..old, whole)
    }

    /// The item has run for too long, and its worker is killed then; true the first time.
    pub fn cut_off(&mut self, index: u32, kill_at: Micros) -> bool {
        let cut_off = CutOff { kill_at, charged: false };
        self.timing.as_mut().is_some_and(|timing| timing.cut_off.insert(index, cut_off).is_none())
    }

    /// An item that was cut off fails of that; `None`: it has already.
    pub fn charge(&mut self, index: u32) -> Result<Option<Cut>, Violation> {
        let cut_off = self.timing.as_mut().and_then(|timing| timing.cut_off.get_mut(&index)).ok_or(Violation)?;
        let before = std::mem::replace(&mut cut_off.charged, true);
        Ok((!before).then(|| self.cut(index)))
    }

    fn cut(&self, index: u32) -> Cut {
        Cut { cell: self.cell, index, chunk: self.chunk, item: self.start + index, attempt: self.attempt }
    }

    /// When its worker is killed for items that were cut off.
    pub fn kill_times(&self) -> impl Iterator<Item = Micros> {
        self.timing.iter().flat_map(|timing| timing.cut_off.values().map(|cut_off| cut_off.kill_at))
    }

    pub fn unfinished(&self) -> impl DoubleEndedIterator<Item = u32> {
        (self.start..self.end).filter(|item| !self.ended[(item - self.start) as usize])
    }

    pub fn has_unfinished(&self) -> bool {
        self.finished < self.items()
    }

    pub fn items(&self) -> u32 {
        self.end - self.start
    }

    /// Where the items begin that were not claimed, if `claimed` were. An item that has ended was claimed, whatever the
    /// worker says now.
    pub fn first_unclaimed(&self, claimed: u32) -> u32 {
        let ended = self.ended[..self.items() as usize].iter().rposition(|ended| *ended).map_or(0, |at| at as u32 + 1);
        let cut_off =
            self.timing.as_ref().and_then(|timing| timing.cut_off.last_key_value()).map_or(0, |(at, _)| at + 1);
        self.start + claimed.clamp(ended.max(cut_off), self.items())
    }

    /// Items that were not begun may still come back: they can be asked back, or were, and the answer is to come.
    pub fn may_come_back(&self) -> bool {
        !self.exhausted || self.asked > 0
    }

    pub fn is_timed(&self) -> bool {
        self.timing.is_some()
    }

    /// What is known of an item (as numbered in the chunk) that has run for too long.
    pub fn cut_off_of(&self, item: u32) -> Option<CutOff> {
        self.timing.as_ref().and_then(|timing| timing.cut_off.get(&(item - self.start)).copied())
    }

    /// One of its items has run for too long, and it is not known who is to blame.
    pub fn has_doubt(&self) -> bool {
        self.timing.iter().flat_map(|timing| timing.cut_off.values()).any(|cut_off| !cut_off.charged)
    }

    /// Notes how many of its items are claimed by now; hands over those that have run for too long, and returns when
    /// the next one has.
    pub fn look(&mut self, claimed: u32, now: Micros, mut overdue: impl FnMut(Cut)) -> Option<Micros> {
        let items = self.items();
        let timing = self.timing.as_mut()?;
        // One that lies may have claimed what was taken back since.
        let seen = (claimed as usize).max(timing.seen.len()).min(items as usize);
        timing.seen.resize(seen, now);
        while (timing.open as usize) < seen && self.ended[timing.open as usize] {
            timing.open += 1;
        }
        let (mut next, mut late) = (None::<Micros>, Vec::new());
        for index in timing.open..seen as u32 {
            if self.ended[index as usize] || timing.cut_off.contains_key(&index) {
                continue;
            }
            let due = timing.seen[index as usize].saturating_add(timing.timeout);
            if due <= now {
                late.push(index);
            } else {
                next = next.into_iter().chain([due]).min();
            }
        }
        for index in late {
            overdue(self.cut(index));
        }
        next
    }
}
