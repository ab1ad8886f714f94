//! From outcomes to the consumer: what is still wanted, what comes next, and the error that stops the call.

use super::{Call, Item, Stop};
use crate::engine::{Action, ChunkId, Status};
use std::{collections::VecDeque, ops::Range};

impl Call {
    /// The item is there, and has not ended.
    pub fn is_open(&self, chunk: ChunkId, item: u32) -> bool {
        let items = self.chunks.get(&chunk.sequence).map(|chunk| &chunk.items);
        items.and_then(|items| items.get(item as usize)).is_some_and(|item| !item.ended)
    }

    /// Notes how an item ended; false where that is not wanted.
    pub fn finish_item(&mut self, chunk: ChunkId, item: u32, status: Status, bytes: u32) -> bool {
        if self.cancelled || self.stop.is_some_and(|stop| self.is_past(stop, chunk, item, status)) {
            return false;
        }
        let id = chunk;
        let Some(chunk) = self.chunks.get_mut(&id.sequence) else { return false };
        let Some(state) = chunk.items.get_mut(item as usize).filter(|item| !item.ended) else { return false };
        self.window.change(u64::from(state.bytes), u64::from(bytes));
        *state = Item { ended: true, bytes };
        self.tries.forget(id, item);
        // One that was cut off still runs; we hear of its end.
        if status != Status::TimedOut {
            self.end_key(id, item);
        }
        true
    }

    /// Whether values of these items are noted together: all are wanted, and none needs a look of its own.
    pub fn takes_values(&self, id: ChunkId, items: &Range<u32>) -> bool {
        let chunk = self.chunks.get(&id.sequence);
        let items = chunk.and_then(|chunk| chunk.items.get(items.start as usize..items.end as usize));
        self.starts_items()
            && self.keyed.is_none()
            && self.tries.is_empty()
            && items.is_some_and(|items| items.iter().all(|item| !item.ended))
    }

    /// Notes values of consecutive items, which it [takes](Self::takes_values).
    pub fn finish_values(&mut self, id: ChunkId, start: u32, sizes: &[u32]) {
        let Some(chunk) = self.chunks.get_mut(&id.sequence) else { return };
        let mut before = 0;
        for (item, &bytes) in chunk.items[start as usize..].iter_mut().zip(sizes) {
            before += u64::from(item.bytes);
            *item = Item { ended: true, bytes };
        }
        self.window.change(before, sizes.iter().map(|&bytes| u64::from(bytes)).sum());
    }

    /// Whether an outcome comes too late for the error that stops the call. What is before that error is still wanted,
    /// unless it is an error too: then it is what the raised signal made of a running item, and the first one is thrown.
    fn is_past(&self, stop: Stop, chunk: ChunkId, item: u32, status: Status) -> bool {
        let place = |chunk: ChunkId, item: u32| (chunk.sequence.wrapping_sub(self.cursor), item);
        !self.config.ordered || stop.delivered || status.is_error() || place(chunk, item) > place(stop.chunk, stop.item)
    }

    /// This error stops the call.
    pub fn stop_at(&mut self, chunk: ChunkId, item: u32) {
        self.stop = Some(Stop { chunk, item, delivered: false });
        self.drop_queue();
    }

    /// The error that stops the call waits for items before it.
    pub fn stop_waits(&self) -> bool {
        self.stop.is_some_and(|stop| !stop.delivered)
    }

    /// Delivers items that have ended, whatever their place.
    pub fn deliver(&mut self, id: ChunkId, items: Range<u32>, actions: &mut VecDeque<Action>) {
        let Some(chunk) = self.chunks.get_mut(&id.sequence) else { return };
        let Range { start, end } = items;
        chunk.delivered += end - start;
        let ended = &chunk.items[start as usize..end as usize];
        self.window.deliver(end - start, ended.iter().map(|item| u64::from(item.bytes)).sum());
        let whole = chunk.is_whole();
        actions.push_back(Action::Deliver { chunk: id, start, end });
        if let Some(stop) = self.stop.as_mut().filter(|stop| stop.chunk == id && (start..end).contains(&stop.item)) {
            stop.delivered = true;
        }
        if whole {
            self.release(id, actions);
        }
    }

    /// Delivers all that is next in order. `runs` tells whether a worker has an item that has not ended.
    pub fn deliver_in_order(&mut self, actions: &mut VecDeque<Action>, runs: impl Fn(ChunkId, u32) -> bool) {
        while let Some(chunk) = self.chunks.get(&self.cursor) {
            let id = ChunkId { call: self.id, sequence: self.cursor };
            let item = chunk.delivered;
            let ready = chunk.items[item as usize..].iter().take_while(|item| item.ended).count();
            if ready > 0 {
                let mut end = item + ready as u32;
                // Nothing comes after the error that stops the call.
                if let Some(stop) = self.stop.filter(|stop| stop.chunk == id && (item..end).contains(&stop.item)) {
                    end = stop.item + 1;
                }
                self.cursor = self.cursor.wrapping_add(u32::from(end as usize == chunk.items.len()));
                self.deliver(id, item..end, actions);
            } else {
                // An item that will have no outcome: the error that stops the call takes its place.
                match self.stop {
                    Some(stop) if !stop.delivered && !runs(id, item) => {
                        self.deliver(stop.chunk, stop.item..stop.item + 1, actions);
                    }
                    _ => {}
                }
                return;
            }
            if self.stop.is_some_and(|stop| stop.delivered) {
                return;
            }
        }
    }
}
