//! Tests of inflight.rs.
