//! A tweet as a line of JSON, with its anomaly.

use super::{
    Dataset,
    anomaly::Anomaly,
    json::{JsonWriter, date},
    random::Random,
    tweet::{Contact, Tweet},
    vocabulary::SOURCES,
};

const DETAILS: u64 = 20;

impl Dataset {
    /// Appends `tweet`, spoiled or bent by `anomaly`; no newline.
    pub fn write_tweet(&self, tweet: &Tweet, anomaly: Anomaly, out: &mut Vec<u8>) {
        let start = out.len();
        let mut random = Random::new(self.options.seed, DETAILS, tweet.id);
        match anomaly {
            Anomaly::NotAnObject(bytes) => return out.extend_from_slice(bytes),
            Anomaly::DeleteNotice => return write_delete_notice(out, &mut random),
            Anomaly::BlanksAround => out.extend_from_slice(b"  "),
            _ => {}
        }
        let mut json = JsonWriter {
            out,
            raw: anomaly == Anomaly::RawUtf8,
        };
        self.write_object(&mut json, tweet, anomaly, &mut random);
        match anomaly {
            Anomaly::Cut => {
                let kept = random.below((out.len() - start) as u64) as usize;
                out.truncate(start + kept);
            }
            Anomaly::TrailingBrace => out.push(b'}'),
            Anomaly::BytesAfterEnd => out.extend_from_slice(b"\xc3\x28"),
            Anomaly::CarriageReturn => out.push(b'\r'),
            Anomaly::BlanksAround => out.extend_from_slice(b" \t"),
            _ => {}
        }
    }

    fn write_object(
        &self,
        json: &mut JsonWriter<'_>,
        tweet: &Tweet,
        anomaly: Anomaly,
        random: &mut Random,
    ) {
        json.put("{");
        write_date(json, tweet.seconds, anomaly);
        write_ids(json, tweet.id, anomaly);
        write_text(json, &tweet.text, anomaly);
        let (url, client) = random.pick(&SOURCES);
        json.put("\"source\":\"\\u003ca href=\\\"");
        json.text(url);
        json.put("\\\" rel=\\\"nofollow\\\"\\u003e");
        json.text(client);
        json.put("\\u003c\\/a\\u003e\",\"truncated\":false,");
        self.write_reply(json, tweet, anomaly, random);
        match anomaly {
            Anomaly::NoUser => {}
            Anomaly::NullUser => json.put("\"user\":null,"),
            _ => {
                json.put("\"user\":");
                self.write_user(json, tweet.sender, tweet.seconds, anomaly);
                json.put(",");
            }
        }
        json.put("\"geo\":null,\"coordinates\":null,\"place\":null,\"contributors\":null,");
        self.write_nested(json, tweet, anomaly);
        json.put("\"is_quote_status\":false,\"retweet_count\":");
        json.put(if anomaly == Anomaly::NotANumber {
            "NaN"
        } else {
            "0"
        });
        json.put(",\"favorite_count\":");
        json.number(random.below(16));
        self.write_entities(json, tweet, anomaly);
        json.put(",\"favorited\":false,\"retweeted\":false,\"possibly_sensitive\":false,\"filter_level\":\"low\"");
        match anomaly {
            Anomaly::NoLanguage => {}
            Anomaly::NullLanguage => json.put(",\"lang\":null"),
            Anomaly::OtherLanguage(lang) => write_member(json, ",\"lang\":\"", lang, "\""),
            _ => write_member(json, ",\"lang\":\"", tweet.lang, "\""),
        }
        json.put("}");
    }

    fn write_reply(
        &self,
        json: &mut JsonWriter<'_>,
        tweet: &Tweet,
        anomaly: Anomaly,
        random: &mut Random,
    ) {
        let target = match (&tweet.contact, anomaly) {
            (_, Anomaly::NoReplyFields) => return,
            (Contact::Reply(target), _) => Some(*target),
            (Contact::Retweet(target, _), Anomaly::ReplyToRetweeted) => Some(*target),
            _ => None,
        };
        let Some(target) = target else {
            return json.put(
                "\"in_reply_to_status_id\":null,\"in_reply_to_status_id_str\":null,\
                 \"in_reply_to_user_id\":null,\"in_reply_to_user_id_str\":null,\
                 \"in_reply_to_screen_name\":null,",
            );
        };
        let (status, user) = (tweet.id - random.below(1 << 40), self.user_id(target));
        for (name, id, text) in [
            ("\"in_reply_to_status_id\":", status, false),
            ("\"in_reply_to_status_id_str\":", status, true),
            ("\"in_reply_to_user_id\":", user, false),
            ("\"in_reply_to_user_id_str\":", user, true),
        ] {
            json.put(name);
            if anomaly == Anomaly::ReplyOnlyText && !text {
                json.put("null,");
                continue;
            }
            let quote = if text { "\"" } else { "" };
            json.put(quote);
            json.number(id);
            json.put(quote);
            json.put(",");
        }
        json.put("\"in_reply_to_screen_name\":");
        json.string(&self.screen_name(target, tweet.seconds));
        json.put(",");
    }

    /// Tweets inside the tweet.
    fn write_nested(&self, json: &mut JsonWriter<'_>, tweet: &Tweet, anomaly: Anomaly) {
        if anomaly == Anomaly::Quote {
            json.put("\"quoted_status\":");
            self.write_tweet(&self.tweet(tweet.id % 1000), Anomaly::None, json.out);
            json.put(",");
        }
        if anomaly == Anomaly::ExtendedTweet {
            json.put("\"extended_tweet\":{\"full_text\":");
            json.string(&tweet.text.repeat(2));
            json.put(",\"entities\":{\"hashtags\":[{\"text\":\"ignored\",\"indices\":[0,8]}]}},");
        }
        let Contact::Retweet(_, original) = &tweet.contact else {
            return;
        };
        json.put("\"retweeted_status\":");
        match anomaly {
            Anomaly::NullRetweet => json.put("null"),
            _ => {
                let inner = match anomaly {
                    Anomaly::RetweetWithoutUser => Anomaly::NoUser,
                    Anomaly::RetweetNullUserId => Anomaly::NullUserId,
                    _ => Anomaly::None,
                };
                let nested = match anomaly {
                    // A reply and a retweet one level too deep.
                    Anomaly::NestedRetweet => Tweet {
                        contact: Contact::Retweet(tweet.sender, original.clone()),
                        ..original.as_ref().clone()
                    },
                    _ => original.as_ref().clone(),
                };
                self.write_tweet(&nested, inner, json.out);
            }
        }
        json.put(",");
    }

    fn write_entities(&self, json: &mut JsonWriter<'_>, tweet: &Tweet, anomaly: Anomaly) {
        match anomaly {
            Anomaly::NoEntities => return,
            Anomaly::NullEntities => return json.put(",\"entities\":null"),
            Anomaly::RepeatedKey => json.put(",\"entities\":{\"hashtags\":[{\"text\":\"wrong\"}]}"),
            _ => {}
        }
        json.put(",\"entities\":{\"hashtags\":");
        match anomaly {
            Anomaly::NoHashtags => json.put("[]"),
            Anomaly::NullHashtags => json.put("null"),
            Anomaly::OnlyEmptyHashtags => json.put("[{\"indices\":[3,9]}]"),
            _ => {
                json.put("[");
                for (i, tag) in tweet.tags.iter().enumerate() {
                    json.put(if i > 0 { ",{\"text\":" } else { "{\"text\":" });
                    json.string(tag);
                    let at = 7 * i as u64;
                    json.put(",\"indices\":[");
                    json.number(at);
                    json.put(",");
                    json.number(at + 1 + tag.chars().count() as u64);
                    json.put("]}");
                }
                if anomaly == Anomaly::EmptyHashtags {
                    json.put(",{\"indices\":[0,1]},{\"text\":null},{\"text\":\"\"},null");
                }
                json.put("]");
            }
        }
        json.put(",\"urls\":[],\"user_mentions\":[");
        if let Contact::Reply(target) | Contact::Retweet(target, _) = tweet.contact {
            let (name, id) = (
                self.screen_name(target, tweet.seconds),
                self.user_id(target),
            );
            json.put("{\"screen_name\":");
            json.string(&name);
            json.put(",\"name\":");
            json.string(&name);
            json.put(",\"id\":");
            json.number(id);
            json.put(",\"id_str\":\"");
            json.number(id);
            json.put("\",\"indices\":[3,");
            json.number(4 + name.len() as u64);
            json.put("]}");
        }
        json.put("],\"symbols\":[]}");
    }
}

fn write_date(json: &mut JsonWriter<'_>, seconds: u64, anomaly: Anomaly) {
    let offset = match anomaly {
        Anomaly::NoDate => return,
        Anomaly::BadDate(text) => return write_member(json, "\"created_at\":\"", text, "\","),
        Anomaly::Offset(offset) => offset,
        _ => "+0000",
    };
    json.put("\"created_at\":\"");
    date(json.out, seconds, offset);
    json.put("\",");
}

fn write_ids(json: &mut JsonWriter<'_>, id: u64, anomaly: Anomaly) {
    let (number, text) = match anomaly {
        Anomaly::NoId => return,
        Anomaly::NullId => return json.put("\"id\":null,\"id_str\":null,"),
        Anomaly::TextIds => (("\"id\":\"", "\","), ("\"id_str\":\"", "\",")),
        Anomaly::FloatId => (("\"id\":", ".0,"), ("\"id_str\":\"", "\",")),
        _ => (("\"id\":", ","), ("\"id_str\":\"", "\",")),
    };
    for ((before, after), left_out) in [
        (number, anomaly == Anomaly::IdOnlyText),
        (text, anomaly == Anomaly::IdOnlyNumber),
    ] {
        if !left_out {
            json.put(before);
            json.number(id);
            json.put(after);
        }
    }
}

fn write_text(json: &mut JsonWriter<'_>, text: &str, anomaly: Anomaly) {
    match anomaly {
        Anomaly::NoText => return,
        Anomaly::EmptyText => return json.put("\"text\":\"\","),
        Anomaly::BlankText => return json.put("\"text\":\" \\n\","),
        Anomaly::RepeatedKey => json.put("\"text\":\"wrong\",\"te\\u0078t\":\""),
        Anomaly::BadEscape => json.put("\"text\":\"\\q"),
        _ => json.put("\"text\":\""),
    }
    if let Anomaly::InvalidUtf8(bytes) = anomaly {
        json.out.extend_from_slice(bytes);
    }
    json.text(text);
    json.put(if anomaly == Anomaly::LoneSurrogates {
        "\\ud83d\","
    } else {
        "\","
    });
}

fn write_member(json: &mut JsonWriter<'_>, before: &str, text: &str, after: &str) {
    json.put(before);
    json.text(text);
    json.put(after);
}

fn write_delete_notice(out: &mut Vec<u8>, random: &mut Random) {
    let (id, user) = (random.below(1 << 58), random.below(1 << 31));
    let mut json = JsonWriter { out, raw: false };
    json.put("{\"delete\":{\"status\":{\"id\":");
    json.number(id);
    json.put(",\"id_str\":\"");
    json.number(id);
    json.put("\",\"user_id\":");
    json.number(user);
    json.put("},\"timestamp_ms\":\"1396310400000\"}}");
}
