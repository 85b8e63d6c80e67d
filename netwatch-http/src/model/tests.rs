//! The read model, fed by hand.

use netwatch_core::{Echo, Echoes, MailId, NotifierPolicy, OutageId, Rtt, Settings};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn wall(seconds: i64) -> Wall {
    Wall::from_unix_nanos(seconds * 1_000_000_000)
}

fn now(seconds: u64) -> Now {
    Now::new(Mono::ZERO.plus(SECOND * u32::try_from(seconds).unwrap()), wall(i64::try_from(seconds).unwrap()))
}

fn id(index: usize) -> TargetId {
    TargetId::from_index(index)
}

fn model(targets: usize) -> Model {
    let targets = (0..targets).map(|n| Target::at(format!("t{n}"), "192.0.2.1".parse().unwrap())).collect();
    let plan = Plan::new(targets).with_notifier(NotifierPolicy::new("noc"));
    let mut model = Model::default();
    model.start(&Start::new(now(0), Arc::new(plan), Vec::new()), now(0));
    model.take_news();
    model.want_samples(true);
    model
}

fn answered(target: usize, at: u64, ms: u64) -> Sample {
    let echoes: Echoes = [Echo::Reply(Rtt::from_duration(Duration::from_millis(ms)))].into_iter().collect();
    Sample::new(id(target), now(at).mono, now(at).mono, echoes)
}

fn outage(number: u64, due: Option<i64>) -> Outage {
    let mut outage = Outage::open(OutageId::new(number), "t0".into(), Some(wall(1)), wall(2));
    outage.due = due.map(wall);
    outage
}

fn sent(at: i64) -> Event {
    Event::Delivery(delivery(at, DeliveryOutcome::Sent))
}

fn delivery(at: i64, outcome: DeliveryOutcome) -> Delivery {
    let mut delivery = Delivery::new(wall(at), "noc", MailId::new(1), "<1@x>", outcome);
    delivery.recipients = vec!["a@example.net".into()];
    delivery.targets = vec!["t0".into()];
    delivery
}

#[test]
fn a_group_behind_a_suspected_limiter_is_flagged_until_it_is_not() {
    let (group, other) = (GroupId::from_index(0), GroupId::from_index(1));
    let target = |name: &str| Target::at(name, "192.0.2.1".parse().unwrap());
    let plan = Plan::new(vec![target("t0").with_group(group), target("t1").with_group(other), target("t2")]);
    let mut model = Model::default();
    model.start(&Start::new(now(0), Arc::new(plan), Vec::new()), now(0));
    model.take_news();
    let limiter = |suspected| Event::Limiter { at: wall(1), group, suspected };
    model.events(&[limiter(true)], now(1));
    assert_eq!(model.take_news().changed, [0]);
    let flagged = |model: &Model, name: &str| model.row(name).unwrap().flags().contains(&"limiter_suspected");
    assert_eq!(["t0", "t1", "t2"].map(|name| flagged(&model, name)), [true, false, false]);
    model.events(&[limiter(false)], now(2));
    assert!(!flagged(&model, "t0"));
}

#[test]
fn a_sample_moves_the_last_answer_but_not_the_status() {
    let mut model = model(1);
    model.samples(&[answered(0, 5, 12)], now(6));
    let row = model.row("t0").unwrap();
    assert_eq!((row.status, row.last_reply), (Status::Pending, Some(wall(5))));
    assert_eq!(model.take_sampled(), [0]);
    assert!(model.take_sampled().is_empty(), "told once");
}

#[test]
fn a_million_rows_fit() {
    assert!(size_of::<State>() <= 112, "{} bytes", size_of::<State>());
}

#[test]
fn every_target_is_found_by_its_name() {
    let model = model(30);
    for n in 0..30 {
        assert_eq!(&**model.row(&format!("t{n}")).unwrap().name, format!("t{n}"));
    }
    assert!(model.row("t30").is_none());
}

#[test]
fn nobody_notes_who_was_measured_while_nobody_asks() {
    let mut model = model(1);
    model.want_samples(false);
    model.samples(&[answered(0, 5, 12)], now(6));
    assert!(model.take_sampled().is_empty());
}

#[test]
fn an_older_answer_never_replaces_a_later_one() {
    let mut model = model(1);
    model.samples(&[answered(0, 9, 1)], now(9));
    model.samples(&[answered(0, 5, 1)], now(10));
    assert_eq!(model.row("t0").unwrap().last_reply, Some(wall(9)));
}

#[test]
fn told_belongs_to_the_outage_that_was_due_when_the_mail_left() {
    let mut model = model(1);
    model.events(&[Event::OutageOpened(id(0), outage(1, None)), sent(3)], now(3));
    assert_eq!(model.row("t0").unwrap().told, None, "that mail spoke of something else");
    model.events(&[Event::OutageDue(id(0), outage(1, Some(30))), sent(40)], now(40));
    assert_eq!(model.row("t0").unwrap().told.unwrap().at, wall(40));
    model.events(&[sent(90)], now(90));
    assert_eq!(model.row("t0").unwrap().told.unwrap().at, wall(40), "the first mail is the one that told");
    model.events(&[Event::OutageOpened(id(0), outage(2, None))], now(95));
    assert_eq!(model.row("t0").unwrap().told, None);
}

#[test]
fn a_refused_mail_has_told_nobody() {
    let mut model = model(1);
    model.events(&[Event::OutageDue(id(0), outage(1, Some(30)))], now(30));
    model.events(&[Event::Delivery(delivery(40, DeliveryOutcome::Failed))], now(40));
    assert_eq!(model.row("t0").unwrap().told, None);
}

fn failed(at: i64, recipient: &str) -> Event {
    let mut failed = delivery(at, DeliveryOutcome::Failed);
    failed.recipients = vec![recipient.into()];
    failed.reason = Some("550 5.1.1 no such user".into());
    Event::Delivery(failed)
}

fn refused(model: &Model) -> Vec<(&str, Wall)> {
    model.mail.values().flat_map(|path| &path.refused).map(|(to, refusal)| (&**to, refusal.at)).collect()
}

#[test]
fn a_refused_recipient_stays_known_until_a_mail_to_them_is_accepted() {
    let mut model = model(1);
    model.events(&[sent(40), failed(40, "malo@example.net")], now(40));
    assert_eq!(refused(&model), [("malo@example.net", wall(40))]);
    assert!(model.take_news().paths);
    let works =
        Event::MailPath { notifier: "noc".into(), waiting: 0, failing_since: None, last_sent: None, error: None };
    let retry_at = wall(99);
    let mut later = delivery(41, DeliveryOutcome::Deferred { retry_at });
    later.recipients = vec!["malo@example.net".into()];
    model.events(&[works, sent(50), Event::Delivery(later), failed(60, "malo@example.net")], now(60));
    assert_eq!(refused(&model), [("malo@example.net", wall(60))], "others got theirs; the last refusal is kept");
    model.take_news();
    model.events(&[sent(70)], now(70));
    assert!(!model.take_news().paths, "nothing is new about that");
    let mut accepted = delivery(80, DeliveryOutcome::Sent);
    accepted.recipients = vec!["malo@example.net".into()];
    model.events(&[Event::Delivery(accepted)], now(80));
    assert!(refused(&model).is_empty());
    assert!(model.take_news().paths);
}

#[test]
fn a_reload_forgets_the_refusal_of_who_is_no_recipient_any_more() {
    let mut model = model(1);
    model.events(&[failed(40, "malo@example.net"), failed(40, "otro@example.net")], now(40));
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["otro@example.net".into()];
    let plan = Plan::new(Vec::new()).with_notifier(policy);
    model.start(&Start::new(now(50), Arc::new(plan), Vec::new()), now(50));
    assert_eq!(refused(&model), [("otro@example.net", wall(40))]);
}

#[test]
fn a_reload_keeps_what_was_told_of_an_open_outage() {
    let mut model = model(1);
    model.events(&[Event::OutageDue(id(0), outage(7, Some(30))), sent(40)], now(40));
    let mut view = TargetView::pending(id(0), wall(30));
    view.outage = Some(outage(7, Some(30)));
    let plan = model.plan.clone();
    model.start(&Start::new(now(50), plan, vec![view]), now(50));
    assert!(model.row("t0").unwrap().flags().contains(&"told"));
    assert!(model.take_news().restarted);
}

#[test]
fn an_answering_device_with_an_open_outage_is_recovering() {
    let mut model = model(1);
    model.events(&[Event::OutageOpened(id(0), outage(1, None))], now(2));
    let mut back = Transition::new(id(0), "t0", Status::Pending, Status::Ok, wall(3));
    back.last_good = Some(wall(3));
    model.transitions(&[back], now(3));
    assert_eq!((model.count(Status::Pending), model.count(Status::Ok)), (0, 1));
    assert_eq!(model.row("t0").unwrap().flags(), ["recovering"]);
    model.events(&[Event::OutageClosed(id(0), outage(1, None))], now(60));
    assert!(model.row("t0").unwrap().flags().is_empty());
}

#[test]
fn silence_of_those_who_report_makes_it_stale() {
    let mut model = model(1);
    let limit = Settings::default();
    let limit = limit.interval + limit.check_duration() + SLACK;
    let after = |by: Duration| Now::new(now(0).mono.plus(by), wall(0));
    assert!(!model.is_stale(after(limit), Mono::ZERO));
    assert!(model.is_stale(after(limit + SECOND), Mono::ZERO));
    model.samples(&[answered(0, 18, 1)], now(18));
    assert!(!model.is_stale(after(limit + SECOND), Mono::ZERO));
}

#[test]
fn nothing_is_expected_of_paused_targets() {
    let mut target = Target::at("t0", "192.0.2.1".parse().unwrap());
    target.paused = true;
    let mut model = Model::default();
    assert!(model.is_stale(now(21), Mono::ZERO), "never started");
    model.start(&Start::new(now(0), Arc::new(Plan::new(vec![target])), Vec::new()), now(0));
    assert!(!model.is_stale(now(100_000), Mono::ZERO));
    assert_eq!(model.row("t0").unwrap().flags(), ["paused"]);
}

#[test]
fn a_change_is_news_once_however_often_it_happens() {
    let mut model = model(2);
    for _ in 0..3 {
        model.events(&[Event::OutageOpened(id(1), outage(1, None))], now(2));
    }
    assert_eq!(model.take_news().changed, [1]);
    assert!(model.take_news().changed.is_empty());
}

#[test]
fn an_acknowledgement_keeps_what_was_told_and_ends_with_the_outage() {
    let mut model = model(1);
    model.events(&[Event::OutageDue(id(0), outage(1, Some(30))), sent(40)], now(40));
    let mut acked = outage(1, Some(30));
    acked.ack = Some(Arc::new(netwatch_core::Ack::new(wall(50), "Ana", "")));
    model.events(&[Event::Acknowledged(id(0), acked)], now(50));
    let row = model.row("t0").unwrap();
    assert!(row.flags().contains(&"acknowledged") && row.flags().contains(&"told"), "{:?}", row.flags());
    model.events(&[Event::OutageClosed(id(0), outage(1, Some(30)))], now(60));
    assert!(!model.row("t0").unwrap().flags().contains(&"acknowledged"));
}

#[test]
fn flapping_and_maintenance_are_flags_until_they_end() {
    use netwatch_core::{Calendar, Maintenance, Period, Scope};
    let mut model = model(2);
    let flags = |model: &Model| model.row("t1").unwrap().flags();
    assert!(!flags(&model).contains(&"flapping") && !flags(&model).contains(&"maintenance"));
    let calendar = Calendar::new([Period::new(wall(0), wall(90))]);
    let maintenance = Maintenance::new(Scope::default(), calendar);
    model.events(&[Event::Flapping { target: id(1), since: Some(wall(1)) }], now(1));
    model.events(&[Event::Maintenance { target: id(1), maintenance: Some(maintenance) }], now(2));
    assert_eq!(model.take_news().changed, [1]);
    assert!(flags(&model).contains(&"flapping") && flags(&model).contains(&"maintenance"));
    assert_eq!(model.row("t1").unwrap().maintenance_until, Some(wall(90)));
    assert_eq!(model.row("t0").unwrap().maintenance_until, None);
    model.events(&[Event::Flapping { target: id(1), since: None }], now(80));
    model.events(&[Event::Maintenance { target: id(1), maintenance: None }], now(90));
    assert!(!flags(&model).contains(&"flapping") && !flags(&model).contains(&"maintenance"));
    assert_eq!(model.row("t1").unwrap().maintenance_until, None);
}

#[test]
fn flags_that_were_set_before_the_start_are_shown() {
    let mut model = model(1);
    let mut view = TargetView::pending(id(0), wall(0));
    (view.flapping, view.maintenance) = (true, true);
    let plan = model.plan.clone();
    model.start(&Start::new(now(1), plan, vec![view]), now(1));
    let row = model.row("t0").unwrap();
    assert!(row.flags().contains(&"flapping") && row.flags().contains(&"maintenance"), "{:?}", row.flags());
}

#[test]
fn blindness_is_news_and_a_reload_does_not_end_it() {
    let mut model = model(1);
    model.events(&[Event::Blind { since: Some(wall(5)) }], now(6));
    assert!(model.take_news().paths);
    let plan = model.plan.clone();
    model.start(&Start::new(now(7), plan, Vec::new()), now(7));
    assert_eq!(model.blind_since, Some(wall(5)));
    model.events(&[Event::Blind { since: None }], now(9));
    assert_eq!((model.blind_since, model.take_news().paths), (None, true));
}
