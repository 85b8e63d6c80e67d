//! Simulated routers: with a token bucket, with honest loss, and dead ones.

use super::*;
use crate::model::{Group, Loss, Rtt, Target};

const INTERVAL: Duration = Duration::from_secs(10);

/// What becomes of an echo that leaves at this second, as the sequence number of echoes goes.
type Fate<'a> = &'a mut dyn FnMut(f64) -> bool;

struct Lab {
    plan: Plan,
    limiters: Limiters,
    members: usize,
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
        Lab { plan, limiters, members, seconds: 1, random: 42, found: Vec::new(), sent: 0 }
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Asks everybody once, echoes in the order in which they leave.
    fn interval(&mut self, fate: Fate<'_>) {
        let members = self.members;
        let pings: Vec<u16> = (0..members)
            .map(|member| self.limiters.settings(&self.plan, TargetId::from_index(member), true).unwrap().pings)
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
            let sample = Sample::new(TargetId::from_index(member), at, ended, echoes.into_iter().collect());
            self.found.extend(self.limiters.take(ended, &self.plan, &sample));
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
    assert_eq!(lab.sent, 60, "three pings for five, everybody in every interval");
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
    while lab.sent != 60 {
        lab.interval(&mut |_| dice.chance() >= 0.2);
    }
    for _ in 0..200 {
        lab.interval(&mut |_| true);
    }
    assert_eq!(lab.found, []);
    assert_eq!(lab.sent, 100);
}

#[test]
fn a_burst_of_loss_before_the_usual_little_is_not_a_limiter() {
    for throws in 0..40 {
        let mut lab = Lab::new(20, 5);
        let mut dice = Lab::new(1, 5);
        for _ in 0..throws {
            dice.chance();
        }
        while lab.sent != 60 {
            lab.interval(&mut |_| dice.chance() >= 0.2);
        }
        for _ in 0..100 {
            lab.interval(&mut |_| dice.chance() >= 0.003);
        }
        assert_eq!(lab.found, [], "after {throws} throws");
    }
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

#[test]
fn a_few_lossy_devices_of_a_large_group_start_no_trial_and_as_many_of_a_small_one_do() {
    for (members, starts) in [(100, false), (60, true)] {
        let mut lab = Lab::new(members, 5);
        let mut sent = Vec::new();
        for _ in 0..200 {
            // Four devices lose one echo of every check: those that begin at these times.
            let (step, begun) = (10.0 / members as f64, lab.seconds as f64);
            lab.interval(&mut |at| !(0..4).any(|bad| (at - begun - f64::from(bad) * step).abs() < 1e-6));
            sent.push(lab.sent);
        }
        assert_eq!(sent.iter().any(|sent| *sent < members as u32 * 5), starts, "{members}");
        assert_eq!(lab.found, []);
    }
}

#[test]
fn an_outage_that_begins_during_a_trial_is_not_a_limiter() {
    let mut lab = Lab::new(100, 5);
    let mut dice = Lab::new(1, 5);
    while lab.sent != 300 {
        lab.interval(&mut |_| dice.chance() >= 0.2);
    }
    while lab.sent != 500 {
        lab.interval(&mut |_| true);
    }
    for _ in 0..200 {
        lab.interval(&mut |_| false);
    }
    assert_eq!(lab.found, []);
}

#[test]
fn a_trial_that_finds_nothing_is_repeated_less_and_less_often_down_to_once_a_day() {
    let mut lab = Lab::new(4, 5);
    let mut dice = Lab::new(1, 5);
    let (mut trials, mut sent) = (Vec::new(), 0);
    while lab.seconds < 82 * 3600 {
        lab.interval(&mut |_| dice.chance() >= 0.3);
        if lab.sent == 12 && sent == 20 {
            trials.push(lab.seconds);
        }
        sent = lab.sent;
    }
    assert_eq!(lab.found, []);
    let hours: Vec<u64> = trials.windows(2).map(|pair| (pair[1] - pair[0]) / 3600).collect();
    assert_eq!(hours, [1, 2, 4, 8, 16, 24, 24]);
}

#[test]
fn devices_of_the_same_settings_share_the_halved_ones() {
    let mut lab = Lab::new(20, 5);
    let mut bucket = Lab::bucket(5.0, 5.0);
    while lab.found.is_empty() {
        lab.interval(&mut bucket);
    }
    let of = |lab: &mut Lab, member, answers| {
        lab.limiters.settings(&lab.plan, TargetId::from_index(member), answers).unwrap()
    };
    assert!(Arc::ptr_eq(&of(&mut lab, 0, true), &of(&mut lab, 19, true)));
    assert!(
        Arc::ptr_eq(&of(&mut lab, 0, false), &lab.plan.targets[0].settings),
        "who does not answer is asked in full"
    );
}

/// Loses this share of all echoes, evenly.
fn steady(share: f64) -> impl FnMut(f64) -> bool {
    let mut owed = 0.0;
    move |_| {
        owed += share;
        let comes = owed < 1.0;
        owed -= f64::from(u8::from(!comes));
        comes
    }
}

/// What is found of twenty devices that lose these shares: until a trial asks them with fewer pings, while it does, and for a
/// quarter of an hour after that.
fn tried([full, half, again]: [f64; 3]) -> Vec<Finding> {
    let mut lab = Lab::new(20, 5);
    let [mut full, mut half, mut again] = [full, half, again].map(steady);
    while lab.sent != 60 {
        lab.interval(&mut full);
    }
    while lab.sent != 100 {
        lab.interval(&mut half);
    }
    for _ in 0..90 {
        lab.interval(&mut again);
    }
    lab.found
}

#[test]
fn a_limiter_is_told_of_at_once_when_loss_halves_at_half_the_rate_and_comes_back_nearly_as_it_was() {
    let found = tried([0.4, 0.05, 0.35]);
    assert!(matches!(found[..], [Finding::Suspected { .. }]), "{found:?}");
}

#[test]
fn loss_that_rises_after_the_trial_is_not_a_limiter_unless_it_had_halved() {
    assert_eq!(tried([0.2, 0.13, 0.5]), []);
}

#[test]
fn loss_that_comes_back_as_less_than_twice_of_what_stayed_is_not_a_limiter() {
    assert_eq!(tried([0.4, 0.15, 0.25]), []);
}

/// Asks two devices once, which lose the first echoes of their checks. Whether they were asked with fewer pings.
fn two_lose(lab: &mut Lab, lost: u64) -> bool {
    let begun = lab.seconds as f64;
    // One begins at once, the other 5 s later; echoes are 1 s apart.
    lab.interval(&mut |at| (at - begun) as u64 % 5 >= lost);
    lab.sent < 10
}

/// Whether that ever happens to two devices, of which each check loses so many echoes in each interval.
fn two_are_tried(intervals: u64, lost: impl Fn(u64) -> u64) -> bool {
    let mut lab = Lab::new(2, 5);
    (0..intervals).map(|interval| two_lose(&mut lab, lost(interval))).fold(false, |any, halved| any | halved)
}

#[test]
fn more_loss_than_three_fifths_is_taken_for_something_else() {
    assert!(two_are_tried(60, |_| 3));
    assert!(!two_are_tried(60, |_| 4));
}

#[test]
fn loss_in_every_second_interval_is_not_loss_in_a_row() {
    assert!(two_are_tried(200, |_| 1));
    assert!(!two_are_tried(200, |interval| interval % 2));
}

#[test]
fn a_count_that_takes_longer_than_twenty_minutes_tells_nothing() {
    for (quiet, tried) in [(0, true), (125, false)] {
        let mut lab = Lab::new(2, 5);
        for _ in 0..8 {
            two_lose(&mut lab, 2);
        }
        // Checks are not always a whole number of intervals apart.
        lab.seconds += 7;
        for _ in 0..quiet {
            two_lose(&mut lab, 0);
        }
        let halved = (0..25).filter(|_| two_lose(&mut lab, 2)).count();
        assert_eq!(halved > 0, tried, "after {quiet} intervals without loss");
    }
}

#[test]
fn half_of_eight_pings_are_four() {
    let mut lab = Lab::new(20, 8);
    let mut lossy = steady(0.2);
    while lab.sent != 80 {
        lab.interval(&mut lossy);
        assert!([160, 80].contains(&lab.sent), "{}", lab.sent);
    }
}

#[test]
fn a_trial_goes_on_whatever_many_quiet_devices_of_another_group_do() {
    let mut lab = Lab::new(20, 5);
    let settings = lab.plan.targets[0].settings.clone();
    lab.plan.groups.push(Group::new("OLT"));
    for number in 0..500 {
        let target = Target::at(format!("olt{number}"), [192, 0, 2, 2].into()).with_settings(settings.clone());
        lab.plan.targets.push(target.with_group(GroupId::from_index(1)));
    }
    lab.limiters = Limiters::new(&lab.plan);
    let mut lossy = steady(0.2);
    while lab.sent != 60 {
        lab.interval(&mut lossy);
    }
    for quiet in 20..520 {
        let at = Mono::ZERO.plus(Duration::from_secs(lab.seconds));
        let echoes = std::iter::repeat_n(Echo::Reply(Rtt::default()), 5).collect();
        let sample = Sample::new(TargetId::from_index(quiet), at, at, echoes);
        lab.limiters.take(at, &lab.plan, &sample);
    }
    lab.interval(&mut lossy);
    assert_eq!(lab.sent, 60);
}

mod outages {
    //! What a trial means for the outages of the devices that it asks with fewer pings.

    use super::*;
    use crate::logic::{Monitor, MonitorOptions, Output};
    use crate::model::{Now, Saved};

    /// Twenty devices that lose a fifth of their echoes, asked until they are asked with fewer pings.
    struct Trial {
        monitor: Monitor,
        dice: Lab,
        at: Mono,
    }

    impl Trial {
        fn new() -> Trial {
            let lab = Lab::new(20, 5);
            let options = MonitorOptions::new([7; 16], "test.invalid");
            let now = Now::new(Mono::ZERO, Wall::default());
            let monitor = Monitor::new(Arc::new(lab.plan), &Saved::default(), now, options);
            let mut trial = Trial { monitor, dice: Lab::new(1, 5), at: Mono::ZERO.plus(INTERVAL) };
            while trial.pings_of(0) == 5 {
                trial.interval(|dice| dice.chance() < 0.2);
            }
            trial
        }

        fn pings_of(&mut self, member: usize) -> u16 {
            self.monitor.settings_of(TargetId::from_index(member)).unwrap().pings
        }

        /// Asks everybody once. The first device loses what `is_lost`, the others a fifth.
        fn interval(&mut self, mut is_lost: impl FnMut(&mut Lab) -> bool) -> Vec<Event> {
            for member in 0..20 {
                let pings = self.pings_of(member);
                let lost = |_| if member == 0 { is_lost(&mut self.dice) } else { self.dice.chance() < 0.2 };
                let echo = |lost| if lost { Echo::Lost(Loss::NoReply) } else { Echo::Reply(Rtt::default()) };
                let echoes = (0..pings).map(lost).map(echo).collect();
                let ended = self.at.plus(Duration::from_secs(6));
                let sample = Sample::new(TargetId::from_index(member), self.at, ended, echoes);
                let now = Now::new(ended, Wall::default().plus(ended.since(Mono::ZERO)));
                self.monitor.handle_samples(now, &[sample]);
            }
            self.at = self.at.plus(INTERVAL);
            let mut events = Vec::new();
            while let Some(output) = self.monitor.poll_output() {
                if let Output::Event(event) = output {
                    events.push(event);
                }
            }
            events
        }
    }

    fn opened(events: &[Event]) -> bool {
        events.iter().any(|event| matches!(event, Event::OutageOpened(..)))
    }

    #[test]
    fn a_halved_check_that_lost_every_echo_opens_no_outage_and_the_next_is_a_full_one() {
        let mut trial = Trial::new();
        assert_eq!(trial.pings_of(0), 3);
        assert!(!opened(&trial.interval(|_| true)));
        assert_eq!((trial.pings_of(0), trial.pings_of(1)), (5, 3), "in full, until it answers");
        assert!(!opened(&trial.interval(|_| false)));
        assert_eq!(trial.pings_of(0), 3);
        assert!(!opened(&trial.interval(|_| true)));
        assert!(opened(&trial.interval(|_| true)), "a full check that is silent does");
        assert_eq!(trial.pings_of(0), 5);
        trial.interval(|_| false);
        assert_eq!(trial.pings_of(0), 5, "and in full while the outage is open");
    }

    #[test]
    fn an_outage_that_a_trial_doubted_is_due_no_sooner_than_full_checks_make_it() {
        let mut trial = Trial::new();
        let tolerance = trial.monitor.settings_of(TargetId::from_index(0)).unwrap().tolerance;
        let begun = trial.at;
        let mut due = None;
        while due.is_none() {
            let ended = trial.at.plus(Duration::from_secs(6));
            let events = trial.interval(|_| true);
            due = events.iter().any(|event| matches!(event, Event::OutageDue(..))).then_some(ended);
        }
        // The last of five pings leaves at 4 s and may be answered a timeout later.
        let settings = Settings::default();
        let silent = due.unwrap().since(begun.plus(settings.check_duration()));
        assert!(silent >= tolerance && silent < tolerance + INTERVAL, "{silent:?} of {tolerance:?}");
    }
}
