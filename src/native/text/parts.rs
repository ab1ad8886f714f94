//! Parts of a text, as a list of strings that may not become larger than it may be.

use crate::native::{Failure, Output, Value};
use regex_automata::util::captures::Captures;
use std::ops::Range;

/// What a part counts for, besides its bytes: no less than it takes on its way to JavaScript, where it is a string of
/// its own. index.d.ts and docs/native.md say it.
pub const COST: u64 = 128;

pub struct Parts<'t> {
    text: &'t str,
    values: Vec<Output>,
    limit: u64,
    left: u64,
}

impl<'t> Parts<'t> {
    pub fn new(text: &'t str, limit: u64) -> Self {
        Self { text, values: Vec::new(), limit, left: limit }
    }

    pub fn push(&mut self, range: Range<usize>) -> Result<(), Failure> {
        self.take(range.len())?;
        self.values.push(self.text[range].to_owned().into());
        Ok(())
    }

    /// The groups from this one on; those that took no part are undefined.
    pub fn push_groups(&mut self, captures: &Captures, from: usize) -> Result<(), Failure> {
        for group in captures.iter().skip(from) {
            if let Some(group) = group {
                self.push(group.range())?;
            } else {
                self.take(0)?;
                self.values.push(Value::Undefined);
            }
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        let left = self.left.checked_sub(COST + bytes as u64);
        self.left = left.ok_or(Failure::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

impl From<Parts<'_>> for Value<'_> {
    fn from(parts: Parts<'_>) -> Self {
        Self::List(parts.values)
    }
}
