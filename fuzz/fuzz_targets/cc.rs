//! `/blockchain`: the input as a `cc` text, and as JSON packed into one so that the parser and the
//! rules are reached. What earlier requests left in the scratch must not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use trident::{
    blockchain::{Blockchain, Options, Scratch},
    codec::{base64url, zlib::Deflater},
};

struct State {
    endpoint: Blockchain,
    used: Scratch,
    deflater: Deflater,
}

thread_local!(static STATE: RefCell<State> = RefCell::new(State::new()));

impl State {
    fn new() -> Self {
        let endpoint = Blockchain::new(Options {
            mining_tries_max: 256,
            inflated_bytes_max: 16 << 10,
            ..Options::default()
        });
        let used = endpoint.scratch();
        Self {
            endpoint,
            used,
            deflater: Deflater::new(1),
        }
    }

    fn check(&mut self, cc: &[u8]) {
        let (mut out, mut again) = (b"kept".to_vec(), Vec::new());
        let outcome = self.endpoint.answer(&mut self.used, cc, &mut out);
        let mut fresh = self.endpoint.scratch();
        assert_eq!(self.endpoint.answer(&mut fresh, cc, &mut again), outcome);
        assert_eq!(out.split_off(4), again);
        assert_eq!(out, b"kept");
        assert!(outcome.is_ok() || again.is_empty());
    }
}

fuzz_target!(|bytes: &[u8]| {
    STATE.with_borrow_mut(|state| {
        state.check(bytes);
        let (mut stream, mut cc) = (Vec::new(), Vec::new());
        state.deflater.deflate(bytes, &mut stream);
        base64url::encode(&stream, &mut cc);
        state.check(&cc);
    });
});
