//! Millrace, the Rust side.
//!
//! JavaScript encodes items into chunks and submits them; the engine decides which worker gets which chunk; a place
//! carries it there and brings outcomes back; JavaScript is woken once for everything that is ready.
//!
//! ```text
//!  lib/pool-call.js ─submit─▶ binding::pool ─▶ place::Pool ─▶ engine::Engine
//!        ▲                        │ collect        │ perform        │ poll_action
//!        │                        ▼                ▼                ▼
//!   one buffer ◀── place::batch ◀─ place::store ◀─ place::{process, command, native}
//!                                                  │ shared memory (crates/channel)
//!                                                  ▼
//!                                   lib/worker-main.js, with binding::worker, in a process of its own
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`engine`] | which chunk goes where, when, and again: a pure state machine |
//! | [`place`] | what carries a chunk out; the lock around engine, place and bytes; the supervisor thread |
//! | [`native`] | operations on Rust threads |
//! | [`source`] | sources that are read on a thread: files, names of files |
//! | [`binding`] | everything that Node sees; the only module that knows napi |
//! | [`error`] | the list of errors and codes |

pub mod binding;
pub mod engine;
pub mod error;
pub mod native;
pub mod place;
pub mod source;
