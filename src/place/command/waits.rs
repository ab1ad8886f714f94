//! What a program waits for, as far as the system tells: whether it will ever answer without being told more.

use std::fs;

/// See [`of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For its stdin and nothing else: it has done all that it does before more comes.
    ForInput,
    /// For something that cannot be seen: a timer, a socket, another thread.
    ForSomething,
    /// It runs.
    No,
}

/// Looks at all threads of a process, and of those that it has started.
#[must_use]
pub fn of(pid: u32) -> Waits {
    let (mut reads, mut unknown) = (false, false);
    let (mut left, mut looked) = (vec![pid], 0);
    while let Some(pid) = left.pop() {
        looked += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let path = task.path();
            let children = fs::read_to_string(path.join("children")).unwrap_or_default();
            left.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            match fs::read_to_string(path.join("syscall")).ok().as_deref().map(call_of) {
                Some(Call::Running) => return Waits::No,
                Some(Call::ReadStdin) => reads = true,
                Some(Call::WaitChild) => {}
                Some(Call::Other) | None => unknown = true,
            }
        }
        if looked > MOST_LOOKED_AT {
            unknown = true;
            break;
        }
    }
    if reads && !unknown { Waits::ForInput } else { Waits::ForSomething }
}

enum Call {
    Running,
    ReadStdin,
    WaitChild,
    Other,
}

/// The number of the system call, then its arguments in hexadecimal.
fn call_of(text: &str) -> Call {
    let mut words = text.split_ascii_whitespace();
    let number = words.next().unwrap_or_default();
    if number == "running" {
        return Call::Running;
    }
    match number.parse::<libc::c_long>() {
        Ok(libc::SYS_read) if words.next() == Some("0x0") => Call::ReadStdin,
        Ok(libc::SYS_wait4 | libc::SYS_waitid) => Call::WaitChild,
        _ => Call::Other,
    }
}

/// Processes of one program. Looking is done on a thread that has more to do.
const MOST_LOOKED_AT: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn until(child: &Child, expected: Waits) {
        while of(child.id()) != expected {
            std::thread::yield_now();
        }
    }

    fn started(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_program_that_waits_for_its_input_is_known_with_all_that_it_has_started() {
        for script in ["read line", "cat | cat", "(cat; true); true"] {
            let mut child = started(script);
            until(&child, Waits::ForInput);
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    #[test]
    fn one_that_computes_or_waits_for_time_is_not_taken_for_it() {
        for (script, expected) in [("while :; do :; done", Waits::No), ("exec sleep 1000", Waits::ForSomething)] {
            let mut child = started(script);
            until(&child, expected);
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
