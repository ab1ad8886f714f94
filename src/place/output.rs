//! What worker processes write to stdout and stderr: passed on to our own stderr, handed to JavaScript, or dropped.

use super::{Pool, supervisor};
use crate::engine::WorkerId;
use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};

/// Most bytes of one part.
const PART_BYTES: usize = 32 << 10;
/// Parts of one stream that JavaScript has not taken yet. With so many the worker waits, as soon as the pipe is full too.
const MAX_WAITING_PARTS: usize = 8;
/// How much of a worker's stderr is kept for its error.
const TAIL_BYTES: usize = 8 << 10;
/// Most that is read after the exit: more than a pipe can hold, and an end for a grandchild that goes on writing.
const MAX_LINGER_BYTES: usize = 2 << 20;

/// What is to become of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    #[default]
    Inherit,
    Ignore,
    Pipe,
}

/// As `lib/batch-reader.js` counts them: the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout = 1,
    Stderr = 2,
}

/// A part of a stream, on its way to JavaScript.
#[derive(Debug)]
pub struct Written {
    pub worker: WorkerId,
    pub stream: Stream,
    pub bytes: Vec<u8>,
    /// Given back when JavaScript has taken it; what was read after the worker's end has none.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Where the supervisor puts parts for their place to find.
pub type Outputs = Arc<Mutex<Vec<Written>>>;

/// Where a stream goes.
#[derive(Debug)]
pub enum Sink {
    /// To our own stderr; the queue of whoever writes there.
    Ours(mpsc::Sender<Vec<u8>>),
    Dropped,
    JavaScript {
        worker: WorkerId,
        stream: Stream,
        outputs: Outputs,
        pool: Weak<Pool>,
        room: Arc<Semaphore>,
    },
}

/// The pool that wants to hear of what a worker writes.
#[derive(Clone, Debug)]
pub struct Listener {
    pub worker: WorkerId,
    pub outputs: Outputs,
    pub pool: Weak<Pool>,
}

impl Listener {
    #[must_use]
    pub fn sink(&self, stream: Stream) -> Sink {
        Sink::JavaScript {
            worker: self.worker,
            stream,
            outputs: Arc::clone(&self.outputs),
            pool: Weak::clone(&self.pool),
            room: Arc::new(Semaphore::new(MAX_WAITING_PARTS)),
        }
    }
}

/// The end of what a process has written, for errors: whoever reads it adds to it, and the pool looks at it meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn add(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(bytes);
        if tail.len() > TAIL_BYTES {
            let too_much = tail.len() - TAIL_BYTES;
            tail.drain(..too_much);
        }
    }

    #[must_use]
    pub fn text(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it was cut it may begin inside a character.
        let inside = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        String::from_utf8_lossy(&tail[inside..]).into_owned()
    }
}

/// The reading end of a worker's stdout or stderr.
#[derive(Debug)]
pub struct Pipe {
    end: Option<AsyncFd<File>>,
    sink: Sink,
    /// Where the end of it is kept, if it is.
    tail: Option<Tail>,
    /// Read and not passed on: kept here, because `read_some` may be dropped while it waits to pass it on.
    unsent: Vec<u8>,
}

impl Pipe {
    /// `end`: none where nothing is to be read.
    #[must_use]
    pub fn new(end: Option<OwnedFd>, sink: Sink, tail: Option<Tail>) -> Self {
        let end = end.and_then(|end| nonblocking(end, Interest::READABLE).ok());
        Self { end, sink, tail, unsent: Vec::new() }
    }

    /// Reads once, and passes it on: waits where nobody takes it, and then the worker waits too. False at the end.
    /// Without a pipe it never comes back: the process's end does.
    pub async fn read_some(&mut self) -> bool {
        if self.end.is_none() {
            return std::future::pending().await;
        }
        if !self.read().await {
            self.end = None;
            return false;
        }
        match &self.sink {
            Sink::Dropped => self.unsent.clear(),
            Sink::Ours(forward) => match forward.reserve().await {
                Ok(permit) => permit.send(std::mem::take(&mut self.unsent)),
                Err(_) => self.unsent.clear(),
            },
            Sink::JavaScript { room, .. } => {
                // It is never closed.
                let room = Arc::clone(room).acquire_owned().await.ok();
                self.hand_over(room);
            }
        }
        true
    }

    /// Reads what is left after the process's end.
    pub async fn finish(&mut self, deadline: Instant) {
        let mut left = MAX_LINGER_BYTES;
        while self.end.is_some() && left > 0 {
            let more = if matches!(self.sink, Sink::JavaScript { .. }) {
                // There is no worker any more that could wait. What is here is not much, and would be lost.
                let more = tokio::time::timeout_at(deadline, self.read()).await;
                left = left.saturating_sub(self.unsent.len());
                self.hand_over(None);
                more
            } else {
                tokio::time::timeout_at(deadline, self.read_some()).await
            };
            if more != Ok(true) {
                return;
            }
        }
    }

    /// Reads once, unless something is still to be passed on; false at the end.
    async fn read(&mut self) -> bool {
        let Some(end) = &mut self.end else { return false };
        while self.unsent.is_empty() {
            let Ok(mut guard) = end.readable_mut().await else { return false };
            self.unsent.resize(PART_BYTES, 0);
            let read = guard.try_io(|end| end.get_mut().read(&mut self.unsent));
            self.unsent.truncate(if let Ok(Ok(count)) = &read { *count } else { 0 });
            match read {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Ok(0) | Err(_)) => return false,
                Ok(Ok(_)) => {
                    if let Some(tail) = &self.tail {
                        tail.add(&self.unsent);
                    }
                }
                Err(_would_block) => {}
            }
        }
        true
    }

    fn hand_over(&mut self, room: Option<OwnedSemaphorePermit>) {
        let Sink::JavaScript { worker, stream, outputs, pool, .. } = &self.sink else { return };
        if self.unsent.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.unsent);
        // Where the pool has gone nobody wants it.
        let Some(pool) = pool.upgrade() else { return };
        let written = Written { worker: *worker, stream: *stream, bytes, room };
        outputs.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        supervisor::tell(&pool);
    }
}

/// A pipe's end, to be waited for.
pub(super) fn nonblocking(end: OwnedFd, interest: Interest) -> io::Result<AsyncFd<File>> {
    // SAFETY: plain system calls on our own descriptor.
    let flags = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as above.
    if flags < 0 || unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a File always gives the same descriptor, and keeps it open as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(File::from(end), interest) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end_and_begins_with_a_whole_character() {
        let tail = Tail::default();
        assert_eq!(tail.text(), "");
        tail.add(b"why");
        assert_eq!(tail.text(), "why");
        for _ in 0..TAIL_BYTES {
            tail.add("€".as_bytes());
        }
        let text = tail.text();
        assert!(text.chars().all(|character| character == '€'), "{text}");
        assert_eq!(text.len(), TAIL_BYTES / 3 * 3);
    }
}
