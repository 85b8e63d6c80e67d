//! `netwatch notify-test`: whether each notifier can deliver, tried at once. Nothing is recorded, and no daemon is needed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use netwatch_core::{Content, DeliveryError, Locale, MailId, Notification, NotifierPolicy, Receipt, Wall, hostname};
use serde_json::json;

use super::{Exit, complain, configured, say};
use crate::args::{self, Common};
use crate::config::{self, Purpose};
use crate::{wire, words};

/// How long an attempt may take, as in the daemon.
const LIMIT: Duration = Duration::from_secs(60);

/// Tries the notifiers one after the other, in the order of the configuration.
pub(crate) fn notify_test(common: &Common, options: &args::NotifyTest) -> Exit {
    let (config, _) = match configured(common, Purpose::Run) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let Some(data_dir) = config::data_dir(common.data_dir.as_deref(), &config) else {
        complain("error: no data directory is known\n  = help: name it with --data-dir, or set `data_dir`");
        return Exit::Usage;
    };
    let locale = config.plan.locale;
    let is_known = |name: &String| config.plan.notifiers.iter().any(|policy| *policy.name == **name);
    if let Some(unknown) = options.notifiers.iter().find(|name| !is_known(name)) {
        complain(&format!("error: no notifier has the name {unknown:?}\n  = help: `netwatch check` names them"));
        return Exit::Usage;
    }
    if config.plan.notifiers.is_empty() {
        complain(words::no_notifiers(locale));
        return Exit::Wrong;
    }
    let notifiers = match wire::notifiers(&config, &data_dir) {
        Ok(notifiers) => notifiers,
        Err(error) => {
            complain(&format!("error: {error}"));
            return Exit::Wrong;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: cannot start: {error}"));
            return Exit::Wrong;
        }
    };
    let is_asked = |name: &str| options.notifiers.is_empty() || options.notifiers.iter().any(|asked| asked == name);
    let (mut exit, mut results) = (Exit::Fine, Vec::new());
    for (policy, (name, notifier)) in config.plan.notifiers.iter().zip(notifiers) {
        if !is_asked(&name) {
            continue;
        }
        let test = test(policy, locale);
        let attempt = async { tokio::time::timeout(LIMIT, notifier.deliver(&test)).await };
        let result = runtime
            .block_on(attempt)
            .unwrap_or_else(|_late| Err(DeliveryError::uncertain("there was no answer within 60 s")));
        if !is_complete(&result) {
            exit = Exit::Wrong;
        }
        match options.json {
            true => results.push(as_json(&name, &test, &result)),
            false => say(&as_text(&name, &result, locale)),
        }
    }
    if options.json {
        say(&json!({ "notifiers": results }).to_string());
    }
    runtime.shutdown_background();
    exit
}

fn is_complete(result: &Result<Receipt, DeliveryError>) -> bool {
    result.as_ref().is_ok_and(|receipt| receipt.deferred.is_empty() && receipt.refused.is_empty())
}

/// What is sent: it says what it is, and where from.
fn test(policy: &NotifierPolicy, locale: Locale) -> Notification {
    let host = hostname().unwrap_or_else(|_unknown| "localhost".into());
    let (subject, text) = match locale {
        Locale::En => (
            format!("netwatch test from {host}"),
            format!("This is a test of the notifier {} by netwatch on {host}. Nothing is wrong.", policy.name),
        ),
        _ => (
            format!("Prueba de netwatch desde {host}"),
            format!("Esto es una prueba del notificador {} de netwatch en {host}. No pasa nada.", policy.name),
        ),
    };
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = format!("<!DOCTYPE html>\n<html><body><p>{escaped}</p></body></html>\n");
    let now: Wall = SystemTime::now().into();
    let message_id = format!("<nw-test.{}.{:x}@{host}>", now.unix_millis(), std::process::id());
    let mut test = Notification::new(MailId::new(0), message_id, now, Content::new(subject, text + "\n", html));
    test.notifier = policy.name.clone();
    test.recipients.clone_from(&policy.recipients);
    test
}

fn as_text(name: &str, result: &Result<Receipt, DeliveryError>, locale: Locale) -> String {
    let name = words::printable(name);
    match result {
        Ok(receipt) => {
            let accepted: Vec<String> = receipt.accepted.iter().map(|to| words::printable(to)).collect();
            let mut text = format!("{name}: {} {}", words::accepted(locale), accepted.join(", ")).trim_end().to_owned();
            for (to, reason) in receipt.refused.iter().chain(&receipt.deferred) {
                let (to, reason) = (words::printable(to), words::printable(reason));
                text.push_str(&format!("\n{name}: {} {to}: {reason}", words::not_accepted(locale)));
            }
            text
        }
        Err(error) => format!("{name}: {}: {}", words::not_accepted(locale), words::printable(&error.message)),
    }
}

fn as_json(name: &str, test: &Notification, result: &Result<Receipt, DeliveryError>) -> serde_json::Value {
    let pairs = |pairs: &[(Arc<str>, String)]| -> Vec<serde_json::Value> {
        pairs.iter().map(|(to, reason)| json!({ "recipient": &**to, "reason": reason })).collect()
    };
    let message_id = &*test.message_id;
    match result {
        Ok(receipt) => {
            let accepted: Vec<&str> = receipt.accepted.iter().map(|to| &**to).collect();
            json!({ "notifier": name, "message_id": message_id, "accepted": accepted, "error": null,
                "deferred": pairs(&receipt.deferred), "refused": pairs(&receipt.refused) })
        }
        Err(error) => json!({ "notifier": name, "message_id": message_id, "accepted": [], "error": error.message,
            "deferred": [], "refused": pairs(&error.refused) }),
    }
}
