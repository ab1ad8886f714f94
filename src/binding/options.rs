//! What pools and calls are told, as objects of JavaScript: checked there (`lib/*options.js`), and made here into what Rust
//! has for it.

use crate::{
    engine::{Micros, PoolConfig, Retry},
    place::{
        command::{Protocol, format::Format},
        limits::Limits,
        output::Output,
        spawn::Launch,
    },
};
use napi::Result;
use napi_derive::napi;
use std::time::Duration;

/// What a pool of worker processes is started with.
#[napi(object)]
pub struct ProcessOptions {
    pub program: String,
    /// Before the descriptors, which are added as the last argument.
    pub args: Vec<String>,
    /// Names and values in turn.
    pub env: Vec<String>,
    pub cwd: Option<String>,
    /// What becomes of what they write: 'inherit', 'ignore' or 'pipe'.
    pub stdout: String,
    pub stderr: String,
    /// Added to the niceness of this program.
    pub nice_increment: u32,
    /// Limits of each process: seconds of processor time, open files, bytes of a core dump.
    pub cpu_seconds: Option<f64>,
    pub open_files: Option<f64>,
    pub core_size: Option<f64>,
    /// Most bytes of a process's own memory.
    pub max_memory: Option<f64>,
    /// One process is started, and none in its place.
    pub once: Option<bool>,
    /// The first frame of each worker.
    #[napi(ts_type = "Uint8Array")]
    pub init: napi::bindgen_prelude::Uint8Array,
}

impl ProcessOptions {
    pub fn resolved(self) -> Result<Launch> {
        Ok(Launch {
            program: self.program.into(),
            args: self.args.into_iter().map(Into::into).collect(),
            env: self.env.chunks_exact(2).map(|pair| (pair[0].clone().into(), pair[1].clone().into())).collect(),
            cwd: self.cwd.map(Into::into),
            stdout: output(&self.stdout)?,
            stderr: output(&self.stderr)?,
            limits: Limits {
                nice_increment: self.nice_increment.cast_signed(),
                cpu_seconds: self.cpu_seconds.map(whole),
                open_files: self.open_files.map(whole),
                core_size: self.core_size.map(whole),
            },
            max_memory: self.max_memory.map(whole),
            once: self.once == Some(true),
        })
    }
}

/// What a pool of programs is started with, beside what worker processes have.
#[napi(object)]
pub struct CommandOptions {
    /// 'ndjson', 'lines', 'nul' or 'length-prefixed'.
    pub format: String,
    /// A program for each item; the arguments from this one on may have a place for it.
    pub per_item_from: Option<u32>,
    /// Items sent ahead; 0: automatic.
    pub read_ahead: u32,
    /// Most bytes of an answer.
    pub max_answer: f64,
    /// Milliseconds after which a program that waits for input has stalled.
    pub stall: f64,
}

impl CommandOptions {
    pub fn protocol(&self) -> Result<Protocol> {
        let format = Format::named(&self.format)
            .ok_or_else(|| napi::Error::from_reason(format!("there is no format {:?}", self.format)))?;
        let read_ahead = (self.read_ahead > 0).then_some(self.read_ahead);
        Ok(Protocol { format, read_ahead, max_answer: whole(self.max_answer) as usize })
    }

    pub fn stall(&self) -> Duration {
        Duration::from_micros(micros(self.stall))
    }
}

/// How many workers there are, and for how long; milliseconds.
#[napi(object)]
pub struct LifeOptions {
    pub min_workers: u32,
    /// None: they stay.
    pub idle_timeout: Option<f64>,
    pub max_tasks: Option<u32>,
    pub max_age: Option<f64>,
    pub start_timeout: Option<f64>,
    /// Bytes of memory that the machine has left, at least, where something is to start.
    pub min_free_memory: Option<f64>,
}

impl LifeOptions {
    pub fn resolved(&self) -> PoolConfig {
        PoolConfig {
            min: self.min_workers,
            idle: self.idle_timeout.map(micros),
            max_tasks: self.max_tasks,
            max_age: self.max_age.map(micros),
            start_timeout: self.start_timeout.map(micros),
            ..PoolConfig::default()
        }
    }
}

/// When items are tried again, and how long a try may take; milliseconds.
#[napi(object)]
pub struct TryOptions {
    /// 0xffffffff: without end.
    pub retries: u32,
    pub initial: f64,
    pub factor: f64,
    pub max: f64,
    /// From 0 to 1.
    pub jitter: f64,
    /// "again" sections ask.
    pub asks: bool,
    pub crash_retries: u32,
    /// 0: as long as it likes.
    pub timeout: f64,
}

impl TryOptions {
    pub fn resolved(&self) -> (Retry, u32, Option<Micros>) {
        let Self { retries, factor, jitter, asks, crash_retries, timeout, .. } = *self;
        let (initial, max) = (micros(self.initial), micros(self.max));
        let retry = Retry { retries, initial, factor, max, jitter, asks };
        (retry, crash_retries, (timeout > 0.0).then(|| micros(timeout)))
    }
}

fn output(name: &str) -> Result<Output> {
    match name {
        "inherit" => Ok(Output::Inherit),
        "ignore" => Ok(Output::Ignore),
        "pipe" => Ok(Output::Pipe),
        other => Err(napi::Error::from_reason(format!("{other:?} is nothing that can become of output"))),
    }
}

/// As the engine counts time.
pub const fn micros(milliseconds: f64) -> Micros {
    whole(milliseconds * 1000.0)
}

/// A count that comes as JavaScript's number. The cast stops at the ends of the range.
#[allow(clippy::cast_sign_loss)] // see above
pub const fn whole(count: f64) -> u64 {
    count as u64
}

/// A count as JavaScript's number: beyond 2^53 it need not be exact.
#[allow(clippy::cast_precision_loss)] // see above
pub const fn f64_of(count: u64) -> f64 {
    count as f64
}
