//! Everything unusual about a line: ways to be dropped, and legal ways to be hard to read.

use super::{
    random::Random,
    vocabulary::{NEAR_LANGUAGES, ODD_DESCRIPTIONS, OTHER_LANGUAGES},
};

/// The anomaly of one line. The filter drops lines with the first group and keeps those with the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it, and the writer shows it")]
pub enum Anomaly {
    None,
    // --- dropped ---
    NoHashtags,
    OtherLanguage(&'static str),
    NullLanguage,
    NoLanguage,
    DeleteNotice,
    /// Cut off in the middle.
    Cut,
    NotAnObject(&'static [u8]),
    BadEscape,
    TrailingBrace,
    NotANumber,
    BytesAfterEnd,
    NoId,
    NullId,
    NullUser,
    NoUser,
    NoUserId,
    NullUserId,
    NoDate,
    BadDate(&'static str),
    NoText,
    EmptyText,
    NullEntities,
    NoEntities,
    NullHashtags,
    // --- kept ---
    CarriageReturn,
    BlanksAround,
    IdOnlyText,
    IdOnlyNumber,
    /// The number has a fraction, so only `id_str` is right.
    FloatId,
    TextIds,
    UserIdOnlyText,
    UserIdOnlyNumber,
    NoDescription,
    NullDescription,
    OddDescription(&'static str),
    StaleDescription,
    NoScreenName,
    NullScreenName,
    /// Elements of `hashtags` without a text beside good ones.
    EmptyHashtags,
    /// Only such elements: passes the filter without a tag.
    OnlyEmptyHashtags,
    ReplyOnlyText,
    NoReplyFields,
    NullRetweet,
    RetweetWithoutUser,
    RetweetNullUserId,
    /// `quoted_status` with a user and hashtags of its own, to be ignored.
    Quote,
    /// A retweet inside the retweeted tweet, to be ignored.
    NestedRetweet,
    ExtendedTweet,
    RawUtf8,
    LoneSurrogates,
    /// A reply to the user it retweets.
    ReplyToRetweeted,
    Offset(&'static str),
    BlankText,
    InvalidUtf8(&'static [u8]),
    /// The same key twice, the second one right.
    RepeatedKey,
}

impl Anomaly {
    /// Why a line is dropped: mostly no hashtags or another language, as in real files.
    pub fn dropped(random: &mut Random) -> Self {
        match random.below(1000) {
            0..620 => Self::NoHashtags,
            620..860 => Self::OtherLanguage(random.pick(&OTHER_LANGUAGES)),
            860..920 => Self::DeleteNotice,
            920..940 => Self::Cut,
            _ => Self::rarely_dropped(random),
        }
    }

    fn rarely_dropped(random: &mut Random) -> Self {
        const NOT_OBJECTS: [&[u8]; 9] = [
            b"",
            b"[]",
            b"null",
            b"123",
            b"\"text\"",
            b"not json",
            b"{",
            b"\xff\xfe",
            b"{}",
        ];
        const BAD_DATES: [&str; 4] = [
            "",
            "yesterday",
            "Fri Apr 31 05:30:11 +0000 2014",
            "2014-04-04T05:30:11Z",
        ];
        const PLAIN: [Anomaly; 17] = [
            Anomaly::NullLanguage,
            Anomaly::NoLanguage,
            Anomaly::BadEscape,
            Anomaly::TrailingBrace,
            Anomaly::NotANumber,
            Anomaly::BytesAfterEnd,
            Anomaly::NoId,
            Anomaly::NullId,
            Anomaly::NullUser,
            Anomaly::NoUser,
            Anomaly::NoUserId,
            Anomaly::NullUserId,
            Anomaly::NoDate,
            Anomaly::NoText,
            Anomaly::EmptyText,
            Anomaly::NoEntities,
            Anomaly::NullHashtags,
        ];
        match random.below(PLAIN.len() as u64 + 4) {
            0 => Self::NotAnObject(random.pick(&NOT_OBJECTS)),
            1 => Self::OtherLanguage(random.pick(&NEAR_LANGUAGES)),
            2 => Self::BadDate(random.pick(&BAD_DATES)),
            3 => Self::NullEntities,
            _ => random.pick(&PLAIN),
        }
    }

    /// What makes a kept line unusual.
    pub fn kept(random: &mut Random) -> Self {
        const INVALID: [&[u8]; 4] = [b"\xc3\x28", b"\xff", b"\xe2\x82", b"\xed\xa0\xbd"];
        const PLAIN: [Anomaly; 26] = [
            Anomaly::CarriageReturn,
            Anomaly::BlanksAround,
            Anomaly::IdOnlyText,
            Anomaly::IdOnlyNumber,
            Anomaly::FloatId,
            Anomaly::TextIds,
            Anomaly::UserIdOnlyText,
            Anomaly::UserIdOnlyNumber,
            Anomaly::NoDescription,
            Anomaly::NullDescription,
            Anomaly::StaleDescription,
            Anomaly::NoScreenName,
            Anomaly::NullScreenName,
            Anomaly::EmptyHashtags,
            Anomaly::OnlyEmptyHashtags,
            Anomaly::ReplyOnlyText,
            Anomaly::NoReplyFields,
            Anomaly::NullRetweet,
            Anomaly::RetweetWithoutUser,
            Anomaly::RetweetNullUserId,
            Anomaly::Quote,
            Anomaly::NestedRetweet,
            Anomaly::ExtendedTweet,
            Anomaly::RawUtf8,
            Anomaly::LoneSurrogates,
            Anomaly::RepeatedKey,
        ];
        match random.below(PLAIN.len() as u64 + 5) {
            0 => Self::OddDescription(random.pick(&ODD_DESCRIPTIONS)),
            1 => Self::Offset(random.pick(&["+0900", "-0330"])),
            2 => Self::InvalidUtf8(random.pick(&INVALID)),
            3 => Self::BlankText,
            4 => Self::ReplyToRetweeted,
            _ => random.pick(&PLAIN),
        }
    }
}
