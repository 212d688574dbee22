//! Black-box tests: the real binary, raw bytes, free ports. One module per subject.

mod admin;
mod bad_input;
mod chain;
mod cli;
mod differential;
mod drain;
mod endpoints;
mod etl;
mod h1check;
mod harness;
mod http_limits;
mod http_load;
mod http_slow;
mod http_split;
mod http_table;
mod in_process;
mod ingest;
mod load;
mod metrics;
mod notify;
mod panic;
mod pending;
mod reasons;
mod scan;
mod synth;
mod twitter;
