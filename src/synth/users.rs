//! Synthetic users: ids, names and descriptions that change over time, and their JSON objects.

use super::{
    Dataset,
    anomaly::Anomaly,
    json::{JsonWriter, date},
    random::{Random, mix},
    vocabulary::{EMOJI, ODDITIES, Vocabulary},
};

/// What random sequences are for; see [`super::random::Random::new`].
const ID: u64 = 1;
const NAME: u64 = 2;
const PROFILE: u64 = 3;
const DESCRIPTION: u64 = 4;

impl Dataset {
    /// The id of user `index`: one in five is a recent, long one.
    pub fn user_id(&self, index: u64) -> u64 {
        let mut random = Random::new(self.options.seed, ID, index);
        match random.below(5) {
            0 => 700_000_000_000_000_000 + random.below(180_000_000_000_000_000),
            _ => 100 + random.below(4_800_000_000),
        }
    }

    /// The screen name of user `index` at a time; a few rename themselves once.
    pub fn screen_name(&self, index: u64, seconds: u64) -> String {
        let mut random = Random::new(self.options.seed, NAME, index);
        let word = self.vocabularies[0].word(random.bits());
        let letter = char::from(b'a' + random.below(16) as u8);
        let mut name = format!("{word}_{letter}{index}");
        name.truncate(15);
        let renames = random.below(11) == 0;
        if renames && seconds > super::START_SECONDS + random.below(200_000) {
            name.make_ascii_uppercase();
        }
        name
    }

    /// The language that user `index` writes most.
    pub fn vocabulary(&self, index: u64) -> &Vocabulary {
        let count = self.vocabularies.len() as u64;
        &self.vocabularies[(mix(index ^ self.options.seed) % count) as usize]
    }

    /// The description of user `index` at a time; `None` is null.
    pub fn description(&self, index: u64, seconds: u64) -> Option<String> {
        let mut random = Random::new(self.options.seed, DESCRIPTION, index);
        if random.below(7) == 0 {
            return None;
        }
        let lifetime = 3_000 + random.below(40_000);
        let version = (seconds + random.below(50_000)) / lifetime;
        let mut random = Random::new(random.bits(), DESCRIPTION, version);
        if random.below(17) == 0 {
            return Some(String::new());
        }
        let vocabulary = self.vocabulary(index);
        let mut text = String::new();
        for i in 0..4 + random.below(14) {
            if i > 0 {
                text.push_str(vocabulary.language.separator);
            }
            text.push_str(vocabulary.word(random.bits()));
        }
        match random.below(36) {
            0..=3 => text += random.pick(&ODDITIES),
            4..=7 => text += random.pick(&EMOJI),
            8..=9 => text += "\t|\n",
            10..=11 => text.push(' '),
            12..=19 => text += &format!(" v{version}"),
            _ => {}
        }
        Some(text)
    }

    /// Appends the user object as a tweet of that time embeds it. `anomaly` may leave out or change the part of the
    /// object that it is about.
    pub fn write_user(
        &self,
        json: &mut JsonWriter<'_>,
        index: u64,
        seconds: u64,
        anomaly: Anomaly,
    ) {
        let id = self.user_id(index);
        json.put("{");
        match anomaly {
            Anomaly::NoUserId => {}
            Anomaly::NullUserId => json.put("\"id\":null,\"id_str\":null,"),
            Anomaly::UserIdOnlyText => write_id(json, ",\"id_str\":\"", id, "\",", 1),
            Anomaly::TextIds => {
                write_id(json, "\"id\":\"", id, "\",", 0);
                write_id(json, "\"id_str\":\"", id, "\",", 0);
            }
            Anomaly::UserIdOnlyNumber => write_id(json, "\"id\":", id, ",\"id_str\":null,", 0),
            _ => {
                write_id(json, "\"id\":", id, ",", 0);
                write_id(json, "\"id_str\":\"", id, "\",", 0);
            }
        }
        let mut random = Random::new(self.options.seed, PROFILE, index);
        let vocabulary = self.vocabulary(index);
        json.put("\"name\":\"");
        json.text(vocabulary.word(random.bits()));
        json.text(" ");
        json.text(random.pick(&EMOJI));
        match anomaly {
            Anomaly::NoScreenName => json.put("\""),
            Anomaly::NullScreenName => json.put("\",\"screen_name\":null"),
            _ => {
                json.put("\",\"screen_name\":");
                json.string(&self.screen_name(index, seconds));
            }
        }
        json.put(",\"location\":");
        if random.below(2) == 0 {
            json.put("null")
        } else {
            json.string(vocabulary.word(random.bits()))
        }
        json.put(",\"url\":");
        match random.below(3) {
            0 => json.string(&format!("http://t.co/{:x}", random.below(1 << 36))),
            _ => json.put("null"),
        }
        self.write_description(json, index, seconds, anomaly);
        write_profile(json, &mut random, id, vocabulary.language.code);
    }

    fn write_description(
        &self,
        json: &mut JsonWriter<'_>,
        index: u64,
        seconds: u64,
        anomaly: Anomaly,
    ) {
        match anomaly {
            Anomaly::NoDescription => return,
            Anomaly::NullDescription => return json.put(",\"description\":null"),
            Anomaly::LoneSurrogates => return json.put(",\"description\":\"\\udc00 half\""),
            _ => json.put(",\"description\":"),
        }
        match (anomaly, self.description(index, seconds)) {
            (Anomaly::OddDescription(text), _) => json.string(text),
            (Anomaly::StaleDescription, text) => {
                json.string(&(text.unwrap_or_default() + " (stale)"));
            }
            (_, Some(text)) => json.string(&text),
            (_, None) => json.put("null"),
        }
    }
}

fn write_id(json: &mut JsonWriter<'_>, before: &str, id: u64, after: &str, skip: usize) {
    json.put(&before[skip..]);
    json.number(id);
    json.put(after);
}

/// The rest of a user object with the closing brace: members that real files have and nobody reads.
fn write_profile(json: &mut JsonWriter<'_>, random: &mut Random, id: u64, lang: &str) {
    json.put(",\"protected\":false,\"verified\":");
    json.put(if random.below(97) == 0 {
        "true"
    } else {
        "false"
    });
    for (name, end) in [
        (",\"followers_count\":", 50_000),
        (",\"friends_count\":", 3_001),
        (",\"listed_count\":", 211),
        (",\"favourites_count\":", 9_999),
        (",\"statuses_count\":", 88_888),
    ] {
        json.put(name);
        json.number(random.below(end));
    }
    json.put(",\"created_at\":\"");
    date(json.out, 1_230_768_000 + random.below(150_000_000), "+0000");
    json.put("\",\"utc_offset\":null,\"time_zone\":null,\"geo_enabled\":false,\"lang\":\"");
    json.put(lang);
    json.put(
        "\",\"contributors_enabled\":false,\"is_translator\":false,\
         \"is_translation_enabled\":false,\"profile_background_color\":\"C0DEED\",\
         \"profile_background_image_url\":\"http:\\/\\/abs.twimg.com\\/images\\/themes\\/theme1\\/bg.png\",\
         \"profile_background_image_url_https\":\"https:\\/\\/abs.twimg.com\\/images\\/themes\\/theme1\\/bg.png\",\
         \"profile_background_tile\":false,\"profile_link_color\":\"",
    );
    json.put(&format!("{:06X}", random.below(1 << 24)));
    json.put(
        "\",\"profile_sidebar_border_color\":\"FFFFFF\",\"profile_sidebar_fill_color\":\"DDEEF6\",\
         \"profile_text_color\":\"333333\",\"profile_use_background_image\":true",
    );
    let picture = format!(
        "\\/\\/pbs.twimg.com\\/profile_images\\/{id}\\/{:08x}_normal.jpeg\"",
        random.below(1 << 32)
    );
    json.put(",\"profile_image_url\":\"http:");
    json.put(&picture);
    json.put(",\"profile_image_url_https\":\"https:");
    json.put(&picture);
    json.put(",\"profile_banner_url\":\"https:\\/\\/pbs.twimg.com\\/profile_banners\\/");
    json.number(id);
    json.put("\\/");
    json.number(1_390_000_000 + random.below(9_999_999));
    json.put(
        "\",\"default_profile\":false,\"default_profile_image\":false,\"following\":null,\
         \"follow_request_sent\":null,\"notifications\":null}",
    );
}
