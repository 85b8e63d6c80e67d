//! What the keys come to in the plan.

use std::time::Duration;

use super::*;
use crate::config::file;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn config(toml: &str) -> Config {
    let mut problems = Problems::default();
    let raw = file::parse(Path::new("a.toml"), toml, &mut problems);
    let gateway = Host::Ip { ip: [192, 0, 2, 254].into(), zone: None };
    let around = Surroundings {
        base: Path::new("/nowhere"),
        environment: &|_| None,
        gateways: &|| vec![gateway.clone()],
        purpose: Purpose::Check,
    };
    let config = resolve(&raw, &around, &mut problems);
    assert_eq!(problems.render(false), "");
    config
}

/// A target with its parents, its tags and whether it is critical.
fn shown(plan: &Plan) -> Vec<(&str, Vec<&str>, Vec<&str>, bool)> {
    let all = plan.targets.iter().map(|it| {
        let parents = it.parents().iter().filter_map(|id| plan.target(*id)).map(|parent| &*parent.name).collect();
        (&*it.name, parents, it.tags().iter().map(|tag| &**tag).collect(), it.critical)
    });
    all.collect()
}

#[test]
fn a_target_overrides_its_group_and_their_tags_add_up() {
    let config = config(
        r#"
        [[group]]
        name = "DSLAM"
        parents = ["agg-1", "agg-2", "agg-1"]
        tags = ["troncal", "sur"]
        critical = true
        [[target]]
        name = "agg-1"
        address = "192.0.2.1"
        group = "DSLAM"
        [[target]]
        name = "agg-2"
        address = "192.0.2.2"
        group = "DSLAM"
        parents = ["core"]
        [[target]]
        name = "a"
        address = "192.0.2.3"
        group = "DSLAM"
        tags = ["centro", "sur"]
        [[target]]
        name = "b"
        address = "192.0.2.4"
        group = "DSLAM"
        parents = ["core"]
        critical = false
        [[target]]
        name = "c"
        address = "192.0.2.5"
        group = "DSLAM"
        parents = []
        [[target]]
        name = "core"
        address = "192.0.2.6"
        "#,
    );
    let of_group = vec!["troncal", "sur"];
    let expected = [
        ("agg-1", vec![], of_group.clone(), true),
        ("agg-2", vec!["core"], of_group.clone(), true),
        ("a", vec!["agg-1", "agg-2"], vec!["troncal", "sur", "centro"], true),
        ("b", vec!["core"], of_group.clone(), false),
        ("c", vec![], of_group, true),
        ("core", vec![], vec![], false),
    ];
    assert_eq!(shown(&config.plan), expected);
}

#[test]
fn a_notifier_has_its_hours_its_summaries_and_its_scope() {
    let config = config(
        r#"
        time_zone = "America/Asuncion"
        [[group]]
        name = "OLT"
        [[target]]
        name = "olt-1"
        address = "192.0.2.1"
        tags = ["sur"]
        [[notifier]]
        name = "noc"
        kind = "file"
        hours = "22:00-07:00"
        summary = "07:00"
        reminder = "6h"
        groups = ["OLT"]
        targets = ["olt-1"]
        tags = ["sur"]
        escalate_to = "jefe"
        escalate_after = "45m"
        [[notifier]]
        name = "jefe"
        kind = "file"
        [self]
        witnesses = ["gateway", "192.0.2.254", "olt-1"]
        "#,
    );
    let mut plan = config.plan.clone();
    let at = |text: &str| crate::config::calendar::wall(text.parse().unwrap());
    config.calendars.renew(&mut plan, at("2026-06-10T12:00:00Z"));
    let [noc, jefe] = &plan.notifiers[..] else { panic!("two notifiers") };
    let hours = noc.hours.as_ref().unwrap();
    assert!(hours.contains(at("2026-06-11T02:00:00Z")) && !hours.contains(at("2026-06-11T12:00:00Z")));
    assert!(noc.summaries.contains(&at("2026-06-11T10:00:00Z")), "07:00 at -03:00");
    assert_eq!((noc.reminder, noc.escalate_after), (Some(6 * DAY / 24), Duration::from_secs(45 * 60)));
    assert_eq!(noc.escalate_to.as_deref(), Some("jefe"));
    assert_eq!(noc.scope.groups, ["OLT".into()]);
    assert!(noc.scope.holds(&plan, &plan.targets[0]));
    assert!(jefe.hours.is_none() && jefe.summaries.is_empty() && jefe.scope.is_everything());
    let witnesses: Vec<String> = plan.witnesses.iter().map(Host::to_string).collect();
    assert_eq!(witnesses, ["192.0.2.254", "192.0.2.1"], "each address once; a target stands for its own");
}

#[test]
fn calendars_go_on_for_as_long_as_they_are_renewed() {
    let config = config(
        r#"
        time_zone = "Europe/Madrid"
        [[group]]
        name = "OLT"
        [[target]]
        name = "olt-1"
        address = "192.0.2.1"
        [[maintenance]]
        group = "OLT"
        weekly = "sun 02:00-04:00"
        reason = "actualización"
        [[maintenance]]
        targets = ["olt-1"]
        from = 2026-12-01T02:00:00-03:00
        to = "2026-12-01T04:00:00-03:00"
        "#,
    );
    let mut plan = config.plan.clone();
    let mut now = crate::config::calendar::wall("2026-06-10T12:00:00Z".parse().unwrap());
    let once = crate::config::calendar::wall("2026-12-01T06:00:00Z".parse().unwrap());
    for _ in 0..30 {
        config.calendars.renew(&mut plan, now);
        let [weekly, other] = &plan.maintenance[..] else { panic!("two maintenances") };
        let next = weekly.calendar.next_inside(now).unwrap();
        assert!(next.since(now) < 8 * DAY);
        assert_eq!((&*weekly.reason, weekly.scope.groups.len()), ("actualización", 1));
        assert!(other.calendar.contains(once) && other.calendar.periods().len() == 1);
        now = now.plus(100 * DAY);
    }
}
