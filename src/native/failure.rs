//! Why an operation could not be made, or could not do an item. `lib/native/failure.js` makes errors of it.

use super::{Output, Value};
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What should be decoded is not what it should be, or not all of it.
    #[error("{0}")]
    Corrupt(String),
    /// The result would be larger than it may become, in bytes.
    #[error("the result would be larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// The result would be a longer string than there is, in units of UTF-16.
    #[error("the result would be a string of more than {limit} characters")]
    TooLong { limit: u64 },
    /// Text is expected, and these bytes are not UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    Text { at: usize },
    /// A value that the operation cannot do anything with, of the right type.
    #[error("{0}")]
    Range(String),
    /// A value of a type that the operation does not take.
    #[error("{0}")]
    Type(String),
    /// A regular expression that is none here; `at` in UTF-16 units of its source.
    #[error("{message}")]
    Pattern { message: String, at: usize },
    /// The system refused something.
    #[error("{error}")]
    System { error: io::Error, call: &'static str, path: String },
    /// A pipe, a socket or a device, where a file is wanted.
    #[error("not a regular file")]
    NoFile { path: String },
    /// A fault of this program.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    #[must_use]
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    #[must_use]
    pub fn text(at: usize) -> Self {
        Self::Text { at }
    }

    /// As a value for JavaScript: what kind it is, the message, and what else is known.
    #[must_use]
    pub fn to_record(&self) -> Output {
        let text = |text: &str| Value::from(text.to_owned());
        #[allow(clippy::cast_precision_loss)] // positions and limits are far below 2^53
        let number = |number: u64| Value::Number(number as f64);
        let mut fields = vec![("kind", text(self.kind())), ("message", text(&self.to_string()))];
        match self {
            Self::TooLarge { limit } | Self::TooLong { limit } => fields.push(("limit", number(*limit))),
            Self::Text { at } | Self::Pattern { at, .. } => fields.push(("at", number(*at as u64))),
            Self::System { error, call, path } => {
                fields.push(("errno", Value::Number(f64::from(error.raw_os_error().unwrap_or(0)))));
                fields.push(("syscall", text(call)));
                fields.push(("path", text(path)));
            }
            Self::NoFile { path } => {
                fields.push(("errno", Value::Number(libc::EINVAL.into())));
                fields.push(("syscall", text("open")));
                fields.push(("path", text(path)));
            }
            Self::Corrupt(_) | Self::Range(_) | Self::Type(_) | Self::Internal(_) => {}
        }
        Value::Record(fields)
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Value::Record(fields) = self.to_record() else { return String::new() };
        let json = fields.into_iter().map(|(name, value)| {
            let value = match value {
                Value::Number(number) => serde_json::Value::from(number),
                Value::Text(text) => serde_json::Value::from(text.into_owned()),
                _ => serde_json::Value::Null,
            };
            (name.to_owned(), value)
        });
        serde_json::Value::Object(json.collect()).to_string()
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "corrupt",
            Self::TooLarge { .. } | Self::TooLong { .. } => "too large",
            Self::Text { .. } => "text",
            Self::Range(_) => "range",
            Self::Type(_) => "type",
            Self::Pattern { .. } => "pattern",
            Self::System { .. } => "system",
            Self::NoFile { .. } => "no file",
            Self::Internal(_) => "internal",
        }
    }
}
