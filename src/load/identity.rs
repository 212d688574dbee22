//! The team named in the first line of every response.

/// The identity that the servers answer with.
#[derive(Clone, Debug)]
pub struct Identity {
    /// First field of every answer.
    pub team: String,
    /// Second field.
    pub account: String,
    /// Key of auth tokens; without it only their form is checked.
    pub auth_key: Option<[u8; 32]>,
}

impl Identity {
    /// The line with which every response begins.
    pub fn team_line(&self) -> String {
        format!("{},{}\n", self.team, self.account)
    }
}
