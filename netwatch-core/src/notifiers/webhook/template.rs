//! A body in the operator's own words: a template that may be replaced in the field, and may be broken.

use std::sync::Arc;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value as Json;

use crate::model::{
    Cause, Content, Line, LineId, LineKind, MailId, Notification, Outage, OutageId, Subject, Topic, Trouble, Wall,
};
use crate::notifiers::facts;
use crate::plain;

/// How many steps a template may take: a loop over every line that the facts hold, some hundred times over.
const FUEL: u64 = 5_000_000;
/// No service takes more.
const MOST_BYTES: usize = 512_000;
const NAME: &str = "body";

/// A template that was understood.
pub(super) struct Template(Environment<'static>);

impl Template {
    /// Understands it, and renders one notification of each kind to see whether that gives JSON.
    pub(super) fn new(source: &str) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| explain(&error))?;
        let template = Template(environment);
        for example in examples() {
            template.render(&example)?;
        }
        Ok(template)
    }

    /// The body, which is JSON.
    pub(super) fn render(&self, notification: &Notification) -> Result<String, String> {
        let facts = Value::from(Serde(facts::facts(notification)));
        let template = self.0.get_template(NAME).map_err(|error| explain(&error))?;
        let body = template.render(facts).map_err(|error| explain(&error))?;
        if body.len() > MOST_BYTES {
            return Err(format!("it makes {} bytes, and no service takes more than {MOST_BYTES}", body.len()));
        }
        match serde_json::from_str::<Json>(&body) {
            Ok(_) => Ok(body),
            Err(error) => Err(format!("for {} lines it makes no JSON: {error}", notification.lines.len())),
        }
    }
}

fn explain(error: &minijinja::Error) -> String {
    let place = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    plain::quote(&format!("{place}{error}"))
}

/// One notification of each kind, with everything that may be missing, present and missing.
fn examples() -> Vec<Notification> {
    let bare = |kind, topic| {
        let outage = Outage::open(OutageId::new(1), "".into(), None, Wall::default());
        let mut line = Line::new(LineId::new(1), kind, Subject::new("", ""), outage, Wall::default());
        line.topic = topic;
        line
    };
    let mut full = bare(LineKind::Missed, Topic::Outage);
    full.subject = Subject::new("olt-1 \"{{ x }}\"", "192.0.2.1");
    full.subject.group = Some("OLT".into());
    full.subject.note = Some("llave en portería".into());
    full.subject.customers = Some(480);
    full.outage.last_good = Some(Wall::default());
    full.outage.closed = Some(Wall::default());
    let mut all = vec![full];
    for kind in [LineKind::Opened, LineKind::Closed, LineKind::Missed] {
        let disk = Topic::Trouble(Trouble::Disk);
        let topics = [Topic::Outage, Topic::Flapping, Topic::Unseen(Cause::NoResult), Topic::Blind, disk, Topic::Drill];
        all.extend(topics.map(|topic| bare(kind, topic)));
    }
    let notification = |lines: Vec<Line>| {
        let content = Content::new("NO RESPONDE: olt-1", "olt-1\n", "");
        let mut notification = Notification::new(MailId::new(1), "<1@netwatch>", Wall::default(), content);
        notification.in_reply_to = lines.first().map(|_| Arc::from("<0@netwatch>"));
        notification.lines = lines.into();
        notification
    };
    let alone = all.iter().map(|line| notification(vec![line.clone()]));
    alone.chain([notification(Vec::new()), notification(all.clone())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_written_as_json_and_nothing_in_it_is_a_template() {
        let source = r#"{"msg": {{ subject }}, "who": [{% for line in lines %}{{ line.target }}{% if not loop.last %},{% endif %}{% endfor %}]}"#;
        let template = Template::new(source).unwrap();
        let mut notification = examples().remove(0);
        notification.content = Content::new("\"}, {{7*7}} <script>", "", "").into();
        let body: serde_json::Value = serde_json::from_str(&template.render(&notification).unwrap()).unwrap();
        assert_eq!(body["msg"], "\"}, {{7*7}} <script>");
        assert_eq!(body["who"][0], "olt-1 \"{{ x }}\"");
    }

    #[test]
    fn what_is_broken_is_found_before_it_is_needed() {
        for (source, why) in [
            ("{\"a\": {{ subject }", "syntax error"),
            ("{\"a\": {{ sujet }}}", "undefined"),
            ("{\"a\": {{ lines[0].target }}}", "undefined"),
            ("{\"a\": \"{{ subject }}\"}", "no JSON"),
            ("hello", "no JSON"),
            ("{% include \"/etc/passwd\" %}", "unknown statement"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}1", "fuel"),
        ] {
            let error = Template::new(source).err().unwrap();
            assert!(error.contains(why), "{source}: {error}");
        }
    }
}
