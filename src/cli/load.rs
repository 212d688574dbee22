//! `trident load`: the flags of the load generator. Run by `main`.

use super::value::{between, duration, goal, rate, some, some_time};
use clap::{Args, Subcommand, builder::ArgPredicate};
use std::{path::PathBuf, time::Duration};

/// What to do instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub enum LoadTask {
    /// Compare two runs by their JSON reports
    ///
    /// Prints the figures side by side with their ratio, and whether a difference exceeds the spread of the seconds of
    /// both runs.
    Compare {
        /// Report of the first run (--json)
        a: PathBuf,
        /// Report of the second run
        b: PathBuf,
        /// Write the comparison as one self-contained page
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

/// What to run.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LoadCommand {
    /// What to do instead of a run.
    #[command(subcommand)]
    pub task: Option<LoadTask>,
    /// Servers to test, http://HOST:PORT or HOST:PORT
    ///
    /// Connections are spread evenly over several. Without one a temporary server is started on this
    /// machine and stopped at the end. --target URL is the same. A URL with a path is a request instead: it
    /// is sent again and again, and a status below 400 is right.
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// Server to test, as URL; repeatable
    #[arg(long = "target", value_name = "URL")]
    pub targets: Vec<String>,
    /// Team name of the servers
    #[arg(long, value_name = "NAME", default_value = "TEAMID")]
    pub team: String,
    /// Their AWS account
    #[arg(long, value_name = "ID", default_value = "000000000000")]
    pub aws_account: String,
    /// File with the key of auth tokens, 64 hex digits
    ///
    /// Or the environment variable TRIDENT_AUTH_KEY. Without a key the form of tokens is checked, not
    /// their value. A temporary server has a key of its own.
    #[arg(long, value_name = "FILE")]
    pub auth_key_file: Option<PathBuf>,
    /// How long to measure, 30s or 5m
    #[arg(long, short = 'd', value_name = "TIME", default_value = "10s", value_parser = some_time)]
    #[arg(default_value_ifs([
        ("requests", ArgPredicate::IsPresent, Some("168h")),
        ("replay", ArgPredicate::IsPresent, Some("168h")),
        ("find", ArgPredicate::IsPresent, Some("2s")),
    ]))]
    pub duration: Duration,
    /// Requests in all, instead of a time
    ///
    /// Ends the run after so many requests, or after --duration if that is given and comes first. There is no
    /// warm-up unless --warmup is given.
    #[arg(long, short = 'n', value_name = "N", value_parser = some)]
    pub requests: Option<u64>,
    /// Uncounted load before; 0 = none
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(default_value_ifs([
        ("requests", ArgPredicate::IsPresent, Some("0")),
        ("replay", ArgPredicate::IsPresent, Some("0")),
    ]))]
    pub warmup: Duration,
    /// Connections or users
    #[arg(long, short = 'c', value_name = "N", default_value = "64", value_parser = between(1, 60_000))]
    pub connections: u32,
    /// Requests that a connection carries
    ///
    /// Then it is closed and the next request opens another one. Latency has the handshake in it.
    #[arg(long, value_name = "N", value_parser = between(1, u32::MAX))]
    pub connection_requests: Option<u32>,
    /// How long a connection lives
    ///
    /// The first request after that time opens another one.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub connection_time: Option<Duration>,
    /// Requests a second, answered or not
    ///
    /// Without it every connection sends its next request when the answer is there (closed loop). With it
    /// requests are due at fixed times, and latency counts from when a request was due: a stall of the
    /// server counts for every request that it delayed.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// Requests in flight per connection
    #[arg(long, value_name = "N", default_value = "1", value_parser = between(1, 1_000))]
    pub pipeline: u32,
    /// Weights of the endpoints: blockchain=1,qrcode=2
    ///
    /// Endpoints not named are left out. Default: all of the corpus alike.
    #[arg(long, value_name = "MIX")]
    pub mix: Option<String>,
    /// Stages from a TOML file, as in config/scenarios
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "warmup", "rate", "requests"])]
    pub scenario: Option<PathBuf>,
    /// Requests and right answers, JSON lines
    ///
    /// gzip or plain; scripts/make-corpus makes them, docs/load.md describes them.
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Requests from a list of URLs
    ///
    /// One per line: URL or /PATH, its method in front unless it is GET, then status=N, sha256=HEX, body_file=FILE (the right body) and
    /// send=FILE (the request's body) as needed. Without any of them a status below 400 is right.
    #[arg(long = "urls", value_name = "FILE", conflicts_with = "corpus")]
    pub url_list: Option<PathBuf>,
    /// Requests from an access log, in its order
    ///
    /// Common or combined log format. GET requests are sent once, each when a connection is free (closed loop), at
    /// --rate, or at their own times with --replay-speed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["corpus", "url_list", "mix"])]
    pub replay: Option<PathBuf>,
    /// Replay at the log's times; 2 = twice as fast
    #[arg(long, value_name = "X", value_parser = rate, requires = "replay")]
    #[arg(conflicts_with_all = ["rate", "scenario"])]
    pub replay_speed: Option<f64>,
    /// Threads; 0 = half the processors
    #[arg(long, value_name = "N", default_value = "0", value_parser = between(0, 1_024))]
    pub workers: u32,
    /// Look at status and framing only, not at bodies
    #[arg(long)]
    pub no_check: bool,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    pub timeout: Duration,
    /// Right answers/s for full score
    ///
    /// A number for every endpoint, or blockchain=30K,qrcode=80K.
    #[arg(long, value_name = "RPS", default_value = "10000", value_parser = goal)]
    pub goal: String,
    /// Conditions: qrcode.p99<5ms,rps>1000; repeatable
    ///
    /// [ENDPOINT.]METRIC OP VALUE, separated by commas. Metrics: correctness, errors (percent), requests,
    /// rps, correct_rps, score, mean, p50, p90, p99, p99.9, p99.99, p99.999, max (with us, ms or s).
    /// Operators: >= <= > <. A run ends as soon as one of these can no longer hold. An endpoint without a
    /// condition on correctness must reach 100 %, one without a condition on errors 0 %.
    #[arg(long = "require", value_name = "CONDITIONS")]
    pub requirements: Vec<String>,
    /// Find the highest rate that holds these: p99<5ms
    ///
    /// Conditions as with --require. Tries one rate after the other, each for --duration (default 2s), until the least
    /// rate that fails is within 3 % of the highest that holds. At most 28 tries.
    #[arg(long, value_name = "CONDITIONS")]
    #[arg(conflicts_with_all = ["rate", "scenario", "requests", "replay", "warmup", "record", "hdr"])]
    pub find: Option<String>,
    /// Agents that send the load: HOST:PORT,HOST:PORT
    ///
    /// Each runs `trident load --agent` and gets its share of connections, rate and requests; all start together, and
    /// there is one report.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        requires = "token_file"
    )]
    pub agents: Vec<String>,
    /// Be an agent that listens here, HOST:PORT
    ///
    /// It sends load wherever a coordinator with the same token says, one run at a time, until a signal ends it; all flags
    /// of the run are the coordinator's. What they say is not encrypted: in private networks only.
    #[arg(long, value_name = "ADDR", requires = "token_file")]
    #[arg(conflicts_with_all = [
        "urls", "targets", "team", "aws_account", "auth_key_file", "duration", "requests", "warmup", "connections",
        "connection_requests", "connection_time", "rate", "pipeline", "mix", "scenario", "corpus", "url_list", "replay",
        "replay_speed", "workers", "no_check", "timeout", "goal", "requirements", "find", "agents", "no_preflight", "hdr",
        "record", "json", "html", "quiet",
    ])]
    pub agent: Option<String>,
    /// File with the secret of --agents and --agent
    ///
    /// 16 bytes or more, the same for the coordinator and its agents.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Start without a first request to each target
    ///
    /// Otherwise a target that does not answer within a second, or answers for another team, is an error
    /// before the run.
    #[arg(long)]
    pub no_preflight: bool,
    /// Write all latencies as a HdrHistogram log
    ///
    /// One histogram per second and endpoint, in nanoseconds, for HdrHistogram's tools.
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// Keep failing requests and answers, JSON lines
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write the report as JSON; - for standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// No line while running
    #[arg(long, visible_alias = "no-progress")]
    pub quiet: bool,
}
