//! Which files of a module name which: the paths of Rust source, followed to the file that defines
//! what they name.
//!
//! The scan is textual. It knows `use` with groups and `as`, paths that begin with `crate`, `self`,
//! `super`, a child module or an imported module, and it follows `pub use`, so naming something
//! through a `mod.rs` counts as naming the file behind it. Code under `#[cfg(test)]` does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module path, or the path of an item, from the root of its crate.
type Segments = Vec<String>;

/// One source file.
#[derive(Default)]
struct Source {
    /// Relative to `src/`.
    name: String,
    /// The paths that it names.
    used: Vec<Segments>,
    /// Its re-exports, by the names that it gives them.
    exported: BTreeMap<String, Segments>,
    /// Children under `#[cfg(test)]`.
    test_children: Vec<Segments>,
}

/// For each file below `src` the files of the same top-level module that it names.
pub fn arrows(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut sources = BTreeMap::new();
    collect(src, src, &mut sources);
    let is_test = |module: &Segments| {
        let children = sources.values().flat_map(|s: &Source| &s.test_children);
        children.into_iter().any(|test| module.starts_with(test))
    };
    let mut arrows = BTreeMap::new();
    for (module, source) in sources.iter().filter(|(module, _)| !is_test(module)) {
        let targets = source.used.iter().filter_map(|path| {
            let target = defining(&sources, path, 0)?;
            let is_near = target.first() == module.first() && target != *module;
            is_near.then(|| sources[&target].name.clone())
        });
        arrows.insert(source.name.clone(), targets.collect());
    }
    arrows
}

/// Groups of files that name each other in a circle.
pub fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = arrows
        .keys()
        .map(|file| (file, reach(arrows, file)))
        .collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (file, targets) in &reached {
        let is_known = found.iter().any(|circle| circle.contains(file));
        if targets.contains(*file) && !is_known {
            let back = targets
                .iter()
                .filter(|target| reached[**target].contains(file));
            found.push(back.map(|file| (*file).clone()).collect());
        }
    }
    found
}

fn reach<'a>(arrows: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = arrows[from].iter().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(arrows.get(file).into_iter().flatten());
        }
    }
    reached
}

/// The module in whose file `path` leads to an item; `None` if it leads to a module or out of `src`.
fn defining(
    sources: &BTreeMap<Segments, Source>,
    path: &[String],
    depth: usize,
) -> Option<Segments> {
    let depth_max = 16;
    let modules = (0..=path.len())
        .rev()
        .find(|&n| sources.contains_key(&path[..n]))?;
    let (module, rest) = path.split_at(modules);
    let (item, after) = rest.split_first()?;
    match sources[module].exported.get(item) {
        Some(target) if depth < depth_max => {
            let target = [target, after].concat();
            defining(sources, &target, depth + 1).or(Some(module.to_vec()))
        }
        _ => Some(module.to_vec()),
    }
}

/// Reads every file at or below `path`.
fn collect(src: &Path, path: &Path, sources: &mut BTreeMap<Segments, Source>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(src, &entry.unwrap().path(), sources);
        }
        return;
    }
    let name = path.strip_prefix(src).unwrap().to_str().unwrap();
    let Some(stem) = name.strip_suffix(".rs") else {
        return;
    };
    let mut module: Segments = stem.split('/').map(str::to_owned).collect();
    module.pop_if(|last| last == "mod" || last == "lib");
    // The binary is a crate of its own.
    let root = usize::from(module.first().is_some_and(|first| first == "main"));
    let text = fs::read_to_string(path).unwrap();
    let mut source = Reader::new(&text, &module, root).read();
    source.name = name.to_owned();
    sources.insert(module, source);
}

/// Walks over the tokens of one file.
struct Reader<'m> {
    tokens: Vec<String>,
    module: &'m [String],
    root: usize,
    /// Children and imported names, by the name they have in this file.
    local: BTreeMap<String, Segments>,
    source: Source,
}

impl<'m> Reader<'m> {
    fn new(text: &str, module: &'m [String], root: usize) -> Self {
        Self {
            tokens: tokens(text),
            module,
            root,
            local: BTreeMap::new(),
            source: Source::default(),
        }
    }

    fn read(mut self) -> Source {
        self.leave_out_tests();
        for at in 0..self.tokens.len() {
            if self.token(at) == "mod" && self.token(at + 2) == ";" {
                let child = self.token(at + 1).to_owned();
                let path = [self.module, std::slice::from_ref(&child)].concat();
                self.local.insert(child, path);
            }
        }
        for imports in [true, false] {
            let mut at = 0;
            while at < self.tokens.len() {
                at = if self.token(at) == "use" {
                    self.import(at, imports)
                } else {
                    self.path(at, !imports)
                };
            }
        }
        self.source
    }

    fn token(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", String::as_str)
    }

    /// Removes items under `#[cfg(test)]`.
    fn leave_out_tests(&mut self) {
        let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
        while let Some(start) = self.tokens.windows(mark.len()).position(|w| w == mark) {
            let mut end = start + mark.len();
            let mut depth = 0;
            loop {
                match self.token(end) {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "" => break,
                    _ => {}
                }
                let is_over = depth == 0 && matches!(self.token(end), ";" | "}");
                if is_over {
                    break;
                }
                end += 1;
            }
            if self.token(end - 2) == "mod" && self.token(end) == ";" {
                let child = self.token(end - 1).to_owned();
                let path = [self.module, &[child]].concat();
                self.source.test_children.push(path);
            }
            self.tokens.drain(start..(end + 1).min(self.tokens.len()));
        }
    }

    /// Reads the `use` at `at`; returns where it ends.
    fn import(&mut self, at: usize, counts: bool) -> usize {
        let is_exported = matches!(self.token(at.wrapping_sub(1)), "pub" | ")");
        let mut found = Vec::new();
        let end = self.tree(at + 1, &[], &mut found);
        for (path, name) in found.into_iter().filter(|_| counts) {
            let Some(path) = self.absolute(&path) else {
                continue;
            };
            if is_exported {
                self.source.exported.insert(name, path);
            } else {
                self.local.insert(name, path.clone());
                self.source.used.push(path);
            }
        }
        end
    }

    /// Reads a path outside of `use`; returns where to go on.
    fn path(&mut self, at: usize, counts: bool) -> usize {
        let is_start = self.token(at + 1) == "::" && self.token(at.wrapping_sub(1)) != "::";
        if !is_start || !is_word(self.token(at)) {
            return at + 1;
        }
        let mut path = vec![self.token(at).to_owned()];
        let mut end = at + 1;
        while self.token(end) == "::" && is_word(self.token(end + 1)) {
            path.push(self.token(end + 1).to_owned());
            end += 2;
        }
        if counts && let Some(path) = self.absolute(&path) {
            self.source.used.push(path);
        }
        end
    }

    /// Reads a tree of imports: paths with the names they give.
    fn tree(&self, at: usize, before: &[String], found: &mut Vec<(Segments, String)>) -> usize {
        let mut path = before.to_vec();
        let mut at = at;
        loop {
            match self.token(at) {
                "{" => {
                    at += 1;
                    while self.token(at) != "}" && at < self.tokens.len() {
                        at = self.tree(at, &path, found);
                        at += usize::from(self.token(at) == ",");
                    }
                    return at + 1;
                }
                "::" => at += 1,
                "as" => {
                    found.push((path, self.token(at + 1).to_owned()));
                    return at + 2;
                }
                word if is_word(word) => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_owned());
                    }
                    at += 1;
                }
                "*" => return at + 1,
                _ => {
                    let name = path.last().cloned().unwrap_or_default();
                    found.push((path, name));
                    return at;
                }
            }
        }
    }

    /// `path` from the root of the crate; `None` if it leads elsewhere.
    fn absolute(&self, path: &[String]) -> Option<Segments> {
        let (first, mut rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => self.module[..self.root].to_vec(),
            "self" => self.module.to_vec(),
            "super" => self.module.split_last()?.1.to_vec(),
            name => self.local.get(name)?.clone(),
        };
        while let Some((first, after)) = rest.split_first()
            && first == "super"
        {
            base.pop();
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single signs; without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let bytes = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '"' {
            string(rest)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if let Some(character) = character(rest) {
            character
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if c.is_alphanumeric() || c == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[bytes..];
    }
    tokens
}

/// Length of the string literal at the start of `text`.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Length of the raw string literal at the start of `text`.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - body.len();
    Some(
        body.find(&end)
            .map_or(text.len(), |at| start + at + end.len()),
    )
}

/// Length of the character literal at the start of `text`; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        return body[2..].find('\'').map(|at| at + 4);
    }
    let c = body.chars().next()?;
    body[c.len_utf8()..]
        .starts_with('\'')
        .then(|| c.len_utf8() + 2)
}

/// A module whose files name each other in every way the scan knows.
#[test]
fn arrows_are_seen_through_groups_imports_and_re_exports() {
    let src = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layers-{}", std::process::id()));
    let files = [
        ("lib.rs", "pub mod m;"),
        (
            "m/mod.rs",
            "pub mod a; mod b; mod c; mod d; mod e; pub use b::{Deep as Renamed}; pub struct Own;",
        ),
        (
            "m/a.rs",
            "use crate::m::{self, Renamed, c::{C, other}}; fn f() { other::<'a'>(\"super::d::D\") }",
        ),
        (
            "m/b.rs",
            "pub struct Deep; // super::a::A\n#[cfg(test)] mod tests { use super::super::a::A; }",
        ),
        (
            "m/c.rs",
            "use super::e as renamed; fn f() -> renamed::E { super::Own }",
        ),
        (
            "m/d.rs",
            "#[cfg(test)]\nmod tests;\nfn f<'a>(a: &'a u8) { crate::m::e::E::new(r#\"super::a::A\"#) }",
        ),
        ("m/d/tests.rs", "use crate::m::a::A;"),
        (
            "m/e.rs",
            "pub(crate) use super::d::D; fn f() -> super::d::D { '\\'' }",
        ),
    ];
    for (name, text) in files {
        let path = src.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = arrows(&src);
    fs::remove_dir_all(&src).unwrap();
    let expected = [
        ("lib.rs", vec![]),
        ("m/a.rs", vec!["m/b.rs", "m/c.rs"]),
        ("m/b.rs", vec![]),
        ("m/c.rs", vec!["m/e.rs", "m/mod.rs"]),
        ("m/d.rs", vec!["m/e.rs"]),
        ("m/e.rs", vec!["m/d.rs"]),
        ("m/mod.rs", vec![]),
    ];
    let owned = |name: &str| name.to_owned();
    let expected: BTreeMap<String, BTreeSet<String>> = expected
        .into_iter()
        .map(|(file, named)| (owned(file), named.into_iter().map(owned).collect()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(circles(&found), [["m/d.rs", "m/e.rs"]]);
}
