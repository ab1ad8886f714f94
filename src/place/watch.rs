//! All doorbells of a pool behind one descriptor, which the JavaScript thread's event loop polls; and those of its workers
//! behind a second one, for who does its work meanwhile when it does not come.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::Arc,
};

/// For the event loop: a pool's own doorbell, and those of its workers.
#[derive(Debug)]
pub struct Watch {
    all: Bells,
    /// Read only while the event loop does not come: a ring that finds it readable already costs nothing more.
    workers: Arc<Bells>,
}

impl Watch {
    pub fn new() -> io::Result<Self> {
        Ok(Self { all: Bells::new()?, workers: Arc::new(Bells::new()?) })
    }

    /// Takes the pool's own doorbell in.
    pub fn add_own(&self, bell: &impl AsFd) -> io::Result<()> {
        self.all.control(libc::EPOLL_CTL_ADD, bell)
    }

    /// Takes a worker's doorbell in.
    pub fn add(&self, bell: &impl AsFd) -> io::Result<()> {
        self.workers.control(libc::EPOLL_CTL_ADD, bell)?;
        self.all.control(libc::EPOLL_CTL_ADD, bell).inspect_err(|_| self.remove(bell))
    }

    /// The child has the doorbell open too, so closing ours does not take it out.
    pub fn remove(&self, bell: &impl AsFd) {
        for bells in [&self.all, &self.workers] {
            // It was added, so the only failure that can be is that it is not there: fine.
            let _ = bells.control(libc::EPOLL_CTL_DEL, bell);
        }
    }

    /// Stops the ringing that the event loop hears.
    pub fn answer(&self) {
        self.all.answer();
    }

    /// The doorbells of workers alone.
    #[must_use]
    pub fn workers(&self) -> Arc<Bells> {
        Arc::clone(&self.workers)
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.all.as_raw_fd()
    }
}

/// An epoll instance. Doorbells are watched edge-triggered: each ring makes the instance readable once, and nobody has
/// to read the doorbells themselves, so that one may be closed at any time.
#[derive(Debug)]
pub struct Bells(OwnedFd);

impl Bells {
    fn new() -> io::Result<Self> {
        // SAFETY: a plain system call; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and ours alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Stops the ringing.
    pub fn answer(&self) {
        // SAFETY: `epoll_event` is plain data, for which zeroes are a value.
        let mut events: [libc::epoll_event; AT_ONCE as usize] = unsafe { std::mem::zeroed() };
        // SAFETY: the array lives through the call and its length is given.
        while unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), AT_ONCE, 0) } == AT_ONCE {}
    }

    fn control(&self, operation: i32, bell: &impl AsFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET).cast_unsigned(), u64: 0 };
        let fd = bell.as_fd().as_raw_fd();
        // SAFETY: `event` lives through the call.
        if unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Rings that one call answers.
const AT_ONCE: i32 = 64;

impl AsRawFd for Bells {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
