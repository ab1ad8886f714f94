//! Work on one thread: `runSync()` gives none of it to the pool, whose threads may all be busy for long, and for which the
//! event loop would wait.

use super::PART;
use rayon::{iter::IndexedParallelIterator, prelude::*, slice::Chunks};
use std::cell::Cell;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs something of which this thread does everything. What it gives is the same.
pub fn alone<T>(run: impl FnOnce() -> T) -> T {
    /// Also when it panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }

    let _before = Before(ALONE.replace(true));
    run()
}

pub fn is_alone() -> bool {
    ALONE.get()
}

/// The parts of an array that threads do.
pub fn parts<T: Sync>(elements: &[T]) -> rayon::iter::MinLen<Chunks<'_, T>> {
    elements.par_chunks(PART).with_min_len(if is_alone() { usize::MAX } else { 1 })
}

/// Elements that a thread does at least, where it does one after the other.
pub fn least() -> usize {
    if is_alone() { usize::MAX } else { PART }
}
