//! One worker: which parts it holds, and which of its lanes they use; [`life`] has when it starts and goes.
//!
//! A worker runs up to `lanes` items at a time, of one part or of several. What we know of that lags behind: an item
//! counts as running until we have heard of its end, and the parts that were sent first have the first choice.

mod life;

use super::{
    CELLS, CallId, ChunkId, Micros, Sent, Violation, Why, WorkerId,
    call::Part,
    dispatch::{Cut, CutOff, Dispatch},
    tries::MIN_STILL,
};
use std::{collections::VecDeque, ops::Range};

/// An item that has ended in a worker.
pub(super) struct Ended {
    pub chunk: ChunkId,
    pub item: u32,
    pub attempt: u32,
    /// It is the first that the worker has finished.
    pub first: bool,
    /// It was cut off before, and how it has ended is of no interest.
    pub cut_off: Option<CutOff>,
}

/// Items that came back.
pub(super) struct Returned {
    pub chunk: ChunkId,
    pub items: Range<u32>,
    pub attempt: u32,
    pub alone: bool,
    /// Nothing of the part is left with the worker.
    pub whole: bool,
    /// Lanes that its call has no use for any more here.
    pub lanes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Prospect {
    #[default]
    Stays,
    /// It goes when what it has begun has ended.
    Leaves(Why),
    /// It was told to end.
    Retired,
    /// We are about to kill it.
    Condemned,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(super) struct Worker {
    /// How many items it runs at the same time.
    lanes: u32,
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
    /// When a part of it last ended, or began at once.
    moved: Micros,
    /// How many items it runs that have run for too long.
    cut_off: u32,
    /// When it was started, and when it was ready.
    spawned: Micros,
    ready_at: Option<Micros>,
    /// Since when it has had nothing to do.
    idle_since: Option<Micros>,
    /// Since when it has had something, and for how long it had before.
    busy_since: Micros,
    busy: Micros,
    /// How many items it may still be sent, and with how few it is worn as long as its pace is not known.
    tasks_left: Option<u32>,
    worn_at: u32,
    /// It will soon have lived for as long as it may, and has.
    ages: bool,
    old: bool,
    /// The worker that was started in its place.
    pub successor: Option<WorkerId>,
    /// It has taken too long to start.
    given_up: bool,
    /// When it was first seen to have been told to end.
    ending: Option<Micros>,
    /// How many items have ended here.
    ended: u32,
    /// Since when it has begun nothing, though it has something to begin; and how many items had ended then.
    still: Option<(Micros, u32)>,
    /// It was killed for that.
    hung: bool,
}

impl Worker {
    /// `tasks`: how many items it may run.
    pub fn new(lanes: u32, tasks: Option<u32>, now: Micros) -> Self {
        Self {
            lanes,
            ready: false,
            prospect: Prospect::default(),
            dispatches: VecDeque::new(),
            reserved: Vec::new(),
            calls: Vec::new(),
            finished_any: false,
            moved: 0,
            cut_off: 0,
            spawned: now,
            ready_at: None,
            idle_since: None,
            busy_since: 0,
            busy: 0,
            tasks_left: tasks,
            worn_at: tasks.unwrap_or(0) / 5,
            ages: false,
            old: false,
            successor: None,
            given_up: false,
            ending: None,
            ended: 0,
            still: None,
            hung: false,
        }
    }

    /// Parts of which something may run.
    pub fn dispatches(&self) -> impl DoubleEndedIterator<Item = &Dispatch> {
        self.dispatches.iter().filter(|part| !part.void)
    }

    /// Notes that items of the part in this cell are asked back; returns how many items it has.
    pub fn ask_back(&mut self, cell: u8) -> u32 {
        self.dispatch_mut(cell).map_or(0, |part| {
            part.ask_back();
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

    /// Whether it takes more parts at all.
    fn takes_parts(&self) -> bool {
        let has_cell = self.dispatches.len() + self.reserved.len() < CELLS;
        self.ready && self.stays() && !self.is_spent() && has_cell && !self.dispatches.iter().any(|part| part.alone)
    }

    /// Whether it can be left without parts for one that has to be alone.
    pub fn may_be_emptied(&self) -> bool {
        self.ready && self.prospect == Prospect::Stays && !self.dispatches.iter().any(|part| part.alone)
    }

    /// It takes parts, and has none.
    pub fn is_idle(&self) -> bool {
        self.dispatches.is_empty() && self.takes_parts()
    }

    /// How many items more would start at once. With a single lane, a part that is void keeps it all the same: it is
    /// gone in a moment.
    pub fn free_lanes(&self) -> u32 {
        if !self.takes_parts() {
            0
        } else if self.dispatches.is_empty() {
            self.lanes
        } else if self.lanes == 1 {
            0
        } else {
            self.lanes - self.parts().map(|(_, lanes)| lanes).sum::<u32>()
        }
    }

    /// How many items more of the call, of which it has some, would start at once.
    pub fn free_lanes_for(&self, call: CallId) -> u32 {
        if self.lanes == 1 {
            return 0;
        }
        let mine = || self.parts().filter(|(part, _)| part.chunk.call == call);
        let granted = mine().next().map_or(0, |(part, _)| part.lanes);
        self.free_lanes().min(granted.saturating_sub(mine().map(|(_, lanes)| lanes).sum::<u32>()))
    }

    /// Whether it takes a part that waits behind those that run, and behind `ahead` others, so that it need not wait for
    /// a crossing.
    pub fn lets_wait(&self, ahead: usize) -> bool {
        let waiting = || self.parts().filter(|(_, lanes)| *lanes == 0).count();
        let few_wait = || self.lanes == 1 || waiting() <= ahead;
        self.takes_parts() && self.dispatches.len() <= self.lanes as usize + ahead && few_wait()
    }

    /// Parts of which something may run, each with the lanes that it has at most.
    pub fn parts(&self) -> impl Iterator<Item = (&Dispatch, u32)> {
        let mut free = self.lanes;
        let mut used: Vec<(CallId, u32)> = Vec::new();
        self.dispatches().map(move |part| {
            let lanes = free.min((part.items() - part.finished).max(1));
            if self.lanes == 1 {
                free = 0;
                return (part, lanes);
            }
            let at = used.iter().position(|(call, _)| *call == part.chunk.call).unwrap_or_else(|| {
                used.push((part.chunk.call, 0));
                used.len() - 1
            });
            let lanes = lanes.min(part.lanes.saturating_sub(used[at].1));
            used[at].1 += lanes;
            free -= lanes;
            (part, lanes)
        })
    }

    /// Since when what waits here has waited for one and the same part.
    pub fn blocked_since(&self) -> Option<Micros> {
        let first = self.dispatches().next()?;
        Some(if self.lanes == 1 { first.since } else { self.moved })
    }

    /// How many items of the call it may run at once, if it has some.
    pub fn lanes_of(&self, call: CallId) -> Option<u32> {
        self.dispatches().find(|part| part.chunk.call == call).map(|part| part.lanes)
    }

    /// When it is given up: it does not even come past a part that is void and first, so it hangs outside of any item.
    pub fn stuck_at(&self) -> Option<Micros> {
        let first = self.dispatches.front().filter(|part| part.void)?;
        // With lanes, an item of a part behind it may hold the event loop.
        let runs_nothing = self.lanes == 1 || self.dispatches.iter().all(|part| part.void);
        let still = runs_nothing.then(|| first.since.max(self.moved).saturating_add(MIN_STILL));
        first.grace.map(|grace| first.since.saturating_add(grace)).into_iter().chain(still).min()
    }

    /// Whether it holds a part of the call.
    pub fn runs(&self, call: CallId) -> bool {
        self.dispatches().any(|part| part.chunk.call == call)
    }

    /// Whether it has this item, and the item has not ended.
    pub fn runs_item(&self, chunk: ChunkId, item: u32) -> bool {
        self.dispatches()
            .filter(|part| part.chunk == chunk && (part.start..part.end).contains(&item))
            .any(|part| !part.has_ended(item) && part.cut_off_of(item).is_none_or(|cut_off| !cut_off.charged))
    }

    /// Parts of which something runs, or is to run.
    pub fn unfinished_parts(&mut self) -> impl Iterator<Item = &mut Dispatch> {
        self.dispatches.iter_mut().filter(|part| !part.void && part.has_unfinished())
    }

    /// The item has run for too long: if it does not end until then, the worker is killed.
    pub fn cut_off(&mut self, cell: u8, index: u32, kill_at: Micros) {
        if self.dispatch_mut(cell).is_some_and(|part| part.cut_off(index, kill_at)) {
            self.cut_off += 1;
        }
    }

    /// The item was cut off, and fails of that; `None`: it has already.
    pub fn charge(&mut self, cell: u8, index: u32) -> Result<Option<Cut>, Violation> {
        self.dispatch_mut(cell).ok_or(Violation)?.charge(index)
    }

    pub fn has_cut_off(&self) -> bool {
        self.cut_off > 0
    }

    /// Until when items that were cut off may still run.
    pub fn cut_off_until(&self) -> Option<Micros> {
        if self.cut_off == 0 {
            return None;
        }
        self.dispatches.iter().flat_map(Dispatch::kill_times).min()
    }

    /// Takes a part, of whose call it may run so many items at once, each for so long.
    pub fn push(&mut self, part: Part, lanes: u32, timeout: Option<Micros>, now: Micros) -> Sent {
        if self.lanes > 1 && self.free_lanes() > 0 {
            self.moved = now;
        }
        let mut taken = [false; CELLS];
        let cells = self.dispatches.iter().map(|part| part.cell).chain(self.reserved.iter().map(|(cell, _)| *cell));
        for cell in cells {
            taken[usize::from(cell)] = true;
        }
        let cell = taken.iter().position(|taken| !taken).expect("a worker without a cell takes no parts") as u8;
        let (chunk, attempt, Range { start, end }) = (part.chunk, part.attempt, part.items.clone());
        if !self.calls.contains(&chunk.call) {
            self.calls.push(chunk.call);
        }
        if self.idle_since.take().is_some() {
            self.busy_since = now;
        }
        self.tasks_left = self.tasks_left.map(|left| left.saturating_sub(end - start));
        self.dispatches.push_back(Dispatch::new(cell, part, lanes, timeout, now));
        Sent { cell, chunk, start, end, lanes, attempt }
    }

    /// The item in this cell has ended.
    pub fn finish_item(&mut self, cell: u8, item: u32) -> Result<Ended, Violation> {
        let part = self.dispatch_mut(cell).ok_or(Violation)?;
        let cut_off = part.finish(item)?;
        let (chunk, item, attempt) = (part.chunk, part.start + item, part.attempt);
        self.cut_off -= u32::from(cut_off.is_some());
        self.ended = self.ended.wrapping_add(1);
        Ok(Ended { chunk, item, attempt, first: !std::mem::replace(&mut self.finished_any, true), cut_off })
    }

    /// Where in their chunk consecutive items of a cell are that have ended now; `None`: one of its items was cut off, and
    /// each needs a look of its own.
    pub fn open_items(&self, cell: u8, items: Range<u32>) -> Result<Option<(ChunkId, Range<u32>)>, Violation> {
        let part = self.dispatches.iter().find(|part| part.cell == cell).ok_or(Violation)?;
        Ok(part.open_items(items)?.map(|items| (part.chunk, items)))
    }

    /// These have ended; true where they are the first that the worker has finished.
    pub fn finish_items(&mut self, cell: u8, items: Range<u32>) -> bool {
        self.ended = self.ended.wrapping_add(items.len() as u32);
        if let Some(part) = self.dispatch_mut(cell) {
            part.finish_items(items);
        }
        !std::mem::replace(&mut self.finished_any, true)
    }

    /// The part in this cell is over. Returns `None` where its call has not known of it any more.
    pub fn end_dispatch(&mut self, cell: u8, now: Micros) -> Result<(CallId, Option<Dispatch>), Violation> {
        let at = self.dispatches.iter().position(|part| part.cell == cell).ok_or(Violation)?;
        if self.dispatches[at].has_unfinished() {
            return Err(Violation);
        }
        let part = self.dispatches.remove(at).ok_or(Violation)?;
        self.moved = now;
        if self.dispatches.is_empty() {
            self.idle_since = Some(now);
            self.busy += now.saturating_sub(self.busy_since);
        }
        if part.answers() > 0 {
            self.reserved.push((cell, part.answers()));
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
        let (items, whole) = part.give_back(end);
        if let Some((now, grace)) = cut_off.filter(|_| whole) {
            part.since = now;
            part.grace = Some(grace);
        }
        let (chunk, attempt, alone, lanes) = (part.chunk, part.attempt, part.alone, part.lanes);
        let lanes = if whole && !self.runs(chunk.call) { lanes } else { 0 };
        self.tasks_left = self.tasks_left.map(|left| left + items.len() as u32);
        Some(Returned { chunk, items, attempt, alone, whole, lanes })
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
