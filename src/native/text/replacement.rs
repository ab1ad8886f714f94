//! What a match is replaced with: text with `$$`, `$&`, `` $` ``, `$'`, `$1` to `$99` and `$<name>`, as JavaScript reads it.

use regex_automata::util::captures::Captures;

enum Part {
    Text(String),
    /// Group 0 is the whole match.
    Group(usize),
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
    pub fn write(&self, output: &mut String, text: &str, captures: &Captures) {
        let Some(found) = captures.get_match() else { return };
        for part in &self.0 {
            match part {
                Part::Text(text) => output.push_str(text),
                Part::Group(group) => {
                    if let Some(group) = captures.get_group(*group) {
                        output.push_str(&text[group.start..group.end]);
                    }
                }
                Part::Before => output.push_str(&text[..found.start()]),
                Part::After => output.push_str(&text[found.end()..]),
            }
        }
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
    let group = names.iter().find(|(known, _)| known == name);
    (group.map_or(Part::Text(String::new()), |(_, group)| Part::Group(*group)), end + 1)
}
