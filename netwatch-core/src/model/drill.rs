//! Why a drill was not begun.

use std::sync::Arc;

use super::time::Wall;

/// A drill was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrillRefusal {
    /// No target has this name.
    #[error("cannot rehearse an outage of {target:?}: no target has that name; look at the list of targets")]
    NoTarget {
        /// The name.
        target: Arc<str>,
    },
    /// No notifier is for this target, so that there is nothing to rehearse.
    #[error("cannot rehearse an outage of {target:?}: nobody would be told of it; name it in the scope of a notifier")]
    Nobody {
        /// The target.
        target: Arc<str>,
    },
    /// The last drill was less than 10 min ago.
    #[error("the last drill was less than 10 min ago; wait a little and try again")]
    TooSoon {
        /// When the next one may begin.
        again: Wall,
    },
}
