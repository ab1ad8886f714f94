//! A conversation with a program that answers items one after the other: writes and reads as it can, sees what it waits
//! for, and ends it where it does not end by itself.

use super::{
    Line,
    fault::Kind,
    speech::{PART_BYTES, Take, read},
    talk::Held,
    waits::{self, Waits},
};
use crate::place::{Exit, Notice, spawn::kill_group};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsRawFd,
    sync::Arc,
    time::Duration,
};
use tokio::{io::unix::AsyncFd, time::Instant};

/// A conversation with a program that answers items one after the other.
#[derive(Debug)]
pub struct Conversation {
    line: Arc<Line>,
    stdin: Option<AsyncFd<File>>,
    /// The same pipe, once nothing more is written to it: shows what was not read, and is an end that does not matter.
    closed: Option<File>,
    /// Nobody can read its stdin any more.
    is_refused: bool,
    stdout: Option<AsyncFd<File>>,
    pid: u32,
    buffer: Vec<u8>,
    /// It has to end until then, or is killed; and if an item waits then, that fails of this.
    deadline: Option<(Instant, Option<&'static str>)>,
    /// When to see what it waits for, and since how many looks that has not changed.
    next_look: Instant,
    moved: bool,
    looks_for_input: u32,
    looks: u32,
    /// Its stdin was closed so that it answers: when, and whether it was certain that it waited for input.
    flushed: Option<(Instant, bool)>,
    killed: bool,
    /// Some of what it has answered is held.
    doubt: Option<Doubt>,
    /// How long all of it is held where nobody can see that it asks for more.
    patience: Duration,
}

/// Answers that are not believed yet.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    /// Since when these are the answers to all that it was sent.
    whole: Option<Instant>,
    look: Instant,
}

impl Conversation {
    pub fn new(line: Arc<Line>, stdin: Option<AsyncFd<File>>, stdout: Option<AsyncFd<File>>, pid: u32) -> Self {
        if let Some(stdin) = &stdin {
            // A larger pipe means fewer wake-ups. Where the system refuses it, it stays as it is.
            // SAFETY: a plain system call on our own descriptor.
            unsafe { libc::fcntl(stdin.get_ref().as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
        }
        Self {
            line,
            stdin,
            closed: None,
            is_refused: false,
            stdout,
            pid,
            buffer: vec![0; PART_BYTES],
            deadline: None,
            next_look: Instant::now(),
            moved: true,
            looks_for_input: 0,
            looks: 0,
            flushed: None,
            killed: false,
            doubt: None,
            patience: PATIENCE,
        }
    }

    pub async fn go_on(&mut self) {
        let line = Arc::clone(&self.line);
        if line.talk().is_broken() {
            self.kill();
            return std::future::pending().await;
        }
        let (writes, looks) = {
            let talk = line.talk();
            let looks = talk.waits() && !talk.is_closed() && talk.unwritten().is_empty();
            if line.is_retiring() && talk.is_idle() && self.stdin.is_some() {
                self.stdin = None;
                self.end_within(ENDS_WITHIN, None);
            }
            (self.stdin.is_some() && !talk.unwritten().is_empty(), looks)
        };
        let (next_look, doubt) = (self.next_look, self.doubt);
        let deadline = self.deadline;
        tokio::select! {
            () = line.changed() => {}
            () = until_writable(self.stdin.as_mut()), if writes => self.write(),
            count = read_from(self.stdout.as_mut(), &mut self.buffer), if self.stdout.is_some() => self.read(count),
            () = tokio::time::sleep_until(next_look), if looks => self.look(),
            () = tokio::time::sleep_until(doubt.map_or(next_look, |doubt| doubt.look)), if doubt.is_some() => self.doubt(),
            () = tokio::time::sleep_until(deadline.map_or(next_look, |(at, _)| at)), if deadline.is_some() => self.give_up(),
        }
    }

    /// Its stdout, and what takes what is read from it.
    pub fn listening(&mut self) -> (&mut Option<AsyncFd<File>>, Take) {
        let line = Arc::clone(&self.line);
        let stdin = self.stdin().and_then(|pipe| pipe.try_clone().ok());
        let take = move |bytes: &[u8]| {
            let mut talk = line.talk();
            talk.read(bytes, stdin.as_ref().map_or(0, unread), line.now());
            !talk.is_broken()
        };
        (&mut self.stdout, Box::new(take))
    }

    /// The process has ended like this.
    pub fn end(&self, exit: &mut Exit) {
        let line = &self.line;
        let mut talk = line.talk();
        talk.leave_unread(self.unread());
        talk.end(exit, line.now());
        drop(talk);
        if self.is_refused && exit.exit_code.is_none() {
            exit.violation.get_or_insert_with(|| "it closed its stdin".into());
        }
        self.heed_answers();
    }

    fn write(&mut self) {
        let line = Arc::clone(&self.line);
        let mut talk = line.talk();
        while let Some(stdin) = &mut self.stdin {
            let bytes = talk.unwritten();
            if bytes.is_empty() {
                break;
            }
            match stdin.get_mut().write(bytes) {
                Ok(count) => {
                    talk.wrote(count);
                    self.moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // `until_writable` waits for the next time.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    drop(talk);
                    self.refuse();
                    return;
                }
            }
        }
        if self.stdin.is_some() && talk.wants_end() {
            drop(talk);
            // How long it takes for what it was told nobody knows.
            self.close_to_flush(true);
        }
    }

    /// It reads no more. Most of the time its end is near; else it may still answer what it has read.
    fn refuse(&mut self) {
        self.is_refused = true;
        // All that reads is gone, so nobody waits for the end of it.
        self.closed = self.stdin.take().map(AsyncFd::into_inner);
        let line = Arc::clone(&self.line);
        let mut talk = line.talk();
        talk.close(false);
        talk.leave_unread(self.unread());
        if talk.runs() {
            self.end_within(ENDS_WITHIN, Some("it closed its stdin and did not answer"));
        } else {
            // What waits runs in the next one.
            self.end_within(LEAVES_WITHIN, None);
        }
    }

    fn read(&mut self, count: Option<usize>) {
        let Some(count) = count else { return };
        if count == 0 {
            self.stdout = None;
            if self.line.talk().held() == Held::All {
                self.believe();
            }
            self.end_within(CLOSED_STDOUT, Some("it closed its stdout and did not answer"));
            return;
        }
        self.moved = true;
        let line = Arc::clone(&self.line);
        let (broken, through) = {
            let mut talk = line.talk();
            talk.read(&self.buffer[..count], self.unread(), line.now());
            (talk.is_broken(), talk.is_closed() && !talk.runs())
        };
        if through && self.flushed.is_none() {
            self.kill();
        } else if through {
            self.end_within(ENDS_WITHIN, None);
        } else if let Some((at, why)) = self.deadline.filter(|_| self.flushed.is_some()) {
            // As long as it answers it may go on.
            self.deadline = Some((at.max(Instant::now() + STALLED_WITHIN), why));
        }
        if broken {
            self.kill();
        } else {
            // First of all it should have something to do.
            self.write();
            self.weigh();
        }
        self.heed_answers();
    }

    /// Something has come: when is it believed?
    fn weigh(&mut self) {
        let held = self.line.talk().held();
        if held == Held::Nothing {
            self.doubt = None;
            return;
        }
        let now = Instant::now();
        let doubt = self.doubt.get_or_insert(Doubt { since: now, whole: None, look: now });
        if held == Held::All {
            doubt.whole = Some(now);
            // Most of the time it asks for more already.
            self.doubt();
        } else if now - doubt.since > HELD_AT_MOST {
            self.believe();
        } else {
            doubt.look = now + SILENT;
        }
    }

    /// Sees whether what it has answered is all that it has to say.
    fn doubt(&mut self) {
        let Some(doubt) = self.doubt.take() else { return };
        let Some(whole) = doubt.whole else {
            // Either it holds answers back, or it has left an item out: `look` sees to that.
            if !(self.may_leave_out() && waits::of(self.pid) == Waits::ForInput) {
                self.believe();
            }
            return;
        };
        for _ in 0..YIELDS {
            match waits::of(self.pid) {
                Waits::ForInput => return self.hear_out(),
                // Nothing came of that before.
                Waits::ForSomething if self.patience == TICK => return self.hear_out(),
                Waits::ForSomething => break,
                Waits::No => std::thread::yield_now(),
            }
        }
        let now = Instant::now();
        if now - whole < self.patience {
            self.doubt = Some(Doubt { look: now + TICK, ..doubt });
        } else {
            // It is one of those of which nothing can be seen, and each of its answers would wait as long.
            self.patience = TICK;
            self.hear_out();
        }
    }

    fn may_leave_out(&self) -> bool {
        let talk = self.line.talk();
        !talk.flows() && !talk.is_closed() && talk.unwritten().is_empty() && self.unread() == 0
    }

    /// Reads once more, now that it should have said all: believes it if there is nothing.
    fn hear_out(&mut self) {
        let heard = self.stdout.as_mut().map(|stdout| stdout.get_mut().read(&mut self.buffer));
        match heard {
            Some(Ok(count)) => self.read(Some(count)),
            _ => self.believe(),
        }
    }

    fn believe(&mut self) {
        self.doubt = None;
        self.line.talk().believe(self.line.now());
        self.write();
        self.heed_answers();
    }

    /// Answers have come: learns from when they did, and tells the pool.
    fn heed_answers(&self) {
        let line = &self.line;
        let (answers, since, surplus) = {
            let mut talk = line.talk();
            (talk.has_answers(), talk.answers_since_close(), talk.take_surplus())
        };
        if let Some((at, certain)) = self.flushed.filter(|_| since > 0) {
            // One that takes its time answers some time after its stdin was closed, one that held answers back at once.
            if certain || at.elapsed() < line.shared.stall {
                if line.shared.note_buffering() {
                    line.shared.notice(line.worker, Notice::Buffers, "");
                }
            } else {
                line.shared.note_patience();
            }
        }
        if let Some(surplus) = &surplus {
            line.shared.notice(line.worker, Notice::Surplus, surplus);
        }
        if answers || surplus.is_some() {
            line.shared.tell();
        }
    }

    /// Nothing has come for a while: sees whether anything can.
    fn look(&mut self) {
        self.next_look = Instant::now() + (self.line.shared.stall / LOOKS).max(Duration::from_millis(1));
        let unread = self.unread() > 0;
        if unread && self.has_no_reader() {
            self.refuse();
            return;
        }
        let waits = if std::mem::take(&mut self.moved) || unread { Waits::No } else { waits::of(self.pid) };
        if waits == Waits::No {
            (self.looks, self.looks_for_input) = (0, 0);
            return;
        }
        self.looks += 1;
        self.looks_for_input = if waits == Waits::ForInput { self.looks_for_input + 1 } else { 0 };
        if self.looks_for_input >= LOOKS {
            self.flush(true);
        } else if self.looks >= LOOKS * UNCERTAIN && self.line.shared.may_be_buffering() {
            self.flush(false);
        }
    }

    /// Bytes that were written, and that it has not read.
    fn unread(&self) -> usize {
        self.stdin().map_or(0, unread)
    }

    fn stdin(&self) -> Option<&File> {
        self.stdin.as_ref().map(AsyncFd::get_ref).or(self.closed.as_ref())
    }

    /// Whether it, and all that it has started, have closed their stdin.
    fn has_no_reader(&self) -> bool {
        let Some(stdin) = &self.stdin else { return false };
        let mut poll = libc::pollfd { fd: stdin.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one live pollfd; it does not wait.
        unsafe { libc::poll(&raw mut poll, 1, 0) > 0 && poll.revents & libc::POLLERR != 0 }
    }

    fn flush(&mut self, certain: bool) {
        self.close_to_flush(certain);
        if certain {
            self.end_within(STALLED_WITHIN, Some("it answered nothing, not even when its stdin was closed"));
        }
    }

    /// Closes its stdin, so that it says what it holds back.
    fn close_to_flush(&mut self, certain: bool) {
        if let Some(stdin) = self.stdin.take() {
            // An end from which nothing is read. The one for writing is closed after that.
            self.closed = File::open(format!("/proc/self/fd/{}", stdin.as_raw_fd())).ok();
        }
        self.flushed = Some((Instant::now(), certain));
        self.line.talk().close(true);
    }

    fn end_within(&mut self, time: Duration, why: Option<&'static str>) {
        self.deadline = Some((Instant::now() + time, why));
    }

    /// It has not ended in time.
    fn give_up(&mut self) {
        let (_, why) = self.deadline.take().unwrap_or((Instant::now(), None));
        let mut talk = self.line.talk();
        if let Some(why) = why.filter(|_| talk.runs()) {
            let kind = if self.flushed.is_some() { Kind::Stalled } else { Kind::Protocol };
            talk.fail(kind, why.into(), None);
        }
        drop(talk);
        self.kill();
    }

    fn kill(&mut self) {
        self.stdin = None;
        self.stdout = None;
        if !std::mem::replace(&mut self.killed, true) {
            // It is not waited for before this ends.
            kill_group(self.pid);
        }
    }
}

/// Bytes in a pipe.
fn unread(pipe: &File) -> usize {
    let mut unread: libc::c_int = 0;
    // SAFETY: writes one int into a live one.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
    if result == 0 { usize::try_from(unread).unwrap_or(0) } else { 0 }
}

async fn read_from(end: Option<&mut AsyncFd<File>>, buffer: &mut [u8]) -> Option<usize> {
    match end {
        Some(end) => read(end, buffer).await,
        None => std::future::pending().await,
    }
}

/// Waits until there is room. Whoever writes then does not say when there is none, so it is asked for here.
async fn until_writable(end: Option<&mut AsyncFd<File>>) {
    let Some(end) = end else { return std::future::pending().await };
    loop {
        let Ok(mut guard) = end.writable_mut().await else { return };
        let mut poll = libc::pollfd { fd: guard.get_inner().as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one live pollfd; it does not wait.
        if unsafe { libc::poll(&raw mut poll, 1, 0) } != 0 {
            return;
        }
        guard.clear_ready();
    }
}

/// Looks in a row at a program that has answered, while it runs: on a busy machine it has not come to ask for more yet.
const YIELDS: u32 = 4;
/// How often it is looked at after that (a timer takes a millisecond), and how long answers are held of one that still runs
/// then, where that was in vain before.
const TICK: Duration = Duration::from_micros(100);
/// How long they are the first time: it may only have had no processor.
const PATIENCE: Duration = Duration::from_millis(20);
/// Answers are held no longer where others are still to come: after a silence, and in all.
const SILENT: Duration = Duration::from_millis(2);
const HELD_AT_MOST: Duration = Duration::from_millis(10);
const PIPE_BYTES: libc::c_int = 256 << 10;
/// How long a program may take to end whose stdin was closed, and in which nothing runs.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// The same where an item waits, and it waited for input when its stdin was closed.
const STALLED_WITHIN: Duration = Duration::from_secs(10);
/// The same of one that has closed its stdout: most of the time its end follows at once.
const CLOSED_STDOUT: Duration = Duration::from_secs(1);
/// The same of one that has closed its stdin, and has not begun what waits: that waits meanwhile.
const LEAVES_WITHIN: Duration = Duration::from_millis(200);
/// Looks within the time after which a program is held to have stalled.
const LOOKS: u32 = 4;
/// That many times as long, where it cannot be seen what it waits for.
const UNCERTAIN: u32 = 40;
