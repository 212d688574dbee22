//! Passes commands and answers on, after `answers` has looked at them.

use super::answers::Answers;
use crate::store::database::DatabaseFault;
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
};

/// Bytes that are relayed at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// A stream to a server.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// Relays commands and answers until either side ends.
pub(super) async fn relay(driver: UnixStream, server: impl Wire) -> Result<(), DatabaseFault> {
    let (mut from_driver, mut to_driver) = driver.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let answers = Mutex::new(Answers::default());
    let up = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from_driver.read(&mut chunk).await?;
            let Some(sent) = chunk.get(..count).filter(|sent| !sent.is_empty()) else {
                return Ok::<_, DatabaseFault>(());
            };
            answers.lock().commands(sent);
            to_server.write_all(sent).await?;
            to_server.flush().await?;
        }
    };
    let down = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from_server.read(&mut chunk).await?;
            let Some(got) = chunk.get(..count).filter(|got| !got.is_empty()) else {
                return Ok::<_, DatabaseFault>(());
            };
            let checked = answers.lock().check(got);
            checked.map_err(|odd| DatabaseFault::Garbled(odd.into()))?;
            to_driver.write_all(got).await?;
        }
    };
    let (mut up, mut down) = (pin!(up), pin!(down));
    poll_fn(|context| match up.as_mut().poll(context) {
        Poll::Pending => down.as_mut().poll(context),
        ended => ended,
    })
    .await
}
