//! Paths and methods: what a request asks for.

use trident::http::Method;

use crate::model::Kind;

/// The three services of objects, the datastore below them, and all other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `/api/v1/user`
    User,
    /// `/api/v1/music`
    Music,
    /// `/api/v1/playlist`
    Playlist,
    /// `/api/v1/datastore`
    Datastore,
    /// Health, metrics, unknown paths.
    Other,
}

/// Their labels in the metrics; `PARTS[part as usize]`.
pub const PARTS: [&str; 5] = ["user", "music", "playlist", "datastore", "other"];

/// What a path stands for.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// `/`: this API in a few lines.
    Guide,
    /// All objects of a kind.
    Objects(Kind),
    /// One object.
    Object(Kind),
    /// One song of a playlist.
    Song,
    /// `/api/v1/user/login`
    LogIn,
    /// `/api/v1/user/logoff`
    LogOff,
    /// `/api/v1/datastore/…`
    Datastore(Operation),
    /// `/metrics`
    Metrics,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
}

/// What the datastore does.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// The object.
    Read,
    /// Stores it, new or not.
    Write,
    /// Replaces it.
    Update,
    /// Deletes it.
    Delete,
}

impl Route {
    /// The service that it belongs to.
    pub const fn part(self) -> Part {
        match self {
            Self::Objects(Kind::User) | Self::Object(Kind::User) | Self::LogIn | Self::LogOff => {
                Part::User
            }
            Self::Objects(Kind::Music) | Self::Object(Kind::Music) => Part::Music,
            Self::Objects(Kind::Playlist) | Self::Object(Kind::Playlist) | Self::Song => {
                Part::Playlist
            }
            Self::Datastore(_) => Part::Datastore,
            Self::Guide | Self::Metrics | Self::Health | Self::Ready => Part::Other,
        }
    }

    /// The methods that it takes, as a value of `Allow`.
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Objects(_) | Self::Datastore(Operation::Write) => "POST",
            Self::Object(Kind::Music) => "GET, HEAD, DELETE",
            Self::Object(_) => "GET, HEAD, PUT, DELETE",
            Self::Song => "PUT, DELETE",
            Self::LogIn | Self::LogOff | Self::Datastore(Operation::Update) => "PUT",
            Self::Datastore(Operation::Delete) => "DELETE",
            _ => "GET, HEAD",
        }
    }

    /// Whether it takes `method`.
    pub fn takes(self, method: Method) -> bool {
        let name = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Other | Method::Unknown => return false,
        };
        self.allow().split(", ").any(|allowed| allowed == name)
    }
}

/// The table of paths.
pub fn table() -> Result<matchit::Router<Route>, matchit::InsertError> {
    let mut router = matchit::Router::new();
    let fixed = [
        ("/", Route::Guide),
        ("/metrics", Route::Metrics),
        ("/healthz", Route::Health),
        ("/readyz", Route::Ready),
        ("/api/v1/user/login", Route::LogIn),
        ("/api/v1/user/logoff", Route::LogOff),
        ("/api/v1/playlist/{id}/songs/{song}", Route::Song),
        ("/api/v1/datastore/read", Route::Datastore(Operation::Read)),
        (
            "/api/v1/datastore/write",
            Route::Datastore(Operation::Write),
        ),
        (
            "/api/v1/datastore/update",
            Route::Datastore(Operation::Update),
        ),
        (
            "/api/v1/datastore/delete",
            Route::Datastore(Operation::Delete),
        ),
    ];
    for (path, route) in fixed {
        router.insert(path, route)?;
    }
    for kind in Kind::ALL {
        let name = kind.name();
        router.insert(format!("/api/v1/{name}"), Route::Objects(kind))?;
        router.insert(format!("/api/v1/{name}/"), Route::Objects(kind))?;
        router.insert(format!("/api/v1/{name}/{{id}}"), Route::Object(kind))?;
    }
    Ok(router)
}
