//! From tweets to one stored value per user.
pub mod created_at;
pub mod error;
pub mod extract;
pub mod json;
pub mod record;
pub mod sort;
pub mod spill;
pub mod text;
