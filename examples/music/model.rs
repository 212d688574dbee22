//! Users, music and playlists: their members, and an object of each as JSON.

use serde_json::{Map, Value};
use uuid::Uuid;

/// An object's members.
pub type Object = Map<String, Value>;

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// A song.
    Music,
    /// A list of songs.
    Playlist,
}

impl Kind {
    /// Every kind; `ALL[k as usize] == k`.
    pub const ALL: [Self; 3] = [Self::User, Self::Music, Self::Playlist];

    /// Its name in paths, in `objtype` and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Music => "music",
            Self::Playlist => "playlist",
        }
    }

    /// The member of an answer that holds the id.
    pub const fn id_member(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Music => "music_id",
            Self::Playlist => "playlist_id",
        }
    }

    /// The members that are text.
    const fn texts(self) -> &'static [&'static str] {
        match self {
            Self::User => &["fname", "lname", "email"],
            Self::Music => &["Artist", "SongTitle"],
            Self::Playlist => &["name"],
        }
    }

    /// The kind of a name.
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

/// The playlist's member that names its songs.
pub const SONGS: &str = "songs";

/// The object in the body of a request: it has every member of `kind` and nothing else. Otherwise a text that names the
/// member.
pub fn object(kind: Kind, body: &[u8]) -> Result<Object, String> {
    let object = members(body)?;
    for name in kind.texts() {
        match object.get(*name) {
            None => return Err(format!("member {name} is missing")),
            Some(Value::String(_)) => {}
            Some(_) => return Err(format!("member {name} is not a string")),
        }
    }
    if kind == Kind::Playlist {
        songs(&object)?;
    }
    let is_known =
        |name: &str| kind.texts().contains(&name) || (kind == Kind::Playlist && name == SONGS);
    match object.keys().find(|name| !is_known(name)) {
        Some(name) => Err(format!("member {name} is not one of a {}", kind.name())),
        None => Ok(object),
    }
}

/// The id in the member `name` of a body.
pub fn id(name: &str, body: &[u8]) -> Result<Uuid, String> {
    let object = members(body)?;
    let value = object
        .get(name)
        .ok_or_else(|| format!("member {name} is missing"))?;
    as_id(value).ok_or_else(|| format!("member {name} is not a UUID"))
}

/// The songs of a playlist, each of them once.
pub fn songs(playlist: &Object) -> Result<Vec<Uuid>, String> {
    let listed = match playlist.get(SONGS) {
        None => return Err(format!("member {SONGS} is missing")),
        Some(Value::Array(listed)) => listed,
        Some(_) => return Err(format!("member {SONGS} is not a list")),
    };
    let mut ids = Vec::with_capacity(listed.len());
    for value in listed {
        let id = as_id(value).ok_or_else(|| format!("member {SONGS} holds {value}, no UUID"))?;
        if ids.contains(&id) {
            return Err(format!("member {SONGS} names {id} twice"));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Sets the songs of a playlist.
pub fn set_songs(playlist: &mut Object, songs: &[Uuid]) {
    let listed = songs.iter().map(|id| id.to_string().into()).collect();
    playlist.insert(SONGS.into(), Value::Array(listed));
}

/// The text that is stored for an object and answered: its members and its id.
pub fn text(kind: Kind, id: Uuid, mut object: Object) -> Vec<u8> {
    object.insert(kind.id_member().into(), id.to_string().into());
    Value::Object(object).to_string().into_bytes()
}

fn as_id(value: &Value) -> Option<Uuid> {
    Uuid::try_parse(value.as_str()?).ok()
}

fn members(body: &[u8]) -> Result<Object, String> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the body is not a JSON object".into()),
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}
