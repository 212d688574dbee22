//! Why a request is INVALID: how the services declare their reasons.
//!
//! Each service has one enum. A reason has a name, for `/metrics`, the live page and `trident explain`, and
//! the rule that the request breaks: its section of docs/protocol and one sentence. This is the only list
//! of reasons: a new reason is a new line in its enum.

/// An enum of reasons: `Variant = "name", "place in the document", "rule in one sentence";`.
macro_rules! rejects {
    ($(#[$doc:meta])* $Reject:ident, $document:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $name:literal, $section:literal, $rule:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $Reject { $($(#[$variant_doc])* $variant,)* }

        impl $Reject {
            /// Every reason; `ALL[r as usize] == r`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason in snake case, for labels and messages.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The rule's place in the documents, and the rule in one sentence.
            pub(crate) const fn rule(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => (concat!("docs/protocol/", $document, " ", $section), $rule),)*
                }
            }
        }
    };
}
pub(crate) use rejects;
