//! The SQLite journal.
