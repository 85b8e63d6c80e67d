//! Each of the four parts wedged, one at a time: the others go on, and the one is named.

use std::sync::mpsc;

use super::*;

fn stuck(handle: &Handle) -> Vec<Part> {
    handle.progress().stuck(seconds(5))
}

/// What was stuck after each second of a run of so many.
async fn watch(netwatch: Netwatch, run: u64) -> Vec<Vec<Part>> {
    let handle = netwatch.handle();
    assert_eq!(stuck(&handle), []);
    let mut seen = Vec::new();
    let looking = async {
        for _ in 0..run {
            sleep(seconds(1)).await;
            seen.push(stuck(&handle));
        }
    };
    netwatch.run(looking).await.unwrap();
    sleep(seconds(10)).await;
    assert!(stuck(&handle).contains(&Part::Monitor), "it has ended");
    seen
}

#[tokio::test(start_paused = true)]
async fn a_netwatch_with_work_and_one_without_go_on() {
    let device = dies_after(usize::MAX);
    let busy = builder(plan(vec![quick("olt-1")]), ForgetfulJournal::new(), device, &Seen::default());
    let busy = busy.notifier("noc", mailer(&Log::default())).build().unwrap();
    assert!(watch(busy, 300).await.iter().all(Vec::is_empty));
    let idle = Plan::new(Vec::new());
    let idle = builder(idle, ForgetfulJournal::new(), dies_after(0), &Seen::default()).build().unwrap();
    assert!(watch(idle, 300).await.iter().all(Vec::is_empty));
}

/// Answers until a check of this number, and from another on again.
struct Pauses {
    asked: AtomicUsize,
    from: usize,
    to: usize,
}

#[async_trait]
impl Probe for Pauses {
    async fn check(&self, check: &Check) -> Sample {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        if (self.from..self.to).contains(&number) {
            pending::<()>().await;
        }
        echo(check, Echo::Reply(Rtt::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_checks_do_not_come_back_is_stuck_until_one_does() {
    let probe = Arc::new(Pauses { asked: AtomicUsize::new(0), from: 10, to: 30 });
    let netwatch = builder(Plan::new(vec![quick("olt-1")]), ForgetfulJournal::new(), probe, &Seen::default());
    let seen = watch(netwatch.build().unwrap(), 60).await;
    assert!(seen[..14].iter().all(Vec::is_empty), "{seen:?}");
    assert!(seen[18..28].iter().all(|stuck| *stuck == [Part::Prober]), "{seen:?}");
    assert!(seen[45..].iter().all(Vec::is_empty), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_stands_still_is_not_hidden_by_one_that_works() {
    let mute = Arc::new(Mute { asked: AtomicUsize::new(0), hangs: true });
    let targets = vec![quick("olt-1"), quick("olt-2").with_probe("mute")];
    let netwatch = builder(Plan::new(targets), ForgetfulJournal::new(), dies_after(usize::MAX), &Seen::default());
    let seen = watch(netwatch.probe("mute", mute).build().unwrap(), 20).await;
    assert_eq!(seen[19], [Part::Prober]);
}

/// A probe whose own loop was to come round when the clock began.
struct Asleep;

#[async_trait]
impl Probe for Asleep {
    async fn check(&self, check: &Check) -> Sample {
        echo(check, Echo::Reply(Rtt::default()))
    }

    fn due_back(&self) -> Option<Mono> {
        Some(start().mono)
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_of_itself_that_it_is_late_is_believed() {
    let netwatch = builder(Plan::default(), ForgetfulJournal::new(), Arc::new(Asleep), &Seen::default());
    let seen = watch(netwatch.build().unwrap(), 10).await;
    assert_eq!((seen[2].len(), &seen[9]), (0, &vec![Part::Prober]));
}

/// The rest runs on real time, in threads that are really held. Nothing of it waits for longer than it must.
async fn until(what: &str, handle: &Handle, is: impl Fn(Progress) -> bool) {
    let begun = Instant::now();
    while !is(handle.progress()) {
        assert!(begun.elapsed() < seconds(10), "{what}: {handle:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

const MOMENT: Duration = Duration::from_millis(300);

/// Whether this part stands still, and no other.
fn only(part: Part) -> impl Fn(Progress) -> bool {
    move |progress| progress.stuck(MOMENT) == [part]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_journal_that_hangs_is_the_store_that_is_stuck_until_it_answers() {
    let mut disk = MockDisk::new();
    let (hold, held) = mpsc::channel::<()>();
    disk.expect_load().returning(|| Ok(Saved::default()));
    disk.expect_commit().returning(move |_| {
        let _ = held.recv();
        Err(CommitError::new("here", "disk full"))
    });
    let netwatch = Netwatch::builder(Plan::new(vec![quick("olt-1")]), Box::new(disk)).probe("device", dies_after(1));
    let netwatch = netwatch.build().unwrap();
    let (handle, asking) = (netwatch.handle(), netwatch.handle());
    let looking = async move {
        until("the hang", &handle, only(Part::Store)).await;
        drop(hold);
        until("its answers, though they are errors", &handle, |progress| progress.stuck(MOMENT).is_empty()).await;
    };
    let ended = netwatch.run(looking).await;
    assert!(matches!(&ended, Err(RunError::NotSaved { .. })), "{ended:?}");
    assert!(asking.progress().standing(Part::Store) < MOMENT);
}

/// Holds the thread that it is called on, until it is let go.
struct Blocks(Mutex<mpsc::Receiver<()>>);

#[async_trait]
impl Notifier for Blocks {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let _ = self.0.lock().unwrap().recv();
        Ok(Receipt::accepted(&notification.recipients))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_notifier_that_holds_its_thread_is_the_delivery_that_is_stuck_until_it_lets_go() {
    let (hold, held) = mpsc::channel::<()>();
    let notifier = Arc::new(Blocks(Mutex::new(held)));
    let netwatch = Netwatch::builder(plan(vec![quick("olt-1")]), Box::new(ForgetfulJournal::new()));
    let netwatch = netwatch.probe("device", dies_after(1)).notifier("noc", notifier);
    let netwatch = netwatch.attempt_limit(Duration::from_millis(100)).build().unwrap();
    let handle = netwatch.handle();
    let looking = async move {
        until("the wedge", &handle, only(Part::Delivery)).await;
        drop(hold);
        until("its end", &handle, |progress| progress.stuck(MOMENT).is_empty()).await;
    };
    netwatch.run(looking).await.unwrap();
}

/// Asked from a thread outside the runtime, as a watchdog does: it must not need what it watches.
#[test]
fn a_runtime_that_is_held_is_the_monitor_that_is_stuck_until_it_goes_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let netwatch = Netwatch::builder(Plan::new(vec![quick("olt-1")]), Box::new(ForgetfulJournal::new()));
    let netwatch = netwatch.probe("device", dies_after(usize::MAX)).build().unwrap();
    let (handle, (stop, stopped)) = (netwatch.handle(), tokio::sync::oneshot::channel::<()>());
    let running = runtime.spawn(netwatch.run(async { drop(stopped.await) }));
    let wait = |what: &str, is: &dyn Fn(Progress) -> bool| {
        let begun = std::time::Instant::now();
        while !is(handle.progress()) {
            assert!(begun.elapsed() < seconds(10), "{what}: {handle:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let holds: Vec<mpsc::Sender<()>> = (0..2)
        .map(|_| {
            let (hold, held) = mpsc::channel();
            runtime.spawn(async move { held.recv().is_ok() });
            hold
        })
        .collect();
    wait("the wedge", &|progress| progress.stuck(MOMENT).contains(&Part::Monitor));
    drop(holds);
    wait("the end of it", &|progress| progress.stuck(MOMENT).is_empty());
    drop(stop);
    runtime.block_on(running).unwrap().unwrap();
}

#[tokio::test]
async fn a_journal_that_panics_ends_the_run_with_an_error() {
    let mut disk = MockDisk::new();
    disk.expect_load().returning(|| Ok(Saved::default()));
    disk.expect_commit().returning(|_| panic!("a defect in the journal"));
    let seen = Seen::default();
    let netwatch = Netwatch::builder(Plan::new(vec![quick("olt-1")]), Box::new(disk));
    let netwatch = netwatch.probe("device", dies_after(1)).sink("page", seen.page()).build().unwrap();
    let begun = Instant::now();
    let ended = netwatch.run(pending()).await;
    assert!(matches!(&ended, Err(RunError::Panicked { message }) if message.contains("journal")), "{ended:?}");
    assert!(begun.elapsed() < seconds(8), "{:?}", begun.elapsed());
    assert_eq!(seen.calls.lock().unwrap().last(), Some(&"stop"), "the sinks came to their end");
}
