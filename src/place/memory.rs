//! Whether a worker process ran out of memory: the limit that the pool has set, and Node's own word for its heap.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, FromRawFd, OwnedFd},
    os::unix::fs::FileExt,
    time::Duration,
};

/// How often a process is looked at. A task that fills memory at 5 GB/s, which is about the most, is 250 MB over then.
pub const INTERVAL: Duration = Duration::from_millis(50);

/// The reason for an end, for JavaScript.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutOfMemory {
    /// What the process had when it was over its limit, and the limit, in bytes; neither where the heap was full.
    pub rss: Option<u64>,
    pub limit: Option<u64>,
}

/// Bytes of memory that is the process's own: anonymous and resident. Rings and segments that it shares with us are not
/// counted, nor are files that it maps. None if it has ended.
#[must_use]
pub fn own_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes << 10)
}

/// Where Node writes its report when the heap is full: memory without a name, inherited by the worker. (The signal that
/// then ends it proves nothing: `process.abort()` ends with the same.)
#[derive(Debug)]
pub struct Report(File);

impl Report {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the name is a literal with its terminating zero; the result is checked.
        let fd = unsafe { libc::memfd_create(c"millrace-report".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and ours alone.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// The same, for the child.
    pub fn inherited(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Whether it says that the heap was full. The worker can write here whatever it wants, about itself alone.
    #[must_use]
    pub fn says_heap_full(&self) -> bool {
        let mut head = [0; HEAD_BYTES];
        let Ok(length) = self.0.read_at(&mut head, 0) else { return false };
        head[..length].windows(HEAP_FULL.len()).any(|bytes| bytes == HEAP_FULL)
    }
}

/// What Node writes into the header of a compact report. In a JSON text such quotes cannot stand inside a string.
const HEAP_FULL: &[u8] = br#""trigger":"OOMError""#;
/// The header stands first, and only a message of Node's own before this.
const HEAD_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn report(text: &[u8]) -> bool {
        let mut report = Report::new().unwrap();
        report.0.write_all(text).unwrap();
        report.says_heap_full()
    }

    #[test]
    fn a_report_of_a_full_heap_is_known() {
        assert!(report(
            br#"{"header":{"reportVersion":5,"event":"Allocation failed","trigger":"OOMError","filename":"7"}}"#
        ));
    }

    #[test]
    fn other_reports_and_nonsense_are_not() {
        assert!(!report(b""));
        assert!(!report(br#"{"header":{"reportVersion":5,"event":"x","trigger":"FatalError"}}"#));
        assert!(!report(br#"{"header":{"event":"\"trigger\":\"OOMError\"","trigger":"FatalError"}}"#));
        assert!(!report(&vec![0xff; 1 << 20]));
        let far = [vec![b' '; 1 << 20], HEAP_FULL.to_vec()].concat();
        assert!(!report(&far), "only the head is read");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_report_or_none(mut bytes: Vec<u8>, at in 0usize..5000, says: bool) {
            if says {
                bytes.resize(at, b' ');
                bytes.extend_from_slice(HEAP_FULL);
            }
            let is_in_head = bytes[..bytes.len().min(HEAD_BYTES)].windows(HEAP_FULL.len()).any(|some| some == HEAP_FULL);
            proptest::prop_assert_eq!(report(&bytes), is_in_head);
        }
    }

    #[test]
    fn our_own_memory_grows_with_what_we_take() {
        let before = own_bytes(std::process::id()).unwrap();
        let taken = vec![1u8; 64 << 20];
        let after = own_bytes(std::process::id()).unwrap();
        assert!(after >= before + (60 << 20), "{before} {after} {}", taken[1000]);
        assert_eq!(own_bytes(u32::MAX), None);
    }
}
