//! What a `[[notifier]]` means: the policy for the plan, and how its mails travel.

use std::path::PathBuf;

use netwatch_core::{NotifierPolicy, Security, SmtpConfig, SmtpConfigError, SmtpNotifier};

use super::names::Known;
use super::notifier::{Kind, RawNotifier, RawSmtp};
use super::problem::{At, Problems};
use super::resolve::Surroundings;
use super::{Carrier, Purpose, command, secret, syslog, webhook};

/// The policy, and the carrier if it can be made.
pub(crate) fn resolve(
    raw: &RawNotifier,
    known: &Known<'_>,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> (NotifierPolicy, Option<Carrier>) {
    // Where the name is missing, that has been said; the rest can be judged all the same.
    let mut policy = NotifierPolicy::new(raw.name.as_ref().map_or("", |name| name.value.as_str()));
    policy.recipients = raw.to.iter().map(|to| to.value.as_str().into()).collect();
    policy.group_wait = raw.group_wait.unwrap_or(policy.group_wait);
    policy.group_interval = raw.group_interval.unwrap_or(policy.group_interval);
    policy.min_interval = raw.min_interval.unwrap_or(policy.min_interval);
    policy.budget = raw.budget.unwrap_or(policy.budget);
    policy.recovery = raw.recovery.unwrap_or(policy.recovery);
    policy.reminder = raw.reminder;
    policy.scope = raw.scope.resolve(known, problems);
    policy.escalate_to = raw.escalate_to.as_ref().map(|to| to.value.as_str().into());
    policy.escalate_after = raw.escalate_after.as_ref().map_or(policy.escalate_after, |after| after.value);
    let carrier = match raw.kind {
        None => None,
        Some(Kind::File) => Some(Carrier::File { from: raw.from.as_ref().map(|from| from.value.clone()) }),
        Some(Kind::Smtp) => resolve_smtp(raw, &policy, around, problems).map(|smtp| Carrier::Smtp(Box::new(smtp))),
        Some(Kind::Webhook) => {
            webhook::resolve(raw, around, problems).map(|webhook| Carrier::Webhook(Box::new(webhook)))
        }
        Some(Kind::Exec) => command::resolve(raw, around, problems).map(Carrier::Exec),
        Some(Kind::Syslog) => syslog::resolve(raw, around, problems).map(|syslog| Carrier::Syslog(Box::new(syslog))),
    };
    (policy, carrier)
}

fn resolve_smtp(
    raw: &RawNotifier,
    policy: &NotifierPolicy,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<SmtpConfig> {
    let smtp = &raw.smtp;
    let security = smtp.security.as_ref().map_or(Security::StartTls, |security| security.value);
    let login_is_sound = judge_login(smtp, security, problems);
    let password = match &smtp.password {
        Some(written) if around.purpose != Purpose::Look => {
            let needed = around.purpose == Purpose::Run;
            secret::read(written, around.base, around.environment, needed, problems)
        }
        _ => None,
    };
    let server = smtp.server.as_ref()?;
    // Where the sender is missing, that has been said; the rest can be judged all the same.
    let from = raw.from.as_ref().map_or("netwatch@localhost", |from| from.value.as_str());
    let mut config = SmtpConfig::new(server.value.as_str(), from).with_security(security);
    config.port = smtp.port.unwrap_or(config.port);
    config.timeout = smtp.attempt_timeout.unwrap_or(config.timeout);
    config.to = policy.recipients.clone();
    config.ca_file = smtp.ca_file.as_ref().map(|path| around.base.join(&path.value));
    if let (true, Some(username), Some(password)) = (login_is_sound, &smtp.username, password) {
        config.username = Some(username.value.clone());
        config.password = Some(password);
    }
    if around.purpose != Purpose::Look {
        try_out(raw, &config, problems);
    }
    Some(config)
}

/// A login is a name and a password, and travels only under TLS.
fn judge_login(smtp: &RawSmtp, security: Security, problems: &mut Problems) -> bool {
    let before = problems.errors();
    match (&smtp.username, &smtp.password) {
        (Some(username), None) => {
            let help = "add `password_file = \"/etc/netwatch/smtp-password\"` or `password_env = \"SMTP_PASSWORD\"`";
            problems.error(username.place, "a login needs a password", "no password is named", help);
        }
        (None, Some(password)) => {
            let help = "add `username = \"...\"`";
            problems.error(password.at.place, "a password needs a login", "no `username` is given", help);
        }
        (Some(username), Some(_)) if security == Security::None => {
            let help = "write `security = \"starttls\"` or \"tls\", or remove `username` and the password";
            problems.error(username.place, "a password is never sent without TLS", "`security` is \"none\"", help);
        }
        _ => {}
    }
    problems.errors() == before
}

/// The notifier itself knows best what it cannot work with.
fn try_out(raw: &RawNotifier, config: &SmtpConfig, problems: &mut Problems) {
    let Err(error) = SmtpNotifier::new(config.clone()) else { return };
    let server = raw.smtp.server.as_ref().map(|server| server.place);
    let from = raw.from.as_ref().map(|from| from.place);
    let ca_file = raw.smtp.ca_file.as_ref().map(|path: &At<PathBuf>| path.place);
    let (place, help) = match &error {
        SmtpConfigError::Server { .. } => {
            (server, "write it like `server = \"smtp.example.net\"`, and `port = 587` beside it")
        }
        SmtpConfigError::Address(_) => (from, "write `noc@example.net` or `netwatch <noc@example.net>`"),
        SmtpConfigError::CaFile { .. } => {
            (ca_file, "name a file of PEM certificates, or remove `ca_file` to trust what the system trusts")
        }
        SmtpConfigError::Tls { .. } => (server, "install the package ca-certificates, or name a `ca_file`"),
        _ => (server, "see the mail server's instructions"),
    };
    problems.error(place.unwrap_or(raw.place), error.to_string(), "the mail server cannot be used like this", help);
}
