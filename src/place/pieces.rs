//! Copies of very large items, for which the event loop has to wait: piece by piece, by its own thread and by those of
//! native operations that have nothing else to do. Pieces are claimed, so that nobody waits for a thread that is busy: it
//! finds nothing left when it comes.

use std::{
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Bytes of a piece, and of one of the system's large pages: pieces end where these do, so that threads ask for one each.
pub const PIECE: usize = 2 << 20;
/// Threads that help. The processor's memory has no use for more.
const MOST_HELPERS: usize = 3;
/// A large page of memory that the machine has takes a tenth of it. One that a virtual machine has to get from its host
/// first takes more, and so would those after it: they are asked for in small pages, of which more are at hand.
const SLOW_PIECE: Duration = Duration::from_millis(2);
const SMALL_PAGE: usize = 4 << 10;

/// Copies `from` to the start of `into`, which is as long at least. `is_fresh`: the system has not handed out all of that
/// memory yet.
pub fn copy(from: &[u8], into: &mut [MaybeUninit<u8>], is_fresh: bool) {
    let into = &mut into[..from.len()];
    if is_fresh {
        advise(into, libc::MADV_HUGEPAGE);
    }
    let copying = Arc::new(Copying::new(from, into, is_fresh));
    let helpers = rayon::current_num_threads().saturating_sub(1).min(MOST_HELPERS).min(copying.pieces - 1);
    for _ in 0..helpers {
        let copying = Arc::clone(&copying);
        rayon::spawn(move || copying.help());
    }
    copying.help();
    while copying.left.load(Acquire) > 0 {
        thread::park();
    }
}

/// One copy. The memory is there until `left` is zero, so whoever has claimed a piece may use it until it says that it is
/// done with that.
struct Copying {
    from: *const u8,
    into: *mut u8,
    bytes: usize,
    /// Bytes of the first piece: the others begin with a large page.
    first: usize,
    pieces: usize,
    /// The next one to claim.
    next: AtomicUsize,
    /// Those that are not copied yet.
    left: AtomicUsize,
    /// The rest is to come in small pages.
    is_slow: AtomicBool,
    is_fresh: bool,
    waits: Thread,
}

// SAFETY: each byte is read, and written, by the one thread that has claimed its piece.
unsafe impl Send for Copying {}
// SAFETY: as above.
unsafe impl Sync for Copying {}

impl Copying {
    fn new(from: &[u8], into: &mut [MaybeUninit<u8>], is_fresh: bool) -> Self {
        let first = match into.as_ptr().align_offset(PIECE) {
            0 => PIECE,
            first => first,
        };
        let pieces = 1 + from.len().saturating_sub(first).div_ceil(PIECE);
        Self {
            from: from.as_ptr(),
            into: into.as_mut_ptr().cast(),
            bytes: from.len(),
            first,
            pieces,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(pieces),
            is_slow: AtomicBool::new(false),
            is_fresh,
            waits: thread::current(),
        }
    }

    /// Copies pieces as long as there are some.
    fn help(&self) {
        loop {
            let piece = self.next.fetch_add(1, Relaxed);
            if piece >= self.pieces {
                return;
            }
            self.copy(piece);
            if self.left.fetch_sub(1, Release) == 1 {
                self.waits.unpark();
            }
        }
    }

    /// Copies a piece, which this thread has claimed.
    fn copy(&self, piece: usize) {
        let end = (self.first + piece * PIECE).min(self.bytes);
        let start = if piece == 0 { 0 } else { self.first + (piece - 1) * PIECE };
        // SAFETY: `start` and `end` lie inside of both, which `copy()` has borrowed, and does not return before this piece
        // is done; pieces do not overlap, and this is the only thread that has this one.
        let (from, into) = unsafe {
            let into = self.into.add(start).cast::<MaybeUninit<u8>>();
            (
                std::slice::from_raw_parts(self.from.add(start).cast::<MaybeUninit<u8>>(), end - start),
                std::slice::from_raw_parts_mut(into, end - start),
            )
        };
        if self.is_fresh && self.is_slow.load(Relaxed) {
            advise(into, libc::MADV_NOHUGEPAGE);
        }
        let began = Instant::now();
        into.copy_from_slice(from);
        if began.elapsed() > SLOW_PIECE {
            self.is_slow.store(true, Relaxed);
        }
    }
}

/// Tells the system in which pages memory is wanted.
fn advise(memory: &mut [MaybeUninit<u8>], advice: libc::c_int) {
    let before = memory.as_ptr().align_offset(SMALL_PAGE).min(memory.len());
    let pages = &mut memory[before..];
    // SAFETY: the pages lie inside of our memory, and stay as they are: it is a hint, and whether it is taken makes no
    // difference for what is read there. (The last one may have other things behind them: neither for those.)
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), advice) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// No two pieces are the same.
    fn numbered(length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn copied(from: &[u8], is_fresh: bool) -> Vec<u8> {
        let mut into = Vec::with_capacity(from.len() + 3);
        copy(from, into.spare_capacity_mut(), is_fresh);
        // SAFETY: so many bytes were copied to its start.
        unsafe { into.set_len(from.len()) };
        into
    }

    #[test]
    fn copies_of_any_size_are_whole() {
        let bytes = numbered(3 * PIECE + 70);
        for pieces in 0..=3 {
            for more in [0, 1, 17, 4095, 4096, PIECE / 2, PIECE - 1] {
                let length = (pieces * PIECE + more).min(bytes.len());
                assert!(copied(&bytes[..length], more % 2 == 0) == bytes[..length], "{length} bytes");
            }
        }
    }

    #[test]
    fn pieces_join_wherever_the_memory_begins() {
        let bytes = numbered(2 * PIECE + 5);
        let mut memory = Vec::<u8>::with_capacity(4 * PIECE);
        for at in [0, 1, 16, 4096, PIECE - 1, PIECE] {
            let start = memory.as_ptr().align_offset(PIECE) + at;
            let into = &mut memory.spare_capacity_mut()[start..];
            into[bytes.len()].write(77);
            copy(&bytes, into, false);
            // SAFETY: these were written just now.
            let found = unsafe { std::slice::from_raw_parts(into.as_ptr().cast::<u8>(), bytes.len() + 1) };
            assert!(found[..bytes.len()] == bytes && found[bytes.len()] == 77, "{at}");
        }
    }

    #[test]
    fn what_comes_slowly_is_whole_too() {
        let bytes = numbered(3 * PIECE);
        let mut into = Vec::<u8>::with_capacity(bytes.len());
        let copying = Copying::new(&bytes, into.spare_capacity_mut(), true);
        copying.is_slow.store(true, Relaxed);
        copying.help();
        assert_eq!(copying.left.load(Relaxed), 0);
        // SAFETY: all pieces were copied.
        unsafe { into.set_len(bytes.len()) };
        assert!(into == bytes);
    }

    #[test]
    fn many_copies_at_once() {
        let bytes = numbered(2 * PIECE + 999);
        thread::scope(|scope| {
            for at in 0..6 {
                let bytes = &bytes[at..];
                scope.spawn(move || (0..5).for_each(|_| assert!(copied(bytes, true) == bytes)));
            }
        });
    }

    #[test]
    fn threads_that_are_busy_delay_no_copy() {
        let threads = rayon::current_num_threads();
        let (busy, free) = (Arc::new(Barrier::new(threads + 1)), Arc::new(Barrier::new(threads + 1)));
        for _ in 0..threads {
            let (busy, free) = (Arc::clone(&busy), Arc::clone(&free));
            rayon::spawn(move || {
                busy.wait();
                free.wait();
            });
        }
        busy.wait();
        let bytes = numbered(3 * PIECE);
        assert!(copied(&bytes, true) == bytes, "by this thread alone");
        free.wait();
    }

    #[test]
    fn who_comes_late_finds_nothing() {
        let bytes = numbered(3 * PIECE);
        let mut into = Vec::<u8>::with_capacity(bytes.len());
        let copying = Arc::new(Copying::new(&bytes, into.spare_capacity_mut(), true));
        copying.help();
        let memory = into.as_mut_ptr();
        // SAFETY: all pieces were copied.
        unsafe { into.set_len(bytes.len()) };
        into.fill(7);
        let late = Arc::clone(&copying);
        thread::spawn(move || late.help()).join().unwrap();
        assert!(into.as_mut_ptr() == memory && into.iter().all(|&byte| byte == 7));
    }
}
