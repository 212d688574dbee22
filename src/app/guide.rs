//! The table of endpoints as README shows it, and the first requests of the start banner and `--help`.

use std::fmt::Write;

use super::route::{Example, Form, forms};

/// One command for each of the three services; a server on `address` answers it from the built-in sample.
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
