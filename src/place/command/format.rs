//! How items and answers are cut out of a stream of bytes, and what an answer may be.

use serde::de::IgnoredAny;

/// What a pool's programs speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON text per line.
    Ndjson,
    /// UTF-8 text per line.
    Lines,
    /// UTF-8 text, each with a NUL behind it.
    Nul,
    /// Bytes, each with their number (u32, little-endian) before them.
    LengthPrefixed,
}

impl Format {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ndjson" => Self::Ndjson,
            "lines" => Self::Lines,
            "nul" => Self::Nul,
            "length-prefixed" => Self::LengthPrefixed,
            _ => return None,
        })
    }

    /// The byte behind each text; none where lengths say where one ends.
    #[must_use]
    pub const fn end(self) -> Option<u8> {
        match self {
            Self::Ndjson | Self::Lines => Some(b'\n'),
            Self::Nul => Some(0),
            Self::LengthPrefixed => None,
        }
    }

    /// Appends an item as the program reads it.
    pub fn write(self, item: &[u8], into: &mut Vec<u8>) {
        if let Some(end) = self.end() {
            into.extend_from_slice(item);
            into.push(end);
        } else {
            into.extend_from_slice(&(item.len() as u32).to_le_bytes());
            into.extend_from_slice(item);
        }
    }

    /// Why an answer is none, if it is none.
    #[must_use]
    pub fn fault_of(self, answer: &[u8]) -> Option<&'static str> {
        if self == Self::LengthPrefixed {
            return None;
        }
        let Ok(text) = std::str::from_utf8(answer) else { return Some("is no UTF-8") };
        if self == Self::Ndjson && serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Some("is no JSON");
        }
        None
    }
}

/// The first answer in the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stands at `start..end`; what follows begins at `next`.
    Whole { start: usize, end: usize, next: usize },
    /// It has not come whole. `seen` bytes need not be looked at again.
    Partly { seen: usize },
    /// It has more bytes than it may have.
    TooLong,
}

/// Looks for an answer. Of `bytes`, `seen` were looked at before without one.
#[must_use]
pub fn next_answer(format: Format, bytes: &[u8], seen: usize, limit: usize) -> Next {
    if let Some(end) = format.end() {
        return match memchr::memchr(end, &bytes[seen..]) {
            Some(at) if seen + at > limit => Next::TooLong,
            Some(at) => Next::Whole { start: 0, end: seen + at, next: seen + at + 1 },
            None if bytes.len() > limit => Next::TooLong,
            None => Next::Partly { seen: bytes.len() },
        };
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Next::Partly { seen: 0 } };
    let length = u32::from_le_bytes(*length) as usize;
    if length > limit {
        Next::TooLong
    } else if rest.len() < length {
        Next::Partly { seen: 0 }
    } else {
        Next::Whole { start: 4, end: 4 + length, next: 4 + length }
    }
}

/// As much of an answer as an error shows.
#[must_use]
pub fn shown(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(MOST_SHOWN)]).into_owned();
    if answer.len() > MOST_SHOWN { text + "…" } else { text }
}

const MOST_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_that_are_none_are_known() {
        for (format, answer, fault) in [
            (Format::Ndjson, &b"{\"a\":[1,2,{}]}"[..], None),
            (Format::Ndjson, b" 1e999 \r", None),
            (Format::Ndjson, b"\"\\ud800\"", None),
            (Format::Ndjson, b"", Some("is no JSON")),
            (Format::Ndjson, b"1 2", Some("is no JSON")),
            (Format::Ndjson, b"Loading", Some("is no JSON")),
            (Format::Ndjson, b"\"\xff\"", Some("is no UTF-8")),
            (Format::Lines, b"", None),
            (Format::Nul, b"\xc3", Some("is no UTF-8")),
            (Format::LengthPrefixed, b"\xff", None),
        ] {
            assert_eq!(format.fault_of(answer), fault, "{format:?} {answer:?}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(Format::Ndjson.fault_of(deep.as_bytes()), None, "depth is no danger");
    }

    #[test]
    fn what_is_too_long_is_known_before_it_is_there() {
        let header = 11u32.to_le_bytes();
        assert_eq!(next_answer(Format::LengthPrefixed, &header, 0, 10), Next::TooLong);
        assert_eq!(next_answer(Format::Lines, &[b'a'; 11], 0, 10), Next::TooLong);
        assert_eq!(next_answer(Format::Lines, b"aaaaaaaaaaa\n", 0, 10), Next::TooLong);
        let whole = Next::Whole { start: 0, end: 10, next: 11 };
        assert_eq!(next_answer(Format::Lines, b"aaaaaaaaaa\n", 0, 10), whole);
        assert_eq!(next_answer(Format::LengthPrefixed, &[0, 0, 0], 0, 10), Next::Partly { seen: 0 });
    }

    #[test]
    fn what_an_error_shows_is_cut() {
        assert_eq!(shown(b"short"), "short");
        assert_eq!(shown(&[b'a'; 300]), "a".repeat(200) + "…");
    }

    proptest! {
        #[test]
        fn what_is_written_is_found_again_wherever_it_is_cut(
            items in prop::collection::vec(prop::collection::vec(1u8..9, 0..20), 1..8),
            cuts in prop::collection::vec(1usize..9, 1..9),
            number in 0usize..3,
        ) {
            let format = [Format::Lines, Format::Nul, Format::LengthPrefixed][number];
            let mut stream = Vec::new();
            for item in &items {
                format.write(item, &mut stream);
            }
            let (mut unread, mut seen, mut found) = (Vec::new(), 0, Vec::new());
            let mut cuts = cuts.iter().cycle();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (part, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                rest = more;
                unread.extend_from_slice(part);
                loop {
                    match next_answer(format, &unread, seen, 100) {
                        Next::Whole { start, end, next } => {
                            found.push(unread[start..end].to_vec());
                            unread.drain(..next);
                            seen = 0;
                        }
                        Next::Partly { seen: now } => {
                            seen = now;
                            break;
                        }
                        Next::TooLong => panic!("none is too long"),
                    }
                }
            }
            prop_assert_eq!(found, items);
        }
    }
}
