//! A property: whatever a worker writes into the memory that it shares with us, in whatever order, each of its items has
//! at most one outcome, what JavaScript gets can be read, and nothing panics. The worker is a thread of this test: no
//! process is started, but everything from the ring to the batch is what a pool has.

use super::{
    ItemSize, Pool, limits::Limits, output::Output, pool::Core, process::Processes, spawn::Launch, watch::Watch,
};
use crate::engine::{CallConfig, PoolConfig, Retry};
use millrace_channel::{layout, parent::ParentEnd, ring::RingMemory, segment::Segment};
use proptest::prelude::*;
use std::{
    os::fd::AsFd,
    sync::{Arc, Mutex, atomic::Ordering},
};

const ITEMS: u32 = 6;

/// What the worker does next.
#[derive(Clone, Debug)]
enum Step {
    /// A record as the protocol has it, with these fields.
    Record { kind: u8, cell: u8, status: u8, item: u32, number: u32, row: Vec<u8>, text: u32 },
    /// The record of an honest worker that runs the next item.
    Claim,
    /// Bytes at any place of a ring.
    Noise { at: u32, bytes: Vec<u8> },
    /// A word of the header.
    Word { at: usize, value: u32 },
    /// Whoever is in the parent looks.
    Look,
}

fn launch() -> Launch {
    Launch {
        program: "/nonexistent".into(),
        args: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stdout: Output::Ignore,
        stderr: Output::Ignore,
        limits: Limits::default(),
        max_memory: None,
        once: false,
    }
}

/// The worker's side.
struct Liar {
    memory: Segment,
    tail: u32,
}

impl Liar {
    fn put(&self, at: u32, bytes: &[u8]) {
        let ring = self.memory.row();
        for (offset, byte) in bytes.iter().enumerate() {
            ring.store(at.wrapping_add(offset as u32) & (ring.capacity() - 1), &[*byte]);
        }
    }

    fn record(&mut self, kind: u8, [cell, status]: [u8; 2], [item, number]: [u32; 2], row: &[u8], text: u32) {
        let mut bytes = Vec::new();
        for word in [row.len() as u32, text, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&[kind, cell, status, 0]);
        bytes.extend_from_slice(&item.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(row);
        self.put(self.tail, &bytes);
        self.tail = self.tail.wrapping_add(bytes.len().next_multiple_of(layout::RECORD_ALIGN) as u32);
        self.memory.word(layout::ROW_TAIL).store(self.tail, Ordering::SeqCst);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Record { kind, cell, status, item, number, row, text } => {
                self.record(kind, [cell, status], [item, number], &row, text);
            }
            Step::Claim => {
                let word = self.memory.claim_cell(0).fetch_add(1, Ordering::SeqCst);
                if word & 0xffff < word >> 16 {
                    self.record(1, [0, 0], [word & 0xffff, 0], &[4, 0, 0, 0, 0, 0, 0, 0, 0], 0);
                }
            }
            Step::Noise { at, bytes } => self.put(at, &bytes),
            Step::Word { at, value } => self.memory.word(at).store(value, Ordering::SeqCst),
            Step::Look => {}
        }
    }
}

/// What one batch says, read by its description and not by the code that wrote it.
#[derive(Default)]
struct Read {
    outcomes: Vec<u64>,
}

impl Read {
    fn batch(&mut self, bytes: &[u8]) {
        let word = |at: usize| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap());
        let (words, rows, text) = (word(0) as usize, word(1) as usize, word(2) as usize);
        assert_eq!(words * 4 + rows + text, bytes.len());
        assert_eq!(word(3), 0, "processes have no large values");
        let (mut at, mut rows_read, mut text_read) = (4, 0, 0);
        let next = |at: &mut usize| {
            *at += 1;
            word(*at - 1) as usize
        };
        let mut entry = |at: &mut usize| {
            let (low, high) = (next(at), next(at) >> 8);
            next(at);
            rows_read += next(at);
            text_read += next(at);
            (low as u64) | (high as u64) << 32
        };
        let mut own = 0;
        while at < words {
            match next(&mut at) {
                1 => {
                    next(&mut at);
                    for _ in 0..next(&mut at) {
                        self.outcomes.push(entry(&mut at));
                    }
                }
                2 | 3 => {
                    next(&mut at);
                    entry(&mut at);
                }
                4 | 6 => _ = next(&mut at),
                5 | 10 => {
                    at += 2;
                    own += next(&mut at);
                }
                7 => _ = (next(&mut at), next(&mut at)),
                8 => {}
                9 | 11 => _ = entry(&mut at),
                12 => {
                    at += 5;
                    entry(&mut at);
                }
                13 => at += 4,
                14 => {
                    next(&mut at);
                    let index = next(&mut at) as u64 | (next(&mut at) as u64) << 32;
                    assert!(index < 1 << 53);
                    own += next(&mut at) + next(&mut at);
                }
                15 => {
                    next(&mut at);
                    let [index, done, total] = [(); 3].map(|()| next(&mut at) as u64 | (next(&mut at) as u64) << 32);
                    let (done, total) = (f64::from_bits(done), f64::from_bits(total));
                    assert!(index < 1 << 53 && done >= 0.0 && done.is_finite() && total > 0.0 && total.is_finite());
                }
                section => panic!("there is no section {section}"),
            }
        }
        assert_eq!(at, words);
        assert_eq!(rows_read + text_read + own, rows + text, "all bytes belong to something");
    }
}

/// Lets the worker lie to a pool; returns what the batches said.
fn lie(steps: Vec<Step>, honest_start: bool, listens: u32, timeout: Option<u64>) -> Read {
    let liars: Arc<Mutex<Vec<Liar>>> = Arc::default();
    let watch = Arc::new(Watch::new().unwrap());
    let config = PoolConfig { size: 1, lanes: 2, ..PoolConfig::default() };
    let kept = Arc::clone(&liars);
    let make = move || {
        let end = ParentEnd::create(layout::Capacities::default())?;
        let memory = end.inherited().0.as_fd().try_clone_to_owned()?;
        let memory = Segment::map(memory, layout::Capacities::default())?;
        kept.lock().unwrap().push(Liar { memory, tail: 0 });
        Ok(end)
    };
    let pool = Pool::new(config, Arc::clone(&watch), |pool| {
        Box::new(Processes::new(launch(), Vec::new(), watch, pool).with_ends(make))
    })
    .unwrap();
    let call = CallConfig {
        ordered: false,
        stop_on_error: false,
        concurrency: 2,
        window: None,
        max_bytes: 1 << 20,
        chunk: Some(ITEMS),
        retry: Retry { retries: 1, ..Retry::default() },
        crash_retries: 0,
        timeout,
        priority: 0,
        keyed: false,
    };
    pool.with(|core| {
        core.listen(listens);
        let call = core.open(call);
        let sizes = vec![ItemSize { row: 1, text: 0 }; ITEMS as usize];
        core.submit(call, sizes, &[], vec![0; ITEMS as usize], Vec::new(), Vec::new(), 0);
        core.pump();
    });
    let mut liar = liars.lock().unwrap().pop().expect("a worker was started");
    if honest_start {
        liar.record(4, [0, 0], [0, 0], &[], 0);
    }
    pool.with(Core::pump);
    let mut read = Read::default();
    for step in steps.into_iter().chain([Step::Look]) {
        let looks = matches!(step, Step::Look);
        liar.step(step);
        if looks {
            let mut bytes = vec![0; 64 << 10];
            let length = pool.with(|core| {
                core.time_passed();
                match core.collect(&mut bytes) {
                    length if length > bytes.len() => {
                        bytes.resize(length, 0);
                        core.collect(&mut bytes)
                    }
                    length => length,
                }
            });
            if length > 0 {
                read.batch(&bytes[..length]);
            }
        }
    }
    read
}

fn step() -> impl Strategy<Value = Step> {
    let small = || prop_oneof![3 => 0..ITEMS, 1 => any::<u32>()];
    let record = (
        prop_oneof![4 => 0..9u8, 1 => (0..9u8).prop_map(|kind| kind | layout::STREAMED), 1 => any::<u8>()],
        prop_oneof![3 => Just(0u8), 1 => any::<u8>()],
        prop_oneof![3 => 0..4u8, 1 => any::<u8>()],
        (small(), small()),
        proptest::collection::vec(any::<u8>(), 0..600),
        prop_oneof![4 => Just(0u32), 1 => 0..100u32, 1 => any::<u32>()],
    )
        .prop_map(|(kind, cell, status, (item, number), row, text)| Step::Record {
            kind,
            cell,
            status,
            item,
            number,
            row,
            text,
        });
    let words = prop_oneof![
        Just(layout::ROW_TAIL),
        Just(layout::ROW_HEAD),
        Just(layout::REQUEST_HEAD),
        Just(layout::REQUEST_TAIL),
        Just(layout::MESSAGE_HEAD),
        Just(layout::PARENT_WANTS_ROOM),
        Just(layout::LISTENING),
        (0..layout::CLAIM_CELLS).prop_map(|cell| layout::CLAIMS + cell * layout::CLAIM_STRIDE),
        (0..layout::PROGRESS_CELLS * 8).prop_map(|word| layout::PROGRESS_CELLS_AT + word * 4),
    ];
    prop_oneof![
        8 => record,
        4 => Just(Step::Claim),
        1 => (any::<u32>(), proptest::collection::vec(any::<u8>(), 1..100))
            .prop_map(|(at, bytes)| Step::Noise { at, bytes }),
        2 => (words, prop_oneof![any::<u32>(), 0..1000u32]).prop_map(|(at, value)| Step::Word { at, value }),
        5 => Just(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_a_worker_says_its_items_end_once_at_most(
        steps in proptest::collection::vec(step(), 1..60),
        honest_start in prop_oneof![4 => Just(true), 1 => Just(false)],
        listens in 0..4u32,
        timeout in prop_oneof![Just(None), Just(Some(1))],
    ) {
        let mut outcomes = lie(steps, honest_start, listens, timeout).outcomes;
        prop_assert!(outcomes.iter().all(|index| *index < ITEMS.into()));
        let count = outcomes.len();
        outcomes.sort_unstable();
        outcomes.dedup();
        prop_assert_eq!(outcomes.len(), count, "none twice");
    }
}

#[test]
fn an_honest_worker_is_believed() {
    let mut steps = vec![Step::Claim; ITEMS as usize];
    steps.push(Step::Look);
    let outcomes = lie(steps, true, 0, None).outcomes;
    assert_eq!(outcomes, (0..ITEMS.into()).collect::<Vec<u64>>());
}
