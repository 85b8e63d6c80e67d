//! Prepares a reload beside the driver: a plan of a million devices takes its time, and no check waits for it.
//!
//! Whatever can fail has failed by then, so that a bad reload changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::handle::{Answer, Reload, ReloadError};
use super::parts::fit;
use super::resolve::{Addresses, Name, Resolver};
use super::witnesses::{Asking, Witnesses};
use crate::logic::Schedule;
use crate::model::{Host, Mono, Plan};
use crate::notify::Notifier;
use crate::render::{Render, Words};

/// What a new plan has to fit to, and what of the present may stay.
pub(super) struct Present {
    /// The names of the probes, in the driver's order.
    pub(super) probes: Vec<Arc<str>>,
    /// Decides the order of slots: the same for all plans, so that they stay where they are.
    pub(super) key: [u8; 16],
    /// The names that are looked up.
    pub(super) names: Vec<Name>,
    pub(super) witnesses: Vec<Host>,
    pub(super) asking: Asking,
    /// Whether the words of mails are the built-in ones, which follow the plan.
    pub(super) built_in_words: bool,
}

/// A new plan with everything that it needs, ready to be put in force.
pub(super) struct Prepared {
    pub(super) plan: Arc<Plan>,
    pub(super) prober_of: Vec<usize>,
    /// Its calendar, which begins at [`Mono::ZERO`].
    pub(super) schedule: Schedule,
    pub(super) addresses: Addresses,
    /// `None` if the names are the same and the present one may stay.
    pub(super) resolver: Option<Resolver>,
    /// `None` if they are the same.
    pub(super) witnesses: Option<Witnesses>,
    pub(super) notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>,
    /// `None` if the present one stays.
    pub(super) render: Option<Arc<dyn Render>>,
    pub(super) built_in_words: bool,
}

/// Reloads that were asked for, one of them being prepared.
#[derive(Default)]
pub(super) struct Reloads {
    waiting: VecDeque<(Box<Reload>, Answer<(), ReloadError>)>,
    task: JoinSet<Result<Prepared, ReloadError>>,
    /// Who waits for the one that is being prepared.
    answer: Option<Answer<(), ReloadError>>,
}

/// A reload that has been prepared, or refused, and who waits for it.
pub(super) type Ready = (Result<Prepared, ReloadError>, Option<Answer<(), ReloadError>>);

impl Reloads {
    /// Puts one at the end of the queue.
    pub(super) fn add(&mut self, reload: Box<Reload>, answer: Answer<(), ReloadError>) {
        self.waiting.push_back((reload, answer));
    }

    /// Whether the next one is to be prepared now.
    pub(super) fn is_due(&self) -> bool {
        self.task.is_empty() && !self.waiting.is_empty()
    }

    /// Begins to prepare the next one.
    pub(super) fn prepare(&mut self, present: Present) {
        if let Some((reload, answer)) = self.waiting.pop_front() {
            self.answer = Some(answer);
            self.task.spawn_blocking(move || prepare(*reload, present));
        }
    }

    /// The one that is being prepared, once it is; waits for ever if there is none.
    pub(super) async fn ready(&mut self) -> Ready {
        let prepared = match self.task.join_next().await {
            Some(Ok(prepared)) => prepared,
            Some(Err(error)) => Err(ReloadError::Panicked { message: error.to_string() }),
            None => std::future::pending().await,
        };
        (prepared, self.answer.take())
    }
}

fn prepare(reload: Reload, present: Present) -> Result<Prepared, ReloadError> {
    let Reload { plan, notifiers, render } = reload;
    let names: Vec<Arc<str>> = notifiers.iter().map(|(name, _)| name.clone()).collect();
    let prober_of = fit(&plan, &present.probes, &names).map_err(ReloadError::Misfit)?;
    let built_in_words = present.built_in_words && render.is_none();
    let render: Option<Arc<dyn Render>> = match render {
        None if built_in_words => Some(Arc::new(Words::new(plan.locale, None, plan.page_url.clone())?)),
        render => render,
    };
    let schedule = Schedule::new(&plan, present.key, Mono::ZERO);
    let plan = Arc::new(plan);
    let addresses = Addresses::new(&plan);
    let resolver = match addresses.names() == present.names {
        true => None,
        false => Some(addresses.resolve(present.asking.lookup).map_err(ReloadError::Resolver)?),
    };
    let witnesses = match plan.witnesses == present.witnesses {
        true => None,
        false => Some(Witnesses::spawn(&plan.witnesses, present.asking).map_err(ReloadError::Resolver)?),
    };
    Ok(Prepared { plan, prober_of, schedule, addresses, resolver, witnesses, notifiers, render, built_in_words })
}
