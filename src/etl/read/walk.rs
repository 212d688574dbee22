//! Inputs other than plain lines in at most one compression: archives, layers in layers, other encodings and layouts.
//!
//! A thread reads such an input from its start to its end and sends blocks of lines; the map stage's workers parse them. The
//! libraries lend each member of an archive from the one before, so they cannot be left and taken up again, as a reader of lines
//! can. The channel holds two blocks, whatever the input expands to.

use crate::etl::{
    error::EtlError,
    read::{
        blocks::{Blocks, READ_BYTES},
        budget::{Budget, LayerError, is_bomb},
        bytes::{Counted, Input, check_name},
        documents::{Documents, Layout},
        encoding::{CrToLf, Utf16},
        format::{Kind, Unreadable, is_member_of_interest},
        head::Headed,
        shown::shown,
        tar, zip,
    },
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Most layers around a text: compression, archive, encoding. The Internet Archive's files have two, a zip of them three.
pub const LAYERS_MAX: usize = 6;
/// Blocks that wait for a worker.
const BLOCKS_WAITING: usize = 2;
/// Names of left-out members that are reported.
const NAMES_SHOWN: usize = 8;
/// Unreadable members that are reported one by one; the rest are counted.
const BAD_MEMBERS_TOLD: u64 = 1000;

/// What a line's number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Lines of a text.
    #[default]
    Line,
    /// Objects of a JSON text.
    Object,
}

/// Where a block of lines begins.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// The member of the archive, with those around it: `2014/04.tar!01.json.bz2`.
    pub member: Option<Arc<str>>,
    /// How many members came before it.
    pub member_index: u64,
    /// How many blocks came before it whose lines were not counted.
    pub uncounted: u64,
    /// Number of the first line or object, from 1, without those of the uncounted blocks.
    pub first: u64,
    /// What is numbered.
    pub unit: Unit,
}

/// What the thread sends.
pub(super) enum Message {
    /// Lines, how many of them were too long, and where they are from.
    Block(Vec<u8>, u64, Position),
    /// A part that could not be read; reading continues after it.
    Bad(EtlError),
    /// The end, with a line about the members that were left out.
    End(Option<String>),
    /// The end, because nothing after the fault can be read.
    Failed(EtlError),
}

/// The input of a thread.
pub(super) enum Walked {
    /// A text with its first bytes looked at.
    Text(Headed<Box<dyn Read + Send>>),
    /// A zip archive on disk.
    Zip(File),
}

/// Starts a thread that reads `walked` and sends blocks and errors.
pub(super) fn start(
    path: &Path,
    walked: Walked,
    budget: Arc<Budget>,
) -> io::Result<Receiver<Message>> {
    let (out, receiver) = sync_channel(BLOCKS_WAITING);
    let mut walk = Walk {
        path: path.to_owned(),
        budget,
        out,
        members: Vec::new(),
        member_index: 0,
        text_bytes: 0,
        left_out: Vec::new(),
        left_out_more: 0,
        bad_members: 0,
    };
    let builder = thread::Builder::new().name("etl-read".to_owned());
    builder.spawn(move || walk.run(walked))?;
    Ok(receiver)
}

/// Why a part of the input ends early.
enum Stop {
    /// Nobody listens any more.
    Gone,
    Unreadable(Unreadable),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Walk {
    path: PathBuf,
    budget: Arc<Budget>,
    out: SyncSender<Message>,
    /// The members that the text at hand is in, the outer ones first.
    members: Vec<String>,
    member_index: u64,
    /// Bytes of lines sent from the text at hand.
    text_bytes: u64,
    left_out: Vec<String>,
    left_out_more: usize,
    bad_members: u64,
}

impl Walk {
    fn run(&mut self, walked: Walked) {
        let result = match walked {
            Walked::Text(mut text) => self.content(text.borrowed(), 1),
            Walked::Zip(file) => self.zip_file(file),
        };
        if let Err(Stop::Gone) = self.tell_untold() {
            return;
        }
        let last = match result {
            Ok(()) => Message::End(self.left_out_line()),
            Err(Stop::Gone) => return,
            Err(stop) => Message::Failed(self.error(stop)),
        };
        // If the receiver has gone, nobody needs it.
        let _ = self.out.send(last);
    }

    /// Reports how many members cannot be read besides those reported one by one.
    fn tell_untold(&self) -> Result<(), Stop> {
        match self.bad_members.saturating_sub(BAD_MEMBERS_TOLD) {
            0 => Ok(()),
            more => self.send(Message::Bad(EtlError::Damaged {
                path: self.path.clone(),
                noun: "the archive".to_owned(),
                what: format!("has {more} more members that cannot be read"),
                offset: 0,
                text_offset: 0,
            })),
        }
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.out.send(message).map_err(|_| Stop::Gone)
    }

    /// Reads a text inside `layer` layers.
    fn content(&mut self, mut text: Headed<&mut dyn Read>, layer: usize) -> Result<(), Stop> {
        if layer > LAYERS_MAX {
            return Err(Stop::Unreadable(Unreadable {
                format: "archives and compression within each other, more than 6 deep",
                way_out: "unpack it",
            }));
        }
        text.skip_byte_order_mark();
        match Kind::of(text.head(), text.is_whole()) {
            Kind::Unreadable(format) => Err(Stop::Unreadable(format)),
            Kind::Compressed => {
                let raw = Counted::new(&mut text as &mut dyn Read, READ_BYTES);
                let mut input = Input::new(raw, self.budget.clone())?;
                self.content(Headed::new(&mut input), layer + 1)
            }
            Kind::Tar => tar::each(&mut text, &mut |name, member| match member {
                tar::Member::File(file) => self.member(name, file, layer + 1),
                tar::Member::Other(why) => self.leave_out(name, why),
            }),
            Kind::Zip => {
                let budget = self.budget.clone();
                zip::each_in_order(&mut text, &budget, &mut self.zip_members(layer + 1))
            }
            Kind::Utf16(encoding) => {
                text.skip_utf16_mark();
                let mut decoded = Utf16::new(text, encoding);
                self.content(Headed::new(&mut decoded), layer + 1)
            }
            Kind::CarriageReturns => {
                let mut lines = CrToLf::new(text);
                self.content(Headed::new(&mut lines), layer + 1)
            }
            Kind::Documents(layout) => self.documents(text, layout),
            Kind::Lines => self.lines(text),
        }
    }

    fn zip_file(&mut self, file: File) -> Result<(), Stop> {
        let budget = self.budget.clone();
        // Its first bytes have been counted already, when its kind was recognised.
        budget.take(file.metadata()?.len().saturating_sub(budget.taken()));
        zip::each(file, &budget, &mut self.zip_members(2))
    }

    fn zip_members(
        &mut self,
        layer: usize,
    ) -> impl FnMut(&str, zip::Member<'_>) -> Result<(), Stop> {
        move |name, member| match member {
            zip::Member::File(file) => self.member(name, file, layer),
            zip::Member::Other(why) => self.leave_out(name, why),
            zip::Member::Bad(error) => self.member(name, &mut Broken(Some(error)), layer),
        }
    }

    /// Reads a member if it looks like tweets. Its faults do not end the archive around it.
    fn member(&mut self, name: &str, file: &mut dyn Read, layer: usize) -> Result<(), Stop> {
        let text = Headed::new(file);
        if !is_member_of_interest(name, text.head(), text.is_whole()) {
            return self.leave_out(name, "");
        }
        self.members.push(shown(name));
        self.member_index += 1;
        self.text_bytes = 0;
        let result = match self.named_content(name, text, layer) {
            Err(Stop::Gone) => Err(Stop::Gone),
            Err(Stop::Io(error)) if is_bomb(&error) => Err(Stop::Io(error)),
            Err(stop) => self.bad_member(stop),
            Ok(()) => Ok(()),
        };
        self.members.pop();
        result
    }

    fn named_content(
        &mut self,
        name: &str,
        text: Headed<&mut dyn Read>,
        layer: usize,
    ) -> Result<(), Stop> {
        // If it cannot be read, the error is reported when it is read.
        if text.is_whole() || !text.head().is_empty() {
            check_name(Path::new(name), text.head())?;
        }
        self.content(text, layer)
    }

    fn bad_member(&mut self, stop: Stop) -> Result<(), Stop> {
        self.bad_members += 1;
        if self.bad_members > BAD_MEMBERS_TOLD {
            return Ok(());
        }
        self.send(Message::Bad(self.error(stop)))
    }

    fn leave_out(&mut self, name: &str, why: &str) -> Result<(), Stop> {
        if self.left_out.len() == NAMES_SHOWN {
            self.left_out_more += 1;
            return Ok(());
        }
        let label = self.label_of_members() + &shown(name);
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(" ({why})")
        };
        self.left_out.push(label + &why);
        Ok(())
    }

    fn left_out_line(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return None;
        }
        let more = match self.left_out_more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "{}: {}{more}",
            self.path.display(),
            self.left_out.join(", ")
        ))
    }

    /// The members around the current text, each followed by a mark.
    fn label_of_members(&self) -> String {
        self.members.iter().map(|name| format!("{name}!")).collect()
    }

    fn position(&self, first: u64, unit: Unit) -> Position {
        let member = self.members.join("!");
        Position {
            member: (!member.is_empty()).then(|| member.into()),
            member_index: self.member_index,
            uncounted: 0,
            first,
            unit,
        }
    }

    fn lines(&mut self, mut text: Headed<&mut dyn Read>) -> Result<(), Stop> {
        let (mut blocks, mut position) = (Blocks::default(), self.position(1, Unit::Line));
        loop {
            let mut block = Vec::new();
            let (filled, result) = blocks.fill(&mut block, |out| text.read(out));
            let lines = memchr::memchr_iter(b'\n', &block).count() as u64 + filled.long_lines;
            self.block(block, filled.long_lines, &position)?;
            position.first += lines;
            result?;
            if filled.ended {
                return Ok(());
            }
        }
    }

    fn documents(&mut self, mut text: Headed<&mut dyn Read>, layout: Layout) -> Result<(), Stop> {
        text.skip(layout.skip);
        let mut documents = Documents::new(text, layout);
        loop {
            let (objects, result) = documents.next();
            let position = self.position(objects.first, Unit::Object);
            self.block(objects.lines, objects.too_long, &position)?;
            result?;
            if objects.ended {
                return Ok(());
            }
        }
    }

    fn block(&mut self, lines: Vec<u8>, long_lines: u64, position: &Position) -> Result<(), Stop> {
        self.text_bytes += lines.len() as u64;
        if lines.is_empty() && long_lines == 0 {
            return Ok(());
        }
        self.send(Message::Block(lines, long_lines, position.clone()))
    }

    fn error(&self, stop: Stop) -> EtlError {
        let mut path = self.path.clone().into_os_string();
        for member in &self.members {
            path.push("!");
            path.push(member);
        }
        let path = PathBuf::from(path);
        match stop {
            Stop::Unreadable(Unreadable { format, way_out }) => EtlError::Format {
                path,
                format,
                way_out,
            },
            Stop::Io(error) => damaged(path, error, self.budget.taken(), self.text_bytes),
            Stop::Gone => damaged(path, io::ErrorKind::BrokenPipe.into(), 0, 0),
        }
    }
}

/// The error for the file or member `path`.
pub(super) fn damaged(path: PathBuf, error: io::Error, offset: u64, text_offset: u64) -> EtlError {
    match error.downcast::<LayerError>() {
        Ok(fault) => EtlError::Damaged {
            path,
            noun: fault.noun,
            what: fault.what,
            offset: fault.offset,
            text_offset,
        },
        Err(error) => EtlError::io("read", &path, offset, error),
    }
}

/// A member that cannot be opened.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
