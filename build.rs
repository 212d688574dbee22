//! Sets `BUILD_ID` for `trident --version`: commit and build profile.
//!
//! Not `TRIDENT_…`: cargo passes it to what `cargo run` and `cargo test` start, and the program would
//! take it for a setting that does not exist.
//!
//! Never fails: without git, or unpacked from an archive (even inside somebody else's repository),
//! the commit is `unknown`. Runs again only when the checkout moves to another commit.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let commit = commit().unwrap_or_else(|| "unknown".into());
    let profile = std::env::var("PROFILE").unwrap_or_else(|_| "unknown".into());
    println!("cargo:rustc-env=BUILD_ID={commit} {profile}");
}

/// The short commit of the repository whose top level is this package.
fn commit() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    // The reflog grows with every commit and checkout; HEAD alone changes only when the branch does.
    // A path that does not exist would make Cargo run this file in every build.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
