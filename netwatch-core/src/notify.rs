//! How people are told: the trait [`Notifier`].

use async_trait::async_trait;

use crate::model::{DeliveryError, Notification, Receipt};

/// Carries notifications to people.
///
/// The caller makes one attempt at a time for each notifier and bounds each attempt by an outer time limit; a dropped
/// future counts as [uncertain](crate::Stage::Uncertain). It decides when to try again; the implementer never retries.
///
/// The implementer returns `Ok` only once the far side has taken responsibility (for SMTP: the 250 after the final
/// dot), sends every copy of a notification with the same Message-ID and bytes, puts no secret into an error, and says
/// in an error's [`Stage`](crate::Stage) whether the far side may already have the content.
///
/// ```
/// use netwatch_core::{DeliveryError, Notification, Notifier, Receipt, async_trait};
///
/// struct Shout;
///
/// #[async_trait]
/// impl Notifier for Shout {
///     async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
///         println!("{}", notification.content.subject);
///         Ok(Receipt::accepted(&notification.recipients))
///     }
/// }
/// ```
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Makes one attempt.
    ///
    /// # Errors
    /// When the notification was accepted for no recipient.
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError>;
}
