//! What a program has answered, for the engine: outcomes, ends of parts, and their rows.

use super::VALUE;
use crate::{
    engine::{Status, WorkerId},
    place::{Events, ItemSize, Outcome},
};

#[derive(Debug)]
enum Answer {
    Outcome { cell: u8, item: u32, status: Status, at: usize, bytes: usize },
    Done { cell: u8, micros: u32 },
}

#[derive(Debug, Default)]
pub struct Said {
    answers: Vec<Answer>,
    rows: Vec<u8>,
    values: usize,
}

impl Said {
    pub const fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Some of it the program itself has said.
    pub const fn has_values(&self) -> bool {
        self.values > 0
    }

    pub fn has_done(&self, cell: u8) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Answer::Done { cell: done, .. } if *done == cell))
    }

    pub fn value(&mut self, cell: u8, item: u32, answer: &[u8]) {
        self.values += 1;
        let at = self.rows.len();
        self.rows.push(VALUE);
        self.rows.extend_from_slice(answer);
        let bytes = self.rows.len() - at;
        self.answers.push(Answer::Outcome { cell, item, status: Status::Value, at, bytes });
    }

    pub fn failure(&mut self, cell: u8, item: u32, status: Status, row: &[u8]) {
        let at = self.rows.len();
        self.rows.extend_from_slice(row);
        self.answers.push(Answer::Outcome { cell, item, status, at, bytes: row.len() });
    }

    pub fn done(&mut self, cell: u8, micros: u32) {
        self.answers.push(Answer::Done { cell, micros });
    }

    /// No value of it can be told from another item's: they all fail with this row.
    pub fn distrust(&mut self, row: &[u8]) {
        let to = self.rows.len();
        self.rows.extend_from_slice(row);
        for answer in &mut self.answers {
            if let Answer::Outcome { status: status @ Status::Value, at, bytes, .. } = answer {
                (*status, *at, *bytes) = (Status::Error, to, row.len());
            }
        }
        self.values = 0;
    }

    /// Takes all of the other, behind its own.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let base = self.rows.len();
        self.rows.append(&mut other.rows);
        self.values += std::mem::take(&mut other.values);
        self.answers.extend(other.answers.drain(..).map(|answer| match answer {
            Answer::Outcome { cell, item, status, at, bytes } => {
                Answer::Outcome { cell, item, status, at: base + at, bytes }
            }
            done @ Answer::Done { .. } => done,
        }));
    }

    /// Hands it over.
    pub fn drain(&mut self, worker: WorkerId, events: &mut dyn Events) {
        for answer in self.answers.drain(..) {
            match answer {
                Answer::Outcome { cell, item, status, at, bytes } => {
                    let size = ItemSize { row: bytes as u32, text: 0 };
                    let row = &self.rows[at..at + bytes];
                    // What is false is not ours: we say only what was asked.
                    events.outcome(worker, Outcome { cell, item, status, size }, &mut |rows, _| {
                        rows.extend_from_slice(row);
                    });
                }
                Answer::Done { cell, micros } => {
                    events.chunk_done(worker, cell, micros);
                }
            }
        }
        self.rows.clear();
        self.rows.shrink_to(1 << 20);
        self.values = 0;
    }

    #[cfg(test)]
    pub fn statuses(&self) -> Vec<Status> {
        let status = |answer: &Answer| match answer {
            Answer::Outcome { status, .. } => Some(*status),
            Answer::Done { .. } => None,
        };
        self.answers.iter().filter_map(status).collect()
    }
}
