//! The one list of what can go wrong on the Rust side, and of the codes that JavaScript sees.

use std::io;

/// What a binding call can fail with. Failures of workers and items are not here: they are data, delivered as outcomes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot set up shared memory for a worker process: {0}")]
    Channel(#[source] io::Error),
    #[error("cannot watch for worker processes: {0}")]
    Watch(#[source] io::Error),
    #[error("cannot read on a thread: {0}")]
    Reader(#[source] io::Error),
    #[error("a worker process was started without its channel: {0}")]
    NotAWorker(String),
    #[error("the parent process wrote what cannot be")]
    CorruptChannel,
    #[error("a panic in native code: {0}")]
    Panic(String),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Channel(_) | Self::Watch(_) | Self::NotAWorker(_) => "ERR_WORKER_START",
            Self::CorruptChannel => "ERR_WORKER_CRASHED",
            Self::Reader(_) | Self::Panic(_) => "ERR_INTERNAL",
        }
    }
}
