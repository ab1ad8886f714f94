//! All doorbells of a pool behind one descriptor, which the JavaScript thread's event loop polls.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// An epoll instance. Doorbells are watched edge-triggered: each ring makes the instance readable once, and nobody has
/// to read the doorbells themselves, so that one may be closed at any time.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain system call; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and ours alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn add(&self, bell: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, bell)
    }

    /// The child has the doorbell open too, so closing ours does not take it out.
    pub fn remove(&self, bell: &impl AsFd) {
        // It was added, so the only failure that can be is that it is not there: fine.
        let _ = self.control(libc::EPOLL_CTL_DEL, bell);
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

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
