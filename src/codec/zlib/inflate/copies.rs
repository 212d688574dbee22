//! The matches of a stream that was inflated: an encoder whose text begins alike need not search for them.

/// Most matches that are kept. A genuine request has about 70; of a stream with more, none is offered.
pub const COPIES_MAX: usize = 512;

/// A match: `len` bytes from `start` on repeat those `distance` bytes earlier.
#[derive(Clone, Copy, Default)]
pub struct Copied {
    pub start: u32,
    pub len: u16,
    pub distance: u16,
}

/// The first matches of a stream, in order.
pub struct Copies {
    kept: Box<[Copied; COPIES_MAX]>,
    /// Matches noted, also those for which there was no room.
    noted: usize,
}

impl Copies {
    pub fn new() -> Self {
        Self {
            kept: Box::new([Copied::default(); COPIES_MAX]),
            noted: 0,
        }
    }

    pub fn clear(&mut self) {
        self.noted = 0;
    }

    #[inline(always)]
    pub fn note(&mut self, start: usize, len: usize, distance: usize) {
        // Where there is no room, others are overwritten: `all` offers none then.
        self.kept[self.noted % COPIES_MAX] = Copied {
            start: start as u32,
            len: len as u16,
            distance: distance as u16,
        };
        self.noted += 1;
    }

    /// The stream's matches, if there was room for all.
    pub fn all(&self) -> Option<&[Copied]> {
        self.kept.get(..self.noted)
    }
}

/// A text that was inflated, and the matches it was made with.
pub struct Inflated<'a> {
    pub text: &'a [u8],
    pub copies: &'a [Copied],
}
