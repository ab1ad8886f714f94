//! What a worker process may use of the machine, set in the child between fork and exec.

use std::{fmt, io};

/// Limits of each worker process; the system's own where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Added to our own niceness.
    pub nice_increment: i32,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// Descriptors that are open at the same time.
    pub open_files: Option<u64>,
    /// Bytes of a core dump.
    pub core_size: Option<u64>,
}

/// What was to be set, in the words of the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    NiceIncrement = 1,
    CpuSeconds = 2,
    OpenFiles = 3,
    CoreSize = 4,
}

impl Limits {
    /// Sets them for the process that calls this. Only async-signal-safe calls: plain system calls, no allocation. The
    /// error has a number that [`refusal`] reads.
    pub fn apply(&self) -> io::Result<()> {
        if self.nice_increment > 0 {
            raise_niceness(self.nice_increment).map_err(|error| marked(Limit::NiceIncrement, &error))?;
        }
        if let Some(seconds) = self.cpu_seconds {
            // SIGXCPU first; a task that catches it has one second more.
            set(libc::RLIMIT_CPU, seconds, 1).map_err(|error| marked(Limit::CpuSeconds, &error))?;
        }
        if let Some(files) = self.open_files {
            // The hard limit too: Node raises the soft one to it when it starts.
            set(libc::RLIMIT_NOFILE, files, 0).map_err(|error| marked(Limit::OpenFiles, &error))?;
        }
        if let Some(bytes) = self.core_size {
            set(libc::RLIMIT_CORE, bytes, 0).map_err(|error| marked(Limit::CoreSize, &error))?;
        }
        Ok(())
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NiceIncrement => "niceIncrement",
            Self::CpuSeconds => "rlimits.cpuSeconds",
            Self::OpenFiles => "rlimits.openFiles",
            Self::CoreSize => "rlimits.coreSize",
        })
    }
}

/// Which limit could not be set, and why, if that is what the error of a start says.
#[must_use]
pub fn refusal(error: &io::Error) -> Option<(Limit, io::Error)> {
    let number = error.raw_os_error()?;
    let limit =
        [Limit::NiceIncrement, Limit::CpuSeconds, Limit::OpenFiles, Limit::CoreSize].into_iter().find(|limit| {
            // The number of a limit stands above all numbers of errors.
            number >> ERRNO_BITS == *limit as i32
        })?;
    Some((limit, io::Error::from_raw_os_error(number & ((1 << ERRNO_BITS) - 1))))
}

/// Of what fails in the child, only the number of the error comes back to us. Linux has none above 4095, so there is room
/// for the limit.
fn marked(limit: Limit, error: &io::Error) -> io::Error {
    let number = error.raw_os_error().unwrap_or(libc::EINVAL);
    io::Error::from_raw_os_error((limit as i32) << ERRNO_BITS | number)
}

const ERRNO_BITS: u32 = 12;

fn set(resource: libc::__rlimit_resource_t, soft: u64, more: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call, on a live struct.
    if unsafe { libc::getrlimit(resource, &raw mut now) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // `more` only as far as it needs no privilege.
    let hard = if soft <= now.rlim_max { soft.saturating_add(more).min(now.rlim_max) } else { soft };
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(resource, &raw const limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn raise_niceness(by: i32) -> io::Result<()> {
    // SAFETY: a plain system call. 0 is the caller.
    let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: as above. Beyond 19 it is 19. A negative result of the first call is a niceness, or an error that this one
    // has too.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, now.saturating_add(by)) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_start_names_the_limit_that_was_refused() {
        for limit in [Limit::NiceIncrement, Limit::CpuSeconds, Limit::OpenFiles, Limit::CoreSize] {
            let (named, why) = refusal(&marked(limit, &io::Error::from_raw_os_error(libc::EPERM))).unwrap();
            assert_eq!((named, why.raw_os_error()), (limit, Some(libc::EPERM)));
        }
    }

    #[test]
    fn other_errors_name_none() {
        for number in [0, libc::ENOENT, libc::EPERM, 4095, -1, i32::MAX] {
            assert!(refusal(&io::Error::from_raw_os_error(number)).is_none(), "{number}");
        }
        assert!(refusal(&io::Error::other("no number")).is_none());
    }
}
