//! What a run sends: the requests, the stages, and the choice of the next request.
//!
//! - [`corpus`]: requests with their right answers. [`list`]: requests from a list of URLs or an access log.
//! - [`scenario`]: stages from a file. [`stage`]: how much load each stage asks for.
//! - [`pick`]: chooses the entry of the corpus that a worker sends next.

pub(crate) mod corpus;
pub mod list;
pub(crate) mod pick;
pub(crate) mod scenario;
pub mod stage;
