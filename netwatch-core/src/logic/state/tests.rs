//! A target alone: doubt, and the size of its state.

use super::*;

const SILENT: Echo = Echo::Lost(crate::model::Loss::NoReply);

/// Which of the checks, of three echoes each and an interval apart, opens an outage. The first is answered.
fn opens(settings: &Settings, silent: usize) -> Vec<bool> {
    let now = Now::new(Mono::ZERO, Wall::default());
    let mut state = TargetState::new(now, 0, false);
    let mut take = |number: u32, echo: Echo| {
        let at = Mono::ZERO.plus(settings.interval * number);
        let sample = Sample::new(TargetId::from_index(0), at, at, [echo; 3].into_iter().collect());
        let judged = (&sample, Verdict::of(&sample));
        state.take(now, judged, settings, Circumstances::default(), || (OutageId::new(1), "t".into())).opened
    };
    take(0, Echo::Reply(crate::model::Rtt::default()));
    (1..=silent).map(|number| take(number as u32, SILENT)).collect()
}

#[test]
fn a_probe_that_never_has_more_echoes_hides_no_outage() {
    assert_eq!(opens(&Settings::default(), 2), [false, true], "a device in doubt is asked in full: this one is not");
}

#[test]
fn a_check_that_was_handed_out_before_the_doubt_opens_no_outage_either() {
    let (spacing, timeout) = (Duration::from_millis(20), Duration::from_millis(9_800));
    let settings = Settings { spacing, timeout, ..Settings::default() };
    assert_eq!(opens(&settings, 3), [false, false, true]);
}

#[test]
fn a_million_targets_fit() {
    assert!(size_of::<TargetState>() <= 96, "{} bytes", size_of::<TargetState>());
}
