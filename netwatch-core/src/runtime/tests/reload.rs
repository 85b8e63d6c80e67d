//! Another plan while netwatch runs: who is asked when, what is refused, and who is answered.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::*;

/// Answers, and remembers who was asked for when.
#[derive(Default)]
struct Remembers(Log<(String, Mono)>);

#[async_trait]
impl Probe for Remembers {
    async fn check(&self, check: &Check) -> Sample {
        self.0.lock().unwrap().push((check.name().to_owned(), check.at));
        echo(check, Echo::Reply(Rtt::default()))
    }
}

impl Remembers {
    fn times(&self, name: &str) -> Vec<Mono> {
        self.0.lock().unwrap().iter().filter(|(asked, _)| asked == name).map(|(_, at)| *at).collect()
    }
}

fn targets(names: &[&str]) -> Plan {
    Plan::new(names.iter().map(|name| quick(name)).collect())
}

/// A netwatch that runs until the sender is dropped.
struct Running {
    handle: Handle,
    probe: Arc<Remembers>,
    seen: Seen,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Running {
    fn with(plan: Plan) -> Running {
        let (seen, probe, mails) = (Seen::default(), Arc::new(Remembers::default()), Log::default());
        let mut builder = builder(plan.clone(), ForgetfulJournal::new(), probe.clone(), &seen);
        for policy in &plan.notifiers {
            builder = builder.notifier(policy.name.clone(), mailer(&mails));
        }
        let netwatch = builder.build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = netwatch.handle();
        let task = tokio::spawn(netwatch.run(async { drop(stopped.await) }));
        Running { handle, probe, seen, stop, task }
    }

    async fn end(self) -> Arc<Remembers> {
        drop(self.stop);
        self.task.await.unwrap().unwrap();
        self.probe
    }

    fn starts(&self) -> usize {
        self.seen.calls.lock().unwrap().iter().filter(|call| **call == "start").count()
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_reload_others_are_asked_and_the_sinks_begin_anew() {
    let running = Running::with(targets(&["a", "b"]));
    sleep(Duration::from_millis(5_300)).await;
    running.handle.reload(Reload::new(targets(&["b", "c"]))).await.unwrap();
    let reloaded = start().mono.plus(Duration::from_millis(5_300));
    sleep(seconds(5)).await;
    assert_eq!(running.starts(), 2);
    let probe = running.end().await;
    let soon = reloaded.plus(Duration::from_millis(150));
    assert!(probe.times("a").len() >= 5 && probe.times("a").iter().all(|at| *at <= soon), "{:?}", probe.times("a"));
    assert!(probe.times("b").len() >= 9 && probe.times("c").len() >= 4);
    assert!(probe.times("c").iter().all(|at| *at >= reloaded));
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_keeps_its_rhythm_through_any_number_of_reloads() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let running = Running::with(targets(&names));
    for _ in 0..300 {
        sleep(Duration::from_millis(37)).await;
        running.handle.reload(Reload::new(targets(&names))).await.unwrap();
    }
    assert_eq!(running.starts(), 301);
    let probe = running.end().await;
    for name in names {
        let times = probe.times(name);
        assert!(times.len() >= 10, "{name}: {times:?}");
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == seconds(1)), "{name}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_check_is_more_than_one_interval_late_because_the_list_changed() {
    let stay = ["a", "b", "c", "d", "e"];
    let before = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
    let after = ["x", "d", "p", "q", "a", "r", "e", "s", "c", "t", "u", "b", "v"];
    for moment in (0..1000).step_by(130) {
        let running = Running::with(targets(&before));
        sleep(Duration::from_millis(3_000 + moment)).await;
        running.handle.reload(Reload::new(targets(&after))).await.unwrap();
        sleep(seconds(3)).await;
        let probe = running.end().await;
        for name in stay {
            let times = probe.times(name);
            let late = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default();
            assert!(times.len() >= 4 && late < seconds(2), "{name} at {moment}: {times:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_reload_is_refused_by_name_and_changes_nothing() {
    let running = Running::with(plan(vec![quick("a")]));
    let noc = || Arc::new(Stuck) as Arc<dyn Notifier>;
    let told = |plan: Plan| Reload::new(plan).with_notifier("noc", noc());
    for (reload, says) in [
        (told(plan(vec![quick("b").with_probe("snmp")])), "\"snmp\""),
        (Reload::new(plan(vec![quick("b")])), "notifier \"noc\", which does not exist"),
        (told(targets(&["b"])), "the notifier \"noc\" is not in the plan"),
        (told(plan(vec![quick("b")])).with_notifier("noc", noc()), "two notifiers are named \"noc\""),
        (Reload::new(targets(&["a", "a"])), "two targets are named \"a\""),
    ] {
        let error = running.handle.reload(reload).await.unwrap_err();
        assert!(matches!(error, ReloadError::Misfit(_)) && error.to_string().contains(says), "{error}");
    }
    sleep(seconds(5)).await;
    assert_eq!(running.starts(), 1);
    let probe = running.end().await;
    assert!(probe.times("a").len() >= 5 && probe.times("b").is_empty());
}

#[tokio::test(start_paused = true)]
async fn reloads_take_effect_in_the_order_in_which_they_were_asked_for() {
    let running = Running::with(targets(&["a"]));
    let handles: Vec<_> = ["b", "c", "d"].map(|name| (running.handle.clone(), targets(&[name]))).into();
    let reloads = handles.into_iter().map(|(handle, plan)| async move { handle.reload(Reload::new(plan)).await });
    let ended = futures_util::future::join_all(reloads).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    sleep(seconds(5)).await;
    let probe = running.end().await;
    assert!(probe.times("d").len() >= 4, "the last one is in force");
    assert!(probe.times("a").len() <= 1 && probe.times("b").len() <= 1 && probe.times("c").len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_start_and_are_turned_away_after_the_end() {
    let seen = Seen::default();
    let netwatch = builder(targets(&["a"]), ForgetfulJournal::new(), dies_after(usize::MAX), &seen).build().unwrap();
    let handle = netwatch.handle();
    let early = tokio::spawn({
        let handle = handle.clone();
        async move { handle.maintenance().await }
    });
    sleep(seconds(1)).await;
    assert!(!early.is_finished());
    netwatch.run(sleep(seconds(2))).await.unwrap();
    assert_eq!(early.await.unwrap(), Ok(Vec::new()));
    assert!(matches!(handle.reload(Reload::new(targets(&["a"]))).await, Err(ReloadError::Ended(_))));
    assert!(matches!(handle.acknowledge("a", "ana", "").await, Err(AcknowledgeError::Ended(_))));
    assert!(matches!(handle.end_maintenance(MaintenanceId::new(1)).await, Err(EndMaintenanceError::Ended(_))));
    assert_eq!(handle.trouble("config", "x").await, Err(handle.maintenance().await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_said_with_its_reason() {
    let running = Running::with(targets(&["a"]));
    let handle = &running.handle;
    sleep(seconds(2)).await;
    let error = handle.acknowledge("b", "ana", "").await.unwrap_err();
    assert!(matches!(&error, AcknowledgeError::NoTarget { target } if &**target == "b"), "{error}");
    let error = handle.acknowledge("a", "ana", "").await.unwrap_err();
    assert!(matches!(&error, AcknowledgeError::NoOutage { target } if &**target == "a"), "{error}");
    let error = handle.end_maintenance(MaintenanceId::new(77)).await.unwrap_err();
    assert!(error.to_string().contains("77"), "{error}");
    let over = Calendar::new([Period::new(Wall::from_unix_nanos(0), Wall::from_unix_nanos(1))]);
    let error = handle.maintain(Maintenance::new(Scope::everything(), over)).await.unwrap_err();
    assert_eq!(error, MaintainError::Over);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_elsewhere_reaches_the_sinks() {
    let running = Running::with(targets(&["a"]));
    running.handle.trouble("config", "line 3 is wrong").await.unwrap();
    let seen = running.seen.clone();
    running.end().await;
    let told = |event: &Event| matches!(event, Event::Trouble { component: "config", message, .. } if message == "line 3 is wrong");
    assert!(seen.events.lock().unwrap().iter().any(told));
}

#[tokio::test(start_paused = true)]
async fn witnesses_and_reloads_hold_up_neither_checks_nor_the_end() {
    let hosts = |last: u8| vec![Host::Ip { ip: [192, 0, 2, last].into(), zone: None }];
    let mut plan = targets(&["a"]);
    plan.witnesses = hosts(200);
    let running = Running::with(plan.clone());
    sleep(seconds(5)).await;
    plan.witnesses = hosts(201);
    running.handle.reload(Reload::new(plan)).await.unwrap();
    sleep(seconds(5)).await;
    let begun = Instant::now();
    let samples = running.seen.samples.clone();
    let probe = running.end().await;
    assert!(begun.elapsed() <= seconds(2));
    assert!(probe.times("a").len() >= 10 && probe.times("witness 1").len() >= 4);
    assert!(samples.lock().unwrap().iter().all(|sample| sample.target.index() == 0), "witnesses are no targets");
}
