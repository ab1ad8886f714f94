//! Reads a file from its beginning to where it ends when that is reached. It is read, never mapped: another process may
//! truncate a mapped file, and touching what is gone then would end this one.

use super::feed::{End, Failure, Feed};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
};

/// What a thread of a [`Feed`] does. Pipes, terminals and the like are waited for, but not once nobody wants them.
pub fn read_file(path: &Path, feed: &Feed) -> End {
    // Without O_NONBLOCK, opening a pipe would wait for somebody who writes to it, and nothing could end that.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut file = opened.map_err(|error| Failure::new("open", &error))?;
    let kind = file.metadata().map_err(|error| Failure::new("fstat", &error))?.file_type();
    let may_wait = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    while let Some(mut part) = feed.part() {
        // What was read before is overwritten; only what was never written has to be filled.
        part.resize(PART, 0);
        if may_wait && !wait(&file, feed).map_err(|error| Failure::new("poll", &error))? {
            break;
        }
        let count = match read(&mut file, &mut part) {
            Ok(0) => break,
            Ok(count) => count,
            // Somebody else has read it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(Failure::new("read", &error)),
        };
        part.truncate(count);
        feed.push(part);
    }
    Ok(())
}

fn read(file: &mut File, part: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits until there is something to read, or an end; false: nobody wants it.
fn wait(file: &File, feed: &Feed) -> io::Result<bool> {
    let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(file.as_raw_fd()), entry(feed.left.as_raw_fd())];
    loop {
        // SAFETY: two live entries, both with an open descriptor.
        if unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) } >= 0 {
            return Ok(entries[1].revents == 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Measured from 64 KiB to 4 MiB: from 256 KiB on it makes no difference.
const PART: usize = 256 << 10;
