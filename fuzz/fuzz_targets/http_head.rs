//! Request heads: `httparse` reads accepted heads alike, remembering the last section changes
//! nothing, and a prefix is incomplete or has the whole's fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trident::http::{
    Fault, Limits,
    parse::{Memo, Parsed, head, head_with},
    request::fields,
};

/// Small, so that inputs reach them.
fn limits() -> Limits {
    Limits {
        request_line_bytes_max: 600,
        head_bytes_max: 1000,
        header_count_max: 20,
        ..Limits::default()
    }
}

/// Fails unless `httparse` makes the same of what we accepted.
fn compare(bytes: &[u8], ours: &trident::http::Head) {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut theirs = httparse::Request::new(&mut lines);
    let status = theirs.parse(bytes);
    // Two things only we let through: a target with bytes from 0x80 up that are not UTF-8, and a minor
    // version above 1 (RFC 9110 §2.5).
    match status {
        Err(httparse::Error::Token) if std::str::from_utf8(&bytes[..ours.bytes]).is_err() => return,
        Err(httparse::Error::Version) if ours.minor == 1 => return,
        _ => {}
    }
    assert_eq!(status, Ok(httparse::Status::Complete(ours.bytes)));
    assert_eq!(theirs.version, Some(ours.minor));
    let theirs = theirs.headers.iter().map(|h| (h.name.as_bytes(), h.value));
    assert!(theirs.eq(fields(ours.fields)));
}

fuzz_target!(|bytes: &[u8]| {
    let limits = limits();
    let whole = head(bytes, &limits);
    let shown = format!("{whole:?}");
    let mut memo = Memo::default();
    for _ in 0..2 {
        assert_eq!(format!("{:?}", head_with(bytes, &limits, &mut memo)), shown);
    }
    if let Ok(Parsed::Complete(ours)) = &whole {
        compare(bytes, ours);
    }
    let end = match &whole {
        Ok(Parsed::Complete(ours)) => ours.bytes,
        _ => bytes.len(),
    };
    let fault = whole.err();
    for cut in 0..end {
        match head(&bytes[..cut], &limits) {
            Ok(Parsed::Partial) => {}
            // What is too long by itself may have another fault further on.
            Err(Fault::LineTooLong | Fault::HeadTooLarge) => assert!(fault.is_some()),
            other => assert!(fault.is_some() && other.err() == fault, "first {cut} bytes"),
        }
    }
});
