//! `mysql://USER:PASSWORD@HOST:PORT[,HOST:PORT…]/DATABASE?ssl=…`, percent-encoded as in any URL.
//!
//! An address is printed from its parsed parts, so that neither a password nor a parameter can slip
//! into a log.

use crate::codec::query::{Plus, percent_decode};
use mysql_async::{Opts, OptsBuilder};
use std::{fmt, path::PathBuf, sync::Arc};
use thiserror::Error;

/// How addresses begin.
const SCHEME: &str = "mysql://";

/// Most hosts of an address.
const HOSTS_MAX: usize = 16;

/// Where a database is and who asks. Errors hold one, so it is small.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    /// User, password, database and the driver's own parameters.
    opts: Opts,
    /// At least one.
    hosts: Vec<Host>,
    policy: HostPolicy,
    tls: TlsOptions,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Tcp {
        /// Name or address, without the brackets of IPv6.
        name: String,
        port: u16,
    },
    /// Path of a Unix socket.
    Socket(String),
}

/// Which host a connection goes to; the others are used when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HostPolicy {
    /// The first in the address that answers.
    #[default]
    First,
    /// Each in turn.
    RoundRobin,
    /// The one with the fastest connection so far.
    Nearest,
}

/// When TLS is used, and what the certificate must be: see the table in `tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    Off,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyIdentity,
}

impl Mode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "off" => Self::Off,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-identity" => Self::VerifyIdentity,
            _ => return None,
        })
    }

    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

/// The part of an address that is about TLS. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsOptions {
    pub(super) mode: Mode,
    /// `ssl-ca`: authorities instead of the system's.
    pub(super) ca: Option<PathBuf>,
    /// `ssl-cert` and `ssl-key`: our own certificate, for accounts with `REQUIRE X509`.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// `server-public-key`: the server's RSA key for passwords without TLS.
    pub(super) server_key: Option<PathBuf>,
}

/// The text is not an address. The message does not repeat it, because it may hold a password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "expected mysql://USER:PASSWORD@HOST:PORT/DATABASE, characters such as @ and / percent-encoded; \
     several hosts by commas; parameters behind ? are in docs/twitter-mysql.md (ssl, ssl-ca, ssl-cert \
     with ssl-key, server-public-key, policy, socket)"
)]
pub struct BadAddress;

impl Address {
    /// Whether `text` is an address rather than a path.
    pub fn is_meant_by(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads an address; it names a database.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let rest = text.strip_prefix(SCHEME).ok_or(BadAddress)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').ok_or(BadAddress)?;
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let parameters = Parameters::parse(query)?;
        let with = |host: &str| {
            let driver = &parameters.driver;
            Opts::from_url(&format!("{SCHEME}{user}{host}/{database}{driver}"))
                .map_err(|_| BadAddress)
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        let first = with(hosts.first().ok_or(BadAddress)?)?;
        let has_database = first.db_name().is_some_and(|name| !name.is_empty());
        // The driver's own TLS parameters: it is built without TLS, which the guard makes.
        if !has_database || first.ssl_opts().is_some() || hosts.len() > HOSTS_MAX {
            return Err(BadAddress);
        }
        let hosts = match first.socket() {
            Some(_) if hosts.len() > 1 => return Err(BadAddress),
            Some(path) => vec![Host::Socket(path.into())],
            None => {
                let tcp = |host: &&str| with(host).map(|opts| Host::tcp(&opts));
                hosts.iter().map(tcp).collect::<Result<_, _>>()?
            }
        };
        Ok(Self(Arc::new(Parts {
            opts: first,
            hosts,
            policy: parameters.policy,
            tls: parameters.tls,
        })))
    }

    /// Whether it holds a password: other users of the machine could read it on a command line.
    pub fn has_password(&self) -> bool {
        self.0.opts.pass().is_some()
    }

    /// How many hosts it names.
    pub fn host_count(&self) -> usize {
        self.0.hosts.len()
    }

    /// How the driver connects through a guard with this socket path. It also gives everything that the driver would
    /// otherwise ask the server for at the start.
    pub(super) fn opts(&self, socket: String) -> Opts {
        OptsBuilder::from_opts(self.0.opts.clone())
            .socket(Some(socket))
            .max_allowed_packet(Some(DRIVER_PACKET_BYTES_MAX))
            .wait_timeout(Some(SERVER_WAIT_SECONDS))
            .into()
    }

    pub(super) fn hosts(&self) -> &[Host] {
        &self.0.hosts
    }

    pub(super) fn policy(&self) -> HostPolicy {
        self.0.policy
    }

    pub(super) fn tls(&self) -> &TlsOptions {
        &self.0.tls
    }
}

/// Most bytes of a packet that the driver takes or sends; a server's `max_allowed_packet` is at most as large.
const DRIVER_PACKET_BYTES_MAX: usize = 1 << 30;

/// The server's default `wait_timeout`; only a pool of the driver would use it.
const SERVER_WAIT_SECONDS: usize = 28_800;

impl Host {
    fn tcp(opts: &Opts) -> Self {
        let name = opts.ip_or_hostname();
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        Self::Tcp {
            name: name.into(),
            port: opts.tcp_port(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.escape_default()),
        }
    }
}

/// The parameters of an address, after the question mark.
#[derive(Default)]
struct Parameters {
    /// For the driver, with its question mark.
    driver: String,
    policy: HostPolicy,
    tls: TlsOptions,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, BadAddress> {
        let mut all = Self::default();
        let (mut certificate, mut key) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, raw) = pair.split_once('=').ok_or(BadAddress)?;
            let value = decoded(raw)?;
            let file = || Some(PathBuf::from(&value));
            match name {
                "ssl" => all.tls.mode = Mode::parse(&value).ok_or(BadAddress)?,
                "ssl-ca" => all.tls.ca = file(),
                "ssl-cert" => certificate = file(),
                "ssl-key" => key = file(),
                "server-public-key" => all.tls.server_key = file(),
                "policy" => all.policy = HostPolicy::parse(&value).ok_or(BadAddress)?,
                _ => {
                    all.driver
                        .push(if all.driver.is_empty() { '?' } else { '&' });
                    all.driver.push_str(pair);
                }
            }
        }
        all.tls.identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(BadAddress),
        };
        // An authority that is never used would look like protection.
        let is_idle = all.tls.ca.is_some() && !all.tls.mode.verifies();
        if is_idle { Err(BadAddress) } else { Ok(all) }
    }
}

impl HostPolicy {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "first" => Self::First,
            "round-robin" => Self::RoundRobin,
            "nearest" => Self::Nearest,
            _ => return None,
        })
    }
}

fn decoded(raw: &str) -> Result<String, BadAddress> {
    let mut bytes = Vec::new();
    percent_decode(raw.as_bytes(), Plus::Literal, &mut bytes);
    String::from_utf8(bytes).map_err(|_| BadAddress)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = self.0.opts.user() {
            let hidden = if self.has_password() { ":***" } else { "" };
            write!(f, "{}{hidden}@", user.escape_default())?;
        }
        for (number, host) in self.0.hosts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match host {
                Host::Tcp { .. } => write!(f, "{comma}{host}")?,
                Host::Socket(_) => write!(f, "{}", Host::tcp(&self.0.opts))?,
            }
        }
        let database = self.0.opts.db_name().unwrap_or_default().escape_default();
        write!(f, "/{database}")?;
        match self.0.hosts.first() {
            Some(host @ Host::Socket(_)) => write!(f, "?socket={host}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
