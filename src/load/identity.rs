//! The team whose name stands in the first line of every response.

/// In whose name the servers answer.
#[derive(Clone, Debug)]
pub struct Identity {
    /// First field of every answer.
    pub team: String,
    /// Second field.
    pub account: String,
    /// Key of auth tokens; without it their form alone is checked.
    pub auth_key: Option<[u8; 32]>,
}

impl Identity {
    /// The line with which every response begins.
    pub fn first_line(&self) -> String {
        format!("{},{}\n", self.team, self.account)
    }
}
