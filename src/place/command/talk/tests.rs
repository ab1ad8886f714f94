//! What a program is charged with.

use super::*;

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
        talk.read(b"a\n", 0);
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
