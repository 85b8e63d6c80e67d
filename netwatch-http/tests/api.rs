//! What the API answers, field by field.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{World, is_time, serve, wall};
use netwatch_core::{
    Cause, Delivery, DeliveryOutcome, Event, MailId, Outage, OutageId, Settings, Status, StatusSink, TargetId,
    Transition,
};
use netwatch_http::Limits;
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["core-1", "dslam-centro", "dslam-norte", "calle/esquina %25"];

fn id(at: usize) -> TargetId {
    TargetId::from_index(at)
}

async fn change(world: &World, at: usize, to: Status, cause: Option<Cause>) {
    let mut transition = Transition::new(id(at), NAMES[at], Status::Pending, to, wall(1_000_100));
    transition.since = wall(1_000_000);
    transition.last_good = (to != Status::Unknown).then(|| wall(1_000_000));
    transition.cause = cause;
    world.dashboard.transitions(&[transition]).await;
}

/// core-1 answers, dslam-centro is down and told of, dslam-norte cannot be asked, the last is pending.
async fn world() -> World {
    let world = World::of(&NAMES, Settings::default()).await;
    world.sample(0, &[Some(10), Some(12), None, Some(11)]).await;
    change(&world, 0, Status::Ok, None).await;
    world.sample(1, &[None, None]).await;
    change(&world, 1, Status::Down, None).await;
    let mut outage = Outage::open(OutageId::new(1), NAMES[1].into(), Some(wall(1_000_000)), wall(1_000_007));
    outage.due = Some(wall(1_000_030));
    let mut sent = Delivery::new(wall(1_000_041), "noc", MailId::new(1), "<1@x>", DeliveryOutcome::Sent);
    sent.recipients = vec!["turno@example.net".into()];
    sent.targets = vec![NAMES[1].into()];
    world.dashboard.events(&[Event::OutageDue(id(1), outage), Event::Delivery(sent)]).await;
    change(&world, 2, Status::Unknown, Some(Cause::NoRoute)).await;
    world
}

#[tokio::test]
async fn a_target_names_what_it_is_reached_through() {
    let mut world = World::of(&NAMES[..2], Settings::default()).await;
    let mut plan = (*world.plan).clone();
    plan.targets[1] = plan.targets[1].clone().with_parents([id(0)]);
    world.plan = std::sync::Arc::new(plan);
    world.start().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let body = served.get("/api/v1/targets/dslam-centro").await.json();
    assert_eq!(body["parents"], json!(["core-1"]));
}

#[tokio::test]
async fn the_list_says_of_each_target_what_the_document_promises() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let mut body = served.get("/api/v1/targets").await.json();
    is_time(&body["generated_at"]);
    is_time(&body["last_update"]);
    assert_eq!(body["stale"], json!(false));
    assert_eq!(
        body["counts"],
        json!({"ok": 1, "warning": 0, "down": 1, "unreachable": 0, "unknown": 1, "pending": 1, "total": 4})
    );
    let targets = body["targets"].as_array_mut().unwrap();
    is_time(&targets[0]["last_reply"]);
    targets[0]["last_reply"] = Value::Null;
    is_time(&targets[3]["since"]);
    targets[3]["since"] = Value::Null;
    assert_eq!(
        targets[..],
        [
            json!({"name": "core-1", "address": "192.0.0.1", "group": null, "status": "ok", "since": "1970-01-12T13:46:40.000Z",
                "rtt_ms": 11.0, "loss": 0.25, "jitter_ms": 1.5, "last_reply": null, "parents": [], "flags": [], "cause": null}),
            json!({"name": "dslam-centro", "address": "192.0.0.2", "group": "DSLAM", "status": "down",
                "since": "1970-01-12T13:46:40.000Z", "rtt_ms": null, "loss": 1.0, "jitter_ms": null,
                "last_reply": "1970-01-12T13:46:40.000Z", "parents": [], "flags": ["due", "told"], "cause": null}),
            json!({"name": "dslam-norte", "address": "192.0.0.3", "group": "DSLAM", "status": "unknown",
                "since": "1970-01-12T13:46:40.000Z", "rtt_ms": null, "loss": null, "jitter_ms": null, "last_reply": null,
                "parents": [], "flags": ["never_answered"], "cause": "no_route"}),
            json!({"name": "calle/esquina %25", "address": "192.0.0.4", "group": "DSLAM", "status": "pending", "since": null,
                "rtt_ms": null, "loss": null, "jitter_ms": null, "last_reply": null, "parents": [], "flags": [],
                "cause": null}),
        ]
    );
    served.stop().await;
}

#[tokio::test]
async fn filters_choose_and_counts_stay_those_of_all() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for (query, names, matched) in [
        ("?status=down", vec!["dslam-centro"], 1),
        ("?status=down,ok", vec!["core-1", "dslam-centro"], 2),
        ("?group=DSLAM&limit=1&offset=1", vec!["dslam-norte"], 3),
        ("?q=CENTRO", vec!["dslam-centro"], 1),
        ("?q=192.0.0.4", vec!["calle/esquina %25"], 1),
        ("?group=nadie", vec![], 0),
        ("?limit=0", vec![], 4),
        ("?offset=1000", vec![], 4),
    ] {
        let body = served.get(&format!("/api/v1/targets{query}")).await.json();
        let found: Vec<&str> =
            body["targets"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{query}");
        assert_eq!((&body["matched"], &body["counts"]["total"]), (&json!(matched), &json!(4)), "{query}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_wrong_query_is_told_what_is_right() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for (query, says) in [
        ("?state=down", "status, group, q, limit, offset"),
        ("?status=DOWN", "down, unreachable, warning, unknown, pending, ok"),
        ("?limit=many", "whole number from 0"),
        ("?q=%ff&q=b", "given twice"),
    ] {
        let reply = served.get(&format!("/api/v1/targets{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{query}: {error}");
    }
    served.stop().await;
}

#[tokio::test]
async fn one_target_is_found_by_its_name_however_odd() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let odd = served.get("/api/v1/targets/calle%2Fesquina%20%2525").await.json();
    assert_eq!(odd["name"], "calle/esquina %25");
    let down = served.get("/api/v1/targets/dslam-centro").await.json();
    assert_eq!(
        down["outage"],
        json!({"first_bad": "1970-01-12T13:46:47.000Z", "due": "1970-01-12T13:47:10.000Z",
            "told": "1970-01-12T13:47:21.000Z", "told_to": ["turno@example.net"], "ack": null})
    );
    assert_eq!((&down["tolerance"], &down["warn_rtt_ms"]), (&json!(30.0), &json!(150.0)));
    let missing = served.get("/api/v1/targets/nobody").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"], "no target has the name \"nobody\"");
    assert_eq!(served.get("/api/v1/nothing").await.status, 404);
    served.stop().await;
}

#[tokio::test]
async fn the_stream_begins_with_everything_and_goes_on_with_what_changes() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let mut events = served.events().await;
    let (first, snapshot) = events.next().await.unwrap();
    assert_eq!((first.as_str(), &snapshot["locale"], &snapshot["stale"]), ("snapshot", &json!("es"), &json!(false)));
    assert_eq!(snapshot["groups"], json!(["DSLAM"]));
    assert_eq!(snapshot["targets"].as_array().unwrap().len(), 4);
    // The first beat after it may still carry what the snapshot already holds.
    events.find("tick").await;
    change(&world, 3, Status::Down, None).await;
    change(&world, 0, Status::Warning, None).await;
    let change = events.find("change").await;
    assert_eq!((&change["counts"]["down"], &change["counts"]["warning"]), (&json!(2), &json!(1)));
    let names: Vec<&Value> = change["targets"].as_array().unwrap().iter().map(|target| &target["name"]).collect();
    assert_eq!(names, [NAMES[3], NAMES[0]], "gathered into one");
    world.sample(0, &[Some(20)]).await;
    let mut tick = events.find("tick").await;
    while tick["samples"].as_array().unwrap().is_empty() {
        tick = events.find("tick").await;
    }
    let sample = &tick["samples"][0];
    assert_eq!((&sample[0], &sample[1], &sample[2]), (&json!("core-1"), &json!(20.0), &json!(0.2)));
    is_time(&sample[4]);
    let mail = Event::MailPath {
        notifier: "noc".into(),
        waiting: 4,
        failing_since: Some(wall(1_000_000)),
        last_sent: None,
        error: Some("connection refused".into()),
    };
    let journal = Event::Journal { failing_since: Some(wall(1_000_000)), error: Some("disk full".into()) };
    world.dashboard.events(&[mail, journal]).await;
    let change = events.find("change").await;
    assert_eq!(
        change["mail"],
        json!([{"notifier": "noc", "waiting": 4, "failing_since": "1970-01-12T13:46:40.000Z", "last_sent": null,
            "error": "connection refused", "refused": []}])
    );
    assert_eq!(change["journal"], json!({"failing_since": "1970-01-12T13:46:40.000Z", "error": "disk full"}));
    let set_aside = Event::Trouble { at: wall(1), component: "store", message: "netwatch.db was damaged".into() };
    let again = Event::Journal { failing_since: None, error: None };
    world.dashboard.events(&[set_aside, again]).await;
    let change = events.find("change").await;
    assert!(change["journal"]["failing_since"].is_null());
    let stays = json!({"failing_since": null, "error": null, "notice": "netwatch.db was damaged"});
    assert_eq!(change["journal"], stays, "said until netwatch is started again");
    world.start().await;
    let snapshot = events.find("snapshot").await;
    assert_eq!(snapshot["counts"]["pending"], json!(4), "a reload voids what was told before");
    served.stop().await;
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn a_recipient_refused_for_good_is_named_until_a_mail_is_accepted() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    assert_eq!(served.get("/healthz").await.json()["mail"], json!([]));
    let mut failed = Delivery::new(wall(1_000_041), "noc", MailId::new(1), "<1@x>", DeliveryOutcome::Failed);
    failed.recipients = vec!["malo@example.net".into()];
    failed.reason = Some("550 5.1.1 no such user".into());
    let mut accepted = failed.clone();
    world.dashboard.events(&[Event::Delivery(failed)]).await;
    let refusal = json!([{"recipient": "malo@example.net", "reason": "550 5.1.1 no such user", "at": "1970-01-12T13:47:21.000Z"}]);
    let health = served.get("/healthz").await;
    assert_eq!(health.status, 200, "others got the mail");
    assert_eq!(health.json()["mail"][0]["refused"], refusal);
    assert_eq!(served.events().await.find("snapshot").await["mail"][0]["refused"], refusal);
    accepted.outcome = DeliveryOutcome::Sent;
    world.dashboard.events(&[Event::Delivery(accepted)]).await;
    assert_eq!(served.get("/healthz").await.json()["mail"][0]["refused"], json!([]));
    served.stop().await;
}

#[tokio::test]
async fn silence_of_the_teller_is_shown_and_fails_the_health_check() {
    let mut settings = Settings::default();
    settings.interval = Duration::from_millis(100);
    settings.pings = 1;
    settings.timeout = Duration::from_millis(50);
    let world = World::of(&NAMES, settings).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    world.sample(0, &[Some(1)]).await;
    let health = served.get("/healthz").await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &json!("ok")));
    assert!(health.json()["last_sample_age"].as_f64().unwrap() < 2.0);
    assert_eq!(health.json()["dropped_samples"], json!(0));
    assert_eq!(health.json()["icmp"], Value::Null, "nobody tells of an engine");
    world.dashboard.set_engine(|| vec![("sent", Some(9)), ("rtt_error_p99_us", None)]);
    assert_eq!(served.get("/healthz").await.json()["icmp"], json!({ "sent": 9, "rtt_error_p99_us": null }));
    let dropped = |sink, total| Event::SamplesDropped { sink, total };
    world.dashboard.events(&[dropped("files", 2), dropped("page", 3), dropped("files", 4)]).await;
    assert_eq!(served.get("/healthz").await.json()["dropped_samples"], json!(7));
    let mut events = served.events().await;
    let begun = Instant::now();
    while events.find("tick").await["stale"] == json!(false) {
        assert!(begun.elapsed() < common::PATIENCE, "never stale");
    }
    let health = served.get("/healthz").await;
    assert_eq!((health.status.as_u16(), &health.json()["status"]), (503, &json!("stale")));
    assert_eq!(served.get("/api/v1/targets").await.json()["stale"], json!(true));
    world.sample(0, &[Some(1)]).await;
    assert_eq!(served.get("/healthz").await.status, 200, "and back");
    served.stop().await;
}

#[tokio::test]
async fn a_hostile_name_is_data() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "a\nevent: snapshot\ndata: {}\n\n",
        "\u{202e}x",
    ];
    let world = World::of(&hostile, Settings::default()).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let body = served.get("/api/v1/targets").await.json();
    let (event, snapshot) = served.events().await.next().await.unwrap();
    assert_eq!(event, "snapshot");
    for (at, name) in hostile.iter().enumerate() {
        assert_eq!((&body["targets"][at]["name"], &snapshot["targets"][at]["name"]), (&json!(name), &json!(name)));
    }
    let missing = served.get("/api/v1/targets/%3Cscript%3E").await;
    assert_eq!(
        (missing.status.as_u16(), &missing.headers["content-type"]),
        (404, &"application/json".parse().unwrap())
    );
    served.stop().await;
}

#[tokio::test]
async fn ten_thousand_targets_are_listed_and_streamed() {
    let names: Vec<String> = (0..10_000).map(|n| format!("olt-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::of(&names, Settings::default()).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for at in 0..10_000 {
        world.sample(at, &[Some(3)]).await;
    }
    assert_eq!(served.get("/api/v1/targets").await.json()["targets"].as_array().unwrap().len(), 10_000);
    let mut events = served.events().await;
    assert_eq!(events.find("snapshot").await["targets"].as_array().unwrap().len(), 10_000);
    world.sample(9_999, &[Some(5)]).await;
    let mut seen = false;
    while !seen {
        let tick = events.find("tick").await;
        seen = tick["samples"].as_array().unwrap().iter().any(|sample| sample[0] == "olt-9999");
    }
    served.stop().await;
}
