//! Webhooks: chats, alerting services, or a program of one's own, each told in the words it understands.
//!
//! An answer of 2xx is the far side's word that it took the notification. There are no redirects, no proxies and no
//! retries in here: a secret goes nowhere but where it was configured to go, and when to try again is decided elsewhere.

mod address;
mod answer;
mod bodies;
mod client;
mod config;
mod pagerduty;
mod redact;
mod template;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::header::HeaderValue;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::Instant;

use self::address::Address;
use self::bodies::Extras;
use self::client::Poster;
use self::redact::Redactor;
use self::template::Template;
use super::{Secret, trust};
use crate::model::{DeliveryError, Locale, Notification, Receipt, Stage};
use crate::notify::Notifier;

pub use self::config::{WebhookConfig, WebhookConfigError, WebhookFormat};

/// Posts notifications to a webhook.
///
/// A failure is [permanent](DeliveryError::permanent) only if the far side refused this notification for good: 4xx but
/// 408, 409, 425 and 429, or `"ok":false` of Slack's and Telegram's. `Retry-After` is passed on
/// ([`DeliveryError::retry_after`]).
///
/// PagerDuty takes an event a line. If it stops in the middle, the next attempt for the same notification goes on where
/// this one ended; after a restart it begins anew, and PagerDuty knows the events by their keys.
pub struct WebhookNotifier {
    address: Address,
    who: String,
    format: WebhookFormat,
    template: Option<Result<Template, String>>,
    extras: Extras,
    routing_key: String,
    authorization: Option<HeaderValue>,
    tls: Arc<ClientConfig>,
    redactor: Redactor,
    limit: Duration,
    /// How many events of the notification with this Message-ID were accepted.
    accepted: Mutex<(Arc<str>, usize)>,
}

impl WebhookNotifier {
    /// Posts to this webhook. Reads the certificates to trust, and connects to nothing.
    ///
    /// # Errors
    /// When the address or what the format needs cannot be used as configured, or no certificates can be read. A broken
    /// template is none: see [`template_error`](WebhookNotifier::template_error).
    ///
    /// ```
    /// use netwatch_core::{Secret, WebhookConfig, WebhookConfigError, WebhookNotifier};
    ///
    /// let webhook = |url: &str| WebhookNotifier::new(WebhookConfig::new(Secret::new(url)));
    /// assert!(webhook("http://127.0.0.1:9000/netwatch").is_ok());
    /// assert!(matches!(webhook("http://hooks.example.net/a"), Err(WebhookConfigError::Insecure { .. })));
    /// ```
    pub fn new(config: WebhookConfig) -> Result<WebhookNotifier, WebhookConfigError> {
        if config.timeout.is_zero() {
            return Err(WebhookConfigError::Timeout);
        }
        let address = Address::read(&config)?;
        fits(&config)?;
        let revealed = |secret: &Option<Secret>| secret.as_ref().map_or("", |secret| secret.reveal().trim()).to_owned();
        let (chat_id, token, routing_key) =
            (revealed(&config.chat_id), revealed(&config.token), revealed(&config.routing_key));
        let authorization = (!token.is_empty()).then(|| bearer(&token)).transpose()?;
        let tls = if address.secure { trust::client(config.ca_file.as_deref())? } else { trust::nobody()? };
        let secrets = address::secrets(config.url.reveal().trim()).into_iter();
        let redactor = Redactor::new(secrets.chain([chat_id.clone(), token, routing_key.clone()]));
        let extras = Extras { chat_id, topic: address.topic.clone().unwrap_or_default(), locale: config.locale };
        Ok(WebhookNotifier {
            who: format!("{} webhook at {}", config.format.code(), address.host),
            address,
            format: config.format,
            template: config.template.as_deref().map(Template::new),
            extras,
            routing_key,
            authorization,
            tls,
            redactor,
            limit: config.timeout,
            accepted: Mutex::default(),
        })
    }

    /// What is wrong with the template, if anything is; until it is replaced, the format's own body is sent.
    pub fn template_error(&self) -> Option<&str> {
        self.template.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Its locale, for the few words that are its own.
    fn locale(&self) -> Locale {
        self.extras.locale
    }

    /// What to post, and what is wrong with the template.
    fn body(&self, notification: &Notification) -> (String, Option<String>) {
        let own = || bodies::body(self.format, notification, &self.extras).to_string();
        let rendered = match &self.template {
            None => return (own(), None),
            Some(Ok(template)) => template.render(notification),
            Some(Err(error)) => Err(error.clone()),
        };
        match rendered {
            Ok(body) => (body, None),
            Err(error) => {
                let remark = format!(
                    "the template of the {} is broken, and the built-in body was sent instead: {error}; correct its \
                     `body_file`",
                    self.who
                );
                (own(), Some(remark))
            }
        }
    }

    async fn post(&self, poster: &Poster<'_>, body: String) -> Result<(), DeliveryError> {
        let answer = poster.post(body, answer::body_counts(self.format)).await?;
        answer::judge(&answer, self.format, &self.who, &self.redactor)
    }

    async fn events(&self, poster: &Poster<'_>, notification: &Notification) -> Result<(), DeliveryError> {
        let events: Vec<Value> = pagerduty::events(notification, &self.routing_key, self.locale());
        let done = self.accepted_of(&notification.message_id);
        let total = events.len();
        for (place, event) in events.into_iter().enumerate().skip(done) {
            if let Err(mut error) = self.post(poster, event.to_string()).await {
                if place > 0 {
                    // It has the others: the rest of this very notification must follow.
                    error.stage = Stage::Uncertain;
                    error.message = format!("{} ({place} of {total} events were taken)", error.message);
                }
                return Err(error);
            }
            self.note_accepted(&notification.message_id, place.saturating_add(1));
        }
        Ok(())
    }

    fn accepted_of(&self, message_id: &Arc<str>) -> usize {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.0 == *message_id { accepted.1 } else { 0 }
    }

    fn note_accepted(&self, message_id: &Arc<str>, count: usize) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = (Arc::clone(message_id), count);
    }
}

impl fmt::Debug for WebhookNotifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhookNotifier")
            .field("host", &self.address.host)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let poster = Poster {
            client: client::client(&self.tls, self.address.secure, self.limit / 2),
            uri: &self.address.uri,
            authorization: self.authorization.as_ref(),
            who: &self.who,
            redactor: &self.redactor,
            deadline: Instant::now() + self.limit,
        };
        let receipt = Receipt::accepted(&notification.recipients);
        if self.format == WebhookFormat::PagerDuty {
            self.events(&poster, notification).await?;
            return Ok(receipt);
        }
        let (body, remark) = self.body(notification);
        match (self.post(&poster, body).await, remark) {
            (Ok(()), None) => Ok(receipt),
            (Ok(()), Some(remark)) => Ok(receipt.with_remark(remark)),
            (Err(error), None) => Err(error),
            (Err(mut error), Some(remark)) => {
                error.message = format!("{}; besides, {remark}", error.message);
                Err(error)
            }
        }
    }
}

/// Whether the format has what it needs, and nothing that it would silently not use.
fn fits(config: &WebhookConfig) -> Result<(), WebhookConfigError> {
    let format = config.format.code();
    let given = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| !secret.reveal().trim().is_empty());
    let needs = |given: bool, missing: &'static str| {
        if given { Ok(()) } else { Err(WebhookConfigError::Missing { format, missing }) }
    };
    let useless = |given: bool, key: &'static str| {
        if given { Err(WebhookConfigError::Useless { format, key }) } else { Ok(()) }
    };
    match config.format {
        WebhookFormat::Telegram if config.template.is_none() => needs(given(&config.chat_id), "a chat id")?,
        WebhookFormat::Telegram => {}
        _ => useless(config.chat_id.is_some(), "a chat id")?,
    }
    match config.format {
        WebhookFormat::PagerDuty => {
            needs(given(&config.routing_key), "a routing key")?;
            useless(config.template.is_some(), "a template")?;
        }
        _ => useless(config.routing_key.is_some(), "a routing key")?,
    }
    match config.format {
        WebhookFormat::Json | WebhookFormat::Ntfy => Ok(()),
        _ => useless(config.token.is_some(), "a token"),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, WebhookConfigError> {
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(WebhookConfigError::Token);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| WebhookConfigError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}
