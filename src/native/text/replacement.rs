//! What a match is replaced with: text with `$$`, `$&`, `` $` ``, `$'`, `$1` to `$99` and `$<name>`, as JavaScript reads it.

use crate::native::Failure;
use regex_automata::util::captures::Captures;

enum Part {
    Text(String),
    /// Group 0 is the whole match.
    Group(usize),
    /// All groups of a name, of which one takes part.
    Named(Vec<usize>),
    Before,
    After,
}

pub struct Replacement(Vec<Part>);

impl Replacement {
    /// `groups` and `names` are those of the pattern: a number that it does not have is text.
    pub fn new(text: &str, groups: usize, names: &[(String, usize)]) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (part, length) = match after.as_bytes().first() {
                Some(b'$') => (Part::Text("$".to_owned()), 1),
                Some(b'&') => (Part::Group(0), 1),
                Some(b'`') => (Part::Before, 1),
                Some(b'\'') => (Part::After, 1),
                Some(b'0'..=b'9') => numbered(after, groups),
                Some(b'<') if !names.is_empty() => named(after, names),
                _ => (Part::Text("$".to_owned()), 0),
            };
            rest = &after[length..];
            if let Part::Text(text) = part {
                plain.push_str(&text);
            } else {
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(part);
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Self(parts)
    }

    /// Appends what stands for one match.
    pub fn write(&self, output: &mut Replaced, text: &str, captures: &Captures) -> Result<(), Failure> {
        let Some(found) = captures.get_match() else { return Ok(()) };
        for part in &self.0 {
            output.push(match part {
                Part::Text(text) => text,
                Part::Group(group) => captures.get_group(*group).map_or("", |group| &text[group.range()]),
                Part::Named(groups) => {
                    // In a repetition each may have had its turn: the last one counts.
                    let found = groups.iter().filter_map(|&group| captures.get_group(group));
                    found.max_by_key(|group| group.end).map_or("", |group| &text[group.range()])
                }
                Part::Before => &text[..found.start()],
                Part::After => &text[found.end()..],
            })?;
        }
        Ok(())
    }
}

/// A text that does not grow beyond so many bytes.
pub struct Replaced {
    pub text: String,
    pub limit: u64,
}

impl Replaced {
    pub fn push(&mut self, part: &str) -> Result<(), Failure> {
        if self.text.len() as u64 + part.len() as u64 > self.limit {
            return Err(Failure::TooLarge { limit: self.limit });
        }
        self.text.push_str(part);
        Ok(())
    }
}

/// Two digits if there is such a group, otherwise one.
fn numbered(text: &str, groups: usize) -> (Part, usize) {
    for length in [2, 1] {
        let number = text.get(..length).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        if let Some(group) = number.and_then(|digits| digits.parse().ok()).filter(|group| (1..=groups).contains(group))
        {
            return (Part::Group(group), length);
        }
    }
    (Part::Text("$".to_owned()), 0)
}

/// A name that the pattern does not have is nothing; a name without an end is text.
fn named(text: &str, names: &[(String, usize)]) -> (Part, usize) {
    let Some(end) = text.find('>') else { return (Part::Text("$".to_owned()), 0) };
    let name = &text[1..end];
    let groups = names.iter().filter(|(known, _)| known == name).map(|&(_, group)| group).collect();
    (Part::Named(groups), end + 1)
}
