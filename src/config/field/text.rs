//! All fields written as text: names, paths, addresses, words, the key.

use super::{Field, Mismatch, Rule};
use crate::{
    auth::Key,
    config::value::{Raw, Value},
    store::Location,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// The text of `raw` if it satisfies `rule`.
fn text<'r>(raw: &'r Raw, rule: &Rule) -> Result<&'r str, Mismatch> {
    let text = raw.text().ok_or(Mismatch)?;
    match rule {
        Rule::Text { holds, .. } if !holds(text) => Err(Mismatch),
        _ => Ok(text),
    }
}

impl Field for String {
    fn read(&mut self, raw: &Raw, rule: &Rule) -> Result<(), Mismatch> {
        *self = text(raw, rule)?.to_owned();
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Text(self.clone())
    }

    fn allowed(&self, rule: &Rule) -> String {
        match rule {
            Rule::Text { allowed, .. } => (*allowed).to_owned(),
            _ => "a text, in quotes".into(),
        }
    }
}

/// A path; the empty text means that there is no path.
impl Field for Option<PathBuf> {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        let text = raw
            .text()
            .filter(|text| !text.contains('\0'))
            .ok_or(Mismatch)?;
        *self = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Text(
            self.as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
        )
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "a path, or \"\" for none".into()
    }
}

/// A directory or a database; the empty text means neither. A password is never part of the value shown.
impl Field for Option<Location> {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        let text = raw
            .text()
            .filter(|text| !text.contains('\0'))
            .ok_or(Mismatch)?;
        *self = match text {
            "" => None,
            text => Some(text.parse().map_err(|_| Mismatch)?),
        };
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Text(match self {
            None => String::new(),
            Some(Location::Directory(path)) => path.display().to_string(),
            Some(Location::Database(address)) => address.to_string(),
        })
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "a directory, mysql://USER:PASSWORD@HOST:PORT/DATABASE with characters such as @ in the \
         password percent-encoded, or \"\" for none"
            .into()
    }
}

/// `ADDRESS:PORT`, `localhost:PORT`, `*:PORT`, or a port alone, which means that port of `alone`. Other names are
/// refused: a resolver's answer may differ from start to start.
fn socket_address(text: &str, alone: Ipv4Addr) -> Result<SocketAddr, Mismatch> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = match host {
        "" => alone,
        "*" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        _ => return Err(Mismatch),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or(Mismatch)?;
    Ok(SocketAddr::new(IpAddr::V4(host), port))
}

/// The text of an address; a TOML integer is a port.
fn address_text(raw: &Raw) -> Result<String, Mismatch> {
    match raw {
        Raw::Integer(port) => Ok(port.to_string()),
        _ => raw.text().map(str::to_owned).ok_or(Mismatch),
    }
}

/// An address; the word `off` means that there is no address. A port alone means that port of the loopback interface.
impl Field for Option<SocketAddr> {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        *self = match address_text(raw)?.as_str() {
            "off" => None,
            text => Some(socket_address(text, Ipv4Addr::LOCALHOST)?),
        };
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Text(self.map_or("off".into(), |address| address.to_string()))
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "ADDRESS:PORT such as \"127.0.0.1:9090\" or \"[::1]:9090\", \"localhost:9090\", a port alone (of \
         127.0.0.1), or \"off\""
            .into()
    }
}

/// At least one address: a list, or text separated by commas. A port alone means that port of every IPv4 interface.
impl Field for Vec<SocketAddr> {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        let single = std::slice::from_ref(raw);
        let items = if let Raw::Array(items) = raw {
            items.as_slice()
        } else {
            single
        };
        let mut addresses = Self::new();
        for item in items {
            for text in address_text(item)?.split(',') {
                addresses.push(socket_address(text, Ipv4Addr::UNSPECIFIED)?);
            }
        }
        if addresses.is_empty() {
            return Err(Mismatch);
        }
        *self = addresses;
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::List(self.iter().map(SocketAddr::to_string).collect())
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "one or more of ADDRESS:PORT such as \"0.0.0.0:8080\" or \"[::]:8080\", \"localhost:8080\", or a port \
         alone (of 0.0.0.0)"
            .into()
    }
}

/// Implements [`Field`] for an enum whose variants are words.
macro_rules! word_field {
    ($type:ty { $($word:literal => $variant:path),* }) => {
        impl Field for $type {
            fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
                *self = match raw.text().ok_or(Mismatch)? {
                    $($word => $variant,)*
                    _ => return Err(Mismatch),
                };
                Ok(())
            }

            fn value(&self, _rule: &Rule) -> Value {
                Value::Text(match self { $($variant => $word,)* }.to_owned())
            }

            fn allowed(&self, _rule: &Rule) -> String {
                [$($word),*].map(|word| format!("\"{word}\"")).join(" or ")
            }
        }
    };
}

word_field!(crate::auth::Mode {
    "embedded" => crate::auth::Mode::Embedded,
    "rest" => crate::auth::Mode::Rest
});
word_field!(crate::log::Format {
    "text" => crate::log::Format::Text,
    "json" => crate::log::Format::Json
});

word_field!(crate::cache::Policy {
    "lru" => crate::cache::Policy::Lru,
    "random" => crate::cache::Policy::Random
});
word_field!(crate::twitter::EmptyAnswer {
    "invalid" => crate::twitter::EmptyAnswer::Invalid,
    "header" => crate::twitter::EmptyAnswer::Header,
    "header_newline" => crate::twitter::EmptyAnswer::HeaderNewline
});

word_field!(crate::twitter::IngestAccess {
    "off" => crate::twitter::IngestAccess::Off,
    "admin" => crate::twitter::IngestAccess::Admin,
    "public" => crate::twitter::IngestAccess::Public
});

/// 64 hex digits of either case, white space around them allowed.
impl Field for Option<Key> {
    fn read(&mut self, raw: &Raw, _rule: &Rule) -> Result<(), Mismatch> {
        let text = raw.text().ok_or(Mismatch)?;
        *self = Some(Key::from_hex(text).map_err(|_| Mismatch)?);
        Ok(())
    }

    fn value(&self, _rule: &Rule) -> Value {
        Value::Secret {
            set: self.is_some(),
        }
    }

    fn allowed(&self, _rule: &Rule) -> String {
        "64 hex digits (32 bytes)".into()
    }
}
