//! Mails and words.
