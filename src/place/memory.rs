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

/// Bytes of memory that this process and others could still take: what the machine has available, or its control group has
/// left, whichever is less. None where nothing tells.
#[must_use]
pub fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| field(&text, "MemAvailable:")).map(|kibibytes| kibibytes << 10);
    let group = read("/proc/self/cgroup").and_then(|groups| left_in_group(&groups, &read));
    machine.into_iter().chain(group).min()
}

/// What is left of the memory of a control group: its limit, less what it has that is no page cache.
fn left_in_group(groups: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    // "hierarchy:controllers:path"; version 2 has one hierarchy, without a name.
    let path_of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == wanted).then_some(path)
        })
    };
    let number = |path: String| read(&path)?.trim().parse::<u64>().ok();
    // Inside a container, the path is often that of the host, and the group is mounted at the top.
    let left = |folder: &str, limit: &str, used: &str, cache: &str| {
        let limit = number(format!("{folder}/{limit}"))?;
        let used = number(format!("{folder}/{used}"))?;
        let cache = read(&format!("{folder}/memory.stat")).and_then(|text| field(&text, cache)).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cache)))
    };
    let newer = path_of("").into_iter().chain([""]);
    let newer = newer.map(|path| format!("/sys/fs/cgroup{}", path.trim_end_matches('/')));
    let older = path_of("memory").into_iter().chain([""]);
    let older = older.map(|path| format!("/sys/fs/cgroup/memory{}", path.trim_end_matches('/')));
    newer
        .filter_map(|folder| left(&folder, "memory.max", "memory.current", "inactive_file"))
        .chain(older.filter_map(|folder| {
            left(&folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        }))
        .min()
}

/// The number that follows a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
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
    fn something_is_available_here() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn what_a_control_group_has_left() {
        let files = |files: &'static [(&str, &str)]| {
            move |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        };
        let newer = files(&[
            ("/sys/fs/cgroup/a/b/memory.max", "1000\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "700\n"),
            ("/sys/fs/cgroup/a/b/memory.stat", "anon 5\ninactive_file 200\n"),
        ]);
        assert_eq!(left_in_group("0::/a/b\n", &newer), Some(500));
        let unlimited = files(&[("/sys/fs/cgroup/memory.max", "max\n"), ("/sys/fs/cgroup/memory.current", "700\n")]);
        assert_eq!(left_in_group("0::/\n", &unlimited), None);
        let older = files(&[
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1200"),
        ]);
        assert_eq!(left_in_group("9:cpu:/x\n4:memory,hugetlb:/docker/1\n", &older), Some(0));
        assert_eq!(left_in_group("nonsense", &files(&[])), None);
        assert_eq!(field("MemAvailable:", "MemAvailable:"), None);
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
