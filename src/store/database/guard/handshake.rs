//! The connection phase: greeting, TLS, password.
//!
//! | who the server is | what it may get |
//! | --- | --- |
//! | Unix socket | the password, if its plugin asks for it |
//! | TLS with a verified certificate | the same, inside TLS |
//! | TLS that is not verified, or none | only answers to a challenge (`mysql_native_password`); with `server-public-key` the password encrypted for that key |
//!
//! `caching_sha2_password` answers a challenge while the server remembers the account and asks for the password itself
//! afterwards. If the password could not be sent, this plugin is refused from the start: a connection that works only
//! until the server restarts is worse than no connection.

use super::relay::{Wire, relay};
use crate::store::database::{DatabaseFault, address::Mode, tls::Tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Most bytes of a packet of this phase.
const PACKET_BYTES_MAX: usize = 64 << 10;

/// Most packets of either side in this phase.
const PACKETS_MAX: usize = 16;

/// Most bytes of a plugin's name that a message repeats.
const PLUGIN_BYTES_SHOWN: usize = 64;

const CLIENT_SSL: u32 = 1 << 11;

/// Capabilities that neither side may use, because `answers` does not follow them: compression (5, 26), local files
/// (7), several statements and results (16 to 18), session state (23), results without end-of-file packet (24),
/// optional metadata (25), query attributes (27), several factors (28), progress reports (29). TLS is not the driver's.
const HIDDEN: u32 = CLIENT_SSL
    | 1 << 5
    | 1 << 7
    | 0b111 << 16
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 26
    | 1 << 27
    | 1 << 28
    | 1 << 29;

/// The prefix of a handshake response that also asks for TLS (`SSLRequest`).
const SSL_REQUEST_BYTES: usize = 32;

const NATIVE: &[u8] = b"mysql_native_password";
const CACHING_SHA2: &[u8] = b"caching_sha2_password";

/// A packet of this phase.
struct Packet {
    number: u8,
    payload: Vec<u8>,
}

/// How the server may get the password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The server is the intended one.
    Known,
    /// It may be another server; the password is encrypted for a key that only the right server has.
    Key,
    /// It may be another server.
    Unknown,
}

/// Guards a connection over TCP, loopback included: while the server is down, any user of the machine can listen on its
/// port.
pub(super) async fn over_tcp(
    mut driver: UnixStream,
    mut server: TcpStream,
    name: &str,
    tls: &Tls,
) -> Result<(), DatabaseFault> {
    let Some((greeting, mut response)) = greet(&mut driver, &mut server).await? else {
        return Ok(());
    };
    let wants_tls = match (tls.mode, greeting.has_tls) {
        (Mode::Off, _) | (Mode::Prefer, false) => false,
        (_, true) => true,
        (_, false) => {
            return Err(DatabaseFault::Tls(
                "the server offers none; let the server have a certificate, or say ?ssl=prefer \
                 if the network can be trusted"
                    .into(),
            ));
        }
    };
    if !wants_tls {
        let trust = if tls.has_server_key() {
            Trust::Key
        } else {
            Trust::Unknown
        };
        let phase = Phase::new(greeting, trust, 0);
        return phase.log_in(driver, server, response, tls).await;
    }
    ask_for_tls(&mut response);
    let request = response.payload.get(..SSL_REQUEST_BYTES);
    let request = Packet {
        number: response.number,
        payload: request.unwrap_or_default().to_vec(),
    };
    send(&mut server, &request).await?;
    let server = tls.connect(name, server).await?;
    let trust = if tls.mode.verifies() {
        Trust::Known
    } else {
        Trust::Unknown
    };
    let phase = Phase::new(greeting, trust, 1);
    phase.log_in(driver, server, response, tls).await
}

/// Guards a connection over a Unix socket, which needs no TLS.
pub(super) async fn over_socket(
    mut driver: UnixStream,
    mut server: UnixStream,
    tls: &Tls,
) -> Result<(), DatabaseFault> {
    let Some((greeting, response)) = greet(&mut driver, &mut server).await? else {
        return Ok(());
    };
    let phase = Phase::new(greeting, Trust::Known, 0);
    phase.log_in(driver, server, response, tls).await
}

/// What the greeting says.
struct Greeting {
    has_tls: bool,
    plugin: Vec<u8>,
    nonce: Vec<u8>,
}

/// Hands the greeting to the driver, without the capabilities it must not use, and returns its response. `None` = the
/// server refuses; the driver knows why.
async fn greet(
    driver: &mut UnixStream,
    server: &mut impl Wire,
) -> Result<Option<(Greeting, Packet)>, DatabaseFault> {
    let mut packet = receive(server).await?;
    if packet.payload.first() == Some(&0xFF) {
        send(driver, &packet).await?;
        return Ok(None);
    }
    let greeting = Greeting::restrict(&mut packet.payload)
        .ok_or_else(|| DatabaseFault::Garbled("a greeting of another protocol".into()))?;
    send(driver, &packet).await?;
    let response = receive(driver).await?;
    Ok(Some((greeting, response)))
}

impl Greeting {
    /// Reads protocol version 10 and takes the hidden capabilities out of it.
    fn restrict(payload: &mut [u8]) -> Option<Self> {
        let (10, rest) = payload.split_first_mut()? else {
            return None;
        };
        let version = rest.iter().position(|byte| *byte == 0)?;
        // Connection number (4), first part of the nonce (8), zero (1).
        let (nonce_1, rest) = rest
            .get_mut(version + 1 + 4..)?
            .split_first_chunk_mut::<8>()?;
        let ([_, low_0, low_1, _, _, _], rest) = rest.split_first_chunk_mut::<6>()?;
        let [high_0, high_1, nonce_bytes, rest @ ..] = rest else {
            return None;
        };
        let capabilities = u32::from_le_bytes([*low_0, *low_1, *high_0, *high_1]);
        [*low_0, *low_1, *high_0, *high_1] = (capabilities & !HIDDEN).to_le_bytes();
        // Reserved; the last four hold what MariaDB can do beyond MySQL.
        let (reserved, rest) = rest.split_first_chunk_mut::<10>()?;
        reserved.fill(0);
        let nonce_2 = usize::from(*nonce_bytes).saturating_sub(8).max(13);
        let (nonce_2, plugin) = rest.split_at_checked(nonce_2)?;
        let mut nonce = nonce_1.to_vec();
        nonce.extend(nonce_2.iter().take(12));
        let end = plugin
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(plugin.len());
        Some(Self {
            has_tls: capabilities & CLIENT_SSL != 0,
            plugin: plugin.get(..end)?.to_vec(),
            nonce,
        })
    }
}

/// Sets the capability in a handshake response.
fn ask_for_tls(response: &mut Packet) {
    if let Some(capabilities) = response.payload.first_chunk_mut::<4>() {
        *capabilities = (u32::from_le_bytes(*capabilities) | CLIENT_SSL).to_le_bytes();
    }
}

/// From the handshake response to the server's verdict.
struct Phase {
    /// Packets that the server got and the driver does not know of.
    shift: u8,
    trust: Trust,
    plugin: Vec<u8>,
    nonce: Vec<u8>,
}

impl Phase {
    fn new(greeting: Greeting, trust: Trust, shift: u8) -> Self {
        Self {
            shift,
            trust,
            plugin: greeting.plugin,
            nonce: greeting.nonce,
        }
    }

    /// Sends the driver's response, follows the login to its end, then relays.
    async fn log_in(
        mut self,
        mut driver: UnixStream,
        mut server: impl Wire,
        mut response: Packet,
        tls: &Tls,
    ) -> Result<(), DatabaseFault> {
        response.number = response.number.wrapping_add(self.shift);
        send(&mut server, &response).await?;
        self.run(&mut driver, &mut server, tls).await?;
        relay(driver, server).await
    }

    async fn run(
        &mut self,
        driver: &mut UnixStream,
        server: &mut impl Wire,
        tls: &Tls,
    ) -> Result<(), DatabaseFault> {
        for _ in 0..PACKETS_MAX {
            let mut packet = receive(server).await?;
            let to_driver = packet.number.wrapping_sub(self.shift);
            let answers = match packet.payload.as_slice() {
                [0x00 | 0xFF, ..] => {
                    packet.number = to_driver;
                    return Ok(send(driver, &packet).await?);
                }
                [0xFE, name @ ..] => {
                    let (name, nonce) = switch(name)?;
                    self.plugin = name.to_vec();
                    self.nonce = nonce.iter().copied().take(20).collect();
                    true
                }
                // The server remembers the account.
                [0x01, 0x03] if self.plugin == CACHING_SHA2 => false,
                [0x01, 0x04] if self.plugin == CACHING_SHA2 && self.trust != Trust::Unknown => {
                    packet.number = to_driver;
                    send(driver, &packet).await?;
                    self.password(driver, server, tls).await?;
                    continue;
                }
                _ => {
                    self.allows()?;
                    return Err(DatabaseFault::Garbled("a login that is none".into()));
                }
            };
            self.allows()?;
            packet.number = to_driver;
            send(driver, &packet).await?;
            if answers {
                let mut response = receive(driver).await?;
                response.number = response.number.wrapping_add(self.shift);
                send(server, &response).await?;
            }
        }
        Err(DatabaseFault::Garbled("a login without end".into()))
    }

    /// Whether the login goes on with the plugin that the server asks for.
    fn allows(&self) -> Result<(), DatabaseFault> {
        match self.plugin.as_slice() {
            NATIVE => Ok(()),
            CACHING_SHA2 if self.trust != Trust::Unknown => Ok(()),
            CACHING_SHA2 => Err(DatabaseFault::Tls(
                "caching_sha2_password sends the password to the server, which could be another one: say \
                 ?ssl=verify-identity (with ssl-ca=FILE if the certificate is of your own authority), or \
                 server-public-key=FILE with ssl=off"
                    .into(),
            )),
            other => Err(DatabaseFault::Refused(format!(
                "it asks for the authentication plugin {}, which this program does not have; let the account use \
                 mysql_native_password or caching_sha2_password",
                other.get(..PLUGIN_BYTES_SHOWN).unwrap_or(other).escape_ascii()
            ))),
        }
    }

    /// Passes on the password that the driver sends, as to a Unix socket.
    async fn password(
        &self,
        driver: &mut UnixStream,
        server: &mut impl Wire,
        tls: &Tls,
    ) -> Result<(), DatabaseFault> {
        let mut response = receive(driver).await?;
        response.number = response.number.wrapping_add(self.shift);
        if self.trust == Trust::Key {
            response.payload = tls.encrypt(&response.payload, &self.nonce)?;
        }
        Ok(send(server, &response).await?)
    }
}

/// Plugin and nonce of a request for another plugin.
fn switch(request: &[u8]) -> Result<(&[u8], &[u8]), DatabaseFault> {
    let end = request.iter().position(|byte| *byte == 0);
    let end = end.ok_or_else(|| DatabaseFault::Garbled("a login of before MySQL 5.5".into()))?;
    Ok((
        request.get(..end).unwrap_or_default(),
        request.get(end + 1..).unwrap_or_default(),
    ))
}

async fn receive(from: &mut impl Wire) -> Result<Packet, DatabaseFault> {
    let [low, middle, high, number] = {
        let mut header = [0; 4];
        from.read_exact(&mut header).await?;
        header
    };
    let bytes = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if bytes > PACKET_BYTES_MAX {
        return Err(DatabaseFault::Garbled("a login of more than 64 KiB".into()));
    }
    let mut payload = vec![0; bytes];
    from.read_exact(&mut payload).await?;
    Ok(Packet { number, payload })
}

async fn send(to: &mut impl Wire, packet: &Packet) -> std::io::Result<()> {
    let [low, middle, high, _] = u32::try_from(packet.payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let mut bytes = vec![low, middle, high, packet.number];
    bytes.extend_from_slice(&packet.payload);
    to.write_all(&bytes).await?;
    to.flush().await
}

#[cfg(test)]
mod tests;
