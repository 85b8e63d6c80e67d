//! Tests of judge.rs.
