//! A `[[notifier]]` of kind `webhook`: where it is, whose it is, and what it says.

use std::path::PathBuf;
use std::time::Duration;

use netwatch_core::{Secret, TrustError, WebhookConfig, WebhookConfigError, WebhookFormat, WebhookNotifier};

use super::Purpose;
use super::notifier::RawNotifier;
use super::problem::{At, Place, Problems};
use super::resolve::Surroundings;
use super::secret::{self, SecretIn, SecretKey, Written};
use super::section::Section;

/// The keys that only this kind has.
pub(super) const KEYS: [&str; 17] = [
    "url",
    "url_file",
    "url_env",
    "format",
    "body_file",
    "chat_id",
    "chat_id_file",
    "chat_id_env",
    "token",
    "token_file",
    "token_env",
    "routing_key",
    "routing_key_file",
    "routing_key_env",
    "ca_file",
    "allow_insecure",
    "attempt_timeout",
];

const URL: SecretKey =
    SecretKey { key: "url", what: "address", here: true, example: ("/etc/netwatch/webhook-url", "WEBHOOK_URL") };
const CHAT_ID: SecretKey =
    SecretKey { key: "chat_id", what: "chat id", here: true, example: ("/etc/netwatch/chat-id", "TELEGRAM_CHAT_ID") };
const TOKEN: SecretKey =
    SecretKey { key: "token", what: "token", here: false, example: ("/etc/netwatch/webhook-token", "WEBHOOK_TOKEN") };
const ROUTING_KEY: SecretKey = SecretKey {
    key: "routing_key",
    what: "routing key",
    here: false,
    example: ("/etc/netwatch/pagerduty-key", "PAGERDUTY_ROUTING_KEY"),
};

/// Stands for an address or a key that cannot be read here, so that the rest can be judged.
const UNREAD: &str = "https://netwatch.invalid/unread";

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct RawWebhook {
    url: Option<Written>,
    format: Option<At<WebhookFormat>>,
    body_file: Option<At<PathBuf>>,
    chat_id: Option<Written>,
    token: Option<Written>,
    routing_key: Option<Written>,
    ca_file: Option<At<PathBuf>>,
    allow_insecure: Option<bool>,
    attempt_timeout: Option<Duration>,
}

impl RawWebhook {
    pub(super) fn read(section: &mut Section, place: Place, problems: &mut Problems) -> RawWebhook {
        let formats = WebhookFormat::ALL.map(|format| (format.code(), format));
        let before = problems.errors();
        let url = secret::named(section, &URL, problems);
        if url.is_none() && problems.errors() == before {
            let help = "add `url = \"https://...\"`, or, if whoever knows it may post, `url_file = \"/etc/netwatch/webhook-url\"`";
            problems.error(place, "`url` is missing", "this has no `url`, `url_file` or `url_env`", help);
        }
        RawWebhook {
            url,
            format: section.choice("format", &formats, problems),
            body_file: section.words("body_file", problems).map(|path| path.map(PathBuf::from)),
            chat_id: secret::named(section, &CHAT_ID, problems),
            token: secret::named(section, &TOKEN, problems),
            routing_key: secret::named(section, &ROUTING_KEY, problems),
            ca_file: section.words("ca_file", problems).map(|path| path.map(PathBuf::from)),
            allow_insecure: section.boolean("allow_insecure", problems).map(|said| said.value),
            attempt_timeout: section
                .duration("attempt_timeout", Duration::from_secs(1), Duration::from_secs(60), problems)
                .map(|said| said.value),
        }
    }

    /// The host of the address, if that stands in the configuration.
    pub(super) fn host(&self) -> Option<(String, Place)> {
        match &self.url.as_ref()?.at {
            At { value: SecretIn::Here(url), place } => Some((WebhookConfig::new(url.clone()).host()?, *place)),
            _ => None,
        }
    }
}

/// The configuration of the webhook, if it can be made.
pub(super) fn resolve(raw: &RawNotifier, around: &Surroundings<'_>, problems: &mut Problems) -> Option<WebhookConfig> {
    let webhook = &raw.webhook;
    let read = |written: Option<&Written>, problems: &mut Problems| {
        let found = match around.purpose {
            Purpose::Look => None,
            _ => secret::read(written?, around.base, around.environment, around.purpose == Purpose::Run, problems),
        };
        // What cannot be read here has been told of.
        written.map(|_| found.unwrap_or_else(|| Secret::new(UNREAD)))
    };
    let url = read(webhook.url.as_ref(), problems)?;
    let mut config = WebhookConfig::new(url);
    config.format = webhook.format.as_ref().map_or(config.format, |format| format.value);
    config.chat_id = read(webhook.chat_id.as_ref(), problems);
    config.token = read(webhook.token.as_ref(), problems);
    config.routing_key = read(webhook.routing_key.as_ref(), problems);
    config.ca_file = webhook.ca_file.as_ref().map(|path| around.base.join(&path.value));
    config.allow_insecure = webhook.allow_insecure.unwrap_or(config.allow_insecure);
    config.timeout = webhook.attempt_timeout.unwrap_or(config.timeout);
    if around.purpose != Purpose::Look {
        config.template = webhook.body_file.as_ref().and_then(|path| read_body(path, around, problems));
        try_out(raw, &config, around, problems);
    }
    Some(config)
}

fn read_body(written: &At<PathBuf>, around: &Surroundings<'_>, problems: &mut Problems) -> Option<String> {
    let path = around.base.join(&written.value);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            let title = format!("cannot read {}: {error}", path.display());
            let help = "name a template that netwatch can read, or remove `body_file` for the built-in body";
            problems.error(written.place, title, "named here", help);
            None
        }
    }
}

/// The notifier itself knows best what it cannot work with. A template that is broken must not keep netwatch from
/// watching: the built-in body is sent for it.
fn try_out(raw: &RawNotifier, config: &WebhookConfig, around: &Surroundings<'_>, problems: &mut Problems) {
    let webhook = &raw.webhook;
    let place = |written: &Option<Written>| written.as_ref().map(|written| written.at.place);
    let format = webhook.format.as_ref().map(|format| format.place);
    let error = match WebhookNotifier::new(config.clone()) {
        Ok(notifier) => {
            if let (Some(error), Some(file)) = (notifier.template_error(), &webhook.body_file) {
                let title = format!("the template is broken: {error}");
                let help = "see the section on webhooks in docs/OPERATIONS.md for what a template is given";
                match around.purpose {
                    Purpose::Run => problems.warning(file.place, title, "the built-in body is sent instead", help),
                    _ => problems.error(file.place, title, "this would make no body", help),
                }
            }
            return;
        }
        Err(error) => error,
    };
    let (place, help) = match &error {
        WebhookConfigError::Address(_) => (place(&webhook.url), "copy the address from the service that gave it"),
        WebhookConfigError::Insecure { .. } => {
            (place(&webhook.url), "write https://, or `allow_insecure = true` if everybody on the way may read it")
        }
        WebhookConfigError::Missing { missing: "a chat id", .. } => {
            (format, "add `chat_id = \"-1001234567890\"`, or `chat_id_file` or `chat_id_env`")
        }
        WebhookConfigError::Missing { .. } => {
            (format, "add `routing_key_file = \"/etc/netwatch/pagerduty-key\"`, or `routing_key_env`")
        }
        WebhookConfigError::Useless { key, .. } => {
            let written = match *key {
                "a chat id" => place(&webhook.chat_id),
                "a token" => place(&webhook.token),
                "a routing key" => place(&webhook.routing_key),
                _ => webhook.body_file.as_ref().map(|file| file.place),
            };
            (written, "remove it, or write the `format` that it is for")
        }
        WebhookConfigError::Token => (place(&webhook.token), "copy the token again, without anything around it"),
        WebhookConfigError::Trust(TrustError::CaFile { .. }) => {
            let help = "name a file of PEM certificates, or remove `ca_file` to trust what the system trusts";
            (webhook.ca_file.as_ref().map(|path| path.place), help)
        }
        _ => (place(&webhook.url), "install the package ca-certificates, or name a `ca_file`"),
    };
    problems.error(place.unwrap_or(raw.place), error.to_string(), "the webhook cannot be used like this", help);
}
