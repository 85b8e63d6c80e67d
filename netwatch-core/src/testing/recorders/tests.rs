//! The fakes must be right before what is tested with them can be.

use std::thread;
use std::time::Duration;

use super::*;
use crate::model::{Content, MailId, Mono, Now, Plan, SavedNotifier, TargetId, Wall};

fn commit(seq: u64) -> Commit {
    let outage = Outage::open(OutageId::new(seq), "olt-1".into(), None, Wall::default());
    let notifier = SavedNotifier::new("noc", Some(Wall::from_unix_nanos(i64::try_from(seq).unwrap())));
    Commit::new(seq, vec![Change::PutOutage(outage), Change::PutNotifier(notifier)])
}

fn last_number(journal: &MemoryJournal) -> u64 {
    journal.saved().last_number
}

#[test]
fn commits_are_applied_and_shared_between_handles() {
    let mut journal = MemoryJournal::new();
    let kept = journal.clone();
    journal.commit(&commit(1)).unwrap();
    let mut expected = Saved::default();
    expected.apply(&commit(1));
    assert_eq!((kept.saved(), kept.commits()), (expected, vec![commit(1)]));
    assert!(kept.outages().contains_key(&OutageId::new(1)));
}

#[test]
fn a_failed_commit_has_no_effect() {
    let mut journal = MemoryJournal::new();
    journal.fail_next(2);
    journal.commit(&commit(1)).unwrap_err();
    journal.commit(&commit(1)).unwrap_err();
    assert_eq!(journal.saved(), Saved::default());
    journal.commit(&commit(1)).unwrap();
    assert_eq!(last_number(&journal), 1);
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_commit_that_hangs_goes_on_or_dies_with_the_program() {
    for dies in [false, true] {
        let journal = MemoryJournal::new();
        journal.hang();
        let mut inside = journal.clone();
        let hanging = thread::spawn(move || inside.commit(&commit(1)));
        until(|| journal.hung() == 1);
        assert_eq!(last_number(&journal), 0);
        if dies {
            journal.crash()
        } else {
            journal.go_on()
        }
        assert_eq!(hanging.join().unwrap().is_err(), dies);
        assert_eq!(last_number(&journal), u64::from(!dies));
    }
}

#[test]
fn a_crash_loses_what_was_not_committed_and_nothing_else() {
    let mut journal = MemoryJournal::new();
    journal.commit(&commit(1)).unwrap();
    journal.crash_before_next();
    journal.commit(&commit(2)).unwrap_err();
    journal.commit(&commit(2)).expect_err("dead");
    journal.load().expect_err("dead");
    let mut journal = journal.restart();
    assert_eq!(journal.load().unwrap().last_number, 1);
    journal.crash_after_next();
    journal.commit(&commit(2)).unwrap_err();
    let mut journal = journal.restart();
    assert_eq!(journal.load().unwrap().last_number, 2, "it took effect, though nobody was told");
    journal.commit(&commit(3)).unwrap();
}

#[test]
fn a_restart_heals_the_disk() {
    let journal = MemoryJournal::holding(Saved { last_number: 9, ..Saved::default() });
    journal.fail_next(5);
    journal.hang();
    journal.crash_before_next();
    let mut journal = journal.restart();
    assert_eq!(journal.load().unwrap().last_number, 9);
    journal.commit(&commit(10)).unwrap();
}

fn notification(number: u64) -> Notification {
    let mut notification = Notification::new(MailId::new(number), "<m@netwatch>", Wall::default(), Content::default());
    notification.recipients = vec!["a@example.net".into()];
    notification
}

#[tokio::test]
async fn a_notifier_answers_by_its_script_and_then_accepts() {
    let notifier = RecordingNotifier::new();
    notifier.answer_next(Err(DeliveryError::before_content("421")));
    notifier.hang_next();
    notifier.answer_next(Ok(Receipt::default()));
    assert!(notifier.deliver(&notification(1)).await.is_err());
    let hung = notifier.clone();
    let attempt = tokio::spawn(async move { hung.deliver(&notification(2)).await });
    while notifier.attempts().len() < 2 {
        tokio::task::yield_now().await;
    }
    attempt.abort();
    assert_eq!(notifier.deliver(&notification(3)).await, Ok(Receipt::default()));
    let receipt = notifier.deliver(&notification(4)).await.unwrap();
    assert_eq!(receipt.accepted, notification(4).recipients);
    let number = |notification: &Notification| notification.id.number();
    assert_eq!(notifier.attempts().iter().map(number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(notifier.accepted().iter().map(number).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test]
async fn a_sink_remembers_all() {
    let sink = RecordingSink::new();
    let given_away: Box<dyn StatusSink> = Box::new(sink.clone());
    let now = Now::new(Mono::ZERO, Wall::default());
    given_away.start(&Start::new(now, Arc::new(Plan::default()), Vec::new())).await;
    let sample = Sample::unknown(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, 1, crate::Cause::Paused);
    given_away.samples(&[sample.clone(), sample]).await;
    given_away.events(&[Event::Journal { failing_since: None, error: None }]).await;
    given_away.transitions(&[]).await;
    assert!(!sink.is_stopped());
    given_away.stop().await;
    assert!(sink.is_stopped());
    assert_eq!((sink.starts().len(), sink.samples().len(), sink.events().len()), (1, 2, 1));
    assert!(sink.transitions().is_empty());
}
