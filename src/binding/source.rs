//! Files and names of files, for `lib/rust-feed.js`. One crossing for up to a quarter of a mebibyte.

use super::{event_loop::Poll, thrown};
use crate::{
    error::Error,
    source::{Failure, Feed, Taken, Walk, WalkOptions, read_file, walk},
};
use napi::{
    Env, JsValue, Result,
    bindgen_prelude::{Function, Uint8ArraySlice},
};
use napi_derive::napi;
use std::{cell::RefCell, os::fd::AsRawFd, path::PathBuf, sync::Arc};

/// What files are looked for.
#[napi(object)]
pub struct FilesOptions {
    pub patterns: Vec<String>,
    pub exclude: Vec<String>,
    pub cwd: String,
    pub with_cwd: bool,
    pub hidden: bool,
    pub follow_symlinks: bool,
}

/// What files are looked for, understood.
#[napi]
pub struct NativeWalk(Arc<Walk>);

#[napi]
impl NativeWalk {
    /// Throws with a message that is the pattern in which something is wrong, a line break, and what.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: FilesOptions) -> Result<Self> {
        let FilesOptions { patterns, exclude, cwd, with_cwd, hidden, follow_symlinks } = options;
        let options = WalkOptions { patterns, exclude, cwd: cwd.into(), with_cwd, hidden, follow: follow_symlinks };
        let walk =
            Walk::new(&options).map_err(|(pattern, why)| napi::Error::from_reason(format!("{pattern}\n{why}")))?;
        Ok(Self(Arc::new(walk)))
    }
}

/// Why a feed has failed.
#[napi(object)]
pub struct FeedFailure {
    /// 0: `syscall` is the message.
    pub errno: i32,
    pub syscall: String,
}

/// Bytes that a thread reads. `onWake` is called when `take` or `leave` has something new to say.
#[napi]
pub struct NativeFeed {
    /// Gone after `dispose`.
    open: RefCell<Option<Open>>,
    failure: RefCell<Option<Failure>>,
}

struct Open {
    // Dropped first: the event loop lets go of the descriptor before the feed closes it.
    poll: Poll,
    feed: Arc<Feed>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.feed.leave();
    }
}

#[napi]
impl NativeFeed {
    /// The bytes of a file.
    #[napi(factory, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // napi hands arguments over by value
    pub fn file(env: Env, path: String, on_wake: Function<(), ()>) -> Result<Self> {
        let path = PathBuf::from(path);
        Self::new(env, &on_wake, move |feed| read_file(&path, feed))
    }

    /// The names of files, as records.
    #[napi(factory, catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn names(env: Env, of: &NativeWalk, on_wake: Function<(), ()>) -> Result<Self> {
        let of = Arc::clone(&of.0);
        Self::new(env, &on_wake, move |feed| walk(&of, feed))
    }

    fn new(
        env: Env,
        on_wake: &Function<(), ()>,
        produce: impl FnOnce(&Feed) -> std::result::Result<(), Failure> + Send + 'static,
    ) -> Result<Self> {
        let feed = Feed::start(produce).map_err(|error| thrown(&Error::Reader(error)))?;
        let poll = Poll::new(env, feed.bell.as_raw_fd(), on_wake.raw()).inspect_err(|_| {
            feed.leave();
        })?;
        Ok(Self { open: RefCell::new(Some(Open { poll, feed })), failure: RefCell::default() })
    }

    /// Copies bytes, and says how many; 0: nothing yet; -1: they have ended; -2: they have failed.
    #[napi(catch_unwind)]
    pub fn take(&self, mut into: Uint8ArraySlice<'_>) -> i32 {
        let open = self.open.borrow();
        let Some(Open { poll, feed }) = &*open else { return ENDED };
        // SAFETY: JavaScript, to which the buffer belongs, does not run meanwhile, and no other reference to it exists.
        let into = unsafe { into.as_mut() };
        // More than fits a number is never asked for.
        let most = into.len().min(i32::MAX as usize);
        let taken = feed.take(&mut into[..most]);
        poll.keep_alive(taken == Taken::Nothing);
        match taken {
            Taken::Bytes(count) => i32::try_from(count).unwrap_or(i32::MAX),
            Taken::Nothing => 0,
            Taken::Ended(Ok(())) => ENDED,
            Taken::Ended(Err(failure)) => {
                *self.failure.borrow_mut() = Some(failure);
                FAILED
            }
        }
    }

    /// Why it has failed.
    #[napi(catch_unwind)]
    pub fn failure(&self) -> Option<FeedFailure> {
        self.failure.borrow().clone().map(|Failure { errno, syscall }| FeedFailure { errno, syscall })
    }

    /// Stops the waking, until `take` or `leave` have said that there is nothing.
    #[napi(catch_unwind)]
    pub fn answer(&self) {
        if let Some(Open { poll, feed }) = &*self.open.borrow() {
            feed.quiet();
            poll.keep_alive(false);
        }
    }

    /// Nothing more is wanted. True: everything is closed; else it will be, and `onWake` called.
    #[napi(catch_unwind)]
    pub fn leave(&self) -> bool {
        let open = self.open.borrow();
        let Some(Open { poll, feed }) = &*open else { return true };
        let gone = feed.leave();
        poll.keep_alive(!gone);
        gone
    }

    /// Lets go of it: nothing happens here any more.
    #[napi(catch_unwind)]
    pub fn dispose(&self) {
        let open = self.open.borrow_mut().take();
        drop(open);
    }
}

const ENDED: i32 = -1;
const FAILED: i32 = -2;
