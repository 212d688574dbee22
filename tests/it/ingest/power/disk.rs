//! A disk that loses its power: what was not synced may be there, or not, or in parts.
//!
//! The model promises what POSIX does and no more. A file's bytes are durable after its fsync, sector by sector in any
//! order before; a name is durable after the fsync of its directory, not of the file, and each change of a directory
//! survives or does not, whatever became of the others. A rename and an exchange are atomic.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Disks write no less at once.
const SECTOR_BYTES: usize = 512;

/// Number of a file or directory; the root is 0.
pub type Node = usize;

/// Names of a directory that change at once; `None` goes away.
pub type NewNames = Vec<(String, Option<Node>)>;

/// What a program does to a disk, or tells somebody.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next node, empty and without a name.
    New {
        is_directory: bool,
    },
    Names(Node, NewNames),
    Write {
        file: Node,
        offset: usize,
        bytes: Vec<u8>,
    },
    Resize(Node, usize),
    /// All of a file, or the names of a directory, are durable.
    Sync(Node),
    /// What was written last is durable (O_DSYNC).
    SyncLast(Node),
    /// An answer was sent.
    Told,
}

/// What became of it is not certain before it is durable.
#[derive(Clone)]
struct Pending<T> {
    change: T,
    is_durable: bool,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

type Names = BTreeMap<String, Node>;

#[derive(Clone)]
enum Kind {
    File {
        durable: Vec<u8>,
        pending: Vec<Pending<Change>>,
    },
    Directory {
        durable: Names,
        pending: Vec<Pending<NewNames>>,
    },
}

/// What a cut leaves of what was not durable.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Name,
    Sector,
}

/// Files by path; `None` is a directory.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// See the file's first line.
#[derive(Clone, Default)]
pub struct Disk(Vec<Kind>);

impl Disk {
    /// What is below a directory, all of it durable.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        disk.add(root);
        disk
    }

    fn add(&mut self, path: &Path) -> Node {
        let node = self.0.len();
        if !path.is_dir() {
            let durable = fs::read(path).unwrap();
            let pending = Vec::new();
            self.0.push(Kind::File { durable, pending });
            return node;
        }
        self.apply(&Event::New { is_directory: true });
        let mut names = Names::new();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            names.insert(name, self.add(&entry.path()));
        }
        let pending = Vec::new();
        self.0[node] = Kind::Directory {
            durable: names,
            pending,
        };
        node
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::New { is_directory: true } => self.0.push(Kind::Directory {
                durable: Names::new(),
                pending: Vec::new(),
            }),
            Event::New { .. } => self.0.push(Kind::File {
                durable: Vec::new(),
                pending: Vec::new(),
            }),
            Event::Names(node, change) => match &mut self.0[*node] {
                Kind::Directory { pending, .. } => pending.push(Pending {
                    change: change.clone(),
                    is_durable: false,
                }),
                Kind::File { .. } => panic!("{event:?}: a file has no names"),
            },
            Event::Write {
                file,
                offset,
                bytes,
            } => self.change(*file, Change::Write(*offset, bytes.clone())),
            Event::Resize(file, length) => self.change(*file, Change::Resize(*length)),
            Event::Sync(node) => match &mut self.0[*node] {
                Kind::File { pending, .. } => pending.iter_mut().for_each(Pending::sync),
                Kind::Directory { pending, .. } => pending.iter_mut().for_each(Pending::sync),
            },
            Event::SyncLast(node) => {
                if let Kind::File { pending, .. } = &mut self.0[*node] {
                    pending.iter_mut().next_back().unwrap().sync();
                }
            }
            Event::Told => {}
        }
    }

    fn change(&mut self, file: Node, change: Change) {
        let Kind::File { pending, .. } = &mut self.0[file] else {
            panic!("a directory was written to");
        };
        pending.push(Pending {
            change,
            is_durable: false,
        });
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The bytes of a file that everybody sees.
    pub fn bytes(&self, file: Node) -> Vec<u8> {
        self.bytes_after(file, &mut |_| true)
    }

    /// A name's node that everybody sees.
    pub fn find(&self, directory: Node, name: &str) -> Option<Node> {
        self.names_after(directory, &mut |_| true)
            .get(name)
            .copied()
    }

    /// What is there after a cut, if `survives` says of each thing that was not durable whether it is.
    pub fn tree(&self, survives: &mut dyn FnMut(Part) -> bool) -> Tree {
        let mut tree = Tree::new();
        self.grow(0, Path::new(""), &mut tree, survives);
        tree
    }

    fn grow(
        &self,
        node: Node,
        path: &Path,
        tree: &mut Tree,
        survives: &mut dyn FnMut(Part) -> bool,
    ) {
        if let Kind::File { .. } = self.0[node] {
            tree.insert(path.into(), Some(self.bytes_after(node, survives)));
            return;
        }
        tree.insert(path.into(), None);
        for (name, child) in self.names_after(node, survives) {
            self.grow(child, &path.join(name), tree, survives);
        }
    }

    fn names_after(&self, node: Node, survives: &mut dyn FnMut(Part) -> bool) -> Names {
        let Kind::Directory { durable, pending } = &self.0[node] else {
            return Names::new();
        };
        let mut names = durable.clone();
        for Pending { change, is_durable } in pending {
            if !is_durable && !survives(Part::Name) {
                continue;
            }
            for (name, node) in change {
                match node {
                    Some(node) => names.insert(name.clone(), *node),
                    None => names.remove(name),
                };
            }
        }
        names
    }

    fn bytes_after(&self, node: Node, survives: &mut dyn FnMut(Part) -> bool) -> Vec<u8> {
        let Kind::File { durable, pending } = &self.0[node] else {
            panic!("a directory has no bytes");
        };
        let mut bytes = durable.clone();
        for Pending { change, is_durable } in pending {
            match change {
                Change::Resize(length) if *is_durable || survives(Part::Sector) => {
                    bytes.resize(*length, 0);
                }
                Change::Resize(_) => {}
                Change::Write(offset, written) => {
                    let mut at = 0;
                    while at < written.len() {
                        // Up to the sector's end.
                        let room = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                        let end = written.len().min(at + room);
                        if *is_durable || survives(Part::Sector) {
                            put(&mut bytes, offset + at, &written[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        bytes
    }
}

impl<T> Pending<T> {
    fn sync(&mut self) {
        self.is_durable = true;
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

/// Writes a tree into an empty directory.
pub fn lay(tree: &Tree, place: &Path) {
    for (path, content) in tree {
        let path = place.join(path);
        match content {
            None => fs::create_dir_all(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
    }
}

/// A disk keeps what was synced, and of the rest what it likes.
#[test]
fn a_cut_takes_what_was_not_synced() {
    let mut disk = Disk::default();
    let name = |name: &str, node| (name.to_owned(), node);
    disk.apply(&Event::New { is_directory: true });
    disk.apply(&Event::New {
        is_directory: false,
    });
    disk.apply(&Event::Names(0, vec![name("a", Some(1))]));
    let write = |offset, byte| Event::Write {
        file: 1,
        offset,
        bytes: vec![byte; 1024],
    };
    disk.apply(&write(0, 1));
    let tree = |disk: &Disk, survives: fn(Part) -> bool| disk.tree(&mut { survives });
    let file = |tree: Tree, name: &str| tree.get(Path::new(name)).cloned().flatten();
    // The file is synced, and its name is not.
    disk.apply(&Event::Sync(1));
    assert_eq!(file(tree(&disk, |_| false), "a"), None);
    assert_eq!(file(tree(&disk, |_| true), "a"), Some(vec![1; 1024]));
    disk.apply(&Event::Sync(0));
    assert_eq!(file(tree(&disk, |_| false), "a"), Some(vec![1; 1024]));
    // Half of what was written after: a sector.
    disk.apply(&write(512, 2));
    let mut turn = false;
    let torn = disk.tree(&mut |_| {
        turn = !turn;
        turn
    });
    assert_eq!(file(torn, "a"), Some([vec![1; 512], vec![2; 512]].concat()));
    // Durable as written: the write before is not.
    disk.apply(&write(1536, 3));
    disk.apply(&Event::SyncLast(1));
    let kept = file(tree(&disk, |_| false), "a").unwrap();
    assert_eq!(kept, [vec![1; 1024], vec![0; 512], vec![3; 1024]].concat());
    disk.apply(&Event::Names(0, vec![name("a", None), name("b", Some(1))]));
    assert_eq!(file(tree(&disk, |_| false), "b"), None);
    assert_eq!(file(tree(&disk, |_| true), "a"), None);
}
