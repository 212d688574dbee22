//! The endpoints as a team would write them: axum, serde_json, base64, flate2, sha2, num-bigint.
//!
//! Idiomatic and correct, neither slowed down nor tuned: typed structs, library calls, default
//! settings. It answers what docs/protocol/*.md say for everything clients send; `scripts/bench`
//! checks every answer before it measures. Left out, and never measured: POST, `/rest_auth`,
//! pictures. Different by design of the libraries: duplicate JSON keys are INVALID (serde's derive)
//! where the protocol takes the last one, keys nobody knows are dropped from old blocks, and bytes
//! that are not UTF-8 in a query are replaced.
//!
//! The token key is read from `TRIDENT_AUTH_KEY` (64 hex digits), all zero without it.

mod blockchain;
mod qrcode;

use std::{env, io, sync::Arc};

use axum::{
    Router,
    extract::{Query, State},
    routing::get,
    serve::ListenerExt,
};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use trident_baseline::{args::Args, fixed_body};

const USAGE: &str = "plain --port P [--threads 1] [--body-bytes 40] [--team TEAMID] \
                     [--aws-account 000000000000]";

struct App {
    team: String,
    aws_account: String,
    fixed: String,
    auth_key: Vec<u8>,
}

impl App {
    fn answer(&self, result: Option<String>) -> String {
        let result = result.unwrap_or_else(|| "INVALID".to_owned());
        format!("{},{}\n{result}", self.team, self.aws_account)
    }
}

#[derive(Deserialize)]
struct BlockchainQuery {
    cc: Option<String>,
}

#[derive(Deserialize)]
struct QrcodeQuery {
    #[serde(rename = "type")]
    kind: Option<String>,
    data: Option<String>,
    timestamp: Option<String>,
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env(USAGE);
    let port: u16 = args.require("port");
    let threads: usize = args.take("threads", 1);
    let app = App {
        fixed: fixed_body(args.take("body-bytes", 40)),
        team: args.take("team", "TEAMID".to_owned()),
        aws_account: args.take("aws-account", "000000000000".to_owned()),
        auth_key: auth_key()?,
    };
    args.finish();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_io()
        .build()?
        .block_on(serve(port, Arc::new(app)))
}

async fn serve(port: u16, app: Arc<App>) -> io::Result<()> {
    let router = Router::new()
        .route("/", get(fixed))
        .route("/healthz", get(fixed))
        .route("/blockchain", get(blockchain))
        .route("/qrcode", get(qrcode))
        .with_state(app);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await?
        .tap_io(|stream| {
            stream.set_nodelay(true).ok();
        });
    axum::serve(listener, router).await
}

async fn fixed(State(app): State<Arc<App>>) -> String {
    app.fixed.clone()
}

async fn blockchain(State(app): State<Arc<App>>, Query(query): Query<BlockchainQuery>) -> String {
    app.answer(query.cc.and_then(|cc| blockchain::answer(&cc)))
}

async fn qrcode(State(app): State<Arc<App>>, Query(query): Query<QrcodeQuery>) -> String {
    let result = match (query.kind.as_deref(), query.data) {
        (Some("encode"), Some(data)) => qrcode::encode(data.as_bytes()),
        (Some("decode"), Some(data)) => qrcode::decode(&data)
            .and_then(|message| exchange(&app, message, query.timestamp.as_deref())),
        _ => None,
    };
    app.answer(result)
}

/// The token for a decoded message; the message itself without a timestamp.
fn exchange(app: &App, message: Vec<u8>, timestamp: Option<&str>) -> Option<String> {
    let message = String::from_utf8_lossy(&message).into_owned();
    let Some(timestamp) = timestamp else {
        return Some(message);
    };
    let timestamp: i64 = timestamp.parse().ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&app.auth_key).ok()?;
    mac.update(format!("{}|{timestamp}|{message}", app.team).as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}

fn auth_key() -> io::Result<Vec<u8>> {
    let text = env::var("TRIDENT_AUTH_KEY").unwrap_or_else(|_| "0".repeat(64));
    hex::decode(text).map_err(io::Error::other)
}
