//! Every input of the pure half can be recorded, and a record replays exactly; under another plan it says which mails that
//! would have sent.

#![allow(clippy::expect_used)]

mod field;

use std::sync::Arc;
use std::time::Duration;

use field::Field;
use netwatch_core::{
    Calendar, Host, Input, Maintenance, NotifierPolicy, Now, Output, Period, Plan, Scope, Settings, Target, TargetId,
    rehearse, replay,
};

fn plan() -> Plan {
    let mut targets = vec![Target::at("agg", [192, 0, 2, 1].into())];
    for n in 0..20 {
        let child = Target::at(format!("c{n}"), [192, 0, 2, 2].into());
        targets.push(if n < 10 { child.with_parents([TargetId::from_index(0)]) } else { child });
    }
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["noc@example.net".into()];
    policy.reminder = Some(Duration::from_secs(1800));
    let mut plan = Plan::new(targets).with_notifier(policy);
    plan.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    plan
}

/// An hour in which much happens.
fn hour() -> Field {
    let mut field = Field::recorded(plan());
    field.silence("agg", 300..900);
    for n in 0..20 {
        field.silence(&format!("c{n}"), 300 + n..900 + 7 * n);
    }
    field.silence("c15", 1500..3600);
    field.cut_off.push(2000..2100);
    field.run_until(1000);
    field.server_works = false;
    field.run_until(1700);
    field.server_works = true;
    let (now, scope) = (field.now(), Scope::targets(["c16"]));
    let calendar = Calendar::new([Period::new(now.wall, now.wall.plus(Duration::from_secs(600)))]);
    field.input(Input::Maintain(Maintenance::new(scope, calendar)));
    let (target, by, note) = ("c15".into(), "ana".into(), "en camino".into());
    field.input(Input::Acknowledge { target, by, note });
    field.carry_out();
    field.run_until(3000);
    field.input(Input::Reload(Arc::new(plan())));
    field.carry_out();
    field.run_until(3600);
    field
}

#[test]
fn a_record_replays_exactly() {
    let field = hour();
    assert!(field.mails.len() > 3 && field.record.inputs.len() > 1000, "{:?}", field.told());
    let again = replay(&field.record);
    // A commit overtakes what was to be carried out after it; apart from that the order is the same.
    type Outputs = Vec<(Now, Output)>;
    let parts = |outputs: &[(Now, Output)]| -> (Outputs, Outputs) {
        outputs.iter().cloned().partition(|(_, output)| matches!(output, Output::Commit(_)))
    };
    let ((commits, others), (commits_again, others_again)) = (parts(&field.outputs), parts(&again));
    assert_eq!((commits.len(), others.len()), (commits_again.len(), others_again.len()));
    for (was, is) in commits.iter().chain(&others).zip(commits_again.iter().chain(&others_again)) {
        assert_eq!(was, is);
    }
}

#[test]
fn under_its_own_plan_the_same_mails_would_have_been_sent_and_under_a_patient_one_fewer() {
    let mut field = Field::recorded(plan());
    field.silence("c15", 300..420);
    field.silence("c16", 1500..3000);
    field.run_until(3600);
    let names = |mails: &[(netwatch_core::Now, netwatch_core::Notification)]| -> Vec<String> {
        let lines = mails.iter().flat_map(|(_, mail)| mail.lines.iter());
        lines.map(|line| format!("{} {}", line.kind.code(), line.subject.name)).collect()
    };
    let same = rehearse(&field.record, Arc::new(plan()));
    assert_eq!(names(&same), ["opened c15", "closed c15", "opened c16", "closed c16"]);
    let mut patient = plan();
    let mut settings = Settings::default();
    settings.tolerance = Duration::from_secs(300);
    for target in &mut patient.targets {
        *target = target.clone().with_settings(settings.clone());
    }
    patient.targets.reverse();
    patient.targets.iter_mut().for_each(|target| *target = target.clone().with_parents([]));
    assert_eq!(names(&rehearse(&field.record, Arc::new(patient))), ["opened c16", "closed c16"]);
}
