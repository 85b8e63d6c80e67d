//! Looks about once a second whether this machine is linked to others, on a thread of its own: a machine with many
//! routes takes its time to name them.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::host::{self, Linked};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// News of the links. The thread ends when this is dropped.
pub(super) struct Links {
    news: UnboundedReceiver<bool>,
    stop: Option<Sender<()>>,
}

impl Links {
    /// Begins to look.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn spawn() -> io::Result<Links> {
        let (tell, news) = unbounded_channel();
        let (stop, stopped) = channel::<()>();
        thread::Builder::new().name("netwatch-links".into()).spawn(move || {
            let mut knowledge = Knowledge::default();
            loop {
                // What cannot be read says nothing of the links.
                let changed = host::linked().ok().and_then(|linked| knowledge.learn(linked));
                if changed.is_some_and(|connected| tell.send(connected).is_err())
                    || stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout)
                {
                    return;
                }
            }
        })?;
        Ok(Links { news, stop: Some(stop) })
    }

    /// Nobody looks: where time is virtual the machine's links are no part of the world.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn unwatched() -> Links {
        let (_, news) = unbounded_channel();
        Links { news, stop: None }
    }

    /// Whether this machine has a link and a route, when that has changed; waits for ever if nobody looks. `None` if
    /// the thread is gone: it panicked.
    pub(super) async fn changed(&mut self) -> Option<bool> {
        match self.news.recv().await {
            Some(connected) => Some(connected),
            None if self.stop.is_some() => None,
            None => std::future::pending().await,
        }
    }
}

/// What has been seen of the links. At first they are taken to be up.
#[derive(Debug, Default)]
struct Knowledge {
    /// Whether there ever was a route: one that never was is not lost.
    had_route: bool,
    cut: bool,
}

impl Knowledge {
    /// Whether this machine is connected, if that is otherwise than before.
    fn learn(&mut self, linked: Linked) -> Option<bool> {
        self.had_route |= linked != Linked::NoRoute;
        let cut = linked != Linked::Yes && self.had_route;
        if cut == self.cut {
            return None;
        }
        self.cut = cut;
        Some(!cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(seen: &[Linked]) -> Vec<bool> {
        let mut knowledge = Knowledge::default();
        seen.iter().filter_map(|linked| knowledge.learn(*linked)).collect()
    }

    #[test]
    fn only_changes_are_news() {
        use Linked::{NoCarrier, NoRoute, Yes};
        assert_eq!(news(&[Yes, Yes, NoRoute, NoCarrier, Yes, NoCarrier]), [false, true, false]);
    }

    #[test]
    fn a_machine_that_never_had_a_route_has_lost_none() {
        assert_eq!(news(&[Linked::NoRoute, Linked::NoRoute, Linked::Yes, Linked::NoRoute]), [false]);
    }

    #[test]
    fn a_machine_that_begins_with_a_route_and_no_link_is_cut_off() {
        assert_eq!(news(&[Linked::NoCarrier, Linked::Yes]), [false, true]);
    }
}
