//! What a request asks of the store, and the answer: the words between the service and the rules.

use std::fmt;

use uuid::Uuid;

use crate::model::{Kind, Object};

/// Bytes of a token: the id of its user, with which it ends, and a secret of 122 random bits.
pub const TOKEN_BYTES: usize = 32;

/// What a call needs that has no valid token.
pub const TOKEN_WANTED: &str =
    "send Authorization: Bearer TOKEN; PUT /api/v1/user/login gives a token";

/// Proof of a log-in.
pub type Token = [u8; TOKEN_BYTES];

/// A request to the store. It is carried out as a whole or not at all.
#[derive(Debug)]
pub struct Work {
    /// The token that must be valid; `None` for the calls that need none.
    pub token: Option<Token>,
    /// What to do then. Only requests with a valid token learn of a refusal.
    pub command: Result<Command, Refusal>,
}

impl Work {
    /// Whether nothing is written, so that the worker itself may do it.
    pub const fn only_reads(&self) -> bool {
        matches!(self.command, Ok(Command::Read(..)) | Err(_))
    }
}

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// The object.
    Read(Kind, Uuid),
    /// Stores an object under an id, new or not.
    Write(Kind, Uuid, Object),
    /// Replaces an object.
    Update(Kind, Uuid, Object),
    /// Deletes an object.
    Delete(Kind, Uuid),
    /// Adds a song at the end of a playlist that does not name it yet.
    AddSong(Uuid, Uuid),
    /// Removes a song from a playlist.
    RemoveSong(Uuid, Uuid),
    /// Makes a token for a user.
    LogIn(Uuid),
    /// Ends the token of this request.
    LogOff,
}

/// The body of an answer, or why there is none.
pub type Outcome = Result<Vec<u8>, Refusal>;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is malformed.
    Invalid(String),
    /// There is no valid token.
    NoToken,
    /// The object does not exist.
    NotFound(Kind, String),
    /// A playlist names the song that was to be deleted.
    SongInUse(Uuid),
}

impl Refusal {
    /// The refusal for an object that does not exist.
    pub fn not_found(kind: Kind, id: Uuid) -> Self {
        Self::NotFound(kind, id.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::NoToken => f.write_str(TOKEN_WANTED),
            Self::NotFound(kind, id) => write!(f, "there is no {} {id}", kind.name()),
            Self::SongInUse(playlist) => {
                write!(
                    f,
                    "playlist {playlist} names this song; remove it there first"
                )
            }
        }
    }
}

/// Two ids as one key: of a user and a secret, or of a song and a playlist that names it.
pub fn pair(first: Uuid, second: Uuid) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(first.as_bytes());
    key[16..].copy_from_slice(second.as_bytes());
    key
}
