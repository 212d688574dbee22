//! Checks beyond the table: relations between settings, the key file, and the machine.
//!
//! Errors stop the start; warnings are only logged.

use super::{
    field::{Field, Rule},
    loaded::Loaded,
    setting::{Draft, Setting},
    source::{ConfigError, Source},
    system_limits::SystemLimits,
    value::{Raw, Value},
};
use crate::{
    http::limits::OTHER_DESCRIPTORS_MAX, remedy::Trying, store::Location, twitter::IngestAccess,
};
use num_bigint::BigUint;
use std::{fs, io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// Default idle timeout of an AWS network load balancer.
const BALANCER_IDLE_TIMEOUT: Duration = Duration::from_secs(350);

/// Memory mappings of one connection's coroutine: stack and guard page.
const MAPPINGS_PER_CONNECTION: u64 = 2;

/// Checks `loaded` as a whole, and puts the key of `auth.key_file` in its place.
pub fn check(loaded: &mut Loaded, system: SystemLimits, errors: &mut Vec<ConfigError>) {
    key_file(loaded, errors);
    addresses(loaded, errors);
    drain(loaded, errors);
    authority(loaded, errors);
    account(loaded);
    store(loaded);
    ingest(loaded);
    timeouts(loaded);
    capacity(loaded, system);
}

/// An error of the setting `key`, at the place its value came from.
fn config_error(loaded: &Loaded, key: &str, problem: String) -> ConfigError {
    ConfigError::new(loaded.source(key).clone(), format!("{key}: {problem}"))
}

fn key_file(loaded: &mut Loaded, errors: &mut Vec<ConfigError>) {
    let Some(path) = loaded.draft.auth_key_file.clone() else {
        return;
    };
    if loaded.draft.app.auth.key.is_some() {
        let problem = "set together with auth.key (TRIDENT_AUTH_KEY); remove one of the two".into();
        errors.push(config_error(loaded, "auth.key_file", problem));
        return;
    }
    match read_key(&path, &mut loaded.draft) {
        Ok(mode) if mode & 0o037 != 0 => {
            let (path, mode) = (path.display(), mode & 0o7777);
            let problem = format!(
                "{path} has permissions {mode:04o}, wider than 0640; run `chmod 0600 {path}`"
            );
            loaded.warn("auth.key_file", &problem);
        }
        Ok(_) => {}
        Err(problem) => errors.push(config_error(loaded, "auth.key_file", problem)),
    }
    loaded.set_source(
        "auth.key",
        Source::File {
            path,
            line: 1,
            column: 1,
        },
    );
}

/// Reads the key. Returns the file's permissions.
fn read_key(path: &Path, draft: &mut Draft) -> Result<u32, String> {
    let cannot = |error: io::Error| {
        let remedy = Trying::Read.remedy(&error);
        format!("cannot read {}: {error}; {remedy}", path.display())
    };
    let text = fs::read_to_string(path).map_err(cannot)?;
    let mode = fs::metadata(path).map_err(cannot)?.permissions().mode();
    let key = &mut draft.app.auth.key;
    key.read(&Raw::Text(text), &Rule::Any).map_err(|_| {
        format!(
            "expected {} in {}, got something else (hidden)",
            key.allowed(&Rule::Any),
            path.display()
        )
    })?;
    Ok(mode)
}

fn addresses(loaded: &Loaded, errors: &mut Vec<ConfigError>) {
    let serve = &loaded.draft.serve;
    let fixed = |address: &SocketAddr| address.port() != 0;
    for (index, address) in serve
        .listen
        .iter()
        .enumerate()
        .filter(|(_, address)| fixed(address))
    {
        if serve.listen[..index].contains(address) {
            errors.push(config_error(
                loaded,
                "listen",
                format!("{address} is there twice; remove one"),
            ));
        }
    }
    if let Some(admin) = serve.admin.filter(fixed)
        && serve.listen.contains(&admin)
    {
        let problem = format!("{admin} is an address of `listen` too; give it another port");
        errors.push(config_error(loaded, "admin", problem));
    }
}

fn drain(loaded: &Loaded, errors: &mut Vec<ConfigError>) {
    let serve = &loaded.draft.serve;
    if serve.drain.deadline <= serve.drain.accept {
        let problem = format!(
            "{} ms is not longer than drain.accept_ms, {} ms ({}); nothing would be left to finish \
             requests in",
            serve.drain.deadline.as_millis(),
            serve.drain.accept.as_millis(),
            loaded.source("drain.accept_ms"),
        );
        errors.push(config_error(loaded, "drain.deadline_ms", problem));
    }
}

fn authority(loaded: &mut Loaded, errors: &mut Vec<ConfigError>) {
    let auth = &loaded.draft.app.auth;
    let external = auth.mode == crate::auth::Mode::Rest;
    if external && auth.rest.url.is_empty() {
        let problem = "\"rest\" needs auth.url, for example http://auth:9000/rest_auth".into();
        errors.push(config_error(loaded, "auth.mode", problem));
    } else if external && let Err(error) = auth.rest.check() {
        errors.push(config_error(loaded, "auth.url", error.to_string()));
    } else if !external && !auth.rest.url.is_empty() {
        loaded.warn("auth.url", "has no effect while auth.mode is \"embedded\"");
    }
    if !external && loaded.draft.app.auth.key.is_none() {
        loaded.warn(
            "auth.key",
            "not set, a random key is made at start: tokens will not survive a restart or match \
             another instance; set TRIDENT_AUTH_KEY to the output of `openssl rand -hex 32`",
        );
    }
}

fn store(loaded: &mut Loaded) {
    let twitter = &loaded.draft.app.twitter;
    let Some(Location::Database(address)) = &twitter.store else {
        return;
    };
    if address.has_password() && matches!(loaded.source("twitter.store"), Source::Flag(_)) {
        loaded.warn(
            "twitter.store",
            "other users of the machine can read the password on the command line; set \
             TRIDENT_TWITTER_STORE instead",
        );
    }
}

fn ingest(loaded: &mut Loaded) {
    let ingest = &loaded.draft.app.twitter.ingest;
    if ingest.access == IngestAccess::Public && ingest.token.is_empty() {
        loaded.warn(
            "twitter.ingest",
            "\"public\" without a token: whoever reaches this server can change and delete what it serves; \
             set twitter.ingest_token (TRIDENT_TWITTER_INGEST_TOKEN)",
        );
    }
}

fn account(loaded: &mut Loaded) {
    let app = &loaded.draft.app;
    // RSA in one line: signing and verifying must cancel out. Two messages, because a wrong pair
    // may fit one by chance.
    let cancels = |message: u32| {
        let (message, modulus) = (BigUint::from(message), &app.blockchain.modulus);
        let signature = message.modpow(&app.blockchain.team_private_exponent, modulus);
        signature.modpow(&BigUint::from(app.blockchain.team_account), modulus) == message % modulus
    };
    if !(cancels(2) && cancels(3)) {
        loaded.warn(
            "blockchain.team_private_exponent",
            "does not belong to blockchain.team_account and blockchain.modulus: nobody will accept \
             the team's signatures",
        );
    }
    let account = &loaded.draft.app.aws_account;
    let is_default = loaded.source("team.aws_account") == &Source::Default;
    let is_real = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    if !is_default && !is_real {
        loaded.warn(
            "team.aws_account",
            "not the twelve digits of an AWS account",
        );
    }
}

fn timeouts(loaded: &mut Loaded) {
    let idle = loaded.draft.serve.limits.idle_timeout;
    if idle >= BALANCER_IDLE_TIMEOUT {
        let problem = format!(
            "{} ms is not below the 350000 ms after which a network load balancer forgets a \
             connection: requests may get lost; stay below it",
            idle.as_millis()
        );
        loaded.warn("http.idle_timeout_ms", &problem);
    }
}

fn capacity(loaded: &mut Loaded, system: SystemLimits) {
    let connections = loaded.draft.serve.limits.connections_max as u64;
    let others = OTHER_DESCRIPTORS_MAX as u64;
    if let Some(files) = system
        .files_max
        .filter(|files| connections + others > *files)
    {
        let problem = format!(
            "{connections}, and {others} for all else, do not fit into the {files} files this process \
             may open; raise the limit (LimitNOFILE in systemd, `ulimit -Hn`) to {} or lower this",
            connections + others
        );
        loaded.warn("http.connections_max", &problem);
    }
    let room = system
        .mappings_max
        .map(|mappings| mappings / MAPPINGS_PER_CONNECTION);
    if let Some(room) = room.filter(|room| connections > *room) {
        let problem = format!(
            "{connections} need {} memory mappings; raise vm.max_map_count with sysctl or lower \
             this to {room}",
            connections * MAPPINGS_PER_CONNECTION
        );
        loaded.warn("http.connections_max", &problem);
    }
}

impl Loaded {
    /// Adds a warning about the setting `key`.
    fn warn(&mut self, key: &str, problem: &str) {
        self.warnings.push(match self.source(key) {
            Source::Default => format!("{key}: {problem}"),
            source => format!("{source}: {key}: {problem}"),
        });
    }

    /// The value of `setting` as it may be shown.
    pub fn shown(&self, setting: &Setting) -> Value {
        setting.shown(&self.draft)
    }
}
