//! A seeded simulation of everything around the engine, in virtual time: source, consumer, worker processes, faults.
//!
//! One schedule is one seed. Each draws a pool, some calls that share it and a mood (who crashes how often, how long
//! items take), runs until every call has finished and the pool is closed, and checks the invariants of the design at
//! each step: what is checked stands in the `check_*` functions and beside each action in [`Sim::perform`].
//!
//! `MILLRACE_SIM_SEEDS=100000` runs more of them, `MILLRACE_SIM_SEED=42` one alone, with its trace.
//!
//! Processes here are ahead of what the engine knows, as real ones are: an outcome is published first and read later, a
//! process is dead before its exit is seen, and actions wait now and then while other inputs come in.

// `call` and `cell` are the engine's words; flags in a model are checked one by one.
#![allow(clippy::similar_names, clippy::struct_excessive_bools)]

use super::{
    Action, CELLS, CallConfig, CallId, Cancel, ChunkId, Engine, Failure, Kept, MAX_AUTO_WINDOW, MAX_BARREN_DEATHS,
    Micros, Partition, PoolConfig, REST, Retry, Sent, Status, Why, Worker, WorkerId, tries,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

#[test]
fn schedules_keep_the_invariants() {
    if let Some(seed) = variable("MILLRACE_SIM_SEED") {
        return replay(seed, true);
    }
    let seeds = variable("MILLRACE_SIM_SEEDS").unwrap_or(SEEDS);
    let shares = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let seen = std::thread::scope(|scope| {
        let share = |first| move || (first..seeds).step_by(shares as usize).map(replay_quietly).collect::<Vec<Seen>>();
        let running: Vec<_> = (0..shares).map(|first| scope.spawn(share(first))).collect();
        let mut seen = Seen::default();
        for share in running {
            share.join().unwrap_or_else(|panic| resume_unwind(panic)).iter().for_each(|other| seen.add(other));
        }
        seen
    });
    // A simulation in which nothing happens proves nothing.
    println!("{seen:?}");
    assert!(seen.is_rich(), "too little happened: {seen:?}");
}

/// The numbers that name chunks run over after four thousand million of them.
#[test]
fn chunk_numbers_may_run_over() {
    for seed in 0..200 {
        let mut sim = Sim::new(seed, false);
        sim.first_sequence = u32::MAX - 2;
        guarded(seed, &mut sim);
    }
}

/// What goes wrong in how many schedules: `cargo test -p millrace --lib survey -- --ignored --nocapture`.
#[test]
#[ignore = "a tool, for when the engine is broken on purpose"]
fn survey() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut failures: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in 0..variable("MILLRACE_SIM_SEEDS").unwrap_or(SEEDS) {
        let mut sim = Sim::new(seed, false);
        if seed % 8 == 0 {
            sim.first_sequence = u32::MAX - 2;
        }
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| sim.run())) else { continue };
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let line = text.unwrap_or("?").lines().next().unwrap_or_default();
        let kind: String = line.chars().map(|char| if char.is_ascii_digit() { '#' } else { char }).collect();
        failures.entry(kind.replace("##", "#").replace("##", "#")).or_insert((0, seed)).0 += 1;
    }
    let _ = std::panic::take_hook();
    for (failure, (count, first)) in failures {
        println!("{count:>6} × {failure} (seed {first})");
    }
}

fn replay(seed: u64, trace: bool) {
    let mut sim = Sim::new(seed, trace);
    guarded(seed, &mut sim);
    println!("{}", sim.log);
}

fn replay_quietly(seed: u64) -> Seen {
    let mut sim = Sim::new(seed, false);
    guarded(seed, &mut sim);
    sim.seen
}

fn guarded(seed: u64, sim: &mut Sim) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sim.run())) {
        eprintln!("{}", sim.log);
        eprintln!("{}", sim.dump());
        eprintln!("failed: replay with MILLRACE_SIM_SEED={seed}");
        resume_unwind(panic);
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// How often what happened, over all schedules.
#[derive(Debug, Default)]
struct Seen {
    items: u64,
    lost: u64,
    ran_again: u64,
    suspects: u64,
    acquitted: u64,
    taken_back: u64,
    kills: u64,
    failed: u64,
    stopped: u64,
    cancelled: u64,
    violations: u64,
    /// Tries that failed, and after which there was another; verdicts that there was none.
    retried: u64,
    refused: u64,
    /// Items that were cut off, those for which their worker was killed, and crashes after which an item ran again.
    cut_off: u64,
    cut_off_kills: u64,
    /// Time-outs that a worker has heard of, and items that were in doubt when it died.
    heard: u64,
    doubts: u64,
    survived: u64,
    /// Values that were handed in with others.
    together: u64,
    /// Items with keys that began, and items that were taken back for others of a higher priority.
    keyed: u64,
    made_way: u64,
    /// Changes of the pool's size, and workers that went because of it.
    resized: u64,
    shrunk: u64,
    /// Workers that were replaced, had nothing to do, made room, or took too long to start.
    recycled: u64,
    /// Those of them whose successor was ready.
    relieved: u64,
    unused: u64,
    made_room: u64,
    given_up: u64,
    /// Workers that were killed because they did not end, and because they began nothing.
    lingered: u64,
    still: u64,
    events: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.items += other.items;
        self.lost += other.lost;
        self.ran_again += other.ran_again;
        self.suspects += other.suspects;
        self.acquitted += other.acquitted;
        self.taken_back += other.taken_back;
        self.kills += other.kills;
        self.failed += other.failed;
        self.stopped += other.stopped;
        self.cancelled += other.cancelled;
        self.violations += other.violations;
        self.together += other.together;
        self.retried += other.retried;
        self.refused += other.refused;
        self.cut_off += other.cut_off;
        self.cut_off_kills += other.cut_off_kills;
        self.heard += other.heard;
        self.doubts += other.doubts;
        self.survived += other.survived;
        self.keyed += other.keyed;
        self.made_way += other.made_way;
        self.resized += other.resized;
        self.shrunk += other.shrunk;
        self.recycled += other.recycled;
        self.relieved += other.relieved;
        self.unused += other.unused;
        self.made_room += other.made_room;
        self.given_up += other.given_up;
        self.lingered += other.lingered;
        self.still += other.still;
        self.events += other.events;
    }

    fn is_rich(&self) -> bool {
        self.events < 100_000
            || [
                self.items,
                self.lost,
                self.ran_again,
                self.suspects,
                self.acquitted,
                self.taken_back,
                self.kills,
                self.failed,
                self.stopped,
                self.cancelled,
                self.violations,
                self.together,
                self.retried,
                self.refused,
                self.cut_off,
                self.cut_off_kills,
                self.heard,
                self.doubts,
                self.survived,
                self.keyed,
                self.made_way,
                self.resized,
                self.shrunk,
                self.recycled,
                self.relieved,
                self.unused,
                self.made_room,
                self.given_up,
                self.lingered,
                self.still,
            ]
            .iter()
            .all(|count| *count > 5)
    }
}

/// What one schedule is like.
#[derive(Debug)]
struct Mood {
    /// Percent of workers that never become ready.
    fails_to_start: u64,
    /// Percent of workers that crash some time after they are ready.
    crashes: u64,
    /// Workers that crash do so at once.
    barren: bool,
    /// Percent of workers that write nonsense.
    hostile: u64,
    /// Percent of workers that begin nothing, and do not end when they are told to; all calls have a time-out then.
    freezes: u64,
    /// Typical microseconds of an item.
    item_micros: u64,
    /// Per thousand of items that take up to ten seconds.
    slow_items: u64,
    /// Percent of inputs after which the owner does not look at the actions at once.
    lazy_owner: u64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Open(usize),
    Js(CallId),
    Cancel(CallId, Cancel),
    /// What JavaScript says of this try.
    Verdict(ChunkId, u32, u32, bool),
    Close,
    Resize(u32),
    /// The machine is short of memory, or no longer.
    Memory(bool),
    /// The time is told though nothing is due.
    LookUp,
    WarmUp(u32),
    /// The worker's process is up, or fails to come up.
    Started(WorkerId),
    /// The worker looks for work; only in this epoch.
    Step(WorkerId, u32),
    /// The item of this run ends, if the worker still runs it.
    End(WorkerId, u64),
    /// The process dies of itself; only in this epoch, or while it still runs this.
    Crash(WorkerId, u32),
    CrashOf(WorkerId, u64),
    /// The process hears that the time of an item is over.
    HearAbort(WorkerId, u64),
    /// The process is killed.
    Killed(WorkerId),
    /// The parent reads what the process has published.
    Read(WorkerId),
    /// The parent sees that the process has died.
    Exited(WorkerId),
}

struct Sim {
    random: Random,
    /// For what came later: the schedules of all seeds stay what they were.
    faults: Random,
    now: Micros,
    engine: Engine,
    config: PoolConfig,
    mood: Mood,
    plans: Vec<Plan>,
    calls: BTreeMap<CallId, SimCall>,
    processes: BTreeMap<WorkerId, Process>,
    events: BTreeMap<(Micros, u64), Event>,
    scheduled: u64,
    opened: usize,
    closing: bool,
    closed: bool,
    /// The size, or what it was when actions that are not performed were asked for.
    most_workers: u32,
    /// There may be actions from before the last change of size.
    resizing: bool,
    /// The machine is short of memory; and all actions from before that are performed.
    low: bool,
    low_is_known: bool,
    spawns: u64,
    warm_ups: u64,
    /// Items that ran when their worker died by itself.
    charged: u64,
    /// When the engine was last told the time.
    told_time: Micros,
    /// Workers that died before they had done anything.
    barren: BTreeSet<WorkerId>,
    first_sequence: u32,
    /// Runs of items so far.
    runs: u64,
    seen: Seen,
    trace: bool,
    log: String,
}

/// What one call will do.
#[derive(Clone, Debug)]
struct Plan {
    config: CallConfig,
    items: usize,
    /// Percent of items that end in an error.
    errors: u64,
    source_micros: u64,
    consumer: Consumer,
    /// After that time.
    cancel: Option<(Micros, Cancel)>,
    /// Some items end only when their signal is raised, or not even then. Only where a cancel or a time-out comes.
    hangs: bool,
    /// How many different keys its items have, where they have any.
    keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Consumer {
    Greedy,
    Slow,
    /// Takes so many and then nothing more. Only where a cancel comes.
    Stalls(usize),
    /// Takes so many and leaves.
    Breaks(usize),
}

#[derive(Debug)]
struct SimCall {
    plan: Plan,
    items: Vec<Item>,
    /// By sequence number, from the first: index of the first item, number of items, whether it is released.
    chunks: Vec<(usize, u32, bool)>,
    buffer: Vec<u32>,
    pulled: usize,
    source_ready: Micros,
    source_ended: bool,
    js_waits: bool,
    /// Bytes of outcomes that were delivered and not consumed.
    delivered: VecDeque<u32>,
    consumed: usize,
    next: usize,
    delivered_count: usize,
    handed_count: usize,
    in_window: u32,
    window_bytes: u64,
    /// An error was handed in where one stops the call.
    may_stop: bool,
    stopping: Option<usize>,
    stop_delivered: bool,
    cancelled: bool,
    hard_since: Option<Micros>,
    failed: bool,
    /// It has ended, and all actions up to there are performed: nothing may start.
    sealed: bool,
    finished: bool,
    /// Chunks that are not released.
    live: usize,
    /// By key: the worker that its items go to, and the last item that was begun.
    homes: BTreeMap<Partition, WorkerId>,
    begun: BTreeMap<Partition, usize>,
}

#[derive(Clone, Debug, Default)]
struct Item {
    bytes: u32,
    key: Partition,
    /// Claimed in this worker, and the engine knows neither its outcome nor the worker's exit.
    claimed_in: Option<WorkerId>,
    handed: Option<(Status, u32)>,
    /// Handed in, wanted or not.
    ended: bool,
    /// It ran in this worker when that died by itself (or may have, in these that were hostile).
    lost_in: Vec<WorkerId>,
    /// Such a loss is certain: it must not run again.
    crashed: bool,
    /// It ran beside others when their worker died, or was killed for others twice: it must run alone.
    suspect: bool,
    /// Tries that are over.
    tries: u32,
    /// Those of them that failed of an error or a time-out, and of a crash of this item alone.
    errors: u32,
    crashes: u32,
    /// A worker may have lied about it.
    doubtful: bool,
    /// It fails before anything of it runs.
    rejected: bool,
    /// It was cut off in this worker, then.
    cut_off: Option<(WorkerId, Micros)>,
    /// Since when its time-out may be charged to it: it was alone, has heard of it, or has ended late.
    late: Option<Micros>,
    /// And was.
    charged_late: bool,
    /// The next try starts no earlier.
    not_before: Micros,
    /// The engine asked about the try of this number.
    asked: Option<u32>,
    delivered: bool,
}

#[derive(Debug)]
struct Process {
    state: State,
    /// What runs, in the order in which it began.
    lanes: Vec<Run>,
    epoch: u32,
    words: [u32; CELLS],
    parts: BTreeMap<u8, SimPart>,
    inbox: VecDeque<u8>,
    outbox: VecDeque<Record>,
    read_waits: bool,
    heard_of: BTreeSet<CallId>,
    aborted: BTreeSet<CallId>,
    /// Crashes when it has claimed so many items more.
    crash_in: Option<(u32, CrashAt)>,
    /// Since when it has been told to end.
    retiring: Option<Micros>,
    /// It begins nothing.
    frozen: bool,
    /// When it was started, and how many items it has begun.
    spawned: Micros,
    tasks: u32,
    hostile: bool,
    /// Cells and items whose end we have heard of.
    heard: BTreeSet<(u8, u32)>,
    /// Idle, or at this item, since then.
    since: Micros,
    done_any: bool,
}

#[derive(Clone, Copy, Debug)]
struct SimPart {
    chunk: ChunkId,
    start: u32,
    items: u32,
    arrived: Micros,
    begun: Option<Micros>,
    /// How many items of the call the worker may run at once.
    lanes: u32,
    alone: bool,
    /// Nothing is left to claim; it is over when nothing of it runs any more.
    claimed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Starting,
    /// It has looked for work, and found no more.
    Idle,
    /// It has work to begin.
    Busy,
    Dead,
}

/// An item that runs.
#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    started: Micros,
    cell: u8,
    item: u32,
    call: CallId,
    hangs: bool,
    obeys: bool,
    /// It holds the event loop: nothing else is heard.
    holds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CrashAt {
    Running,
    Between,
    Idle,
}

#[derive(Clone, Copy, Debug)]
enum Record {
    Ready,
    Outcome { cell: u8, item: u32, status: Status, bytes: u32 },
    AbortHeard { cell: u8, item: u32 },
    Done { cell: u8, micros: u32 },
}

impl Sim {
    fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random(seed);
        let config = PoolConfig {
            size: random.between(1..=5) as u32,
            lanes: random.pick(&[1, 1, 1, 2, 3, 4]),
            grace: random.pick(&[0, 1_000, 50_000]),
            seed,
            min: random.pick(&[0, 0, 0, 1, 2]),
            idle: random.pick(&[None, None, Some(1_000), Some(50_000)]),
            max_tasks: random.pick(&[None, None, None, Some(1), Some(4), Some(20)]),
            max_age: random.pick(&[None, None, None, Some(5_000), Some(100_000)]),
            start_timeout: random.pick(&[None, None, None, Some(30_000)]),
        };
        let mut faults = Random(seed ^ 0x5eed_fa17);
        let freezes = faults.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 5, 20]);
        let config = if freezes > 0 {
            // What holds an item for ten seconds would outlive thousands that grow old.
            PoolConfig { start_timeout: config.start_timeout.or(Some(50_000)), max_age: None, ..config }
        } else {
            config
        };
        let mood = Mood {
            freezes,
            fails_to_start: random.pick(&[0, 0, 0, 5, 30, 100]),
            crashes: random.pick(&[0, 0, 30, 100]),
            barren: random.chance(15),
            hostile: random.pick(&[0, 0, 0, 0, 30]),
            item_micros: random.pick(&[1, 20, 300, 5_000]),
            slow_items: random.pick(&[0, 0, 2, 50]),
            lazy_owner: random.pick(&[0, 10, 40, 90]),
        };
        let mut plans: Vec<Plan> = (0..random.between(1..=4)).map(|_| Plan::draw(&mut random)).collect();
        for plan in plans.iter_mut().filter(|_| freezes > 0) {
            // Short ones would be looked at many thousand times.
            plan.config.timeout = plan.config.timeout.max(Some(1_000_000));
        }
        let mut sim = Self {
            random,
            faults,
            now: 1_000,
            engine: Engine::new(config),
            config,
            mood,
            calls: BTreeMap::new(),
            processes: BTreeMap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            opened: 0,
            closing: false,
            closed: false,
            most_workers: config.size,
            resizing: false,
            low: false,
            low_is_known: false,
            spawns: 0,
            warm_ups: 0,
            charged: 0,
            told_time: 0,
            barren: BTreeSet::new(),
            first_sequence: 0,
            runs: 0,
            seen: Seen::default(),
            trace,
            log: String::new(),
            plans,
        };
        if trace {
            writeln!(sim.log, "{:?} {:?}\n{:#?}", sim.config, sim.mood, sim.plans).unwrap();
        }
        for at in 0..sim.plans.len() {
            let delay = if at == 0 { 0 } else { sim.random.between(0..=5_000) };
            sim.after(delay, Event::Open(at));
        }
        if sim.random.chance(30) {
            sim.after(0, Event::LookUp);
        }
        if sim.random.chance(30) {
            for _ in 0..sim.random.between(1..=6) {
                let delay = sim.random.pick(&[300, 3_000, 30_000, 300_000]);
                let (delay, size) = (sim.random.below(delay), sim.random.between(1..=6) as u32);
                sim.after(delay, Event::Resize(size));
            }
        }
        if sim.random.chance(15) {
            let (delay, length) = (sim.random.between(0..=30_000), sim.random.between(0..=100_000));
            sim.after(delay, Event::Memory(true));
            sim.after(delay + length, Event::Memory(false));
        }
        if sim.random.chance(20) {
            let (delay, count) = (sim.random.between(0..=3_000), sim.random.between(1..=8) as u32);
            sim.after(delay, Event::WarmUp(count));
        }
        sim
    }

    fn run(&mut self) {
        while !self.closed || !self.processes.is_empty() {
            self.seen.events += 1;
            assert!(self.seen.events < 1_000_000, "livelock");
            let event = self.events.first_key_value().map(|(key, _)| *key);
            let timeout = self.engine.poll_timeout();
            match (event, timeout) {
                (Some(key), _) if timeout.is_none_or(|at| at > key.0) => {
                    let event = self.events.remove(&key).expect("it is there");
                    self.pass_to(key.0);
                    self.happen(event);
                    if !self.random.chance(self.mood.lazy_owner) || self.events.is_empty() {
                        self.drain();
                    }
                }
                // What is still to be done may make something happen before that.
                (_, Some(_)) if !self.engine.actions.is_empty() => self.drain(),
                (_, Some(at)) => {
                    self.pass_to(self.now.max(at));
                    self.note(|| "timeout".into());
                    self.tell_time();
                    let next = self.engine.poll_timeout();
                    assert!(next.is_none_or(|at| at > self.now), "the same timeout again: {next:?} at {}", self.now);
                    self.drain();
                    self.wake_all();
                }
                _ => {
                    self.drain();
                    assert!(!self.events.is_empty() || self.closed, "deadlock: nothing will ever happen");
                }
            }
        }
        self.check_end();
    }

    fn happen(&mut self, event: Event) {
        self.note(|| format!("{event:?}"));
        match event {
            Event::Open(at) => self.open(at),
            Event::Js(call) => {
                self.calls.get_mut(&call).unwrap().js_waits = false;
                return self.step_js(call);
            }
            Event::Cancel(call, how) => self.cancel(call, how),
            Event::Verdict(chunk, item, attempt, again) => self.answer(chunk, item, attempt, again),
            Event::Close => {
                self.closing = true;
                self.engine.handle_close();
            }
            Event::Memory(low) => {
                self.low = low;
                self.low_is_known = false;
                self.engine.handle_memory(low, self.now);
            }
            Event::Resize(size) => {
                self.seen.resized += 1;
                self.config.size = size;
                self.resizing = true;
                self.most_workers = self.most_workers.max(size);
                self.engine.handle_resize(size, self.now);
                // Keys leave a worker that is to go, even if it is called back later.
                let workers = &self.engine.workers;
                for call in self.calls.values_mut() {
                    call.homes.retain(|_, home| workers.get(home).is_some_and(Worker::stays));
                }
            }
            Event::LookUp => {
                self.tell_time();
                if !self.closed && self.random.chance(90) {
                    let delay = self.random.between(0..=3_000);
                    self.after(delay, Event::LookUp);
                }
            }
            Event::WarmUp(count) => {
                self.warm_ups += 1;
                self.engine.handle_warm_up(count, self.now);
            }
            Event::Started(worker) => self.start(worker),
            Event::Step(worker, epoch) => {
                if self.processes.get(&worker).is_some_and(|process| process.epoch == epoch) {
                    self.step_worker(worker);
                }
                return;
            }
            Event::End(worker, number) => {
                self.end_run(worker, number);
                return;
            }
            Event::CrashOf(worker, number) => {
                if self
                    .processes
                    .get(&worker)
                    .is_some_and(|process| process.lanes.iter().any(|run| run.number == number))
                {
                    self.die(worker);
                }
                return;
            }
            Event::HearAbort(worker, number) => {
                self.hear_abort(worker, number);
                return;
            }
            Event::Crash(worker, epoch) => {
                if self.processes.get(&worker).is_some_and(|process| process.epoch == epoch) {
                    self.die(worker);
                }
                return;
            }
            Event::Killed(worker) => {
                self.die(worker);
                return;
            }
            Event::Read(worker) => {
                let Some(process) = self.processes.get_mut(&worker) else { return };
                process.read_waits = false;
                let most = process.outbox.len() as u64;
                for _ in 0..self.random.between(1..=most.max(1)) {
                    if !self.hand_in(worker) {
                        break;
                    }
                    if self.random.chance(30) && !self.random.chance(self.mood.lazy_owner) {
                        self.engine.handle_heard(self.now);
                        self.drain();
                    }
                }
                self.engine.handle_heard(self.now);
                self.publish(worker);
            }
            Event::Exited(worker) => self.exit(worker),
        }
        self.wake_all();
    }

    // ── JavaScript on the parent's side ──

    fn open(&mut self, at: usize) {
        let plan = self.plans[at].clone();
        let id = self.engine.handle_open(plan.config);
        self.engine.calls.get_mut(&id).unwrap().start_numbering_at(self.first_sequence);
        let items = (0..plan.items).map(|_| Item {
            bytes: self.random.between(0..=60) as u32,
            rejected: self.random.chance(1),
            key: (self.random.below(plan.keys) * 500) as Partition,
            ..Item::default()
        });
        let call = SimCall {
            items: items.collect(),
            chunks: Vec::new(),
            buffer: Vec::new(),
            pulled: 0,
            source_ready: self.now,
            source_ended: false,
            js_waits: false,
            delivered: VecDeque::new(),
            consumed: 0,
            next: 0,
            delivered_count: 0,
            handed_count: 0,
            in_window: 0,
            window_bytes: 0,
            may_stop: false,
            stopping: None,
            stop_delivered: false,
            cancelled: false,
            hard_since: None,
            failed: false,
            sealed: false,
            finished: false,
            live: 0,
            homes: BTreeMap::new(),
            begun: BTreeMap::new(),
            plan,
        };
        if let Some((delay, how)) = call.plan.cancel {
            self.after(delay, Event::Cancel(id, how));
        }
        self.calls.insert(id, call);
        self.opened += 1;
        if self.opened == self.plans.len() && self.random.chance(50) {
            let delay = self.random.between(0..=10_000);
            self.after(delay, Event::Close);
        }
    }

    fn cancel(&mut self, id: CallId, how: Cancel) {
        let call = self.calls.get_mut(&id).unwrap();
        if !call.finished {
            self.seen.cancelled += 1;
            call.cancelled = true;
            if how == Cancel::Hard {
                call.hard_since.get_or_insert(self.now);
            }
        }
        self.engine.handle_cancel(id, how, self.now);
    }

    /// As the owner does it: what has ended is told before the time.
    fn tell_time(&mut self) {
        if self.plans.iter().any(|plan| plan.config.timeout.is_some()) {
            let workers: Vec<WorkerId> = self.processes.keys().copied().collect();
            for worker in workers {
                while self.hand_in(worker) {}
            }
        }
        self.told_time = self.now;
        let processes = &self.processes;
        let claimed = |worker: WorkerId, cell: u8, items| claimed(processes[&worker].words[usize::from(cell)], items);
        self.engine.handle_timeout(claimed, self.now);
        self.expect_stops();
    }

    /// The engine has found errors by itself, of which we hear when the actions are performed.
    fn expect_stops(&mut self) {
        for action in &self.engine.actions {
            if let Action::TimedOut { chunk, .. } | Action::Refused { chunk, .. } = action {
                let call = self.calls.get_mut(&chunk.call).unwrap();
                call.may_stop |= call.plan.config.stop_on_error;
            }
        }
    }

    /// A try has failed, and the engine wants to have another since then.
    fn fail_try(&mut self, chunk: ChunkId, number: u32, attempt: u32, asks: bool, since: Micros) {
        let index = self.index(chunk, number);
        let call = self.calls.get_mut(&chunk.call).unwrap();
        let retry = call.plan.config.retry;
        let item = &mut call.items[index];
        assert!(!item.ended && item.asked.is_none(), "a try of item {index}, which has ended");
        item.tries += 1;
        item.errors += 1;
        item.suspect = false;
        assert!(item.tries == attempt || item.doubtful, "item {index}: attempt {attempt}, not {}", item.tries);
        assert!(item.errors <= retry.retries, "item {index} has failed {} times", item.errors);
        assert_eq!(asks, retry.asks);
        item.not_before = if asks { Micros::MAX } else { since + least_delay(&retry, item.errors) };
        self.seen.retried += 1;
        if asks {
            item.asked = Some(attempt);
            let (delay, again) = (self.random.pick(&[0, 50, 5_000]), self.random.chance(70));
            let delay = self.random.between(0..=delay);
            // What nobody has asked must do nothing.
            if self.random.chance(10) {
                self.after(delay, Event::Verdict(chunk, number, attempt + 1, again));
            }
            self.after(delay, Event::Verdict(chunk, number, attempt, again));
            if self.random.chance(10) {
                self.after(delay, Event::Verdict(chunk, number, attempt, !again));
            }
        }
    }

    fn answer(&mut self, chunk: ChunkId, number: u32, attempt: u32, again: bool) {
        let index = self.index(chunk, number);
        let call = self.calls.get_mut(&chunk.call).unwrap();
        let retry = call.plan.config.retry;
        let item = &mut call.items[index];
        let counts = (item.asked == Some(attempt) && !item.ended) || item.doubtful;
        // What is asked, and not yet heard, can be answered all the same.
        if self.engine.actions.iter().any(|action| matches!(action, Action::Again { .. })) && !counts {
            return;
        }
        if counts {
            item.asked = None;
            item.not_before = if again { self.now + least_delay(&retry, item.errors) } else { Micros::MAX };
        }
        let before = self.engine.actions.len();
        self.engine.handle_verdict(chunk, number, attempt, again, self.now);
        assert!(counts || self.engine.actions.len() == before, "a verdict that nobody has asked for does something");
        self.expect_stops();
    }

    /// An item has ended by what the engine says alone.
    fn end_by_engine(&mut self, chunk: ChunkId, number: u32, status: Status) {
        let index = self.index(chunk, number);
        let call = self.calls.get_mut(&chunk.call).unwrap();
        let item = &mut call.items[index];
        assert!(!item.ended && item.handed.is_none(), "finished item {index} ends again");
        item.handed = Some((status, 0));
        item.ended = true;
        call.handed_count += 1;
        call.window_bytes -= u64::from(item.bytes);
    }

    fn step_js(&mut self, id: CallId) {
        let mut progress = self.consume(id);
        let call = self.calls.get_mut(&id).unwrap();
        if call.is_ending() || call.finished {
            return;
        }
        if let Consumer::Breaks(most) = call.plan.consumer
            && call.consumed >= most
        {
            return self.cancel(id, Cancel::Soft);
        }
        progress |= self.pull(id);
        progress |= self.submit(id);
        let call = self.calls.get_mut(&id).unwrap();
        if call.pulled == call.items.len() && call.buffer.is_empty() && !call.source_ended {
            call.source_ended = true;
            self.engine.handle_source_end(id);
        }
        if progress {
            self.wake(id, 50);
        }
    }

    fn consume(&mut self, id: CallId) -> bool {
        let call = self.calls.get_mut(&id).unwrap();
        let there = call.delivered.len();
        let count = match call.plan.consumer {
            Consumer::Greedy => there,
            Consumer::Slow => self.random.between(0..=2.min(there as u64)) as usize,
            Consumer::Stalls(most) | Consumer::Breaks(most) => there.min(most - call.consumed.min(most)),
        };
        let bytes = call.delivered.drain(..count).map(u64::from).sum();
        call.consumed += count;
        call.in_window -= count as u32;
        call.window_bytes -= bytes;
        if count > 0 {
            self.engine.handle_consumed(id, count as u32, bytes);
        }
        if self.calls[&id].plan.consumer == Consumer::Slow && there > 0 {
            self.wake(id, 2_000);
        }
        count > 0
    }

    /// Pulls the source, only on credit.
    fn pull(&mut self, id: CallId) -> bool {
        let credit = self.engine.poll_credit(id);
        let call = self.calls.get_mut(&id).unwrap();
        if credit.chunk > 0 && self.engine.actions.is_empty() {
            call.check_credit(credit, self.config);
        }
        let mut pulled = 0;
        let mut bytes: u64 = call.buffer.iter().map(|bytes| u64::from(*bytes)).sum();
        while call.pulled < call.items.len()
            && call.source_ready <= self.now
            && (call.buffer.len() as u32) < credit.items
            && bytes < credit.bytes
        {
            let size = call.items[call.pulled].bytes;
            bytes += u64::from(size);
            call.buffer.push(size);
            call.pulled += 1;
            pulled += 1;
            if call.plan.source_micros > 0 {
                call.source_ready = self.now + self.random.below(2 * call.plan.source_micros + 1);
            }
        }
        if call.source_ready > self.now && !call.js_waits {
            call.js_waits = true;
            let delay = call.source_ready - self.now;
            self.after(delay, Event::Js(id));
        }
        pulled > 0
    }

    /// Hands full chunks to the engine, and partial ones where a worker has nothing to do.
    fn submit(&mut self, id: CallId) -> bool {
        let mut progress = false;
        loop {
            let credit = self.engine.poll_credit(id);
            if credit.chunk == 0 {
                // The call has ended, and we shall hear of it.
                return progress;
            }
            let call = self.calls.get_mut(&id).unwrap();
            let ended = call.pulled == call.items.len();
            let full = call.buffer.len() as u32 >= credit.chunk;
            if call.buffer.is_empty() || !(full || credit.hungry || ended) {
                return progress;
            }
            let count = call.buffer.len().min(credit.chunk as usize);
            let sizes: Vec<u32> = call.buffer.drain(..count).collect();
            let first = call.chunks.last().map_or(0, |(first, items, _)| first + *items as usize);
            let keys: Vec<Partition> = call.items[first..first + count].iter().map(|item| item.key).collect();
            let keys = if call.plan.config.keyed { &keys[..] } else { &[] };
            let chunk = self.engine.handle_keyed_chunk(id, &sizes, keys, self.now);
            if call.is_ending() || (chunk.is_none() && call.may_stop) {
                assert_eq!(chunk, None, "a call that has ended takes a chunk");
                return progress;
            }
            let sequence = self.first_sequence.wrapping_add(call.chunks.len() as u32);
            assert_eq!(chunk, Some(ChunkId { call: id, sequence }), "the number of a chunk");
            call.chunks.push((first, count as u32, false));
            call.live += 1;
            call.in_window += count as u32;
            call.window_bytes += sizes.iter().map(|bytes| u64::from(*bytes)).sum::<u64>();
            progress = true;
        }
    }

    fn wake_all(&mut self) {
        let calls: Vec<CallId> = self.calls.iter().filter(|(_, call)| !call.finished).map(|(id, _)| *id).collect();
        for id in calls {
            self.wake(id, 50);
        }
        let over = self.opened == self.plans.len() && self.calls.values().all(|call| call.finished);
        let close_waits = self.closing || self.events.values().any(|event| matches!(event, Event::Close));
        if over && !close_waits {
            self.after(100, Event::Close);
        }
    }

    fn wake(&mut self, id: CallId, within: u64) {
        let call = self.calls.get_mut(&id).unwrap();
        if !std::mem::replace(&mut call.js_waits, true) {
            let delay = self.random.below(within);
            self.after(delay, Event::Js(id));
        }
    }

    // ── The owner: performs actions ──

    fn drain(&mut self) {
        let mut performed = false;
        while let Some(action) = self.engine.poll_action() {
            self.note(|| format!("    {action:?}"));
            self.perform(action);
            performed = true;
        }
        if performed {
            self.wake_all();
        }
        self.most_workers = self.config.size;
        self.resizing = false;
        self.low_is_known = self.low;
        for call in self.calls.values_mut() {
            call.sealed |= call.is_ending();
        }
        self.check_drained();
        assert!(self.engine.agenda.has_all(self.engine.calls.values()), "a call is forgotten");
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker } => self.spawn(worker),
            Action::Dispatch { worker, sent } => self.dispatch(worker, sent),
            Action::TakeBack { worker, cell, items, most } => {
                let process = self.processes.get_mut(&worker).expect("a worker that is there");
                let before = process.words[usize::from(cell)];
                let end = take_back(&mut process.words[usize::from(cell)], items, most);
                self.count_taken_back(worker, cell, u64::from((before >> 16).saturating_sub(end)));
                self.note(|| format!("      taken back from {end}"));
                self.engine.handle_taken_back(worker, cell, end, self.now);
            }
            Action::Abort { worker, call } => self.abort(worker, call),
            Action::AbortItem { worker, cell, item } => self.abort_item(worker, cell, item),
            Action::TimedOut { worker, chunk, item } => {
                let index = self.index(chunk, item);
                let call = &self.calls[&chunk.call];
                let (errors, retries) = (call.items[index].errors, call.plan.config.retry.retries);
                // Other items' errors may have ended the call in the same moment.
                assert!(errors == retries || call.may_stop, "item {index} is not tried again after {errors}");
                self.charge_late(worker, chunk.call, index);
                self.end_by_engine(chunk, item, Status::TimedOut);
            }
            Action::Refused { chunk, item } => {
                let index = self.index(chunk, item);
                let item_state = &self.calls[&chunk.call].items[index];
                assert!(
                    item_state.doubtful || (item_state.asked.is_none() && item_state.not_before == Micros::MAX),
                    "{index} was not refused"
                );
                self.seen.refused += 1;
                self.end_by_engine(chunk, item, Status::Error);
            }
            Action::Again { worker, chunk, item, attempt, status: Status::TimedOut, asks } => {
                let index = self.index(chunk, item);
                self.charge_late(worker, chunk.call, index);
                let since = self.calls[&chunk.call].items[index].late.unwrap_or(self.now);
                self.fail_try(chunk, item, attempt, asks, since);
            }
            Action::Again { worker, chunk, item, attempt, status, asks } => {
                assert_eq!(status, Status::Lost);
                assert!(!asks, "asks about a crash");
                let index = self.index(chunk, item);
                let item = &mut self.calls.get_mut(&chunk.call).unwrap().items[index];
                assert!(item.lost_in.contains(&worker), "item {index} did not run in worker {worker}");
                assert!(item.tries == attempt || item.doubtful, "item {index}: attempt {attempt}, not {}", item.tries);
                assert!(item.suspect || item.doubtful, "item {index} has crashed too often");
                self.seen.survived += 1;
            }
            Action::Tried { chunk, item, attempt } => {
                let index = self.index(chunk, item);
                let item = &self.calls[&chunk.call].items[index];
                let right = item.tries + 1 == attempt || item.doubtful;
                assert!(attempt > 1 && right, "item {index}: the error of attempt {attempt}, not {}", item.tries + 1);
            }
            Action::Forget { worker, call } => {
                let process = self.processes.get_mut(&worker).expect("a worker that is there");
                assert!(process.heard_of.remove(&call), "forgets a call it has not heard of");
                assert!(self.calls[&call].finished || self.calls[&call].is_over(), "forgets a call that goes on");
                let held =
                    process.inbox.iter().filter_map(|cell| process.parts.get(cell)).any(|part| part.chunk.call == call)
                        || process.lanes.iter().any(|run| run.call == call);
                assert!(!held || process.hostile || process.state == State::Dead, "forgets a call that it still holds");
            }
            Action::Kill { worker } => self.kill(worker),
            Action::Retire { worker, why } => self.retire(worker, why),
            Action::GiveUp { worker } => {
                let process = &self.processes[&worker];
                let limit = self.config.start_timeout.expect("starts have their time");
                assert!(process.spawned + limit <= self.now, "given up early");
                self.seen.given_up += 1;
                self.after(10, Event::Killed(worker));
            }
            Action::Lost { worker, chunk, item, attempt } => self.lose(worker, chunk, item, attempt),
            Action::Deliver { chunk, start, end } => (start..end).for_each(|item| self.deliver(chunk, item)),
            Action::Stopping { chunk, item } => {
                let index = self.index(chunk, item);
                let call = self.calls.get_mut(&chunk.call).unwrap();
                assert!(call.plan.config.stop_on_error && call.stopping.is_none() && !call.finished);
                assert!(call.may_stop, "stops without an error");
                call.stopping = Some(index);
                self.seen.stopped += 1;
            }
            Action::Failed { call, failure: Failure::Start(worker) } => {
                let call = self.calls.get_mut(&call).unwrap();
                assert!(!call.failed && !call.finished);
                assert!(self.barren.contains(&worker), "worker {worker} was no failed start");
                call.failed = true;
                self.seen.failed += 1;
            }
            Action::Release { chunk } => self.release(chunk),
            Action::Finished { call } => self.finish(call),
            Action::Closed => {
                assert!(self.closing && !self.closed, "closed twice, or unasked");
                assert!(self.processes.is_empty(), "closed with workers left");
                assert!(self.calls.values().all(|call| call.finished), "closed before a call had finished");
                self.closed = true;
            }
        }
    }

    fn count_taken_back(&mut self, worker: WorkerId, cell: u8, items: u64) {
        self.seen.taken_back += items;
        let part = self.processes[&worker].parts.get(&cell);
        let priority = part.map(|part| self.calls[&part.chunk.call].plan.config.priority);
        let higher = |call: &super::Call| Some(call.config.priority) > priority && call.has_parts();
        self.seen.made_way += if self.engine.calls.values().any(higher) { items } else { 0 };
    }

    fn spawn(&mut self, worker: WorkerId) {
        self.spawns += 1;
        // Invariant 3: never more workers than the pool's size.
        let worn = self.engine.workers.values().filter(|worker| worker.successor.is_some()).count() as u32;
        let most = self.most_workers + worn.min(self.most_workers);
        assert!(self.engine.staff() <= most, "more workers than the pool has");
        assert!(!self.low_is_known, "a worker starts without memory");
        self.check_spawns();
        let crash = self.random.chance(self.mood.crashes).then(|| {
            let items = if self.mood.barren { 0 } else { self.random.between(0..=20) as u32 };
            (items, self.random.pick(&[CrashAt::Running, CrashAt::Running, CrashAt::Between, CrashAt::Idle]))
        });
        let process = Process {
            state: State::Starting,
            lanes: Vec::new(),
            epoch: 0,
            words: [self.random.next() as u32; CELLS],
            parts: BTreeMap::new(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            read_waits: false,
            heard_of: BTreeSet::new(),
            aborted: BTreeSet::new(),
            crash_in: crash,
            retiring: None,
            frozen: false,
            spawned: self.engine.workers[&worker].spawned(),
            tasks: 0,
            hostile: self.random.chance(self.mood.hostile),
            heard: BTreeSet::new(),
            since: self.now,
            done_any: false,
        };
        assert!(self.processes.insert(worker, process).is_none(), "a worker's number used twice");
        let delay = self.random.between(100..=40_000);
        self.after(delay, Event::Started(worker));
    }

    fn dispatch(&mut self, worker: WorkerId, sent: Sent) {
        let Sent { cell, chunk, start, end, lanes, attempt } = sent;
        assert!(!self.low_is_known, "something is sent without memory");
        let items = start..end;
        let first = self.index(chunk, items.start);
        let at = chunk.sequence.wrapping_sub(self.first_sequence) as usize;
        let call = &self.calls[&chunk.call];
        // Invariants 2 and 5: nothing of a call that ends is started, and nothing of a chunk that was let go.
        assert!(!call.sealed && !call.failed && call.stopping.is_none() && !call.finished, "a part of an ended call");
        assert!(call.cancelled || !call.chunks[at].2, "a part of a released chunk");
        assert!(!items.is_empty() && items.end <= call.chunks[at].1);
        let mut alone = false;
        for index in first..first + items.len() {
            let item = &call.items[index];
            assert!(!item.ended && !item.crashed, "item {index} runs again");
            assert_eq!(item.claimed_in, None, "item {index} is sent while it runs");
            assert!(item.tries + 1 == attempt || item.doubtful, "item {index}: attempt {attempt} after {}", item.tries);
            assert!(
                item.errors == 0 || item.doubtful || item.not_before <= self.now,
                "item {index} is tried again too early"
            );
            assert!(item.cut_off.is_none(), "item {index} is tried again while it runs");
            // Invariant 6: a suspect runs alone.
            assert!(!item.suspect || items.len() == 1, "suspect {index} is sent beside others");
            alone |= item.suspect;
        }
        let concurrency = call.plan.config.concurrency.min(self.config.size * self.config.lanes);
        let workers = concurrency.min(self.config.size);
        let even = concurrency / workers..=concurrency.div_ceil(workers);
        // In a pool that has changed its size, others may hold more than their share until they have ended something.
        let fair = even.contains(&lanes) || (self.seen.resized > 0 && lanes <= *even.end()) || self.resizing;
        assert!(fair, "{lanes} lanes of {concurrency} for one of {workers} workers");
        let priority = self.calls[&chunk.call].plan.config.priority;
        let ahead = if alone { 0 } else { self.unbegun_below(&self.processes[&worker], priority) };
        assert!(
            ahead <= 1 || self.config.lanes > 1 || self.mood.hostile > 0,
            "{ahead} items of worker {worker} go before those of call {}",
            chunk.call
        );
        let process = self.processes.get_mut(&worker).expect("a worker that is there");
        assert_ne!(process.state, State::Starting, "a part for a worker that starts");
        assert!(!alone || process.parts.is_empty(), "a suspect is sent to a worker that has something");
        assert!(!process.parts.values().any(|part| part.alone), "something is sent to a worker that runs a suspect");
        if call.plan.config.keyed && !alone && self.mood.hostile == 0 {
            let key = call.items[first].key;
            assert!(call.items[first..first + items.len()].iter().all(|item| item.key == key), "keys in one part");
            // An item that has to be alone may go anywhere: the worker that it was at home in has died.
            let home = self.calls.get_mut(&chunk.call).unwrap().homes.insert(key, worker);
            let is_there = |home| self.engine.workers.get(&home).is_some_and(Worker::stays);
            assert!(home.is_none_or(|home| home == worker || !is_there(home)), "key {key} moves to worker {worker}");
        }
        let begun = None;
        let items = items.len() as u32;
        let part = SimPart { chunk, start, items, arrived: self.now, begun, lanes, alone, claimed: false };
        assert!(process.parts.insert(cell, part).is_none(), "cell {cell} is in use");
        process.heard_of.insert(chunk.call);
        process.words[usize::from(cell)] = part.items << 16;
        process.inbox.push_back(cell);
        if process.state == State::Idle {
            let (delay, epoch) = (self.random.between(1..=50), process.epoch);
            self.after(delay, Event::Step(worker, epoch));
        }
    }

    fn abort(&mut self, worker: WorkerId, call: CallId) {
        let process = self.processes.get_mut(&worker).expect("a worker that is there");
        assert!(process.heard_of.contains(&call), "aborts a call that the worker does not know");
        let ending = &self.calls[&call];
        assert!(ending.is_ending(), "aborts a call that goes on");
        process.aborted.insert(call);
        let obeying: Vec<u64> =
            process.lanes.iter().filter(|run| run.call == call && run.obeys).map(|run| run.number).collect();
        for number in obeying {
            let delay = self.random.between(1..=200);
            self.after(delay, Event::End(worker, number));
        }
    }

    fn abort_item(&mut self, worker: WorkerId, cell: u8, number: u32) {
        let process = &self.processes[&worker];
        let part = process.parts[&cell];
        let index = self.index(part.chunk, part.start + number);
        let call = &self.calls[&part.chunk.call];
        let timeout = call.plan.config.timeout.expect("the call has a time-out");
        let run = process.lanes.iter().find(|run| (run.cell, run.item) == (cell, number)).copied();
        if !process.hostile && process.state != State::Dead {
            // It may have ended since, where we took our time with the action.
            assert!(run.is_some() || self.now > self.told_time, "item {index} does not run");
            let ran = run.map_or(timeout, |run| self.told_time - run.started);
            // Never early, and at most one look late.
            assert!(ran >= timeout, "item {index} is cut off after {ran} of {timeout}");
            assert!(ran <= timeout + (timeout / 16).max(1_000), "item {index} is cut off late: {ran} of {timeout}");
        }
        if let Some(run) = run.filter(|run| run.obeys) {
            let delay = self.random.between(1..=200);
            self.after(delay, Event::End(worker, run.number));
        }
        if let Some(run) = run {
            let delay = self.faults.between(0..=300);
            self.after(delay, Event::HearAbort(worker, run.number));
        }
        let told_time = self.told_time;
        let process = &self.processes[&worker];
        // Where we took our time with the action, others may have run beside it, and have ended.
        let alone = process.lanes.len() <= 1 || self.now > told_time || process.state == State::Dead;
        let hostile = process.hostile;
        let item = &mut self.calls.get_mut(&part.chunk.call).unwrap().items[index];
        assert!(item.cut_off.is_none() || item.doubtful, "item {index} is cut off twice");
        item.cut_off = Some((worker, told_time));
        item.late = alone.then_some(told_time);
        item.charged_late = false;
        item.doubtful |= hostile;
        self.seen.cut_off += 1;
    }

    /// An item fails of its time-out: it was cut off, and nobody else can have held it up.
    fn charge_late(&mut self, worker: WorkerId, call: CallId, index: usize) {
        let hostile = self.processes.get(&worker).is_some_and(|process| process.hostile);
        let item = &mut self.calls.get_mut(&call).unwrap().items[index];
        assert!(
            item.late.is_some() || item.doubtful || hostile,
            "item {index} was not cut off, or need not be what was late"
        );
        assert!(!std::mem::replace(&mut item.charged_late, true) || item.doubtful, "item {index} is late twice");
    }

    /// The process hears that the time of an item is over, unless another one holds it.
    fn hear_abort(&mut self, worker: WorkerId, number: u64) {
        let Some(process) = self.processes.get_mut(&worker).filter(|process| process.state != State::Dead) else {
            return;
        };
        let Some(run) = process.lanes.iter().find(|run| run.number == number) else { return };
        if process.lanes.iter().any(|run| run.holds) {
            return self.after(500, Event::HearAbort(worker, number));
        }
        process.outbox.push_back(Record::AbortHeard { cell: run.cell, item: run.item });
        self.publish(worker);
    }

    fn kill(&mut self, worker: WorkerId) {
        let process = &self.processes[&worker];
        // Only for a call that was cancelled hard and had its time: for an item that, as far as the parent knows, runs,
        // or for a part that was taken back whole and that the worker has not even come past.
        let due = process.parts.iter().any(|(cell, part)| {
            let call = &self.calls[&part.chunk.call];
            let is_void = process.words[usize::from(*cell)] >> 16 == 0;
            call.hard_since.is_some_and(|since| since + self.config.grace <= self.now)
                && (is_void || self.part_indexes(part).any(|index| call.items[index].claimed_in == Some(worker)))
        });
        let cut_off = process.parts.values().any(|part| {
            let items = &self.calls[&part.chunk.call].items;
            self.part_indexes(part).any(|index| {
                let since = items[index].cut_off.filter(|(of, _)| *of == worker);
                since.is_some_and(|(_, since)| since + self.config.grace <= self.now)
            })
        });
        self.seen.cut_off_kills += u64::from(cut_off && !due);
        let limit = self.config.start_timeout;
        let lingers = process.retiring.zip(limit).is_some_and(|(since, limit)| since + limit <= self.now);
        let still =
            process.frozen && process.parts.values().any(|part| part.arrived + tries::MIN_STILL <= self.now + PATIENCE);
        self.seen.lingered += u64::from(lingers);
        self.seen.still += u64::from(still);
        assert!(due || cut_off || lingers || still || process.hostile, "worker {worker} is killed for nothing");
        self.seen.kills += 1;
        let delay = self.random.between(0..=1_000);
        // Now and then an item ends at the last moment, and it begins another.
        if let Some(number) = process.lanes.first().map(|run| run.number).filter(|_| self.random.chance(50)) {
            self.after(delay / 2, Event::End(worker, number));
        }
        self.after(delay, Event::Killed(worker));
    }

    fn retire(&mut self, worker: WorkerId, why: Why) {
        let least = self.config.min.min(self.config.size);
        let process = self.processes.get_mut(&worker).expect("a worker that is there");
        assert_eq!(process.retiring.replace(self.now), None, "retired twice");
        assert!(process.parts.is_empty() || process.hostile, "retired with a part");
        match why {
            Why::Closing => assert!(self.closing, "retired while the pool is open"),
            Why::Size => assert!(self.seen.resized > 0, "retired, though the pool has not shrunk"),
            Why::Idle => {
                assert!(self.config.idle.is_some(), "an idle worker may stay");
                // Another one may have got its last items since.
                let spent = |worker: &&super::worker::Worker| worker.leaves() == Some(Why::Tasks);
                let spent = self.engine.workers.values().filter(spent).count() as u32;
                assert!(self.engine.staff() + spent >= least, "too few workers stay");
            }
            Why::Tasks => {
                let most = self.config.max_tasks.expect("workers are spent");
                let few = process.tasks <= most && process.tasks + 20 >= most;
                assert!(few || process.hostile, "retired after {} items of {most}", process.tasks);
            }
            Why::Age => {
                let age = self.config.max_age.expect("workers grow old");
                assert!(process.spawned + age <= self.now, "retired early");
            }
            Why::Memory => assert!(self.low || !self.low_is_known, "retired for memory that is there"),
        }
        self.seen.shrunk += u64::from(why == Why::Size);
        let recycled = matches!(why, Why::Tasks | Why::Age);
        let successor = self.engine.workers[&worker].successor.and_then(|id| self.engine.workers.get(&id));
        self.seen.recycled += u64::from(recycled);
        self.seen.relieved += u64::from(recycled && successor.is_some_and(|successor| !successor.is_starting()));
        self.seen.unused += u64::from(why == Why::Idle);
        self.seen.made_room += u64::from(why == Why::Memory);
        if process.state == State::Idle {
            self.after(10, Event::Step(worker, self.processes[&worker].epoch));
        }
    }

    fn deliver(&mut self, chunk: ChunkId, number: u32) {
        let index = self.index(chunk, number);
        let at = chunk.sequence.wrapping_sub(self.first_sequence) as usize;
        let call = self.calls.get_mut(&chunk.call).unwrap();
        assert!(!call.finished && !call.failed, "delivered after the end");
        assert!(!call.stop_delivered, "delivered after the error that stops the call");
        assert!(!call.chunks[at].2, "delivered from a released chunk");
        let item = &mut call.items[index];
        // Invariant 1: once, and what the worker has said; lost only where it ran in a worker that died.
        assert!(!std::mem::replace(&mut item.delivered, true), "item {index} is delivered twice");
        let Some((status, bytes)) = item.handed else { panic!("item {index} has no outcome") };
        let stops = call.plan.config.stop_on_error && status.is_error();
        if stops {
            assert_eq!(call.stopping, Some(index), "not the error that was announced");
            call.stop_delivered = true;
        }
        // Invariant 2: in order; the error that stops the call comes in the place of what will have no outcome.
        if call.plan.config.ordered && !(stops && index > call.next) {
            assert_eq!(index, call.next, "out of order");
        } else if call.plan.config.ordered {
            let head = &call.items[call.next];
            let runs = head.claimed_in.is_some() && (head.cut_off.is_none() || head.late.is_none());
            assert!(!runs, "the error overtakes item {}, which runs", call.next);
            assert!(head.handed.is_none(), "the error overtakes a result");
        }
        call.next += 1;
        call.delivered_count += 1;
        call.delivered.push_back(bytes);
        self.seen.items += 1;
    }

    fn lose(&mut self, worker: WorkerId, chunk: ChunkId, number: u32, attempt: u32) {
        let index = self.index(chunk, number);
        let call = self.calls.get_mut(&chunk.call).unwrap();
        let item = &mut call.items[index];
        assert!(!item.ended && item.handed.is_none(), "finished item {index} is lost");
        // Invariant 6: only what ran when its worker died by itself.
        assert!(item.lost_in.contains(&worker), "item {index} did not run in worker {worker} when that died");
        // A hostile worker may have said before that it had claimed it.
        assert!(item.doubtful || attempt == item.tries, "item {index}: attempt {attempt} of {}", item.tries);
        assert!(item.doubtful || item.crashed || call.may_stop || call.cancelled, "item {index} may run again");
        item.handed = Some((Status::Lost, 0));
        item.ended = true;
        call.handed_count += 1;
        call.window_bytes -= u64::from(item.bytes);
        self.seen.lost += 1;
    }

    fn release(&mut self, chunk: ChunkId) {
        let at = chunk.sequence.wrapping_sub(self.first_sequence) as usize;
        let held = self.processes.values().any(|process| {
            process.parts.iter().any(|(cell, part)| {
                part.chunk == chunk && !process.hostile && process.words[usize::from(*cell)] >> 16 > 0
            })
        });
        let call = self.calls.get_mut(&chunk.call).unwrap();
        let (first, items, released) = &mut call.chunks[at];
        assert!(!std::mem::replace(released, true), "released twice");
        call.live -= 1;
        assert!(!call.finished, "released after the end");
        if !call.cancelled && !call.failed && !call.stop_delivered {
            let all = call.items[*first..*first + *items as usize].iter().all(|item| item.delivered);
            assert!(all, "released with items left");
            assert!(!held, "released while a worker holds a part of it");
        }
    }

    fn finish(&mut self, id: CallId) {
        let call = self.calls.get_mut(&id).unwrap();
        assert!(!std::mem::replace(&mut call.finished, true), "finished twice");
        assert!(call.chunks.iter().all(|(_, _, released)| *released), "finished with chunks left");
        if let Some(running) = call.items.iter().position(|item| item.claimed_in.is_some()) {
            panic!("finished while item {running} runs");
        }
        if !call.cancelled && !call.failed && !call.stop_delivered {
            assert!(call.source_ended, "finished before its source");
            assert!(call.items.iter().all(|item| item.delivered), "finished with items left");
        }
    }

    /// Hands one record in; false if there is none.
    fn hand_in(&mut self, worker: WorkerId) -> bool {
        let process = self.processes.get_mut(&worker).unwrap();
        let Some(record) = process.outbox.pop_front() else { return false };
        let hostile = process.hostile;
        let text = if self.trace { format!("    {worker} says {record:?}") } else { String::new() };
        self.note(|| text);
        let answer = match record {
            Record::Ready => self.engine.handle_ready(worker, self.now),
            Record::Outcome { cell, item, status: Status::Value, bytes } => {
                self.hand_in_values(worker, cell, item, bytes)
            }
            Record::Outcome { cell, item, status, bytes } => self.hand_in_outcome(worker, cell, item, status, bytes),
            Record::AbortHeard { cell, item: number } => {
                let answer = self.engine.handle_abort_heard(worker, cell, number, self.now);
                if answer.is_ok() {
                    let part = self.processes[&worker].parts[&cell];
                    let index = self.index(part.chunk, part.start + number);
                    let call = self.calls.get_mut(&part.chunk.call).unwrap();
                    call.items[index].late.get_or_insert(self.now);
                    self.seen.heard += 1;
                    self.expect_stops();
                }
                answer
            }
            Record::Done { cell, micros } => {
                let answer = self.engine.handle_chunk_done(worker, cell, micros, self.now);
                if answer.is_ok() {
                    let process = self.processes.get_mut(&worker).unwrap();
                    process.parts.remove(&cell);
                    process.heard.retain(|(at, _)| *at != cell);
                }
                answer
            }
        };
        if answer.is_err() {
            assert!(hostile, "an honest worker's {record:?} is a violation");
            self.seen.violations += 1;
            self.die(worker);
        }
        true
    }

    /// Hands in a value, with some of those that follow it in the same part, as the owner likes.
    fn hand_in_values(&mut self, worker: WorkerId, cell: u8, first: u32, bytes: u32) -> Result<(), super::Violation> {
        let mut sizes = vec![bytes];
        while self.random.chance(70) {
            let outbox = &mut self.processes.get_mut(&worker).unwrap().outbox;
            let next = outbox.pop_front_if(|record| {
                matches!(record, Record::Outcome { cell: of, item, status: Status::Value, .. }
                    if *of == cell && first.checked_add(sizes.len() as u32) == Some(*item))
            });
            let Some(Record::Outcome { bytes, .. }) = next else { break };
            sizes.push(bytes);
        }
        let together = if sizes.len() > 1 || self.random.chance(50) {
            self.engine.handle_values(worker, cell, first, &sizes)?
        } else {
            None
        };
        for (number, bytes) in (first..).zip(sizes) {
            if let Some((chunk, start)) = together {
                self.seen.together += 1;
                let answer = Kept::Outcome { chunk, item: start + (number - first) };
                self.note_outcome(worker, (cell, number), Status::Value, bytes, answer);
            } else {
                self.hand_in_outcome(worker, cell, number, Status::Value, bytes)?;
            }
        }
        Ok(())
    }

    fn hand_in_outcome(
        &mut self,
        worker: WorkerId,
        cell: u8,
        number: u32,
        status: Status,
        bytes: u32,
    ) -> Result<(), super::Violation> {
        let answer = self.engine.handle_outcome(worker, cell, number, status, bytes, self.now)?;
        self.note_outcome(worker, (cell, number), status, bytes, answer);
        Ok(())
    }

    fn note_outcome(&mut self, worker: WorkerId, (cell, number): (u8, u32), status: Status, bytes: u32, answer: Kept) {
        let process = self.processes.get_mut(&worker).unwrap();
        process.done_any = true;
        process.heard.insert((cell, number));
        let part = process.parts[&cell];
        let index = self.index(part.chunk, part.start + number);
        let hostile = process_is_hostile(&self.processes, worker);
        let call = self.calls.get_mut(&part.chunk.call).unwrap();
        let item = &mut call.items[index];
        if item.claimed_in == Some(worker) {
            item.claimed_in = None;
        }
        let pending_cut = self.engine.actions.iter().any(
            |action| matches!(action, Action::AbortItem { worker: of, cell: at, item } if (*of, *at, *item) == (worker, cell, number)),
        );
        if item.cut_off.take_if(|(of, _)| *of == worker).is_some() || pending_cut {
            assert_eq!(answer, Kept::Nothing, "an outcome after the item was cut off");
            // It fails of its time-out, at the latest now.
            item.late.get_or_insert(self.now);
            self.expect_stops();
            return;
        }
        assert!(!item.ended || hostile, "item {index} ended twice");
        self.seen.acquitted += u64::from(item.suspect);
        if let Kept::Try { chunk, item: again, attempt, asks } = answer {
            assert_eq!((chunk, again), (part.chunk, part.start + number), "another item");
            assert_eq!(status, Status::Error, "another try, though it has not failed");
            assert!(!call.is_ending() && !call.finished, "another try of an ended call");
            self.fail_try(chunk, again, attempt, asks, self.now);
            return;
        }
        item.ended = true;
        let is_error = status.is_error();
        if let Kept::Outcome { chunk, item: ended } = answer {
            assert_eq!((chunk, ended), (part.chunk, part.start + number), "another item");
            let last = item.errors == call.plan.config.retry.retries;
            assert!(status != Status::Error || last, "item {index} is not tried again after {}", item.errors);
            assert!(!call.cancelled && !call.failed, "an outcome that nobody wants");
            item.handed = Some((status, bytes));
            call.handed_count += 1;
            call.window_bytes = call.window_bytes - u64::from(item.bytes) + u64::from(bytes);
        } else {
            assert!(call.is_ending() || call.may_stop, "the outcome of item {index} is refused");
        }
        call.may_stop |= is_error && call.plan.config.stop_on_error;
    }

    // ── The worker processes ──

    fn start(&mut self, worker: WorkerId) {
        if self.processes.get(&worker).is_none_or(|process| process.state == State::Dead) {
            return;
        }
        if self.random.chance(self.mood.fails_to_start) {
            return self.die(worker);
        }
        let process = self.processes.get_mut(&worker).unwrap();
        process.state = State::Idle;
        process.frozen = self.faults.chance(self.mood.freezes);
        process.since = self.now;
        process.outbox.push_back(Record::Ready);
        let crash = process.crash_in;
        let epoch = process.epoch;
        self.publish(worker);
        if crash.is_some_and(|(items, at)| items == 0 && at == CrashAt::Idle) {
            let delay = self.random.between(0..=500);
            self.after(delay, Event::Crash(worker, epoch));
        }
        self.after(1, Event::Step(worker, epoch));
    }

    /// Looks for work.
    fn step_worker(&mut self, worker: WorkerId) {
        let process = self.processes.get_mut(&worker).unwrap();
        if process.frozen {
            return;
        }
        match process.state {
            State::Starting | State::Dead => return,
            State::Idle | State::Busy => {
                if process.inbox.is_empty() {
                    if process.retiring.is_some() && process.lanes.is_empty() {
                        self.die(worker);
                    }
                    return;
                }
            }
        }
        if self.processes[&worker].hostile && self.random.chance(10) {
            self.misbehave(worker);
        }
        self.claim_next(worker);
    }

    /// A running item ends, and its lane looks for the next.
    fn end_run(&mut self, worker: WorkerId, number: u64) {
        let Some(process) = self.processes.get_mut(&worker).filter(|process| process.state != State::Dead) else {
            return;
        };
        let Some(at) = process.lanes.iter().position(|run| run.number == number) else { return };
        let Run { cell, item, call, .. } = process.lanes.remove(at);
        let aborted = process.aborted.contains(&call);
        let part = process.parts[&cell];
        let hostile = process.hostile;
        let rejected = !hostile && self.calls[&call].items[self.index(part.chunk, part.start + item)].rejected;
        let process = self.processes.get_mut(&worker).unwrap();
        let plan = &self.calls[&call].plan;
        let status = if rejected {
            Status::Rejected
        } else if self.random.chance(if aborted { 50 } else { plan.errors }) {
            Status::Error
        } else if self.random.chance(10) {
            Status::Skipped
        } else {
            Status::Value
        };
        let bytes = self.random.between(0..=80) as u32;
        process.outbox.push_back(Record::Outcome { cell, item, status, bytes });
        process.state = State::Busy;
        self.publish(worker);
        if self.processes[&worker].hostile && self.random.chance(10) {
            self.misbehave(worker);
        }
        if matches!(self.processes[&worker].crash_in, Some((0, CrashAt::Between))) {
            return self.die(worker);
        }
        self.claim_next(worker);
    }

    /// Fills the lanes: with the parts in the order in which they came, but of no call more than it may.
    fn claim_next(&mut self, worker: WorkerId) {
        let now = self.now;
        let most = self.config.lanes as usize;
        let process = self.processes.get_mut(&worker).unwrap();
        process.epoch += 1;
        process.since = now;
        loop {
            let process = self.processes.get_mut(&worker).unwrap();
            if process.state == State::Dead {
                return;
            }
            process.inbox.retain(|cell| {
                process.parts.get(cell).is_some_and(|part| !part.claimed) || {
                    assert!(process.hostile || process.parts.contains_key(cell));
                    false
                }
            });
            let may_begin = |cell: &u8| {
                let part = &process.parts[cell];
                let running = process.lanes.iter().filter(|run| run.call == part.chunk.call).count();
                process.lanes.len() < most && running < part.lanes as usize
            };
            let Some(cell) = process.inbox.iter().copied().find(may_begin) else { break };
            let part = process.parts.get_mut(&cell).unwrap();
            part.begun.get_or_insert(now);
            if let Some(item) = claim(&mut process.words[usize::from(cell)]) {
                self.run_item(worker, cell, item);
            } else {
                part.claimed = true;
            }
        }
        let process = self.processes.get_mut(&worker).unwrap();
        // A part is over when its last item has ended.
        let over: Vec<(u8, Micros)> = process
            .parts
            .iter()
            .filter(|(cell, part)| part.claimed && !process.lanes.iter().any(|run| run.cell == **cell))
            .filter(|(cell, _)| {
                !process.outbox.iter().any(|record| matches!(record, Record::Done { cell: done, .. } if done == *cell))
            })
            .map(|(cell, part)| (*cell, part.begun.unwrap_or(now)))
            .collect();
        for (cell, begun) in over {
            process.outbox.push_back(Record::Done { cell, micros: (now - begun) as u32 });
        }
        let has_lanes = process.lanes.len() < most;
        process.state = if has_lanes { State::Idle } else { State::Busy };
        let idle = process.lanes.is_empty();
        let (crashes, epoch, retiring) =
            (matches!(process.crash_in, Some((0, CrashAt::Idle))), process.epoch, process.retiring.is_some());
        self.publish(worker);
        if crashes && idle {
            let delay = self.random.between(0..=500);
            self.after(delay, Event::Crash(worker, epoch));
        } else if retiring && idle {
            self.die(worker);
        }
    }

    fn run_item(&mut self, worker: WorkerId, cell: u8, number: u32) {
        let process = &self.processes[&worker];
        let part = process.parts[&cell];
        let id = part.chunk.call;
        if process.hostile && part.start + number >= self.chunk_items(part.chunk) {
            return self.die(worker);
        }
        let index = self.index(part.chunk, part.start + number);
        if !process.hostile {
            self.check_start(worker, id, index);
        }
        let call = self.calls.get_mut(&id).unwrap();
        call.begun.insert(call.items[index].key, index);
        self.seen.keyed += u64::from(call.plan.config.keyed);
        let item = &mut call.items[index];
        if !item.ended {
            item.claimed_in = Some(worker);
        }
        let hangs = call.plan.hangs && self.random.chance(20);
        let may_ignore = matches!(call.plan.cancel, Some((_, Cancel::Hard))) || call.plan.config.timeout.is_some();
        let ignores = hangs && may_ignore && self.random.chance(50);
        let obeys = !ignores && (hangs || self.random.chance(50));
        let holds = ignores && self.faults.chance(50);
        let micros = if self.random.below(1000) < self.mood.slow_items {
            self.random.between(10_000..=10_000_000)
        } else {
            self.random.between(0..=2 * self.mood.item_micros)
        };
        self.runs += 1;
        let run = Run { number: self.runs, started: self.now, cell, item: number, call: id, hangs, obeys, holds };
        let process = self.processes.get_mut(&worker).unwrap();
        process.lanes.push(run);
        process.tasks += 1;
        let crashes = match &mut process.crash_in {
            Some((0, at)) => *at == CrashAt::Running,
            Some((items, _)) => {
                *items -= 1;
                false
            }
            None => false,
        };
        if crashes {
            let delay = self.random.between(0..=micros);
            self.after(delay, Event::CrashOf(worker, run.number));
        } else if !hangs || (obeys && self.processes[&worker].aborted.contains(&id)) {
            self.after(micros, Event::End(worker, run.number));
        }
    }

    /// Writes what no honest worker would.
    fn misbehave(&mut self, worker: WorkerId) {
        let word = self.random.next() as u32;
        let (cell, item) = (self.random.below(CELLS as u64 + 4) as u8, self.random.below(70) as u32);
        let process = self.processes.get_mut(&worker).unwrap();
        match self.random.below(5) {
            0 => process.words[usize::from(cell) % CELLS] = word,
            1 => process.outbox.push_back(Record::Ready),
            2 => process.outbox.push_back(Record::Done { cell, micros: word }),
            3 => process.outbox.push_back(Record::Outcome { cell, item: word, status: Status::Value, bytes: word }),
            _ => process.outbox.push_back(Record::Outcome { cell, item, status: Status::Value, bytes: item }),
        }
        self.publish(worker);
    }

    /// The parent will look at the process's records some time.
    fn publish(&mut self, worker: WorkerId) {
        let process = self.processes.get_mut(&worker).unwrap();
        if process.outbox.is_empty() || std::mem::replace(&mut process.read_waits, true) {
            return;
        }
        let delay = if self.random.chance(5) { self.random.between(0..=5_000) } else { self.random.between(0..=60) };
        self.after(delay, Event::Read(worker));
    }

    fn die(&mut self, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if process.state == State::Dead {
            return;
        }
        if process.state == State::Starting || !process.done_any {
            self.barren.insert(worker);
        }
        process.state = State::Dead;
        process.epoch += 1;
        let delay = self.random.between(0..=500);
        self.after(delay, Event::Exited(worker));
    }

    fn exit(&mut self, worker: WorkerId) {
        while self.hand_in(worker) {}
        let condemned = self.engine.workers[&worker].is_condemned();
        let process = &self.processes[&worker];
        let words = process.words;
        let hostile = process.hostile;
        let starting = self.engine.workers[&worker].is_starting();
        let parts: Vec<SimPart> = process.parts.values().copied().collect();
        // Invariant 6, as the processes have lived it: what was claimed, and has not ended.
        // (Two parts may name an item that was taken back and came again.)
        let claimed_here =
            |part: &SimPart, at: &usize| self.calls[&part.chunk.call].items[*at].claimed_in == Some(worker);
        let running: BTreeSet<(CallId, usize)> = parts
            .iter()
            .flat_map(|part| self.part_indexes(part).map(move |at| (part, at)))
            .filter(|(part, at)| claimed_here(part, at))
            .map(|(part, at)| (part.chunk.call, at))
            .collect();
        let running = running.len();
        // It is not known whether they, or others beside them, are to blame.
        let in_doubt = self.engine.workers[&worker].dispatches().flat_map(|part| {
            let uncharged = |item: &u32| part.cut_off_of(*item).is_some_and(|cut_off| !cut_off.charged);
            part.unfinished().filter(uncharged).map(|item| (part.chunk, item))
        });
        let doubts: BTreeSet<(CallId, usize)> =
            in_doubt.map(|(chunk, item)| (chunk.call, self.index(chunk, item))).collect();
        for part in parts {
            let indexes: Vec<usize> = self.part_indexes(&part).collect();
            let call = self.calls.get_mut(&part.chunk.call).unwrap();
            for index in indexes {
                let item = &mut call.items[index];
                let claimed = item.claimed_in == Some(worker);
                let cut_off = item.cut_off.take_if(|(of, _)| *of == worker).is_some();
                let in_doubt = doubts.contains(&(part.chunk.call, index));
                if hostile {
                    item.doubtful = true;
                    item.asked = None;
                    item.not_before = 0;
                }
                // Its time-out is charged to it: before, or now, where nobody else can have held it up.
                if (cut_off || in_doubt) && !hostile && (!in_doubt || running == 1) {
                    item.late.get_or_insert(self.now);
                    item.claimed_in = None;
                    continue;
                }
                item.tries += u32::from(claimed);
                // Charged to the item that ran, and to no other; not where we killed the worker.
                if hostile && !item.ended {
                    item.lost_in.push(worker);
                    item.suspect = false;
                    call.may_stop |= call.plan.config.stop_on_error;
                } else if claimed && !condemned && running == 1 {
                    item.lost_in.push(worker);
                    item.crashed = item.crashes == call.plan.config.crash_retries;
                    item.crashes += u32::from(!item.crashed);
                    // A call that has ended since lets nothing run again.
                    item.suspect = !item.crashed;
                    self.charged += 1;
                    call.may_stop |= call.plan.config.stop_on_error && item.crashed;
                } else if claimed && (!condemned || !doubts.is_empty()) {
                    self.seen.doubts += u64::from(in_doubt);
                    assert!(!item.suspect, "suspect {index} ran beside others");
                    item.suspect = true;
                    self.seen.suspects += 1;
                    self.charged += 1;
                } else if claimed {
                    // What that happens to a second time goes where nobody is beside it.
                    item.suspect |= item.tries > 1;
                    self.seen.ran_again += 1;
                }
                if claimed {
                    item.claimed_in = None;
                }
            }
        }
        self.processes.remove(&worker);
        if starting && self.faults.chance(50) {
            self.engine.handle_start_error(worker);
        }
        let claimed = |cell: u8, items: u32| claimed(words[usize::from(cell)], items);
        self.engine.handle_exit(worker, claimed, self.now);
        self.expect_stops();
    }

    // ── What must hold ──

    /// An item is about to run.
    fn check_start(&self, worker: WorkerId, id: CallId, index: usize) {
        let call = &self.calls[&id];
        let item = &call.items[index];
        assert!(!item.ended, "finished item {index} runs again");
        assert!(!item.crashed, "item {index}, which crashed a worker, runs again");
        assert_eq!(item.claimed_in, None, "item {index} runs twice at once");
        // Invariants 2 and 5.
        assert!(!call.sealed && !call.finished, "item {index} of an ended call starts");
        // Invariant 3, in items: this one is the next.
        let most = call.plan.config.concurrency.min(self.config.size * self.config.lanes) as usize;
        // What has begun in a worker that is to go ends there, whatever the concurrency is now.
        let stays = |worker| self.seen.resized == 0 || self.engine.workers[worker].stays();
        let honest = || {
            let alive = self.processes.iter().filter(|(id, process)| stays(id) && process.state != State::Dead);
            alive.map(|(_, process)| process).filter(|process| !process.hostile)
        };
        let running = honest().flat_map(|process| &process.lanes).filter(|run| run.call == id).count();
        let outlives = self.seen.resized > 0 && !self.engine.workers[&worker].stays();
        assert!(running < most || self.resizing || outlives, "more than {most} items of call {id} run");
        let process = &self.processes[&worker];
        let leaves = self.engine.workers[&worker].leaves().is_some_and(|why| why != Why::Tasks);
        assert!(!leaves || !self.engine.actions.is_empty(), "worker {worker} begins something, and is to go");
        assert!(process.retiring.is_none(), "worker {worker}, which is told to end, begins something");
        assert!(self.config.max_tasks.is_none_or(|most| process.tasks < most), "worker {worker} runs too many items");
        assert!(process.lanes.len() < self.config.lanes as usize, "worker {worker} runs too many items");
        // Invariant 6.
        assert!(!item.suspect || process.lanes.is_empty(), "suspect {index} runs beside others");
        // Items of one key: one after the other, in order. Whoever lies about one may upset the others.
        if call.plan.config.keyed && self.mood.hostile == 0 {
            let key = item.key;
            let of_key = |run: &&Run, process: &Process| {
                run.call == id && {
                    let part = &process.parts[&run.cell];
                    call.items[self.index(part.chunk, part.start + run.item)].key == key
                }
            };
            let beside = honest().any(|process| process.lanes.iter().any(|run| of_key(&run, process)));
            assert!(!beside, "item {index} runs beside another one of key {key}");
            let before = call.begun.get(&key).copied();
            assert!(before.is_none_or(|before| before <= index), "item {index} of key {key} runs after {before:?}");
        }
    }

    /// All actions are performed: is everything under way that could be?
    fn check_drained(&self) {
        for process in self.processes.values().filter(|process| process.state != State::Dead) {
            for id in process.heard_of.iter().filter(|id| self.calls[id].finished) {
                let held = process.parts.values().any(|part| part.chunk.call == *id);
                assert!(held, "a worker still knows call {id}, which has finished");
            }
        }
        for (id, _) in self.calls.iter().filter(|(_, call)| call.sealed && !call.finished) {
            assert!(!self.engine.calls[id].tries.are_waiting(), "tries of call {id}, which has ended, still wait");
        }
        for (id, call) in self.calls.iter().filter(|(_, call)| !call.is_ending() && !call.finished && !call.may_stop) {
            // What has ended and has its turn is delivered.
            if call.plan.config.ordered {
                let head = call.items.get(call.next);
                assert!(head.is_none_or(|item| item.handed.is_none()), "an outcome is held");
            } else {
                assert!(call.delivered_count >= call.handed_count, "an outcome is held");
            }
            // Memory does not grow with the source: only chunks that are not released are remembered.
            let engine_call = &self.engine.calls[id];
            assert_eq!(engine_call.live_chunks(), call.live, "chunks that the engine remembers");
            assert!(engine_call.forgets_failures(), "a failure is remembered for ever");
            // No part waits while a worker has a lane for it.
            let holders = self.engine.workers.values().filter(|worker| worker.runs(*id)).count();
            let most = call.plan.config.concurrency.min(self.config.size) as usize;
            let (free, most_free) = (engine_call.free_slots() as usize, most.saturating_sub(holders));
            assert!(free <= most_free, "{holders} workers run call {id}, and {free} more may");
            assert!(
                free == most_free || self.seen.resized > 0,
                "{holders} workers run call {id}, and only {free} more"
            );
            for (worker, process) in self.processes.iter().filter(|(_, process)| !process.hostile) {
                let spent = self.engine.workers[worker].is_spent();
                if !self.engine.workers[worker].may_be_emptied() || spent || self.engine.low {
                    continue;
                }
                let may_spread = free > 0 && !engine_call.has_suspects();
                let takes = self.has_lane_for(process, *id, may_spread);
                let kept = self.engine.emptied == Some(*worker);
                let waits = engine_call.has_parts_for(*worker, self.engine.reach());
                assert!(!takes || kept || !waits, "a part waits while worker {worker} has a lane");
                self.check_priority(*id, *worker, process, may_spread);
                let suspect_waits = engine_call.has_suspects() && free > 0;
                assert!(!suspect_waits || !process.parts.is_empty(), "a suspect waits while worker {worker} is idle");
            }
        }
    }

    /// What waits goes before all of a lower priority that a worker has not begun.
    fn check_priority(&self, id: CallId, worker: WorkerId, process: &Process, may_spread: bool) {
        let (call, lanes) = (&self.engine.calls[&id], self.engine.workers[&worker].lanes_of(id));
        let may_go = lanes.map_or(may_spread, |lanes| !call.is_outgrown(Some(lanes)));
        if !call.has_parts_for(worker, self.engine.reach()) || !may_go {
            return;
        }
        let unbegun = self.unbegun_below(process, call.config.priority);
        // In each lane, as far as we know, one of them has begun.
        assert!(unbegun <= self.config.lanes, "{unbegun} items of worker {worker} go before those of call {id}");
    }

    /// Items of calls of a lower priority that a worker has, and has not begun.
    fn unbegun_below(&self, process: &Process, priority: i32) -> u32 {
        let lower = process.parts.iter().filter(|(_, part)| {
            let call = &self.calls[&part.chunk.call];
            call.plan.config.priority < priority && !call.is_ending() && !call.may_stop
        });
        lower
            .map(|(cell, _)| process.words[usize::from(*cell)])
            .map(|word| (word >> 16).saturating_sub(word & 0xffff))
            .sum()
    }

    /// Whether an item of the call would start at once, as far as the parent can know.
    fn has_lane_for(&self, process: &Process, id: CallId, may_spread: bool) -> bool {
        let most = self.config.lanes as usize;
        if most == 1 {
            return process.parts.is_empty() && may_spread;
        }
        let mut calls: BTreeMap<CallId, (usize, usize)> = BTreeMap::new();
        for (cell, part) in &process.parts {
            let end = (process.words[usize::from(*cell)] >> 16) as usize;
            let unfinished = (0..end as u32).filter(|item| !process.heard.contains(&(*cell, *item))).count();
            if end > 0 {
                let (used, grant) = calls.entry(part.chunk.call).or_insert((0, part.lanes as usize));
                *used = (*used + unfinished.max(1)).min(*grant);
            }
        }
        let used: usize = calls.values().map(|(used, _)| used).sum();
        let concurrency = self.calls[&id].plan.config.concurrency.min(self.config.size * self.config.lanes) as usize;
        let workers = concurrency.min(self.config.size as usize);
        // What was granted in a pool of another size is given back first.
        let fair = |grant: &usize| {
            self.seen.resized == 0 || (concurrency / workers..=concurrency.div_ceil(workers)).contains(grant)
        };
        used < most && calls.get(&id).map_or(may_spread, |(used, grant)| used < grant && fair(grant))
    }

    /// Time passes, and nothing happens in between.
    fn pass_to(&mut self, later: Micros) {
        self.now = later;
        let lately = later.saturating_sub(PATIENCE);
        for (worker, process) in &self.processes {
            for Run { call, hangs, obeys, started, .. } in process.lanes.iter().filter(|_| process.state != State::Dead)
            {
                let hard = self.calls[call].hard_since;
                let config = &self.calls[call].plan.config;
                let most =
                    config.timeout.map(|timeout| timeout + (timeout / 16).max(1_000) + self.config.grace + 2_000);
                let late = most.is_some_and(|most| started + most < later);
                assert!(!late || process.hostile, "worker {worker} outlives a time-out");
                let overdue = hard.is_some_and(|since| since + self.config.grace + PATIENCE < later);
                assert!(!(overdue && *hangs && !*obeys), "worker {worker} outlives a hard cancel");
            }
            let is_stuck = !matches!(process.state, State::Dead | State::Starting) && process.since <= lately;
            if is_stuck && !process.hostile && self.engine.actions.is_empty() {
                for cell in process.inbox.iter().filter(|cell| !process.parts[*cell].claimed) {
                    let behind = process.parts[cell].begun.is_none();
                    self.check_stuck(*worker, *cell, behind, lately);
                }
            }
        }
    }

    /// A part has waited for one slow item for long.
    fn check_stuck(&self, worker: WorkerId, cell: u8, behind: bool, lately: Micros) {
        if self.engine.low || self.config.max_tasks.is_some() {
            return;
        }
        // One that begins nothing holds what others wait for, until it is killed for that.
        if self.processes.values().any(|process| process.frozen) {
            return;
        }
        let process = &self.processes[&worker];
        let part = &process.parts[&cell];
        let call = &self.calls[&part.chunk.call];
        let word = process.words[usize::from(cell)];
        if word & 0xffff >= word >> 16 || part.arrived > lately || call.is_ending() {
            return;
        }
        let most = call.plan.config.concurrency.min(self.config.size) as usize;
        let runs_it = process.lanes.iter().any(|run| run.call == part.chunk.call);
        let holders = self.engine.workers.values().filter(|worker| worker.runs(part.chunk.call)).count();
        let stays = |other: &WorkerId| self.engine.workers[other].stays();
        let others = self.processes.iter().filter(|(other, _)| **other != worker && stays(other));
        let mut others = others.map(|(_, other)| other);
        let idle = others.clone().any(|other| {
            let has_nothing = other.inbox.is_empty() && other.outbox.is_empty() && other.lanes.is_empty();
            other.state == State::Idle
                && has_nothing
                && !other.frozen
                && other.retiring.is_none()
                && other.since <= lately
        });
        // It could have moved to an idle worker, if the call may spread or this one lets go of it.
        let reserved = self.engine.calls[&part.chunk.call].has_suspects() || call.plan.config.keyed;
        // In a pool that has grown one worker may run as many as the call may, where it was granted them before.
        let runs = self.processes.values().flat_map(|process| &process.lanes);
        let reserved =
            reserved || runs.filter(|run| run.call == part.chunk.call).count() >= call.plan.config.concurrency as usize;
        assert!(
            !idle || (holders >= most && runs_it) || reserved,
            "an idle worker leaves cell {cell} to worker {worker}"
        );
        // It could have gone back to wait for whoever is first.
        let working =
            others.any(|other| other.state != State::Dead && !other.lanes.is_empty() && other.spawned <= lately);
        let working = working && !call.plan.config.keyed;
        assert!(!working || !behind || (most == 1 && runs_it), "cell {cell} waits for one item of worker {worker}");
    }

    /// No spawn loop: where workers do nothing, each call can try its luck a bounded number of times.
    fn check_spawns(&self) {
        let tries = self.plans.len() as u64 + self.warm_ups + 6 * self.seen.resized;
        // After each rest as many as the pool has.
        let mut most =
            tries * u64::from(self.config.size + MAX_BARREN_DEATHS) + self.now / REST * u64::from(self.config.size);
        if self.mood.fails_to_start < 100 {
            most += 20 + 3 * (self.seen.items + self.charged + self.seen.kills + self.seen.unused + self.seen.recycled);
        }
        assert!(self.spawns <= most, "{} workers started, where {most} are plenty", self.spawns);
    }

    fn check_end(&mut self) {
        assert!(self.calls.len() == self.plans.len() && self.calls.values().all(|call| call.finished));
        // One look more may be due: it finds nothing.
        let due = self.engine.poll_timeout();
        assert_eq!(due, self.engine.next_look);
        if let Some(due) = due {
            self.engine.handle_timeout(|_, _, _| panic!("there is no worker"), due);
            assert!(self.engine.poll_timeout().is_none() && self.engine.poll_action().is_none());
        }
    }

    // ── Odds and ends ──

    fn after(&mut self, delay: Micros, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + delay, self.scheduled), event);
    }

    fn index(&self, chunk: ChunkId, item: u32) -> usize {
        let at = chunk.sequence.wrapping_sub(self.first_sequence) as usize;
        let (first, items, _) = self.calls[&chunk.call].chunks[at];
        assert!(item < items, "item {item} of a chunk of {items}");
        first + item as usize
    }

    fn chunk_items(&self, chunk: ChunkId) -> u32 {
        self.calls[&chunk.call].chunks[chunk.sequence.wrapping_sub(self.first_sequence) as usize].1
    }

    fn part_indexes(&self, part: &SimPart) -> std::ops::Range<usize> {
        let first = self.index(part.chunk, part.start);
        first..first + part.items as usize
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.trace {
            let now = self.now;
            writeln!(self.log, "{now:>9} {}", text()).unwrap();
        }
    }

    fn dump(&self) -> String {
        let mut text = format!("at {}: {:?} {:?}\n{:#?}\n", self.now, self.config, self.mood, self.plans);
        for (id, process) in &self.processes {
            writeln!(text, "worker {id}: {process:?}").unwrap();
        }
        for (id, call) in &self.calls {
            let left: Vec<_> = call.items.iter().enumerate().filter(|(_, item)| !item.delivered).take(5).collect();
            writeln!(
                text,
                "call {id}: {}/{} pulled, {} buffered, {} in window, {} bytes, ended {}, stopping {:?} {}, cancelled {}, \
                 failed {}, finished {}; left: {left:?}; credit {:?}",
                call.pulled,
                call.items.len(),
                call.buffer.len(),
                call.in_window,
                call.window_bytes,
                call.source_ended,
                call.stopping,
                call.stop_delivered,
                call.cancelled,
                call.failed,
                call.finished,
                self.engine.poll_credit(*id),
            )
            .unwrap();
        }
        writeln!(text, "{:#?}", self.engine).unwrap();
        text
    }
}

impl SimCall {
    /// Nothing of it may start any more, as far as the owner has been told.
    fn is_ending(&self) -> bool {
        self.cancelled || self.failed || self.stopping.is_some()
    }

    fn is_over(&self) -> bool {
        self.is_ending() || (self.source_ended && self.items.iter().all(|item| item.delivered))
    }

    /// Invariant 3: window and bytes, counted here on our own.
    fn check_credit(&self, credit: super::Credit, pool: PoolConfig) {
        if self.may_stop || self.source_ended {
            return;
        }
        let concurrency = self.plan.config.concurrency.min(pool.size * pool.lanes);
        let workers = concurrency.min(pool.size);
        let keyed = if self.plan.config.keyed { 64 * workers } else { 0 };
        let automatic = || MAX_AUTO_WINDOW.min(2 * workers * credit.chunk).max(2 * concurrency).max(keyed);
        let most = self.plan.config.window.unwrap_or_else(automatic);
        assert_eq!(credit.items, most.saturating_sub(self.in_window), "credit of a window of {most}");
        let bytes = self.plan.config.max_bytes.saturating_sub(self.window_bytes);
        assert_eq!(credit.bytes, bytes, "credit in bytes");
        assert!(credit.chunk >= 1 && credit.chunk <= most, "a chunk of {} in a window of {most}", credit.chunk);
    }
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let most = random.pick(&[6, 6, 20]);
        let concurrency = random.between(1..=most) as u32;
        let window = random.chance(40).then(|| random.between(1..=40) as u32);
        let mut config = CallConfig {
            ordered: random.chance(60),
            stop_on_error: random.chance(60),
            concurrency,
            window,
            max_bytes: random.pick(&[1, 100, 2_000, 1 << 26]),
            chunk: random.chance(40).then(|| random.between(1..=50) as u32),
            retry: Retry {
                retries: random.pick(&[0, 0, 1, 2, u32::MAX]),
                initial: random.pick(&[0, 100, 10_000]),
                factor: random.pick(&[1.0, 2.0]),
                max: random.pick(&[150, 50_000]),
                jitter: random.pick(&[0.0, 0.5, 1.0]),
                asks: random.chance(40),
            },
            crash_retries: random.pick(&[0, 0, 1, 3]),
            timeout: random.chance(30).then(|| random.pick(&[1, 2_000, 20_000, 300_000])),
            priority: random.pick(&[0, 0, 0, 1, -1]),
            keyed: random.chance(25),
        };
        if config.timeout.is_some_and(|timeout| timeout < 20_000) {
            // Most tries may be cut off: without end, they would go on for ever.
            config.retry.retries = config.retry.retries.min(3);
        }
        let items = match random.below(20) {
            0 => 0,
            1 => random.between(0..=600),
            _ => random.between(1..=60),
        } as usize;
        let cancel = random.chance(35).then(|| {
            let delay = random.pick(&[0, 200, 2_000, 20_000, 100_000]);
            (random.below(delay + 1), random.pick(&[Cancel::Soft, Cancel::Hard]))
        });
        let consumer = match random.below(10) {
            0 if cancel.is_some() => Consumer::Stalls(random.below(10) as usize),
            1 => Consumer::Breaks(random.below(20) as usize),
            2..=4 => Consumer::Slow,
            _ => Consumer::Greedy,
        };
        Self {
            config,
            items,
            errors: random.pick(&[0, 0, 1, 10]),
            source_micros: random.pick(&[0, 0, 5, 300]),
            consumer,
            cancel,
            hangs: (cancel.is_some() || config.timeout.is_some()) && random.chance(40),
            keys: random.pick(&[1, 2, 5, 8]),
        }
    }
}

/// The shortest time before a retry, where so many tries have failed.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // small numbers
fn least_delay(retry: &Retry, errors: u32) -> Micros {
    let whole = (retry.initial as f64 * retry.factor.powi(errors as i32 - 1)).min(retry.max as f64);
    (whole * (1.0 - retry.jitter)) as Micros
}

fn process_is_hostile(processes: &BTreeMap<WorkerId, Process>, worker: WorkerId) -> bool {
    processes[&worker].hostile
}

/// As in `crates/channel/src/claim.rs`.
fn claim(word: &mut u32) -> Option<u32> {
    let (next, end) = (*word & 0xffff, *word >> 16);
    *word = word.wrapping_add(1);
    (next < end).then_some(next)
}

fn claimed(word: u32, items: u32) -> u32 {
    (word & 0xffff).min(word >> 16).min(items)
}

fn take_back(word: &mut u32, items: u32, most: u32) -> u32 {
    let (next, end) = (*word & 0xffff, (*word >> 16).min(items));
    let keep = next.min(end).max(end.saturating_sub(most));
    *word = keep << 16 | next;
    keep
}

/// splitmix64, by Sebastiano Vigna.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Schedules in a normal test run.
const SEEDS: u64 = 20_000;
/// After this long, work that could have moved to another worker should have.
const PATIENCE: Micros = 100_000;
