//! Finds files by patterns: folder by folder, the entries of each in the order of their names, as bytes. Only the
//! folders from the root to where it stands are held in memory.

use super::feed::{End, Feed};
use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use walkdir::{DirEntry, WalkDir};

/// What is looked for, as it was given.
pub struct WalkOptions {
    pub patterns: Vec<String>,
    pub exclude: Vec<String>,
    /// Absolute: what relative patterns are relative to.
    pub cwd: PathBuf,
    /// Names begin with `cwd`.
    pub with_cwd: bool,
    pub hidden: bool,
    pub follow: bool,
}

/// What is looked for, understood.
pub struct Walk {
    roots: Vec<Root>,
    /// Folders that patterns name before their first wildcard.
    named: Vec<(PathBuf, PathBuf)>,
    /// What is left out: by its path from `cwd`, and by its path from `/`.
    exclude: Exclusions,
    exclude_absolute: Exclusions,
    /// Parts of patterns that begin with a dot: hidden names that match them are not left out.
    dotted: Vec<GlobMatcher>,
    hidden: bool,
    follow: bool,
}

#[derive(Default)]
struct Exclusions {
    files: GlobSet,
    /// Of which everything is left out.
    folders: GlobSet,
}

struct Root {
    /// What is opened, what names begin with, and how relative exclusions see it.
    folder: PathBuf,
    shown: PathBuf,
    relative: PathBuf,
    /// Of what follows it.
    set: GlobSet,
    depth: usize,
}

impl Walk {
    /// Fails with a pattern, and what is wrong with it.
    pub fn new(options: &WalkOptions) -> Result<Self, (String, String)> {
        let mut bases: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let mut dotted = Vec::new();
        for pattern in &options.patterns {
            let (base, rest) = split(pattern).map_err(|why| (pattern.clone(), why))?;
            let parts = hidden_parts(&rest).map_err(|why| (pattern.clone(), why))?;
            for part in parts {
                dotted.push(glob(pattern, &part)?.compile_matcher());
            }
            bases.entry(base).or_default().push(rest);
        }
        let show = |base: &Path| if options.with_cwd { options.cwd.join(base) } else { base.to_owned() };
        let named = bases.keys().map(|base| (options.cwd.join(base), show(base))).collect();
        let mut roots = Vec::new();
        for (base, patterns) in merged(bases) {
            let mut set = GlobSetBuilder::new();
            for pattern in &patterns {
                set.add(glob(pattern, pattern)?);
            }
            let depth = |pattern: &String| if pattern.contains("**") { usize::MAX } else { pattern.split('/').count() };
            roots.push(Root {
                folder: options.cwd.join(&base),
                shown: show(&base),
                set: set.build().map_err(|error| (patterns.join(", "), error.to_string()))?,
                depth: patterns.iter().map(depth).max().unwrap_or(0),
                relative: base.strip_prefix(&options.cwd).map(Path::to_owned).unwrap_or(base),
            });
        }
        let (absolute, relative): (Vec<_>, Vec<_>) =
            options.exclude.iter().partition(|pattern| pattern.starts_with('/'));
        Ok(Self {
            roots,
            named,
            exclude: Exclusions::new(&relative)?,
            exclude_absolute: Exclusions::new(&absolute)?,
            dotted,
            hidden: options.hidden,
            follow: options.follow,
        })
    }

    fn is_left_out(&self, root: &Root, entry: &DirEntry, path: &Path) -> bool {
        let name = entry.file_name();
        if !self.hidden && name.as_bytes().starts_with(b".") && !self.dotted.iter().any(|part| part.is_match(name)) {
            return true;
        }
        let is_folder = entry.file_type().is_dir();
        self.exclude.has(is_folder, || root.relative.join(path))
            || self.exclude_absolute.has(is_folder, || root.folder.join(path))
    }
}

impl Exclusions {
    fn new(patterns: &[&String]) -> Result<Self, (String, String)> {
        let (mut files, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for &pattern in patterns {
            // As a pattern of what is looked for, but that it may name a folder.
            let parts = significant(pattern);
            if parts.is_empty() || pattern.contains('\0') {
                return Err((pattern.clone(), "it names nothing".into()));
            }
            let root = if pattern.starts_with('/') { "/" } else { "" };
            let plain = format!("{root}{}", parts.join("/"));
            if !pattern.ends_with('/') {
                files.add(glob(pattern, &plain)?);
            }
            folders.add(glob(pattern, &plain)?);
            if let Some(folder) = plain.strip_suffix("/**") {
                folders.add(glob(pattern, folder)?);
            }
        }
        let built = |set: &GlobSetBuilder| {
            set.build().map_err(|error| {
                (patterns.iter().map(|pattern| pattern.as_str()).collect::<Vec<_>>().join(", "), error.to_string())
            })
        };
        Ok(Self { files: built(&files)?, folders: built(&folders)? })
    }

    fn has(&self, is_folder: bool, path: impl FnOnce() -> PathBuf) -> bool {
        let set = if is_folder { &self.folders } else { &self.files };
        !set.is_empty() && set.is_match(path())
    }
}

/// What a thread of a [`Feed`] does: a record for each file, `lib/file-names.js` reads them.
pub fn walk(walk: &Walk, feed: &Feed) -> End {
    let mut records = Records { feed, part: Vec::new() };
    for (folder, shown) in &walk.named {
        let failed = match fs::metadata(folder) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => libc::ENOTDIR,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        // Nothing else is found there, so this is said once.
        if !records.add_error(failed, shown) {
            return Ok(());
        }
    }
    for root in walk.roots.iter().filter(|root| root.folder.is_dir()) {
        let mut entries = WalkDir::new(&root.folder)
            .min_depth(1)
            .max_depth(root.depth)
            .follow_links(walk.follow)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = entries.next() {
            let wanted = match entry {
                Ok(entry) => {
                    let path = entry.path().strip_prefix(&root.folder).unwrap_or(entry.path());
                    let kind = entry.file_type();
                    if walk.is_left_out(root, &entry, path) {
                        if kind.is_dir() {
                            entries.skip_current_dir();
                        }
                        continue;
                    }
                    if !kind.is_file() || !root.set.is_match(path) {
                        if records.offer() {
                            continue;
                        }
                        return Ok(());
                    }
                    records.add_file(&root.shown.join(path))
                }
                Err(error) => match error.io_error().and_then(std::io::Error::raw_os_error) {
                    // A link into a folder that it stands in; a link to nothing, or what is deleted meanwhile.
                    None | Some(libc::ENOENT | libc::ELOOP) => continue,
                    Some(errno) => {
                        let path = error.path().unwrap_or(&root.folder);
                        let path = path.strip_prefix(&root.folder).unwrap_or(path);
                        records.add_error(errno, &root.shown.join(path))
                    }
                },
            };
            if !wanted {
                return Ok(());
            }
        }
    }
    records.flush();
    Ok(())
}

/// Records, each with a zero after it: `f` and a name; `e`, an error number, a space and a name; `n` and about a name
/// that is not UTF-8.
struct Records<'a> {
    feed: &'a Feed,
    part: Vec<u8>,
}

impl Records<'_> {
    fn add_file(&mut self, path: &Path) -> bool {
        match path.to_str() {
            Some(name) => self.add(b"f", name.as_bytes()),
            None => self.add(b"n", path.to_string_lossy().as_bytes()),
        }
    }

    fn add_error(&mut self, errno: i32, path: &Path) -> bool {
        // Without a slash at the end, which joining an empty path leaves.
        let path: PathBuf = if path.as_os_str().is_empty() { ".".into() } else { path.components().collect() };
        self.add(format!("e{errno} ").as_bytes(), path.to_string_lossy().as_bytes())
    }

    /// False: nobody wants it.
    fn add(&mut self, kind: &[u8], text: &[u8]) -> bool {
        self.part.extend_from_slice(kind);
        self.part.extend_from_slice(text);
        self.part.push(0);
        self.offer()
    }

    /// Who waits gets a name at once; who does not, many together. False: nobody wants any.
    fn offer(&mut self) -> bool {
        if self.part.len() >= FULL || !self.part.is_empty() && self.feed.is_hungry() {
            return self.flush();
        }
        !self.feed.is_left()
    }

    fn flush(&mut self) -> bool {
        self.feed.push(std::mem::take(&mut self.part));
        let Some(mut part) = self.feed.part() else { return false };
        part.clear();
        self.part = part;
        true
    }
}

/// The folder before the first part with a wildcard, and what follows it.
fn split(pattern: &str) -> Result<(PathBuf, String), String> {
    if pattern.is_empty() || pattern.ends_with('/') {
        return Err("it names no file".into());
    }
    if pattern.contains('\0') {
        return Err("it contains a zero byte".into());
    }
    let (mut base, mut rest) = (PathBuf::new(), Vec::new());
    if pattern.starts_with('/') {
        base.push("/");
    }
    let parts = significant(pattern);
    for (at, part) in parts.iter().enumerate() {
        if rest.is_empty() && at + 1 < parts.len() && !part.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            base.push(part);
        } else if *part == ".." {
            return Err("\"..\" can only stand at its beginning".into());
        } else {
            rest.push(*part);
        }
    }
    if rest.is_empty() { Err("it names no file".into()) } else { Ok((base, rest.join("/"))) }
}

/// The parts of a pattern that mean something: `.` and nothing do not.
fn significant(pattern: &str) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for mark in marks(pattern).into_iter().filter(|mark| mark.sign == b'/' && mark.depth == 0) {
        parts.push(&pattern[from..mark.at]);
        from = mark.at + 1;
    }
    parts.push(&pattern[from..]);
    parts.retain(|part| !matches!(*part, "" | "."));
    parts
}

/// The parts that begin with a dot, of all that the braces of a pattern stand for.
fn hidden_parts(pattern: &str) -> Result<BTreeSet<String>, String> {
    let (mut found, mut open, mut seen) = (BTreeSet::new(), vec![pattern.to_owned()], 0);
    while let Some(pattern) = open.pop() {
        let marks = marks(&pattern);
        let Some(start) = marks.iter().position(|mark| mark.sign == b'{') else {
            seen += 1;
            found.extend(pattern.split('/').filter(|part| part.starts_with('.')).map(str::to_owned));
            continue;
        };
        let length = marks[start..].iter().position(|mark| mark.sign == b'}' && mark.depth == 1);
        // A brace without an end: that is said where the pattern is made.
        let Some(length) = length else {
            seen += 1;
            continue;
        };
        let is_end = |mark: &&Mark| mark.depth == 1 && matches!(mark.sign, b',' | b'}');
        let ends = marks[start + 1..=start + length].iter().filter(is_end);
        let ends: Vec<_> = std::iter::once(&marks[start]).chain(ends).collect();
        let (before, after) = (&pattern[..marks[start].at], &pattern[marks[start + length].at + 1..]);
        for pair in ends.windows(2) {
            open.push(format!("{before}{}{after}", &pattern[pair[0].at + 1..pair[1].at]));
        }
        if open.len() + seen > MOST_ALTERNATIVES {
            return Err(format!("its braces stand for more than {MOST_ALTERNATIVES} patterns"));
        }
    }
    Ok(found)
}

/// A slash, comma or brace that is neither escaped nor one of several characters, and how many braces are open before it.
struct Mark {
    at: usize,
    sign: u8,
    depth: usize,
}

fn marks(pattern: &str) -> Vec<Mark> {
    let (mut marks, mut depth, mut escaped) = (Vec::new(), 0usize, false);
    // Where the first character of a class is, which may be its bracket.
    let mut class = None;
    for (at, sign) in pattern.bytes().enumerate() {
        match (sign, class) {
            _ if std::mem::take(&mut escaped) => {}
            (b'!' | b'^', Some(first)) if at == first => class = Some(at + 1),
            (b']', Some(first)) if at > first => class = None,
            (b'\\', None) => escaped = true,
            (b'[', None) => class = Some(at + 1),
            (b'/' | b',' | b'{' | b'}', None) => {
                marks.push(Mark { at, sign, depth });
                match sign {
                    b'{' => depth += 1,
                    b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    marks
}

/// Folders that stand in others of them are walked with those, so that no file comes twice.
fn merged(bases: BTreeMap<PathBuf, Vec<String>>) -> BTreeMap<PathBuf, Vec<String>> {
    let mut merged: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    // In order, so a folder comes before what stands in it.
    for (base, patterns) in bases {
        let above = |outer: &&PathBuf| {
            base.starts_with(outer) && !climbs(outer, &base) && base.is_absolute() == outer.is_absolute()
        };
        let outer = merged.keys().find(above).cloned();
        let inner = outer.as_ref().and_then(|outer| base.strip_prefix(outer).ok()).map(Path::to_owned);
        let prefix = inner.filter(|inner| !inner.as_os_str().is_empty()).map(|inner| format!("{}/", inner.display()));
        let patterns = patterns.into_iter().map(|pattern| format!("{}{pattern}", prefix.as_deref().unwrap_or("")));
        merged.entry(outer.unwrap_or(base)).or_default().extend(patterns);
    }
    merged
}

/// Whether the way from one folder to another leads upwards.
fn climbs(from: &Path, to: &Path) -> bool {
    to.strip_prefix(from).is_ok_and(|rest| rest.iter().any(|part| part == OsStr::new("..")))
}

fn glob(pattern: &str, part: &str) -> Result<Glob, (String, String)> {
    let built = GlobBuilder::new(part).literal_separator(true).build();
    built.map_err(|error| (pattern.to_owned(), error.kind().to_string()))
}

/// More patterns in one are a mistake, or an attack.
const MOST_ALTERNATIVES: usize = 1000;

/// A part of so many bytes is handed over.
const FULL: usize = 64 << 10;
