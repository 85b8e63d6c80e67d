//! Sinks that come with netwatch.
