//! The vocabulary of netwatch: plain data that every other part speaks, and nothing else.
//!
//! Nothing here reads a clock, opens a file or knows of tokio. The words are those of the field: a *target* is asked
//! by a *probe* in *checks*; a check's result is a *sample*; a run of silent samples is an *outage*; what a person is
//! told of it is a *line* in a *mail*.

mod calendar;
mod drill;
mod event;
mod incident;
mod input;
mod ledger;
mod mail;
mod maintenance;
mod outage;
mod plan;
mod sample;
mod saved;
mod scope;
mod status;
mod target;
mod time;
mod trouble;

pub use calendar::{Calendar, Period};
pub use drill::DrillRefusal;
pub use event::{Delivery, DeliveryOutcome, Event, Start, TargetView, Transition};
pub use incident::{Incident, Topic};
pub use input::{Input, Testimony, WitnessId};
pub use ledger::{Decision, Hold, LedgerEntry};
pub use mail::{
    Behind, Content, DeliveryError, Draft, GroupCount, Held, Line, LineId, LineKind, MailId, Notification, Receipt,
    Stage, Standing, StandingKind, Subject,
};
pub use maintenance::{Maintenance, MaintenanceId};
pub use outage::{Ack, Outage, OutageId};
pub use plan::{Budget, Group, GroupId, Locale, NotifierId, NotifierPolicy, Plan};
pub use sample::{Cause, Echo, Echoes, Loss, Rtt, Sample};
pub use saved::{Change, Commit, Key, Saved, SavedMail, SavedNotifier, SavedTarget, Told};
pub use scope::Scope;
pub use status::Status;
pub use target::{Family, Host, PayloadRule, Settings, Target, TargetId};
pub use time::{Mono, Now, Wall};
pub use trouble::Trouble;
