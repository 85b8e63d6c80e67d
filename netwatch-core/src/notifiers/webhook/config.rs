//! Where a webhook is and how it wants to be spoken to, checked before the first notification needs it.

use std::path::PathBuf;
use std::time::Duration;

use super::address;
use crate::model::Locale;
use crate::notifiers::{Secret, TrustError};

/// Whose webhook it is: what the body looks like, how long it may be, and what its answers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebhookFormat {
    /// The facts as JSON, of at most 256 KiB.
    Json,
    /// Slack, or whatever takes its incoming webhooks: at most 40,000 characters.
    Slack,
    /// The method `sendMessage` of Telegram's Bot API: at most 4096 UTF-16 code units. Needs a chat.
    Telegram,
    /// A workflow of Microsoft Teams: an adaptive card of at most 28 KB.
    Teams,
    /// A topic of ntfy, the last part of the address's path: at most 4096 bytes.
    Ntfy,
    /// PagerDuty's Events API v2: an event a line, of at most 512 KB. Needs a routing key.
    PagerDuty,
}

impl WebhookFormat {
    /// All of them.
    pub const ALL: [WebhookFormat; 6] = [
        WebhookFormat::Json,
        WebhookFormat::Slack,
        WebhookFormat::Telegram,
        WebhookFormat::Teams,
        WebhookFormat::Ntfy,
        WebhookFormat::PagerDuty,
    ];

    /// Its name in a configuration.
    pub const fn code(self) -> &'static str {
        match self {
            WebhookFormat::Json => "json",
            WebhookFormat::Slack => "slack",
            WebhookFormat::Telegram => "telegram",
            WebhookFormat::Teams => "teams",
            WebhookFormat::Ntfy => "ntfy",
            WebhookFormat::PagerDuty => "pagerduty",
        }
    }
}

/// How a webhook is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// Its address. For many services whoever knows it may post, so nothing ever shows more of it than the host.
    pub url: Secret,
    /// Whose it is; default [`WebhookFormat::Json`].
    pub format: WebhookFormat,
    /// A minijinja template of the body, rendered with the facts; default the format's own body. Each value is written as
    /// JSON. One that is broken is [said to be](super::WebhookNotifier::template_error), and does without.
    pub template: Option<String>,
    /// The chat that Telegram shall post to.
    pub chat_id: Option<Secret>,
    /// Sent as `Authorization: Bearer` (RFC 6750), for [`WebhookFormat::Json`] and [`WebhookFormat::Ntfy`].
    pub token: Option<Secret>,
    /// PagerDuty's key of the integration that the events are for.
    pub routing_key: Option<Secret>,
    /// Certificates (PEM) of authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether http:// may lead to another machine, readable by everybody on the way; default no.
    pub allow_insecure: bool,
    /// When an attempt ends, whatever the far side does; default 30 s.
    pub timeout: Duration,
    /// The language of the few words that the notifier adds; default the library's.
    pub locale: Locale,
}

impl WebhookConfig {
    /// The webhook at this address, which gets the facts as JSON.
    pub fn new(url: Secret) -> WebhookConfig {
        WebhookConfig {
            url,
            format: WebhookFormat::Json,
            template: None,
            chat_id: None,
            token: None,
            routing_key: None,
            ca_file: None,
            allow_insecure: false,
            timeout: Duration::from_secs(30),
            locale: Locale::default(),
        }
    }

    /// The same address, of this format.
    #[must_use]
    pub fn with_format(mut self, format: WebhookFormat) -> WebhookConfig {
        self.format = format;
        self
    }

    /// The host of the address: all of it that may be shown. `None` if the address is none.
    ///
    /// ```
    /// use netwatch_core::{Secret, WebhookConfig};
    ///
    /// let config = WebhookConfig::new(Secret::new("https://hooks.example.net:8443/services/T0/B0/x"));
    /// assert_eq!(config.host().as_deref(), Some("hooks.example.net"));
    /// ```
    pub fn host(&self) -> Option<String> {
        address::host(self.url.reveal())
    }
}

/// A webhook cannot be used as configured. No error shows more of the address than its host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookConfigError {
    /// The address is none.
    #[error("the webhook's address cannot be used: {0}; write it like https://host/path, in ASCII")]
    Address(&'static str),
    /// The address is readable on the way.
    #[error("the webhook at {host} would be called without TLS: write https://, or allow it with `allow_insecure`")]
    Insecure {
        /// The host as configured.
        host: String,
    },
    /// The format needs something more.
    #[error("a {format} webhook needs {missing}")]
    Missing {
        /// The format's name.
        format: &'static str,
        /// What it needs.
        missing: &'static str,
    },
    /// The format has no use for something.
    #[error("a {format} webhook has no use for {key}: remove it, or choose another format")]
    Useless {
        /// The format's name.
        format: &'static str,
        /// What it does not use.
        key: &'static str,
    },
    /// The token cannot stand in a header.
    #[error("the token cannot be sent: it may hold visible ASCII characters only")]
    Token,
    /// An attempt could never end well.
    #[error("a time limit of zero lets no notification through: use 30 s")]
    Timeout,
    /// TLS cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}
