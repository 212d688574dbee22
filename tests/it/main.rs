//! Black-box tests.
mod cli;
