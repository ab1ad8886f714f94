//! One worker: whether it is ready, and which parts it holds.

use super::{CELLS, CallId, ChunkId, DEPTH, Micros, Violation};
use std::{collections::VecDeque, ops::Range};

/// A part that a worker holds. Its items are numbered from `start` in the chunk, from 0 in the cell.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub cell: u8,
    pub chunk: ChunkId,
    pub start: u32,
    /// Lowered when items are taken back.
    pub end: u32,
    /// Since when the worker has it, or since when it is the first.
    pub since: Micros,
    /// Items that have ended.
    pub finished: u32,
    ended: Vec<bool>,
    /// Items were asked back: not again before the answer, and not after one that brought nothing.
    pub exhausted: bool,
    /// Everything was taken back before it began: its call knows nothing of it any more, and only its cell is still in
    /// use, until the worker comes past it. That can take long, where it waits behind a slow item of another call.
    void: bool,
    /// Its call was cut off: how long the worker may take to come past what is void.
    pub grace: Option<Micros>,
    /// `TakeBack`s that are not answered.
    asked: u32,
}

impl Dispatch {
    pub fn unfinished(&self) -> impl Iterator<Item = u32> {
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
        self.start + claimed.clamp(ended, self.items())
    }
}

/// Items that came back.
pub(super) struct Returned {
    pub chunk: ChunkId,
    pub items: Range<u32>,
    /// Nothing of the part is left with the worker.
    pub whole: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Prospect {
    #[default]
    Stays,
    /// It was told to end.
    Retired,
    /// We are about to kill it.
    Condemned,
}

#[derive(Debug, Default)]
pub(super) struct Worker {
    ready: bool,
    /// Only one that stays gets more work.
    prospect: Prospect,
    /// In the order in which they were sent.
    dispatches: VecDeque<Dispatch>,
    /// Cells of parts that ended while a `TakeBack` was under way, and how many answers are to come: an answer must not
    /// be taken for one about the cell's next part.
    reserved: Vec<(u8, u32)>,
    /// Calls that it has heard of.
    calls: Vec<CallId>,
    finished_any: bool,
}

impl Worker {
    /// True the first time.
    pub fn become_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.ready, true)
    }

    /// Lets it end if it has nothing to do; true the first time.
    pub fn retire_idle(&mut self) -> bool {
        let retires = self.dispatches.is_empty() && self.prospect == Prospect::Stays;
        if retires {
            self.prospect = Prospect::Retired;
        }
        retires
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

    /// Parts of which something may run.
    pub fn dispatches(&self) -> impl DoubleEndedIterator<Item = &Dispatch> {
        self.dispatches.iter().filter(|part| !part.void)
    }

    /// Notes that items of the part in this cell are asked back; returns how many items it has.
    pub fn ask_back(&mut self, cell: u8) -> u32 {
        self.dispatch_mut(cell).map_or(0, |part| {
            part.exhausted = true;
            part.asked += 1;
            part.items()
        })
    }

    /// The call of the part in this cell.
    pub fn call_in(&self, cell: u8) -> Option<CallId> {
        self.dispatches.iter().find(|part| part.cell == cell).map(|part| part.chunk.call)
    }

    fn dispatch_mut(&mut self, cell: u8) -> Option<&mut Dispatch> {
        self.dispatches.iter_mut().find(|dispatch| dispatch.cell == cell)
    }

    /// How many parts it can take.
    pub fn room(&self) -> usize {
        let has_cell = self.dispatches.len() + self.reserved.len() < CELLS;
        if self.ready && self.prospect == Prospect::Stays && has_cell {
            DEPTH.saturating_sub(self.dispatches.len())
        } else {
            0
        }
    }

    pub fn is_idle(&self) -> bool {
        self.room() == DEPTH
    }

    /// When it is given up: it does not even come past a part that is void and first, so it hangs outside of any item.
    pub fn stuck_at(&self) -> Option<Micros> {
        let first = self.dispatches.front().filter(|part| part.void)?;
        first.grace.map(|grace| first.since.saturating_add(grace))
    }

    /// Whether it holds a part of the call.
    pub fn runs(&self, call: CallId) -> bool {
        self.dispatches().any(|part| part.chunk.call == call)
    }

    /// Whether it has this item, and the item has not ended.
    pub fn runs_item(&self, chunk: ChunkId, item: u32) -> bool {
        self.dispatches()
            .filter(|part| part.chunk == chunk && (part.start..part.end).contains(&item))
            .any(|part| !part.ended[(item - part.start) as usize])
    }

    /// Takes a part; returns its cell.
    pub fn push(&mut self, chunk: ChunkId, items: Range<u32>, now: Micros) -> u8 {
        let is_free = |cell: &u8| {
            self.dispatches.iter().all(|part| part.cell != *cell)
                && self.reserved.iter().all(|(other, _)| other != cell)
        };
        let cell = (0..CELLS as u8).find(is_free).expect("a worker without a cell has no room");
        if !self.calls.contains(&chunk.call) {
            self.calls.push(chunk.call);
        }
        self.dispatches.push_back(Dispatch {
            cell,
            chunk,
            start: items.start,
            end: items.end,
            since: now,
            finished: 0,
            ended: vec![false; items.len()],
            exhausted: false,
            void: false,
            grace: None,
            asked: 0,
        });
        cell
    }

    /// Returns which item it is, and whether it is the first that the worker has finished.
    pub fn finish_item(&mut self, cell: u8, item: u32) -> Result<(ChunkId, u32, bool), Violation> {
        let part = self.dispatch_mut(cell).ok_or(Violation)?;
        if item >= part.items() || std::mem::replace(&mut part.ended[item as usize], true) {
            return Err(Violation);
        }
        part.finished += 1;
        let (chunk, item) = (part.chunk, part.start + item);
        Ok((chunk, item, !std::mem::replace(&mut self.finished_any, true)))
    }

    /// The part in this cell is over. Returns `None` where its call has not known of it any more.
    pub fn end_dispatch(&mut self, cell: u8, now: Micros) -> Result<(CallId, Option<Dispatch>), Violation> {
        let at = self.dispatches.iter().position(|part| part.cell == cell).ok_or(Violation)?;
        if self.dispatches[at].has_unfinished() {
            return Err(Violation);
        }
        let part = self.dispatches.remove(at).ok_or(Violation)?;
        if part.asked > 0 {
            self.reserved.push((cell, part.asked));
        }
        if let Some(first) = self.dispatches.front_mut().filter(|_| at == 0) {
            first.since = now;
        }
        Ok((part.chunk.call, (!part.void).then_some(part)))
    }

    /// Its items from `end` (counted in the cell) on are its no more. `cut_off`: now, and how long it has to come past
    /// the part if that is void.
    pub fn shorten(&mut self, cell: u8, end: u32, cut_off: Option<(Micros, Micros)>) -> Option<Returned> {
        if let Some(at) = self.reserved.iter().position(|(reserved, _)| *reserved == cell) {
            self.reserved[at].1 -= 1;
            self.reserved.retain(|(_, answers)| *answers > 0);
            return None;
        }
        let part = self.dispatch_mut(cell)?;
        part.asked = part.asked.saturating_sub(1);
        let old = part.end;
        part.end = part.first_unclaimed(end);
        part.exhausted = part.end == old || part.asked > 0;
        let whole = part.items() == 0 && !std::mem::replace(&mut part.void, part.end == part.start);
        if let Some((now, grace)) = cut_off.filter(|_| whole) {
            part.since = now;
            part.grace = Some(grace);
        }
        Some(Returned { chunk: part.chunk, items: part.end..old, whole })
    }

    /// True if it had heard of the call and need not any more.
    pub fn forget(&mut self, call: CallId) -> bool {
        if self.dispatches.iter().any(|part| part.chunk.call == call) {
            return false;
        }
        let before = self.calls.len();
        self.calls.retain(|known| *known != call);
        self.calls.len() < before
    }
}
