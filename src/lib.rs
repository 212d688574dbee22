//! Trident: one HTTP server for `/blockchain`, `/qrcode` and `/twitter`.
//!
//! The path of a request, all of it on the thread that read it:
//!
//! ```text
//! socket ─▶ http::conn ─▶ http::parse ─▶ app::route ─▶ blockchain │ qrcode │ auth │ twitter ─▶ store
//!                                             │                         │
//! socket ◀─ http::conn ◀─ http::encode ◀──── app::answer ◀── answer bytes, or why there are none
//! ```
//!
//! | module | what it does | what it does not know |
//! | --- | --- | --- |
//! | [`http`] | accepts, parses, answers; limits and timeouts | the endpoints |
//! | [`app`] | the table of endpoints; what becomes a status, what `INVALID` | algorithms |
//! | [`blockchain`], [`qrcode`], [`auth`], [`twitter`] | the endpoints: query bytes in, answer bytes out | HTTP |
//! | [`store`] | the value of each user, in LMDB files or in a database | who asks |
//! | [`etl`] | tweets to a store, on all cores, in bounded memory | serving |
//! | [`admin`] | the operator's address: live page, metrics, controls | the endpoints' rules |
//! | [`serve`] | start, signals, the order of a stop, the service manager | what is served |
//! | [`config`], [`cli`] | one table of settings; the command line | – |
//! | [`load`] | the load generator, which judges answers with code of its own | the server's code |
//! | [`synth`] | made-up tweets and requests | – |
//! | [`explain`], `reject` | why a request is `INVALID`: what is printed, and the reasons | the wire |
//! | [`codec`], [`cache`], [`metrics`], [`mod@log`], [`exit`], [`crash`], [`remedy`], `threads` | shared, at the bottom | everybody else |
//!
//! What holds everywhere:
//!
//! - A request flows one way. A turn of a connection never suspends.
//! - Bytes from the network never panic; every bound on them is a named setting.
//! - On the warm path of the three services nothing is allocated.
//! - Right answers come from independent oracles (`tests/oracle`), never from the code under test.
//!
//! `tests/layers` fails when a module names another that it may not. ARCHITECTURE.md has the reasons.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Trident builds on Linux only (epoll, /proc): use a Linux machine, a virtual machine or a container"
);

pub mod admin;
pub mod app;
pub mod auth;
pub mod blockchain;
pub mod cache;
pub mod cli;
pub mod codec;
pub mod config;
pub mod crash;
pub mod etl;
pub mod exit;
pub mod explain;
pub mod http;
pub mod load;
pub mod log;
pub mod metrics;
pub mod qrcode;
mod reject;
pub mod remedy;
pub mod serve;
pub mod store;
pub mod synth;
mod threads;
pub mod twitter;
