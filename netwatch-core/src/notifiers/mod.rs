//! Notifiers that come with netwatch.
