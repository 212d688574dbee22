//! `trident explain`: which requests to explain. Run by `main`.

use super::SettingFlags;
use clap::Args;

/// What to explain, and the settings of the server that would answer it.
#[derive(Args)]
pub struct ExplainCommand {
    /// URL, request line, cc text, JSON of a chain, or a file with one of these per line; repeatable
    #[arg(value_name = "INPUT", required_unless_present = "stdin")]
    pub inputs: Vec<String>,
    /// Read requests from standard input, one per line
    #[arg(long)]
    pub stdin: bool,
    /// Settings of the server: keys, identity, bounds, store.
    #[command(flatten)]
    pub settings: SettingFlags,
}
