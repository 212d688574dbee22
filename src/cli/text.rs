//! The sections of help and man page that are not about one flag.

use crate::{
    app::{
        guide,
        route::{self, Form},
    },
    config::{DEFAULT_FILE, ENV_CONFIG},
    exit::ExitCode,
};

/// One line on what this is.
pub const ABOUT: &str = "HTTP server for /blockchain, /qrcode and /twitter";

/// The first paragraph of `--help`.
pub const ABOUT_LONG: &str = "\
HTTP server for /blockchain, /qrcode and /twitter.

Without arguments it serves on port 8080 with the built-in sample data: no file, no database, no \
account is needed. Every setting has a default and can be changed by a flag, an environment variable \
or the configuration file, in this order of precedence.";

/// The end of `-h`.
pub const AFTER_HELP: &str = "`--help` tells more: defaults, examples, environment, exit status.";

/// Commands worth copying, each with its purpose.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("trident", "serve on 0.0.0.0:8080 with every default"),
    (
        "trident --listen 127.0.0.1:8080 --admin off",
        "serve this machine only, without metrics",
    ),
    (
        "trident serve --team Tridents --aws-account 123456789012 --workers 2",
        "answer in the name of a team, on two processors",
    ),
    (
        "trident serve --set http.idle_timeout_ms=60000 --set log.format=json",
        "change settings that have no flag of their own",
    ),
    (
        "trident serve --set auth.key_file=/etc/trident/auth.key",
        "keep auth tokens valid across restarts and on every instance with this key",
    ),
    (
        "trident etl --input tweets/ --exclude popular.txt --output store",
        "make a store of /twitter, for `trident serve --twitter-store store`",
    ),
    (
        "trident explain '/qrcode?type=encoed&data=hello'",
        "see why a request is INVALID, or what its answer holds",
    ),
    (
        "trident check-config --config trident.toml",
        "see what a file amounts to before a server runs with it",
    ),
];

/// The end of `trident explain --help`.
pub const EXPLAIN_EXAMPLES: &str = "\
Examples:
  trident explain 'http://127.0.0.1:8080/qrcode?type=encoed&data=CC+Team'
  trident explain eJyrVkrOSMzMU7KKjtVRyk…
  trident explain request.json --set blockchain.mining_tries_max=1000000
  grep /blockchain access.log | trident explain --stdin

Exit codes: 0 when every request is valid, 1 when one is INVALID, 64 when one cannot be explained or a file is not there.";

/// The end of `trident etl --help`.
pub const ETL_EXAMPLES: &str = "\
Examples:
  # the list of popular hashtags, then the store
  trident etl --input tweets/ --top 700 --top-file popular.txt
  trident etl --input tweets/ --exclude popular.txt --output store
  trident serve --twitter-store store
  # the stages, with the shuffles of another engine between them
  trident etl map < tweets.jsonl | LC_ALL=C sort | trident etl reduce --exclude popular.txt \\
      | LC_ALL=C sort | trident etl reduce | LC_ALL=C sort | trident etl build --output store";

/// Variables that are not the name of a setting.
pub fn environment() -> Vec<(&'static str, String)> {
    vec![
        (
            "TRIDENT_<KEY>",
            "Any setting: upper case, dots as underscores, so http.idle_timeout_ms is \
             TRIDENT_HTTP_IDLE_TIMEOUT_MS. An empty value counts as not set; an unknown name is an \
             error, except for those that Kubernetes and Docker make for a service of this name."
                .into(),
        ),
        (
            "TRIDENT_AUTH_KEY",
            "Key of auth tokens, 64 hex digits. There is no flag for it; auth.key_file is the other \
             way."
            .into(),
        ),
        ("TRIDENT_LOG", "Log level, the setting log.level.".into()),
        (
            ENV_CONFIG,
            format!("Configuration file, as --config. Without both, {DEFAULT_FILE} if it exists."),
        ),
        ("NO_COLOR", "Set to anything: no colour in help and log.".into()),
    ]
}

/// The sections after the flags in `--help`.
pub fn after_long_help() -> String {
    let mut out = String::from("Examples:\n");
    for (command, purpose) in EXAMPLES {
        out.push_str(&format!("  # {purpose}\n  {command}\n"));
    }
    out.push_str("\nEndpoints:\n");
    for Form {
        request, answer, ..
    } in route::forms()
    {
        out.push_str(&format!("  {request}\n          {answer}\n"));
    }
    out.push_str("\nFirst requests, answered from what is built in:\n");
    for command in guide::first_steps("127.0.0.1:8080") {
        out.push_str(&format!("  {command}\n"));
    }
    out.push_str("\nEnvironment:\n");
    for (name, meaning) in environment() {
        out.push_str(&format!("  {name}\n          {meaning}\n"));
    }
    out.push_str("\nExit status:\n");
    for (code, meaning) in ExitCode::ALL {
        out.push_str(&format!("  {:<3} {meaning}\n", code as u8));
    }
    out.trim_end().to_owned()
}
