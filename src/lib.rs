//! Trident: one HTTP server for `/blockchain`, `/qrcode` and `/twitter`.

pub mod admin;
pub mod app;
pub mod auth;
pub mod blockchain;
pub(crate) mod cache;
pub mod cli;
pub mod codec;
pub mod config;
pub mod etl;
pub mod exit;
pub mod explain;
pub mod http;
pub mod load;
pub mod log;
pub mod metrics;
pub mod qrcode;
pub mod serve;
pub mod store;
pub mod synth;
pub mod twitter;
