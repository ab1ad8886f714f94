//! Stdin and stdout of a program, on the supervisor thread. It never waits for a program: what cannot be written stays in
//! the [`Talk`], and what a program writes is taken as it comes.

use super::{Line, conversation::Conversation, lock};
use crate::place::{Exit, output::nonblocking, spawn::kill_group};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

/// What becomes of the stdin and stdout of a program that is to be started.
pub enum Speaker {
    /// Items go in, answers come out.
    Line(Arc<Line>),
    /// It runs for one item, and its stdout is the answer.
    Whole(Arc<Mutex<Whole>>),
}

/// The same of one that runs.
#[derive(Debug)]
pub enum Speech {
    Line(Box<Conversation>),
    Whole(Listening),
}

/// Takes what was read; false: that is enough.
pub type Take = Box<dyn FnMut(&[u8]) -> bool>;

/// All that a program has written.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Vec<u8>,
    /// The most that it may be.
    pub most: usize,
    pub is_too_much: bool,
}

impl Speaker {
    /// Whether it has a stdin.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self, Self::Line(_))
    }

    pub fn open(self, stdin: Option<OwnedFd>, stdout: Option<OwnedFd>, pid: u32) -> io::Result<Speech> {
        let stdin = stdin.map(|end| nonblocking(end, Interest::WRITABLE)).transpose()?;
        let stdout = stdout.map(|end| nonblocking(end, Interest::READABLE)).transpose()?;
        Ok(match self {
            Self::Line(line) => Speech::Line(Box::new(Conversation::new(line, stdin, stdout, pid))),
            Self::Whole(whole) => Speech::Whole(Listening { whole, stdout, pid, buffer: vec![0; PART_BYTES] }),
        })
    }
}

impl Speech {
    /// Does the next thing that there is to do. May be dropped while it waits.
    pub async fn go_on(&mut self) {
        match self {
            Self::Line(conversation) => conversation.go_on().await,
            Self::Whole(listening) => listening.go_on().await,
        }
    }

    /// Reads what is left after the process's end.
    pub async fn finish(&mut self, deadline: Instant) {
        let (stdout, mut take): (_, Take) = match self {
            Self::Line(conversation) => conversation.listening(),
            Self::Whole(listening) => {
                let whole = Arc::clone(&listening.whole);
                (&mut listening.stdout, Box::new(move |bytes| lock(&whole).take(bytes)))
            }
        };
        let mut buffer = vec![0; PART_BYTES];
        let mut left = MAX_LINGER_BYTES;
        // Where the end of what it wrote does not come, something that it has started holds its stdout open.
        while let Some(end) = stdout.as_mut().filter(|_| left > 0) {
            match tokio::time::timeout_at(deadline, read(end, &mut buffer)).await {
                Ok(Some(count)) if count > 0 => {
                    left = left.saturating_sub(count);
                    if !take(&buffer[..count]) {
                        return;
                    }
                }
                Ok(None) => {}
                _ => return,
            }
        }
    }

    /// The process has ended like this.
    pub fn end(self, exit: &mut Exit) {
        if let Self::Line(conversation) = self {
            conversation.end(exit);
        }
    }
}

impl Whole {
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, is_too_much: false }
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        self.is_too_much |= self.bytes.len() + bytes.len() > self.most;
        // An error shows how it begins.
        let kept = if self.is_too_much { bytes.len().min(ENOUGH_TO_SHOW) } else { bytes.len() };
        self.bytes.extend_from_slice(&bytes[..kept]);
        !self.is_too_much
    }
}

/// The stdout of a program that runs for one item.
#[derive(Debug)]
pub struct Listening {
    whole: Arc<Mutex<Whole>>,
    stdout: Option<AsyncFd<File>>,
    pid: u32,
    buffer: Vec<u8>,
}

impl Listening {
    async fn go_on(&mut self) {
        let Some(end) = &mut self.stdout else { return std::future::pending().await };
        match read(end, &mut self.buffer).await {
            Some(0) => self.stdout = None,
            Some(count) if !lock(&self.whole).take(&self.buffer[..count]) => {
                self.stdout = None;
                kill_group(self.pid);
            }
            _ => {}
        }
    }
}

/// Reads once; none: there is nothing yet. 0 is the end.
pub async fn read(end: &mut AsyncFd<File>, buffer: &mut [u8]) -> Option<usize> {
    let Ok(mut guard) = end.readable_mut().await else { return Some(0) };
    match guard.try_io(|end| end.get_mut().read(buffer)) {
        Ok(Ok(count)) => Some(count),
        Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => None,
        Ok(Err(_)) => Some(0),
        Err(_would_block) => None,
    }
}

/// More than an error shows of an answer (`format::shown`).
const ENOUGH_TO_SHOW: usize = 256;
/// Most bytes that are read at once.
pub const PART_BYTES: usize = 64 << 10;
/// Most that is read after the exit; see `output.rs`.
const MAX_LINGER_BYTES: usize = 64 << 20;
