//! Memory that JavaScript has given away for an item. It stays where it is, in V8's heap of array buffers, and is kept
//! alive from there by whoever made it known here; operations read it in place, and one may change it.

use std::{
    any::Any,
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Keeps memory alive. It lets go of it when it is dropped.
pub trait Keeper: Any + Send + Sync {
    /// Whether the memory may be used from here on, until as many calls of `leave`. `false`: it is gone, or is going.
    fn enter(&self) -> bool;
    fn leave(&self);
}

/// See the module's documentation.
pub struct Transferred {
    start: NonNull<u8>,
    bytes: usize,
    /// How many read it now, or [`TAKEN`].
    users: AtomicU32,
    may_change: bool,
    keeper: Box<dyn Keeper>,
}

/// It belongs to the one who changes it, or did: nobody reads it any more.
const TAKEN: u32 = u32::MAX;

// SAFETY: the memory belongs to no thread (see `new`), and who uses it is counted: many that read, or one that changes.
unsafe impl Send for Transferred {}
// SAFETY: as above.
unsafe impl Sync for Transferred {}

impl Transferred {
    /// `may_change`: the item is not needed a second time.
    ///
    /// # Safety
    ///
    /// Whenever `keeper.enter()` has said yes, and until `leave` was called as often, these bytes are initialised, can be
    /// read and written, and nobody else does so.
    #[must_use]
    pub unsafe fn new(start: NonNull<u8>, bytes: usize, may_change: bool, keeper: Box<dyn Keeper>) -> Self {
        Self { start, bytes, users: AtomicU32::new(0), may_change, keeper }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    #[must_use]
    pub fn may_change(&self) -> bool {
        self.may_change
    }

    #[must_use]
    pub fn keeper(&self) -> &dyn Any {
        self.keeper.as_ref()
    }

    /// The bytes, as long as nobody changes or has changed them, and they are there.
    #[must_use]
    pub fn read(&self) -> Option<Reading<'_>> {
        let more = |users: u32| users.checked_add(1).filter(|more| *more < TAKEN);
        self.users.fetch_update(Acquire, Relaxed, more).ok()?;
        if self.keeper.enter() {
            return Some(Reading { memory: self });
        }
        self.users.fetch_sub(1, Release);
        None
    }

    /// The bytes for the one who changes them. From then on nobody reads them here.
    #[must_use]
    pub fn change(&self) -> Option<Changing<'_>> {
        if !self.may_change {
            return None;
        }
        self.users.compare_exchange(0, TAKEN, Acquire, Relaxed).ok()?;
        self.keeper.enter().then(|| Changing { memory: self })
    }
}

impl fmt::Debug for Transferred {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Transferred({} bytes)", self.bytes)
    }
}

impl PartialEq for Transferred {
    /// The same memory: what is in it may be in use.
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.bytes == other.bytes
    }
}

/// Somebody reads.
pub struct Reading<'a> {
    memory: &'a Transferred,
}

impl Deref for Reading<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the keeper was entered and is not left before this is dropped; `users` keeps out whoever would change it.
        unsafe { slice::from_raw_parts(self.memory.start.as_ptr(), self.memory.bytes) }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.memory.users.fetch_sub(1, Release);
        self.memory.keeper.leave();
    }
}

/// Somebody changes it.
pub struct Changing<'a> {
    memory: &'a Transferred,
}

impl Deref for Changing<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the keeper was entered and is not left before this is dropped; `users` keeps everybody else out.
        unsafe { slice::from_raw_parts(self.memory.start.as_ptr(), self.memory.bytes) }
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and there is one of this.
        unsafe { slice::from_raw_parts_mut(self.memory.start.as_ptr(), self.memory.bytes) }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.memory.keeper.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32},
    };

    #[derive(Default)]
    struct Counted {
        inside: AtomicI32,
        gone: AtomicBool,
    }

    impl Keeper for Arc<Counted> {
        fn enter(&self) -> bool {
            let there = !self.gone.load(Relaxed);
            self.inside.fetch_add(i32::from(there), Relaxed);
            there
        }

        fn leave(&self) {
            self.inside.fetch_sub(1, Relaxed);
        }
    }

    fn memory(bytes: &mut [u8], may_change: bool) -> (Transferred, Arc<Counted>) {
        let counted = Arc::<Counted>::default();
        let start = NonNull::new(bytes.as_mut_ptr()).unwrap();
        // SAFETY: the bytes outlive what is made of them in each test, which does not use them meanwhile.
        (unsafe { Transferred::new(start, bytes.len(), may_change, Box::new(Arc::clone(&counted))) }, counted)
    }

    #[test]
    fn many_read_or_one_changes_and_then_nobody() {
        let mut bytes = *b"abc";
        let (given, counted) = memory(&mut bytes, true);
        let (one, other) = (given.read().unwrap(), given.read().unwrap());
        assert_eq!((&*one, &*other, counted.inside.load(Relaxed)), (&b"abc"[..], &b"abc"[..], 2));
        assert!(given.change().is_none(), "somebody reads");
        drop((one, other));
        let mut changing = given.change().unwrap();
        changing.reverse();
        assert!(given.read().is_none() && given.change().is_none());
        drop(changing);
        assert!(given.read().is_none(), "it is another one's");
        assert_eq!(counted.inside.load(Relaxed), 0);
        assert_eq!(&bytes, b"cba");
    }

    #[test]
    fn what_is_gone_or_needed_again_is_left_alone() {
        let mut bytes = *b"abc";
        let (given, counted) = memory(&mut bytes, false);
        assert!(given.change().is_none(), "it may be needed again");
        assert!(given.read().is_some());
        counted.gone.store(true, Relaxed);
        assert!(given.read().is_none() && given.read().is_none());
        assert_eq!(counted.inside.load(Relaxed), 0);
        let (given, counted) = memory(&mut bytes, true);
        counted.gone.store(true, Relaxed);
        assert!(given.change().is_none());
    }
}
