//! What was promised, held against a whole [history](super::world::History): one file a promise.
//!
//! A checker says only what cannot be otherwise: wherever netwatch may not have seen something, or may have forgotten it
//! with the program's death, it is given the benefit of the doubt, and no further.

mod budget;
mod causes;
mod endings;
mod evidence;
mod limits;
mod lost;
mod reasons;
mod repeated;
mod scene;
mod trace;
mod unknown;

use std::fmt;
use std::sync::Arc;

use super::world::History;
use crate::model::Mono;
pub use trace::trace;

use evidence::Evidence;

/// A promise of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Promise {
    /// What the functions of the monitor say of themselves is so.
    Word,
    /// Nothing lost.
    NothingLost,
    /// Nothing repeated.
    NothingRepeated,
    /// One cause, one mail.
    OneCause,
    /// Unknown is not down.
    UnknownIsNotDown,
    /// Every silence has a reason.
    EverySilence,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Promise::Word => "0 (the monitor's word)",
            Promise::NothingLost => "1 (nothing lost)",
            Promise::NothingRepeated => "2 (nothing repeated)",
            Promise::OneCause => "3 (one cause, one mail)",
            Promise::UnknownIsNotDown => "4 (unknown is not down)",
            Promise::EverySilence => "6 (every silence has a reason)",
        })
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// Which rule of it, in a word.
    pub rule: &'static str,
    /// When it showed.
    pub at: Mono,
    /// About which device.
    pub device: Option<usize>,
    /// About which notifier.
    pub notifier: Option<Arc<str>>,
    /// What was promised and what happened.
    pub message: String,
}

impl Violation {
    fn new(promise: Promise, rule: &'static str, at: Mono, message: impl Into<String>) -> Violation {
        Violation { promise, rule, at, device: None, notifier: None, message: message.into() }
    }

    fn about(mut self, device: usize) -> Violation {
        self.device = Some(device);
        self
    }

    fn to(mut self, notifier: &Arc<str>) -> Violation {
        self.notifier = Some(notifier.clone());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise {}, {}: {}", self.promise, self.rule, self.message)?;
        if let Some(device) = self.device {
            write!(f, " [device {device}]")?;
        }
        if let Some(notifier) = &self.notifier {
            write!(f, " [{notifier}]")?;
        }
        Ok(())
    }
}

/// Every promise that this history breaks, the earliest first.
pub fn violations(history: &History) -> Vec<Violation> {
    let evidence = Evidence::new(history);
    let word = |oddity: &super::world::Oddity| Violation::new(Promise::Word, "word", oddity.at, oddity.message.clone());
    let mut found: Vec<Violation> = history.oddities.iter().map(word).collect();
    let checkers: [fn(&Evidence<'_>, &mut Vec<Violation>); 8] = [
        lost::check,
        endings::check,
        repeated::check,
        budget::check,
        limits::check,
        causes::check,
        unknown::check,
        reasons::check,
    ];
    for check in checkers {
        check(&evidence, &mut found);
    }
    found.sort_by_key(|violation| violation.at);
    found
}
