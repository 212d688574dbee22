//! Why a line of input does not become a record: the rules of `docs/protocol/twitter.md` sections 2 and 3.

/// Why a line is dropped: the first rule that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Not one JSON object.
    NotJson,
    /// Rule 1: no tweet id.
    NoTweetId,
    /// Rule 2: no user, or no user id.
    NoUserId,
    /// Rule 3: no date, or a date in another format.
    NoCreatedAt,
    /// Rule 4: no text, or an empty one.
    NoText,
    /// Rule 5: no hashtags.
    NoHashtags,
    /// Rule 6: another language.
    Language,
}

impl Dropped {
    /// All reasons, in the order in which they are checked.
    pub const ALL: [Self; 7] = [
        Self::NotJson,
        Self::NoTweetId,
        Self::NoUserId,
        Self::NoCreatedAt,
        Self::NoText,
        Self::NoHashtags,
        Self::Language,
    ];

    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoTweetId => "no_tweet_id",
            Self::NoUserId => "no_user_id",
            Self::NoCreatedAt => "no_created_at",
            Self::NoText => "no_text",
            Self::NoHashtags => "no_hashtags",
            Self::Language => "language",
        }
    }
}
