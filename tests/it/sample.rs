//! One request and one store for tests that ask every endpoint once.

use std::path::{Path, PathBuf};
use trident::store::{StoreWriter, value::Encoder};

/// The first target of a file of `benches/data`.
pub fn first_target(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/data")
        .join(file);
    let targets = std::fs::read_to_string(path).unwrap();
    let end = targets.find(['\t', '\n']).unwrap();
    targets[..end].to_owned()
}

/// A store in which user 7 has `contacts` contacts.
#[allow(dead_code)] // not all of these tests use it
pub fn store(contacts: u64) -> PathBuf {
    let name = format!("store-of-{contacts}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (mut encoder, mut value) = (Encoder::default(), Vec::new());
    for other in 0..contacts {
        encoder.contact(other, false, other, b"name", b"description");
        encoder.tweet(other, 0, 1, b"some text", [b"tag".as_slice()]);
    }
    encoder.finish(7, &mut value).unwrap();
    let mut writer = StoreWriter::create(&path, true).unwrap();
    writer.put(7, &value).unwrap();
    writer.finish().unwrap();
    path
}
