//! The table of endpoints as people read it: the page at `/`, README, `--help`, the start banner.

use std::{fmt::Write, sync::LazyLock};

use super::route::{ENDPOINTS, Example, Form};

/// Requests up to this width have their answer beside them on the page at `/`.
const REQUEST_WIDTH: usize = 46;

/// Every form of a request.
pub fn forms() -> impl Iterator<Item = &'static Form> {
    ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests)
}

/// The page at `/`.
pub(super) fn home() -> &'static [u8] {
    static HOME: LazyLock<String> = LazyLock::new(|| format!("Trident\n{}", list()));
    HOME.as_bytes()
}

/// Every form of a request with its answer.
pub fn list() -> String {
    let mut text = String::new();
    for Form {
        request, answer, ..
    } in forms()
    {
        let _ = match request.len() {
            ..=REQUEST_WIDTH => writeln!(text, "{request:REQUEST_WIDTH$} {answer}"),
            _ => writeln!(text, "{request}\n{:REQUEST_WIDTH$} {answer}", ""),
        };
    }
    text
}

/// One command for each of the three services; a server on `address` answers it from what is built in.
pub fn first_steps(address: &str) -> impl Iterator<Item = String> {
    forms().filter_map(move |form| match form.example {
        Example::FirstStep(target) => Some(format!("curl 'http://{address}{target}'")),
        _ => None,
    })
}

/// The table of README.
pub fn markdown() -> String {
    let mut table = String::from("| request | answer |\n| --- | --- |\n");
    for Form {
        request, answer, ..
    } in forms()
    {
        let request = request.replace('|', "\\|");
        let _ = writeln!(table, "| `{request}` | {answer} |");
    }
    table
}
