//! One single-producer single-consumer ring of bytes.
//!
//! The producer copies bytes in, then publishes its tail (release); the consumer reads the tail (acquire), copies
//! bytes out, then publishes its head (release), which gives the room back. Positions count bytes and wrap at 2^32;
//! the capacity is a power of two. Either side takes the *other* side's position as hostile: a distance larger than
//! the capacity is [`Corrupt`], never an out-of-bounds copy.

use crate::sync::{AtomicU32, Ordering};

/// The other side published a position that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The bytes of a ring. Implemented by shared memory, and by loom's tracked cells in the model.
pub trait RingMemory {
    /// Number of bytes; a power of two.
    fn capacity(&self) -> u32;
    /// Copies `bytes` to `at..at + bytes.len()`, which lies inside the capacity.
    fn store(&self, at: u32, bytes: &[u8]);
    /// Copies `at..at + into.len()`, which lies inside the capacity, out.
    fn load(&self, at: u32, into: &mut [u8]);
    /// Appends `at..at + count`, which lies inside the capacity, to `into`. Once per outcome, so worth an own way.
    fn append(&self, at: u32, count: usize, into: &mut Vec<u8>) {
        let start = into.len();
        into.resize(start + count, 0);
        self.load(at, &mut into[start..]);
    }
}

/// Writes as much of `bytes` as there is room for; returns how much.
pub fn write(memory: &impl RingMemory, head: &AtomicU32, tail: &AtomicU32, bytes: &[u8]) -> Result<usize, Corrupt> {
    let capacity = memory.capacity();
    // Ours: nobody else writes it, so what we read is what we wrote. (In shared memory a hostile worker can change it;
    // that garbles what that worker is sent, and the copies below stay in bounds whatever it is.)
    let at = tail.load(Ordering::Relaxed);
    let used = at.wrapping_sub(head.load(Ordering::Acquire));
    let room = capacity.checked_sub(used).ok_or(Corrupt)?;
    let count = bytes.len().min(room as usize);
    let offset = at & (capacity - 1);
    let first = count.min((capacity - offset) as usize);
    memory.store(offset, &bytes[..first]);
    memory.store(0, &bytes[first..count]);
    tail.store(at.wrapping_add(count as u32), Ordering::Release);
    Ok(count)
}

/// Appends up to `most` of the bytes that are there to `into`; returns how many.
pub fn read(
    memory: &impl RingMemory,
    head: &AtomicU32,
    tail: &AtomicU32,
    into: &mut Vec<u8>,
    most: usize,
) -> Result<usize, Corrupt> {
    let at = head.load(Ordering::Relaxed);
    let there = tail.load(Ordering::Acquire).wrapping_sub(at);
    if there > memory.capacity() {
        return Err(Corrupt);
    }
    let count = most.min(there as usize);
    copy(memory, at, count, into);
    head.store(at.wrapping_add(count as u32), Ordering::Release);
    Ok(count)
}

/// Appends `count` (at most the capacity) bytes from position `at` on to `into`, around the end if need be.
pub fn copy(memory: &impl RingMemory, at: u32, count: usize, into: &mut Vec<u8>) {
    let capacity = memory.capacity();
    let offset = at & (capacity - 1);
    let first = count.min((capacity - offset) as usize);
    memory.append(offset, first, into);
    if first < count {
        memory.append(0, count - first, into);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::RefCell;

    struct Heap(RefCell<Vec<u8>>);

    impl RingMemory for Heap {
        fn capacity(&self) -> u32 {
            self.0.borrow().len() as u32
        }
        fn store(&self, at: u32, bytes: &[u8]) {
            self.0.borrow_mut()[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        }
        fn load(&self, at: u32, into: &mut [u8]) {
            into.copy_from_slice(&self.0.borrow()[at as usize..at as usize + into.len()]);
        }
    }

    #[test]
    fn bytes_pass_in_order_across_every_wrap() {
        let memory = Heap(RefCell::new(vec![0; 16]));
        // Starting just under 2^32 makes the positions themselves wrap too.
        let (head, tail) = (AtomicU32::new(u32::MAX - 20), AtomicU32::new(u32::MAX - 20));
        let sent: Vec<u8> = (0..=255).cycle().take(4000).collect();
        let (mut from, mut got) = (0, Vec::new());
        while got.len() < sent.len() {
            let piece = &sent[from..(from + 1 + from % 23).min(sent.len())];
            from += write(&memory, &head, &tail, piece).unwrap();
            read(&memory, &head, &tail, &mut got, 1 + from % 19).unwrap();
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn a_full_ring_takes_nothing_and_an_empty_one_gives_nothing() {
        let memory = Heap(RefCell::new(vec![0; 16]));
        let (head, tail) = (AtomicU32::new(0), AtomicU32::new(0));
        assert_eq!(write(&memory, &head, &tail, &[7; 20]), Ok(16));
        assert_eq!(write(&memory, &head, &tail, &[8; 4]), Ok(0));
        let mut got = Vec::new();
        assert_eq!(read(&memory, &head, &tail, &mut got, 99), Ok(16));
        assert_eq!(read(&memory, &head, &tail, &mut got, 99), Ok(0));
        assert_eq!(got, [7; 16]);
    }

    #[test]
    fn positions_that_cannot_be_are_refused() {
        let memory = Heap(RefCell::new(vec![0; 16]));
        let (head, tail) = (AtomicU32::new(5), AtomicU32::new(0));
        assert_eq!(write(&memory, &head, &tail, &[1]), Err(Corrupt));
        let (head, tail) = (AtomicU32::new(0), AtomicU32::new(17));
        assert_eq!(read(&memory, &head, &tail, &mut Vec::new(), 9), Err(Corrupt));
    }
}
