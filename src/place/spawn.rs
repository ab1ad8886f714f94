//! How a worker process is started, watched and ended. Runs on the supervisor thread.

use super::{
    Exit,
    child::{self, Child, End},
    command::{Speaker, Speech},
    limits::{Limits, refusal},
    memory::{self, OutOfMemory, Report},
    output::{Listener, Output, Pipe, Sink, Stream, Tail},
};
use millrace_channel::parent::ParentEnd;
use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::Interest,
    io::unix::AsyncFd,
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

/// How long to read on after the exit: a grandchild may hold a pipe open.
const LINGER: Duration = Duration::from_millis(100);

/// What the worker processes of a pool are started with.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: OsString,
    /// Before the descriptors, which are added as the last argument.
    pub args: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    pub cwd: Option<PathBuf>,
    pub stdout: Output,
    pub stderr: Output,
    pub limits: Limits,
    /// Most bytes of memory of its own.
    pub max_memory: Option<u64>,
    /// One process is started, never another.
    pub once: bool,
}

/// What a child inherits, kept open here until it is started.
#[derive(Debug)]
pub struct Inherited([OwnedFd; 5]);

impl Inherited {
    /// The child's ends of the channel, and of the control socket, and where it writes a report.
    pub fn new(end: &ParentEnd, control: OwnedFd, report: &Report) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let (segment, worker_bell, parent_bell) = end.inherited();
        Ok(Self([
            segment.as_fd().try_clone_to_owned()?,
            worker_bell.as_fd().try_clone_to_owned()?,
            parent_bell.as_fd().try_clone_to_owned()?,
            control,
            report.inherited()?,
        ]))
    }
}

/// A started worker process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
    /// The end of its stderr.
    tail: Tail,
    pidfd: AsyncFd<OwnedFd>,
    max_memory: Option<u64>,
    /// None of a command.
    report: Option<Report>,
    /// What is spoken over stdin and stdout; nothing with a worker of ours.
    speech: Option<Speech>,
}

/// A pair of connected sockets, neither of them inherited by itself. Nothing is sent: the worker sees ours close.
pub fn control_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just made, and are ours alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

impl Process {
    /// Starts a process in a group of its own, which ends when the thread that calls this does. What it writes to stderr
    /// goes to `forward` where ours is inherited; to `listener` goes what is piped.
    pub fn start(
        launch: &Launch,
        inherited: &Inherited,
        report: Report,
        forward: mpsc::Sender<Vec<u8>>,
        listener: &Listener,
    ) -> io::Result<Self> {
        let fds: [RawFd; 5] = std::array::from_fn(|at| inherited.0[at].as_raw_fd());
        let list = fds.map(|fd| fd.to_string()).join(",");
        let args = launch.args.iter().cloned().chain([list.into()]);
        let stdout = match launch.stdout {
            Output::Inherit => End::Inherited,
            Output::Ignore => End::Nothing,
            Output::Pipe => End::Piped,
        };
        // The parent's stdin is not shared.
        let mut child = spawn(launch, args.collect(), End::Nothing, stdout, &fds)?;
        let stdout = Pipe::new(child.stdout.take(), listener.sink(Stream::Stdout), None);
        Self::watch(child, launch, stdout, Some(report), None, forward, listener)
    }

    /// Starts a program that is no worker of ours, in the same way. `speaker` gets its stdin and stdout.
    pub fn start_command(
        launch: &Launch,
        args: Vec<OsString>,
        speaker: Speaker,
        forward: mpsc::Sender<Vec<u8>>,
        listener: &Listener,
    ) -> io::Result<Self> {
        let stdin = if speaker.asks() { End::Piped } else { End::Nothing };
        let mut child = spawn(launch, args, stdin, End::Piped, &[])?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let speech = speaker.open(stdin, stdout, child.id()).inspect_err(|_| child.give_up())?;
        let stdout = Pipe::new(None, Sink::Dropped, None);
        Self::watch(child, launch, stdout, None, Some(speech), forward, listener)
    }

    fn watch(
        mut child: Child,
        launch: &Launch,
        stdout: Pipe,
        report: Option<Report>,
        speech: Option<Speech>,
        forward: mpsc::Sender<Vec<u8>>,
        listener: &Listener,
    ) -> io::Result<Self> {
        let sink = match launch.stderr {
            Output::Inherit => Sink::Ours(forward),
            Output::Ignore => Sink::Dropped,
            Output::Pipe => listener.sink(Stream::Stderr),
        };
        let tail = Tail::default();
        let stderr = Pipe::new(child.stderr.take(), sink, Some(tail.clone()));
        match pidfd(child.id()) {
            Ok(pidfd) => Ok(Self { child, stdout, stderr, tail, pidfd, max_memory: launch.max_memory, report, speech }),
            Err(error) => {
                child.give_up();
                Err(error)
            }
        }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Waits for the end, then ends what it has left in its group; reads what it writes meanwhile. `before_wait` is called
    /// while the process's number is still its own.
    pub async fn end(mut self, before_wait: impl FnOnce()) -> Exit {
        let pid = self.pid();
        let mut look = tokio::time::interval(memory::INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut out_of_memory = None;
        loop {
            tokio::select! {
                _ = self.pidfd.readable() => break,
                _ = look.tick(), if self.max_memory.is_some() && out_of_memory.is_none() => {
                    let (limit, rss) = (self.max_memory, memory::own_bytes(pid));
                    if rss > limit {
                        out_of_memory = Some(OutOfMemory { rss, limit });
                        // Not waited for yet: the number is its own.
                        kill_group(pid);
                    }
                }
                _ = self.stdout.read_some() => {}
                _ = self.stderr.read_some() => {}
                () = go_on(&mut self.speech) => {}
            }
        }
        // The process is a zombie until it is waited for, so its group's number cannot have been given away.
        kill_group(self.pid());
        let deadline = Instant::now() + LINGER;
        tokio::join!(self.stdout.finish(deadline), self.stderr.finish(deadline), finish(&mut self.speech, deadline));
        before_wait();
        let pid = Some(pid);
        let stderr = self.tail.text();
        let says_heap_full = || self.report.as_ref().is_some_and(Report::says_heap_full);
        let mut exit = match self.child.wait() {
            Ok(status) => Exit {
                pid,
                exit_code: status.code(),
                signal: status.signal().map(signal_name),
                stderr,
                out_of_memory: match status.signal() {
                    Some(libc::SIGKILL) => out_of_memory,
                    // With a report Node aborts, without one it is V8 that does.
                    Some(libc::SIGABRT | libc::SIGTRAP) if says_heap_full() => {
                        Some(OutOfMemory { rss: None, limit: None })
                    }
                    // It ended by itself before we could.
                    _ => None,
                },
                ..Exit::default()
            },
            Err(error) => Exit { pid, spawn_error: Some(error.to_string()), stderr, ..Exit::default() },
        };
        if let Some(speech) = self.speech {
            speech.end(&mut exit);
        }
        exit
    }
}

async fn go_on(speech: &mut Option<Speech>) {
    match speech {
        Some(speech) => speech.go_on().await,
        None => std::future::pending().await,
    }
}

async fn finish(speech: &mut Option<Speech>, deadline: Instant) {
    if let Some(speech) = speech {
        speech.finish(deadline).await;
    }
}

/// Starts a program in a group of its own, with the pool's environment and limits. It inherits `fds`. Its stderr always
/// comes through us: its end is kept for errors.
fn spawn(launch: &Launch, args: Vec<OsString>, stdin: End, stdout: End, fds: &[RawFd]) -> io::Result<Child> {
    let Launch { program, env, cwd, limits, .. } = launch;
    child::start(&child::Start { program, args, env, cwd: cwd.as_deref(), stdin, stdout, fds, limits: *limits })
}

impl Launch {
    /// Why a process could not be started, for a person. The system's number alone does not say what it is that is not there.
    #[must_use]
    pub fn why(&self, error: &io::Error) -> String {
        if let Some((limit, why)) = refusal(error) {
            return format!("{limit} was refused: {why}");
        }
        let cwd = self.cwd.as_deref().unwrap_or(Path::new("."));
        let (program, file) = (self.program.display(), cwd.join(&self.program));
        // Easily taken for what a shell reads.
        let hint = if self.program.as_bytes().contains(&b' ') {
            ": its arguments are an array of their own, or else the option shell is to be true"
        } else {
            ""
        };
        let found = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !cwd.is_dir() => {
                format!("there is no folder {}", cwd.display())
            }
            io::ErrorKind::NotFound if !self.program.as_bytes().contains(&b'/') => {
                format!("the command {program} does not exist in any folder of PATH{hint}")
            }
            io::ErrorKind::NotFound if file.exists() => {
                format!("what is to run {program} does not exist: see its first line")
            }
            io::ErrorKind::NotFound => format!("the command {program} does not exist{hint}"),
            io::ErrorKind::PermissionDenied if file.is_dir() => format!("{program} is a folder"),
            io::ErrorKind::PermissionDenied => format!("{program} is no program that may be run"),
            io::ErrorKind::ArgumentListTooLong => "an argument, or all of them, are too long".into(),
            _ => return error.to_string(),
        };
        format!("{found} ({error})")
    }
}

/// Ends a whole process group. The caller knows that its leader was not waited for yet.
pub fn kill_group(pid: u32) {
    // SAFETY: a plain system call. A group that is gone already is fine.
    unsafe { libc::kill(-pid.cast_signed(), libc::SIGKILL) };
}

/// Asks a whole process group to end, in the same way.
pub fn terminate_group(pid: u32) {
    // SAFETY: as above.
    unsafe { libc::kill(-pid.cast_signed(), libc::SIGTERM) };
}

fn pidfd(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: a plain system call; our own child, which nobody has waited for.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.cast_signed(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and ours alone. pidfds are close-on-exec by themselves.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    // SAFETY: an OwnedFd always gives the same descriptor, and keeps it open as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
