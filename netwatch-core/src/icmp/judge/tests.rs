//! Promise 7, lie by lie: each test fails when the check it is named after is taken out.

use std::sync::Arc;
use std::time::Duration;

use super::super::cookie::Stamp;
use super::super::handover::Ask;
use super::super::inflight::Departure;
use super::*;
use crate::model::{Cause, Echo, Rtt, Sample, Settings, TargetId};
use crate::probe::{Check, CheckId};

const SPACING: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(500);

/// One target of three pings, two of them sent, at the times 0 and 100 ms.
struct World {
    inflight: InFlight,
    keys: Keys,
    cookies: Cookies,
    slot: u32,
    sent: Vec<(Departure, WireKey, [u8; PAYLOAD])>,
}

fn ms(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn world_at(address: &str, rule: PayloadRule) -> World {
    let settings = Settings { pings: 3, spacing: SPACING, timeout: TIMEOUT, payload: rule, ..Settings::default() };
    let address: SocketAddr = address.parse().unwrap();
    let check = Check::new(CheckId::new(1), TargetId::from_index(0), "t", address, ms(0), Arc::new(settings));
    let mut world = World {
        inflight: InFlight::new(0xffff_fff0),
        keys: Keys::raw(0x5a5a_1234),
        cookies: Cookies::new([3, 4]),
        slot: 0,
        sent: Vec::new(),
    };
    world.begin(&check);
    world.depart();
    world.depart();
    world
}

fn world() -> World {
    world_at("192.0.2.1:0", PayloadRule::Strict)
}

fn honest() -> SocketAddr {
    "192.0.2.1:0".parse().unwrap()
}

impl World {
    fn begin(&mut self, check: &Check) {
        self.slot = self.inflight.begin(&Ask::of(check), 0).unwrap();
    }

    fn depart(&mut self) {
        let planned = self.inflight.next_departure(self.slot).unwrap();
        let (echo, _) = self.inflight.depart(self.slot, planned).unwrap();
        self.inflight.sent(self.slot, echo.stamp.ping, planned, Echo::Lost(Loss::NoReply));
        let wire = self.keys.assign(echo.stamp.key, |_| false).unwrap();
        self.sent.push((echo, wire, self.cookies.seal(echo.stamp, echo.to.ip())));
    }

    fn judge(&mut self, from: SocketAddr, wire: WireKey, payload: &[u8], at: Mono) -> Count {
        let mut judge = Judge { inflight: &mut self.inflight, keys: &self.keys, cookies: &self.cookies };
        judge.reply(from, wire, payload, |_| Arrival::known(at)).0
    }

    /// An honest reply to the echo of this place, at this time.
    fn answer(&mut self, nth: usize, at: Mono) -> Count {
        let (echo, wire, payload) = self.sent[nth];
        self.judge(echo.to, wire, &payload, at)
    }

    fn complain(&mut self, wire: WireKey, to: &str, quoted: &[u8], loss: Loss) -> Count {
        let mut judge = Judge { inflight: &mut self.inflight, keys: &self.keys, cookies: &self.cookies };
        judge.error(wire, to.parse().unwrap(), quoted, loss)
    }

    /// Lets all timeouts end.
    fn end(mut self) -> Sample {
        while self.inflight.next_departure(self.slot).is_some() {
            self.depart();
        }
        self.inflight.expire(self.slot, ms(10_000), |_, _| None);
        self.inflight.finish(self.slot).unwrap().sample
    }
}

fn echoes(sample: &Sample) -> Vec<Echo> {
    sample.echoes.iter().collect()
}

const LOST: Echo = Echo::Lost(Loss::NoReply);

#[test]
fn an_honest_reply_counts_with_its_rtt() {
    let mut world = world();
    assert_eq!(world.answer(1, ms(130)), Count::Replies);
    let sample = world.end();
    assert_eq!(echoes(&sample), [LOST, Echo::Reply(Rtt::from_duration(Duration::from_millis(30))), LOST]);
    assert_eq!((sample.last_reply, sample.ended), (Some(ms(130)), ms(700)));
}

#[test]
fn another_source_does_not_count() {
    let mut world = world();
    let (_, wire, payload) = world.sent[0];
    assert_eq!(world.judge("192.0.2.2:0".parse().unwrap(), wire, &payload, ms(5)), Count::ForeignSource);
    assert_eq!(world.end().replies(), 0);
}

#[test]
fn another_link_does_not_count_for_a_link_local_address() {
    let mut world = world_at("[fe80::1%3]:0", PayloadRule::Strict);
    let (_, wire, payload) = world.sent[0];
    assert_eq!(world.judge("[fe80::1%4]:0".parse().unwrap(), wire, &payload, ms(5)), Count::ForeignSource);
    assert_eq!(world.judge("[fe80::1%3]:0".parse().unwrap(), wire, &payload, ms(5)), Count::Replies);
}

#[test]
fn a_cut_payload_from_another_link_never_counts() {
    let mut world = world_at("[fe80::1%3]:0", PayloadRule::Any);
    let (_, wire, payload) = world.sent[0];
    assert_eq!(world.judge("[fe80::1%4]:0".parse().unwrap(), wire, &payload[..8], ms(5)), Count::Truncated);
    assert_eq!(world.judge("[fe80::1%3]:0".parse().unwrap(), wire, &payload[..8], ms(5)), Count::Replies);
}

#[test]
fn another_identifier_or_sequence_does_not_count() {
    let mut world = world();
    let (_, wire, payload) = world.sent[0];
    let other = world.sent[1].1;
    for altered in [
        WireKey { ident: wire.ident ^ 1, ..wire },
        WireKey { ident: wire.ident.wrapping_add(1), ..wire },
        WireKey { seq: wire.seq ^ 0x8000, ..wire },
        other,
    ] {
        assert_eq!(world.judge(honest(), altered, &payload, ms(5)), Count::WrongIdentifier, "{altered:?}");
    }
    assert_eq!(world.end().replies(), 0);
}

#[test]
fn every_altered_bit_of_the_payload_is_corruption() {
    for rule in [PayloadRule::Strict, PayloadRule::Any] {
        let mut world = world_at("192.0.2.1:0", rule);
        let (_, wire, payload) = world.sent[0];
        for bit in 0..PAYLOAD * 8 {
            let mut altered = payload;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(world.judge(honest(), wire, &altered, ms(5)), Count::Corrupt, "bit {bit}");
        }
        assert_eq!(world.judge(honest(), wire, &[&payload[..], &[0]].concat(), ms(5)), Count::Corrupt);
        let sample = world.end();
        assert_eq!(echoes(&sample)[0], Echo::Lost(Loss::BadReply));
        assert_eq!(sample.replies(), 0);
    }
}

#[test]
fn a_cut_payload_counts_only_where_any_will_do() {
    for cut in [0, 1, 4, 23] {
        let mut strict = world();
        let (_, wire, payload) = strict.sent[0];
        assert_eq!(strict.judge(honest(), wire, &payload[..cut], ms(5)), Count::Truncated);
        assert_eq!(echoes(&strict.end())[0], Echo::Lost(Loss::BadReply));
        let mut any = world_at("192.0.2.1:0", PayloadRule::Any);
        let (_, wire, payload) = any.sent[0];
        assert_eq!(any.judge(honest(), wire, &payload[..cut], ms(5)), Count::Replies);
        assert_eq!(any.judge(honest(), wire, &payload[..cut], ms(6)), Count::Duplicates);
        assert_eq!(any.end().replies(), 1);
    }
}

#[test]
fn a_cut_and_altered_payload_never_counts() {
    let mut world = world_at("192.0.2.1:0", PayloadRule::Any);
    let (_, wire, mut payload) = world.sent[0];
    payload[3] ^= 1;
    assert_eq!(world.judge(honest(), wire, &payload[..4], ms(5)), Count::Corrupt);
    assert_eq!(world.end().replies(), 0);
}

#[test]
fn a_cut_payload_from_elsewhere_never_counts() {
    let mut world = world_at("192.0.2.1:0", PayloadRule::Any);
    let (_, wire, payload) = world.sent[0];
    assert_eq!(world.judge("192.0.2.2:0".parse().unwrap(), wire, &payload[..8], ms(5)), Count::NotOurs);
    assert_eq!(world.end().replies(), 0);
}

#[test]
fn a_guessed_cookie_does_not_count() {
    let mut world = world();
    let (echo, wire, _) = world.sent[0];
    let forged = Cookies::new([9, 9]).seal(echo.stamp, echo.to.ip());
    assert_eq!(world.judge(honest(), wire, &forged, ms(5)), Count::Corrupt);
    assert_eq!(world.end().replies(), 0);
}

#[test]
fn a_reply_counts_once() {
    let mut world = world();
    let counts = [world.answer(0, ms(5)), world.answer(0, ms(6)), world.answer(0, ms(700))];
    assert_eq!(counts, [Count::Replies, Count::Duplicates, Count::Duplicates]);
    assert_eq!(world.end().replies(), 1);
}

#[test]
fn a_reply_after_the_timeout_is_late_even_if_nobody_had_noticed_its_end() {
    let mut world = world();
    assert_eq!(world.answer(0, ms(501)), Count::Late);
    assert_eq!(world.answer(1, ms(600)), Count::Replies, "exactly in time");
    assert_eq!(echoes(&world.end())[0], LOST);
}

#[test]
fn a_reply_after_its_check_is_late_or_a_duplicate_but_never_the_next_checks() {
    let mut world = world();
    world.answer(0, ms(5));
    world.inflight.expire(world.slot, ms(650), |_, _| None);
    world.depart();
    assert_eq!(world.answer(2, ms(210)), Count::Replies);
    assert!(world.inflight.finish(world.slot).is_some());
    assert_eq!(world.answer(0, ms(900)), Count::Duplicates);
    assert_eq!(world.answer(1, ms(900)), Count::Late);
    let settings = Settings { pings: 3, spacing: SPACING, timeout: TIMEOUT, ..Settings::default() };
    let next = Check::new(CheckId::new(2), TargetId::from_index(0), "t", honest(), ms(1000), Arc::new(settings));
    for _ in 0..2 {
        world.begin(&next);
        world.depart();
        world.inflight.expire(world.slot, ms(900), |_, _| None);
        let before = world.sent.len();
        assert_eq!(world.answer(1, ms(1001)), Count::Late);
        assert_eq!(world.sent.len(), before);
        if world.sent.len() == 4 {
            assert_eq!(world.answer(0, ms(1001)), Count::Duplicates, "the check before is remembered");
        }
        assert!(world.inflight.cancel(world.slot, 0));
    }
}

#[test]
fn a_reply_to_a_cancelled_check_is_late() {
    let mut world = world();
    assert!(world.inflight.cancel(world.slot, 0));
    assert_eq!(world.answer(0, ms(5)), Count::Late);
}

#[test]
fn pings_of_other_programs_are_not_ours() {
    let mut world = world();
    let (_, wire, _) = world.sent[0];
    let foreign = WireKey { ident: wire.ident ^ 0x4000, seq: 1 };
    assert_eq!(world.judge("198.51.100.1:0".parse().unwrap(), foreign, &[7; 56], ms(5)), Count::NotOurs);
    assert_eq!(world.judge("198.51.100.1:0".parse().unwrap(), wire, &[7; 56], ms(5)), Count::NotOurs);
}

#[test]
fn an_error_explains_a_loss_but_causes_none() {
    let mut world = world();
    let (_, first, payload) = world.sent[0];
    let (_, second, _) = world.sent[1];
    assert_eq!(world.complain(first, "192.0.2.1", &payload, Loss::HostUnreachable), Count::ErrorsMatched);
    assert_eq!(world.complain(second, "192.0.2.1", &[], Loss::Prohibited), Count::ErrorsMatched);
    assert_eq!(world.answer(0, ms(20)), Count::Replies, "the reply itself decides");
    let sample = world.end();
    assert!(matches!(echoes(&sample)[0], Echo::Reply(_)));
    assert_eq!(echoes(&sample)[1], Echo::Lost(Loss::Prohibited));
}

#[test]
fn an_error_after_the_timeout_still_explains_it() {
    let mut world = world();
    world.inflight.expire(world.slot, ms(550), |_, _| None);
    let (_, wire, payload) = world.sent[0];
    assert_eq!(world.complain(wire, "192.0.2.1", &payload, Loss::HostUnreachable), Count::ErrorsMatched);
    assert_eq!(echoes(&world.end())[0], Echo::Lost(Loss::HostUnreachable));
}

#[test]
fn an_error_with_a_whole_payload_finds_its_echo_among_more_echoes_than_keys() {
    let settings = Settings { pings: 3_000, spacing: Duration::from_millis(1), ..Settings::default() };
    let check = Check::new(CheckId::new(1), TargetId::from_index(0), "t", honest(), ms(0), Arc::new(settings));
    let mut world = world();
    assert!(world.inflight.cancel(world.slot, 0));
    world.sent.clear();
    world.begin(&check);
    (0..3_000).for_each(|_| world.depart());
    let (_, wire, payload) = world.sent[5];
    assert_eq!(world.complain(wire, "192.0.2.1", &payload, Loss::Prohibited), Count::ErrorsMatched);
    assert_eq!(world.complain(wire, "192.0.2.1", &payload[..12], Loss::HostUnreachable), Count::ErrorsUnmatched);
    assert_eq!(world.judge(honest(), wire, &payload[..4], ms(5)), Count::NotOurs, "nor is a cut reply anybody's");
    let echoes = echoes(&world.end());
    let explained: Vec<usize> = (0..3_000).filter(|ping| echoes[*ping] != LOST).collect();
    assert_eq!((explained, echoes[5]), (vec![5], Echo::Lost(Loss::Prohibited)));
}

#[test]
fn an_error_about_another_address_key_or_payload_explains_nothing() {
    let mut world = world();
    let (_, wire, mut payload) = world.sent[0];
    let loss = Loss::HostUnreachable;
    assert_eq!(world.complain(wire, "192.0.2.7", &payload, loss), Count::ErrorsUnmatched);
    assert_eq!(world.complain(wire, "192.0.2.7", &[], loss), Count::ErrorsUnmatched);
    assert_eq!(world.complain(world.sent[1].1, "192.0.2.1", &payload, loss), Count::ErrorsUnmatched);
    let never_sent = WireKey { seq: wire.seq ^ 0x0200, ..wire };
    assert_eq!(world.complain(never_sent, "192.0.2.1", &[], loss), Count::ErrorsUnmatched);
    payload[20] ^= 1;
    assert_eq!(world.complain(wire, "192.0.2.1", &payload, loss), Count::ErrorsUnmatched);
    assert_eq!(echoes(&world.end()), [LOST; 3]);
}

#[test]
fn what_was_never_sent_cannot_be_answered() {
    let mut world = world();
    let stamp =
        Stamp { ping: 2, key: super::super::keys::EchoKey(world.sent[1].0.stamp.key.0 + 1), ..world.sent[1].0.stamp };
    let payload = world.cookies.seal(stamp, honest().ip());
    let wire = world.keys.assign(stamp.key, |_| false).unwrap();
    assert_eq!(world.judge(honest(), wire, &payload, ms(120)), Count::Late);
    assert_eq!(world.end().replies(), 0);
}

/// The wall clock was set while the echo was under way, so only the time at which the reply was read is known.
#[test]
fn a_reply_that_seems_late_after_a_clock_step_is_unknown() {
    for (seen, read) in [(500, Count::Replies), (505, Count::Late)] {
        let mut world = world();
        let (echo, wire, payload) = world.sent[0];
        let mut judge = Judge { inflight: &mut world.inflight, keys: &world.keys, cookies: &world.cookies };
        let arrival = |_| Arrival { at: ms(seen), is_known: false };
        assert_eq!(judge.reply(echo.to, wire, &payload, arrival).0, read);
        let fate = match read {
            Count::Replies => Echo::Reply(Rtt::UNMEASURED),
            _ => Echo::Unknown(Cause::Stalled),
        };
        assert_eq!(echoes(&world.end())[0], fate);
    }
}

#[test]
fn a_doubt_turns_loss_into_unknown_and_leaves_replies() {
    let mut world = world();
    world.answer(0, ms(10));
    world.depart();
    let doubt = |sent: Mono, _| (sent < ms(150)).then_some(Cause::ReceiveOverflow);
    world.inflight.expire(world.slot, ms(10_000), doubt);
    let sample = world.inflight.finish(world.slot).unwrap().sample;
    assert!(matches!(echoes(&sample)[0], Echo::Reply(_)));
    assert_eq!(echoes(&sample)[1..], [Echo::Unknown(Cause::ReceiveOverflow), LOST]);
}
