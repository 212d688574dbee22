//! Black-box tests: the real binary, raw bytes, free ports. One folder per subject.
//!
//! - [`http`]: what any service on the loop gets: the protocol, limits, deadlines, fairness, answers that come later.
//! - [`endpoints`]: what the three endpoints answer, over the socket, and why they refuse.
//! - [`twitter`]: `/twitter` from a store and from a database. [`ingest`]: tweets posted to a server.
//! - [`etl`], [`load`], [`cli`]: the commands that are not servers.
//! - [`serve`]: the process: the service manager, the stop, a store damaged below it.
//! - [`observing`]: the admin address and the metrics.
//!
//! Shared: [`harness`] has the server and a client that sees bytes, [`in_process`] the HTTP loop with a service of the
//! test's own, [`far_end`] what the kernel knows of the server's end, [`command`] the binary as a command that ends,
//! [`sample`] one request and one store, [`temp_dir`] a directory that goes with its test, [`traced`] calls of a running
//! process that fail.

mod cli;
mod command;
mod endpoints;
mod etl;
mod far_end;
mod harness;
mod http;
mod in_process;
mod ingest;
mod load;
mod observing;
mod sample;
mod serve;
mod temp_dir;
mod traced;
mod twitter;
