//! What a program did to its files, from strace's record of its system calls.
//!
//! The record is proven at its end: the model has the bytes that the directory has. So a call that is not understood,
//! or a write through a map, is a failure and no gap.

use super::disk::{Disk, Event, Node};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What changes files or makes them durable, what gives descriptors, and what tells somebody.
const CALLS: &str = "openat,open,creat,close,dup,dup2,dup3,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,\
                     fallocate,copy_file_range,sendfile,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,\
                     rmdir,link,linkat,symlink,symlinkat,fsync,fdatasync,sendto";

/// `program`, with its calls written to `record`. The process is the program's: strace is a child of its own.
pub fn traced(program: &str, record: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-q", "-s", "100000000", "-e", "signal=none"])
        .args(["-e", &format!("trace={CALLS}")])
        .arg("-o")
        .arg(record)
        .arg(program);
    command
}

/// One system call that has returned.
struct Call {
    name: String,
    arguments: Vec<String>,
    result: i64,
}

/// All calls in the order of their ends. A descriptor that is closed is another's before the call has ended.
fn calls(record: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in record.lines() {
        let (process, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        let whole = if let Some(text) = text.strip_suffix("<unfinished ...>") {
            if text.starts_with("close(") {
                calls.extend(call(&format!("{}) = 0", text.trim_end())));
            } else {
                begun.insert(process, text.trim_end().into());
            }
            continue;
        } else if text.starts_with("<... ") {
            let Some(begun) = begun.remove(process) else {
                continue;
            };
            begun + text.split_once("resumed>").unwrap().1
        } else {
            text.into()
        };
        calls.extend(call(&whole));
    }
    calls
}

/// `None`: an end of a process, or a call that failed.
fn call(text: &str) -> Option<Call> {
    let (head, result) = text.rsplit_once(" = ")?;
    let (name, rest) = head.split_once('(')?;
    let result = result.split(' ').next()?.parse().ok()?;
    let arguments = split(rest.trim_end().strip_suffix(')')?);
    (result >= 0).then(|| Call {
        name: name.into(),
        arguments,
        result,
    })
}

/// Arguments, at the commas that are in no string and no bracket.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut in_string, mut escaped) = (vec![String::new()], 0, false, false);
    for c in text.chars() {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if in_string => escaped = !was_escaped,
            '"' if !was_escaped => in_string = !in_string,
            '[' | '{' if !in_string => depth += 1,
            ']' | '}' if !in_string => depth -= 1,
            ',' if !in_string && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts.iter().map(|part| part.trim().into()).collect()
}

/// The bytes of the strings in an argument, one after the other: `"…"`, or `[{iov_base="…", …}, …]`.
fn bytes(argument: &str) -> Vec<u8> {
    assert!(!argument.ends_with("..."), "strace has shortened a string");
    let (mut out, mut rest) = (Vec::new(), argument.as_bytes());
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        rest = &rest[start + 1..];
        while rest[0] != b'"' {
            let (byte, length) = unescaped(rest);
            out.push(byte);
            rest = &rest[length..];
        }
        rest = &rest[1..];
    }
    out
}

/// The first byte of C's notation, and how many characters it takes.
fn unescaped(text: &[u8]) -> (u8, usize) {
    if text[0] != b'\\' {
        return (text[0], 1);
    }
    let is_octal = |byte: &&u8| (b'0'..=b'7').contains(*byte);
    let octal: Vec<u8> = text[1..]
        .iter()
        .take(3)
        .take_while(is_octal)
        .copied()
        .collect();
    if octal.is_empty() {
        let byte = match text[1] {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            other => other,
        };
        return (byte, 2);
    }
    let value = octal
        .iter()
        .fold(0, |value, digit| value * 8 + u32::from(digit - b'0'));
    (value as u8, 1 + octal.len())
}

/// A descriptor of a file or directory below the root.
#[derive(Clone, Copy)]
struct Open {
    node: Node,
    offset: usize,
    is_synced: bool,
}

/// What happened to the files below a directory.
pub struct Recording {
    /// As it was before.
    pub before: Disk,
    pub events: Vec<Event>,
    root: PathBuf,
    now: Disk,
    open: HashMap<i64, Open>,
}

impl Recording {
    /// Of the record that [`traced`] has written.
    pub fn new(before: Disk, root: &Path, record: &Path) -> Self {
        let mut recording = Self {
            now: before.clone(),
            before,
            events: Vec::new(),
            root: root.into(),
            open: HashMap::new(),
        };
        for call in calls(&fs::read_to_string(record).unwrap()) {
            recording.take(&call);
        }
        recording.prove();
        recording
    }

    /// The model has what the directory has. LMDB's lock file is written through a map, and is worth nothing later.
    fn prove(&self) {
        let shown = |disk: &Disk| {
            let mut tree = disk.tree(&mut |_| true);
            tree.retain(|path, _| !path.ends_with("lock.mdb"));
            tree
        };
        let (model, real) = (shown(&self.now), shown(&Disk::of(&self.root)));
        assert!(
            model.keys().eq(real.keys()),
            "{:?} {:?}",
            model.keys(),
            real.keys()
        );
        for (path, content) in &model {
            assert!(
                real[path] == *content,
                "{} was written otherwise",
                path.display()
            );
        }
    }

    fn note(&mut self, event: Event) {
        self.now.apply(&event);
        self.events.push(event);
    }

    fn take(&mut self, call: &Call) {
        let Call {
            name,
            arguments,
            result,
        } = call;
        let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
        match name.as_str() {
            "openat" => self.open(argument(0), argument(1), argument(2), *result),
            "close" => drop(self.open.remove(&number(argument(0)))),
            "write" | "writev" => self.write(argument(0), &bytes(argument(1)), None, *result),
            "pwrite64" | "pwritev" | "pwritev2" => {
                let offset = number(argument(3)) as usize;
                self.write(argument(0), &bytes(argument(1)), Some(offset), *result);
            }
            "lseek" => {
                if let Some(open) = self.open.get_mut(&number(argument(0))) {
                    open.offset = *result as usize;
                }
            }
            "ftruncate" => self.resize(argument(0), |_| number(argument(1)) as usize),
            "fallocate" => {
                assert_eq!(argument(1), "0");
                let end = (number(argument(2)) + number(argument(3))) as usize;
                self.resize(argument(0), |length| length.max(end));
            }
            "copy_file_range" => self.copy(argument(0), argument(2), *result as usize),
            "sendfile" => self.copy(argument(1), argument(0), *result as usize),
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&number(argument(0))) {
                    self.note(Event::Sync(open.node));
                }
            }
            "sendto" if bytes(argument(1)).starts_with(b"HTTP/1.1 200 ") => self.note(Event::Told),
            "sendto" => {}
            _ => self.rename_or_remove(name, arguments),
        }
    }

    fn rename_or_remove(&mut self, name: &str, arguments: &[String]) {
        const HERE: &str = "AT_FDCWD";
        let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
        match name {
            "mkdir" => self.make_directory(HERE, argument(0)),
            "mkdirat" => self.make_directory(argument(0), argument(1)),
            "unlink" | "rmdir" => self.remove(HERE, argument(0)),
            "unlinkat" => self.remove(argument(0), argument(1)),
            "rename" => self.rename([HERE, argument(0)], [HERE, argument(1)], ""),
            "renameat" | "renameat2" => {
                let [from, to] = [0, 2].map(|at| [argument(at), argument(at + 1)]);
                self.rename(from, to, argument(4));
            }
            _ => {
                let text = arguments.join(", ");
                let root = self.root.to_str().unwrap();
                let known = arguments.first().is_some_and(|first| {
                    first
                        .parse()
                        .is_ok_and(|fd: i64| self.open.contains_key(&fd))
                });
                assert!(
                    !known && !text.contains(root),
                    "{name}({text}) is not modelled"
                );
            }
        }
    }

    /// Directory and name of a path below the root; an empty name is the directory itself.
    fn place(&self, directory: &str, path: &str) -> Option<(Node, String)> {
        let path = PathBuf::from(String::from_utf8(bytes(path)).ok()?);
        let (mut node, rest) = match path.strip_prefix(&self.root) {
            Ok(rest) => (0, rest),
            Err(_) if path.is_absolute() => return None,
            Err(_) => (
                self.open.get(&directory.parse().ok()?)?.node,
                path.as_path(),
            ),
        };
        let mut names: Vec<&str> = rest.iter().map(|name| name.to_str().unwrap()).collect();
        names.retain(|name| *name != ".");
        let last = names.pop().unwrap_or_default();
        for name in names {
            node = self.now.find(node, name)?;
        }
        Some((node, last.into()))
    }

    fn open(&mut self, directory: &str, path: &str, flags: &str, descriptor: i64) {
        let Some((directory, name)) = self.place(directory, path) else {
            return;
        };
        let found = match name.as_str() {
            "" => Some(directory),
            name => self.now.find(directory, name),
        };
        let node = found.unwrap_or_else(|| self.make(directory, name, false));
        if flags.contains("O_TRUNC") {
            self.note(Event::Resize(node, 0));
        }
        assert!(!flags.contains("O_APPEND"), "{path} is appended to");
        let open = Open {
            node,
            offset: 0,
            is_synced: flags.contains("O_DSYNC") || flags.contains("O_SYNC"),
        };
        self.open.insert(descriptor, open);
    }

    fn make(&mut self, directory: Node, name: String, is_directory: bool) -> Node {
        let node = self.now.count();
        self.note(Event::New { is_directory });
        self.note(Event::Names(directory, vec![(name, Some(node))]));
        node
    }

    fn make_directory(&mut self, directory: &str, path: &str) {
        if let Some((directory, name)) = self.place(directory, path) {
            self.make(directory, name, true);
        }
    }

    fn remove(&mut self, directory: &str, path: &str) {
        if let Some((directory, name)) = self.place(directory, path) {
            self.note(Event::Names(directory, vec![(name, None)]));
        }
    }

    fn rename(&mut self, from: [&str; 2], to: [&str; 2], flags: &str) {
        let (from, to) = (self.place(from[0], from[1]), self.place(to[0], to[1]));
        let (Some((directory, from)), Some((other, to))) = (&from, &to) else {
            return assert!(from.is_none() && to.is_none(), "moved over the root");
        };
        assert_eq!(directory, other, "moved to another directory");
        let node = self.now.find(*directory, from);
        let is_exchange = flags.contains("RENAME_EXCHANGE");
        let replaced = is_exchange.then(|| self.now.find(*directory, to)).flatten();
        let names = vec![(from.clone(), replaced), (to.clone(), node)];
        self.note(Event::Names(*directory, names));
    }

    fn write(&mut self, descriptor: &str, bytes: &[u8], offset: Option<usize>, written: i64) {
        let Some(open) = self.open.get_mut(&number(descriptor)) else {
            return;
        };
        let at = offset.unwrap_or(open.offset);
        if offset.is_none() {
            open.offset += written as usize;
        }
        let Open {
            node, is_synced, ..
        } = *open;
        self.note(Event::Write {
            file: node,
            offset: at,
            bytes: bytes[..written as usize].into(),
        });
        if is_synced {
            self.note(Event::SyncLast(node));
        }
    }

    fn resize(&mut self, descriptor: &str, length: impl FnOnce(usize) -> usize) {
        if let Some(Open { node, .. }) = self.open.get(&number(descriptor)).copied() {
            let length = length(self.now.bytes(node).len());
            self.note(Event::Resize(node, length));
        }
    }

    /// From one file below the root to another, both from where they are.
    fn copy(&mut self, from: &str, to: &str, count: usize) {
        if !self.open.contains_key(&number(to)) {
            return;
        }
        let source = self.open.get_mut(&number(from));
        let source = source.expect("copied from a file that is not below the root");
        let (node, start) = (source.node, source.offset);
        source.offset += count;
        let bytes = self.now.bytes(node)[start..start + count].to_vec();
        self.write(to, &bytes, None, count as i64);
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}
