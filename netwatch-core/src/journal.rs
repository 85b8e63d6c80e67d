//! What survives a crash: the trait [`Journal`].

use crate::model::{Commit, Saved};

/// The journal's content could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot load the journal {place}: {reason}")]
pub struct LoadError {
    /// Where it is.
    pub place: String,
    /// What went wrong, and what to do.
    pub reason: String,
}

impl LoadError {
    /// This journal could not be read for this reason.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> LoadError {
        LoadError { place: place.into(), reason: reason.into() }
    }
}

/// A commit did not take effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot write the journal {place}: {reason}")]
pub struct CommitError {
    /// Where it is.
    pub place: String,
    /// What went wrong.
    pub reason: String,
}

impl CommitError {
    /// This journal could not be written for this reason.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> CommitError {
        CommitError { place: place.into(), reason: reason.into() }
    }
}

/// Keeps what must survive a crash.
///
/// Both methods block; the caller gives the journal a thread of its own and makes one call at a time: `load` once,
/// then commits in the order of their `seq`. After an error the caller offers the same changes again, merged with
/// newer ones.
///
/// The implementer makes a commit all or nothing ([`Saved::apply`] is its meaning) and returns `Ok` only when it would
/// survive a power cut.
pub trait Journal: Send {
    /// What the last run left.
    ///
    /// # Errors
    /// When it cannot be read; nothing was changed or deleted.
    fn load(&mut self) -> Result<Saved, LoadError>;

    /// Makes these changes last.
    ///
    /// # Errors
    /// When they did not take effect; none of them did.
    fn commit(&mut self, commit: &Commit) -> Result<(), CommitError>;

    /// What is wrong where the journal is kept although commits still take effect, such as a disk that is almost full,
    /// and what to do. It is asked after each commit, and becomes an [`Event::Journal`](crate::Event::Journal) when it
    /// changes.
    fn warning(&self) -> Option<String> {
        None
    }

    /// What a person should know of how `load` went, such as that something was damaged and set aside; each is told
    /// once. It is asked after `load`, and becomes an [`Event::Trouble`](crate::Event::Trouble) of the component
    /// `store`.
    fn notices(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A journal that forgets: nothing survives the end of the program, so a restart tells of everything anew.
#[derive(Debug, Default)]
pub struct ForgetfulJournal(());

impl ForgetfulJournal {
    /// An empty journal.
    pub fn new() -> ForgetfulJournal {
        ForgetfulJournal(())
    }
}

impl Journal for ForgetfulJournal {
    fn load(&mut self) -> Result<Saved, LoadError> {
        Ok(Saved::default())
    }

    fn commit(&mut self, _commit: &Commit) -> Result<(), CommitError> {
        Ok(())
    }
}
