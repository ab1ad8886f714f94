//! Copies of what items bring along beside their rows, and the memory of earlier ones for the next. Items of 64 KiB are
//! copied in 2.7 µs into memory that was in use before, and in 10 to 40 into fresh memory: the system hands that out page
//! by page, and gets it back each time an allocator finds the end of its heap free. Very large items are copied by several
//! threads ([`pieces`]).

use super::{pieces, supervisor};
use std::{
    collections::VecDeque,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bytes that are kept in all: about what is under way of a call with items of 64 KiB on two threads.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// What is larger is copied in pieces, and the memory of the last one alone is kept, and not for long.
const MAX_BUFFER_BYTES: usize = 2 << 20;
/// Nor if it is larger than this.
const MAX_LARGE_BYTES: usize = 128 << 20;
/// The memory of a large buffer goes when it was not used for so long, or up to twice that.
pub const LARGE_KEPT_FOR: Duration = Duration::from_millis(500);
/// How many of the buffers that came last are looked at. Items of one call mostly have about the same size.
const LOOKED_AT: usize = 16;
/// Sizes are rounded up to this, so that more of them fit each other.
const GRAIN: usize = 4 << 10;

/// Buffers that nobody uses, the one that came last at the end.
#[derive(Default)]
pub struct Spare {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A buffer of more than `MAX_BUFFER_BYTES`.
    large: Option<Vec<u8>>,
    /// It came after the supervisor had last looked for it.
    is_new: bool,
    /// The supervisor looks for it.
    is_watched: bool,
}

/// A copy of some bytes.
pub struct Copied {
    bytes: Vec<u8>,
    /// Where its memory goes.
    spare: Arc<Spare>,
}

impl Spare {
    #[must_use]
    pub fn copy(self: &Arc<Self>, bytes: &[u8]) -> Copied {
        let kept = self.take(bytes.len());
        let is_fresh = kept.is_none();
        let mut buffer = kept.unwrap_or_else(|| Vec::with_capacity(bytes.len().next_multiple_of(GRAIN)));
        if bytes.len() > MAX_BUFFER_BYTES {
            pieces::copy(bytes, buffer.spare_capacity_mut(), is_fresh);
            // SAFETY: so many bytes of it were written just now; it was empty before.
            unsafe { buffer.set_len(bytes.len()) };
        } else {
            buffer.extend_from_slice(bytes);
        }
        Copied { bytes: buffer, spare: Arc::clone(self) }
    }

    /// An empty buffer with room for so many bytes, and not for many more: what is under way is counted by its length.
    fn take(&self, length: usize) -> Option<Vec<u8>> {
        let mut kept = self.lock();
        let fits = length..=length + length / 4 + GRAIN;
        if length > MAX_BUFFER_BYTES {
            return kept.large.take_if(|buffer| fits.contains(&buffer.capacity()));
        }
        // The one that came last is the likeliest to be in the processor's cache.
        let looked_at = kept.buffers.iter().enumerate().rev().take(LOOKED_AT);
        let (at, _) = looked_at.into_iter().find(|(_, buffer)| fits.contains(&buffer.capacity()))?;
        let buffer = kept.buffers.remove(at)?;
        kept.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn put(self: &Arc<Self>, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        buffer.clear();
        if bytes > MAX_BUFFER_BYTES {
            return self.put_large(buffer);
        }
        let mut kept = self.lock();
        kept.bytes += bytes;
        kept.buffers.push_back(buffer);
        let mut gone = Vec::new();
        while kept.bytes > MAX_KEPT_BYTES {
            let Some(oldest) = kept.buffers.pop_front() else { break };
            kept.bytes -= oldest.capacity();
            gone.push(oldest);
        }
        // Giving memory back takes time, in which others want the lock.
        drop(kept);
    }

    fn put_large(self: &Arc<Self>, buffer: Vec<u8>) {
        if buffer.capacity() > MAX_LARGE_BYTES {
            return;
        }
        let mut kept = self.lock();
        kept.is_new = true;
        let before = kept.large.replace(buffer);
        let is_watched = std::mem::replace(&mut kept.is_watched, true);
        drop(kept);
        drop(before);
        if !is_watched {
            supervisor::watch_spare(self);
        }
    }

    /// Gives the large buffer back if nobody has used it since the last time. Returns whether there is one to look for again.
    pub fn forget_large(&self) -> bool {
        let mut kept = self.lock();
        let is_new = std::mem::take(&mut kept.is_new);
        let unused = if is_new { None } else { kept.large.take() };
        kept.is_watched = is_new;
        drop(kept);
        drop(unused);
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Copied {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(spare: &Spare) -> (usize, usize) {
        let kept = spare.lock();
        assert_eq!(kept.bytes, kept.buffers.iter().map(Vec::capacity).sum::<usize>());
        (kept.buffers.len(), kept.bytes)
    }

    #[test]
    fn the_next_copy_has_the_memory_of_the_last_one_and_its_own_bytes() {
        let spare = Arc::new(Spare::default());
        let first = spare.copy(&vec![1; 70_000]);
        assert_eq!((&*first, kept(&spare).0), (vec![1; 70_000].as_slice(), 0));
        let memory = first.as_ptr();
        drop(first);
        assert_eq!(kept(&spare).0, 1);
        let second = spare.copy(&vec![2; 65_000]);
        assert_eq!((second.as_ptr(), &*second, kept(&spare)), (memory, vec![2; 65_000].as_slice(), (0, 0)));
    }

    #[test]
    fn a_small_copy_does_not_take_a_large_buffer_nor_a_large_one_a_small() {
        let spare = Arc::new(Spare::default());
        drop(spare.copy(&vec![1; 100_000]));
        let copies = [10_000, 60_000, 110_000].map(|length| spare.copy(&vec![2; length]));
        assert_eq!(copies.map(|copy| copy.len()), [10_000, 60_000, 110_000]);
        assert_eq!(kept(&spare).0, 4);
    }

    #[test]
    fn only_so_much_is_kept_and_the_oldest_goes_first() {
        let spare = Arc::new(Spare::default());
        let copies: Vec<Copied> = (0..20).map(|_| spare.copy(&vec![1; 1 << 20])).collect();
        let last = copies.last().unwrap().as_ptr();
        drop(copies);
        assert_eq!(kept(&spare), (16, MAX_KEPT_BYTES));
        assert_eq!(spare.copy(&vec![2; 1 << 20]).as_ptr(), last);
        // What does not fit any more makes way for what comes now.
        drop((0..300).map(|_| spare.copy(&vec![3; 64 << 10])).collect::<Vec<_>>());
        assert_eq!(kept(&spare), (256, MAX_KEPT_BYTES));
    }

    #[test]
    fn of_large_buffers_the_last_one_is_kept_until_it_is_not_used() {
        let spare = Arc::new(Spare::default());
        let bytes: Vec<u8> = (0..5_000_001u32).map(|n| (n % 251) as u8).collect();
        let copies = [spare.copy(&bytes), spare.copy(&bytes[1..])];
        assert!(*copies[0] == *bytes && *copies[1] == bytes[1..]);
        let memory = copies[1].as_ptr();
        drop(copies);
        assert_eq!(
            (spare.copy(&bytes[..3_000_000]).as_ptr() == memory, kept(&spare)),
            (false, (0, 0)),
            "it is too large"
        );
        drop(spare.copy(&bytes));
        let last = spare.copy(&bytes[7..]);
        assert!(*last == bytes[7..]);
        let memory = last.as_ptr();
        drop(last);
        assert!(spare.forget_large(), "it came just now");
        let again = spare.copy(&bytes[2..]);
        assert!(again.as_ptr() == memory && *again == bytes[2..]);
        drop(again);
        assert!(spare.forget_large(), "it was used meanwhile");
        assert!(!spare.forget_large() && spare.lock().large.is_none());
        assert!(spare.copy(&[]).is_empty());
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let spare = Arc::new(Spare::default());
        drop(spare.copy(&vec![1; MAX_LARGE_BYTES + 1]));
        assert!(spare.lock().large.is_none());
    }
}
