//! The parent's end of a channel to one worker, whatever carries the bytes. Shared memory does ([`crate::parent`]); where
//! there is no memfd and no eventfd, sockets can stand beside it.

use crate::{parent::Record, ring::Corrupt, talk::Progress};
use std::os::fd::BorrowedFd;

/// What a place needs of a channel. Nothing here blocks; everything that comes out of it was checked.
pub trait Link: Send {
    /// What to wait for: it becomes readable, anew each time, when the worker has something for a parent that sleeps.
    fn bell(&self) -> BorrowedFd<'_>;
    /// Writes as much of `bytes` into the request ring as there is room for; returns how much. Where not all fitted, the
    /// worker rings us when there is room again.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Corrupt>;
    /// The next record, if a whole one is there. Take it with [`Link::take`] before asking again.
    fn next_record(&mut self) -> Result<Option<Record>, Corrupt>;
    /// Appends the row and the text of the record that [`Link::next_record`] returned, and moves past it.
    fn take(&mut self, record: &Record, rows: &mut Vec<u8>, text: &mut Vec<u8>);
    /// Gives the room of everything taken so far back to the worker.
    fn release(&mut self);
    /// Says that we are about to sleep; returns whether there is something after all (then we do not).
    fn sleep(&mut self) -> bool;
    /// Opens a claim cell for a chunk of `items`. Send the chunk after it.
    fn open_claims(&self, cell: u8, items: u32);
    /// How many of the `items` of the chunk in `cell` are claimed.
    #[must_use]
    fn claimed(&self, cell: u8, items: u32) -> u32;
    /// Takes up to `most` unclaimed items of the chunk in `cell` back from its end; returns the new end.
    #[must_use]
    fn take_back(&self, cell: u8, items: u32, most: u32) -> u32;
    /// Tells the worker what somebody listens to: [`crate::layout::MESSAGES`] and [`crate::layout::PROGRESS`].
    fn listen(&mut self, to: u32);
    /// Notes a message of the worker; false: it had no room for one, and broke the protocol.
    #[must_use]
    fn note_message(&mut self, record: &Record) -> bool;
    /// Gives the room of messages back to the worker: these bytes of theirs, headers included, are handed over.
    fn messages_taken(&mut self, bytes: u32);
    /// Hands over the progress that has changed since the last time.
    fn progress(&mut self, changed: &mut dyn FnMut(Progress));
    /// Lets the worker poll for up to `micros` before it sleeps: where a core is free, that saves waking it.
    fn allow_spinning(&self, micros: u32);
}
