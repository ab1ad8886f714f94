//! Text with regular expressions, as the methods of JavaScript's strings do it. Every search takes time linear in its text.

mod parts;
mod pattern;
mod replacement;

use super::{Failure, Step, Value};
use parts::Parts;
use pattern::Pattern;
pub use pattern::PatternSpec;
use regex_automata::{Input, util::captures::Captures};
use replacement::{Replaced, Replacement};

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
pub struct Match {
    pattern: Pattern,
    limit: u64,
}

impl Match {
    pub fn new(spec: &PatternSpec, limit: u64) -> Result<Self, Failure> {
        Pattern::new(spec).map(|pattern| Self { pattern, limit })
    }
}

impl Step for Match {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        let mut parts = Parts::new(&text, self.limit);
        let Pattern { regex, global, .. } = &self.pattern;
        if *global {
            for found in self.pattern.matches(&text) {
                parts.push(found.range())?;
            }
        } else {
            let mut captures = regex.create_captures();
            regex.captures(text.as_bytes(), &mut captures);
            if captures.is_match() {
                parts.push_groups(&captures, 0)?;
            }
        }
        Ok(if parts.is_empty() { Value::Null } else { parts.into() })
    }
}

/// `String.prototype.split`.
pub struct Split {
    pattern: Pattern,
    limit: u64,
}

impl Split {
    pub fn new(spec: &PatternSpec, limit: u64) -> Result<Self, Failure> {
        Pattern::new(spec).map(|pattern| Self { pattern, limit })
    }
}

impl Step for Split {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_text()?;
        let regex = &self.pattern.regex;
        let mut captures = regex.create_captures();
        let mut parts = Parts::new(&text, self.limit);
        if text.is_empty() {
            regex.captures(text.as_bytes(), &mut captures);
            if !captures.is_match() {
                parts.push(0..0)?;
            }
            return Ok(parts.into());
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
            parts.push(cut..found.start())?;
            parts.push_groups(&captures, 1)?;
            cut = found.end();
            from = cut;
        }
        parts.push(cut..text.len())?;
        Ok(parts.into())
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
        let capacity = usize::try_from(self.limit).map_or(text.len(), |limit| limit.min(text.len()));
        let mut output = Replaced { text: String::with_capacity(capacity), limit: self.limit };
        // What stands before this is done.
        let mut done = None;
        let mut replace = |captures: &Captures| -> Result<(), Failure> {
            let Some(found) = captures.get_match() else { return Ok(()) };
            output.push(&text[done.unwrap_or(0)..found.start()])?;
            self.replacement.write(&mut output, &text, captures)?;
            done = Some(found.end());
            Ok(())
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
        let Some(done) = done else {
            // As it is, without a copy.
            let fits = text.len() as u64 <= self.limit;
            return if fits { Ok(Value::Text(text)) } else { Err(Failure::TooLarge { limit: self.limit }) };
        };
        output.push(&text[done..])?;
        Ok(output.text.into())
    }
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
            let split = Split::new(&spec(source, ""), 1 << 20).unwrap();
            assert_eq!(texts(split.run(Value::Text(text.into())).unwrap()), parts, "{text:?} by {source:?}");
        }
    }

    /// A step that may give so many bytes: whether it does, of this text.
    fn fits(step: &dyn Step, text: &str) -> bool {
        match step.run(Value::Text(text.into())) {
            Ok(_) => true,
            Err(Failure::TooLarge { limit }) => {
                assert!(limit < 1000, "{limit}");
                false
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_replacement_stops_before_it_is_too_large() {
        let replace = |source: &str, by: &str, limit| Replace::new(&spec(source, "g"), by, limit).unwrap();
        // Also where nothing is replaced, and at the end.
        for (source, by, text, bytes) in [
            ("x", "y", "abcde", 5),
            ("x", "", "abcxde", 5),
            ("b", "$`$&$'", "abc", 5),
            ("(b)|x", "$1$1", "abcx", 4),
            ("", "-", "ab", 5),
        ] {
            assert!(fits(&replace(source, by, bytes), text), "{source} in {text}");
            assert!(!fits(&replace(source, by, bytes - 1), text), "{source} in {text}");
        }
        // One match, of which everything would be 2 GB: no part of it is written beyond the limit.
        let text = format!("{}$", "a".repeat(1000));
        let spec = spec(r"\$", "");
        let (captures, replacement) = {
            let pattern = Pattern::new(&spec).unwrap();
            let mut captures = pattern.regex.create_captures();
            pattern.regex.captures(text.as_bytes(), &mut captures);
            (captures, Replacement::new(&"$`".repeat(2_000_000), 0, &[]))
        };
        let mut output = Replaced { text: String::new(), limit: 2500 };
        assert!(matches!(replacement.write(&mut output, &text, &captures), Err(Failure::TooLarge { limit: 2500 })));
        assert_eq!(output.text.len(), 2000);
    }

    #[test]
    fn a_name_that_several_groups_have_is_the_one_that_took_part() {
        for (source, text, expected) in
            [("(?<y>a)|(?<y>b)", "abc", "[a][b]c"), ("(?:(?<y>a)|(?<y>b))+", "abc", "[b]c"), ("(?<y>x)?a", "a", "[]")]
        {
            let replace = Replace::new(&spec(source, "g"), "[$<y>]", 100).unwrap();
            assert_eq!(replace.run(Value::Text(text.into())).unwrap(), expected.to_owned().into(), "{source}");
        }
    }

    #[test]
    fn parts_count_with_what_each_costs() {
        let limit = |parts: u64, bytes: u64| parts * parts::COST + bytes;
        for (source, flags, text, parts, bytes) in
            [("a", "g", "aXaa", 3, 3), ("(a)(b)?", "", "a", 3, 2), ("[^é]|é", "g", "aé", 2, 3)]
        {
            let find = |limit| Match::new(&spec(source, flags), limit).unwrap();
            assert!(fits(&find(limit(parts, bytes)), text), "{source}");
            assert!(!fits(&find(limit(parts, bytes) - 1), text), "{source}");
        }
        for (source, text, parts, bytes) in
            [("", "abc", 3, 3), ("(,)", "a,b", 3, 3), (",", "", 1, 0), (",", "ab", 1, 2)]
        {
            let split = |limit| Split::new(&spec(source, ""), limit).unwrap();
            assert!(fits(&split(limit(parts, bytes)), text), "{source} in {text}");
            assert!(!fits(&split(limit(parts, bytes) - 1), text), "{source} in {text}");
        }
    }

    proptest! {
        /// Any pattern is refused or runs, on any text, and what it finds are whole characters.
        #[test]
        fn no_pattern_panics(source in "[a-c\\[\\]\\(\\)\\\\dDwWsSbB\\{\\}0-9,?*+|^$.\\-&~é💡 ]{0,20}", flags in "[gimsu]{0,3}", text: String) {
            if let Ok(matches) = Match::new(&spec(&source, &flags), 1 << 20) {
                matches.run(Value::Text(text.as_str().into())).unwrap();
            }
            if let Ok(split) = Split::new(&spec(&source, &flags), 1 << 20) {
                split.run(Value::Text(text.as_str().into())).unwrap();
            }
            if let Ok(replace) = Replace::new(&spec(&source, &flags), "<$&>", 1 << 20) {
                let replaced = replace.run(Value::Text(text.as_str().into())).unwrap();
                prop_assert!(matches!(replaced, Value::Text(_)));
            }
        }
    }
}
