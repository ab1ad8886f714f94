//! What a worker says beside outcomes.
//!
//! **Messages** are records of the row ring, in order with everything else, and none is lost. So that a worker which
//! never stops cannot fill its parent, it has a window of its own: it counts the bytes that it has published, the parent
//! those that its event loop has taken ([`layout::MESSAGE_HEAD`]); with [`layout::MESSAGE_WINDOW`] between the two the
//! worker waits. The parent keeps its own count, and a message without room for it is against the protocol. The rings
//! themselves are read on meanwhile: no outcome waits behind messages that nobody takes.
//!
//! **Progress** is a cell that is written over: a store for the worker, whatever the parent does, and the parent looks
//! when it wants to. A cell (words; the last two pairs are doubles):
//!
//! | word | field |
//! | --- | --- |
//! | 0 | how often it was written, times two; odd: it is being written |
//! | 1, 2 | index of the item |
//! | 4, 5 | how much is done |
//! | 6, 7 | of how much |
//!
//! The worker makes word 0 odd, writes the others, and makes it even; a copy with the same even number before and after
//! it is whole. A worker that lies about it can only have said something that it has not said.

use crate::{
    layout,
    parent::INDEX_HIGH,
    segment::Segment,
    sync::{Ordering, fence},
};

/// Bytes of messages between a worker and its parent's event loop, as the parent counts them.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Published and not taken.
    waiting: u64,
    /// Taken so far; wraps.
    taken: u32,
}

impl Window {
    /// Notes a message that was published; false: there was no room.
    pub(crate) fn note(&mut self, bytes: u32) -> bool {
        let has_room = self.waiting < u64::from(layout::MESSAGE_WINDOW);
        self.waiting += u64::from(bytes);
        has_room
    }

    /// Notes bytes that were taken; returns what the worker is to know.
    pub(crate) fn take(&mut self, bytes: u32) -> u32 {
        self.waiting = self.waiting.saturating_sub(bytes.into());
        self.taken = self.taken.wrapping_add(bytes);
        self.taken
    }
}

/// How far an item is, in its worker's words: numbers that can be, but need not be true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// At most 2^53 - 1.
    pub index: u64,
    /// Finite, from 0.
    pub done: f64,
    /// Finite, over 0.
    pub total: f64,
}

/// What was read of the cells before.
#[derive(Debug)]
pub(crate) struct ProgressCells([u32; layout::PROGRESS_CELLS]);

impl Default for ProgressCells {
    fn default() -> Self {
        Self([0; layout::PROGRESS_CELLS])
    }
}

impl ProgressCells {
    /// Hands over what has changed. A cell that is being written, or holds nonsense, waits for the next time.
    pub(crate) fn read(&mut self, segment: &Segment, changed: &mut dyn FnMut(Progress)) {
        for (cell, seen) in self.0.iter_mut().enumerate() {
            let word = |at: usize| segment.word(layout::PROGRESS_CELLS_AT + cell * layout::PROGRESS_STRIDE + at * 4);
            let version = word(0).load(Ordering::Acquire);
            if version == *seen || version % 2 == 1 {
                continue;
            }
            let [index, index_high, done, done_high, total, total_high] =
                [1, 2, 4, 5, 6, 7].map(|at| word(at).load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if word(0).load(Ordering::Relaxed) != version {
                continue;
            }
            *seen = version;
            let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            let (done, total) = (f64::from_bits(wide(done, done_high)), f64::from_bits(wide(total, total_high)));
            let can_be =
                index_high <= INDEX_HIGH && done >= 0.0 && total > 0.0 && done.is_finite() && total.is_finite();
            if can_be {
                changed(Progress { index: wide(index, index_high), done, total });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Capacities;
    use proptest::prelude::*;

    fn segment() -> Segment {
        Segment::create(Capacities { request: 4096, row: 4096, text: 4096 }).unwrap()
    }

    /// What a worker does.
    fn put(segment: &Segment, cell: usize, words: [u32; 8]) {
        for (at, word) in words.into_iter().enumerate() {
            segment
                .word(layout::PROGRESS_CELLS_AT + cell * layout::PROGRESS_STRIDE + at * 4)
                .store(word, Ordering::SeqCst);
        }
    }

    fn said(version: u32, index: u64, done: f64, total: f64) -> [u32; 8] {
        let halves = |wide: u64| [wide as u32, (wide >> 32) as u32];
        let ([low, high], [done, done_high], [total, total_high]) =
            (halves(index), halves(done.to_bits()), halves(total.to_bits()));
        [version, low, high, 0, done, done_high, total, total_high]
    }

    fn read(cells: &mut ProgressCells, segment: &Segment) -> Vec<Progress> {
        let mut all = Vec::new();
        cells.read(segment, &mut |progress| all.push(progress));
        all
    }

    #[test]
    fn progress_is_handed_over_once_and_latest_wins() {
        let (segment, mut cells) = (segment(), ProgressCells::default());
        assert_eq!(read(&mut cells, &segment), []);
        put(&segment, 5, said(2, 5, 0.25, 1.0));
        put(&segment, 5, said(4, 69, 2.0, 8.0));
        put(&segment, 6, said(2, (1 << 53) - 1, 0.0, 1.0));
        let last = Progress { index: (1 << 53) - 1, done: 0.0, total: 1.0 };
        assert_eq!(read(&mut cells, &segment), [Progress { index: 69, done: 2.0, total: 8.0 }, last]);
        assert_eq!(read(&mut cells, &segment), []);
    }

    #[test]
    fn what_is_being_written_waits_and_what_cannot_be_is_passed_over() {
        let (segment, mut cells) = (segment(), ProgressCells::default());
        put(&segment, 0, said(1, 0, 0.5, 1.0));
        assert_eq!(read(&mut cells, &segment), []);
        put(&segment, 0, said(2, 0, 0.5, 1.0));
        assert_eq!(read(&mut cells, &segment).len(), 1);
        let numbers = [(f64::NAN, 1.0), (-1.0, 1.0), (1.0, 0.0), (f64::INFINITY, 1.0), (1.0, f64::INFINITY)];
        for (version, (done, total)) in (4..).step_by(2).zip(numbers) {
            put(&segment, 0, said(version, 0, done, total));
            assert_eq!(read(&mut cells, &segment), []);
        }
        put(&segment, 0, said(100, 1 << 53, 0.5, 1.0));
        assert_eq!(read(&mut cells, &segment), []);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_cells_what_comes_of_it_can_be(
            rounds in proptest::collection::vec(
                proptest::collection::vec((0..layout::PROGRESS_CELLS, any::<[u32; 8]>()), 0..100), 1..4,
            ),
        ) {
            let (segment, mut cells) = (segment(), ProgressCells::default());
            for round in rounds {
                for (cell, words) in &round {
                    put(&segment, *cell, *words);
                }
                let all = read(&mut cells, &segment);
                prop_assert!(all.len() <= round.len().min(layout::PROGRESS_CELLS), "one of each cell that was written");
                for Progress { index, done, total } in all {
                    prop_assert!(index < 1 << 53 && done >= 0.0 && done.is_finite() && total > 0.0 && total.is_finite());
                }
                prop_assert_eq!(read(&mut cells, &segment), []);
            }
        }

        #[test]
        fn no_more_waits_than_a_window_and_one_message(
            steps in proptest::collection::vec((any::<bool>(), 24..=layout::MAX_MESSAGE_BYTES as u32 + 24), 1..200),
        ) {
            let mut window = Window::default();
            let (mut waiting, mut taken) = (0u64, 0u32);
            for (says, bytes) in steps {
                if says {
                    if !window.note(bytes) {
                        prop_assert!(waiting >= layout::MESSAGE_WINDOW.into());
                        break;
                    }
                    waiting += u64::from(bytes);
                } else if waiting > 0 {
                    let some = bytes.min(waiting.min(u32::MAX.into()) as u32);
                    taken = taken.wrapping_add(some);
                    prop_assert_eq!(window.take(some), taken);
                    waiting -= u64::from(some);
                }
                prop_assert!(waiting <= u64::from(layout::MESSAGE_WINDOW) + layout::MAX_MESSAGE_BYTES + 24);
            }
        }
    }
}
