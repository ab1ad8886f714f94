//! Bytes on their way from a thread that reads to JavaScript: bounded, so that what is read ahead is. The thread ends
//! with its bytes, or when nobody wants them any more; until then it waits for room.

use millrace_channel::doorbell::Doorbell;
use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Why the bytes end early, in the words of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 0: none, `syscall` is the message.
    pub errno: i32,
    pub syscall: String,
}

impl Failure {
    #[must_use]
    pub fn new(syscall: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self { errno, syscall: syscall.into() },
            None => Self { errno: 0, syscall: format!("{syscall}: {error}") },
        }
    }
}

/// How the bytes have ended.
pub type End = Result<(), Failure>;

/// What `take` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Bytes(usize),
    /// The bell rings when there is something.
    Nothing,
    Ended(End),
}

/// The queue between the two.
pub struct Feed {
    state: Mutex<State>,
    room: Condvar,
    /// Rings, for JavaScript, when somebody waits and there is something to take.
    pub bell: Doorbell,
    /// Rings, for the thread, when nobody wants anything any more.
    pub left: Doorbell,
}

#[derive(Default)]
struct State {
    parts: VecDeque<Vec<u8>>,
    /// So much of the first part is taken.
    at: usize,
    /// Bytes that can be taken.
    bytes: usize,
    /// Parts that are taken whole, to be used again.
    spare: Vec<Vec<u8>>,
    /// JavaScript has found nothing, and wants to hear of it.
    waiting: bool,
    rung: bool,
    left: bool,
    /// Set when everything that the thread held is closed.
    end: Option<End>,
}

impl Feed {
    /// Starts a thread that makes the bytes. What it returns is how they end.
    pub fn start(produce: impl FnOnce(&Self) -> End + Send + 'static) -> io::Result<Arc<Self>> {
        let feed = Arc::new(Self {
            state: Mutex::default(),
            room: Condvar::new(),
            bell: Doorbell::new()?,
            left: Doorbell::new()?,
        });
        let own = Arc::clone(&feed);
        std::thread::Builder::new().name("millrace-read".into()).stack_size(STACK).spawn(move || {
            let end = catch_unwind(AssertUnwindSafe(|| produce(&own))).unwrap_or_else(|panic| {
                let text = crate::native::panic_text(panic.as_ref()).to_owned();
                Err(Failure { errno: 0, syscall: format!("a panic in native code: {text}") })
            });
            let mut state = own.lock();
            state.end = Some(end);
            own.tell(&mut state);
        })?;
        Ok(feed)
    }

    /// For the thread: waits until there is room for a part, and gives an empty one; none: nobody wants it.
    #[must_use]
    pub fn part(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.bytes >= MOST_AHEAD && !state.left {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.left { None } else { Some(state.spare.pop().unwrap_or_default()) }
    }

    /// For the thread: hands a part over.
    pub fn push(&self, part: Vec<u8>) {
        let mut state = self.lock();
        if state.left || part.is_empty() {
            return;
        }
        state.bytes += part.len();
        state.parts.push_back(part);
        self.tell(&mut state);
    }

    /// For the thread: whether what it holds should be handed over now, as JavaScript has nothing.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        self.lock().bytes == 0
    }

    /// For the thread: nobody wants anything any more.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.lock().left
    }

    /// Copies as many bytes as there are, and as there is space for.
    pub fn take(&self, into: &mut [u8]) -> Taken {
        let mut state = self.lock();
        self.answer(&mut state);
        let mut taken = 0;
        while taken < into.len() {
            let at = state.at;
            let Some(part) = state.parts.front() else { break };
            let count = (part.len() - at).min(into.len() - taken);
            into[taken..taken + count].copy_from_slice(&part[at..at + count]);
            taken += count;
            if at + count < part.len() {
                state.at += count;
                continue;
            }
            state.at = 0;
            let part = state.parts.pop_front().unwrap_or_default();
            if state.spare.len() < SPARES {
                state.spare.push(part);
            }
        }
        state.bytes -= taken;
        if taken > 0 {
            self.room.notify_one();
            return Taken::Bytes(taken);
        }
        if let Some(end) = &state.end {
            return Taken::Ended(end.clone());
        }
        state.waiting = true;
        Taken::Nothing
    }

    /// Nothing is wanted any more. True: the thread has ended and closed what it had; else the bell rings when it has.
    pub fn leave(&self) -> bool {
        let mut state = self.lock();
        self.answer(&mut state);
        if !state.left {
            state.left = true;
            state.parts.clear();
            (state.at, state.bytes) = (0, 0);
            self.room.notify_one();
            self.left.ring();
        }
        state.waiting = true;
        state.end.is_some()
    }

    /// Stops the ringing.
    pub fn quiet(&self) {
        self.answer(&mut self.lock());
    }

    fn tell(&self, state: &mut State) {
        if state.waiting {
            state.waiting = false;
            state.rung = true;
            self.bell.ring();
        }
    }

    fn answer(&self, state: &mut State) {
        if std::mem::take(&mut state.rung) {
            self.bell.answer();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No more is read ahead once there are so many bytes.
const MOST_AHEAD: usize = 768 << 10;
const SPARES: usize = 4;
/// Reading and walking need little; a thousand sources that wait should not take much.
const STACK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    fn wait(feed: &Feed) {
        let mut poll =
            libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&feed.bell), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 10_000) }, 1, "nobody rang");
    }

    fn take_all(feed: &Feed, size: usize) -> (Vec<u8>, End) {
        let (mut all, mut into) = (Vec::new(), vec![0; size]);
        loop {
            match feed.take(&mut into) {
                Taken::Bytes(count) => all.extend_from_slice(&into[..count]),
                Taken::Nothing => wait(feed),
                Taken::Ended(end) => return (all, end),
            }
        }
    }

    #[test]
    fn bytes_come_in_order_and_then_the_end() {
        for size in [1, 7, 1 << 20] {
            let feed = Feed::start(|feed| {
                for number in 0..1000u32 {
                    let mut part = feed.part().expect("it is wanted");
                    part.clear();
                    part.extend_from_slice(&number.to_le_bytes());
                    feed.push(part);
                }
                Err(Failure { errno: libc::EIO, syscall: "read".into() })
            });
            let (bytes, end) = take_all(&feed.expect("a thread"), size);
            assert_eq!(bytes, (0..1000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
            assert_eq!(end, Err(Failure { errno: libc::EIO, syscall: "read".into() }));
        }
    }

    #[test]
    fn what_is_read_ahead_is_bounded_and_leaving_ends_the_thread() {
        let pushed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pushed);
        let feed = Feed::start(move |feed| {
            while feed.part().is_some() {
                feed.push(vec![1; 256 << 10]);
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
        .expect("a thread");
        while pushed.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!feed.leave(), "it waits for room");
        wait(&feed);
        assert!(feed.leave(), "it has ended");
        assert_eq!(pushed.load(Ordering::SeqCst), 3);
        assert_eq!(feed.take(&mut [0; 8]), Taken::Ended(Ok(())));
    }

    #[test]
    fn a_panic_is_a_failure() {
        let feed = Feed::start(|_| panic!("no")).expect("a thread");
        let (_, end) = take_all(&feed, 10);
        assert_eq!(end.expect_err("it failed").syscall, "a panic in native code: no");
    }
}
