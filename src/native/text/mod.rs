//! Text with regular expressions, as the methods of JavaScript's strings do it. Every search takes time linear in its text.

mod pattern;
mod replacement;

use super::{Failure, Output, Step, Value};
use pattern::Pattern;
pub use pattern::PatternSpec;
use regex_automata::{Input, util::captures::Captures};
use replacement::Replacement;

/// How often the pattern is found; matches do not overlap.
pub struct CountMatches(Pattern);

impl CountMatches {
    pub fn new(spec: &PatternSpec) -> Result<Self, Failure> {
        Pattern::new(spec).map(Self)
    }
}

impl Step for CountMatches {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        #[allow(clippy::cast_precision_loss)] // a text has less than 2^53 characters
        let count = self.0.matches(&text).count() as f64;
        Ok(Value::Number(count))
    }
}

/// `String.prototype.match`: with `g` all matches, otherwise the first one with its groups; null if there is none.
pub struct Match(Pattern);

impl Match {
    pub fn new(spec: &PatternSpec) -> Result<Self, Failure> {
        Pattern::new(spec).map(Self)
    }
}

impl Step for Match {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        let Pattern { regex, global, .. } = &self.0;
        if *global {
            let all: Vec<Output> = self.0.matches(&text).map(|found| part(&text, found.start(), found.end())).collect();
            return Ok(if all.is_empty() { Value::Null } else { Value::List(all) });
        }
        let mut captures = regex.create_captures();
        regex.captures(text.as_bytes(), &mut captures);
        if !captures.is_match() {
            return Ok(Value::Null);
        }
        Ok(Value::List(groups(&text, &captures, 0).collect()))
    }
}

/// `String.prototype.split`.
pub struct Split(Pattern);

impl Split {
    pub fn new(spec: &PatternSpec) -> Result<Self, Failure> {
        Pattern::new(spec).map(Self)
    }
}

impl Step for Split {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        let regex = &self.0.regex;
        let mut captures = regex.create_captures();
        let mut parts = Vec::new();
        if text.is_empty() {
            regex.captures(text.as_bytes(), &mut captures);
            return Ok(Value::List(if captures.is_match() { parts } else { vec![part(&text, 0, 0)] }));
        }
        // What was cut off last ends at `cut`; a separator that is empty does not cut there again.
        let (mut cut, mut from) = (0, 0);
        while from < text.len() {
            let input = Input::new(text.as_bytes()).range(from..);
            regex.captures(input, &mut captures);
            let Some(found) = captures.get_match().filter(|found| found.start() < text.len()) else { break };
            if found.end() == cut {
                from = pattern::after(&text, &found);
                continue;
            }
            parts.push(part(&text, cut, found.start()));
            parts.extend(groups(&text, &captures, 1));
            cut = found.end();
            from = cut;
        }
        parts.push(part(&text, cut, text.len()));
        Ok(Value::List(parts))
    }
}

/// `String.prototype.replace`: all matches with `g`, otherwise the first one.
pub struct Replace {
    pattern: Pattern,
    replacement: Replacement,
    limit: u64,
}

impl Replace {
    pub fn new(spec: &PatternSpec, replacement: &str, limit: u64) -> Result<Self, Failure> {
        let pattern = Pattern::new(spec)?;
        let replacement = Replacement::new(replacement, pattern.groups, &pattern.names);
        Ok(Self { pattern, replacement, limit })
    }
}

impl Step for Replace {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        let Pattern { regex, global, .. } = &self.pattern;
        let mut captures = regex.create_captures();
        let mut output = String::with_capacity(text.len());
        let mut done = 0;
        let mut replace = |captures: &Captures| -> Result<(), Failure> {
            let Some(found) = captures.get_match() else { return Ok(()) };
            output.push_str(&text[done..found.start()]);
            self.replacement.write(&mut output, &text, captures);
            done = found.end();
            if output.len() as u64 > self.limit { Err(Failure::TooLarge { limit: self.limit }) } else { Ok(()) }
        };
        if *global {
            let mut from = 0;
            while from <= text.len() {
                regex.captures(Input::new(text.as_bytes()).range(from..), &mut captures);
                let Some(found) = captures.get_match() else { break };
                from = pattern::after(&text, &found);
                replace(&captures)?;
            }
        } else {
            regex.captures(text.as_bytes(), &mut captures);
            replace(&captures)?;
        }
        if done == 0 && output.is_empty() {
            return Ok(Value::Text(text));
        }
        output.push_str(&text[done..]);
        if output.len() as u64 > self.limit {
            return Err(Failure::TooLarge { limit: self.limit });
        }
        Ok(output.into())
    }
}

/// The groups from this one on; those that took no part are undefined.
fn groups(text: &str, captures: &Captures, from: usize) -> impl Iterator<Item = Output> {
    captures
        .iter()
        .skip(from)
        .map(|group| group.map_or(Value::Undefined, |group| part(text, group.start, group.end)))
        .collect::<Vec<_>>()
        .into_iter()
}

fn part(text: &str, start: usize, end: usize) -> Output {
    text[start..end].to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(source: &str, flags: &str) -> PatternSpec {
        PatternSpec { source: source.to_owned(), flags: flags.to_owned() }
    }

    fn texts(value: Value<'_>) -> Vec<String> {
        let Value::List(values) = value else { panic!("{value:?}") };
        values.into_iter().map(|value| value.into_text().unwrap().into_owned()).collect()
    }

    #[test]
    fn split_is_that_of_javascript() {
        for (source, text, parts) in [
            (",", "a,b,,c", &["a", "b", "", "c"][..]),
            ("", "aé💡", &["a", "é", "💡"]),
            ("x*", "axxb", &["a", "b"]),
            (",", "", &[""]),
            ("(?:)", "", &[]),
            ("(-)", "a-b", &["a", "-", "b"]),
            ("a", "a", &["", ""]),
            ("$", "ab", &["ab"]),
        ] {
            let split = Split::new(&spec(source, "")).unwrap();
            assert_eq!(texts(split.run(Value::Text(text.into())).unwrap()), parts, "{text:?} by {source:?}");
        }
    }

    proptest! {
        /// Any pattern is refused or runs, on any text, and what it finds are whole characters.
        #[test]
        fn no_pattern_panics(source in "[a-c\\[\\]\\(\\)\\\\dDwWsSbB\\{\\}0-9,?*+|^$.\\-&~é💡 ]{0,20}", flags in "[gimsu]{0,3}", text: String) {
            if let Ok(matches) = Match::new(&spec(&source, &flags)) {
                matches.run(Value::Text(text.as_str().into())).unwrap();
            }
            if let Ok(split) = Split::new(&spec(&source, &flags)) {
                split.run(Value::Text(text.as_str().into())).unwrap();
            }
            if let Ok(replace) = Replace::new(&spec(&source, &flags), "<$&>", 1 << 20) {
                let replaced = replace.run(Value::Text(text.as_str().into())).unwrap();
                prop_assert!(matches!(replaced, Value::Text(_)));
            }
        }
    }
}
