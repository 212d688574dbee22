//! Skips a value of any kind.

use super::{Cursor, Syntax};

impl Cursor<'_> {
    /// Reads a value of any kind and only checks its syntax.
    #[inline]
    pub fn skip_value(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            b'{' | b'[' => self.skip_container(),
            first => self.skip_scalar(first),
        }
    }

    #[inline]
    fn skip_scalar(&mut self, first: u8) -> Result<(), Syntax> {
        match first {
            b'"' => self.string().map(drop),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number().map(drop),
        }
    }

    fn skip_container(&mut self) -> Result<(), Syntax> {
        let mut open = OpenContainers::default();
        loop {
            match self.peek() {
                b'{' => {
                    if self.open(b'{', b'}')? {
                        open.push(true, self.depth_max)?;
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    if self.open(b'[', b']')? {
                        open.push(false, self.depth_max)?;
                        continue;
                    }
                }
                first => self.skip_scalar(first)?,
            }
            if self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes the containers that end here. True when none is open any more, false when
    /// another value follows.
    #[inline]
    fn close(&mut self, open: &mut OpenContainers) -> Result<bool, Syntax> {
        while open.depth > 0 {
            let is_object = open.innermost_is_object();
            if self.more(if is_object { b'}' } else { b']' })? {
                if is_object {
                    self.key()?;
                }
                return Ok(false);
            }
            open.pop();
        }
        Ok(true)
    }
}

/// The brackets that must still close, one bit each: 1 for an object.
#[derive(Default)]
struct OpenContainers {
    /// The innermost ones, the last one lowest.
    objects: u64,
    depth: usize,
    /// The outer ones, 64 to a word.
    outer: Vec<u64>,
}

impl OpenContainers {
    #[inline]
    fn push(&mut self, is_object: bool, depth_max: usize) -> Result<(), Syntax> {
        if self.depth == depth_max {
            return Err(Syntax);
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.objects);
        }
        self.objects = self.objects << 1 | u64::from(is_object);
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.objects = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn innermost_is_object(&self) -> bool {
        self.objects & 1 == 1
    }
}
