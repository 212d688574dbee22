//! Configuration: flag, environment, file, default, in this order of precedence.

/// Every setting, validated.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Listeners, workers, limits.
    pub serve: crate::serve::Options,
    /// Identity and endpoints.
    pub app: crate::app::Options,
}
