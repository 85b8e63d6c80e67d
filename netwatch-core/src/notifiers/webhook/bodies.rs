//! The body that each service understands, within what it takes. A device's name is never markup and mentions nobody.

use serde_json::{Value, json};

use super::config::WebhookFormat;
use crate::model::{LineKind, Locale, Notification};
use crate::notifiers::facts;
use crate::plain;

/// Slack cuts off a message after so many characters.
const SLACK_CHARS: usize = 40_000;
/// Telegram refuses a message of more UTF-16 code units.
const TELEGRAM_UNITS: usize = 4096;
/// Teams refuses a message of more than 28 KB, whichever kind of kilobyte that is.
const TEAMS_BYTES: usize = 28_000;
/// ntfy makes a file of a longer message; counted is the whole body.
const NTFY_BYTES: usize = 4096;
/// Kept free for saying how much was left out.
const RESERVE: usize = 80;

/// What goes into a body beside the notification.
#[derive(Clone, Default)]
pub(super) struct Extras {
    pub(super) chat_id: String,
    pub(super) topic: String,
    pub(super) locale: Locale,
}

/// The body of a format that takes a notification in one piece.
pub(super) fn body(format: WebhookFormat, notification: &Notification, extras: &Extras) -> Value {
    match format {
        WebhookFormat::Slack => slack(notification, extras.locale),
        WebhookFormat::Telegram => telegram(notification, extras),
        WebhookFormat::Teams => teams(notification, extras.locale),
        WebhookFormat::Ntfy => ntfy(notification, extras),
        WebhookFormat::Json | WebhookFormat::PagerDuty => facts::facts(notification),
    }
}

/// <https://docs.slack.dev/messaging/formatting-message-text>: `&`, `<` and `>` are the only characters to escape, and
/// without `mrkdwn` nothing else is markup.
fn slack(notification: &Notification, locale: Locale) -> Value {
    let escape = |line: String| defuse(&line).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let lines = words(notification).map(escape).collect();
    let text = fit(lines, SLACK_CHARS, |line| line.chars().count(), locale).join("\n");
    json!({ "text": text, "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false })
}

/// <https://core.telegram.org/bots/api#sendmessage>: without `parse_mode` there is no markup.
fn telegram(notification: &Notification, extras: &Extras) -> Value {
    let lines = words(notification).map(|line| defuse(&line)).collect();
    let text = fit(lines, TELEGRAM_UNITS, |line| line.encode_utf16().count(), extras.locale).join("\n");
    json!({ "chat_id": extras.chat_id, "text": text, "link_preview_options": { "is_disabled": true } })
}

/// <https://adaptivecards.io/explorer/TextRun.html>: a run of text, unlike a block of it, knows no Markdown; and only an
/// entity of its own mentions somebody.
fn teams(notification: &Notification, locale: Locale) -> Value {
    let run = |line: &str, subject: bool| {
        let line = if line.is_empty() { "\u{a0}" } else { line };
        let weight = if subject { "bolder" } else { "default" };
        let run = json!({ "type": "TextRun", "text": line, "weight": weight });
        json!({ "type": "RichTextBlock", "spacing": "none", "inlines": [run] })
    };
    let card = |lines: Vec<Value>| {
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": lines,
                },
            }],
        })
    };
    let around = card(Vec::new()).to_string().len();
    let reserve = run("", false).to_string().len();
    let room = TEAMS_BYTES.saturating_sub(around).saturating_sub(reserve);
    let lines = words(notification).map(|line| defuse(&line)).collect();
    let lines = fit(lines, room, |line| run(line, false).to_string().len(), locale);
    card(lines.iter().enumerate().map(|(place, line)| run(line, place == 0)).collect())
}

/// <https://docs.ntfy.sh/publish/#publish-as-json>: a message is plain text unless it asks for Markdown.
fn ntfy(notification: &Notification, extras: &Extras) -> Value {
    let critical = notification.lines.iter().any(|line| line.critical);
    let priority = match facts::kind(notification) {
        kind if kind == LineKind::Opened.code() => {
            if critical {
                5
            } else {
                4
            }
        }
        _ => 3,
    };
    let title = facts::subject(notification);
    let message = |text: &str| json!({ "topic": extras.topic, "title": title, "message": text, "priority": priority });
    let room = NTFY_BYTES.saturating_sub(message("").to_string().len());
    let lines: Vec<String> = plain::lines(&notification.content.text).collect();
    let escaped = |line: &str| json!(line).to_string().len();
    let text = fit(lines, room, escaped, extras.locale).join("\n");
    // An empty message would be "triggered".
    message(if text.is_empty() { &title } else { &text })
}

/// The subject, and below it the text.
fn words(notification: &Notification) -> impl Iterator<Item = String> + '_ {
    let subject = facts::subject(notification);
    let mut text: Vec<String> = plain::lines(&notification.content.text).collect();
    while text.last().is_some_and(String::is_empty) {
        text.pop();
    }
    if text.first().is_some_and(|first| *first == subject) {
        text.remove(0);
    }
    std::iter::once(subject).chain(text)
}

/// The first lines that cost no more than `most` together, and how many were left out if any were. Each costs one more
/// for its end.
fn fit(lines: Vec<String>, most: usize, cost: impl Fn(&str) -> usize, locale: Locale) -> Vec<String> {
    let costs: Vec<usize> = lines.iter().map(|line| cost(line).saturating_add(1)).collect();
    if costs.iter().sum::<usize>() <= most {
        return lines;
    }
    let mut room = most.saturating_sub(RESERVE);
    let total = lines.len();
    let affordable = |(_, cost): &(String, usize)| match room.checked_sub(*cost) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let mut kept: Vec<String> = lines.into_iter().zip(costs).take_while(affordable).map(|(line, _)| line).collect();
    let left_out = total.saturating_sub(kept.len());
    kept.push(match locale {
        Locale::En => format!("… and {left_out} more lines"),
        _ => format!("… y {left_out} líneas más"),
    });
    kept
}

/// An `@` that begins a word could call somebody; a word joiner, which nobody sees, keeps it from that.
fn defuse(line: &str) -> String {
    let mut defused = String::with_capacity(line.len());
    let mut before = ' ';
    for character in line.chars() {
        defused.push(character);
        if character == '@' && !before.is_alphanumeric() {
            defused.push('\u{2060}');
        }
        before = character;
    }
    defused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, MailId, Wall};

    fn long() -> Notification {
        let text: String = (0..20_000).map(|n| format!("olt-{n} \"<&>\" \u{1F4A5}\n")).collect();
        let content = Content::new("NO RESPONDE: a (+19999)", text, "");
        Notification::new(MailId::new(1), "<1@x>", Wall::default(), content)
    }

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    #[test]
    fn each_body_stays_within_its_services_limit_and_says_what_is_missing() {
        let extras = Extras { topic: "noc".to_owned(), ..Extras::default() };
        let of = |format| body(format, &long(), &extras);
        let slack = of(WebhookFormat::Slack);
        let chars = text(&slack["text"]).chars().count();
        assert!(chars <= SLACK_CHARS && chars > SLACK_CHARS - 200, "{chars}");
        let telegram = of(WebhookFormat::Telegram);
        let units = text(&telegram["text"]).encode_utf16().count();
        assert!(units <= TELEGRAM_UNITS && units > TELEGRAM_UNITS - 200, "{units}");
        for (format, limit) in [(WebhookFormat::Teams, TEAMS_BYTES), (WebhookFormat::Ntfy, NTFY_BYTES)] {
            let bytes = of(format).to_string().len();
            assert!(bytes <= limit && bytes > limit - 400, "{bytes}");
        }
        for format in [WebhookFormat::Slack, WebhookFormat::Telegram, WebhookFormat::Teams, WebhookFormat::Ntfy] {
            let body = of(format).to_string();
            let named = body.matches("olt-").count();
            assert!(body.contains(&format!("… y {} líneas más", 20_000 - named)), "{format:?}: {named}");
        }
    }

    #[test]
    fn what_fits_is_whole() {
        let mut notification = long();
        notification.content = Content::new("OK: a", "OK: a\n\nbien\n", "").into();
        let slack = body(WebhookFormat::Slack, &notification, &Extras::default());
        assert_eq!(slack["text"], "OK: a\n\nbien");
    }

    #[test]
    fn an_at_sign_calls_nobody_and_an_address_stays_one() {
        assert_eq!(defuse("@everyone (@here) noc@example.net"), "@\u{2060}everyone (@\u{2060}here) noc@example.net");
    }
}
