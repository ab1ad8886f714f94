//! What a program is charged with.

use super::*;
use crate::place::ItemSize;

/// A program that was sent `parts`, each of so many items of one byte (two in the pipe).
fn talk_of(parts: &[u32]) -> Talk {
    let mut talk = Talk::new(Protocol { format: Format::Lines, read_ahead: Some(100), max_answer: 100 });
    for (cell, items) in parts.iter().enumerate() {
        let rows: Vec<u8> = (0..*items).flat_map(|_| [VALUE, b'x']).collect();
        let sizes = vec![ItemSize { row: 2, text: 0 }; *items as usize];
        let part = crate::place::Part { rows: &rows, sizes: &sizes, ..part_in(cell as u8) };
        talk.push(&part, false, 0);
    }
    while !talk.unwritten().is_empty() {
        let bytes = talk.unwritten().len();
        talk.wrote(bytes);
    }
    talk
}

fn part_in(cell: u8) -> crate::place::Part<'static> {
    let (sizes, rows, text, large) = (&[][..], &[][..], &[][..], &[][..]);
    let (first_index, lanes, attempt, flags, start) = (0, 1, 1, 0, 0);
    crate::place::Part { call: 0, cell, first_index, lanes, attempt, flags, sizes, rows, text, large, start }
}

fn exit(code: i32) -> Exit {
    Exit { exit_code: Some(code), ..Exit::default() }
}

#[test]
fn what_was_written_and_not_read_has_not_begun() {
    for (unread, first, second) in [(10, 0, 0), (9, 1, 0), (5, 1, 0), (0, 1, 0)] {
        let mut talk = talk_of(&[2, 3]);
        assert_eq!((talk.claimed(0, 2), talk.claimed(1, 3)), (1, 0), "while it may read it");
        talk.leave_unread(unread);
        assert_eq!((talk.claimed(0, 2), talk.claimed(1, 3)), (first, second), "{unread} bytes unread");
    }
}

#[test]
fn after_answers_the_next_item_counts() {
    for (unread, claimed, fails) in [(4, 2, true), (5, 2, true), (6, 1, false)] {
        let mut talk = talk_of(&[4]);
        talk.read(b"a\n", 0, 0);
        talk.leave_unread(unread);
        assert_eq!(talk.claimed(0, 4), claimed, "{unread} bytes unread");
        let mut end = exit(0);
        talk.end(&mut end, 0);
        // Only an item that it has begun is left without an answer.
        assert_eq!(end.violation.is_some(), fails, "{unread} bytes unread");
    }
}

#[test]
fn a_program_that_has_read_nothing_breaks_no_protocol() {
    let mut talk = talk_of(&[3]);
    talk.leave_unread(6);
    let mut end = exit(0);
    talk.end(&mut end, 0);
    assert_eq!((end.violation, talk.has_answers(), talk.claimed(0, 3)), (None, false, 0));
}

#[test]
fn an_item_that_failed_before_is_not_the_one_that_runs() {
    let mut talk = Talk::new(Protocol { format: Format::Lines, read_ahead: Some(100), max_answer: 100 });
    let (rows, sizes) = ([VALUE + 1, VALUE, b'x'], [ItemSize { row: 1, text: 0 }, ItemSize { row: 2, text: 0 }]);
    talk.push(&crate::place::Part { rows: &rows, sizes: &sizes, ..part_in(0) }, false, 0);
    assert_eq!(talk.claimed(0, 2), 1, "the first one has ended");
    talk.wrote(2);
    assert_eq!(talk.claimed(0, 2), 2);
    talk.leave_unread(2);
    assert_eq!(talk.claimed(0, 2), 1);
}

/// A program that is sent as many as it is quick for, and a part of so many items.
fn careful(items: u32) -> Talk {
    let mut talk = Talk::new(Protocol { format: Format::Lines, read_ahead: None, max_answer: 100 });
    let rows: Vec<u8> = (0..items).flat_map(|_| [VALUE, b'x']).collect();
    let sizes = vec![ItemSize { row: 2, text: 0 }; items as usize];
    talk.push(&crate::place::Part { rows: &rows, sizes: &sizes, ..part_in(0) }, false, 0);
    talk
}

#[test]
fn answers_are_heard_and_more_is_sent_only_when_they_are_believed() {
    let mut talk = careful(4);
    assert_eq!(talk.unwritten(), b"x\n");
    talk.wrote(2);
    talk.read(b"1\n", 0, 1);
    assert_eq!((talk.held(), talk.has_answers(), talk.unwritten().len()), (Held::All, false, 0));
    talk.believe(1);
    assert_eq!((talk.held(), talk.has_answers(), talk.unwritten()), (Held::Nothing, true, &b"x\nx\n"[..]));
    talk.wrote(4);
    talk.read(b"2\n", 0, 2);
    assert_eq!((talk.held(), talk.unwritten().len()), (Held::Some, 0));
    talk.read(b"3\n", 0, 2);
    assert_eq!(talk.held(), Held::All);
}

#[test]
fn a_line_too_many_fails_what_is_held_and_no_more() {
    let mut talk = careful(3);
    talk.wrote(2);
    talk.read(b"1\n", 0, 1);
    talk.believe(1);
    talk.wrote(4);
    talk.read(b"2\n2\n", 0, 2);
    talk.read(b"3\n", 0, 2);
    let mut end = exit(0);
    talk.end(&mut end, 2);
    assert_eq!(statuses(&mut talk), [Status::Value, Status::Error, Status::Error]);
    assert_eq!(end.violation.as_deref(), Some("it wrote a line that no item waited for"));
}

#[test]
fn what_comes_before_the_item_was_read_is_no_answer() {
    for (untouched, expected) in [(2, Status::Error), (1, Status::Value)] {
        let mut talk = careful(1);
        talk.wrote(2);
        talk.read(b"Ready.\n", untouched, 1);
        assert_eq!(talk.is_broken(), expected == Status::Error);
        talk.end(&mut exit(0), 1);
        assert_eq!(statuses(&mut talk), [expected]);
    }
}

#[test]
fn one_too_few_fails_what_was_held_too() {
    let mut talk = careful(3);
    talk.wrote(2);
    talk.read(b"1\n", 0, 1);
    talk.believe(1);
    talk.wrote(4);
    talk.read(b"3\n", 0, 2);
    talk.close(true);
    talk.end(&mut exit(0), 3);
    assert_eq!(statuses(&mut talk), [Status::Value, Status::Error, Status::Error]);
}

/// How the items have ended of which the engine hears.
fn statuses(talk: &mut Talk) -> Vec<Status> {
    talk.said.statuses()
}
