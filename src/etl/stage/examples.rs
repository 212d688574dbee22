//! Dropped lines to show: for each reason the first one, by any worker.

use crate::etl::{
    read::{
        list::Source,
        walk::{Position, Unit},
    },
    record::dropped::Dropped,
};
use serde::{Deserialize, Serialize};

/// Bytes of a line that are shown.
const SHOWN_BYTES: usize = 60;
/// Bytes of a line that are kept to tell what it is.
const KEPT_BYTES: usize = 4096;

/// A line that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedLine {
    /// The reason's name.
    pub reason: String,
    /// `tweets.json line 3`, `a.tar!b.json.bz2 line 3`, `array.json object 3`.
    pub place: String,
    /// How it begins; control characters and what is not UTF-8 are escaped.
    pub start: String,
    /// What it looks like.
    pub hint: String,
}

/// The first line dropped for each reason.
#[derive(Debug, Default)]
pub(crate) struct Examples {
    first: [Option<Example>; Dropped::ALL.len()],
    /// Lines of the blocks that are numbered by them: some 24 bytes for each MiB of input.
    counted: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    source: usize,
    /// Blocks before it.
    block: u64,
    lines: u64,
}

#[derive(Debug)]
struct Example {
    /// File, member, uncounted blocks before it and number behind them: what makes it the first.
    at: (usize, u64, u64, u64),
    member: Option<std::sync::Arc<str>>,
    unit: Unit,
    start: Vec<u8>,
}

impl Examples {
    /// Keeps `line` unless an earlier one is known.
    #[inline]
    pub(crate) fn note(
        &mut self,
        reason: Dropped,
        source: usize,
        position: &Position,
        number: u64,
        line: &[u8],
    ) {
        let at = (source, position.member_index, position.uncounted, number);
        let slot = &mut self.first[reason as usize];
        if slot.as_ref().is_none_or(|known| at < known.at) {
            *slot = Some(Example {
                at,
                member: position.member.clone(),
                unit: position.unit,
                start: line[..line.len().min(KEPT_BYTES)].to_vec(),
            });
        }
    }

    /// Notes how many lines the block at `position` had. Only blocks of plain lines are numbered so.
    pub(crate) fn counted(&mut self, source: usize, position: &Position, lines: u64) {
        if position.member.is_none() && position.unit == Unit::Line {
            let block = position.uncounted;
            self.counted.push(Counted {
                source,
                block,
                lines,
            });
        }
    }

    /// Adds what another worker found.
    pub(crate) fn merge(&mut self, others: Self) {
        for (mine, other) in self.first.iter_mut().zip(others.first) {
            let is_earlier = match (&*mine, &other) {
                (Some(mine), Some(other)) => other.at < mine.at,
                (None, _) => true,
                (_, None) => false,
            };
            if is_earlier {
                *mine = other;
            }
        }
        self.counted.extend(others.counted);
    }

    /// As they are shown, in the order of the reasons.
    pub(crate) fn lines(self, sources: &[Source]) -> Vec<DroppedLine> {
        let Self { first, counted } = self;
        let named = Dropped::ALL.iter().zip(first);
        named
            .filter_map(|(reason, example)| Some(example?.shown(*reason, sources, &counted)))
            .collect()
    }
}

impl Example {
    fn shown(self, reason: Dropped, sources: &[Source], counted: &[Counted]) -> DroppedLine {
        let (source, _, blocks, number) = self.at;
        let before = counted
            .iter()
            .filter(|earlier| earlier.source == source && earlier.block < blocks)
            .map(|earlier| earlier.lines);
        let number = number + before.sum::<u64>();
        let file = sources.get(source).map_or(String::new(), |source| {
            source.shown_path().display().to_string()
        });
        let member = self
            .member
            .map_or(String::new(), |member| format!("!{member}"));
        let unit = match self.unit {
            Unit::Line => "line",
            Unit::Object => "object",
        };
        let start = &self.start[..self.start.len().min(SHOWN_BYTES)];
        DroppedLine {
            reason: reason.name().to_owned(),
            place: format!("{file}{member} {unit} {number}"),
            start: shown_text(start),
            hint: crate::etl::read::format::text_hint(reason, &self.start).to_owned(),
        }
    }
}

/// Text as it is, without what a terminal would obey.
fn shown_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\'' | '\\' => text.push(c),
                _ if c.is_ascii_control() => text.extend(c.escape_default()),
                _ => text.extend(c.escape_debug()),
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_kept_whoever_reads_it() {
        let position = |member: Option<&str>, member_index| Position {
            member: member.map(Into::into),
            member_index,
            ..Position::default()
        };
        let (mut one, mut other) = (Examples::default(), Examples::default());
        one.note(Dropped::NotJson, 1, &position(None, 0), 2, b"later");
        one.note(Dropped::NotJson, 1, &position(None, 0), 9, b"last");
        other.note(
            Dropped::NotJson,
            0,
            &position(Some("m.json"), 3),
            70,
            b"first\x1b[2J\xff",
        );
        other.note(Dropped::NoText, 1, &position(None, 0), 1, b"{}");
        one.merge(other);
        let source = |name: &str| Source {
            path: name.into(),
            bytes: 0,
            modified_ns: 0,
        };
        let lines = one.lines(&[source("a.tar"), source("b.json")]);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].reason, "not_json");
        assert_eq!(lines[0].place, "a.tar!m.json line 70");
        assert_eq!(lines[0].start, "first\\u{1b}[2J\\xff");
        assert_eq!(lines[1].place, "b.json line 1");
    }

    #[test]
    fn a_line_is_numbered_by_the_blocks_before_it() {
        let block = |uncounted| Position {
            uncounted,
            ..Position::default()
        };
        let (mut one, mut other) = (Examples::default(), Examples::default());
        one.counted(0, &block(2), 1000);
        one.counted(0, &block(0), 10);
        other.note(Dropped::NotJson, 0, &block(2), 3, b"x");
        other.counted(0, &block(1), 20);
        other.counted(1, &block(0), 7);
        one.merge(other);
        let source = Source {
            path: "a.json".into(),
            bytes: 0,
            modified_ns: 0,
        };
        assert_eq!(one.lines(&[source])[0].place, "a.json line 33");
    }
}
