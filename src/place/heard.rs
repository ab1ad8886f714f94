//! What a pool hears of its place: each event goes to the engine, and its bytes to the store or to JavaScript.

use super::{
    Events, Exit, ItemSize, Notice, Outcome, Values,
    batch::{Batch, Head},
    output::Written,
    store::Store,
};
use crate::{
    engine::{Engine, Kept, Micros, Status, WorkerId},
    native::Output,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// The pool's ears while it drains the place.
pub(super) struct Heard<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) store: &'a mut Store,
    pub(super) batch: &'a mut Batch,
    pub(super) exits: &'a mut HashMap<WorkerId, Arc<Exit>>,
    pub(super) alive: &'a mut BTreeSet<WorkerId>,
    pub(super) late: &'a mut BTreeSet<WorkerId>,
    pub(super) now: Micros,
    /// Room for sizes.
    pub(super) totals: &'a mut Vec<u32>,
}

impl Events for Heard<'_> {
    fn ready(&mut self, worker: WorkerId, pid: Option<u32>) -> bool {
        let ready = self.engine.handle_ready(worker, self.now).is_ok();
        if let Some(pid) = pid.filter(|_| ready) {
            self.batch.ready(worker, pid);
        }
        ready
    }

    fn outcome(
        &mut self,
        worker: WorkerId,
        outcome: Outcome,
        take: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>),
    ) -> bool {
        let Outcome { cell, item, status, size } = outcome;
        match self.engine.handle_outcome(worker, cell, item, status, size.total(), self.now) {
            Ok(Kept::Outcome { chunk, item }) => self.store.put((chunk, item), worker, outcome, take),
            Ok(Kept::Try { chunk, item, attempt, asks }) => {
                if let Some(index) = self.store.chunk(chunk).map(|chunk| chunk.index(item)) {
                    let (mut row, mut text) = (Vec::new(), Vec::new());
                    take(&mut row, &mut text);
                    let head = Head { index, status, worker, size };
                    self.batch.again(chunk, item, attempt, asks, head, &row, &text);
                }
            }
            Ok(Kept::Nothing) => {}
            Err(_) => return false,
        }
        true
    }

    fn values(&mut self, worker: WorkerId, values: &Values) -> bool {
        let &Values { cell, first, ref sizes, .. } = values;
        self.totals.clear();
        self.totals.extend(sizes.iter().map(|size| size.total()));
        match self.engine.handle_values(worker, cell, first, self.totals) {
            Ok(Some((chunk, start))) => self.store.put_values(chunk, start, worker, values),
            Ok(None) => return self.one_by_one(worker, values),
            Err(_) => return false,
        }
        true
    }

    fn large_outcome(&mut self, worker: WorkerId, outcome: Outcome, value: Output) -> bool {
        let Outcome { cell, item, status, size } = outcome;
        match self.engine.handle_outcome(worker, cell, item, status, size.total(), self.now) {
            Ok(Kept::Outcome { chunk, item }) => self.store.put_large((chunk, item), worker, outcome, value),
            // A value is not tried again.
            Ok(Kept::Try { .. } | Kept::Nothing) => {}
            Err(_) => return false,
        }
        true
    }

    fn abort_heard(&mut self, worker: WorkerId, cell: u8, item: u32) -> bool {
        self.engine.handle_abort_heard(worker, cell, item, self.now).is_ok()
    }

    fn chunk_done(&mut self, worker: WorkerId, cell: u8, micros: u32) -> bool {
        self.engine.handle_chunk_done(worker, cell, micros, self.now).is_ok()
    }

    fn define(&mut self, worker: WorkerId, id: u32, definition: &[u8]) -> bool {
        self.batch.define(worker, id, definition);
        true
    }

    fn message(
        &mut self,
        worker: WorkerId,
        index: u64,
        size: ItemSize,
        take: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>),
    ) {
        self.batch.message(worker, index, size, take);
    }

    fn written(&mut self, written: Written) {
        self.batch.written(written);
    }

    fn notice(&mut self, worker: WorkerId, notice: Notice, text: &str) {
        self.batch.notice(worker, notice, text);
    }

    fn process_started(&mut self, worker: WorkerId, pid: u32) {
        self.batch.ready(worker, pid);
    }

    fn process_ended(&mut self, exit: &Exit) {
        let row = exit_row(exit, 0);
        self.batch.exited(failure_head(exit.worker, &row), &row);
    }

    fn exit(&mut self, mut exit: Exit, claimed: &dyn Fn(u8, u32) -> u32) {
        let worker = exit.worker;
        if self.late.remove(&worker) && exit.starting {
            exit.violation = Some("it took longer to start than its pool's startTimeout".to_owned());
        }
        self.alive.remove(&worker);
        if exit.pid.is_some() {
            self.process_ended(&exit);
        }
        if exit.starting && exit.says_why() {
            self.engine.handle_start_error(worker);
        }
        let row = exit.starting.then(|| exit_row(&exit, 0));
        self.exits.insert(worker, Arc::new(exit));
        self.store.worker_exited(worker);
        let hopeless = self.engine.handle_exit(worker, claimed, self.now);
        if let Some(row) = row.filter(|_| hopeless) {
            self.batch.start_failed(failure_head(worker, &row), &row);
        }
    }
}

impl Heard<'_> {
    fn one_by_one(&mut self, worker: WorkerId, values: &Values) -> bool {
        let (mut rows, mut text) = (&values.rows[..], &values.text[..]);
        (values.first..).zip(&values.sizes).all(|(item, &size)| {
            let (row, later_rows) = rows.split_at(size.row as usize);
            let (characters, later_text) = text.split_at(size.text as usize);
            (rows, text) = (later_rows, later_text);
            let outcome = Outcome { cell: values.cell, item, status: Status::Value, size };
            self.outcome(worker, outcome, &mut |rows, text| {
                rows.extend_from_slice(row);
                text.extend_from_slice(characters);
            })
        })
    }
}

pub(super) fn failure_head(worker: WorkerId, row: &[u8]) -> Head {
    Head { index: 0, status: Status::Lost, worker, size: ItemSize { row: row.len() as u32, text: 0 } }
}

/// An exit as the row of an entry; `attempt` at the item that it is charged to, 0 where there is none.
pub(super) fn exit_row(exit: &Exit, attempt: u32) -> Vec<u8> {
    let json = serde_json::to_vec(&ExitOf { exit, attempt }).unwrap_or_default();
    let mut row = (json.len() as u32).to_le_bytes().to_vec();
    row.extend_from_slice(&json);
    row.extend_from_slice(exit.cause.as_deref().unwrap_or_default());
    row
}

#[derive(serde::Serialize)]
struct ExitOf<'a> {
    #[serde(flatten)]
    exit: &'a Exit,
    attempt: u32,
}
