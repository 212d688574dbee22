//! The examples over their sockets. They are built here: Cargo builds no examples for a test, and an example older than
//! its source would prove nothing.

#[path = "../it/twitter/mysql/certificates.rs"]
mod certificates;
#[path = "../it/twitter/mysql/database.rs"]
#[allow(dead_code)] // as harness
mod database;
#[path = "../it/harness.rs"]
#[allow(dead_code)] // also has what only the product's tests use
mod harness;
mod memcache;
mod music;
#[path = "../it/temp_dir.rs"]
mod temp_dir;
#[path = "../it/traced.rs"]
mod traced;

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// The binary of the example `name`, built with this test's profile.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        // target/PROFILE/trident
        let profile_dir = Path::new(env!("CARGO_BIN_EXE_trident")).parent().unwrap();
        let profile = match profile_dir.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let cargo = env::var_os("CARGO").expect("run by cargo test");
        let mut build = Command::new(cargo);
        // What Cargo tells this test of its package: build scripts that look at it (ring's) would run again, and all
        // that is built on them would be built again, here and at the next `cargo test`.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
            if of_package.iter().any(|prefix| name.starts_with(prefix)) {
                build.env_remove(&*name);
            }
        }
        let built = build
            .args(["build", "--quiet", "--profile", profile, "--target-dir"])
            .arg(profile_dir.parent().unwrap())
            .args(["--example", "music", "--example", "music-cli"])
            .args(["--example", "memcache"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the examples do not build"
        );
        profile_dir.join("examples")
    });
    folder.join(name)
}

/// A running example that prints `serving http://ADDRESS`; killed when dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("it prints its address").unwrap();
        let address = line.strip_prefix("serving http://").expect(&line).parse();
        Self {
            child,
            address: address.unwrap(),
        }
    }

    /// Kills it with SIGKILL, like a power loss: no handler runs.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by SIGTERM; whether it succeeded.
    fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
