//! What the simulation found, and what it cannot see: one short schedule each.

// `call` and `cell` are the engine's words.
#![allow(clippy::similar_names)]

use super::*;
use proptest::prelude::*;

const CALL: CallConfig = CallConfig {
    ordered: true,
    stop_on_error: true,
    concurrency: 8,
    window: None,
    max_bytes: 1 << 26,
    chunk: None,
    retry: Retry { retries: 0, initial: 0, factor: 1.0, max: 0, jitter: 0.0, asks: false },
    crash_retries: 0,
    timeout: None,
    priority: 0,
    keyed: false,
};

fn pool(size: u32) -> Engine {
    Engine::new(PoolConfig { size, lanes: 1, grace: 1_000, seed: 0, ..PoolConfig::default() })
}

/// What the engine asks for, but for spawns, which are answered at once.
fn actions(engine: &mut Engine) -> Vec<Action> {
    let mut actions = Vec::new();
    while let Some(action) = engine.poll_action() {
        if let Action::Spawn { worker } = action {
            engine.handle_ready(worker, 0).unwrap();
        } else {
            actions.push(action);
        }
    }
    actions
}

fn dispatches(engine: &mut Engine) -> Vec<(WorkerId, u8, ChunkId)> {
    let sent = |action| match action {
        Action::Dispatch { worker, sent } => Some((worker, sent.cell, sent.chunk)),
        _ => None,
    };
    actions(engine).into_iter().filter_map(sent).collect()
}

fn end(engine: &mut Engine, worker: WorkerId, cell: u8, status: Status, now: Micros) {
    engine.handle_outcome(worker, cell, 0, status, 1, now).unwrap();
    engine.handle_chunk_done(worker, cell, 1, now).unwrap();
}

fn end_part(engine: &mut Engine, worker: WorkerId, cell: u8, items: u32, now: Micros) {
    for item in 0..items {
        engine.handle_outcome(worker, cell, item, Status::Value, 1, now).unwrap();
    }
    engine.handle_chunk_done(worker, cell, 1, now).unwrap();
}

#[test]
fn a_worker_that_does_not_come_past_what_was_cut_off_is_killed() {
    for comes_past in [false, true] {
        let mut engine = pool(1);
        let call = engine.handle_open(CALL);
        engine.handle_chunk(call, &[1], 0);
        let sent = dispatches(&mut engine);
        let [(worker, cell, _)] = sent[..] else { panic!("{sent:?}") };
        engine.handle_cancel(call, Cancel::Hard, 10);
        engine.handle_taken_back(worker, cell, 0, 10);
        if comes_past {
            engine.handle_chunk_done(worker, cell, 1, 20).unwrap();
        }
        assert_eq!(engine.poll_timeout(), (!comes_past).then_some(1_010));
        engine.handle_timeout(|_, _, _| 0, 1_010);
        assert_eq!(actions(&mut engine).contains(&Action::Kill { worker }), !comes_past);
    }
}

#[test]
fn a_late_answer_is_not_taken_for_one_about_the_cells_next_part() {
    let mut engine = pool(2);
    let call = engine.handle_open(CALL);
    for _ in 0..4 {
        engine.handle_chunk(call, &[1; 10], 0);
    }
    let mut sent = dispatches(&mut engine);
    sent.sort_by_key(|(worker, cell, _)| (*worker, *cell));
    let [_, _, (1, first, _), (1, second, _)] = sent[..] else { panic!("{sent:?}") };
    for cell in [sent[0].1, sent[1].1] {
        end_part(&mut engine, 0, cell, 10, 50_000);
    }
    let told = actions(&mut engine);
    assert!(told.contains(&Action::TakeBack { worker: 1, cell: second, items: 10, most: 10 }), "{told:?}");
    // Meanwhile worker 1 gets through with both, and has new work.
    end_part(&mut engine, 1, first, 10, 50_001);
    end_part(&mut engine, 1, second, 10, 50_001);
    for _ in 0..4 {
        engine.handle_chunk(call, &[1; 20], 50_002);
    }
    let sent = dispatches(&mut engine);
    assert!(sent.iter().all(|(worker, cell, _)| *worker == 0 || *cell != second), "{sent:?}");
    engine.handle_taken_back(1, second, 10, 50_003);
    assert_eq!(actions(&mut engine), []);
    assert!(engine.workers[&1].dispatches().all(|part| part.items() == 20));
}

#[test]
fn a_part_that_a_dead_worker_has_never_seen_is_charged_to_nobody() {
    let mut engine = pool(1);
    let call = engine.handle_open(CALL);
    engine.handle_warm_up(1, 0);
    actions(&mut engine);
    engine.handle_chunk(call, &[1, 1], 0);
    // Nobody has looked at the dispatch yet: the cell still tells of another part.
    engine.handle_exit(0, |_, items| items, 0);
    engine.handle_timeout(|_, _, _| 0, REST);
    let sent = dispatches(&mut engine);
    assert_eq!(sent, [(1, 0, ChunkId { call, sequence: 0 })]);
}

#[test]
fn bytes_counted_otherwise_by_the_owner_do_not_run_under() {
    let mut engine = pool(2);
    let call = engine.handle_open(CallConfig { stop_on_error: false, ..CALL });
    engine.handle_chunk(call, &[100], 0);
    engine.handle_chunk(call, &[100], 0);
    dispatches(&mut engine);
    engine.handle_exit(0, |_, items| items, 0);
    engine.handle_consumed(call, 1, 5_000);
    assert_eq!(engine.poll_credit(call).bytes, CALL.max_bytes - 100);
    engine.handle_consumed(call, 7, u64::MAX);
    assert_eq!(engine.poll_credit(call).bytes, CALL.max_bytes - 100);
}

#[test]
fn a_partial_chunk_is_welcome_where_other_calls_keep_all_workers_busy() {
    let mut engine = pool(1);
    let (busy, slow) = (engine.handle_open(CALL), engine.handle_open(CALL));
    for _ in 0..8 {
        engine.handle_chunk(busy, &[1], 0);
    }
    let sent = dispatches(&mut engine);
    assert!(engine.poll_credit(slow).hungry);
    engine.handle_chunk(slow, &[1], 0);
    assert!(!engine.poll_credit(slow).hungry);
    // And it is served in its turn, not after all others.
    end(&mut engine, 0, sent[0].1, Status::Value, 1);
    assert_eq!(dispatches(&mut engine)[0].2.call, slow);
}

#[test]
fn a_slow_item_does_not_keep_the_chunks_after_it() {
    let mut engine = pool(2);
    let call = engine.handle_open(CallConfig { ordered: false, concurrency: 2, ..CALL });
    engine.handle_chunk(call, &[1], 0);
    engine.handle_chunk(call, &[1], 0);
    dispatches(&mut engine);
    for now in 0..1_000 {
        end(&mut engine, 1, 0, Status::Value, now);
        engine.handle_consumed(call, 1, 1);
        engine.handle_chunk(call, &[1], now);
        let sent = dispatches(&mut engine);
        if let Some((0, ..)) = sent.first() {
            // It waits behind the slow one; the next one goes to the other worker.
            engine.handle_chunk(call, &[1], now);
            dispatches(&mut engine);
        }
    }
    assert!(engine.calls[&call].live_chunks() <= 4, "{}", engine.calls[&call].live_chunks());
}

#[test]
fn the_first_error_is_thrown_though_one_before_it_follows() {
    let mut engine = pool(2);
    let call = engine.handle_open(CALL);
    engine.handle_chunk(call, &[1], 0);
    engine.handle_chunk(call, &[1], 0);
    let sent = dispatches(&mut engine);
    let [(first, first_cell, _), (second, second_cell, second_chunk)] = sent[..] else { panic!("{sent:?}") };
    engine.handle_outcome(second, second_cell, 0, Status::Error, 1, 0).unwrap();
    let told = actions(&mut engine);
    assert!(told.contains(&Action::Stopping { chunk: second_chunk, item: 0 }) && !told.iter().any(is_delivery));
    // The raised signal makes an error of the item before it.
    assert_eq!(engine.handle_outcome(first, first_cell, 0, Status::Error, 1, 0), Ok(Kept::Nothing));
    assert_eq!(actions(&mut engine), [Action::Deliver { chunk: second_chunk, start: 0, end: 1 }]);
}

fn is_delivery(action: &Action) -> bool {
    matches!(action, Action::Deliver { .. })
}

#[test]
fn a_call_does_not_wait_for_the_slow_item_of_another() {
    let mut engine = pool(1);
    let calls = [engine.handle_open(CALL), engine.handle_open(CALL)];
    for call in calls {
        engine.handle_chunk(call, &[1], 0);
    }
    let sent = dispatches(&mut engine);
    let (_, cell, ChunkId { call: other, .. }) = sent[1];
    engine.handle_cancel(other, Cancel::Hard, 5);
    let told = actions(&mut engine);
    assert!(told.contains(&Action::TakeBack { worker: 0, cell, items: 1, most: MAX_CHUNK_ITEMS }), "{told:?}");
    engine.handle_taken_back(0, cell, 0, 5);
    assert_eq!(actions(&mut engine), [Action::Finished { call: other }]);
    // Nor is the worker killed for it, and it forgets the call when it comes past its empty part.
    assert_eq!(engine.poll_timeout(), None);
    end(&mut engine, 0, sent[0].1, Status::Value, 9);
    engine.handle_chunk_done(0, cell, 0, 9).unwrap();
    assert!(actions(&mut engine).contains(&Action::Forget { worker: 0, call: other }));
}

#[test]
fn nothing_waits_long_behind_one_slow_item() {
    let mut engine = pool(2);
    let call = engine.handle_open(CallConfig { ordered: false, ..CALL });
    for _ in 0..4 {
        engine.handle_chunk(call, &[1], 0);
    }
    let sent = dispatches(&mut engine);
    let (_, behind, chunk) = *sent.iter().rfind(|(worker, ..)| *worker == 0).unwrap();
    let due = engine.poll_timeout().expect("a time to look again");
    // Worker 1 is at work all the time, never idle.
    end(&mut engine, 1, sent.iter().find(|(worker, ..)| *worker == 1).unwrap().1, Status::Value, due - 1);
    engine.handle_chunk(call, &[1], due - 1);
    engine.handle_timeout(|_, _, _| 0, due);
    let told = actions(&mut engine);
    assert!(told.contains(&Action::TakeBack { worker: 0, cell: behind, items: 1, most: 1 }), "{told:?}");
    let busy = engine.workers[&1].dispatches().map(|part| part.cell).collect::<Vec<_>>();
    engine.handle_taken_back(0, behind, 0, due);
    end(&mut engine, 1, busy[0], Status::Value, due + 1);
    assert!(dispatches(&mut engine).iter().any(|(worker, _, other)| (*worker, *other) == (1, chunk)));
}

#[test]
fn workers_that_die_at_once_are_not_replaced_for_ever_beside_one_that_lives() {
    let mut engine = pool(2);
    let call = engine.handle_open(CallConfig { chunk: Some(1), ..CALL });
    engine.handle_chunk(call, &[1], 0);
    let (alive, mut cell, _) = dispatches(&mut engine)[0];
    let mut spawns = 0;
    for now in (0..100).map(|step| step * REST) {
        engine.handle_timeout(|_, _, _| 0, now);
        for _ in 0..3 {
            engine.handle_chunk(call, &[1], now);
        }
        end(&mut engine, alive, cell, Status::Value, now);
        engine.handle_consumed(call, 4, 4);
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Spawn { worker } => {
                    spawns += 1;
                    engine.handle_ready(worker, now).unwrap();
                    engine.handle_exit(worker, |_, _| 0, now);
                }
                Action::Dispatch { worker, sent } if worker == alive => cell = sent.cell,
                _ => {}
            }
        }
        cell = engine.workers[&alive].dispatches().next().map_or(cell, |part| part.cell);
    }
    // At 0, 1, 3, 7, 15, 31 and 63 rests: each is twice as long as the one before.
    assert_eq!(spawns, 7);
}

#[test]
fn a_worker_retired_while_it_starts_may_still_become_ready() {
    let mut engine = pool(1);
    engine.handle_warm_up(1, 0);
    assert_eq!(engine.poll_action(), Some(Action::Spawn { worker: 0 }));
    engine.handle_close();
    assert_eq!(engine.poll_action(), Some(Action::Retire { worker: 0, why: Why::Closing }));
    assert_eq!(engine.handle_ready(0, 1), Ok(()));
    assert_eq!(engine.handle_ready(0, 2), Err(Violation));
    engine.handle_exit(0, |_, _| 0, 3);
    assert_eq!(actions(&mut engine), [Action::Closed]);
}

#[test]
fn a_hard_cancel_kills_at_its_own_time_and_only_for_its_own_items() {
    let mut engine = pool(2);
    let (hard, soft) = (engine.handle_open(CALL), engine.handle_open(CALL));
    engine.handle_chunk(hard, &[1], 0);
    engine.handle_chunk(soft, &[1], 0);
    let sent = dispatches(&mut engine);
    let (ends, cell, _) = *sent.iter().find(|(.., chunk)| chunk.call == hard).unwrap();
    engine.handle_cancel(soft, Cancel::Soft, 0);
    engine.handle_cancel(hard, Cancel::Hard, 0);
    actions(&mut engine);
    assert_eq!(engine.poll_timeout(), Some(1_000));
    end(&mut engine, ends, cell, Status::Value, 500);
    assert_eq!(engine.poll_timeout(), None);
    engine.handle_timeout(|_, _, _| 0, 2_000);
    assert!(!actions(&mut engine).iter().any(|action| matches!(action, Action::Kill { .. })));
}

/// Two calls share workers with two lanes each; the first has a lane of two of them at most.
fn shared_workers(size: u32) -> (Engine, [CallId; 2], Vec<(WorkerId, Sent)>) {
    let mut engine = Engine::new(PoolConfig { size, lanes: 2, grace: 1_000, seed: 0, ..PoolConfig::default() });
    let config = CallConfig { ordered: false, stop_on_error: false, chunk: Some(1), ..CALL };
    let calls = [engine.handle_open(CallConfig { concurrency: 2, ..config }), engine.handle_open(config)];
    engine.handle_warm_up(size, 0);
    actions(&mut engine);
    for call in calls {
        for _ in 0..2 {
            engine.handle_chunk(call, &[1], 0);
        }
    }
    let sent = sends(&mut engine);
    (engine, calls, sent)
}

fn sends(engine: &mut Engine) -> Vec<(WorkerId, Sent)> {
    let sent = |action| match action {
        Action::Dispatch { worker, sent } => Some((worker, sent)),
        _ => None,
    };
    actions(engine).into_iter().filter_map(sent).collect()
}

#[test]
fn a_slot_is_kept_for_an_item_that_has_to_be_alone() {
    let (mut engine, [few, many], sent) = shared_workers(3);
    let at = |call: CallId| sent.iter().filter(move |(_, sent)| sent.chunk.call == call).map(|(worker, _)| *worker);
    let dies = at(few).find(|worker| at(many).any(|other| other == *worker)).expect("a worker of both");
    engine.handle_exit(dies, |_, items| items, 1);
    assert_eq!(engine.poll_action(), Some(Action::Spawn { worker: 3 }));
    // A third worker has a lane, and may not have it: the item that is suspected would wait for ever.
    let stays = at(few).find(|worker| *worker != dies);
    engine.handle_chunk(few, &[1], 2);
    engine.handle_chunk(few, &[1], 2);
    let sent = sends(&mut engine);
    assert!(sent.iter().all(|(worker, _)| Some(*worker) == stays), "{sent:?}");
    engine.handle_ready(3, 3).unwrap();
    let sent = sends(&mut engine);
    let [(3, Sent { cell, chunk, attempt: 2, .. })] = sent[..] else { panic!("{sent:?}") };
    assert_eq!(chunk.call, few);
    // When it has ended, the other suspect has the worker, and others have their slot again.
    end(&mut engine, 3, cell, Status::Value, 4);
    let sent = sends(&mut engine);
    assert!(sent.iter().any(|(worker, sent)| (*worker, sent.chunk.call, sent.attempt) == (3, many, 2)), "{sent:?}");
    assert!(sent.iter().any(|(worker, sent)| ![3, dies].contains(worker) && sent.chunk.call == few), "{sent:?}");
}

#[test]
fn where_no_worker_can_be_started_one_is_emptied_for_an_item_that_has_to_be_alone() {
    let (mut engine, [few, many], sent) = shared_workers(2);
    assert!(sent.len() == 4, "{sent:?}");
    engine.handle_exit(1, |_, items| items, 1);
    assert_eq!(engine.poll_action(), Some(Action::Spawn { worker: 2 }));
    engine.handle_start_error(2);
    engine.handle_exit(2, |_, _| 0, 2);
    let mut held: Vec<Sent> = sent.iter().filter(|(worker, _)| *worker == 0).map(|(_, sent)| *sent).collect();
    for now in 3..20 {
        engine.handle_chunk(many, &[1], now);
        let Some(sent) = held.pop() else { break };
        end(&mut engine, 0, sent.cell, Status::Value, now);
        held.extend(sends(&mut engine).into_iter().map(|(_, sent)| sent));
        assert!(held.iter().all(|sent| sent.attempt == 1 || held.len() == 1), "{held:?}");
        if held.iter().any(|sent| sent.attempt == 2 && sent.chunk.call == few) {
            return;
        }
    }
    panic!("the suspect never had a worker");
}

#[test]
fn lanes_that_are_given_back_are_given_again() {
    let mut engine = Engine::new(PoolConfig { size: 2, lanes: 4, grace: 1_000, seed: 0, ..PoolConfig::default() });
    let call = engine.handle_open(CallConfig { ordered: false, concurrency: 5, chunk: Some(1), ..CALL });
    engine.handle_warm_up(2, 0);
    for now in 0..10 {
        actions(&mut engine);
        engine.handle_chunk(call, &[1], now);
        engine.handle_chunk(call, &[1], now);
        let sent = sends(&mut engine);
        let mut lanes: Vec<u32> = sent.iter().map(|(_, sent)| sent.lanes).collect();
        lanes.sort_unstable();
        assert_eq!(lanes, [2, 3]);
        for (worker, sent) in sent {
            end(&mut engine, worker, sent.cell, Status::Value, now);
        }
        engine.handle_consumed(call, 2, 2);
    }
}

#[test]
fn who_waits_for_workers_waits_for_as_many_as_were_missing() {
    let mut engine = Engine::new(PoolConfig { size: 3, lanes: 1, grace: 1_000, seed: 0, ..PoolConfig::default() });
    engine.handle_warm_up(3, 0);
    assert_eq!(engine.poll_awaited(), 3);
    engine.handle_ready(0, 1).unwrap();
    assert_eq!(engine.handle_ready(0, 1), Err(Violation));
    assert_eq!(engine.poll_awaited(), 2);
    // One that ends when it was ready counts, or somebody might wait for ever.
    engine.handle_exit(0, |_, _| 0, 2);
    engine.handle_ready(1, 3).unwrap();
    engine.handle_ready(2, 3).unwrap();
    assert_eq!(engine.poll_awaited(), 0);
    // Asked again, it is missing.
    engine.handle_warm_up(3, 4);
    assert_eq!(engine.poll_awaited(), 1);
    engine.handle_resize(6, 5);
    engine.handle_warm_up(6, 5);
    assert_eq!(engine.poll_awaited(), 4);
    // Those that are ready go first.
    engine.handle_resize(4, 6);
    assert_eq!(engine.poll_awaited(), 4);
    engine.handle_resize(3, 7);
    assert_eq!(engine.poll_awaited(), 3);
}

#[test]
fn who_waits_for_workers_does_not_take_a_successor_for_one_that_is_missing() {
    let mut engine = Engine::new(PoolConfig { size: 2, lanes: 1, max_age: Some(1_000), ..PoolConfig::default() });
    engine.handle_open(CALL);
    engine.handle_warm_up(1, 0);
    engine.handle_ready(0, 10).unwrap();
    engine.handle_warm_up(2, 20);
    assert_eq!(engine.poll_awaited(), 1);
    engine.handle_timeout(|_, _, _| 0, 1_010);
    engine.handle_ready(2, 1_020).unwrap();
    let told: Vec<Action> = std::iter::from_fn(|| engine.poll_action()).collect();
    let [Action::Spawn { .. }, Action::Spawn { .. }, Action::Spawn { .. }, Action::Retire { worker: 0, why: Why::Age }] =
        told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(engine.poll_awaited(), 1, "it came for the first, and the second still starts");
    engine.handle_ready(1, 1_030).unwrap();
    assert_eq!(engine.poll_awaited(), 0);
}

#[test]
fn a_pool_that_has_shrunk_below_its_least_has_its_size_and_grows_back_to_its_least() {
    let config = PoolConfig { size: 4, lanes: 1, min: 3, idle: Some(1_000), ..PoolConfig::default() };
    let mut engine = Engine::new(config);
    let call = engine.handle_open(CALL);
    engine.handle_chunk(call, &[1], 0).unwrap();
    let (worker, cell, _) = dispatches(&mut engine)[0];
    end(&mut engine, worker, cell, Status::Value, 0);
    assert_eq!(engine.poll_workers(), (3, 0));
    engine.handle_resize(1, 10);
    let gone: Vec<WorkerId> = actions(&mut engine)
        .into_iter()
        .filter_map(|action| if let Action::Retire { worker, why: Why::Size } = action { Some(worker) } else { None })
        .collect();
    assert_eq!(gone.len(), 2);
    for worker in gone {
        engine.handle_exit(worker, |_, _| 0, 20);
    }
    // Nobody comes for them, and the last one stays, however long it has nothing to do.
    assert_eq!(engine.poll_timeout(), None);
    engine.handle_timeout(|_, _, _| 0, 1_000_000);
    assert_eq!((actions(&mut engine), engine.poll_workers()), (vec![], (1, 0)));
    engine.handle_resize(2, 1_000_010);
    actions(&mut engine);
    assert_eq!(engine.poll_workers(), (2, 0));
    engine.handle_resize(4, 1_000_020);
    actions(&mut engine);
    assert_eq!(engine.poll_workers(), (3, 0));
}

#[test]
fn parts_go_to_the_worker_with_the_most_free_lanes() {
    let mut engine = Engine::new(PoolConfig { size: 3, lanes: 4, grace: 1_000, seed: 0, ..PoolConfig::default() });
    let call = engine.handle_open(CallConfig { ordered: false, concurrency: 12, chunk: Some(1), ..CALL });
    engine.handle_warm_up(3, 0);
    actions(&mut engine);
    for expected in [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2]] {
        engine.handle_chunk(call, &[1], 0);
        sends(&mut engine);
        let held = |worker: WorkerId| engine.workers[&worker].dispatches().count();
        assert_eq!([held(0), held(1), held(2)], expected);
    }
}

#[test]
fn a_new_worker_is_started_though_there_is_a_lane_beside_others() {
    let mut engine = Engine::new(PoolConfig { size: 2, lanes: 4, grace: 1_000, seed: 0, ..PoolConfig::default() });
    let call = engine.handle_open(CallConfig { ordered: false, concurrency: 8, chunk: Some(1), ..CALL });
    for spawned in [[true, false], [false, true], [false, false]] {
        engine.handle_chunk(call, &[1], 0);
        let mut told = Vec::new();
        while let Some(action) = engine.poll_action() {
            told.push(action);
        }
        let spawns = [0, 1].map(|worker| told.contains(&Action::Spawn { worker }));
        assert_eq!(spawns, spawned);
        if spawned[0] {
            engine.handle_ready(0, 0).unwrap();
        }
    }
    assert_eq!(engine.workers[&0].dispatches().count(), 3, "all have begun at once");
}

#[test]
fn one_slow_item_beside_others_that_move_on_blocks_nothing() {
    let mut engine = Engine::new(PoolConfig { size: 2, lanes: 2, grace: 1_000, seed: 0, ..PoolConfig::default() });
    let call = engine.handle_open(CallConfig { ordered: false, concurrency: 4, chunk: Some(1), ..CALL });
    engine.handle_warm_up(2, 0);
    actions(&mut engine);
    for _ in 0..6 {
        engine.handle_chunk(call, &[1], 0);
    }
    let slow = engine.workers[&0].dispatches().next().map(|part| part.cell);
    sends(&mut engine);
    for now in (1..40).map(|at| at * 5_000) {
        let moving: Vec<(WorkerId, u8)> = [0, 1]
            .iter()
            .filter_map(|worker| {
                let mut parts =
                    engine.workers[worker].parts().filter(|(_, lanes)| *lanes > 0).map(|(part, _)| part.cell);
                parts.find(|cell| *worker == 1 || Some(*cell) != slow).map(|cell| (*worker, cell))
            })
            .collect();
        for (worker, cell) in moving {
            end(&mut engine, worker, cell, Status::Value, now);
            engine.handle_consumed(call, 1, 1);
            engine.handle_chunk(call, &[1], now);
        }
        assert!(!actions(&mut engine).iter().any(|action| matches!(action, Action::TakeBack { .. })), "at {now}");
        assert_eq!(engine.workers[&0].dispatches().count(), 3, "two run, and one waits, at {now}");
    }
}

#[test]
fn keys_of_a_worker_that_is_to_go_are_free_before_it_has_gone() {
    let mut engine = pool(2);
    let call = engine.handle_open(CallConfig { keyed: true, ..CALL });
    for key in [1, 2, 2] {
        engine.handle_keyed_chunk(call, &[1], &[key], 0);
    }
    let sent = dispatches(&mut engine);
    let [(stays, first, _), (goes, second, _), ..] = sent[..] else { panic!("{sent:?}") };
    engine.handle_resize(1, 0);
    for action in actions(&mut engine) {
        if let Action::TakeBack { worker, cell, .. } = action {
            engine.handle_taken_back(worker, cell, u32::from(cell == second), 0);
        }
    }
    end(&mut engine, goes, second, Status::Value, 0);
    let mut told = actions(&mut engine);
    assert!(told.contains(&Action::Retire { worker: goes, why: Why::Size }));
    end(&mut engine, stays, first, Status::Value, 0);
    told.extend(actions(&mut engine));
    let goes_on = |action: &Action| matches!(action, Action::Dispatch { worker, .. } if *worker == stays);
    assert!(told.iter().any(goes_on), "its process takes its time to end: {told:?}");
}

#[test]
fn a_pool_that_grows_again_keeps_the_worker_that_was_to_go() {
    let mut engine = pool(2);
    let call = engine.handle_open(CALL);
    engine.handle_chunk(call, &[1], 0);
    engine.handle_chunk(call, &[1], 0);
    let sent = dispatches(&mut engine);
    let [.., (youngest, cell, _)] = sent[..] else { panic!("{sent:?}") };
    engine.handle_resize(1, 0);
    engine.handle_resize(2, 0);
    end(&mut engine, youngest, cell, Status::Value, 0);
    assert!(!actions(&mut engine).iter().any(|action| matches!(action, Action::Retire { .. })), "it is wanted");
    engine.handle_chunk(call, &[1], 0);
    assert_eq!(dispatches(&mut engine).first().map(|(worker, ..)| *worker), Some(youngest));
}

#[test]
fn values_are_handed_in_one_by_one_where_one_of_them_needs_a_look() {
    let mut engine = pool(1);
    let call = engine.handle_open(CallConfig { timeout: Some(10_000), stop_on_error: false, ..CALL });
    engine.handle_chunk(call, &[1, 1, 1], 0);
    let [(worker, cell, _)] = dispatches(&mut engine)[..] else { panic!("one worker") };
    for now in [5_000, 20_000] {
        engine.handle_timeout(|_, _, _| 1, now);
    }
    // The first item was cut off.
    assert_eq!(engine.handle_values(worker, cell, 0, &[1, 1]), Ok(None));
    assert_eq!(engine.handle_outcome(worker, cell, 0, Status::Value, 1, 20_000), Ok(Kept::Nothing));
    assert_eq!(engine.handle_values(worker, cell, 0, &[1, 1]), Err(Violation), "it has ended");
    assert_eq!(engine.handle_values(worker, cell, 2, &[1, 1]), Err(Violation), "there is no such item");
    assert_eq!(engine.handle_values(worker, cell, u32::MAX, &[1]), Err(Violation));
}

/// When workers are started until then, where each ends as soon as it starts; `why`: it says why.
fn deaths(engine: &mut Engine, why: bool, until: Micros) -> (Vec<Micros>, bool) {
    let (mut now, mut starts, mut failed) = (0, Vec::new(), false);
    loop {
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Spawn { worker } => {
                    starts.push(now / REST);
                    if why {
                        engine.handle_start_error(worker);
                    }
                    engine.handle_exit(worker, |_, _| 0, now);
                }
                Action::Failed { .. } => failed = true,
                _ => {}
            }
        }
        let Some(next) = engine.poll_timeout().filter(|next| *next <= until) else { return (starts, failed) };
        now = next.max(now);
        engine.handle_timeout(|_, _, _| 0, now);
    }
}

#[test]
fn a_worker_that_dies_for_nothing_is_followed_by_another_after_a_rest() {
    for (min, why, expected) in [
        (0, false, &[0, 1, 3][..]),
        (0, true, &[0]),
        // Those that are to be there in any case go on trying, unless it is known that they cannot.
        (1, false, &[0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 767]),
        (1, true, &[0]),
    ] {
        let mut engine = Engine::new(PoolConfig { size: 1, lanes: 1, min, ..PoolConfig::default() });
        for _ in 0..2 {
            let call = engine.handle_open(CALL);
            engine.handle_chunk(call, &[1], 0).unwrap();
            let (starts, failed) = deaths(&mut engine, why, 1_000 * REST);
            assert_eq!((&starts[..], failed), (expected, true), "each time that there is work");
        }
    }
}

#[test]
fn one_death_at_a_start_fails_nothing() {
    let mut engine = pool(1);
    let call = engine.handle_open(CALL);
    engine.handle_chunk(call, &[1], 0).unwrap();
    let mut starts = 0;
    for now in [0, REST, 10 * REST] {
        engine.handle_timeout(|_, _, _| 0, now);
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Spawn { worker } if starts == 0 => {
                    starts += 1;
                    assert!(!engine.handle_exit(worker, |_, _| 0, now));
                    assert_eq!(engine.poll_timeout(), Some(REST));
                }
                Action::Spawn { worker } => engine.handle_ready(worker, now).unwrap(),
                Action::Dispatch { worker, sent } => end(&mut engine, worker, sent.cell, Status::Value, now),
                Action::Deliver { .. } => return,
                other => assert!(!matches!(other, Action::Failed { .. }), "it fails"),
            }
        }
    }
    panic!("no second worker");
}

#[test]
fn a_worker_that_was_told_to_end_and_does_not_is_killed() {
    let mut engine = Engine::new(PoolConfig { size: 1, lanes: 1, start_timeout: Some(500), ..PoolConfig::default() });
    engine.handle_warm_up(1, 0);
    actions(&mut engine);
    engine.handle_close();
    assert_eq!(actions(&mut engine), [Action::Retire { worker: 0, why: Why::Closing }]);
    // Its time begins when somebody looks, which is at once.
    assert_eq!(engine.poll_timeout(), Some(0));
    engine.handle_timeout(|_, _, _| 0, 1_000);
    assert_eq!((actions(&mut engine), engine.poll_timeout()), (vec![], Some(1_500)));
    engine.handle_timeout(|_, _, _| 0, 1_500);
    assert_eq!((actions(&mut engine), engine.poll_timeout()), (vec![Action::Kill { worker: 0 }], None));
    engine.handle_exit(0, |_, _| 0, 1_600);
    assert_eq!(actions(&mut engine), [Action::Closed]);
}

#[test]
fn a_worker_that_begins_nothing_of_a_timed_call_is_killed_and_its_items_run_elsewhere() {
    let second = 1_000_000;
    let timed = |timeout| CallConfig { timeout: Some(timeout), chunk: Some(1), ..CALL };
    for (timeout, limit) in [(second, tries::MIN_STILL), (60 * second, 60 * second)] {
        let mut engine = pool(1);
        let call = engine.handle_open(timed(timeout));
        engine.handle_chunk(call, &[1], 0).unwrap();
        engine.handle_chunk(call, &[1], 0).unwrap();
        let (worker, cell, first) = dispatches(&mut engine)[0];
        // What it has ended counts as life.
        engine.handle_timeout(|_, _, _| 0, second);
        end(&mut engine, worker, cell, Status::Value, 2 * second);
        let mut now = 2 * second;
        let told = loop {
            now = engine.poll_timeout().expect("somebody looks").max(now);
            engine.handle_timeout(|_, _, _| 0, now);
            let told = actions(&mut engine);
            if told.contains(&Action::Kill { worker }) {
                break told;
            }
            assert!(now < 200 * second, "it stays");
        };
        assert!(!told.iter().any(|action| matches!(action, Action::TimedOut { .. })), "{told:?}");
        assert!((limit..limit + limit / 8 + 4 * second).contains(&(now - 2 * second)), "after {now}");
        engine.handle_exit(worker, |_, _| 0, now);
        let mut again = None;
        for at in [now, now + REST] {
            engine.handle_timeout(|_, _, _| 0, at);
            again = again.or(dispatches(&mut engine).first().copied());
        }
        let (other, _, chunk) = again.expect("the item runs elsewhere");
        assert!(other != worker && chunk != first);
    }
}

#[test]
fn who_is_late_beside_others_is_charged_when_it_is_known_who_holds_the_worker() {
    let timed = CallConfig { timeout: Some(1_000), chunk: Some(2), stop_on_error: false, ..CALL };
    let late = |chunk, item| Action::TimedOut { worker: 0, chunk, item };
    let start = || {
        let config = PoolConfig { size: 1, lanes: 2, grace: 500, ..PoolConfig::default() };
        let mut engine = Engine::new(config);
        let call = engine.handle_open(timed);
        engine.handle_warm_up(1, 0);
        actions(&mut engine);
        let chunk = engine.handle_chunk(call, &[1, 1], 0).unwrap();
        let (worker, cell, _) = dispatches(&mut engine)[0];
        assert_eq!(worker, 0);
        engine.handle_timeout(|_, _, items| items, 1_000);
        engine.handle_timeout(|_, _, items| items, 2_000);
        let told = actions(&mut engine);
        let aborted = |item| Action::AbortItem { worker, cell, item };
        assert_eq!(told, [aborted(0), aborted(1)], "nobody knows who is to blame");
        (engine, cell, chunk)
    };

    // The worker has heard of one, and the other one ends by itself.
    let (mut engine, cell, chunk) = start();
    engine.handle_abort_heard(0, cell, 1, 2_020).unwrap();
    assert_eq!(actions(&mut engine), [late(chunk, 1)]);
    assert_eq!(engine.handle_abort_heard(0, cell, 1, 2_030), Ok(()), "a second time changes nothing");
    assert_eq!(engine.handle_outcome(0, cell, 0, Status::Value, 1, 2_040), Ok(Kept::Nothing));
    assert_eq!(actions(&mut engine)[0], late(chunk, 0));
    assert_eq!(engine.handle_abort_heard(0, cell, 0, 2_050), Err(Violation), "it has ended");
    assert_eq!(engine.handle_abort_heard(0, cell + 1, 0, 2_050), Err(Violation), "there is none");

    // It has heard of none: both run again, each alone, and only the one that is late again fails.
    let (mut engine, _, chunk) = start();
    engine.handle_timeout(|_, _, items| items, 2_500);
    assert_eq!(actions(&mut engine), [Action::Kill { worker: 0 }]);
    engine.handle_exit(0, |_, items| items, 2_600);
    let mut alone = Vec::new();
    let mut now = 2_600;
    while alone.len() < 2 {
        let sent: Vec<(WorkerId, u8, ChunkId, u32, u32)> = actions(&mut engine)
            .into_iter()
            .filter_map(|action| match action {
                Action::Dispatch { worker, sent } => Some((worker, sent.cell, sent.chunk, sent.start, sent.attempt)),
                _ => None,
            })
            .collect();
        for (worker, cell, again, item, attempt) in sent {
            assert_eq!((again, attempt), (chunk, 2));
            alone.push(item);
            if item == 0 {
                end(&mut engine, worker, cell, Status::Value, now);
            } else {
                engine.handle_timeout(|_, _, items| items, now + 1_000);
                engine.handle_timeout(|_, _, items| items, now + 2_000);
                let told = actions(&mut engine);
                assert!(told.contains(&Action::TimedOut { worker, chunk, item }), "at once: {told:?}");
            }
        }
        now += 200_000;
        engine.handle_timeout(|_, _, items| items, now);
    }
    alone.sort_unstable();
    assert_eq!(alone, [0, 1]);
}

#[test]
fn an_item_that_ends_its_workers_takes_its_turn() {
    let suspect = CallConfig { crash_retries: 9, chunk: Some(1), ..CALL };
    for (priority, order) in [(1, [1, 1, 1, 0]), (0, [0, 1, 1, 0]), (-1, [0, 0, 0, 0])] {
        let mut engine = pool(1);
        let calls = [suspect, CallConfig { priority, chunk: Some(1), ..CALL }].map(|config| engine.handle_open(config));
        engine.handle_chunk(calls[0], &[1], 0).unwrap();
        let (mut worker, mut cell, _) = dispatches(&mut engine)[0];
        for _ in 0..3 {
            engine.handle_chunk(calls[1], &[1], 0).unwrap();
        }
        let (mut ran, mut sent) = (Vec::new(), VecDeque::new());
        let (mut call, mut now) = (calls[0], 0);
        while ran.len() < order.len() {
            now += 1;
            if call == calls[0] {
                engine.handle_exit(worker, |_, items| items, now);
            } else {
                end(&mut engine, worker, cell, Status::Value, now);
            }
            sent.extend(dispatches(&mut engine));
            let (next, its, chunk) = sent.pop_front().expect("it goes on");
            (worker, cell, call) = (next, its, chunk.call);
            ran.push(usize::from(call == calls[1]));
        }
        assert_eq!(ran, order, "beside a call of priority {priority}");
    }
}

/// A worker of a [`Life`]: the cells that it holds, with how many items each has and how many of them have ended.
#[derive(Default)]
struct Busy {
    parts: VecDeque<(u8, u32, u32)>,
    retired: bool,
}

/// One call without end, in a pool whose workers take so long to start, and so long for an item.
struct Life {
    config: PoolConfig,
    start: Micros,
    item: Micros,
}

impl Life {
    /// The longest time without an item that ends, the most processes at once that were not told to end, and how many
    /// were started, in so long.
    fn lead(&self, until: Micros) -> (Micros, usize, u32) {
        let mut engine = Engine::new(self.config);
        let call = engine.handle_open(CALL);
        let mut workers = BTreeMap::<WorkerId, Busy>::new();
        // When something happens to a worker: it is ready, or its item ends.
        let mut events = BTreeMap::<(Micros, WorkerId), bool>::new();
        let (mut now, mut last, mut gap, mut most, mut starts) = (0, None, 0, 0, 0);
        while now < until {
            loop {
                let credit = engine.poll_credit(call);
                if credit.items > 0 {
                    engine.handle_chunk(call, &vec![1; credit.chunk.min(credit.items) as usize], now);
                    continue;
                }
                let Some(action) = engine.poll_action() else { break };
                match action {
                    Action::Spawn { worker } => {
                        // All but the first start beside one that works, which takes longer.
                        events.insert((now + if starts == 0 { self.start } else { self.start * 3 / 2 }, worker), true);
                        workers.insert(worker, Busy::default());
                        starts += 1;
                        most = most.max(workers.values().filter(|busy| !busy.retired).count());
                    }
                    Action::Dispatch { worker, sent } => {
                        let parts = &mut workers.get_mut(&worker).unwrap().parts;
                        parts.push_back((sent.cell, sent.end - sent.start, 0));
                        if parts.len() == 1 {
                            events.insert((now + self.item, worker), false);
                        }
                    }
                    Action::Deliver { start, end, .. } => {
                        engine.handle_consumed(call, end - start, u64::from(end - start));
                    }
                    Action::TakeBack { worker, cell, items, .. } => {
                        engine.handle_taken_back(worker, cell, items, now);
                    }
                    Action::Retire { worker, .. } => workers.get_mut(&worker).unwrap().retired = true,
                    _ => {}
                }
            }
            workers.retain(|&worker, busy| {
                let stays = !busy.retired || !busy.parts.is_empty();
                if !stays {
                    engine.handle_exit(worker, |_, _| 0, now);
                }
                stays
            });
            let Some((&(at, worker), &ready)) = events.first_key_value() else { panic!("nothing happens") };
            if let Some(due) = engine.poll_timeout().filter(|due| *due <= at) {
                now = due.max(now);
                engine.handle_timeout(|_, _, _| 0, now);
                continue;
            }
            now = at;
            events.pop_first();
            if ready {
                engine.handle_ready(worker, now).unwrap();
                continue;
            }
            let parts = &mut workers.get_mut(&worker).unwrap().parts;
            let (cell, items, ended) = parts.front_mut().unwrap();
            engine.handle_outcome(worker, *cell, *ended, Status::Value, 1, now).unwrap();
            gap = gap.max(now - last.replace(now).unwrap_or(now));
            *ended += 1;
            if ended == items {
                let micros = (u64::from(*items) * self.item) as u32;
                engine.handle_chunk_done(worker, *cell, micros, now).unwrap();
                parts.pop_front();
            }
            if !parts.is_empty() {
                events.insert((now + self.item, worker), false);
            }
        }
        (gap, most, starts)
    }
}

#[test]
fn a_successor_is_ready_when_the_last_item_of_its_worker_ends() {
    let millis = 1_000;
    for size in [1, 3] {
        for (tasks, item, start) in [(300, 2 * millis, 80 * millis), (300, 2 * millis, 250 * millis), (20, 50, 300)] {
            let config = PoolConfig { size, lanes: 1, max_tasks: Some(tasks), ..PoolConfig::default() };
            let life = Micros::from(tasks) * item;
            let (gap, most, starts) = Life { config, start, item }.lead(20 * life);
            assert!(gap <= item, "{gap} µs without a worker: {size} of {tasks} items of {item} µs, started in {start}");
            // Each begins when the one before has ended: none too early.
            assert!(most <= 2 * size as usize, "{most} processes");
            let lives = 20 * size;
            assert!((lives - size..=lives + 2 * size).contains(&starts), "{starts} processes for {lives} lives");
        }
    }
}

#[test]
fn where_a_life_is_shorter_than_a_start_the_successor_starts_with_it() {
    let (tasks, item, start) = (300, 100, 60_000);
    let config = PoolConfig { size: 1, lanes: 1, max_tasks: Some(tasks), ..PoolConfig::default() };
    let (gap, most, _) = Life { config, start, item }.lead(2_000_000);
    let (life, start) = (Micros::from(tasks) * item, start * 3 / 2);
    assert!(gap <= start - life * 9 / 10, "{gap} µs without a worker");
    assert_eq!(most, 2, "one successor at a time");
}

#[test]
fn a_worker_of_age_goes_at_that_age_for_one_that_is_ready() {
    for (age, start) in [(500_000, 80_000), (500_000, 240_000)] {
        let config = PoolConfig { size: 1, lanes: 1, max_age: Some(age), ..PoolConfig::default() };
        let (gap, most, starts) = Life { config, start, item: 2_000 }.lead(20 * age + start);
        assert!(gap <= 2_000, "{gap} µs without a worker");
        assert_eq!(most, 2, "one successor at a time");
        // The age of each begins when it is ready, which is a while before the one before it goes.
        assert!((17..=28).contains(&starts), "{starts} processes for 20 lives");
    }
}

#[test]
fn a_successor_waits_as_long_as_it_takes_and_has_one_itself_where_it_dies() {
    let config = PoolConfig { size: 1, lanes: 1, max_tasks: Some(5), idle: Some(100), ..PoolConfig::default() };
    let mut engine = Engine::new(config);
    let call = engine.handle_open(CallConfig { chunk: Some(1), ..CALL });
    for _ in 0..6 {
        engine.handle_chunk(call, &[1], 0).unwrap();
    }
    let told = |engine: &mut Engine| std::iter::from_fn(|| engine.poll_action()).collect::<Vec<Action>>();
    assert_eq!(told(&mut engine), [Action::Spawn { worker: 0 }]);
    engine.handle_ready(0, 10).unwrap();
    let mut now = 10;
    let mut end_next = |engine: &mut Engine, takes: Micros| {
        let cell = engine.workers[&0].dispatches().next().map(|part| part.cell).expect("a part");
        now += takes;
        end(engine, 0, cell, Status::Value, now);
        told(engine)
    };
    // A start has taken 10 µs, and the first of five items takes 4.
    assert!(end_next(&mut engine, 4).contains(&Action::Spawn { worker: 1 }));
    engine.handle_ready(1, 30).unwrap();
    engine.handle_timeout(|_, _, _| 0, 500);
    assert_eq!((told(&mut engine), engine.poll_workers()), (vec![], (2, 0)), "it has not been idle");
    engine.handle_exit(1, |_, _| 0, 600);
    // After a rest, and no earlier than it is needed: the worker has been slow since.
    let (retired, spawned) = (Action::Retire { worker: 0, why: Why::Tasks }, Action::Spawn { worker: 2 });
    let begins = |action: &Action| matches!(action, Action::Dispatch { worker: 2, .. });
    let seen: Vec<[bool; 3]> = (0..4)
        .map(|_| {
            let told = end_next(&mut engine, 2 * REST);
            if told.contains(&spawned) {
                engine.handle_ready(2, 9 * REST).unwrap();
            }
            [told.contains(&spawned), told.contains(&retired), told.iter().any(begins)]
        })
        .collect();
    let nothing = [false; 3];
    assert_eq!(seen, [nothing, [true, false, false], nothing, [false, true, true]]);
    assert!(engine.poll_workers() == (1, 0));
}

#[derive(Clone, Debug)]
enum Input {
    Chunk(CallId, u8),
    SourceEnd(CallId),
    Consumed(CallId, u32, u64),
    Cancel(CallId, bool),
    Ready(WorkerId),
    Outcome(WorkerId, u8, u32, u32),
    Values(WorkerId, u8, u32, u8),
    ChunkDone(WorkerId, u8, u32),
    TakenBack(WorkerId, u8, u32),
    Exit(WorkerId, u32),
    Time(u32, u32),
    AbortHeard(WorkerId, u8, u32),
    Close,
    Heard,
    Drain,
}

fn input() -> impl Strategy<Value = Input> {
    let call = || 0..3u32;
    let worker = || 0..6u32;
    let cell = || prop_oneof![4 => 0..3u8, 1 => any::<u8>()];
    let number = || prop_oneof![6 => 0..5u32, 1 => any::<u32>()];
    prop_oneof![
        4 => (call(), 1..6u8).prop_map(|(call, items)| Input::Chunk(call, items)),
        1 => call().prop_map(Input::SourceEnd),
        2 => (call(), number(), any::<u64>()).prop_map(|(call, items, bytes)| Input::Consumed(call, items, bytes)),
        1 => (call(), any::<bool>()).prop_map(|(call, hard)| Input::Cancel(call, hard)),
        3 => worker().prop_map(Input::Ready),
        9 => (worker(), cell(), number(), any::<u32>()).prop_map(|(a, b, c, d)| Input::Outcome(a, b, c, d)),
        5 => (worker(), cell(), number(), 0..5u8).prop_map(|(a, b, c, d)| Input::Values(a, b, c, d)),
        4 => (worker(), cell(), any::<u32>()).prop_map(|(a, b, c)| Input::ChunkDone(a, b, c)),
        3 => (worker(), cell(), number()).prop_map(|(a, b, c)| Input::TakenBack(a, b, c)),
        1 => (worker(), number()).prop_map(|(worker, claimed)| Input::Exit(worker, claimed)),
        2 => (0..40_000u32, number()).prop_map(|(micros, claimed)| Input::Time(micros, claimed)),
        2 => (worker(), cell(), number()).prop_map(|(a, b, c)| Input::AbortHeard(a, b, c)),
        1 => Just(Input::Close),
        3 => Just(Input::Heard),
        4 => Just(Input::Drain),
    ]
}

proptest! {
    /// Whatever workers say, and even what no owner should: no panic, and nothing is delivered twice.
    #[test]
    fn nothing_that_is_said_can_bring_the_engine_down(
        inputs in proptest::collection::vec(input(), 1..120),
        ordered in any::<bool>(),
        stop_on_error in any::<bool>(),
        concurrency in any::<u32>(),
        lanes in 1..5u32,
        timeout in proptest::option::of(0..20_000u64),
        retries in 0..3u32,
    ) {
        let mut engine = Engine::new(PoolConfig { size: 3, lanes, grace: 1_000, seed: 0, ..PoolConfig::default() });
        for _ in 0..3 {
            let retry = Retry { retries, ..CALL.retry };
            let call = CallConfig { ordered, stop_on_error, concurrency, timeout, retry, crash_retries: retries, ..CALL };
            engine.handle_open(call);
        }
        let mut now = 0;
        let mut delivered = std::collections::BTreeSet::new();
        for input in inputs {
            match input {
                Input::Chunk(call, items) => {
                    let _ = engine.handle_chunk(call, &vec![u32::MAX; items.into()], now);
                }
                Input::SourceEnd(call) => engine.handle_source_end(call),
                Input::Consumed(call, items, bytes) => engine.handle_consumed(call, items, bytes),
                Input::Cancel(call, hard) => engine.handle_cancel(call, if hard { Cancel::Hard } else { Cancel::Soft }, now),
                Input::Ready(worker) => {
                    let _ = engine.handle_ready(worker, now);
                }
                Input::Outcome(worker, cell, item, bytes) => {
                    let status = if bytes % 5 == 0 { Status::Error } else { Status::Value };
                    let _ = engine.handle_outcome(worker, cell, item, status, bytes, now);
                }
                Input::Values(worker, cell, first, count) => {
                    let _ = engine.handle_values(worker, cell, first, &vec![1; count.into()]);
                }
                Input::ChunkDone(worker, cell, micros) => {
                    let _ = engine.handle_chunk_done(worker, cell, micros, now);
                }
                Input::TakenBack(worker, cell, end) => engine.handle_taken_back(worker, cell, end, now),
                Input::Exit(worker, claimed) => {
                    engine.handle_exit(worker, |_, _| claimed, now);
                }
                Input::Time(micros, claimed) => {
                    now += u64::from(micros);
                    engine.handle_timeout(|_, _, items| claimed.min(items), now);
                }
                Input::AbortHeard(worker, cell, item) => {
                    let _ = engine.handle_abort_heard(worker, cell, item, now);
                }
                Input::Close => engine.handle_close(),
                Input::Heard => engine.handle_heard(now),
                Input::Drain => while let Some(action) = engine.poll_action() {
                    if let Action::Deliver { chunk, start, end } = action {
                        for item in start..end {
                            prop_assert!(delivered.insert((chunk, item)), "twice: {chunk:?} {item}");
                        }
                    }
                },
            }
            prop_assert!(engine.staff() <= 3);
            let _ = [0, 1, 2].map(|call| engine.poll_credit(call));
        }
    }
}
