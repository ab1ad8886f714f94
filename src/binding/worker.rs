//! What runs inside a worker process: its end of the channel, and the watcher that ends it with its parent.

use super::{event_loop::Poll, thrown};
use crate::error::Error;
use millrace_channel::{
    doorbell::Doorbell,
    layout::{Capacities, MAX_RECORD_BYTES},
    parent::RecordKind,
    ring::Corrupt,
    segment::Segment,
    worker::{Streamed, WorkerEnd},
};
use napi::{
    Env, JsValue, Result, Unknown,
    bindgen_prelude::{BufferSlice, FromNapiValue, Function},
    sys,
};
use napi_derive::napi;
use std::{
    cell::{RefCell, RefMut},
    io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// The worker's end. `onWake` is called when the parent has rung.
#[napi]
pub struct WorkerPort {
    /// Never dropped: JavaScript sees its memory as long as the process lives.
    end: ManuallyDrop<RefCell<WorkerEnd>>,
    poll: Poll,
    /// Never closed: Node opens it by its number, when it has no memory left.
    report: ManuallyDrop<OwnedFd>,
}

#[napi]
impl WorkerPort {
    /// Takes over the descriptors that the parent's list names.
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // napi hands arguments over by value
    pub fn new(env: Env, descriptors: String, on_wake: Function<(), ()>) -> Result<Self> {
        let parsed: Option<Vec<RawFd>> =
            descriptors.split(',').map(|fd| fd.parse().ok().filter(|fd| *fd > 2)).collect();
        let Some(Ok(fds)) = parsed.map(<[RawFd; 5]>::try_from) else {
            return Err(thrown(&Error::NotAWorker(format!("{descriptors:?} is no list of descriptors"))));
        };
        let [segment, bell, parent_bell, control, report] = fds;
        // SAFETY: the parent opened these five for this process, and this is the only place that takes them over. A
        // number that is not open makes the first call on it fail.
        let [segment, bell, parent_bell, control, report] =
            [segment, bell, parent_bell, control, report].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        for fd in [&segment, &bell, &parent_bell, &control, &report] {
            // What the task starts must not inherit them.
            // SAFETY: a plain system call.
            if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(thrown(&Error::NotAWorker(io::Error::last_os_error().to_string())));
            }
        }
        let segment = Segment::map(segment, Capacities::default()).map_err(|error| thrown(&Error::Channel(error)))?;
        end_with_parent(control).map_err(|error| thrown(&Error::Channel(error)))?;
        let bell = Doorbell::from_fd(bell);
        let poll = Poll::new(env, bell.as_raw_fd(), on_wake.raw())?;
        poll.keep_alive(true);
        let end = WorkerEnd::new(segment, bell, Doorbell::from_fd(parent_bell));
        Ok(Self { end: ManuallyDrop::new(RefCell::new(end)), poll, report: ManuallyDrop::new(report) })
    }

    /// The segment: the same memory each time.
    #[napi(catch_unwind, ts_return_type = "ArrayBuffer")]
    pub fn memory(&self, env: Env) -> Result<Unknown<'_>> {
        let (base, bytes) = self.end().segment().as_raw();
        let mut value = std::ptr::null_mut();
        // SAFETY: the mapping lives as long as the process (see `end`), so nothing has to be freed.
        let status = unsafe {
            let no_hint = std::ptr::null_mut();
            sys::napi_create_external_arraybuffer(env.raw(), base.cast(), bytes, None, no_hint, &raw mut value)
        };
        if status != sys::Status::napi_ok {
            let why = "this runtime does not allow memory from outside in an ArrayBuffer".to_owned();
            return Err(thrown(&Error::NotAWorker(why)));
        }
        // SAFETY: a live value that was just made.
        unsafe { Unknown::from_napi_value(env.raw(), value) }
    }

    /// Offsets and sizes in the memory: row ring, its bytes, text ring, its bytes.
    #[napi(catch_unwind)]
    pub fn layout(&self) -> Vec<u32> {
        let capacities = self.end().segment().capacities();
        [capacities.row_at(), capacities.row, capacities.text_at(), capacities.text].map(|bytes| bytes as u32).to_vec()
    }

    /// The next frame; null once the parent has been told to ring for more. `mayPoll`: there is nothing else to do.
    #[napi(catch_unwind)]
    pub fn receive<'env>(&self, env: &'env Env, may_poll: bool) -> Result<Option<BufferSlice<'env>>> {
        let frame = self.end().receive(may_poll).map_err(corrupt)?;
        frame.map(|bytes| BufferSlice::copy_from(env, bytes)).transpose()
    }

    /// The descriptor to which Node's report goes when the heap is full.
    #[napi(catch_unwind)]
    pub fn report(&self) -> i32 {
        self.report.as_raw_fd()
    }

    /// Stops the ringing. Call when woken, before `receive`.
    #[napi(catch_unwind)]
    pub fn answer(&self) {
        self.end().bell().answer();
    }

    /// Wakes the parent if it sleeps. Call after publishing.
    #[napi(catch_unwind)]
    pub fn ring(&self) {
        self.end().ring();
    }

    /// Blocks until the parent has read on from these positions.
    #[napi(catch_unwind)]
    pub fn wait_for_room(&self, row_head: u32, text_head: u32) {
        self.end().wait_for_room(row_head, text_head);
    }

    /// Blocks until the parent has handed over more messages than this.
    #[napi(catch_unwind)]
    pub fn wait_for_messages(&self, message_head: u32) {
        self.end().wait_for_messages(message_head);
    }

    /// Publishes a record that does not fit the rings; blocks until the parent has taken most of it.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // they are the record
    pub fn stream(
        &self,
        kind: u32,
        cell: u32,
        status: u32,
        item: u32,
        number: u32,
        row: &[u8],
        text: &[u8],
    ) -> Result<()> {
        let kind = match kind {
            1 => RecordKind::Outcome,
            3 => RecordKind::Define,
            5 => RecordKind::StartError,
            6 => RecordKind::Fatal,
            7 => RecordKind::Message,
            _ => return Err(napi::Error::from_reason(format!("records of kind {kind} are not streamed"))),
        };
        if (row.len() + text.len()) as u64 > MAX_RECORD_BYTES {
            return Err(napi::Error::from_reason(format!("a value of {} bytes is too large", row.len() + text.len())));
        }
        let record = Streamed { kind, cell: cell as u8, status: status as u8, item, number, row, text };
        self.end().stream(record).map_err(corrupt)
    }

    /// Whether the channel alone keeps the process from ending. It does from the start.
    #[napi(catch_unwind)]
    pub fn keep_alive(&self, alive: bool) {
        self.poll.keep_alive(alive);
    }

    fn end(&self) -> RefMut<'_, WorkerEnd> {
        self.end.borrow_mut()
    }
}

fn corrupt(_: Corrupt) -> napi::Error {
    thrown(&Error::CorruptChannel)
}

/// Ends this process and all that it started when the parent's end of the socket closes, however busy JavaScript is.
fn end_with_parent(control: OwnedFd) -> io::Result<()> {
    let watch = move || {
        let mut byte = 0u8;
        loop {
            // SAFETY: reads at most one byte into a live one.
            let count = unsafe { libc::read(control.as_raw_fd(), (&raw mut byte).cast(), 1) };
            let interrupted = count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
            if count <= 0 && !interrupted {
                break;
            }
        }
        // SAFETY: plain system calls. 0 is our own process group, of which this process is the leader.
        unsafe {
            libc::kill(0, libc::SIGKILL);
            libc::_exit(1);
        }
    };
    std::thread::Builder::new().name("millrace-parent".into()).stack_size(64 << 10).spawn(watch)?;
    // The watcher takes the whole group with it, which the signal set at the start would not let it do any more.
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
    Ok(())
}
