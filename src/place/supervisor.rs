//! The supervisor: one thread for the whole process, which starts worker processes, sees them end, and wakes engines
//! when their time has come. It lives as long as the process, because children are told to die with the thread that
//! started them.

use super::{
    Exit, Pool,
    command::Speaker,
    limits::refusal,
    memory::{self, Report},
    output::{Listener, Outputs, Tail},
    pool::Core,
    spare::{self, Spare},
    spawn::{Inherited, Launch, Process, kill_group, terminate_group},
    timekeeper::keep_time,
};
use crate::engine::WorkerId;
use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::OsString,
    io::{self, Write},
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// Where the ends of workers are put for their place to find.
pub type Exits = Arc<Mutex<Vec<Exit>>>;
/// One start of one process.
pub type LaunchId = u64;

/// The processes of one pool that run: their numbers, and what they write to stderr.
#[derive(Debug, Default)]
pub struct Started {
    numbers: Mutex<Numbers>,
    first: Condvar,
}

#[derive(Debug, Default)]
struct Numbers {
    running: HashMap<WorkerId, (u32, Tail)>,
    first: Option<u32>,
}

impl Started {
    /// The number of a process that runs.
    pub fn pid(&self, worker: WorkerId) -> Option<u32> {
        lock(&self.numbers).running.get(&worker).map(|(pid, _)| *pid)
    }

    /// The end of what a process that runs has written to stderr.
    pub fn stderr(&self, worker: WorkerId) -> Option<String> {
        lock(&self.numbers).running.get(&worker).map(|(_, tail)| tail.text())
    }

    /// The number of the first process, waited for: it is started on another thread. 0: it could not be.
    pub fn first_pid(&self) -> u32 {
        let numbers = self.first.wait_while(lock(&self.numbers), |numbers| numbers.first.is_none());
        numbers.unwrap_or_else(PoisonError::into_inner).first.unwrap_or(0)
    }

    fn insert(&self, worker: WorkerId, process: Option<&Process>) {
        let mut numbers = lock(&self.numbers);
        if let Some(process) = process {
            numbers.running.insert(worker, (process.pid(), process.tail().clone()));
        }
        numbers.first.get_or_insert(process.map_or(0, Process::pid));
        self.first.notify_all();
    }

    /// A process could not be started, by whoever was to ask for it.
    pub fn refused(&self, worker: WorkerId) {
        self.insert(worker, None);
    }

    fn remove(&self, worker: WorkerId) {
        lock(&self.numbers).running.remove(&worker);
    }
}

/// A worker process to start.
pub struct Start {
    pub id: LaunchId,
    pub worker: WorkerId,
    pub launch: Arc<Launch>,
    pub kind: StartKind,
    pub exits: Exits,
    pub outputs: Outputs,
    pub started: Arc<Started>,
    pub pool: Weak<Pool>,
}

/// What is started.
pub enum StartKind {
    /// A worker of ours.
    Worker {
        inherited: Inherited,
        report: Report,
        /// Our end of the control socket: the worker ends when it closes.
        control: OwnedFd,
    },
    /// Somebody's program.
    Command { args: Vec<OsString>, speaker: Speaker },
}

/// Where the supervisor takes its work from, once it runs.
static JOBS: Mutex<Option<mpsc::UnboundedSender<Job>>> = Mutex::new(None);

enum Job {
    Start(Box<Start>),
    Kill(LaunchId),
    Terminate(LaunchId),
    Watch(Weak<Pool>),
    WatchMemory(Weak<Pool>, u64),
    WatchSpare(Weak<Spare>),
}

/// Starts a process; its end goes to `exits` and wakes the pool.
pub fn start(start: Start) {
    send(Job::Start(Box::new(start)));
}

/// Kills a process and its group, if it still runs.
pub fn kill(id: LaunchId) {
    send(Job::Kill(id));
}

/// Asks a process and its group to end, if it still runs.
pub fn terminate(id: LaunchId) {
    send(Job::Terminate(id));
}

/// Wakes the pool's engine at its deadlines, as long as the pool lives. To be called before anything is started for it:
/// fails where there is no supervisor, and none can be made.
pub fn watch(pool: &Arc<Pool>) -> io::Result<()> {
    let mut jobs = lock(&JOBS);
    if jobs.is_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("millrace".into()).spawn(move || run(&runtime, receiver))?;
        *jobs = Some(sender);
    }
    drop(jobs);
    send(Job::Watch(Arc::downgrade(pool)));
    Ok(())
}

/// Tells the pool's engine when the machine has less than `least` bytes of memory left, and when it has more again.
pub fn watch_memory(pool: &Arc<Pool>, least: u64) {
    send(Job::WatchMemory(Arc::downgrade(pool), least));
}

/// Gives the memory of a large copy back when it was not used for a while.
pub fn watch_spare(spare: &Arc<Spare>) {
    send(Job::WatchSpare(Arc::downgrade(spare)));
}

#[must_use]
pub fn next_launch_id() -> LaunchId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn send(job: Job) {
    if let Some(jobs) = &*lock(&JOBS) {
        // The thread never ends, so there is always a receiver.
        let _ = jobs.send(job);
    }
}

fn run(runtime: &tokio::runtime::Runtime, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let forward = forwarder();
    // Processes that run: an entry goes before the process is waited for, so that a kill never hits a stranger.
    let running: Rc<RefCell<HashMap<LaunchId, u32>>> = Rc::default();
    tokio::task::LocalSet::new().block_on(runtime, async move {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Start(start) => begin(*start, forward.clone(), Rc::clone(&running)),
                Job::Kill(id) => {
                    if let Some(pid) = running.borrow().get(&id) {
                        kill_group(*pid);
                    }
                }
                Job::Terminate(id) => {
                    if let Some(pid) = running.borrow().get(&id) {
                        terminate_group(*pid);
                    }
                }
                Job::Watch(pool) => {
                    tokio::task::spawn_local(keep_time(pool));
                }
                Job::WatchMemory(pool, least) => {
                    tokio::task::spawn_local(keep_memory(pool, least));
                }
                Job::WatchSpare(spare) => {
                    tokio::task::spawn_local(keep_spare(spare));
                }
            }
        }
    });
}

/// Starts the process here and now, so that a kill that was asked for later finds it.
fn begin(start: Start, forward: mpsc::Sender<Vec<u8>>, running: Rc<RefCell<HashMap<LaunchId, u32>>>) {
    let Start { id, worker, launch, kind, exits, outputs, started, pool } = start;
    let listener = Listener { worker, outputs, pool: Weak::clone(&pool) };
    let (process, control) = match kind {
        // The child has its own `inherited` now, and sees ours close only if there is no other.
        StartKind::Worker { inherited, report, control } => {
            (Process::start(&launch, &inherited, report, forward, &listener), Some(control))
        }
        StartKind::Command { args, speaker } => {
            (Process::start_command(&launch, args, speaker, forward, &listener), None)
        }
    };
    if let Ok(process) = &process {
        running.borrow_mut().insert(id, process.pid());
    }
    started.insert(worker, process.as_ref().ok());
    // A program does not say itself that it is ready.
    if let (Ok(_), None, Some(pool)) = (&process, &control, pool.upgrade()) {
        tell(&pool);
    }
    tokio::task::spawn_local(async move {
        let forget = || {
            running.borrow_mut().remove(&id);
        };
        let exit = match process {
            Ok(process) => process.end(forget).await,
            Err(error) => {
                // Of a limit that was refused it says which, too.
                let spawn_errno = refusal(&error).map_or(error.raw_os_error(), |(_, why)| why.raw_os_error());
                Exit { spawn_error: Some(launch.why(&error)), spawn_errno, ..Exit::default() }
            }
        };
        started.remove(worker);
        drop(control);
        lock(&exits).push(Exit { worker, ..exit });
        if let Some(pool) = pool.upgrade() {
            tell(&pool);
        }
    });
}

/// There is something for a pool to find.
pub fn tell(pool: &Pool) {
    serve(pool, Core::pump);
}

async fn keep_memory(pool: Weak<Pool>, least: u64) {
    let mut look = tokio::time::interval(memory::INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = false;
    loop {
        look.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        // What cannot be told is not short.
        let low = memory::available().is_some_and(|bytes| bytes < least);
        if low != before {
            before = low;
            serve(&pool, |core| core.memory(low));
        }
    }
}

async fn keep_spare(spare: Weak<Spare>) {
    loop {
        tokio::time::sleep(spare::LARGE_KEPT_FOR).await;
        if !spare.upgrade().is_some_and(|spare| spare.forget_large()) {
            return;
        }
    }
}

/// Does something with a pool, and wakes JavaScript for what came of it.
pub(super) fn serve<T: Default>(pool: &Pool, act: impl FnOnce(&mut Core) -> T) -> T {
    // A panic would end the task, and nobody would ever hear of it. JavaScript, which is woken, finds what there is; its
    // own calls throw what they run into.
    let result = catch_unwind(AssertUnwindSafe(|| pool.with(act)));
    pool.bell.ring();
    result.unwrap_or_default()
}

/// A thread that passes workers' stderr on to ours. Its queue is short: where our stderr is slow, workers wait.
fn forwarder() -> mpsc::Sender<Vec<u8>> {
    let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(16);
    let passing = move || {
        while let Some(bytes) = receiver.blocking_recv() {
            write_stderr(&bytes);
        }
    };
    // Without it, workers' stderr is only kept for their errors.
    let _ = std::thread::Builder::new().name("millrace-stderr".into()).spawn(passing);
    sender
}

/// Writes to our stderr, which Node may have made non-blocking. Where it is closed there is nobody to tell.
fn write_stderr(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match io::stderr().write(bytes) {
            Ok(0) => return,
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
                // SAFETY: one live pollfd.
                unsafe { libc::poll(&raw mut stderr, 1, -1) };
            }
            Err(_) => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
