//! The channel between two real processes, which loom cannot see: this test binary starts itself as the worker, which
//! writes records as `lib/worker-port.js` does. Every byte is derived from a seed that both sides know, and checked.
//!
//! A failure prints its seed; `MILLRACE_SEED` runs that one again.
#![cfg(all(target_os = "linux", not(loom)))]

use millrace_channel::{
    claim,
    doorbell::Doorbell,
    layout::{self, Capacities},
    link::Link,
    parent::{ParentEnd, Record, RecordKind},
    ring::RingMemory,
    segment::Segment,
    worker::{FRAME_HEADER_BYTES, Streamed, WorkerEnd},
};
use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Small, so that everything goes around the end often, and much is larger than a ring.
const RINGS: Capacities = Capacities { request: 8192, row: 16384, text: 4096 };
const CELLS: usize = 4;

#[test]
fn every_byte_arrives_while_claims_and_take_backs_race() {
    let seed = seed();
    let until = Instant::now() + Duration::from_secs(3);
    let mut parent = Parent::start(seed, "honest");
    while Instant::now() < until {
        parent.step();
    }
    parent.drain_and_stop();
    let Counts { outcomes, taken_back, sleeps, streamed, .. } = parent.counts;
    println!("{:?}", parent.counts);
    // Not a speed: each of the ways was gone at all.
    assert!(outcomes > 100 && taken_back > 0 && sleeps > 0 && streamed > 0, "{:?}", parent.counts);
}

#[test]
fn what_a_killed_worker_has_published_is_whole() {
    let first = seed();
    for seed in first..first + 40 {
        let mut random = Random(seed);
        let mut parent = Parent::start(seed, "honest");
        let until = Instant::now() + Duration::from_micros(random.below(40_000) + 5_000);
        while Instant::now() < until {
            parent.step();
        }
        parent.child.kill().unwrap();
        parent.child.wait().unwrap();
        parent.hear();
        parent.hear();
        for (number, cell) in parent.cells.iter().enumerate() {
            let Some(chunk) = cell else { continue };
            let claimed = parent.end.claimed(number as u8, chunk.end);
            let ended = chunk.ended.iter().filter(|ended| **ended).count() as u32;
            // Items are claimed in order, and run one after the other.
            assert!(chunk.ended[..ended as usize].iter().all(|ended| *ended), "seed {seed}: a gap");
            assert!((ended..=ended + 1).contains(&claimed), "seed {seed}: {claimed} claimed, {ended} ended");
        }
    }
}

#[test]
fn a_worker_that_writes_garbage_harms_nobody_else() {
    let first = seed();
    let (mut all_records, mut refused) = (0, 0);
    for seed in first..first + 60 {
        let mut random = Random(seed);
        let mut end = ParentEnd::create(RINGS).unwrap();
        let mut child = spawn(&end, seed, "hostile");
        // Some time from its first word on; it may be refused for that.
        let mut until = Instant::now() + Duration::from_secs(10);
        let most = RINGS.row + RINGS.text;
        let (mut total, mut released) = (0, 0);
        let (mut row, mut text) = (Vec::new(), Vec::new());
        'worker: while Instant::now() < until {
            // It writes all the time, and yet each hearing ends, without being given more than the rings hold.
            let mut records = 0;
            loop {
                let Ok(record) = end.next_record() else {
                    refused += 1;
                    break 'worker;
                };
                let Some(record) = record else { break };
                until = until.min(Instant::now() + Duration::from_millis(25));
                end.take(&record, &mut row, &mut text);
                assert_eq!((row.len() as u32, text.len() as u32), record.sizes(), "seed {seed}");
                total += row.len() + text.len();
                row.clear();
                text.clear();
                records += 1;
                all_records += 1;
                assert!(records <= RINGS.row / layout::RECORD_BYTES, "seed {seed}: it never ends");
            }
            end.release();
            released += 1;
            assert!(total <= released * most, "seed {seed}: {total} bytes of {released} rings");
            end.sleep();
            if end.send(&[0; 100]).is_err() {
                break;
            }
            let (cell, items, take) = (random.below(16) as u8, random.below(100) as u32, random.below(100) as u32);
            assert!(end.claimed(cell, items) <= items, "seed {seed}");
            assert!(end.take_back(cell, items, take) <= items, "seed {seed}");
            end.open_claims(cell, items);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    println!("{all_records} records, {refused} of 60 workers refused");
    assert!(all_records > 1000 && refused > 10, "{all_records} records, {refused} of 60 workers refused");
}

/// One chunk that the worker has. Items are checked against what the seed says.
struct Chunk {
    seed: u64,
    end: u32,
    ended: Vec<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    chunks: u64,
    outcomes: u64,
    taken_back: u64,
    sleeps: u64,
    streamed: u64,
}

struct Parent {
    seed: u64,
    random: Random,
    end: ParentEnd,
    child: Child,
    cells: [Option<Chunk>; CELLS],
    unsent: VecDeque<Vec<u8>>,
    sent: usize,
    ready: bool,
    counts: Counts,
    row: Vec<u8>,
    text: Vec<u8>,
}

impl Parent {
    fn start(seed: u64, role: &str) -> Self {
        let end = ParentEnd::create(RINGS).unwrap();
        let child = spawn(&end, seed, role);
        let cells = [const { None }; CELLS];
        let (row, text) = (Vec::new(), Vec::new());
        let (random, unsent, counts) = (Random(seed), VecDeque::new(), Counts::default());
        Self { seed, random, end, child, cells, unsent, sent: 0, ready: false, counts, row, text }
    }

    /// Some work, in any order, then sleep if there is none.
    fn step(&mut self) {
        for cell in 0..CELLS {
            if self.cells[cell].is_none() && self.random.below(4) > 0 {
                self.dispatch(cell);
            }
        }
        self.hear();
        if self.random.below(3) == 0 {
            self.take_back();
        }
        if self.random.below(50) == 0 {
            // Long enough for the worker to fill its rings, or to fall asleep.
            std::thread::sleep(Duration::from_micros(self.random.below(2000)));
        }
        self.end.allow_spinning(if self.random.below(2) == 0 { 0 } else { 50 });
        if self.cells.iter().any(Option::is_some) && !self.end.sleep() {
            self.wait();
        }
    }

    fn drain_and_stop(&mut self) {
        while self.cells.iter().any(Option::is_some) {
            self.hear();
            if self.cells.iter().any(Option::is_some) && !self.end.sleep() {
                self.wait();
            }
        }
        self.send(frame(&[]));
        assert!(self.child.wait().unwrap().success(), "seed {}", self.seed);
    }

    fn dispatch(&mut self, cell: usize) {
        let seed = self.random.next();
        let items = 1 + self.random.below(60) as u32;
        self.end.open_claims(cell as u8, items);
        self.cells[cell] = Some(Chunk { seed, end: items, ended: vec![false; items as usize] });
        self.counts.chunks += 1;
        let mut body = seed.to_le_bytes().to_vec();
        body.push(cell as u8);
        let bytes = request_bytes(seed);
        body.extend(Random(seed).bytes(bytes));
        self.send(frame(&body));
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.unsent.push_back(bytes);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(first) = self.unsent.front() {
            self.sent += self.end.send(&first[self.sent..]).expect("the worker is honest");
            if self.sent < first.len() {
                return;
            }
            self.unsent.pop_front();
            self.sent = 0;
        }
    }

    fn hear(&mut self) {
        let seed = self.seed;
        while let Some(record) = self.end.next_record().unwrap_or_else(|_| panic!("seed {seed}: corrupt")) {
            self.check(&record);
        }
        self.end.release();
        self.flush();
    }

    fn check(&mut self, record: &Record) {
        let seed = self.seed;
        self.row.clear();
        self.text.clear();
        self.end.take(record, &mut self.row, &mut self.text);
        let cell = usize::from(record.cell);
        match record.kind {
            RecordKind::Ready => assert!(!std::mem::replace(&mut self.ready, true), "seed {seed}"),
            RecordKind::Outcome => {
                let chunk = self.cells[cell].as_mut().expect("an outcome for an empty cell");
                let item = record.item as usize;
                assert!(record.item < chunk.end, "seed {seed}: item {item} was taken back");
                assert!(!std::mem::replace(&mut chunk.ended[item], true), "seed {seed}: item {item} ended twice");
                let (row, text) = outcome_of(chunk.seed, record.item);
                assert!(self.row == row, "seed {seed}: the row of item {item} is not what was written");
                assert!(self.text == text, "seed {seed}: the text of item {item} is not what was written");
                self.counts.outcomes += 1;
                self.counts.streamed += u64::from(is_streamed(&row, &text));
            }
            RecordKind::ChunkDone => {
                let chunk = self.cells[cell].take().expect("the end of no chunk");
                let (mine, back) = chunk.ended.split_at(chunk.end as usize);
                assert!(mine.iter().all(|ended| *ended) && !back.contains(&true), "seed {seed}: not each item once");
            }
            other => panic!("seed {seed}: a record {other:?}"),
        }
    }

    fn take_back(&mut self) {
        let number = self.random.below(CELLS as u64) as usize;
        let most = self.random.below(20) as u32;
        let Some(chunk) = &mut self.cells[number] else { return };
        let end = self.end.take_back(number as u8, chunk.end, most);
        assert!(end <= chunk.end && chunk.end - end <= most, "seed {}", self.seed);
        self.counts.taken_back += u64::from(chunk.end - end);
        chunk.end = end;
    }

    fn wait(&mut self) {
        self.counts.sleeps += 1;
        let (_, _, bell) = self.end.inherited();
        assert!(rings_within(bell, 10_000), "seed {}: a wake-up was lost", self.seed);
        bell.answer();
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: what the worker process runs.
#[test]
fn worker_process() {
    let Ok(inherited) = std::env::var("MILLRACE_TEST_WORKER") else { return };
    let mut words = inherited.split(',');
    let mut word = || words.next().unwrap();
    let (role, seed) = (word().to_owned(), word().parse().unwrap());
    // SAFETY: the parent opened these for this process, and nobody else takes them over.
    let mut fd = || unsafe { OwnedFd::from_raw_fd(word().parse().unwrap()) };
    let segment = Segment::map(fd(), RINGS).unwrap();
    let (bell, parent_bell) = (Doorbell::from_fd(fd()), Doorbell::from_fd(fd()));
    match role.as_str() {
        "honest" => Worker::run(WorkerEnd::new(segment, bell, parent_bell), seed),
        "hostile" => write_garbage(&segment, seed),
        other => panic!("no role {other}"),
    }
    std::process::exit(0);
}

/// The worker's side, as `lib/worker-port.js` and `lib/worker-main.js` have it.
struct Worker {
    end: WorkerEnd,
    random: Random,
    row_tail: u32,
    row_head: u32,
    text_tail: u32,
    text_head: u32,
}

impl Worker {
    fn run(end: WorkerEnd, seed: u64) {
        let random = Random(seed ^ 0x5eed);
        let mut worker = Self { end, random, row_tail: 0, row_head: 0, text_tail: 0, text_head: 0 };
        worker.publish(RecordKind::Ready, 0, 0, &[], &[]);
        worker.end.ring();
        loop {
            let may_poll = worker.random.below(2) == 0;
            let Some(frame) = worker.end.receive(may_poll).expect("the parent is honest") else {
                assert!(rings_within(worker.end.bell(), 10_000), "seed {seed}: a wake-up of the worker was lost");
                worker.end.bell().answer();
                continue;
            };
            let body = &frame[FRAME_HEADER_BYTES..];
            if body == [END] {
                return;
            }
            let seed = u64::from_le_bytes(body[1..9].try_into().unwrap());
            assert!(body[10..] == Random(seed).bytes(request_bytes(seed)), "a request is not what was sent");
            worker.run_chunk(body[9], seed);
        }
    }

    fn run_chunk(&mut self, cell: u8, seed: u64) {
        while let Some(item) = claim::claim(self.end.segment().claim_cell(cell.into())) {
            let (row, text) = outcome_of(seed, item);
            match self.random.below(40) {
                0 => std::thread::sleep(Duration::from_micros(self.random.below(300))),
                1..5 => std::thread::yield_now(),
                _ => {}
            }
            self.publish(RecordKind::Outcome, cell, item, &row, &text);
            if self.random.below(4) == 0 {
                self.end.ring();
            }
        }
        self.publish(RecordKind::ChunkDone, cell, 0, &[], &[]);
        self.end.ring();
    }

    /// `#copy`
    fn publish(&mut self, kind: RecordKind, cell: u8, item: u32, row: &[u8], text: &[u8]) {
        if is_streamed(row, text) {
            self.end
                .stream(Streamed { kind, cell, status: 0, item, number: 0, row, text })
                .expect("the parent is honest");
            self.row_tail = self.word(layout::ROW_TAIL);
            self.row_head = self.word(layout::ROW_HEAD);
            return;
        }
        self.place(row.len() as u32, text.len() as u32);
        let row_at = self.row_tail & (RINGS.row as u32 - 1);
        let mut header = [0; layout::RECORD_BYTES];
        header[0..4].copy_from_slice(&(row.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(text.len() as u32).to_le_bytes());
        header[8..12].copy_from_slice(&self.text_tail.to_le_bytes());
        header[12..14].copy_from_slice(&[kind as u8, cell]);
        header[16..20].copy_from_slice(&item.to_le_bytes());
        let segment = self.end.segment();
        segment.row().store(row_at + layout::RECORD_BYTES as u32, row);
        segment.text().store(self.text_tail & (RINGS.text as u32 - 1), text);
        segment.row().store(row_at, &header);
        self.text_tail = self.text_tail.wrapping_add(text.len() as u32);
        self.move_row_tail(layout::RECORD_BYTES as u32 + (row.len() as u32).next_multiple_of(8));
    }

    /// `#place`
    fn place(&mut self, row: u32, text: u32) {
        let needed = layout::RECORD_BYTES as u32 + row.next_multiple_of(8);
        let to_end = RINGS.row as u32 - (self.row_tail & (RINGS.row as u32 - 1));
        if to_end < needed {
            self.wait_for(to_end, 0);
            if to_end >= layout::RECORD_BYTES as u32 {
                let mut header = [0; layout::RECORD_BYTES];
                header[0..4].copy_from_slice(&(to_end - layout::RECORD_BYTES as u32).to_le_bytes());
                self.end.segment().row().store(self.row_tail & (RINGS.row as u32 - 1), &header);
            }
            self.move_row_tail(to_end);
        }
        let text_to_end = RINGS.text as u32 - (self.text_tail & (RINGS.text as u32 - 1));
        if text_to_end < text {
            self.wait_for(needed, text_to_end + text);
            self.text_tail = self.text_tail.wrapping_add(text_to_end);
        }
        self.wait_for(needed, text);
    }

    /// `#waitFor`
    fn wait_for(&mut self, row: u32, text: u32) {
        loop {
            let fits = |capacity: usize, tail: u32, head: u32, bytes: u32| {
                u64::from(tail.wrapping_sub(head)) + u64::from(bytes) <= capacity as u64
            };
            if fits(RINGS.row, self.row_tail, self.row_head, row)
                && fits(RINGS.text, self.text_tail, self.text_head, text)
            {
                return;
            }
            let (row_head, text_head) = (self.word(layout::ROW_HEAD), self.word(layout::TEXT_HEAD));
            if (row_head, text_head) == (self.row_head, self.text_head) {
                self.end.wait_for_room(row_head, text_head);
            } else {
                (self.row_head, self.text_head) = (row_head, text_head);
            }
        }
    }

    fn move_row_tail(&mut self, bytes: u32) {
        self.row_tail = self.row_tail.wrapping_add(bytes);
        self.end.segment().word(layout::ROW_TAIL).store(self.row_tail, Ordering::SeqCst);
    }

    fn word(&self, at: usize) -> u32 {
        self.end.segment().word(at).load(Ordering::SeqCst)
    }
}

/// Writes into the segment what comes to its mind. How mad it is depends on the seed: one that is nowhere near right is
/// refused at once, so most are wrong in few places.
fn write_garbage(segment: &Segment, seed: u64) {
    const ROW: u32 = RINGS.row as u32;
    let words = [
        layout::REQUEST_HEAD,
        layout::REQUEST_TAIL,
        layout::ROW_TAIL,
        layout::ROW_HEAD,
        layout::TEXT_HEAD,
        layout::WORKER_SLEEPS,
        layout::PARENT_SLEEPS,
        layout::PARENT_WANTS_ROOM,
        layout::WORKER_WANTS_ROOM,
    ];
    let mut random = Random(seed ^ 0xbad);
    let [scribbles, moves_words, lies, runs_ahead] = std::array::from_fn(|_| random.below(3) == 0);
    let (mut tail, mut text) = (0u32, 0u32);
    loop {
        match random.below(2000) {
            0 if scribbles => segment.row().store(random.below(u64::from(ROW) - 64) as u32, &random.bytes(64)),
            1 if moves_words => {
                let at = words[random.below(words.len() as u64) as usize];
                segment.word(at).store(random.next() as u32, Ordering::SeqCst);
            }
            2..20 => segment.claim_cell(random.below(16) as usize).store(random.next() as u32, Ordering::SeqCst),
            _ => {}
        }
        let at = tail & (ROW - 1);
        let row = random.below(32) as u32;
        let needed = layout::RECORD_BYTES as u32 + row.next_multiple_of(8);
        let head = segment.word(layout::ROW_HEAD).load(Ordering::SeqCst);
        if !runs_ahead && tail.wrapping_sub(head) > ROW - 2 * needed {
            continue;
        }
        if ROW - at < needed {
            tail = tail.wrapping_add(ROW - at);
            let mut padding = [0; layout::RECORD_BYTES];
            if ROW - at >= layout::RECORD_BYTES as u32 {
                padding[0] = (ROW - at) as u8 - layout::RECORD_BYTES as u8;
                segment.row().store(at, &padding);
            }
        } else {
            let mut header = [0; layout::RECORD_BYTES];
            let kind = random.below(7) as u8;
            let is_streamed = kind > 0 && random.below(50) == 0;
            let text_at = text & (RINGS.text as u32 - 1);
            let text_head = segment.word(layout::TEXT_HEAD).load(Ordering::SeqCst);
            if text_at > 4090 {
                text = text.wrapping_add(1);
            } else if kind > 0 && !is_streamed && text.wrapping_sub(text_head) < 4000 {
                header[4..8].copy_from_slice(&3u32.to_le_bytes());
                header[8..12].copy_from_slice(&text.to_le_bytes());
                text = text.wrapping_add(3);
            }
            if lies && random.below(500) == 0 {
                let field = 4 * random.below(5) as usize;
                header[field..field + 4].copy_from_slice(&(random.next() as u32).to_le_bytes());
            } else {
                header[0..4].copy_from_slice(&row.to_le_bytes());
                header[12] = kind | if is_streamed { layout::STREAMED } else { 0 };
            }
            segment.row().store(at, &header);
            tail = tail.wrapping_add(needed);
        }
        segment.word(layout::ROW_TAIL).store(tail, Ordering::SeqCst);
        if lies {
            // While it is read.
            segment.row().store(at, &[random.next() as u8 & 31, 0, 0, 0]);
        }
    }
}

/// Starts this binary as the worker of `end`.
fn spawn(end: &ParentEnd, seed: u64, role: &str) -> Child {
    let (segment, worker_bell, parent_bell) = end.inherited();
    let fds: [RawFd; 3] =
        [segment.as_fd().as_raw_fd(), worker_bell.as_fd().as_raw_fd(), parent_bell.as_fd().as_raw_fd()];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--nocapture", "--test-threads=1"]);
    command.env("MILLRACE_TEST_WORKER", format!("{role},{seed},{},{},{}", fds[0], fds[1], fds[2]));
    command.stdout(std::process::Stdio::null());
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for fd in fds {
                if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn().unwrap()
}

fn rings_within(bell: &Doorbell, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

/// A frame with this body, or the last one.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 1).to_le_bytes().to_vec();
    frame.push(if body.is_empty() { END } else { CHUNK });
    frame.extend_from_slice(body);
    frame
}

const CHUNK: u8 = 1;
const END: u8 = 2;

/// Now and then larger than the ring.
fn request_bytes(seed: u64) -> usize {
    let random = seed.rotate_left(17);
    if random.is_multiple_of(8) { random as usize % 40_000 } else { random as usize % 600 }
}

/// Row and text of an item: mostly small, sometimes streamed.
fn outcome_of(seed: u64, item: u32) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(seed ^ (u64::from(item) << 32 | 1));
    let (row, text) = match random.below(30) {
        0 => (random.below(50_000), random.below(100)),
        1 => (random.below(100), random.below(9_000)),
        2..6 => (random.below(4_000), random.below(1_000)),
        6..9 => (0, 0),
        _ => (random.below(100), random.below(60)),
    };
    (random.bytes(row as usize), random.bytes(text as usize))
}

fn is_streamed(row: &[u8], text: &[u8]) -> bool {
    row.len() + layout::RECORD_BYTES > RINGS.row / 4 || text.len() > RINGS.text / 4
}

fn seed() -> u64 {
    let given = std::env::var("MILLRACE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64 >> 10
    });
    println!("seed {seed}");
    seed
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
