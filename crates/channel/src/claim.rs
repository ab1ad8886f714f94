//! The cell through which the items of a chunk are claimed, and claimed back.
//!
//! One `u32`: the chunk's end in the upper half, the next unclaimed item in the lower one. The worker claims by adding
//! 1 and looking at what was there before: below the end, the item is its own; otherwise the chunk is over. (It may
//! therefore count a little past the end: once for each mapper that runs in it.) The parent takes unclaimed items back
//! by lowering the end, with compare-and-swap. So each item is either claimed by the worker or taken back, never both.
//!
//! A hostile worker can write anything here. All it can reach is which of the items *that it was given* run again.

use crate::sync::{AtomicU32, Ordering};

/// The most items that a chunk can have: the counter must not run over while mappers count past the end.
pub const MAX_ITEMS: u32 = 32_768;

/// Opens a cell for a chunk of `items`.
pub fn open(cell: &AtomicU32, items: u32) {
    assert!(items <= MAX_ITEMS, "a chunk of {items} items does not fit a claim cell");
    cell.store(items << 16, Ordering::SeqCst);
}

/// Claims the next item, as the worker does it (there in JavaScript).
pub fn claim(cell: &AtomicU32) -> Option<u32> {
    let (next, end) = split(cell.fetch_add(1, Ordering::SeqCst));
    (next < end).then_some(next)
}

/// How many items are claimed, of at most `items`.
pub fn claimed(cell: &AtomicU32, items: u32) -> u32 {
    let (next, end) = split(cell.load(Ordering::SeqCst));
    next.min(end).min(items)
}

/// Takes up to `most` unclaimed items back, from the end; returns the chunk's new end.
///
/// `items` is the end that we know of: a worker cannot raise it. One that never stops writing to the cell keeps all.
pub fn take_back(cell: &AtomicU32, items: u32, most: u32) -> u32 {
    let mut seen = cell.load(Ordering::SeqCst);
    // An honest worker can come in between once for each item, and once past the end for each mapper.
    for _ in 0..2 * MAX_ITEMS {
        let (next, end) = split(seen);
        let end = end.min(items);
        let keep = next.min(end).max(end.saturating_sub(most));
        match cell.compare_exchange(seen, keep << 16 | next, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return keep,
            Err(now) => seen = now,
        }
    }
    items
}

fn split(word: u32) -> (u32, u32) {
    (word & 0xffff, word >> 16)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn items_are_claimed_once_each_and_then_no_more() {
        let cell = AtomicU32::new(0);
        open(&cell, 3);
        assert_eq!([claim(&cell), claim(&cell), claim(&cell), claim(&cell)], [Some(0), Some(1), Some(2), None]);
        assert_eq!(claimed(&cell, 3), 3);
    }

    #[test]
    fn unclaimed_items_come_back_from_the_end() {
        let cell = AtomicU32::new(0);
        open(&cell, 10);
        claim(&cell);
        assert_eq!(take_back(&cell, 10, 4), 6);
        assert_eq!(take_back(&cell, 6, 100), 1);
        assert_eq!(claim(&cell), None);
    }

    #[test]
    fn a_worker_cannot_make_a_chunk_longer() {
        let cell = AtomicU32::new(u32::MAX);
        assert_eq!(claimed(&cell, 7), 7);
        assert_eq!(take_back(&cell, 7, 100), 7);
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_a_cell_no_item_is_there_that_was_not_given(
            word: u32, items in 0..=MAX_ITEMS, most: u32,
        ) {
            let cell = AtomicU32::new(word);
            let claims = claimed(&cell, items);
            proptest::prop_assert!(claims <= items);
            let end = take_back(&cell, items, most);
            proptest::prop_assert!(claims <= end && end <= items, "what is claimed is not taken back");
            proptest::prop_assert!(claimed(&cell, items) <= end);
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::{sync::Arc, thread};

    #[test]
    fn an_item_is_claimed_or_taken_back_never_both() {
        loom::model(|| {
            let cell = Arc::new(AtomicU32::new(0));
            open(&cell, 3);
            let worker = thread::spawn({
                let cell = Arc::clone(&cell);
                move || std::iter::from_fn(|| claim(&cell)).count() as u32
            });
            let end = take_back(&cell, 3, 2);
            let claimed = worker.join().unwrap();
            assert_eq!(claimed, end, "the worker runs exactly what was not taken back");
        });
    }
}
