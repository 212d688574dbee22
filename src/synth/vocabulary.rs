//! The words and signs of synthetic tweets. Chosen because they break programs: scripts without spaces, right-to-left
//! text, letters whose case mapping changes their length, marks, joiners, controls.

/// Common words of one language.
pub struct Language {
    /// The `lang` value of tweets.
    pub code: &'static str,
    /// How often, relative to the others.
    pub weight: u64,
    /// Between words.
    pub separator: &'static str,
    /// The words, separated by blanks.
    pub words: &'static str,
}

/// The languages that the filter keeps.
pub const LANGUAGES: [Language; 8] = [
    Language {
        code: "en",
        weight: 4,
        separator: " ",
        words: "the a and we you they is was have will make take coffee morning night game music video team class cloud server paper project deadline weekend friends happy tired finally really never always love hate win lost new best follow thanks please today tomorrow news live watch now",
    },
    Language {
        code: "es",
        weight: 2,
        separator: " ",
        words: "el la los que de en un una por con para mañana noche fútbol música canción año niño corazón gracias siempre nunca mejor nuevo hoy vida ciudad también más así qué día gente trabajo jaja vamos",
    },
    Language {
        code: "ar",
        weight: 2,
        separator: " ",
        words: "في من على إلى هذا هذه كل يوم اليوم صباح مساء الخير شكرا الله الحمد حب حياة خبر عاجل جديد فيديو مباراة السعودية مصر القلب رائع جميل مع بعد",
    },
    Language {
        code: "ja",
        weight: 3,
        separator: "",
        words: "今日 明日 おはよう おやすみ ありがとう かわいい すごい 猫 犬 音楽 ゲーム 動画 新しい 東京 大阪 学校 仕事 雨 天気 拡散 フォロー です ます から だけど 好き 人 みんな 見て",
    },
    Language {
        code: "pt",
        weight: 1,
        separator: " ",
        words: "o a de que não com para você muito hoje amanhã saudade coração música futebol jogo vida amor obrigado bom dia noite gente kkkk então também já é está ação",
    },
    Language {
        code: "in",
        weight: 1,
        separator: " ",
        words: "yang dan di ini itu aku kamu kita selamat pagi malam terima kasih banyak baru lagu makan tidur kuliah besok libur semangat ya banget wkwk jangan lupa teman hari",
    },
    Language {
        code: "tr",
        weight: 1,
        separator: " ",
        words: "ve bir bu çok güzel gün için değil İstanbul ışık şarkı günaydın geceler maç haber yeni öğrenci okul hayat sevgi Iğdır ağaç çiçek teşekkürler bugün",
    },
    Language {
        code: "fr",
        weight: 1,
        separator: " ",
        words: "le la les et est un une pour avec très bonjour merci journée soirée été où déjà garçon cœur musique vidéo travail école nouvelle actualité c'est demain",
    },
];

/// `lang` values that the filter drops.
pub const OTHER_LANGUAGES: [&str; 7] = ["de", "ru", "ko", "und", "th", "nl", "it"];
/// Values of `lang` that look like one of the kept ones.
pub const NEAR_LANGUAGES: [&str; 5] = ["EN", "en-gb", "id", "", "english"];

/// Appended to texts and descriptions.
pub const EMOJI: [&str; 10] = ["😀", "😂😂", "❤️", "🔥", "👩‍👩‍👧", "🇯🇵", "👍🏿", "☕", "🎶", "💯"];

/// Inserted into texts and descriptions.
pub const ODDITIES: [&str; 26] = [
    "&amp;",
    "&lt;3",
    "\"quoted\"",
    "back\\slash",
    "and/or",
    "tab\tbed",
    "line\nfeed",
    "\n\n",
    "\r\n",
    "\u{2028}",
    "\u{200f}",
    "\u{85}",
    "\u{a0}",
    "e\u{301}",
    "\u{7}",
    "\u{7f}",
    "\u{feff}",
    "%41",
    "100%",
    "1+1",
    "#",
    "@",
    "hahaha",
    "aaaa",
    "coffeecoffee",
    "'",
];

/// Descriptions that are easily mangled.
pub const ODD_DESCRIPTIONS: [&str; 9] = [
    "",
    " ",
    "\n",
    "a\tb\nc\r\nd",
    "null",
    "\"\"",
    "back\\n",
    "ﷺ",
    "trailing ",
];

/// Hashtags whose lower case is not what `to_ascii_lowercase` or a naive mapping gives, next to
/// those that they must or must not equal.
pub const SPECIAL_TAGS: [&str; 22] = [
    "İSTANBUL",
    "istanbul",
    "ISTANBUL",
    "ΟΔΟΣ",
    "οδος",
    "Straße",
    "STRASSE",
    "\u{212a}elvin",
    "kelvin",
    "Ångström",
    "\u{212b}ngström",
    "ﬁesta",
    "Ⅷ",
    "日本",
    "السعودية",
    "México",
    "ÉTÉ",
    "4musics",
    "a",
    "ǅ",
    "ẞ",
    "𐐀deseret",
];

/// Clients, as HTML links of the `source` field.
pub const SOURCES: [(&str, &str); 5] = [
    ("http://twitter.com/download/iphone", "Twitter for iPhone"),
    ("http://twitter.com/download/android", "Twitter for Android"),
    ("http://twitter.com", "Twitter Web Client"),
    ("http://ifttt.com", "IFTTT"),
    ("https://mobile.twitter.com", "Mobile Web (M2)"),
];

/// The words of a language as a list.
pub struct Vocabulary {
    /// The language.
    pub language: &'static Language,
    words: Vec<&'static str>,
}

impl Vocabulary {
    /// Word `index`; any number will do.
    pub fn word(&self, index: u64) -> &'static str {
        self.words[(index % self.words.len() as u64) as usize]
    }
}

/// All vocabularies; a language's weight is the number of times it is in the list.
pub fn vocabularies() -> Vec<Vocabulary> {
    let all = LANGUAGES
        .iter()
        .flat_map(|language| (0..language.weight).map(move |_| language));
    all.map(|language| Vocabulary {
        language,
        words: language.words.split(' ').collect(),
    })
    .collect()
}
