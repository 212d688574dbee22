//! The phase of the process, and whether the next request would succeed.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Configuration is valid; sockets and stores are being opened. Not ready.
    Starting,
    /// The next request would succeed.
    Ready,
    /// A stop signal came: not ready, every answer ends its connection, new ones are accepted.
    Draining,
    /// Listeners are closed; requests in flight are being answered.
    Finishing,
    /// Everything has ended.
    Stopped,
}

impl Phase {
    /// Every phase in order; `ALL[p as usize] == p`.
    pub const ALL: [Phase; 5] = [
        Self::Starting,
        Self::Ready,
        Self::Draining,
        Self::Finishing,
        Self::Stopped,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Finishing => "finishing",
            Self::Stopped => "stopped",
        }
    }
}

/// The phase, as the lifecycle sets it.
#[derive(Debug, Default)]
pub struct Health {
    /// Index in [`Phase::ALL`].
    phase: AtomicU8,
}

impl Health {
    /// Sets the phase, and so the answer of `/readyz`.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        let index = usize::from(self.phase.load(Relaxed));
        Phase::ALL.get(index).copied().unwrap_or(Phase::Stopped)
    }

    /// What `/readyz` answers.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_phase_is_ready() {
        let health = Health::default();
        assert_eq!(health.phase(), Phase::Starting);
        for phase in Phase::ALL {
            health.enter(phase);
            assert_eq!(
                (health.phase(), health.is_ready()),
                (phase, phase == Phase::Ready)
            );
        }
    }
}
