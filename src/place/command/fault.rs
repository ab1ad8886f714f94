//! What went wrong with a program or its answer, on its way to JavaScript: in the row of an outcome.

use crate::place::Exit;

/// What a program did against the protocol, or did not do. JavaScript makes an error of it.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub kind: Kind,
    pub reason: String,
    /// The line in question, cut.
    pub line: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<String>,
    pub stderr: Option<String>,
    /// The system's number for why it could not be started.
    pub errno: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    Protocol,
    Stalled,
    /// A program that was started for one item has ended with an exit code that is not 0.
    Exit,
    /// It could not be started for this item.
    Start,
}

/// First byte of an item's row, and of an answer's. An item that has failed on JavaScript's side has another one.
pub const VALUE: u8 = 0;
/// First byte of the row of a [`Fault`].
const FAULT: u8 = 1;

impl Fault {
    #[must_use]
    pub fn new(kind: Kind, reason: String, line: Option<String>) -> Self {
        Self { kind, reason, line, exit_code: None, signal: None, stderr: None, errno: None }
    }

    /// With what is known of the end of its program.
    #[must_use]
    pub fn after(mut self, exit: &Exit) -> Self {
        self.exit_code = exit.exit_code;
        self.signal.clone_from(&exit.signal);
        self.stderr = Some(exit.stderr.clone());
        self.errno = exit.spawn_errno;
        self
    }

    /// The row of its outcome.
    #[must_use]
    pub fn row(&self) -> Vec<u8> {
        let mut row = vec![FAULT];
        // Strings and numbers: that cannot fail.
        let _ = serde_json::to_writer(&mut row, self);
        row
    }
}
