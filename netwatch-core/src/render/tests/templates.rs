//! Mails in the operators' own words: whatever a template does and whatever the devices are called, the mail leaves,
//! is bounded, and no name is more than a name.

use super::*;
use crate::model::{Ack, GroupCount, Held, Hold};

const SUBJECT: &str = "[NOC] {{ builtin.subject }}";

/// Says everything of every device, as itself and as the built-in parts do.
const TEXT: &str = "{% for section in sections %}{{ section.heading }}: {{ section.sentence }}
{% for line in section.lines %}{{ line.title }} {{ line.name }} {{ line.address }} {{ line.group }} {{ line.note }} {{ line.customers }} {{ line.since }} {{ line.since_rfc3339 }} {{ line.duration }} {{ line.seconds }}
{% for fact in line.facts %}  {{ fact.label }}: {{ fact.value }}
{% endfor %}{% for member in line.members %}{{ member }}{% endfor %}{% if line.ack %}{{ line.ack.by }} {{ line.ack.note }}{% endif %}
{% endfor %}{% endfor %}{% for group in groups %}{{ group.name }} {% endfor %}{% for one in held %}{{ one.name }}: {{ one.reason }} {% endfor %}
{{ notifier }} {{ page_url }}
";

const HTML: &str = "<html><body>{% for line in lines %}<p title=\"{{ line.name }}\">{{ line.title }} {{ line.group }} {{ line.note }} {{ line.address }}{% for member in line.members %} {{ member }}{% endfor %}{% if line.ack %}{{ line.ack.by }} {{ line.ack.note }}{% endif %}</p>{% endfor %}{% for group in groups %}{{ group.name }}{% endfor %}{% for one in held %}{{ one.name }}{% endfor %}{{ notifier }}</body></html>";

fn templates(parts: &[(TemplatePart, &str)]) -> Templates {
    parts.iter().fold(Templates::new(words(Locale::Es)), |templates, (part, source)| templates.with(*part, source))
}

fn everything() -> Templates {
    let all = templates(&[(TemplatePart::Subject, SUBJECT), (TemplatePart::Text, TEXT), (TemplatePart::Html, HTML)]);
    assert!(all.broken().is_empty(), "{:?}", all.broken());
    all
}

fn one() -> Draft {
    draft(vec![customers(line(LineKind::Opened, "dslam-centro", 125, 0), 480)])
}

#[test]
fn each_part_that_has_no_template_is_the_built_in_one() {
    let built_in = words(Locale::Es).render(&one());
    assert_eq!(templates(&[]).render(&one()), built_in);
    let only_subject = templates(&[(TemplatePart::Subject, SUBJECT)]).render(&one());
    assert_eq!(only_subject.subject, "[NOC] NO RESPONDE: dslam-centro");
    assert_eq!((only_subject.text, only_subject.html), (built_in.text, built_in.html));
}

#[test]
fn a_template_is_told_the_facts_and_the_built_in_words() {
    let text = "{% for line in lines %}{{ line.name }}|{{ line.address }}|{{ line.group }}|{{ line.note }}|{{ line.customers }}|{{ line.seconds }}|{{ line.duration }}|{{ line.last_good }}|{{ line.last_good_rfc3339 }}|{{ line.closed }}|{{ 'critical' if line.critical else 'ordinary' }}{% endfor %} {{ locale }} {{ notifier }} {{ zone }} {{ at }}\n{{ builtin.text }}la guardia: 021 555\n";
    let made = templates(&[(TemplatePart::Text, text)]).render(&one());
    let built_in = words(Locale::Es).render(&one()).text;
    assert_eq!(
        made.text,
        format!(
            "dslam-centro|192.168.10.2|DSLAM||480|125|2 min 05 s|03:47:55|2026-11-22T03:47:55-03:00||ordinary es noc America/Asuncion (UTC-03:00) 03:50:00\n{built_in}la guardia: 021 555\n"
        )
    );
    let html = "<html><body>{{ builtin.html_body }}<p>021 555</p></body></html>";
    let made = templates(&[(TemplatePart::Html, html)]).render(&one());
    assert!(made.html.contains("dslam-centro") && made.html.contains("</table>"), "{}", made.html);
    assert_eq!((made.html.matches("<body").count(), made.html.matches("</html>").count()), (1, 1));
    assert!(made.html.ends_with("<p>021 555</p></body></html>"), "{}", made.html);
}

#[test]
fn whatever_is_wrong_with_a_template_the_mail_is_the_built_in_one_and_that_is_told() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}x";
    let long = "{% for a in range(9999) %}{{ 'ñ' * 100 }}{% endfor %}";
    let deep = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    let cases = [
        (TemplatePart::Text, "a\n{{ lines }", Some(2), "syntax error"),
        (TemplatePart::Text, "a\n\n{{ sujet }}", Some(3), "undefined"),
        (TemplatePart::Text, "{% for line in lines %}\n{{ line.nombre }}{% endfor %}", Some(2), "undefined"),
        (TemplatePart::Text, "{{ standing.open_total }}", Some(1), "undefined"),
        (TemplatePart::Text, endless, Some(1), "does not end within"),
        (TemplatePart::Text, deep, Some(1), "recursion"),
        (TemplatePart::Text, "{% if locale == 'en' %}{{ colour }}{% endif %}a", Some(1), "undefined"),
        (TemplatePart::Text, "{% for line in lines %}{{ line.name }}{% endfor %}", None, "makes nothing"),
        (TemplatePart::Text, "{% include '/etc/passwd' %}", Some(1), "unknown statement"),
        (TemplatePart::Text, "{% extends 'mail.html' %}", Some(1), "unknown statement"),
        (TemplatePart::Text, "{% import 'text' as x %}", Some(1), "unknown statement"),
        (TemplatePart::Html, long, None, "does not fit"),
        (TemplatePart::Html, endless, Some(1), "does not end within"),
        (TemplatePart::Subject, "{{ subject }}", Some(1), "undefined"),
        (TemplatePart::Subject, " \n ", None, "makes nothing"),
    ];
    for (part, source, at, why) in cases {
        let templates = templates(&[(part, source)]);
        let [error] = templates.broken()[..] else { panic!("{source} was not refused") };
        assert_eq!((error.part, error.line), (part, at), "{source}: {error}");
        assert!(error.reason.contains(why), "{source}: {error}");
        assert_eq!(templates.render(&one()), words(Locale::Es).render(&one()), "{source}");
        let [remark] = &templates.remarks()[..] else { panic!("{source}: one remark") };
        assert!(remark.contains(part.code()) && remark.contains(why), "{remark}");
    }
}

#[test]
fn a_template_that_fails_for_one_mail_only_is_used_for_the_others() {
    let source = "{% if lines_total == 77 %}{{ colour }}{% endif %}mine";
    let templates = templates(&[(TemplatePart::Text, source), (TemplatePart::Subject, SUBJECT)]);
    assert!(templates.broken().is_empty(), "{:?}", templates.broken());
    assert_eq!(templates.render(&one()).text, "mine");
    assert_eq!(templates.remarks(), [""; 0]);
    let failing = draft((0..77).map(|_| line(LineKind::Opened, "a", 60, 0)).collect());
    let made = templates.render(&failing);
    assert_eq!(made.text, words(Locale::Es).render(&failing).text);
    assert!(made.subject.starts_with("[NOC] "), "the other parts are theirs: {}", made.subject);
    assert_eq!(templates.remarks().len(), 1);
    assert_eq!(templates.render(&one()).text, "mine");
}

#[test]
fn what_is_wrong_is_told_once_in_ten_minutes_for_each_part() {
    let broken = templates(&[(TemplatePart::Text, "{{ a }}"), (TemplatePart::Html, "{{ a }}")]);
    let after = |seconds: u64| Draft { at: AT.plus(Duration::from_secs(seconds)), ..one() };
    let remarks = |draft: &Draft| {
        broken.render(draft);
        broken.remarks().len()
    };
    assert_eq!([0, 1, 599, 600, 601, 1_200].map(|seconds| remarks(&after(seconds))), [2, 0, 0, 2, 0, 2]);
    assert_eq!(remarks(&one()), 2, "the clock was set back");
}

#[test]
fn a_subject_is_one_line_and_keeps_the_down_word_for_outages() {
    let templates =
        templates(&[(TemplatePart::Subject, "NO\nRESPONDE\r\nBcc: x@example.net\u{2028}{{ lines_total }}\n")]);
    assert_eq!(templates.render(&one()).subject, "NO RESPONDE Bcc: x@example.net 1");
    let back = draft(vec![line(LineKind::Closed, "a", 500, 400)]);
    assert_eq!(templates.render(&back).subject, "… Bcc: x@example.net 1");
    let long = self::templates(&[(TemplatePart::Subject, "{{ 'ñ' * 5000 }}")]);
    assert_eq!(long.render(&one()).subject.chars().count(), 200);
}

#[test]
fn hostile_names_stay_text_in_every_part() {
    let all = everything();
    let calm = all.render(&hostile("agg-3"));
    let names = HOSTILE.into_iter().chain(["-i", "$(id)", "\u{202A}a\u{2069}", "</body>", "' onmouseover='alert(1)"]);
    for name in names.map(str::to_owned).chain(["x".repeat(10_000), "ñ\n".repeat(10_000), "<".repeat(10_000)]) {
        let made = all.render(&hostile(&name));
        assert_eq!(all.remarks(), [""; 0], "{name:?}");
        assert!(!made.subject.chars().any(breaks_a_line), "{:?}", made.subject);
        assert!(made.subject.chars().count() <= 200 && made.subject.starts_with("[NOC] "), "{:?}", made.subject);
        for body in [&made.text, &made.html] {
            assert!(!body.chars().any(|c| c != '\n' && breaks_a_line(c)), "{body:?}");
            assert!(body.len() < 60_000, "{}", body.len());
        }
        assert_eq!(made.text.lines().count(), calm.text.lines().count(), "{name:?}: {}", made.text);
        for mark in ["<", ">", "\""] {
            assert_eq!(made.html.matches(mark).count(), calm.html.matches(mark).count(), "{name:?}: {}", made.html);
        }
        if name.contains("{{7*7}}") {
            assert!(made.text.contains("{{7*7}}") && !made.text.contains("49"), "{}", made.text);
            assert!(made.html.contains("{{7*7}}") && !made.html.contains("49"), "{}", made.html);
        }
    }
}

/// A mail in which everything that somebody may name has this name.
fn hostile(name: &str) -> Draft {
    let mut line = line(LineKind::Opened, name, 500, 400);
    line.subject.address = name.into();
    line.subject.group = Some(name.into());
    line.subject.note = Some(name.into());
    line.members = [name.into()].into();
    line.outage.ack = Some(Arc::new(Ack::new(AT, name, name)));
    let mut draft = draft(vec![line]);
    draft.notifier = name.into();
    draft.groups = vec![GroupCount::new(name, 1, 2)];
    draft.held = vec![Held::new(name, Hold::Hours, AT)];
    draft
}

#[test]
fn a_hundred_thousand_devices_are_one_bounded_mail() {
    let all = everything();
    for (note, is_short) in [("llave en portería; ".repeat(50), true), ("<&\"'ñ🐦".repeat(2_000), false)] {
        let note: Arc<str> = note.into();
        let lines = (0..100_000).map(|n| {
            let mut line = line(LineKind::Opened, &format!("olt-{n}"), 1_000, 400);
            line.subject.note = Some(note.clone());
            line
        });
        let made = all.render(&draft(lines.collect()));
        assert!(made.text.len() + made.html.len() <= 180 * 1024, "{} and {}", made.text.len(), made.html.len());
        assert_eq!(made.html.matches("<p title").count(), if is_short { 100 } else { 0 });
        assert_eq!(all.remarks().len(), usize::from(!is_short), "HTML that does not fit is the built-in one");
    }
}

#[test]
fn text_that_does_not_fit_is_cut_between_lines_and_says_so() {
    let endless = "{% for n in range(30000) %}línea {{ n }} ñandú\n{% endfor %}";
    let one_line = "{{ 'ñ' * 90000 }}{{ 'ñ' * 90000 }}";
    for source in [endless, one_line] {
        let templates = templates(&[(TemplatePart::Text, source)]);
        assert!(templates.broken().is_empty(), "{:?}", templates.broken());
        let made = templates.render(&one());
        assert!(made.text.len() + made.html.len() <= 180 * 1024, "{}", made.text.len());
        assert!(made.text.len() > 100 * 1024, "{}", made.text.len());
        assert!(made.text.ends_with("\n[Lo que sigue no cabe en un correo.]\n"));
        let last = made.text.lines().rev().nth(1).unwrap();
        assert!(last.ends_with("ñandú") || last.ends_with('ñ'), "{}", &last[last.len().saturating_sub(20)..]);
    }
}
