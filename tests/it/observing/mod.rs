//! What an operator sees and controls: [`admin`] the admin address, [`metrics`] every series and the documents,
//! dashboard and rules that name them.

mod admin;
mod metrics;
