//! Tests of wire.rs.
