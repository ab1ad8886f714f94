//! The flag that says "ring my doorbell".
//!
//! A side that finds nothing to do announces that it sleeps, looks once more, and only then waits for its doorbell.
//! The other side publishes, then looks at the flag; whoever swaps it to 0 rings. Both the flag and the positions are
//! read and written sequentially consistent, so at least one of the two sees the other: no wake-up is lost. A ring costs
//! a system call, and is sent only to a side that has announced itself.

use crate::sync::{AtomicU32, Ordering};

/// Says that this side is about to sleep. Look for work once more after it.
pub fn announce(flag: &AtomicU32) {
    flag.store(1, Ordering::SeqCst);
}

/// Takes the announcement back: this side found work after all, or was woken.
pub fn withdraw(flag: &AtomicU32) {
    flag.store(0, Ordering::SeqCst);
}

/// Whether the other side must be rung. Call after publishing.
pub fn must_ring(flag: &AtomicU32) -> bool {
    // The plain load keeps the flag's cache line shared while the other side is awake.
    flag.load(Ordering::SeqCst) == 1 && flag.swap(0, Ordering::SeqCst) == 1
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::ring::{self, RingMemory};
    use loom::{cell::UnsafeCell, sync::Arc, thread};

    /// Bytes whose every access loom checks: a read that is not ordered after its write fails the model.
    struct Tracked(Vec<UnsafeCell<u8>>);

    impl RingMemory for Tracked {
        fn capacity(&self) -> u32 {
            self.0.len() as u32
        }
        fn store(&self, at: u32, bytes: &[u8]) {
            for (cell, byte) in self.0[at as usize..].iter().zip(bytes) {
                // SAFETY: loom fails the model if another thread accesses the cell at the same time.
                cell.with_mut(|pointer| unsafe { *pointer = *byte });
            }
        }
        fn load(&self, at: u32, into: &mut [u8]) {
            for (cell, byte) in self.0[at as usize..].iter().zip(into) {
                // SAFETY: as above.
                *byte = cell.with(|pointer| unsafe { *pointer });
            }
        }
    }

    struct Shared {
        head: AtomicU32,
        tail: AtomicU32,
        sleeps: AtomicU32,
        bell: AtomicU32,
        memory: Tracked,
    }

    #[test]
    fn every_byte_arrives_and_no_wake_up_is_lost() {
        loom::model(|| {
            let shared = Arc::new(Shared {
                head: AtomicU32::new(0),
                tail: AtomicU32::new(0),
                sleeps: AtomicU32::new(0),
                bell: AtomicU32::new(0),
                memory: Tracked((0..2).map(|_| UnsafeCell::new(0)).collect()),
            });
            let producer = thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let mut sent = 0;
                    for byte in 1..=3u8 {
                        while ring::write(&shared.memory, &shared.head, &shared.tail, &[byte]).unwrap() == 0 {
                            thread::yield_now();
                        }
                        sent += 1;
                        if must_ring(&shared.sleeps) {
                            shared.bell.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    sent
                }
            });
            let mut got = Vec::new();
            while got.len() < 3 {
                if ring::read(&shared.memory, &shared.head, &shared.tail, &mut got, 2).unwrap() > 0 {
                    continue;
                }
                announce(&shared.sleeps);
                if ring::read(&shared.memory, &shared.head, &shared.tail, &mut got, 2).unwrap() > 0 {
                    withdraw(&shared.sleeps);
                    continue;
                }
                // The wait: if the flag was cleared by the other side, the bell has rung or is about to. Were a wake-up
                // lost, this loop would never end and loom would report it.
                while shared.bell.swap(0, Ordering::SeqCst) == 0 && shared.sleeps.load(Ordering::SeqCst) == 1 {
                    thread::yield_now();
                }
            }
            producer.join().unwrap();
            assert_eq!(got, [1, 2, 3]);
        });
    }
}
