//! Runs `trident store`.

use crate::etl_failure::store_failed;
use anyhow::Context;
use std::{
    io::{self, BufWriter},
    path::Path,
};
use trident::{
    cli::{self, StoreCommand},
    exit::Stop,
    store::{
        Meta,
        maintenance::{self, DumpError, Stat},
    },
};

/// Runs the command; results go to standard output.
pub fn run(command: &StoreCommand) -> Result<(), Stop> {
    match command {
        StoreCommand::Verify { store } => {
            let meta = maintenance::verify(store).map_err(anyhow::Error::from)?;
            tell("verified", store, &meta)
        }
        StoreCommand::Stat { store, json } => {
            let stat = maintenance::stat(store).map_err(anyhow::Error::from)?;
            cli::print(&if *json {
                as_json(&stat)?
            } else {
                as_table(&stat)
            })
        }
        StoreCommand::Dump { store } => dump(store),
        StoreCommand::Snapshot { store, target } => {
            let meta = maintenance::snapshot(store, target).map_err(store_failed)?;
            tell("made", target, &meta)
        }
        StoreCommand::Fold { store } => {
            let meta = maintenance::fold(store).map_err(anyhow::Error::from)?;
            tell("folded", store, &meta)
        }
        StoreCommand::Restore {
            snapshot,
            target,
            replace,
        } => {
            let meta = maintenance::restore(snapshot, target, *replace).map_err(store_failed)?;
            tell("restored", target, &meta)
        }
    }
}

fn tell(done: &str, store: &Path, meta: &Meta) -> Result<(), Stop> {
    let Meta {
        users,
        contacts,
        tweets,
        content_crc32,
        ..
    } = meta;
    cli::print(&format!(
        "{done} {}: users={users} contacts={contacts} tweets={tweets} data={content_crc32:08x}\n",
        store.display()
    ))
}

fn dump(store: &Path) -> Result<(), Stop> {
    let mut out = BufWriter::new(io::stdout().lock());
    match maintenance::dump(store, &mut out) {
        Err(DumpError::Output(error)) => cli::closed_is_success(Err(error)),
        outcome => Ok(outcome.map_err(anyhow::Error::from)?),
    }
}

fn as_json(stat: &Stat) -> Result<String, Stop> {
    let text = serde_json::to_string(stat).context("the figures did not become JSON")?;
    Ok(text + "\n")
}

fn deletions_text(count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!(", deleted tweets {count}"),
    }
}

fn as_table(stat: &Stat) -> String {
    let Stat { meta, pages, .. } = stat;
    let spread = |[least, median, high, greatest]: [u64; 4]| {
        format!("least {least}, median {median}, p99 {high}, greatest {greatest}")
    };
    let history = meta.history.map_or("none".into(), |history| {
        let (tweets, users) = (history.tweets, history.user_states);
        let deletions = deletions_text(history.deletions);
        format!(
            "tweets {tweets}, users {users}{deletions}, file bytes {}",
            stat.history_bytes
        )
    });
    let updates = stat.updates.map_or("none".into(), |updates| {
        let (batches, tweets) = (updates.batches, updates.history.tweets);
        let (users, known_users) = (updates.users, updates.history.user_states);
        let deletions = deletions_text(updates.history.deletions);
        format!("batches {batches}; with them: users {users}, kept tweets {tweets}, known users {known_users}{deletions}")
    });
    let rows = [
        ("built by", meta.built_by.clone()),
        ("data", format!("{:08x}", meta.content_crc32)),
        (
            "format",
            format!("{}, values {}", meta.format, meta.value_version),
        ),
        ("users", meta.users.to_string()),
        ("contacts", meta.contacts.to_string()),
        ("contact tweets", meta.tweets.to_string()),
        ("contacts per user", spread(stat.contacts_per_user)),
        ("bytes per value", spread(stat.value_bytes)),
        ("value bytes", meta.value_bytes.to_string()),
        ("file bytes", stat.data_bytes.to_string()),
        ("history", history),
        ("updates", updates),
        (
            "pages",
            format!(
                "{} of {} bytes: {} inner, {} leaf, {} overflow; depth {}",
                pages.branch + pages.leaf + pages.overflow,
                pages.page_bytes,
                pages.branch,
                pages.leaf,
                pages.overflow,
                pages.depth
            ),
        ),
    ];
    rows.iter()
        .map(|(name, value)| format!("{name:<18} {value}\n"))
        .collect()
}
