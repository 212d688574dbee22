//! Black-box tests: the real binary, raw bytes, free ports. One module per subject.

mod cli;
mod harness;
mod http_table;
