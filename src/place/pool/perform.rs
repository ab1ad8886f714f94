//! What the engine asks for, done: by the place, or in the batch for JavaScript.

use super::Core;
use crate::{
    engine::{Action, ChunkId, Failure, Sent, Status, WorkerId},
    place::{
        ItemSize, Outcome, Part,
        batch::Head,
        heard::{exit_row, failure_head},
        store::Chunk,
    },
};
use std::ops::Range;

impl Core {
    /// Delivers outcomes.
    fn deliver(&mut self, id: ChunkId, items: Range<u32>) {
        let Some(chunk) = self.store.chunk_mut(id) else { return };
        for item in items {
            if let Some(value) = chunk.take_large(item) {
                if let Some((head, ..)) = entry(chunk, item) {
                    self.batch.large_outcome(id.call, head, value);
                }
            } else if let Some((head, row, text)) = entry(chunk, item) {
                self.batch.outcome(id.call, head, row, text);
            }
        }
    }

    /// Keeps an outcome that no worker has written.
    fn note(&mut self, (chunk, item): (ChunkId, u32), worker: WorkerId, status: Status, row: &[u8]) {
        let size = ItemSize { row: row.len() as u32, text: 0 };
        let outcome = Outcome { cell: 0, item, status, size };
        self.store.put((chunk, item), worker, outcome, |rows, _| rows.extend_from_slice(row));
    }

    /// How a worker ended, as a row.
    fn exit_row(&self, worker: WorkerId, attempt: u32) -> Vec<u8> {
        self.exits.get(&worker).map(|exit| exit_row(exit, attempt)).unwrap_or_default()
    }

    /// What a worker has written to stderr so far, as a row: JSON, or nothing where there is no process.
    fn written_row(&self, worker: WorkerId) -> Vec<u8> {
        // It may have ended just now.
        let written = self.place.stderr(worker).or_else(|| self.exits.get(&worker).map(|exit| exit.stderr.clone()));
        written.and_then(|text| serde_json::to_vec(&text).ok()).unwrap_or_default()
    }

    /// Does what the engine asks for.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker } => {
                self.alive.insert(worker);
                self.place.spawn(worker);
            }
            Action::Dispatch { worker, sent: Sent { cell, chunk, start, end, lanes, attempt } } => {
                let Some(items) = self.store.items(chunk) else { return };
                let (sizes, rows, text) = items.part(start, end);
                let (first_index, flags) = (items.first_index + u64::from(start), items.flags);
                let (call, large) = (chunk.call, items.large(start, end));
                let part = Part { call, cell, first_index, lanes, attempt, flags, sizes, rows, text, large, start };
                self.place.dispatch(worker, part);
            }
            Action::TakeBack { worker, cell, items, most } => {
                if let Some(end) = self.place.take_back(worker, cell, items, most) {
                    let now = self.now();
                    self.engine.handle_taken_back(worker, cell, end, now);
                }
            }
            Action::Abort { worker, call } => self.place.abort(worker, call),
            Action::AbortItem { worker, cell, item } => self.place.abort_item(worker, cell, item),
            Action::Forget { worker, call } => self.place.forget(worker, call),
            Action::Kill { worker } => self.place.kill(worker),
            Action::Retire { worker, why } => {
                self.place.retire(worker);
                self.batch.recycled(worker, why);
            }
            Action::GiveUp { worker } => {
                self.late.insert(worker);
                self.place.kill(worker);
            }
            Action::Lost { worker, chunk, item, attempt } => {
                let row = self.exit_row(worker, attempt);
                self.note((chunk, item), worker, Status::Lost, &row);
            }
            Action::TimedOut { worker, chunk, item } => {
                let row = self.written_row(worker);
                self.note((chunk, item), worker, Status::TimedOut, &row);
            }
            // JavaScript has its error.
            Action::Refused { chunk, item } => self.note((chunk, item), NOBODY, Status::Rejected, &[]),
            Action::Again { worker, chunk, item, attempt, status, asks } => {
                let row = match status {
                    Status::Lost => self.exit_row(worker, attempt),
                    _ => self.written_row(worker),
                };
                if let Some(index) = self.store.chunk(chunk).map(|chunk| chunk.index(item)) {
                    let head = Head { index, status, worker, size: ItemSize { row: row.len() as u32, text: 0 } };
                    self.batch.again(chunk, item, attempt, asks, head, &row, &[]);
                }
            }
            Action::Tried { chunk: id, item, attempt } => {
                if let Some(chunk) = self.store.chunk(id) {
                    self.batch.tried(id.call, chunk.index(item), attempt);
                }
            }
            Action::Deliver { chunk, start, end } => self.deliver(chunk, start..end),
            Action::Stopping { chunk: id, item } => {
                if let Some((head, row, text)) = self.store.chunk(id).and_then(|chunk| entry(chunk, item)) {
                    self.batch.stopping(id.call, head, row, text);
                }
            }
            Action::Failed { call, failure: Failure::Start(worker) } => {
                let row = self.exit_row(worker, 0);
                self.batch.failed(call, failure_head(worker, &row), &row);
            }
            Action::Release { chunk } => self.store.release(chunk),
            Action::Finished { call } => {
                self.next_index.remove(&call);
                self.timed.remove(&call);
                self.place.finished(call);
                self.batch.finished(call);
            }
            Action::Closed => self.batch.closed(),
        }
    }
}

/// In the place of a worker, where an outcome comes from none.
const NOBODY: WorkerId = WorkerId::MAX;

fn entry(chunk: &Chunk, item: u32) -> Option<(Head, &[u8], &[u8])> {
    let (entry, row, text) = chunk.entry(item)?;
    let head = Head { index: chunk.index(item), status: entry.status, worker: entry.worker, size: entry.size };
    Some((head, row, text))
}
