//! A child process, started without a copy of this one. `fork` copies the page tables of Node and of all that it holds,
//! and then every page that either of them writes to; that took longer than many a program runs. Here the child borrows
//! our memory until it runs its program, and the thread that starts it sleeps so long (`CLONE_VM | CLONE_VFORK`, as
//! `posix_spawn` does it, which cannot set what we set).

use super::limits::Limits;
use std::{
    ffi::{CString, OsStr, OsString, c_char, c_int, c_void},
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::Path,
    process::ExitStatus,
    ptr,
};

/// What becomes of the child's stdin, or of its stdout. Its stderr is always a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Ours, where it is open.
    Inherited,
    /// /dev/null.
    Nothing,
    Piped,
}

/// What is to be started.
#[derive(Debug)]
pub struct Start<'a> {
    pub program: &'a OsStr,
    pub args: Vec<OsString>,
    pub env: &'a [(OsString, OsString)],
    pub cwd: Option<&'a Path>,
    pub stdin: End,
    pub stdout: End,
    /// What it inherits beside those, under the same numbers.
    pub fds: &'a [RawFd],
    pub limits: Limits,
}

/// A child process, and our ends of its pipes.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    status: Option<ExitStatus>,
}

impl Child {
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, and lets go of its number.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let mut status = 0;
        loop {
            // SAFETY: a plain system call on our own child, which writes into a live integer.
            if unsafe { libc::waitpid(self.pid.cast_signed(), &raw mut status, 0) } >= 0 {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        let status = ExitStatus::from_raw(status);
        self.status = Some(status);
        Ok(status)
    }

    /// Best effort: it is reported as not started, so it must not run.
    pub fn give_up(&mut self) {
        if self.status.is_none() {
            // SAFETY: a plain system call; the number is its own as long as it was not waited for.
            unsafe { libc::kill(self.pid.cast_signed(), libc::SIGKILL) };
            let _ = self.wait();
        }
    }
}

/// Starts a child in a process group of its own, which ends when the calling thread does. It is there when this comes back,
/// and its program runs; why it does not is the error, as [`Limits::apply`] gives it where a limit was refused.
pub fn start(start: &Start<'_>) -> io::Result<Child> {
    let (mut stdin, mut stdout, mut stderr) = (None, None, None);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let child_end = |end: End, ours: &mut Option<OwnedFd>, reads: bool| match end {
        End::Inherited => Ok(None),
        End::Nothing => above_stdio(null.as_raw_fd()).map(Some),
        End::Piped => {
            let (reader, writer) = pipe()?;
            let (mine, its) = if reads { (writer, reader) } else { (reader, writer) };
            *ours = Some(mine);
            above_stdio(its.as_raw_fd()).map(Some)
        }
    };
    let ends = [
        child_end(start.stdin, &mut stdin, true)?,
        child_end(start.stdout, &mut stdout, false)?,
        child_end(End::Piped, &mut stderr, false)?,
    ];

    let args: Vec<CString> = std::iter::once(start.program)
        .chain(start.args.iter().map(OsString::as_os_str))
        .map(text)
        .collect::<Result<_, _>>()?;
    let env: Vec<CString> = start
        .env
        .iter()
        .map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            text(&pair)
        })
        .collect::<Result<_, _>>()?;
    let files = files(start.program, start.env)?;
    let cwd = start.cwd.map(|cwd| text(cwd.as_os_str())).transpose()?;

    let args: Vec<*const c_char> = pointers(&args).collect();
    let shell_args: Vec<*const c_char> = std::iter::once(SHELL.as_ptr()).chain(args.iter().copied()).collect();
    let mut plan = Plan {
        files: pointers(&files).collect(),
        args,
        shell_args,
        env: pointers(&env).collect(),
        cwd: cwd.as_ref().map_or(ptr::null(), |cwd| cwd.as_ptr()),
        ends: ends.each_ref().map(|end| end.as_ref().map_or(-1, AsRawFd::as_raw_fd)),
        fds: start.fds,
        limits: start.limits,
        parent: std::process::id().cast_signed(),
        error: 0,
    };
    let pid = borrowing(&mut plan)?;
    let mut child = Child { pid, stdin, stdout, stderr, status: None };
    if plan.error != 0 {
        let _ = child.wait();
        return Err(io::Error::from_raw_os_error(plan.error));
    }
    Ok(child)
}

/// All that the child needs, made before it is there: it shares our memory, and may allocate nothing.
struct Plan<'a> {
    /// The files that the program may be, one after the other.
    files: Vec<*const c_char>,
    args: Vec<*const c_char>,
    /// For a file that is no program, but may be a script without a first line: the second one is the file.
    shell_args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: *const c_char,
    ends: [RawFd; 3],
    fds: &'a [RawFd],
    limits: Limits,
    parent: libc::pid_t,
    /// Written by the child, read when it has gone or runs its program: the number of why it does not.
    error: c_int,
}

/// Makes the child. All signals are blocked meanwhile: a handler of ours must not run in it.
fn borrowing(plan: &mut Plan<'_>) -> io::Result<u32> {
    let mut stack = vec![0u128; STACK_BYTES / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: zeroes are a value of a signal set, which is filled before it is read.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // SAFETY: plain calls on live sets. `clone`: the stack is aligned, the child's alone, and lives until this thread goes
    // on, which is when the child has another memory or is gone; so does the plan, which nobody else looks at meanwhile.
    let (pid, error) = unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        let pid = libc::clone(run, top, flags, ptr::from_mut(plan).cast());
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        (pid, error)
    };
    if pid < 0 { Err(error) } else { Ok(pid.cast_unsigned()) }
}

/// What the child does. Only async-signal-safe calls: nothing is allocated, nothing locked, nothing unwinds.
extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: the plan of the thread that sleeps for us.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.error = become_program(plan);
    // SAFETY: ends this process alone, without anything that is to be done at exit.
    unsafe { libc::_exit(127) }
}

/// Comes back only with the number of an error.
fn become_program(plan: &mut Plan<'_>) -> c_int {
    // SAFETY: plain system calls, on memory that the plan keeps alive. The vectors end with a null.
    unsafe {
        // Handlers of ours would run in our memory; with the program they are gone anyway.
        for signal in 1..=LAST_SIGNAL {
            let mut action: libc::sigaction = std::mem::zeroed();
            let is_ours = libc::sigaction(signal, ptr::null(), &raw mut action) == 0
                && (action.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE)
                && action.sa_sigaction != libc::SIG_DFL;
            if is_ours {
                action = std::mem::zeroed();
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());

        // Ctrl-C reaches the parent alone.
        if libc::setpgid(0, 0) < 0 {
            return last_error();
        }
        for (at, &end) in (0..).zip(&plan.ends) {
            if end >= 0 && libc::dup2(end, at) < 0 {
                return last_error();
            }
        }
        if !plan.cwd.is_null() && libc::chdir(plan.cwd) < 0 {
            return last_error();
        }
        // Of a worker of ours, until its own watcher looks after its group; see `binding::worker`.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != plan.parent {
            libc::_exit(1);
        }
        // Node marks its own stdio close-on-exec too. Where our stdout is closed, the child's is.
        libc::fcntl(libc::STDOUT_FILENO, libc::F_SETFD, 0);
        for &fd in plan.fds {
            if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                return last_error();
            }
        }
        // Last: with fewer descriptors, or less time, what is above could fail.
        if let Err(error) = plan.limits.apply() {
            return error.raw_os_error().unwrap_or(libc::EINVAL);
        }
        let mut denied = false;
        for &file in plan.files.iter().take_while(|file| !file.is_null()) {
            libc::execve(file, plan.args.as_ptr(), plan.env.as_ptr());
            match last_error() {
                libc::ENOEXEC => {
                    plan.shell_args[1] = file;
                    libc::execve(SHELL.as_ptr(), plan.shell_args.as_ptr(), plan.env.as_ptr());
                    return last_error();
                }
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                error => return error,
            }
        }
        if denied { libc::EACCES } else { libc::ENOENT }
    }
}

fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// As `execvp` looks for a program, in the `PATH` that it is going to have.
fn files(program: &OsStr, env: &[(OsString, OsString)]) -> io::Result<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![text(program)?]);
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(OsStr::new(DEFAULT_PATH), |(_, path)| path);
    let folders = path.as_bytes().split(|byte| *byte == b':');
    let file = |folder: &[u8]| {
        let folder = if folder.is_empty() { b"." } else { folder };
        text(OsStr::from_bytes(&[folder, b"/", program.as_bytes()].concat()))
    };
    folders.map(file).collect()
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// With a null behind them.
fn pointers(texts: &[CString]) -> impl Iterator<Item = *const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()])
}

/// Its reading and its writing end.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just made, and are ours alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// The same under a number that is none of the first three, to which the child's ends are copied. Ours may be closed.
fn above_stdio(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call on an open descriptor.
    let fd = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

const SHELL: &std::ffi::CStr = c"/bin/sh";
/// What glibc takes where there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Linux has no more.
const LAST_SIGNAL: c_int = 64;
/// Some calls deep, each with little: the largest is a `sigaction`.
const STACK_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Read};

    fn plan<'a>(program: &'a str, args: &[&str], env: &'a [(OsString, OsString)]) -> Start<'a> {
        let args = args.iter().map(OsString::from).collect();
        let (stdin, stdout) = (End::Nothing, End::Piped);
        Start { program: program.as_ref(), args, env, cwd: None, stdin, stdout, fds: &[], limits: Limits::default() }
    }

    /// What it writes, and how it ends.
    fn told(plan: &Start<'_>) -> (String, Option<i32>) {
        let mut child = start(plan).unwrap();
        let mut text = String::new();
        File::from(child.stdout.take().unwrap()).read_to_string(&mut text).unwrap();
        (text, child.wait().unwrap().code())
    }

    fn path(folders: &str) -> Vec<(OsString, OsString)> {
        vec![("PATH".into(), folders.into()), ("A".into(), "b c".into())]
    }

    #[test]
    fn it_has_its_arguments_its_environment_its_folder_and_nothing_else() {
        let env = path("/nowhere::/usr/bin:/bin");
        let _ours = File::open("/etc/passwd").unwrap();
        let script = "pwd; echo \"$1 $A\"; ls -l /proc/self/fd | grep -c /etc/passwd; exit 7";
        let plan = Start { cwd: Some(Path::new("/")), ..plan("sh", &["-c", script, "sh", "d  e"], &env) };
        assert_eq!(told(&plan), ("/\nd  e b c\n0\n".into(), Some(7)));
    }

    #[test]
    fn it_has_what_it_is_to_inherit_and_a_group_of_its_own() {
        let env = path("/usr/bin:/bin");
        let file = File::open("/dev/null").unwrap();
        let fds = [file.as_raw_fd()];
        let script = format!("readlink /proc/$$/fd/{}; cut -d ' ' -f 5 /proc/$$/stat; echo $$", fds[0]);
        let (text, _) = told(&Start { fds: &fds, ..plan("sh", &["-c", &script], &env) });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "/dev/null");
        assert_eq!(lines[1], lines[2], "its group has its number");
    }

    #[test]
    fn no_signal_is_blocked_and_a_broken_pipe_ends_it() {
        let env = path("/usr/bin:/bin");
        let (text, _) = told(&plan("grep", &["-E", "Sig(Blk|Cgt)|SigIgn", "/proc/self/status"], &env));
        let set = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            u64::from_str_radix(line.split_ascii_whitespace().nth(1).unwrap(), 16).unwrap()
        };
        assert_eq!((set("SigBlk"), set("SigIgn") & 1 << (libc::SIGPIPE - 1)), (0, 0), "{text}");
    }

    #[test]
    fn why_it_cannot_be_started_is_known_and_nothing_is_left() {
        let env = path("/usr/bin:/bin");
        for (program, number) in
            [("no-such-program", libc::ENOENT), ("/", libc::EACCES), ("/dev/null/x", libc::ENOTDIR)]
        {
            let error = start(&plan(program, &[], &env)).unwrap_err();
            assert!([number, libc::ENOENT].contains(&error.raw_os_error().unwrap()), "{program}: {error}");
        }
        let error = start(&Start { cwd: Some(Path::new("/no/such")), ..plan("sh", &[], &env) }).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let long = "x".repeat(1 << 20);
        assert_eq!(start(&plan("echo", &[&long], &env)).unwrap_err().raw_os_error(), Some(libc::E2BIG));
        assert_eq!(start(&plan("a\0b", &[], &env)).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_script_without_a_first_line_is_for_the_shell() {
        use std::os::unix::fs::PermissionsExt;
        let file = std::env::temp_dir().join(format!("millrace-script-{}", std::process::id()));
        std::fs::write(&file, "echo \"$0 $1\"\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        let env = path("/bin");
        let result = told(&plan(file.to_str().unwrap(), &["one"], &env));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(result, (format!("{} one\n", file.display()), Some(0)));
    }
}
