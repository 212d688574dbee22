//! `/qrcode`: encodes a message into an encrypted QR matrix, or decodes one.

/// Why a request is INVALID. Only counted, never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// A parameter is missing or malformed.
    Malformed,
}
