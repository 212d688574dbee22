//! Runs `trident etl import`.

use std::{
    io::Write,
    time::{Duration, Instant},
};
use trident::{
    cli::{self, EtlImport},
    exit::{ExitCode, Stop},
    store::{
        StoreError,
        database::{self, Address, ImportOptions, Progress},
    },
};

/// Where the address is looked for when the command line has none: what `serve` takes too.
const VARIABLE: &str = "TRIDENT_TWITTER_STORE";

/// Between two lines about the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Imports; the result goes to standard output, progress to standard error.
pub fn run(what: &EtlImport) -> Result<(), Stop> {
    let address = address(what)?;
    let start = Instant::now();
    let mut last = start;
    let mut progress = |progress: Progress| {
        if last.elapsed() >= PROGRESS_INTERVAL {
            last = Instant::now();
            let Progress {
                what,
                rows,
                rows_total,
            } = progress;
            let text = format!("trident: imported {rows} of {rows_total} {what}");
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    };
    let options = ImportOptions {
        history: what.keep_history,
    };
    let report =
        database::import(&address, &what.store, options, &mut progress).map_err(stopped)?;
    cli::print(&format!(
        "imported {} into {address}: users={} resumed={} value_bytes={} data={:08x} seconds={:.1}\n",
        what.store.display(),
        report.meta.users,
        report.resumed,
        report.meta.value_bytes,
        report.meta.content_crc32,
        start.elapsed().as_secs_f64(),
    ))
}

fn address(what: &EtlImport) -> Result<Address, Stop> {
    let text = what.mysql.as_ref().map(|url| url.0.clone());
    let text = text.or_else(|| std::env::var(VARIABLE).ok());
    let Some(text) = text else {
        let message = format!("no database: give --mysql URL, or set {VARIABLE}");
        return Err(Stop::new(ExitCode::Usage, message));
    };
    Address::parse(&text).map_err(|error| Stop::new(ExitCode::Usage, format!("--mysql: {error}")))
}

fn stopped(error: StoreError) -> Stop {
    let is_database = matches!(error, StoreError::Database(_));
    let error = anyhow::Error::from(error);
    if is_database {
        return error.context(ExitCode::Unavailable).into();
    }
    error.into()
}
