//! The scene of a fault of this machine's own, and the verdict on how netwatch stood it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answerer::Answerer;
use crate::config::Config;
use crate::daemon::Daemon;
use crate::netns::Namespace;
use crate::process::wait_for;
use crate::stage::{Fleet, SOON};
use crate::watch::Watch;

/// Two intervals of [`quick`], the length of a check, and the writing of the status.
pub const NORMAL_AGAIN: Duration = Duration::from_millis(2 * 1000 + 600 + 400);

/// What a machine that is kept from running may call unknown besides, whatever else is at stake: what it did not get done in its
/// time, and what it may have slept through.
pub const LATE: [&str; 2] = ["not_sent", "stalled"];

/// Whether a cause is one of [`LATE`].
pub fn is_late(cause: &str) -> bool {
    LATE.contains(&cause)
}

/// Checks of 0.6 s, once a second; an outage is told of after one second more.
pub fn quick() -> Config {
    Config::scaled().each("tolerance", "1s").each("settle", "1s").told_at_once()
}

/// A daemon whose devices are the kernel of another namespace. The fields are dropped in this order: first what uses.
#[derive(Debug)]
pub struct Scene {
    /// The judge.
    pub watch: Watch,
    /// The program under test.
    pub daemon: Daemon,
    /// The devices.
    pub there: Answerer,
    /// Their names and addresses.
    pub fleet: Fleet,
    /// Where the daemon is.
    pub here: Arc<Namespace>,
}

impl Scene {
    /// Starts everything, and waits until every device is seen to answer.
    pub fn new(fleet: Fleet, config: &Config) -> Scene {
        let here = Arc::new(Namespace::new());
        let there = Answerer::join(&here, fleet);
        let mut daemon = Daemon::prepare(&here, config, None);
        daemon.start();
        let watch = Watch::start(&daemon);
        watch.wait_normal(&[], SOON);
        Scene { watch, daemon, there, fleet, here }
    }

    /// Silences a device.
    pub fn kill(&self, name: &str) {
        self.there.silence(&self.fleet.address(name));
    }

    /// Silences a device and waits until it is seen to be dead.
    pub fn kill_and_see(&self, name: &str) {
        self.kill(name);
        wait_for(&format!("{name} to be down"), SOON, || (self.daemon.target(name).status == "down").then_some(()));
    }

    /// After a fault that lasted since `begin`: all is normal within `limit`, and [`judge`]; only the dead are told of.
    pub fn judge(&self, dead: &[&str], begin: Instant, known: &[&str], limit: Duration) {
        let skipped = self.there.skipped(self.fleet.ip("d01"));
        assert_eq!(skipped, 0, "the answering kernel skipped echoes: nothing can be said");
        self.watch.wait_normal(dead, limit);
        judge(&self.watch, dead, begin, known);
        self.daemon.assert_told_only(dead, SOON);
    }
}

/// Nothing was invented, neither a dead device nor a lost echo. At least one of these causes was named, and no other but
/// that a busy machine may be late besides.
pub fn judge(watch: &Watch, dead: &[&str], begin: Instant, known: &[&str]) {
    watch.assert_down_only(dead);
    watch.assert_loss_only(dead);
    let causes: BTreeMap<String, usize> = watch.causes(begin);
    println!("unknown: {causes:?}");
    let is = |known: &[&str], cause: &String| known.contains(&cause.as_str());
    assert!(causes.keys().any(|cause| is(known, cause)), "expected one of {known:?}: {causes:?}");
    assert!(causes.keys().all(|cause| is(known, cause) || is_late(cause)), "expected only {known:?}: {causes:?}");
}
