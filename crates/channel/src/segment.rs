//! The shared memory of one worker: an anonymous memfd, sealed so that its size cannot change (a child that truncates it
//! would kill the parent with SIGBUS) and with its blocks allocated up front (so would a full tmpfs, later).

use crate::{layout, ring::RingMemory, sync::AtomicU32};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr::NonNull,
};

/// A mapped segment. Both processes read and write it at any time, so no reference to its bytes is ever made: words are
/// atomics, everything else is copied.
#[derive(Debug)]
pub struct Segment {
    base: NonNull<u8>,
    bytes: usize,
    fd: OwnedFd,
    capacities: layout::Capacities,
}

// SAFETY: the mapping belongs to the process, not to a thread; all access goes through atomics and raw copies.
unsafe impl Send for Segment {}

impl Segment {
    /// Makes a new segment, zeroed.
    pub fn create(capacities: layout::Capacities) -> io::Result<Self> {
        if !capacities.are_valid() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let bytes = file_bytes(capacities);
        // SAFETY: the name is a literal with its terminating zero; the result is checked.
        let fd =
            check(unsafe { libc::memfd_create(c"millrace".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) })?;
        // SAFETY: just made, and ours alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        loop {
            // SAFETY: a plain system call on our own descriptor.
            match unsafe { libc::posix_fallocate(fd.as_raw_fd(), 0, bytes) } {
                0 => break,
                libc::EINTR => {}
                error => return Err(io::Error::from_raw_os_error(error)),
            }
        }
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        Self::map(fd, capacities)
    }

    /// Maps an inherited segment.
    pub fn map(fd: OwnedFd, capacities: layout::Capacities) -> io::Result<Self> {
        // SAFETY: `stat` is plain data, for which zeroes are a value.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` lives through the call.
        check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) })?;
        let bytes = capacities.segment_bytes();
        if !capacities.are_valid() || stat.st_size != file_bytes(capacities) {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        // SAFETY: a fresh mapping at an address that the kernel chooses, over a file of exactly this size.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, bytes, fd, capacities })
    }

    /// Sizes of the rings.
    #[must_use]
    pub const fn capacities(&self) -> layout::Capacities {
        self.capacities
    }

    /// Address and size of the mapping, for the worker's JavaScript.
    #[must_use]
    pub const fn as_raw(&self) -> (*mut u8, usize) {
        (self.base.as_ptr(), self.bytes)
    }

    /// The word at `offset`, a multiple of 4 inside the header.
    #[must_use]
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= layout::HEADER_BYTES && offset.is_multiple_of(4), "no such word: {offset}");
        // SAFETY: inside the mapping (a page boundary plus a multiple of 4, so aligned), which lives as long as `self`.
        // Every access to it in either process is atomic.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// The claim cell `cell`.
    #[must_use]
    pub fn claim_cell(&self, cell: usize) -> &AtomicU32 {
        assert!(cell < layout::CLAIM_CELLS, "no such claim cell: {cell}");
        self.word(layout::CLAIMS + cell * layout::CLAIM_STRIDE)
    }

    /// The request ring.
    #[must_use]
    pub fn request(&self) -> Area<'_> {
        Area { segment: self, at: layout::HEADER_BYTES, bytes: self.capacities.request }
    }

    /// The row ring.
    #[must_use]
    pub fn row(&self) -> Area<'_> {
        Area { segment: self, at: self.capacities.row_at(), bytes: self.capacities.row }
    }

    /// The text ring.
    #[must_use]
    pub fn text(&self) -> Area<'_> {
        Area { segment: self, at: self.capacities.text_at(), bytes: self.capacities.text }
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nothing borrowed from it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// The bytes of one ring of a segment.
#[derive(Clone, Copy)]
pub struct Area<'a> {
    segment: &'a Segment,
    at: usize,
    bytes: usize,
}

impl RingMemory for Area<'_> {
    fn capacity(&self) -> u32 {
        self.bytes as u32
    }

    fn store(&self, at: u32, bytes: &[u8]) {
        assert!(at as usize + bytes.len() <= self.bytes, "a copy past the ring");
        // SAFETY: in bounds by the assertion. The other process may read or write the same bytes meanwhile; only raw
        // pointers touch them, and whatever it reads or leaves there is checked where it is used.
        unsafe {
            let to = self.segment.base.as_ptr().add(self.at + at as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    fn load(&self, at: u32, into: &mut [u8]) {
        assert!(at as usize + into.len() <= self.bytes, "a copy past the ring");
        // SAFETY: as above.
        unsafe {
            let from = self.segment.base.as_ptr().add(self.at + at as usize);
            std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len());
        }
    }

    fn append(&self, at: u32, count: usize, into: &mut Vec<u8>) {
        assert!(at as usize + count <= self.bytes, "a copy past the ring");
        into.reserve(count);
        // SAFETY: in bounds by the assertion; as above for the other process. The bytes behind the vector's length were
        // just reserved, and are written before the length covers them.
        unsafe {
            let from = self.segment.base.as_ptr().add(self.at + at as usize);
            std::ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(into.len()), count);
            into.set_len(into.len() + count);
        }
    }
}

/// The size of a segment with valid capacities: 3 GiB and a page at most.
fn file_bytes(capacities: layout::Capacities) -> libc::off_t {
    libc::off_t::try_from(capacities.segment_bytes()).unwrap_or(libc::off_t::MAX)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
