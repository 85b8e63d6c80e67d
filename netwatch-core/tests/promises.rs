//! The promises of the product, held against virtual days of a virtual provider: a few small ones of each kind of
//! misfortune. `tests/simulate` lives through as many whole ones as it is asked to.

#![allow(clippy::panic, reason = "a broken promise fails the test")]

use std::time::Duration;

use netwatch_core::testing::promises::{trace, violations};
use netwatch_core::testing::world::{Class, Classes, Happening, History, World, WorldOptions};

/// How many days each test lives through; `PROMISES_DAYS` asks for more.
fn days() -> u64 {
    std::env::var("PROMISES_DAYS").ok().and_then(|days| days.parse().ok()).unwrap_or(6)
}

/// A small day on which only these misfortunes happen.
fn day(seed: u64, classes: &[Class]) -> WorldOptions {
    let mut options = WorldOptions::new(seed);
    (options.devices, options.turmoil) = (15, Duration::from_secs(6 * 3600));
    options.classes = classes.iter().fold(Classes::NONE, |all, class| all.with(*class));
    options
}

fn hold(classes: &[Class]) {
    for seed in 0..days() {
        let history = World::new(day(seed, classes)).run();
        if let Some(first) = violations(&history).first() {
            panic!("seed {seed}: {first}\n{}", trace(&history, Some(first), 60));
        }
    }
}

fn mails(history: &History) -> usize {
    history.entries.iter().filter(|entry| matches!(entry.what, Happening::Taken(..))).count()
}

#[test]
fn they_hold_while_devices_and_links_die() {
    hold(&[Class::Devices, Class::Links, Class::Power]);
}

#[test]
fn they_hold_while_the_program_is_killed_and_stopped() {
    hold(&[Class::Devices, Class::Links, Class::Crash, Class::Stop]);
}

#[test]
fn they_hold_while_the_disk_fails() {
    hold(&[Class::Devices, Class::Journal, Class::Crash]);
}

#[test]
fn they_hold_while_the_mail_servers_misbehave() {
    hold(&[Class::Devices, Class::Mail, Class::Crash]);
}

#[test]
fn they_hold_while_netwatch_is_cut_off() {
    hold(&[Class::Uplink, Class::Witness]);
}

#[test]
fn they_hold_while_the_clock_steps() {
    hold(&[Class::Devices, Class::Clock]);
}

#[test]
fn they_hold_while_devices_flap() {
    hold(&[Class::Flapping, Class::Mail]);
}

#[test]
fn they_hold_while_people_see_to_it() {
    hold(&[Class::Devices, Class::Acknowledge, Class::Maintenance]);
}

#[test]
fn they_hold_while_the_configuration_changes() {
    hold(&[Class::Devices, Class::Reload]);
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    let mut options = day(7, &Class::ALL);
    options.turmoil *= 2;
    let [first, second] = [0, 1].map(|_| World::new(options).run());
    assert_eq!(trace(&first, None, usize::MAX), trace(&second, None, usize::MAX));
    assert_eq!(first.saved, second.saved);
    assert!(mails(&first) > 20, "a history without mails proves nothing");
}

/// What a checker must find is found: histories in which a rule was broken by hand.
mod broken {
    use super::*;
    use netwatch_core::testing::promises::{Promise, Violation};
    use netwatch_core::{Event, Line, LineKind, Status};

    fn found(history: &History, promise: Promise, rule: &str) -> bool {
        violations(history).iter().any(|found: &Violation| found.promise == promise && found.rule == rule)
    }

    fn lived() -> History {
        let history = World::new(day(1, &[Class::Devices])).run();
        assert_eq!(violations(&history), []);
        history
    }

    fn takes(what: &Happening, fits: impl Fn(&Line) -> bool) -> bool {
        matches!(what, Happening::Taken(mail, _) if mail.lines.iter().any(fits))
    }

    #[test]
    fn a_mail_that_no_server_took() {
        let mut history = lived();
        history.entries.retain(|entry| !takes(&entry.what, |line| line.kind.brings_outage()));
        assert!(found(&history, Promise::NothingLost, "due, not told"));
        assert!(found(&history, Promise::NothingLost, "true, not told"));
        assert!(found(&history, Promise::EverySilence, "written, not sent"));
        assert!(found(&history, Promise::NothingRepeated, "end without beginning"));
    }

    #[test]
    fn an_end_that_no_server_took() {
        let mut history = lived();
        history.entries.retain(|entry| !takes(&entry.what, |line| line.kind == LineKind::Closed));
        assert!(found(&history, Promise::NothingLost, "end not told"));
    }

    #[test]
    fn a_ledger_that_says_nothing() {
        let mut history = lived();
        history.entries.retain(|entry| !matches!(entry.what, Happening::Event(Event::Ledger(_))));
        assert!(found(&history, Promise::EverySilence, "no reason"));
        assert!(found(&history, Promise::EverySilence, "sent, not written"));
    }

    #[test]
    fn a_device_that_answered_and_is_called_down() {
        let mut history = lived();
        for device in &mut history.devices {
            device.silent = Default::default();
        }
        assert!(found(&history, Promise::UnknownIsNotDown, "it answered"));
        assert!(found(&history, Promise::UnknownIsNotDown, "tolerance"));
    }

    #[test]
    fn a_device_that_is_down_at_the_end() {
        let mut history = lived();
        if let Some(view) = history.views.first_mut() {
            view.status = Status::Down;
        }
        assert!(found(&history, Promise::NothingLost, "not well"));
    }
}
