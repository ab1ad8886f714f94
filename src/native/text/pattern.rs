//! Regular expressions of JavaScript in the syntax of `regex-automata`. JavaScript has compiled the pattern before, so its
//! syntax is valid; what cannot be searched for in linear time (looking around, backreferences) is refused, with its place.
//!
//! Every pattern works on characters (code points), as with the flag `u`. `\d`, `\w` and `\b` are ASCII, as in JavaScript.

use crate::native::Failure;
use regex_automata::{Input, Match, meta, util::syntax};
use serde::Deserialize;
use std::fmt::Write;

/// `source` and `flags` of a `RegExp`.
#[derive(Clone, Debug, Deserialize)]
pub struct PatternSpec {
    pub source: String,
    pub flags: String,
}

pub struct Pattern {
    pub regex: meta::Regex,
    /// Flag `g`.
    pub global: bool,
    /// How many groups it has, the whole match aside.
    pub groups: usize,
    /// Names of groups, with their numbers.
    pub names: Vec<(String, usize)>,
}

impl Pattern {
    pub fn new(spec: &PatternSpec) -> Result<Self, Failure> {
        let flag = |flag: char| spec.flags.contains(flag);
        for (flag, why) in [('v', "set notation"), ('y', "searching at one place only")] {
            if spec.flags.contains(flag) {
                return Err(Failure::Pattern { message: format!("the flag {flag} ({why}) is not supported"), at: 0 });
            }
        }
        let mut translation = Translation {
            source: spec.source.chars().collect(),
            at: 0,
            output: String::new(),
            dot_all: flag('s'),
            multiline: flag('m'),
            unicode: flag('u'),
            groups: 0,
            names: Vec::new(),
        };
        translation.run()?;
        // Text is valid UTF-8. A search may stop between any two bytes, but no match begins or ends inside a character.
        let syntax = syntax::Config::new().utf8(false).case_insensitive(flag('i'));
        let config = meta::Config::new().utf8_empty(true).nfa_size_limit(Some(MOST_COMPILED_BYTES));
        let regex = meta::Builder::new().syntax(syntax).configure(config).build(&translation.output);
        let regex = regex.map_err(|error| Failure::Pattern { message: reason(&error), at: 0 })?;
        let Translation { groups, names, .. } = translation;
        Ok(Self { regex, global: flag('g'), groups, names })
    }
}

impl Pattern {
    /// All matches, as JavaScript finds them: also an empty one where another has just ended.
    pub fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Match> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            if from > text.len() {
                return None;
            }
            let found = self.regex.find(Input::new(text.as_bytes()).range(from..))?;
            from = after(text, &found);
            Some(found)
        })
    }
}

/// Where the search goes on: behind an empty match by a character.
pub fn after(text: &str, found: &Match) -> usize {
    if found.is_empty() {
        found.end() + text[found.end()..].chars().next().map_or(1, char::len_utf8)
    } else {
        found.end()
    }
}

fn reason(error: &meta::BuildError) -> String {
    match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("the regular expression needs more than {limit} bytes when it is compiled"),
        (_, Some(error)) => {
            // The error shows our translation, which nobody has written: its last line says what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("the regular expression is not supported: {last}")
        }
        _ => format!("the regular expression is not supported: {error}"),
    }
}

const MOST_COMPILED_BYTES: usize = 10 << 20;

const LINE_ENDS: &str = r"\n\r\x{2028}\x{2029}";
const SPACE: &str = r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";

struct Translation {
    source: Vec<char>,
    at: usize,
    output: String,
    dot_all: bool,
    multiline: bool,
    unicode: bool,
    groups: usize,
    names: Vec<(String, usize)>,
}

/// What an escape stands for.
enum Escaped {
    Char(char),
    /// What is inside of a class of characters, and whether it is that class or its complement.
    Class(&'static str, bool),
    /// `\p{…}` as it stands.
    Property(String),
}

impl Translation {
    fn run(&mut self) -> Result<(), Failure> {
        while let Some(next) = self.peek() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.braces(),
                '.' => {
                    self.at += 1;
                    let any = if self.dot_all { "(?s:.)".to_owned() } else { format!("[^{LINE_ENDS}]") };
                    self.output.push_str(&any);
                }
                '^' | '$' => {
                    self.at += 1;
                    let text = match (next, self.multiline) {
                        ('^', false) => r"\A",
                        ('^', true) => "(?mR:^)",
                        (_, false) => r"\z",
                        (_, true) => "(?mR:$)",
                    };
                    self.output.push_str(text);
                }
                ')' | '|' | '*' | '+' | '?' => {
                    self.at += 1;
                    self.output.push(next);
                }
                _ => {
                    self.at += 1;
                    self.literal(next);
                }
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.source.get(self.at).copied()
    }

    fn follows(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, wanted)| self.source.get(self.at + offset) == Some(&wanted))
    }

    fn refused<T>(&self, what: &str) -> Result<T, Failure> {
        let at = self.source[..self.at.min(self.source.len())].iter().map(|character| character.len_utf16()).sum();
        Err(Failure::Pattern {
            message: format!(
                "{what} is not supported: it cannot be searched for in linear time, or not as in JavaScript"
            ),
            at,
        })
    }

    fn literal(&mut self, character: char) {
        // Writing to a string does not fail.
        let _ = write!(self.output, r"\x{{{:X}}}", u32::from(character));
    }

    /// A quantifier, or braces that are none and stand for themselves.
    fn braces(&mut self) {
        let inner: String = self.source[self.at + 1..].iter().take_while(|&&character| character != '}').collect();
        let (least, most) = inner.split_once(',').unwrap_or((&inner, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let closed = self.source.get(self.at + 1 + inner.chars().count()) == Some(&'}');
        if closed && !least.is_empty() && digits(least) && digits(most) {
            self.at += inner.chars().count() + 2;
            let _ = write!(self.output, "{{{inner}}}");
        } else {
            self.at += 1;
            self.literal('{');
        }
    }

    fn group(&mut self) -> Result<(), Failure> {
        for (look, what) in [("(?=", "(?=…)"), ("(?!", "(?!…)"), ("(?<=", "(?<=…)"), ("(?<!", "(?<!…)")] {
            if self.follows(look) {
                return self.refused(what);
            }
        }
        if self.follows("(?:") {
            self.at += 3;
            self.output.push_str("(?:");
            return Ok(());
        }
        self.groups += 1;
        if self.follows("(?<") {
            let name: String = self.source[self.at + 3..].iter().take_while(|&&character| character != '>').collect();
            if name.contains('\\') {
                return self.refused("an escape in the name of a group");
            }
            self.at += name.chars().count() + 4;
            self.names.push((name, self.groups));
        } else if self.follows("(?") {
            return self.refused("a flag inside of the pattern");
        } else {
            self.at += 1;
        }
        self.output.push('(');
        Ok(())
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), Failure> {
        match self.source.get(self.at + 1) {
            Some('b') => {
                self.at += 2;
                self.output.push_str(r"(?-u:\b)");
            }
            Some('B') => {
                self.at += 2;
                self.output.push_str(r"(?-u:\B)");
            }
            Some('1'..='9') => return self.refused("a backreference"),
            // Without names or the flag u, JavaScript reads it as a plain k.
            Some('k') if self.unicode || self.source.windows(3).any(|three| three == ['(', '?', '<']) => {
                return self.refused("a backreference");
            }
            _ => match self.escaped()? {
                Escaped::Char(character) => self.literal(character),
                Escaped::Class(inner, true) => {
                    let _ = write!(self.output, "[{inner}]");
                }
                Escaped::Class(inner, false) => {
                    let _ = write!(self.output, "[^{inner}]");
                }
                Escaped::Property(property) => self.output.push_str(&property),
            },
        }
        Ok(())
    }

    /// The escape here, as it is inside and outside of classes.
    fn escaped(&mut self) -> Result<Escaped, Failure> {
        let start = self.at;
        self.at += 1;
        let Some(next) = self.peek() else { return Ok(Escaped::Char('\\')) };
        self.at += 1;
        Ok(match next {
            'd' => Escaped::Class(DIGIT, true),
            'D' => Escaped::Class(DIGIT, false),
            'w' => Escaped::Class(WORD, true),
            'W' => Escaped::Class(WORD, false),
            's' => Escaped::Class(SPACE, true),
            'S' => Escaped::Class(SPACE, false),
            't' => Escaped::Char('\t'),
            'n' => Escaped::Char('\n'),
            'v' => Escaped::Char('\x0B'),
            'f' => Escaped::Char('\x0C'),
            'r' => Escaped::Char('\r'),
            '0' if !self.peek().is_some_and(|digit| digit.is_ascii_digit()) => Escaped::Char('\0'),
            '0'..='9' => {
                self.at = start;
                return self.refused("an octal escape");
            }
            'c' => {
                if let Some(letter) = self.peek().filter(char::is_ascii_alphabetic) {
                    self.at += 1;
                    Escaped::Char(char::from(letter as u8 & 31))
                } else {
                    // The backslash stands for itself, and so does what follows.
                    self.at -= 1;
                    Escaped::Char('\\')
                }
            }
            'x' => self.hexadecimal(2).map_or(Ok(Escaped::Char('x')), |code| self.character(code, start))?,
            'u' => self.unicode_escape(start)?,
            'p' | 'P' if self.unicode => {
                let inner: String = self.source[self.at..].iter().take_while(|&&character| character != '}').collect();
                self.at += inner.chars().count() + 1;
                Escaped::Property(format!(r"\{next}{inner}}}"))
            }
            other => Escaped::Char(other),
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<Escaped, Failure> {
        if self.unicode && self.peek() == Some('{') {
            let digits: String = self.source[self.at + 1..].iter().take_while(|&&character| character != '}').collect();
            self.at += digits.chars().count() + 2;
            return self.character(u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX), start);
        }
        let Some(first) = self.hexadecimal(4) else { return Ok(Escaped::Char('u')) };
        if (0xD800..0xDC00).contains(&first) && self.follows("\\u") {
            let before = self.at;
            self.at += 2;
            if let Some(second) = self.hexadecimal(4).filter(|second| (0xDC00..0xE000).contains(second)) {
                return self.character(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), start);
            }
            self.at = before;
        }
        self.character(first, start)
    }

    fn hexadecimal(&mut self, length: usize) -> Option<u32> {
        let digits: String = self.source.get(self.at..self.at + length)?.iter().collect();
        let code = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(&digits, 16));
        self.at += length * usize::from(code.is_some());
        code?.ok()
    }

    fn character(&mut self, code: u32, start: usize) -> Result<Escaped, Failure> {
        if let Some(character) = char::from_u32(code) {
            return Ok(Escaped::Char(character));
        }
        self.at = start;
        self.refused("half of a surrogate pair")
    }

    fn class(&mut self) -> Result<(), Failure> {
        self.at += 1;
        let negated = self.peek() == Some('^');
        self.at += usize::from(negated);
        if self.peek() == Some(']') {
            // Anything, or nothing.
            self.at += 1;
            self.output.push_str(if negated { "(?s:.)" } else { r"[^\x{0}-\x{10FFFF}]" });
            return Ok(());
        }
        self.output.push_str(if negated { "[^" } else { "[" });
        while let Some(next) = self.peek().filter(|&next| next != ']') {
            let from = if next == '\\' { self.class_escape()? } else { self.class_character() };
            let is_range = self.peek() == Some('-') && self.source.get(self.at + 1).is_some_and(|&end| end != ']');
            if !is_range {
                self.class_part(&from);
                continue;
            }
            self.at += 1;
            let to = if self.peek() == Some('\\') { self.class_escape()? } else { self.class_character() };
            if let (Escaped::Char(first), Escaped::Char(last)) = (&from, &to) {
                let _ = write!(self.output, r"\x{{{:X}}}-\x{{{:X}}}", u32::from(*first), u32::from(*last));
            } else {
                // No range has a class at its end: the dash stands for itself.
                self.class_part(&from);
                self.class_part(&Escaped::Char('-'));
                self.class_part(&to);
            }
        }
        self.at += 1;
        self.output.push(']');
        Ok(())
    }

    fn class_character(&mut self) -> Escaped {
        self.at += 1;
        Escaped::Char(self.source[self.at - 1])
    }

    fn class_escape(&mut self) -> Result<Escaped, Failure> {
        if self.follows("\\b") {
            self.at += 2;
            return Ok(Escaped::Char('\x08'));
        }
        // Only here, and not with the flag u: digits and the underscore are control letters.
        let control = self.source.get(self.at + 2).filter(|next| matches!(next, '0'..='9' | '_'));
        if let Some(&control) = control.filter(|_| self.follows("\\c") && !self.unicode) {
            self.at += 3;
            return Ok(Escaped::Char(char::from(control as u8 & 31)));
        }
        self.escaped()
    }

    fn class_part(&mut self, part: &Escaped) {
        match part {
            Escaped::Char(character) => self.literal(*character),
            Escaped::Class(inner, true) => self.output.push_str(inner),
            Escaped::Class(inner, false) => {
                let _ = write!(self.output, "[^{inner}]");
            }
            Escaped::Property(property) => self.output.push_str(property),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str, flags: &str) -> Result<Pattern, Failure> {
        Pattern::new(&PatternSpec { source: source.to_owned(), flags: flags.to_owned() })
    }

    #[test]
    fn what_is_not_linear_is_refused_with_its_place() {
        for (source, at) in [
            ("a(?=b)", 1),
            ("(?!b)", 0),
            ("💡(?<=b)", 2),
            ("a(?<!b)", 1),
            (r"(a)\1", 3),
            (r"(?<n>a)\k<n>", 7),
            (r"\ud800", 0),
            (r"[\ud800]", 1),
        ] {
            match pattern(source, "") {
                Err(Failure::Pattern { at: found, .. }) => assert_eq!(found, at, "{source}"),
                _ => panic!("{source} was not refused"),
            }
        }
        for flags in ["v", "y"] {
            assert!(matches!(pattern("a", flags), Err(Failure::Pattern { .. })), "{flags}");
        }
        assert!(matches!(pattern(r"(?:[^a]{1000}){1000}", ""), Err(Failure::Pattern { .. })), "too large");
    }

    #[test]
    fn classes_take_nothing_for_syntax_that_is_none() {
        for (source, yes, no) in [
            ("[a&&b]", "&", "c"),
            ("[[a]", "[", "]"),
            ("[a~~b]", "~", "z"),
            (r"[\w-z]", "-", "!"),
            (r"[^\d\s]", "a", "5"),
            ("[^]", "\n", ""),
            ("[]", "", "a"),
            ("a{,5}", "a{,5}", "aa"),
            (r"\cJ", "\n", "J"),
            (r"[\c1]", "\x11", "1"),
            (r"[\c_-\x20]", "\x1f", "_"),
            (r"\u{3}", "uuu", "u"),
            (r"\ud83d\udca1", "💡", "💥"),
        ] {
            let regex = pattern(source, "").unwrap_or_else(|failure| panic!("{source}: {failure}")).regex;
            assert!(yes.is_empty() || regex.is_match(yes), "{source} matches {yes:?}");
            assert!(no.is_empty() || !regex.is_match(no), "{source} does not match {no:?}");
        }
    }
}
