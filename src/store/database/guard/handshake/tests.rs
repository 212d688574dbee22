//! Greetings, good and bad.

use super::*;
use proptest::{collection::vec, prelude::*};

/// A greeting with these capabilities, behind a version of any length.
fn greeting(capabilities: u32, plugin: &str) -> Vec<u8> {
    let [low_0, low_1, high_0, high_1] = capabilities.to_le_bytes();
    [
        b"\x0a10.11.6-MariaDB\0\x01\0\0\0abcdefgh".as_slice(),
        &[0, low_0, low_1, 45, 2, 0, high_0, high_1, 21],
        &[0, 0, 0, 0, 0, 0, 0x1D, 0, 0, 0],
        b"ijklmnopqrst\0",
        plugin.as_bytes(),
        b"\0",
    ]
    .concat()
}

#[test]
fn what_the_driver_must_not_use_is_taken_out() {
    let mut bytes = greeting(u32::MAX, "mysql_native_password");
    let read = Greeting::restrict(&mut bytes).unwrap();
    assert!(read.has_tls);
    assert_eq!(read.plugin, NATIVE);
    assert_eq!(read.nonce, b"abcdefghijklmnopqrst");
    assert_eq!(bytes, {
        let mut left = greeting(!HIDDEN, "mysql_native_password");
        let extended = left
            .windows(4)
            .position(|part| part == [0x1D, 0, 0, 0])
            .unwrap();
        left[extended] = 0;
        left
    });
    let mut bytes = greeting(!CLIENT_SSL, "");
    assert!(!Greeting::restrict(&mut bytes).unwrap().has_tls);
}

#[test]
fn a_cut_greeting_is_none() {
    let whole = greeting(u32::MAX, "");
    // Only the plugin's name, after the nonce, may be missing.
    let needed = whole.len() - 1;
    for end in 0..needed {
        assert!(
            Greeting::restrict(&mut whole[..end].to_vec()).is_none(),
            "{end}"
        );
    }
    assert!(Greeting::restrict(&mut whole[..needed].to_vec()).is_some());
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in vec(any::<u8>(), 0..200), has_protocol in any::<bool>()) {
        if let (Some(first), true) = (bytes.first_mut(), has_protocol) {
            *first = 10;
        }
        let _ = Greeting::restrict(&mut bytes);
        let _ = switch(&bytes);
    }
}
