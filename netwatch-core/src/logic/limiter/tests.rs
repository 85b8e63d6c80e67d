//! Simulated routers: with a token bucket, with honest loss, and dead ones.

use super::*;
use crate::model::{Group, Loss, Rtt, Target};

const INTERVAL: Duration = Duration::from_secs(10);

/// What becomes of an echo that leaves at this second, as the sequence number of echoes goes.
type Fate<'a> = &'a mut dyn FnMut(f64) -> bool;

struct Lab {
    plan: Plan,
    limiters: Limiters,
    down: Vec<bool>,
    seconds: u64,
    random: u64,
    found: Vec<Finding>,
    /// Echoes sent in the last interval.
    sent: u32,
}

impl Lab {
    fn new(members: usize, pings: u16) -> Lab {
        let settings = Arc::new(Settings { pings, ..Settings::default() });
        let target = |number| {
            let target = Target::at(format!("t{number}"), [192, 0, 2, 1].into()).with_settings(settings.clone());
            target.with_group(GroupId::from_index(0))
        };
        let mut plan = Plan::new((0..members).map(target).collect());
        plan.groups.push(Group::new("DSLAM"));
        let limiters = Limiters::new(&plan);
        Lab { plan, limiters, down: vec![false; members], seconds: 1, random: 42, found: Vec::new(), sent: 0 }
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Asks everybody once, echoes in the order in which they leave.
    fn interval(&mut self, fate: Fate<'_>) {
        let members = self.down.len();
        let pings: Vec<u16> = (0..members)
            .map(|member| self.limiters.settings(&self.plan, TargetId::from_index(member)).unwrap().pings)
            .collect();
        let begins = |member: usize| 10.0 * member as f64 / members as f64;
        let mut echoes: Vec<(f64, usize)> = (0..members)
            .flat_map(|member| (0..pings[member]).map(move |echo| (begins(member) + f64::from(echo), member)))
            .collect();
        echoes.sort_by(|one, other| one.0.total_cmp(&other.0));
        self.sent = echoes.len() as u32;
        let mut results: Vec<Vec<Echo>> = vec![Vec::new(); members];
        for (at, member) in echoes {
            let comes = fate(self.seconds as f64 + at);
            results[member].push(if comes { Echo::Reply(Rtt::default()) } else { Echo::Lost(Loss::NoReply) });
        }
        for (member, echoes) in results.into_iter().enumerate() {
            let at = Mono::ZERO.plus(Duration::from_secs_f64(self.seconds as f64 + begins(member)));
            let ended = at.plus(Duration::from_secs(6));
            let silent = echoes.iter().all(|echo| matches!(echo, Echo::Lost(_)));
            let sample = Sample::new(TargetId::from_index(member), at, ended, echoes.into_iter().collect());
            let finding = self.limiters.take(ended, &self.plan, &sample, self.down[member]);
            self.found.extend(finding);
            self.down[member] = silent;
        }
        self.seconds += INTERVAL.as_secs();
    }

    fn bucket(rate: f64, burst: f64) -> impl FnMut(f64) -> bool {
        let (mut tokens, mut last) = (burst, 0.0);
        move |at| {
            tokens = f64::min(burst, tokens + (at - last) * rate);
            last = at;
            let passes = tokens >= 1.0;
            tokens -= f64::from(u8::from(passes));
            passes
        }
    }
}

#[test]
fn a_token_bucket_is_found_named_and_obeyed_and_cleared_an_hour_after_it_is_gone() {
    for (members, rate) in [(20, 8.0), (20, 5.0), (60, 20.0), (200, 80.0), (6, 2.5)] {
        let mut lab = Lab::new(members, 5);
        let mut bucket = Lab::bucket(rate, 5.0);
        for _ in 0..500 {
            lab.interval(&mut bucket);
        }
        let [Finding::Suspected { full, half, .. }] = lab.found[..] else {
            panic!("{members} {rate}: {:?}", lab.found)
        };
        assert!(full > 0.1 && half < full / 2.0, "{members} {rate}: {:?}", lab.found);
        let passes = (1.0 - full) * lab.plan.echoes_per_second();
        assert!((passes / rate - 1.0).abs() < 0.25, "{passes} pass of {rate}");
        for _ in 0..1000 {
            lab.interval(&mut |_| true);
        }
        assert!(matches!(lab.found[1..], [Finding::Cleared { .. }]), "{:?}", lab.found);
        assert_eq!(lab.sent, members as u32 * 5, "asked as the plan says again");
    }
}

#[test]
fn what_is_told_names_the_group_what_was_seen_and_what_to_set() {
    let lab = Lab::new(20, 5);
    let group = GroupId::from_index(0);
    let told = Finding::Suspected { group, full: 0.2, half: 0.01 }.events(Wall::default(), &lab.plan);
    assert!(matches!(told[0], Event::Limiter { suspected: true, .. }));
    let Event::Trouble { message, .. } = &told[1] else { panic!("{told:?}") };
    assert!(message.contains("group \"DSLAM\": loss falls from 20 % to 1 %"), "{message}");
    assert!(message.contains("set router_rate = 8"), "{message}");
    assert!(matches!(
        Finding::Cleared { group }.events(Wall::default(), &lab.plan)[0],
        Event::Limiter { suspected: false, .. }
    ));
}

#[test]
fn a_suspected_group_is_asked_half_as_fast_and_no_less_often() {
    let mut lab = Lab::new(20, 5);
    let mut bucket = Lab::bucket(5.0, 5.0);
    while lab.found.is_empty() {
        lab.interval(&mut bucket);
    }
    lab.interval(&mut bucket);
    assert_eq!(lab.sent, 40, "two pings for five, everybody in every interval");
}

#[test]
fn honest_loss_is_never_a_limiter() {
    for share in [0.01, 0.05, 0.1, 0.2, 0.35, 0.5] {
        for (members, salt) in [(2, 1), (5, 2), (20, 3), (20, 4), (100, 5), (100, 6)] {
            let mut lab = Lab::new(members, 5);
            lab.random = salt;
            let mut dice = Lab::new(1, 5);
            dice.random = salt * 7919;
            for _ in 0..3000 / members.min(30) {
                lab.interval(&mut |_| dice.chance() >= share);
            }
            assert_eq!(lab.found, [], "{share} of {members}");
        }
    }
}

#[test]
fn loss_that_passes_by_chance_during_the_trial_is_not_a_limiter() {
    let mut lab = Lab::new(20, 5);
    let mut dice = Lab::new(1, 5);
    while lab.sent != 40 {
        lab.interval(&mut |_| dice.chance() >= 0.2);
    }
    for _ in 0..200 {
        lab.interval(&mut |_| true);
    }
    assert_eq!(lab.found, []);
    assert_eq!(lab.sent, 100);
}

#[test]
fn an_outage_starts_no_trial() {
    let mut lab = Lab::new(50, 5);
    for _ in 0..600 {
        // Down for half of the time, and going down and coming back in the middle of checks.
        lab.interval(&mut |at| (at as u64 / 137).is_multiple_of(2));
        assert_eq!(lab.sent, 250, "asked as the plan says");
    }
    assert_eq!(lab.found, []);
}

#[test]
fn one_lossy_device_or_too_few_pings_start_no_trial() {
    let mut lab = Lab::new(1, 5);
    let mut few = Lab::new(20, 3);
    let mut dice = Lab::new(1, 5);
    for _ in 0..300 {
        lab.interval(&mut |_| dice.chance() >= 0.3);
        few.interval(&mut |_| dice.chance() >= 0.3);
        assert_eq!((lab.sent, few.sent), (5, 60));
    }
}
