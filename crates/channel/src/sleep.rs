//! The flag that says "ring my doorbell".
//!
//! A side that finds nothing to do announces that it sleeps, looks once more, and only then waits for its doorbell.
//! The other side publishes, then looks at the flag; whoever swaps it to 0 rings. Between the two steps of either side
//! stands a full fence, so at least one of the two sees the other: no wake-up is lost. (Ordering the positions alone,
//! however strongly, is not enough: the second look may then be taken before the flag is out. In JavaScript, where every
//! atomic operation is sequentially consistent, the two steps need nothing between them.) A ring costs a system call,
//! and is sent only to a side that has announced itself.
//!
//! All writes to a flag are swaps. Stores would do, but loom takes a store and a swap that nothing else orders as
//! possible in either order, even where the swap has read what the store replaces, and then sees deadlocks that cannot be.

use crate::sync::{AtomicU32, Ordering, fence};

/// Says that this side is about to sleep. Look for work once more after it.
pub fn announce(flag: &AtomicU32) {
    flag.swap(1, Ordering::AcqRel);
    fence(Ordering::SeqCst);
}

/// Takes the announcement back: this side found work after all, or was woken.
pub fn withdraw(flag: &AtomicU32) {
    flag.swap(0, Ordering::AcqRel);
}

/// Whether the other side must be rung. Call after publishing.
pub fn must_ring(flag: &AtomicU32) -> bool {
    fence(Ordering::SeqCst);
    // The plain load keeps the flag's cache line shared while the other side is awake.
    flag.load(Ordering::Relaxed) == 1 && flag.swap(0, Ordering::AcqRel) == 1
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::ring::{self, RingMemory};
    use loom::{
        cell::UnsafeCell,
        sync::{Arc, Condvar, Mutex},
        thread,
    };

    /// Keeps ringing until it is answered, as an eventfd does. A wait that nobody ends is a deadlock, which loom reports:
    /// that is a lost wake-up.
    struct Bell(Mutex<bool>, Condvar);

    impl Bell {
        fn new() -> Self {
            Self(Mutex::new(false), Condvar::new())
        }
        fn ring(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_one();
        }
        fn wait(&self) {
            let mut rings = self.0.lock().unwrap();
            while !*rings {
                rings = self.1.wait(rings).unwrap();
            }
            *rings = false;
        }
    }

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

    /// What two sides of one ring share.
    struct Shared {
        head: AtomicU32,
        tail: AtomicU32,
        memory: Tracked,
        consumer_sleeps: AtomicU32,
        consumer_bell: Bell,
        producer_wants_room: AtomicU32,
        producer_bell: Bell,
    }

    fn shared(capacity: usize) -> Arc<Shared> {
        Arc::new(Shared {
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            memory: Tracked((0..capacity).map(|_| UnsafeCell::new(0)).collect()),
            consumer_sleeps: AtomicU32::new(0),
            consumer_bell: Bell::new(),
            producer_wants_room: AtomicU32::new(0),
            producer_bell: Bell::new(),
        })
    }

    impl Shared {
        fn ring_consumer(&self) {
            if must_ring(&self.consumer_sleeps) {
                self.consumer_bell.ring();
            }
        }
    }

    /// As `ParentEnd::send` with `Worker::flush` after each bell.
    fn send(shared: &Shared, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut sent = ring::write(&shared.memory, &shared.head, &shared.tail, bytes).unwrap();
            if sent < bytes.len() {
                announce(&shared.producer_wants_room);
                sent += ring::write(&shared.memory, &shared.head, &shared.tail, &bytes[sent..]).unwrap();
            }
            shared.ring_consumer();
            bytes = &bytes[sent..];
            if !bytes.is_empty() {
                shared.producer_bell.wait();
            }
        }
    }

    /// As `WorkerEnd::receive`.
    fn receive(shared: &Shared, count: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let look = |got: &mut Vec<u8>| {
            let most = count - got.len();
            let more = ring::read(&shared.memory, &shared.head, &shared.tail, got, most).unwrap() > 0;
            if more && must_ring(&shared.producer_wants_room) {
                shared.producer_bell.ring();
            }
            more
        };
        while got.len() < count {
            if look(&mut got) {
                continue;
            }
            announce(&shared.consumer_sleeps);
            if look(&mut got) {
                withdraw(&shared.consumer_sleeps);
            } else {
                shared.consumer_bell.wait();
            }
        }
        got
    }

    #[test]
    fn requests_arrive_and_no_wake_up_is_lost() {
        model(|| {
            let shared = shared(4);
            let parent = thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    send(&shared, &[1]);
                    send(&shared, &[2]);
                }
            });
            assert_eq!(receive(&shared, 2), [1, 2]);
            parent.join().unwrap();
        });
    }

    #[test]
    fn a_request_larger_than_the_ring_arrives() {
        model(|| {
            let shared = shared(1);
            let parent = thread::spawn({
                let shared = Arc::clone(&shared);
                move || send(&shared, &[1, 2])
            });
            assert_eq!(receive(&shared, 2), [1, 2]);
            parent.join().unwrap();
        });
    }

    #[test]
    fn a_worker_that_waits_for_room_goes_on() {
        model(|| {
            let shared = shared(1);
            // As `lib/worker-port.js` and `WorkerEnd::wait_for_room`: publish, and wait for room where there is none.
            let worker = thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    for byte in [1, 2] {
                        while ring::write(&shared.memory, &shared.head, &shared.tail, &[byte]).unwrap() == 0 {
                            let seen = shared.tail.load(Ordering::Relaxed).wrapping_sub(1);
                            announce(&shared.producer_wants_room);
                            shared.ring_consumer();
                            if shared.head.load(Ordering::Acquire) == seen {
                                shared.producer_bell.wait();
                            } else {
                                withdraw(&shared.producer_wants_room);
                            }
                        }
                    }
                    shared.ring_consumer();
                }
            });
            // As `Pool::pump`: hear (with a position of our own), release, sleep.
            let (mut got, mut head) = (Vec::new(), 0);
            while got.len() < 2 {
                while shared.tail.load(Ordering::Acquire) != head {
                    ring::copy(&shared.memory, head, 1, &mut got);
                    head += 1;
                }
                if shared.head.load(Ordering::Relaxed) != head {
                    shared.head.store(head, Ordering::Release);
                    if must_ring(&shared.producer_wants_room) {
                        shared.producer_bell.ring();
                    }
                }
                if got.len() == 2 {
                    break;
                }
                announce(&shared.consumer_sleeps);
                if shared.tail.load(Ordering::Acquire) == head {
                    shared.consumer_bell.wait();
                } else {
                    withdraw(&shared.consumer_sleeps);
                }
            }
            worker.join().unwrap();
            assert_eq!(got, [1, 2]);
        });
    }

    /// All interleavings with up to this many switches away from a thread that could go on.
    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(5);
        builder.check(run);
    }
}
