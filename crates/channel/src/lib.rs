//! Bytes between a parent process and one worker process.
//!
//! ```text
//!   parent (Rust)                     segment (sealed memfd)                  worker (JavaScript + Rust)
//!   ParentEnd::send     ──▶  request ring: a stream of bytes            ──▶   WorkerEnd::receive
//!   ParentEnd::records  ◀──  row ring: records   text ring: characters  ◀──   JavaScript writes in place
//!   ParentEnd::progress ◀──  cells of progress: latest wins           ◀──   JavaScript writes in place
//!   ParentEnd::claims   ◀─▶  claim cells: next and end of each chunk    ◀─▶   JavaScript claims in place
//!   eventfd  ◀───────── doorbells, rung only for a side that sleeps ─────────▶  eventfd
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`layout`] | where everything lies in the segment; JavaScript in the worker mirrors it |
//! | [`ring`] | positions and copies of one single-producer single-consumer byte ring |
//! | [`claim`] | the counter through which items of a chunk are claimed, and claimed back |
//! | [`sleep`] | the flag that says "ring me": no wake-up is lost, none is sent for nothing |
//! | [`segment`] | the shared memory itself |
//! | [`talk`] | what a worker says beside outcomes: messages, which must be taken, and progress, which may be missed |
//! | [`doorbell`] | an eventfd |
//! | [`link`] | what a place needs of a channel, whatever carries it |
//! | [`parent`] | the parent's end; everything that it reads is hostile until checked |
//! | [`worker`] | the worker's end |
//!
//! Nothing here knows what the bytes mean. The crate has no async runtime, so that loom can build it.

pub mod claim;
pub mod layout;
pub mod ring;
pub mod sleep;

#[cfg(all(target_os = "linux", not(loom)))]
pub mod doorbell;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod link;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod parent;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod segment;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod talk;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod worker;

pub(crate) mod sync {
    //! The atomics of the protocol: loom's while it explores interleavings, the real ones otherwise.
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
    #[cfg(not(loom))]
    pub use std::sync::atomic::{AtomicU32, Ordering, fence};
}
