//! The `[[notifier]]` of the file: when it may speak, and how it reaches people.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use netwatch_core::{Budget, FileNotifier, Security};

use super::calendar::Hours;
use super::command::RawExec;
use super::file::required;
use super::names::RawScope;
use super::problem::{At, Place, Problems};
use super::secret::{self, Written};
use super::section::Section;
use super::syslog::RawSyslog;
use super::webhook::RawWebhook;
use super::{command, rule, syslog, webhook};

const POLICY: [&str; 15] = [
    "name",
    "kind",
    "group_wait",
    "group_interval",
    "min_interval",
    "budget",
    "recovery",
    "hours",
    "reminder",
    "summary",
    "groups",
    "targets",
    "tags",
    "escalate_to",
    "escalate_after",
];
const MAIL: [&str; 2] = ["from", "to"];
const SMTP: [&str; 8] =
    ["server", "port", "security", "username", "password_file", "password_env", "ca_file", "attempt_timeout"];
const LATER: [&str; 1] = ["template"];

/// How a notifier reaches people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A mail server.
    Smtp,
    /// `.eml` files in the data directory.
    File,
    /// A webhook.
    Webhook,
    /// A command.
    Exec,
    /// A log server.
    Syslog,
}

impl Kind {
    /// Its name in the configuration.
    const fn code(self) -> &'static str {
        match self {
            Kind::Smtp => "smtp",
            Kind::File => "file",
            Kind::Webhook => "webhook",
            Kind::Exec => "exec",
            Kind::Syslog => "syslog",
        }
    }

    /// Whether it writes mails, from somebody to somebody.
    const fn mails(self) -> bool {
        matches!(self, Kind::Smtp | Kind::File)
    }
}

/// One `[[notifier]]`.
#[derive(Debug)]
pub(crate) struct RawNotifier {
    pub(crate) place: Place,
    /// Absent if it is missing or wrong, which has been said.
    pub(crate) name: Option<At<String>>,
    /// Absent if it is missing or wrong, which has been said.
    pub(crate) kind: Option<Kind>,
    pub(crate) group_wait: Option<Duration>,
    pub(crate) group_interval: Option<Duration>,
    pub(crate) min_interval: Option<Duration>,
    pub(crate) budget: Option<Budget>,
    pub(crate) recovery: Option<bool>,
    pub(super) hours: Option<Hours>,
    pub(crate) reminder: Option<Duration>,
    pub(crate) summary: Option<Time>,
    pub(super) scope: RawScope,
    pub(crate) escalate_to: Option<At<String>>,
    pub(crate) escalate_after: Option<At<Duration>>,
    pub(crate) from: Option<At<String>>,
    pub(crate) to: Vec<At<String>>,
    pub(crate) smtp: RawSmtp,
    pub(crate) webhook: RawWebhook,
    pub(crate) exec: RawExec,
    pub(crate) syslog: RawSyslog,
}

/// The keys that only `kind = "smtp"` has.
#[derive(Debug, Default)]
pub(crate) struct RawSmtp {
    pub(crate) server: Option<At<String>>,
    pub(crate) port: Option<u16>,
    pub(crate) security: Option<At<Security>>,
    pub(crate) username: Option<At<String>>,
    pub(crate) password: Option<Written>,
    pub(crate) ca_file: Option<At<PathBuf>>,
    pub(crate) attempt_timeout: Option<Duration>,
}

impl RawNotifier {
    /// Reads one; without its kind, on which the keys depend, unknown ones are not told of.
    pub(crate) fn read(found: At<Section>, problems: &mut Problems) -> RawNotifier {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
        let At { value: mut section, place } = found;
        let name = required(&mut section, "name", "\"noc\"", place, problems);
        let kind = read_kind(&mut section, place, problems);
        let budget = [("target", Budget::Target), ("all", Budget::All)];
        let mut time = |key: &str| section.duration(key, Duration::ZERO, WEEK, problems).map(|said| said.value);
        let (group_wait, group_interval, min_interval) =
            (time("group_wait"), time("group_interval"), time("min_interval"));
        let budget = section.choice("budget", &budget, problems).map(|said| said.value);
        let recovery = section.boolean("recovery", problems).map(|said| said.value);
        let hours = rule::read_hours(&mut section, "hours", "07:00-22:00", problems).map(|said| said.value);
        let reminder = section.duration("reminder", Duration::from_secs(60), WEEK, problems).map(|said| said.value);
        let summary = rule::read_time(&mut section, "summary", problems);
        let groups = section.list("groups", problems).map_or_else(Vec::new, |groups| groups.value);
        let scope = RawScope::read(&mut section, groups, problems);
        let escalate_to = section.words("escalate_to", problems);
        let escalate_after = section.duration("escalate_after", Duration::ZERO, WEEK, problems);
        if kind == Some(Kind::Smtp) {
            expect_mailboxes(&section, place, problems);
        }
        let (from, to) = match kind {
            Some(kind) if !kind.mails() => {
                refuse_mailboxes(&mut section, kind, problems);
                (None, Vec::new())
            }
            _ => read_mailboxes(&mut section, problems),
        };
        let mut raw = RawNotifier {
            place,
            name,
            kind,
            group_wait,
            group_interval,
            min_interval,
            budget,
            recovery,
            hours,
            reminder,
            summary,
            scope,
            escalate_to,
            escalate_after,
            from,
            to,
            smtp: RawSmtp::default(),
            webhook: RawWebhook::default(),
            exec: RawExec::default(),
            syslog: RawSyslog::default(),
        };
        raw.read_own(section, problems);
        raw
    }

    /// Reads what only notifiers of this kind have.
    fn read_own(&mut self, mut section: Section, problems: &mut Problems) {
        let place = self.place;
        let own: &[&str] = match self.kind {
            Some(Kind::Smtp) => {
                self.smtp = RawSmtp::read(&mut section, place, problems);
                &SMTP
            }
            Some(Kind::Webhook) => {
                self.webhook = RawWebhook::read(&mut section, place, problems);
                &webhook::KEYS
            }
            Some(Kind::Exec) => {
                self.exec = RawExec::read(&mut section, place, problems);
                &command::KEYS
            }
            Some(Kind::Syslog) => {
                self.syslog = RawSyslog::read(&mut section, place, problems);
                &syslog::KEYS
            }
            Some(Kind::File) | None => {
                // Wherever it stands, it is not to be shown.
                secret::named(&mut section, &secret::PASSWORD, problems);
                &[]
            }
        };
        let Some(kind) = self.kind else { return };
        let (mail, later): (&[&str], &[&str]) = if kind.mails() { (&MAIL, &LATER) } else { (&[], &[]) };
        let known: Vec<&str> = POLICY.iter().chain(mail).chain(own).copied().collect();
        section.finish(&known, later, problems);
    }
}

impl RawSmtp {
    fn read(section: &mut Section, place: Place, problems: &mut Problems) -> RawSmtp {
        let words = [("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)];
        RawSmtp {
            server: required(section, "server", "\"smtp.example.net\"", place, problems),
            port: section.integer("port", 1, 65535, problems).and_then(|port| u16::try_from(port.value).ok()),
            security: section.choice("security", &words, problems),
            username: section.words("username", problems),
            password: secret::named(section, &secret::PASSWORD, problems),
            ca_file: section.words("ca_file", problems).map(|path| path.map(PathBuf::from)),
            attempt_timeout: section
                .duration("attempt_timeout", Duration::from_secs(1), Duration::from_secs(60), problems)
                .map(|said| said.value),
        }
    }
}

fn read_kind(section: &mut Section, place: Place, problems: &mut Problems) -> Option<Kind> {
    let kind = required(section, "kind", "\"smtp\"", place, problems)?;
    let kinds = [Kind::Smtp, Kind::Webhook, Kind::Exec, Kind::Syslog, Kind::File];
    if let Some(found) = kinds.into_iter().find(|known| known.code() == kind.value) {
        return Some(found);
    }
    let help = "write \"smtp\" for a mail server, \"webhook\", \"exec\" for a command, \"syslog\", or \"file\" for .eml files in the data directory";
    let title = format!("`kind` cannot be \"{}\"", kind.value);
    problems.error(kind.place, title, "not a kind that netwatch knows", help);
    None
}

/// A mail needs a sender and somebody who gets it.
fn expect_mailboxes(section: &Section, place: Place, problems: &mut Problems) {
    if section.key("from").is_none() {
        let help = "add `from = \"netwatch <noc@example.net>\"`";
        problems.error(place, "`from` is missing", "mails need a sender", help);
    }
    if section.key("to").is_none() {
        problems.error(place, "`to` is missing", "this notifier tells nobody", "add `to = [\"turno@example.net\"]`");
    }
}

/// Who gets it is decided at the far side.
fn refuse_mailboxes(section: &mut Section, kind: Kind, problems: &mut Problems) {
    for key in MAIL {
        let Some(place) = section.key(key) else { continue };
        section.take(key);
        let title = format!("a notifier of kind \"{}\" has no `{key}`", kind.code());
        let help = format!("remove `{key}`; for mail, write `kind = \"smtp\"`");
        problems.error(place, title, "no mailbox is addressed", help);
    }
}

fn read_mailboxes(section: &mut Section, problems: &mut Problems) -> (Option<At<String>>, Vec<At<String>>) {
    let from = read_mailbox(section.words("from", problems), problems);
    let to = section.list("to", problems);
    if let Some(nobody) = to.as_ref().filter(|to| to.value.is_empty()) {
        let help = "add an address: `to = [\"turno@example.net\"]`";
        problems.error(nobody.place, "`to` is empty", "this notifier tells nobody", help);
    }
    let to: Vec<At<String>> = to.into_iter().flat_map(|all| all.value).collect();
    (from, to.into_iter().filter_map(|one| read_mailbox(Some(one), problems)).collect())
}

/// A mail address, or a name and an address in angle brackets (RFC 5322, 3.4), as the notifiers themselves judge it.
fn read_mailbox(written: Option<At<String>>, problems: &mut Problems) -> Option<At<String>> {
    let written = written?;
    if FileNotifier::new("", &written.value).is_ok() {
        return Some(written);
    }
    let help =
        "write `noc@example.net` or `netwatch <noc@example.net>`, in ASCII (an international domain in its xn-- form)";
    problems.error(written.place, "this is not a mail address", "not understood", help);
    None
}
