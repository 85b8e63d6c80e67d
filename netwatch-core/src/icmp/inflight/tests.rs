//! The in-flight table holds its guarantee: every echo of every check ends in exactly one result.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::keys::Keys;
use super::*;
use crate::model::{Settings, TargetId};
use crate::probe::Check;

fn check(target: usize, pings: u16) -> Ask {
    let settings = Settings { pings, spacing: Duration::from_millis(10), ..Settings::default() };
    let address = SocketAddr::from(([192, 0, 2, 1], 0));
    let target = TargetId::from_index(target);
    let at = Mono::from_nanos(1_000_000_000);
    Ask::of(&Check::new(CheckId::new(7), target, "t", address, at, Arc::new(settings)))
}

#[test]
fn a_target_keeps_its_slot_and_a_second_check_borrows_another() {
    let mut inflight = InFlight::new(1);
    let home = inflight.begin(&check(3, 1), 0).unwrap();
    let spare = inflight.begin(&check(3, 1), 0).unwrap();
    assert_ne!(home, spare);
    assert!(inflight.cancel(home, 0) && inflight.cancel(spare, 0));
    assert!(inflight.is_idle());
    assert_eq!(inflight.begin(&check(3, 1), 0), Some(home));
    assert_eq!(inflight.begin(&check(3, 1), 0), Some(spare));
    assert_eq!(inflight.begin(&check(usize::MAX, 1), 0), Some(2), "a target beyond all plans has no home");
}

#[test]
fn only_the_owner_of_a_check_cancels_it() {
    let mut inflight = InFlight::new(1);
    let slot = inflight.begin(&check(0, 1), 5).unwrap();
    assert!(!inflight.cancel(slot, 4));
    assert!(inflight.cancel(slot, 5) && !inflight.cancel(slot, 5));
}

#[test]
fn a_check_of_thousands_of_pings_keeps_every_echo_apart() {
    let mut inflight = InFlight::new(0xdead_beef);
    let slot = inflight.begin(&check(0, 10_000), 0).unwrap();
    for _ in 0..10_000 {
        let planned = inflight.next_departure(slot).unwrap();
        let (echo, _) = inflight.depart(slot, planned).unwrap();
        inflight.sent(slot, echo.stamp.ping, planned, Echo::Lost(Loss::NoReply));
        // Beyond 1,024 echoes a key alone may be another's, so it is nobody's.
        let certain = (echo.stamp.ping < 1_024).then_some(echo.stamp);
        assert_eq!(inflight.whose(echo.stamp.key).map(|(stamp, ..)| stamp), certain);
        assert!(inflight.is_waiting(echo.stamp.key));
        if echo.stamp.ping.is_multiple_of(3) {
            assert_eq!(inflight.answer(echo.stamp, Arrival::known), Answer::Counted);
        }
    }
    inflight.expire(slot, Mono::from_nanos(u64::MAX), |_, _| None);
    let sample = inflight.finish(slot).unwrap().sample;
    assert_eq!((sample.replies(), sample.lost()), (3_334, 6_666));
}

#[test]
fn each_timeout_ends_in_its_turn() {
    let mut inflight = InFlight::new(1);
    let slot = inflight.begin(&check(0, 3), 0).unwrap();
    for _ in 0..3 {
        let planned = inflight.next_departure(slot).unwrap();
        let (echo, _) = inflight.depart(slot, planned).unwrap();
        inflight.sent(slot, echo.stamp.ping, planned, Echo::Lost(Loss::NoReply));
    }
    for ms in [3_000, 3_010, 3_020] {
        let deadline = Mono::from_nanos(ms * 1_000_000);
        assert_eq!(inflight.deadline(slot), Some(deadline));
        inflight.expire(slot, deadline.minus(Duration::from_nanos(1)), |_, _| None);
        assert_eq!(inflight.deadline(slot), Some(deadline), "not before its time");
        inflight.expire(slot, deadline, |_, _| None);
    }
    assert_eq!(inflight.finish(slot).unwrap().sample.ended, Mono::from_nanos(3_020_000_000));
}

#[test]
fn room_that_was_made_is_enough_and_no_more() {
    let mut inflight = InFlight::new(7);
    inflight.make_room(1000);
    let room = (inflight.slots.capacity(), inflight.homes.capacity());
    assert_eq!(room, (1000, 1000));
    (0..1000).for_each(|target| assert!(inflight.begin(&check(target, 5), 0).is_some()));
    assert_eq!((inflight.slots.capacity(), inflight.homes.capacity()), room);
}

#[test]
fn a_million_checks_fit_and_one_too_many_is_refused() {
    let mut inflight = InFlight::new(7);
    let most = MOST_SLOTS as usize - 1;
    for target in 0..most {
        assert_eq!(inflight.begin(&check(target, 5), 0), Some(target as u32), "slots follow the order of the checks");
    }
    assert_eq!(inflight.begin(&check(most, 5), 0), None);
    assert_eq!(inflight.begin(&check(3, 5), 0), None);
    assert_eq!(inflight.begin(&check(usize::MAX, 5), 0), None);
    assert!(inflight.cancel(77, 0));
    assert_eq!(inflight.begin(&check(77, 5), 0), Some(77), "what is free again is taken again");
    let bytes = inflight.slots.capacity() * size_of::<Slot>() + inflight.homes.capacity() * size_of::<u32>();
    assert!(bytes / most <= 108, "{} bytes a target", bytes / most);
}

#[test]
fn three_times_as_many_echoes_as_sequence_numbers_are_told_apart() {
    let (mut inflight, mut keys) = (InFlight::new(3), Keys::raw(0x0bad_cafe));
    let mut wires = Vec::new();
    for target in 0..200_000 {
        let slot = inflight.begin(&check(target, 5), 0).unwrap();
        let planned = Mono::from_nanos(1_000_000_000);
        assert!(inflight.depart(slot, planned.minus(Duration::from_nanos(1))).is_none(), "a plan that is void");
        let (echo, _) = inflight.depart(slot, planned).unwrap();
        inflight.sent(slot, echo.stamp.ping, planned, Echo::Lost(Loss::NoReply));
        wires.push((keys.assign(echo.stamp.key, |_| true).unwrap(), echo.stamp));
    }
    for (wire, stamp) in &wires {
        let key = keys.find(*wire).unwrap();
        assert_eq!(inflight.whose(key).map(|(stamp, ..)| stamp), Some(*stamp));
        assert_eq!(inflight.answer(*stamp, Arrival::known), Answer::Counted);
        assert_eq!(inflight.answer(*stamp, Arrival::known), Answer::Duplicate);
    }
    wires.sort_by_key(|(wire, _)| (wire.ident, wire.seq));
    wires.dedup_by_key(|(wire, _)| (wire.ident, wire.seq));
    assert_eq!(wires.len(), 200_000);
}

enum Fate {
    Answered,
    Silent,
    Unknown,
}

/// One check of one ping, whose fate the closure decides by the identifier it went out under.
fn round(inflight: &mut InFlight, keys: &mut Keys, fate: impl Fn(u16) -> Fate) -> (Stamp, u16) {
    let slot = inflight.begin(&check(0, 1), 0).unwrap();
    let planned = inflight.next_departure(slot).unwrap();
    let (echo, _) = inflight.depart(slot, planned).unwrap();
    let ident = keys.assign(echo.stamp.key, |_| true).unwrap().ident;
    match fate(ident) {
        Fate::Unknown => inflight.not_sent(slot, 0, planned, Cause::NoRoute),
        Fate::Silent => inflight.sent(slot, 0, planned, Echo::Lost(Loss::NoReply)),
        Fate::Answered => {
            inflight.sent(slot, 0, planned, Echo::Lost(Loss::NoReply));
            assert_eq!(inflight.answer(echo.stamp, Arrival::known), Answer::Counted);
        }
    }
    inflight.expire(slot, Mono::from_nanos(u64::MAX), |_, _| None);
    inflight.finish(slot).unwrap();
    (echo.stamp, ident)
}

#[test]
fn a_firewall_with_a_stale_session_hides_a_device_for_three_checks_and_no_longer() {
    let (mut inflight, mut keys) = (InFlight::new(5), Keys::raw(0x1234_5678));
    let (_, stale) = round(&mut inflight, &mut keys, |_| Fate::Answered);
    let passes = |ident: u16| if ident == stale { Fate::Silent } else { Fate::Answered };
    let tried: Vec<u16> = (0..10).map(|_| round(&mut inflight, &mut keys, passes).1).collect();
    assert_eq!(tried[..3], [stale; 3], "the flow is kept as long as it may work");
    assert!(tried[3..].iter().all(|ident| *ident != stale && *ident == tried[3]), "{tried:?}");
}

#[test]
fn what_is_unknown_says_nothing_about_the_flow() {
    let (mut inflight, mut keys) = (InFlight::new(5), Keys::raw(9));
    let (_, first) = round(&mut inflight, &mut keys, |_| Fate::Answered);
    for _ in 0..10 {
        assert_eq!(round(&mut inflight, &mut keys, |_| Fate::Unknown).1, first);
    }
    assert!((0..4).map(|_| round(&mut inflight, &mut keys, |_| Fate::Silent).1).any(|ident| ident != first));
}

#[test]
fn a_reply_to_the_old_identifier_is_late_and_explains_nothing_of_the_new_one() {
    let (mut inflight, mut keys) = (InFlight::new(5), Keys::raw(9));
    let old: Vec<Stamp> = (0..3).map(|_| round(&mut inflight, &mut keys, |_| Fate::Silent).0).collect();
    let slot = inflight.begin(&check(0, 1), 0).unwrap();
    let planned = inflight.next_departure(slot).unwrap();
    let new = inflight.depart(slot, planned).unwrap().0.stamp;
    inflight.sent(slot, 0, planned, Echo::Lost(Loss::NoReply));
    for stamp in old {
        assert_ne!(stamp.key.flow(), new.key.flow());
        assert_eq!(inflight.answer(stamp, Arrival::known), Answer::Late);
        assert_eq!(inflight.whose(stamp.key), None);
        // Even the same counter, under the old identifier, is not that echo.
        assert_eq!(inflight.whose(EchoKey(new.key.0 ^ (new.key.flow() ^ stamp.key.flow()) << 30)), None);
    }
    assert_eq!(inflight.answer(new, Arrival::known), Answer::Counted);
}

proptest! {
    /// Whatever happens in whatever order, outcomes add up to the pings, and replies never exceed what was sent.
    #[test]
    fn every_echo_ends_in_exactly_one_result(pings in 1_u16..20, acts in prop::collection::vec((0_u8..5, 0_u16..20), 0..120)) {
        let mut inflight = InFlight::new(9);
        let slot = inflight.begin(&check(0, pings), 0).unwrap();
        let mut stamps = Vec::new();
        let (mut counted, mut sent) = (0, 0);
        let mut depart = |inflight: &mut InFlight, stamps: &mut Vec<Stamp>, fails: bool| {
            let Some(planned) = inflight.next_departure(slot) else { return };
            let (echo, _) = inflight.depart(slot, planned).unwrap();
            if fails {
                inflight.not_sent(slot, echo.stamp.ping, planned, Cause::NoRoute);
            } else {
                sent += 1;
                inflight.sent(slot, echo.stamp.ping, planned, Echo::Lost(Loss::NoReply));
            }
            stamps.push(echo.stamp);
        };
        for (act, which) in acts {
            match (act, stamps.get(usize::from(which)).copied()) {
                (0, _) => depart(&mut inflight, &mut stamps, false),
                (1, _) => depart(&mut inflight, &mut stamps, true),
                (2, Some(stamp)) => {
                    counted += usize::from(inflight.answer(stamp, Arrival::known) == Answer::Counted);
                }
                (3, Some(stamp)) => inflight.annotate(stamp, Loss::Prohibited),
                (4, _) => inflight.expire(slot, Mono::from_nanos(3_000_000_000 + u64::from(which) * 10_000_000), |_, _| None),
                _ => {}
            }
        }
        prop_assert!(inflight.next_departure(slot).is_none() || inflight.finish(slot).is_none());
        while inflight.next_departure(slot).is_some() {
            depart(&mut inflight, &mut stamps, true);
        }
        inflight.expire(slot, Mono::from_nanos(u64::MAX), |_, _| None);
        let sample = inflight.finish(slot).unwrap().sample;
        let unknown = sample.echoes.iter().filter(|echo| matches!(echo, Echo::Unknown(_))).count();
        prop_assert_eq!(sample.echoes.len(), usize::from(pings));
        prop_assert_eq!((sample.replies(), sample.replies() + sample.lost()), (counted, sent));
        prop_assert_eq!(unknown + sent, usize::from(pings));
        prop_assert!(inflight.is_idle());
    }
}
