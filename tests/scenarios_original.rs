//! The original's setup with its times scaled down, whole: twenty devices behind a TUN device, a real mail server, and
//! exactly the right mails; statuses, stopwatch, text files and API agree with what the devices really did.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::config::Config;
use netwatch_tests::daemon::Target;
use netwatch_tests::isp::Behaviour;
use netwatch_tests::mail::{Message, OpenSmtpd, all_ids};
use netwatch_tests::process::wait_for;
use netwatch_tests::scene::is_late;
use netwatch_tests::stage::{Fleet, SOON, Stage};

/// The hour of the original, scaled down.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// The two minutes that a server may need to boot, scaled down.
const TOLERANT: (&str, &[(&str, &str)]) = ("d02", &[("tolerance", "6s")]);

/// The file that is handed out, with its times scaled down; everything else is as it stands there.
fn original(fleet: Fleet, mail: &OpenSmtpd) -> Config {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/original.toml");
    let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let tolerances: Vec<_> =
        file["target"].as_array().unwrap().iter().filter_map(|target| target.get("tolerance")).collect();
    assert_eq!(tolerances.len(), 1, "one server may reboot");
    let tolerance = scaled("tolerance", tolerances[0].as_str().unwrap());
    let config = file["defaults"].as_table().unwrap().iter().fold(Config::new(), |config, (key, value)| match value {
        toml::Value::Integer(number) => config.each(key, u32::try_from(*number).unwrap()),
        value => config.each(key, scaled(key, value.as_str().unwrap())),
    });
    let config = fleet.targets(config, &[("d02", &[("tolerance", tolerance)])]).smtp(mail.address());
    let notifier = &file["notifier"][0];
    let telling = ["group_wait", "group_interval", "budget", "min_interval"];
    let config =
        telling.iter().fold(config, |config, key| config.notifier(key, scaled(key, notifier[key].as_str().unwrap())));
    config.notifier("recovery", notifier["recovery"].as_bool().unwrap())
}

fn scaled<'a>(key: &str, value: &'a str) -> &'a str {
    match (key, value) {
        ("interval", "10s") => "1s",
        ("spacing", "1s") => "100ms",
        ("timeout", "2s") => "200ms",
        ("warn_rtt", "150ms") => "100ms",
        ("tolerance", "2m") => "6s",
        ("min_interval", "1h") => "30s",
        ("tolerance" | "settle" | "group_wait" | "group_interval", "0s") | ("budget", "all") => value,
        _ => panic!("examples/original.toml says {key} = {value:?}: what is that, scaled down?"),
    }
}

/// The same with the program's own budget and its default settling and grouping, scaled.
fn by_target(fleet: Fleet, mail: &OpenSmtpd) -> Config {
    let config = fleet.targets(Config::scaled().each("tolerance", "1500ms").each("settle", "4s"), &[TOLERANT]);
    let config = config.smtp(mail.address()).notifier("budget", "target").notifier("min_interval", "1h");
    config.notifier("group_wait", "500ms").notifier("group_interval", "2s")
}

/// Which of the fleet's devices a mail names anywhere.
fn named(fleet: Fleet, mail: &Message) -> Vec<String> {
    let whole = format!("{} {}", mail.subject(), mail.body);
    let word = |name: &String| whole.split(|letter: char| !letter.is_alphanumeric()).any(|found| found == name);
    fleet.names().into_iter().filter(word).collect()
}

/// Down and up again, each time until it was seen, `times` times.
fn flap(stage: &Stage<OpenSmtpd>, name: &str, times: usize) {
    for _ in 0..times {
        stage.down_and_seen(name);
        stage.up_and_seen(name);
    }
}

/// Slows a device down until it is a warning whose RTT is the true one.
fn slow_down(stage: &Stage<OpenSmtpd>, name: &str) {
    stage.isp.set(&stage.fleet.address(name), &Behaviour::slow(150.0));
    let seen = stage.daemon.wait_status(name, "warning", Duration::from_secs(15));
    let rtt = seen.rtt_ms.unwrap();
    assert!((150.0..200.0).contains(&rtt), "{name} answers after 150 ms, shown are {rtt}");
}

/// Every device but these is OK, in the file, the API and over TCP; the logs tell of each mail once. A machine that is kept
/// from running may not know for the time of a check.
fn assert_all_agree(stage: &Stage<OpenSmtpd>, mails: &[Message], others: &[(&str, &str)]) {
    let expected = |name: &str| others.iter().find(|(other, _)| *other == name).map_or("ok", |(_, status)| status);
    let all = wait_for("every device to be known", SOON, || {
        let all = stage.daemon.targets();
        let is_late = |target: &Target| target.status == "unknown" && target.cause.as_deref().is_some_and(is_late);
        let is_right = |name: &str, target: &Target| target.status == expected(name);
        let wrong = all.iter().find(|(name, target)| !is_right(name, target) && !is_late(target));
        assert!(wrong.is_none(), "not {:?}: {wrong:?}", wrong.map(|(name, _)| expected(name)));
        all.iter().all(|(name, target)| is_right(name, target)).then_some(all)
    });
    for (name, target) in all {
        if expected(&name) != "down" {
            let honest = stage.isp.truth().answers(stage.fleet.ip(&name)).len();
            assert!(honest > 0 && target.rtt_ms.is_some(), "{name}: {target:?}");
        }
    }
    stage.assert_files_agree();
    let page = stage.daemon.get_tcp("/").unwrap();
    assert_eq!(page.status, 200, "the page is there");
    let sent: Vec<_> = stage.daemon.mail_log().into_iter().filter(|line| line.outcome == "SENT").collect();
    let logged: Vec<_> = sent.iter().map(|line| (line.message_id.as_str(), line.subject.as_str())).collect();
    let received: Vec<_> = mails.iter().map(|mail| (mail.id(), mail.subject())).collect();
    assert_eq!(logged, received, "mail_log.txt against what the server took");
    assert!(sent.iter().all(|line| line.recipients == "turno@example.net"), "{sent:?}");
}

fn the_original(fleet: Fleet) {
    let mut stage = Stage::with_opensmtpd(fleet, |mail| original(fleet, mail));

    stage.down("d01");
    let first = stage.mail.wait_for(1, SOON);
    let told = Instant::now();
    assert_eq!(named(fleet, &first[0]), ["d01"]);
    assert!(first[0].subject().contains("NO RESPONDE: d01"), "{}", first[0].subject());
    stage.assert_stopwatch("d01");

    // Within the hour: one falls silent for less than its tolerance, one slows down, one comes and goes.
    stage.down_and_seen("d02");
    stage.assert_stopwatch("d02");
    stage.up_and_seen("d02");
    slow_down(&stage, "d03");
    flap(&stage, "d04", 2);
    assert_eq!(stage.mail.delivered().len(), 1, "the hour is not over");
    stage.assert_stopwatch("d01");

    // After the hour: what the budget held back is told, late and once.
    let second = stage.mail.wait_for(2, MIN_INTERVAL + SOON);
    assert!(told.elapsed() + Duration::from_secs(1) >= MIN_INTERVAL, "{:?} after the first", told.elapsed());
    let told = Instant::now();
    assert_eq!(named(fleet, &second[1]), ["d04"]);

    // The tolerant one, longer than its tolerance.
    let silent = Instant::now();
    stage.down_and_seen("d02");
    let third = stage.mail.wait_for(3, MIN_INTERVAL + SOON);
    assert!(silent.elapsed() >= Duration::from_secs(5), "6 s of silence are tolerated, since the last answer");
    assert!(told.elapsed() + Duration::from_secs(1) >= MIN_INTERVAL, "{:?} after the second", told.elapsed());
    assert_eq!(named(fleet, &third[2]), ["d02"]);
    assert_all_agree(&stage, &third, &[("d01", "down"), ("d02", "down"), ("d03", "warning")]);

    // They answer again: nothing is told of that, and nothing again of what was told.
    stage.up_and_seen("d01");
    stage.up_and_seen("d02");
    sleep(MIN_INTERVAL + Duration::from_secs(3));
    let all = stage.mail.delivered();
    assert_eq!(all.len(), 3, "{:?}", all.iter().map(Message::subject).collect::<Vec<_>>());
    assert!(all_ids(&all).values().all(|count| *count == 1));
    assert!(stage.daemon.terminate(Duration::from_secs(2)).success(), "SIGTERM ends it cleanly within 2 s");
}

#[test]
fn the_original_tells_exactly_what_it_must() {
    the_original(Fleet::v4(20));
}

#[test]
fn the_original_does_the_same_over_ipv6() {
    the_original(Fleet::v6(20));
}

#[test]
fn with_the_budget_by_target_and_settling_each_outage_and_its_end_are_told_once() {
    let fleet = Fleet::v4(20);
    let stage = Stage::with_opensmtpd(fleet, |mail| by_target(fleet, mail));

    stage.down("d01");
    let mails = stage.mail.wait_for(1, SOON);
    assert_eq!(named(fleet, &mails[0]), ["d01"]);
    stage.assert_stopwatch("d01");

    // Shorter than its tolerance, and slow: shown, not told. Answering for less than `settle` ends no outage.
    stage.down_and_seen("d02");
    stage.up_and_seen("d02");
    slow_down(&stage, "d03");
    stage.down("d04");
    let mails = stage.mail.wait_for(2, SOON);
    assert_eq!(named(fleet, &mails[1]), ["d04"]);
    stage.up_and_seen("d04");
    flap(&stage, "d04", 1);

    let mails = stage.mail.wait_for(3, Duration::from_secs(15));
    assert_eq!(named(fleet, &mails[2]), ["d04"]);
    stage.up("d01");
    let mails = stage.mail.wait_for(4, Duration::from_secs(15));
    assert_eq!(named(fleet, &mails[3]), ["d01"]);
    for (recovery, opening) in [(&mails[2], &mails[1]), (&mails[3], &mails[0])] {
        assert!(recovery.subject().starts_with("OK"), "{}", recovery.subject());
        assert!(!recovery.subject().contains("NO RESPONDE"), "{}", recovery.subject());
        assert_eq!(recovery.header("In-Reply-To"), opening.id(), "a recovery is threaded under what it ends");
    }

    sleep(Duration::from_secs(6));
    let mails = stage.mail.delivered();
    assert_eq!(mails.len(), 4, "{:?}", mails.iter().map(Message::subject).collect::<Vec<_>>());
    assert_all_agree(&stage, &mails, &[("d03", "warning")]);
}

#[test]
fn the_event_stream_tells_of_a_change_as_it_happens() {
    let fleet = Fleet::v4(3);
    let stage = Stage::without_mail(fleet, &fleet.targets(Config::scaled(), &[]));
    let mut events = stage.daemon.events().unwrap();
    let (first, data) = events.next_event().unwrap();
    assert_eq!(first, "snapshot");
    assert!(data.contains("\"d03\""), "{data}");
    stage.down("d03");
    let begin = Instant::now();
    loop {
        let (name, data) = events.next_event().unwrap();
        if name == "change" && data.contains("\"d03\"") && data.contains("\"down\"") {
            break;
        }
        assert!(begin.elapsed() < SOON, "no change was told");
    }
}
