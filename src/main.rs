//! The `trident` binary: allocator, parse, run, exit code.
//!
//! A file per command that does more than call the library: `etl`, `etl_blocks`, `etl_import`, `explain`, `load`,
//! `store`, `synth`. Shared by them: `sample` (the built-in store), `result_file` and `overwrite` (where results go),
//! `etl_results`, `etl_failure` (what is written and how a run ends).

#[path = "main/etl.rs"]
mod etl;
#[path = "main/etl_blocks.rs"]
mod etl_blocks;
#[path = "main/etl_failure.rs"]
mod etl_failure;
#[path = "main/etl_import.rs"]
mod etl_import;
#[path = "main/etl_results.rs"]
mod etl_results;
#[path = "main/explain.rs"]
mod explain;
#[path = "main/load.rs"]
mod load;
#[path = "main/overwrite.rs"]
mod overwrite;
#[path = "main/result_file.rs"]
mod result_file;
#[path = "main/sample.rs"]
mod sample;
#[path = "main/store.rs"]
mod store;
#[path = "main/synth.rs"]
mod synth;

use std::{io::Write, panic, process};
use trident::{
    cli::{self, Invocation, SettingFlags},
    config::Loaded,
    crash,
    exit::{ExitCode, Stop},
    log, serve,
    store::StoreError,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes the allocator give pages back to the kernel when the last block in them is freed.
///
/// It would wait for a second, and for a later call that may never come: after a thousand connections had shared the budget of
/// buffered bytes, 1.5 times the budget stayed resident, and 0.8 times do so. Requests cost nothing more: no
/// endpoint frees a page on its warm path (no page fault in 3,000 requests of each, with and without this).
#[allow(unsafe_code)] // the crate has no name for it
fn return_memory_at_once() {
    const PURGE_DELAY: std::ffi::c_int = 15; // `mi_option_purge_delay` of mimalloc.h, versions 2 and 3
    unsafe extern "C" {
        fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
    }
    // SAFETY: the signature is that of mimalloc.h; it checks the number of the option, and any value is allowed.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}

fn main() -> process::ExitCode {
    // The panic hook has printed the panic. The exit code says that it is Trident's fault.
    let outcome =
        panic::catch_unwind(run).unwrap_or_else(|_| Err(Stop::silent(ExitCode::Internal)));
    let Err(stop) = outcome else {
        return ExitCode::Success.into();
    };
    for message in &stop.messages {
        tell(message);
    }
    stop.code.into()
}

fn run() -> Result<(), Stop> {
    match cli::parse(std::env::args_os())? {
        Invocation::Serve(settings) => serve(settings),
        Invocation::CheckConfig { settings, json } => check_config(settings, json),
        Invocation::Explain(command) => explain::run(*command),
        Invocation::Etl(command) => etl::run(&command),
        Invocation::Gen(what) => synth::run(&what),
        Invocation::Store(command) => {
            crash::install(Some(ExitCode::Unavailable as i32));
            store::run(&command)
        }
        Invocation::Load(command) => load::run(*command),
        Invocation::Documents(what) => cli::write_document(&what),
    }
}

fn serve(settings: SettingFlags) -> Result<(), Stop> {
    return_memory_at_once();
    let loaded = cli::read_config(settings)?;
    let mut config = loaded.config();
    log::init(&config.log)?;
    tracing::info!(
        version = cli::VERSION,
        file = file(&loaded),
        given = loaded.given_count(),
        "configured"
    );
    let mut warnings = loaded.warnings.clone();
    if config.app.twitter.store.is_none() {
        match sample::store() {
            Ok(store) => config.app.twitter.store = Some(store.into()),
            Err(warning) => warnings.push(warning),
        }
    }
    serve::run(config.serve, config.app, &warnings).map_err(|error| {
        // A configured store that cannot be opened is an unavailable dependency.
        if error.is::<StoreError>() {
            error.context(ExitCode::Unavailable).into()
        } else {
            error.into()
        }
    })
}

fn check_config(settings: SettingFlags, json: bool) -> Result<(), Stop> {
    let loaded = cli::read_config(settings)?;
    for warning in &loaded.warnings {
        tell(&format!("warning: {warning}"));
    }
    cli::print_config(&loaded, json)?;
    let (file, given, warnings) = (file(&loaded), loaded.given_count(), loaded.warnings.len());
    tell(&format!(
        "configuration ok: file={file} given={given} warnings={warnings}"
    ));
    Ok(())
}

/// The configuration file that was read, even if no flag or variable named it.
fn file(loaded: &Loaded) -> String {
    loaded
        .file
        .as_ref()
        .map_or("none".into(), |path| path.display().to_string())
}

/// Writes one message to standard error. It is not a failure if that is closed.
fn tell(message: &str) {
    let _ = writeln!(std::io::stderr(), "trident: {message}");
}
