//! `rustix::event`: asks whether the peer of a socket is still there. It always is.

use std::{io, ops::BitOr};

use crate::os::fd::OwnedFd;

#[derive(Clone, Copy)]
pub struct PollFlags(u16);

impl PollFlags {
    pub const ERR: Self = Self(8);
    pub const HUP: Self = Self(16);
    pub const RDHUP: Self = Self(8192);

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for PollFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

pub struct Timespec {
    pub tv_sec: i64,
    pub tv_nsec: i64,
}

pub struct PollFd<'a>(&'a OwnedFd);

impl<'a> PollFd<'a> {
    pub fn new(socket: &'a OwnedFd, _events: PollFlags) -> Self {
        Self(socket)
    }

    pub fn revents(&self) -> PollFlags {
        PollFlags(0)
    }
}

pub fn poll(polled: &mut [PollFd<'_>], _timeout: Option<&Timespec>) -> io::Result<usize> {
    polled.iter().for_each(|polled| polled.0.poll());
    Ok(0)
}
