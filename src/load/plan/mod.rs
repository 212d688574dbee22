//! What a run sends: the requests, the stages, and which request comes next.
//!
//! - [`corpus`]: requests with their right answers.
//! - [`scenario`]: stages from a file. [`stage`]: how much load each stage asks for.
//! - [`pick`]: which entry of the corpus a worker sends next.

pub mod corpus;
pub mod pick;
pub mod scenario;
pub mod stage;
