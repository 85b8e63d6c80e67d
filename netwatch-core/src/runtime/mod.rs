//! The tokio runtime: it carries out what the pure half decides.
