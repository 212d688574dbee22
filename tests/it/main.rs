//! Black-box tests: the real binary, raw bytes, free ports. One module per subject.

mod cli;
mod drain;
mod h1check;
mod harness;
mod http_limits;
mod http_load;
mod http_slow;
mod http_split;
mod http_table;
mod in_process;
mod panic;
mod pending;
<<<<<<< HEAD
mod etl;
=======
mod twitter;
>>>>>>> 49ea4b7 (test: /twitter against the oracle, its rules by name, reloads under load, damaged stores, budgets)
