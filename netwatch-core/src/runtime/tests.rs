//! The runtime as a whole, on virtual time, with probes, notifiers, sinks and journals that behave and that do not.

mod progress;
mod reload;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mockall::mock;
use tokio::time::{Instant, sleep};

use super::*;
use crate::journal::{CommitError, ForgetfulJournal, Journal, LoadError};
use crate::model::*;
use crate::notify::Notifier;
use crate::probe::{Check, Probe, Report};
use crate::sink::StatusSink;

mock! {
    pub(super) Disk {}
    impl Journal for Disk {
        fn load(&mut self) -> Result<Saved, LoadError>;
        fn commit(&mut self, commit: &Commit) -> Result<(), CommitError>;
    }
}

mock! {
    Device {}
    #[async_trait]
    impl Probe for Device {
        async fn check(&self, check: &Check) -> Sample;
    }
}

mock! {
    pub(super) Mailer {}
    #[async_trait]
    impl Notifier for Mailer {
        async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError>;
    }
}

mock! {
    pub(super) Page {}
    #[async_trait]
    impl StatusSink for Page {
        async fn start(&self, start: &Start);
        async fn transitions(&self, changed: &[Transition]);
        async fn samples(&self, samples: &[Sample]);
        async fn events(&self, events: &[Event]);
        async fn stop(&self);
    }
}

type Log<T> = Arc<Mutex<Vec<T>>>;

fn start() -> Now {
    Now::new(Mono::from_nanos(1_000_000_000_000), Wall::from_unix_nanos(1_700_000_000_000_000_000))
}

/// Asked every second with one echo; silent is down and due at once, answered is over.
fn quick(name: &str) -> Target {
    let settings = Settings {
        interval: Duration::from_secs(1),
        pings: 1,
        timeout: Duration::from_millis(200),
        tolerance: Duration::ZERO,
        settle: Duration::ZERO,
        ..Settings::default()
    };
    Target::at(name, [192, 0, 2, 1].into()).with_settings(settings).with_probe("device")
}

fn plan(targets: Vec<Target>) -> Plan {
    let mut noc = NotifierPolicy::new("noc");
    noc.recipients = vec!["turno@example.net".into()];
    (noc.group_wait, noc.group_interval) = (Duration::ZERO, Duration::ZERO);
    Plan::new(targets).with_notifier(noc)
}

fn echo(check: &Check, echo: Echo) -> Sample {
    Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
}

/// Answers for a number of checks, then never again.
fn dies_after(checks: usize) -> Arc<dyn Probe> {
    let mut device = MockDevice::new();
    let asked = AtomicUsize::new(0);
    device.expect_check().returning(move |check| {
        let answers = asked.fetch_add(1, Ordering::Relaxed) < checks;
        echo(check, if answers { Echo::Reply(Rtt::default()) } else { Echo::Lost(Loss::NoReply) })
    });
    Arc::new(device)
}

fn mailer(log: &Log<Notification>) -> Arc<dyn Notifier> {
    let (mut mailer, log) = (MockMailer::new(), log.clone());
    mailer.expect_deliver().returning(move |notification| {
        log.lock().unwrap().push(notification.clone());
        Ok(Receipt::accepted(&notification.recipients))
    });
    Arc::new(mailer)
}

#[derive(Default, Clone)]
struct Seen {
    transitions: Log<Transition>,
    samples: Log<Sample>,
    events: Log<Event>,
    calls: Log<&'static str>,
}

impl Seen {
    fn page(&self) -> Arc<dyn StatusSink> {
        let mut page = MockPage::new();
        let seen = self.clone();
        page.expect_start().returning(move |_| seen.calls.lock().unwrap().push("start"));
        let seen = self.clone();
        page.expect_transitions().returning(move |changed| {
            seen.calls.lock().unwrap().push("transitions");
            seen.transitions.lock().unwrap().extend_from_slice(changed);
        });
        let seen = self.clone();
        page.expect_samples().returning(move |samples| seen.samples.lock().unwrap().extend_from_slice(samples));
        let seen = self.clone();
        page.expect_events().returning(move |events| seen.events.lock().unwrap().extend_from_slice(events));
        let seen = self.clone();
        page.expect_stop().returning(move || seen.calls.lock().unwrap().push("stop"));
        Arc::new(page)
    }

    fn causes(&self, target: usize) -> Vec<Echo> {
        let samples = self.samples.lock().unwrap();
        let mine = samples.iter().filter(|sample| sample.target.index() == target);
        mine.flat_map(|sample| sample.echoes.iter().collect::<Vec<_>>()).collect()
    }

    fn down(&self) -> usize {
        self.transitions.lock().unwrap().iter().filter(|change| change.to == Status::Down).count()
    }
}

fn builder(plan: Plan, journal: impl Journal + 'static, probe: Arc<dyn Probe>, seen: &Seen) -> Builder {
    Netwatch::builder(plan, Box::new(journal)).probe("device", probe).sink("page", seen.page()).virtual_clock(start())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn one_device_dies_and_one_mail_is_sent() {
    let (seen, mails) = (Seen::default(), Log::default());
    let builder = builder(plan(vec![quick("olt-1")]), ForgetfulJournal::new(), dies_after(3), &seen);
    let netwatch = builder.notifier("noc", mailer(&mails)).build().unwrap();
    netwatch.run(sleep(seconds(60))).await.unwrap();
    let mails = mails.lock().unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].lines.len(), 1);
    assert!(mails[0].content.subject.contains("olt-1"), "{}", mails[0].content.subject);
    let statuses: Vec<Status> = seen.transitions.lock().unwrap().iter().map(|change| change.to).collect();
    assert_eq!(statuses, [Status::Ok, Status::Down]);
    let samples = seen.samples.lock().unwrap().len();
    assert!((60..=61).contains(&samples), "asked once a second, not {samples} times in 60 s");
    let calls = seen.calls.lock().unwrap();
    assert_eq!((calls.first(), calls.last()), (Some(&"start"), Some(&"stop")));
}

/// Keeps what it is given for the next run.
fn shared(saved: &Arc<Mutex<Saved>>) -> MockDisk {
    let mut disk = MockDisk::new();
    let kept = saved.clone();
    disk.expect_load().returning(move || Ok(kept.lock().unwrap().clone()));
    let kept = saved.clone();
    disk.expect_commit().returning(move |commit| {
        kept.lock().unwrap().apply(commit);
        Ok(())
    });
    disk
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_and_tells_nothing_twice() {
    let (mails, saved) = (Log::default(), Arc::new(Mutex::new(Saved::default())));
    for _run in 0..3 {
        let seen = Seen::default();
        let builder = builder(plan(vec![quick("olt-1")]), shared(&saved), dies_after(0), &seen);
        let netwatch = builder.notifier("noc", mailer(&mails)).build().unwrap();
        netwatch.run(sleep(seconds(20))).await.unwrap();
    }
    assert_eq!(mails.lock().unwrap().len(), 1, "one outage, one mail, however many starts");
}

#[tokio::test(start_paused = true)]
async fn a_mail_whose_attempt_was_cut_off_goes_out_after_the_restart_as_it_was() {
    struct Hangs(Log<Notification>);
    #[async_trait]
    impl Notifier for Hangs {
        async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
            self.0.lock().unwrap().push(notification.clone());
            pending().await
        }
    }
    let (mails, saved) = (Log::default(), Arc::new(Mutex::new(Saved::default())));
    let first = builder(plan(vec![quick("olt-1")]), shared(&saved), dies_after(0), &Seen::default());
    first.notifier("noc", Arc::new(Hangs(mails.clone()))).build().unwrap().run(sleep(seconds(20))).await.unwrap();
    let second = builder(plan(vec![quick("olt-1")]), shared(&saved), dies_after(0), &Seen::default());
    second.notifier("noc", mailer(&mails)).build().unwrap().run(sleep(seconds(20))).await.unwrap();
    let mails = mails.lock().unwrap();
    assert_eq!(mails.len(), 2);
    assert_eq!((&mails[0].message_id, &mails[0].content), (&mails[1].message_id, &mails[1].content));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_does_not_keep_the_mail_and_is_told_of() {
    let mut disk = MockDisk::new();
    disk.expect_load().returning(|| Ok(Saved::default()));
    disk.expect_commit().returning(|_| Err(CommitError::new("here", "disk full")));
    let (seen, mails) = (Seen::default(), Log::default());
    let builder = builder(plan(vec![quick("olt-1")]), disk, dies_after(0), &seen);
    let ended = builder.notifier("noc", mailer(&mails)).build().unwrap().run(sleep(seconds(50))).await;
    assert!(matches!(&ended, Err(RunError::NotSaved { reason }) if reason.contains("disk full")), "{ended:?}");
    assert_eq!(mails.lock().unwrap().len(), 1);
    let events = seen.events.lock().unwrap();
    let failing = |event: &Event| matches!(event, Event::Journal { failing_since: Some(_), error: Some(error) } if error.contains("disk full"));
    assert!(events.iter().any(failing), "{events:?}");
}

/// A journal on a disk that is almost full, after a start that found damage; its second commit fails.
#[derive(Default)]
struct Worried {
    commits: u32,
}

impl Journal for Worried {
    fn load(&mut self) -> Result<Saved, LoadError> {
        Ok(Saved::default())
    }

    fn commit(&mut self, _commit: &Commit) -> Result<(), CommitError> {
        self.commits += 1;
        if self.commits == 2 { Err(CommitError::new("here", "once")) } else { Ok(()) }
    }

    fn warning(&self) -> Option<String> {
        (self.commits < 5).then(|| "almost full".to_owned())
    }

    fn notices(&mut self) -> Vec<String> {
        vec!["set aside".to_owned()]
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_journal_has_to_say_is_told_when_it_changes() {
    let seen = Seen::default();
    let builder = builder(plan(vec![quick("olt-1")]), Worried::default(), dies_after(usize::MAX), &seen);
    let builder = builder.notifier("noc", mailer(&Log::default()));
    builder.build().unwrap().run(sleep(seconds(90))).await.unwrap();
    let events = seen.events.lock().unwrap();
    let notices =
        |event: &&Event| matches!(event, Event::Trouble { component: "store", message, .. } if message == "set aside");
    assert_eq!(events.iter().filter(notices).count(), 1, "{events:?}");
    let journal = events.iter().filter_map(|event| match event {
        Event::Journal { failing_since, error } => Some((failing_since.is_some(), error.as_deref())),
        _ => None,
    });
    let failure = (true, Some("cannot write the journal here: once"));
    let told = [(false, Some("almost full")), failure, (false, None), (false, Some("almost full")), (false, None)];
    assert_eq!(journal.collect::<Vec<_>>(), told);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_for_one_device_is_unknown_for_it_and_right_for_the_others() {
    struct Cursed;
    #[async_trait]
    impl Probe for Cursed {
        async fn check(&self, check: &Check) -> Sample {
            assert_ne!(check.name(), "cursed", "a defect in the probe");
            echo(check, Echo::Reply(Rtt::default()))
        }
    }
    let (seen, mails) = (Seen::default(), Log::default());
    let targets = plan(vec![quick("cursed"), quick("fine")]);
    let builder = builder(targets, ForgetfulJournal::new(), Arc::new(Cursed), &seen);
    builder.notifier("noc", mailer(&mails)).build().unwrap().run(sleep(seconds(30))).await.unwrap();
    assert!(seen.causes(0).iter().all(|echo| *echo == Echo::Unknown(Cause::NoResult)) && seen.causes(0).len() > 25);
    assert!(seen.causes(1).iter().all(|echo| matches!(echo, Echo::Reply(_))) && seen.causes(1).len() > 25);
    assert_eq!((seen.down(), mails.lock().unwrap().len()), (0, 0));
    let told = |event: &&Event| matches!(event, Event::Trouble { message, .. } if message.contains("panicked"));
    assert_eq!(seen.events.lock().unwrap().iter().filter(told).count(), 1, "told once a minute");
}

#[tokio::test(start_paused = true)]
async fn what_a_notifier_wants_to_have_put_right_is_trouble() {
    let mut mailer = MockMailer::new();
    mailer
        .expect_deliver()
        .returning(|mail| Ok(Receipt::accepted(&mail.recipients).with_remark("the template is broken")));
    let seen = Seen::default();
    let builder = builder(plan(vec![quick("olt")]), ForgetfulJournal::new(), dies_after(3), &seen);
    builder.notifier("noc", Arc::new(mailer)).build().unwrap().run(sleep(seconds(30))).await.unwrap();
    let told = |event: &&Event| matches!(event, Event::Trouble { component: "notifier", message, .. } if message == "noc: the template is broken");
    assert_eq!(seen.events.lock().unwrap().iter().filter(told).count(), 1);
}

/// Comes back without a word, or never; counts how often it was asked.
struct Mute {
    asked: AtomicUsize,
    hangs: bool,
}

#[async_trait]
impl Probe for Mute {
    async fn check(&self, _check: &Check) -> Sample {
        pending().await
    }

    async fn check_many(&self, due: Vec<Check>, _out: &dyn Report) {
        self.asked.fetch_add(due.len(), Ordering::Relaxed);
        if self.hangs {
            pending().await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_not_reported_is_unknown() {
    for hangs in [false, true] {
        let probe = Arc::new(Mute { asked: AtomicUsize::new(0), hangs });
        let (seen, mails) = (Seen::default(), Log::default());
        let builder = builder(plan(vec![quick("olt-1")]), ForgetfulJournal::new(), probe.clone(), &seen);
        builder.notifier("noc", mailer(&mails)).build().unwrap().run(sleep(seconds(30))).await.unwrap();
        let causes = seen.causes(0);
        assert!(causes.len() > 25 && causes.iter().all(|echo| *echo == Echo::Unknown(Cause::NoResult)), "{causes:?}");
        assert_eq!((seen.down(), mails.lock().unwrap().len()), (0, 0));
        let asked = probe.asked.load(Ordering::Relaxed);
        assert!(asked <= causes.len() + 2, "what does not come back does not pile up");
        assert!(asked > 10, "what does not come back is dropped, and the device asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_and_an_interface_that_is_missing_are_unknown_and_not_asked() {
    let probe = Arc::new(Mute { asked: AtomicUsize::new(0), hangs: false });
    let zone = Some("nosuchif0".into());
    let mut targets = vec![quick("name"), quick("zone"), quick("paused")];
    targets[0].host = Host::Name { name: "olt.example".into(), family: None };
    targets[1].host = Host::Ip { ip: "fe80::1".parse().unwrap(), zone };
    targets[2].paused = true;
    let (seen, mails) = (Seen::default(), Log::default());
    let builder = builder(plan(targets), ForgetfulJournal::new(), probe.clone(), &seen);
    let builder = builder.notifier("noc", mailer(&mails)).lookup(|_| Err(std::io::ErrorKind::NotFound.into()));
    builder.build().unwrap().run(sleep(seconds(30))).await.unwrap();
    for (target, cause) in [(0, Cause::Unresolved), (1, Cause::NoInterface)] {
        let causes = seen.causes(target);
        assert!(causes.len() > 25 && causes.iter().all(|echo| *echo == Echo::Unknown(cause)), "{causes:?}");
    }
    assert_eq!((seen.causes(2).len(), probe.asked.load(Ordering::Relaxed)), (0, 0));
}

/// Everything that may hang, hanging.
struct Stuck;

#[async_trait]
impl Notifier for Stuck {
    async fn deliver(&self, _notification: &Notification) -> Result<Receipt, DeliveryError> {
        pending().await
    }
}

#[async_trait]
impl StatusSink for Stuck {
    async fn start(&self, _start: &Start) {
        pending().await
    }

    async fn transitions(&self, _changed: &[Transition]) {}
}

#[tokio::test(start_paused = true)]
async fn nothing_that_hangs_delays_a_check_and_the_end_comes_with_everything_saved() {
    let saved = Arc::new(Mutex::new(Saved::default()));
    let seen = Seen::default();
    let builder = builder(plan(vec![quick("olt-1")]), shared(&saved), dies_after(2), &seen);
    let netwatch = builder.notifier("noc", Arc::new(Stuck)).sink("stuck", Arc::new(Stuck)).build().unwrap();
    let begun = Instant::now();
    netwatch.run(sleep(seconds(300))).await.unwrap();
    assert!(begun.elapsed() <= seconds(302), "{:?}", begun.elapsed());
    assert!((299..=301).contains(&seen.samples.lock().unwrap().len()));
    let saved = saved.lock().unwrap();
    assert_eq!(saved.targets["olt-1"].status, Status::Down);
    assert_eq!(saved.mails.len(), 1, "the mail is still owed");
    assert_eq!(seen.calls.lock().unwrap().last(), Some(&"stop"), "the other sink came to its end");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_the_checks_under_way_are_dropped_before_anything_else_is_waited_for() {
    struct UnderWay(Arc<Mutex<Option<Instant>>>);
    impl Drop for UnderWay {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Instant::now());
        }
    }
    struct Holds(Arc<Mutex<Option<Instant>>>);
    #[async_trait]
    impl Probe for Holds {
        async fn check(&self, check: &Check) -> Sample {
            if check.name() == "dead" {
                return echo(check, Echo::Lost(Loss::NoReply));
            }
            let _dropped = UnderWay(self.0.clone());
            pending().await
        }
    }
    let dropped = Arc::default();
    let mut long = quick("long");
    long.settings = Arc::new(Settings { timeout: seconds(9), pings: 1, ..Settings::default() });
    let probe = Arc::new(Holds(Arc::clone(&dropped)));
    let seen = Seen::default();
    let builder = builder(plan(vec![quick("dead"), long]), ForgetfulJournal::new(), probe, &seen);
    let begun = Instant::now();
    let netwatch = builder.notifier("noc", Arc::new(Stuck)).build().unwrap();
    netwatch.run(sleep(Duration::from_millis(9_500))).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(9_800), "the hanging mail was waited for");
    let dropped = dropped.lock().unwrap().expect("the long check was under way");
    assert!(dropped <= begun + Duration::from_millis(9_600), "{:?}", dropped - begun);
    assert_eq!(seen.causes(1), [], "and told nothing");
}

#[tokio::test(start_paused = true)]
async fn what_a_standstill_made_late_is_unknown_and_not_caught_up() {
    let (seen, mails) = (Seen::default(), Log::default());
    let builder = builder(plan(vec![quick("olt-1")]), ForgetfulJournal::new(), dies_after(usize::MAX), &seen);
    let netwatch = builder.notifier("noc", mailer(&mails)).build().unwrap();
    let standstill = async {
        sleep(Duration::from_millis(9_700)).await;
        tokio::time::advance(seconds(300)).await;
    };
    let (ended, ()) = tokio::join!(netwatch.run(sleep(seconds(320))), standstill);
    ended.unwrap();
    let causes = seen.causes(0);
    assert_eq!(causes.iter().filter(|echo| **echo == Echo::Unknown(Cause::Stalled)).count(), 1, "{causes:?}");
    assert!((20..=22).contains(&causes.len()), "{}", causes.len());
    assert_eq!((seen.down(), mails.lock().unwrap().len()), (0, 0));
}

/// This one runs on real time: the journal has its real thread.
#[tokio::test]
async fn a_journal_that_hangs_delays_neither_a_check_nor_the_end() {
    let mut disk = MockDisk::new();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    disk.expect_load().returning(|| Ok(Saved::default()));
    disk.expect_commit().returning(move |_| {
        let _ = held.recv();
        Ok(())
    });
    let seen = Seen::default();
    let netwatch = Netwatch::builder(Plan::new(vec![quick("olt-1")]), Box::new(disk))
        .probe("device", dies_after(1))
        .sink("page", seen.page());
    let begun = Instant::now();
    let ended = netwatch.build().unwrap().run(sleep(seconds(2))).await;
    assert!(begun.elapsed() <= seconds(4), "{:?}", begun.elapsed());
    assert!(matches!(&ended, Err(RunError::NotSaved { .. })), "{ended:?}");
    assert!(seen.samples.lock().unwrap().len() >= 2);
    drop(hold);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_driver_ends_the_run_with_an_error() {
    struct Bomb;
    impl crate::render::Render for Bomb {
        fn render(&self, _draft: &Draft) -> Content {
            Content::default()
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a defect");
        }
    }
    let builder = builder(plan(vec![]), ForgetfulJournal::new(), dies_after(0), &Seen::default());
    let netwatch = builder.render(Arc::new(Bomb)).notifier("noc", Arc::new(Stuck)).build().unwrap();
    let ended = netwatch.run(sleep(seconds(5))).await;
    assert!(matches!(ended, Err(RunError::Panicked { .. })), "{ended:?}");
}

#[test]
fn parts_that_do_not_fit_together_are_refused_by_name() {
    let errors = |change: fn(Builder) -> Builder| {
        let builder = builder(plan(vec![quick("olt-1")]), ForgetfulJournal::new(), dies_after(0), &Seen::default());
        change(builder).build().err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(errors(|builder| builder).contains("notifier \"noc\", which does not exist"));
    let noc = |builder: Builder| builder.notifier("noc", Arc::new(Stuck));
    assert_eq!(errors(noc), "");
    assert!(
        errors(|builder| builder.notifier("noc", Arc::new(Stuck)).notifier("x", Arc::new(Stuck))).contains("\"x\"")
    );
    assert!(errors(|builder| builder.probe("device", dies_after(0))).contains("two probes are named \"device\""));
    assert!(errors(|builder| builder.sink("page", Arc::new(Stuck))).contains("two sinks are named \"page\""));
    let other = Plan::new(vec![quick("olt-1").with_probe("snmp")]);
    let error = Netwatch::builder(other, Box::new(ForgetfulJournal::new())).build().err().unwrap().to_string();
    assert!(error.contains("\"olt-1\"") && error.contains("\"snmp\""), "{error}");
    let twins = Plan::new(vec![quick("olt-1"), quick("olt-1")]);
    assert!(Netwatch::builder(twins, Box::new(ForgetfulJournal::new())).build().is_err());
}

#[test]
fn a_journal_that_cannot_be_loaded_is_an_error_and_not_a_fresh_start() {
    let mut disk = MockDisk::new();
    disk.expect_load().returning(|| Err(LoadError::new("here", "not a database")));
    let error = Netwatch::builder(Plan::default(), Box::new(disk)).build().err().unwrap();
    assert_eq!(error.to_string(), "cannot load the journal here: not a database");
}
