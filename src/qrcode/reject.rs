//! Why a request is INVALID. Handlers return a reason, `trident explain` finds its place in the request.

crate::reject::rejects! {
    /// Why a request is INVALID. The client gets only INVALID; `trident explain` shows the reason.
    Reject, "qrcode.md" {
        /// `type` is missing or neither `encode` nor `decode`.
        Type = "type", "first paragraph", "type is encode or decode";
        /// `data` is missing.
        Data = "data", "first paragraph", "data is there; it may be empty";
        /// `format` is not one of [`Format`](super::Format)'s.
        Format = "format", "second paragraph", "format is svg, png or text";
        /// `timestamp` is not a decimal integer of 64 bits.
        Timestamp = "timestamp", "first paragraph", "timestamp is a decimal integer of 64 bits";
        /// The text to encode has more bytes than the symbol can hold.
        TooLong = "too_long", "§1, step 1", "a message fits its symbol";
        /// `data` to decode is not 32 hex words.
        Words = "words", "§2, step 1", "data is a grid of 32 words";
        /// The grid holds no code, or no code equal to its re-encoded message.
        NoCode = "no_code", "§2, steps 3 and 4", "three finders at the corners of a square, around what encoding the message gives";
    }
}
