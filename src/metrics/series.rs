//! How the names table is written: macros for series and label values.
//!
//! A series has a family, the family's help text, and labels as pairs of name and value. Nothing takes
//! a label apart again: `export` hands the pairs to the writer, `Display` writes them as Prometheus does.

use std::fmt::{self, Write};

/// The name of a label and its value.
pub type Label = (&'static str, &'static str);

/// An enum of the values that one label may have.
macro_rules! label_values {
    ($(#[$doc:meta])* $Name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $Name { $($(#[$variant_doc])* $variant,)* }

        impl $Name {
            /// Every value; `ALL[v as usize] == v`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value as it is exported.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $value,)* }
            }
        }
    };
}
pub(super) use label_values;

/// An enum with one variant for each series of the families listed:
/// `"family", "help" { Variant { label: "value" }, }`.
macro_rules! series {
    ($(#[$doc:meta])* $Series:ident; $($family:literal, $help:literal {
        $($name:ident $({ $($label:ident: $value:expr),* })?,)*
    })*) => {
        $(#[$doc])*
        #[allow(missing_docs)] // the help text of the family says it
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Series { $($($name,)*)* }

        impl $Series {
            /// Every series; `ALL[s as usize] == s`.
            #[allow(dead_code, reason = "a family whose caller gives its series is not walked")]
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// The metric family.
            pub const fn family(self) -> &'static str {
                match self { $($(Self::$name => $family,)*)* }
            }

            /// The question the family answers.
            pub const fn help(self) -> &'static str {
                match self { $($(Self::$name => $help,)*)* }
            }

            /// The labels, none if the family has only one series.
            pub const fn labels(self) -> &'static [$crate::metrics::series::Label] {
                match self {
                    $($(Self::$name => const { &[$($((stringify!($label), $value)),*)?] },)*)*
                }
            }
        }

        impl std::fmt::Display for $Series {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.family())?;
                $crate::metrics::series::write_labels(f, self.labels())
            }
        }
    };
}
pub(super) use series;

/// Writes `{name="value",…}`, or nothing where there are no labels. The values need no escapes.
pub(super) fn write_labels(out: &mut impl Write, labels: &[Label]) -> fmt::Result {
    for (index, (name, value)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(out, "{before}{name}=\"{value}\"")?;
    }
    match labels {
        [] => Ok(()),
        _ => out.write_char('}'),
    }
}
