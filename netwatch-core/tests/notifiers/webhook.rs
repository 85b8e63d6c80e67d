//! What a webhook is told: one well-formed body a format, whatever a device is called.

use std::sync::Arc;

use netwatch_core::{
    Content, LineKind, Receipt, Secret, WebhookConfig, WebhookConfigError, WebhookFormat, WebhookNotifier,
};
use serde_json::Value;

use crate::authority::Authority;
use crate::web::{Act, Heard, Web};
use crate::{PATIENCE, attempt, corpus, hello, line, told, with_words};

pub(crate) fn config(port: u16, path: &str, format: WebhookFormat) -> WebhookConfig {
    let mut config = WebhookConfig::new(Secret::new(format!("http://127.0.0.1:{port}{path}"))).with_format(format);
    config.timeout = PATIENCE;
    match format {
        WebhookFormat::Telegram => config.chat_id = Some(Secret::new("-100123456")),
        WebhookFormat::PagerDuty => config.routing_key = Some(Secret::new("R0UT1NGK3Y")),
        _ => {}
    }
    config
}

/// The body of Slack's text may hold `&` only as an entity, and neither `<` nor `>`.
fn is_escaped_for_slack(text: &str) -> bool {
    let entities = ["amp;", "lt;", "gt;"];
    !text.contains(['<', '>'])
        && text.split('&').skip(1).all(|rest| entities.iter().any(|entity| rest.starts_with(entity)))
}

fn mentions_nobody(text: &str) -> bool {
    !["@everyone", "@here", "@channel", "@U024BE7LH"].iter().any(|mention| text.contains(mention))
}

/// What is wrong with a body of this format, if anything is.
fn judge(format: WebhookFormat, body: &Value) -> Option<String> {
    let wild = corpus::texts(body).into_iter().find(|text| !corpus::is_tame(text));
    if let Some(wild) = wild {
        return Some(format!("not tame: {wild:?}"));
    }
    let keys: Vec<&str> = body.as_object()?.keys().map(String::as_str).collect();
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let fine = match format {
        WebhookFormat::Slack => {
            keys == ["link_names", "mrkdwn", "text", "unfurl_links", "unfurl_media"]
                && body["mrkdwn"] == false
                && body["link_names"] == false
                && text("text").chars().count() <= 40_000
                && is_escaped_for_slack(text("text"))
                && mentions_nobody(text("text"))
        }
        WebhookFormat::Telegram => {
            keys == ["chat_id", "link_preview_options", "text"]
                && body["chat_id"] == "-100123456"
                && !text("text").trim().is_empty()
                && text("text").encode_utf16().count() <= 4096
                && mentions_nobody(text("text"))
        }
        WebhookFormat::Teams => {
            let card = &body["attachments"][0]["content"];
            let blocks = card["body"].as_array()?;
            let plain = |block: &Value| {
                let inlines = block["inlines"].as_array().cloned().unwrap_or_default();
                let run = |run: &Value| {
                    run["type"] == "TextRun" && run["text"].as_str().is_some_and(|text| !text.contains("@everyone"))
                };
                block["type"] == "RichTextBlock" && inlines.len() == 1 && inlines.iter().all(run)
            };
            body.to_string().len() <= 28_000 && card["msteams"].is_null() && blocks.iter().all(plain)
        }
        WebhookFormat::Ntfy => {
            keys == ["message", "priority", "title", "topic"]
                && body["topic"] == "noc"
                && !text("message").is_empty()
                && !text("title").contains('\n')
                && body.to_string().len() <= 4096
        }
        WebhookFormat::PagerDuty => {
            let resolve = body["event_action"] == "resolve";
            body.to_string().len() <= 512_000
                && body["routing_key"] == "R0UT1NGK3Y"
                && body["dedup_key"] == "netwatch-7-1795330260000"
                && (resolve || body["payload"]["summary"].as_str()?.chars().count() <= 1024)
        }
        _ => body["lines"].as_array()?.len() == 3 && body.to_string().len() <= 256 * 1024,
    };
    (!fine).then(|| body.to_string())
}

#[tokio::test]
async fn whatever_a_device_is_called_each_format_has_one_well_formed_body() {
    let path = |format| if format == WebhookFormat::Ntfy { "/noc" } else { "/services/T0/B0/x" };
    for format in WebhookFormat::ALL {
        let web = Web::plain(Act::answer(200, "ok")).await;
        let notifier = WebhookNotifier::new(config(web.port, path(format), format)).unwrap();
        let mut before = 0;
        for (name, notification) in corpus::notifications() {
            // PagerDuty knows what it was told: each notification is another one.
            let mut notification = notification;
            notification.message_id = format!("<{before}@netwatch>").into();
            let receipt = attempt(&notifier, &notification).await.unwrap();
            assert_eq!(receipt, Receipt::default(), "{format:?}");
            let heard = web.requests().split_off(before);
            before += heard.len();
            let expected = if format == WebhookFormat::PagerDuty { 4 } else { 1 };
            assert_eq!(heard.len(), expected, "{format:?} {name:?}");
            for request in &heard {
                assert_eq!(request.headers["content-type"], "application/json");
                assert_eq!(judge(format, &request.json()), None, "{format:?} {name:?}");
            }
            if name == "{{7*7}}" || name == "$(id)" {
                let all: Vec<String> = heard.iter().flat_map(|request| corpus::texts(&request.json())).collect();
                assert!(all.iter().any(|text| text.contains(&name)), "{format:?}: it is a name, and stays one");
            }
        }
    }
}

#[tokio::test]
async fn a_template_of_ones_own_says_the_same_names_and_runs_none() {
    let web = Web::plain(Act::answer(204, "")).await;
    let mut config = config(web.port, "/", WebhookFormat::Json);
    config.template = Some(
        r#"{"text": {{ subject }}, "who": [{% for line in lines %}{{ line.target }}{% if not loop.last %}, {% endif %}{% endfor %}]}"#
            .to_owned(),
    );
    let notifier = WebhookNotifier::new(config).unwrap();
    assert_eq!(notifier.template_error(), None);
    for (place, (name, notification)) in corpus::notifications().into_iter().enumerate() {
        assert_eq!(attempt(&notifier, &notification).await.unwrap().remark, None);
        let body = web.requests()[place].json();
        assert_eq!(body["who"].as_array().unwrap().len(), 3, "{name:?}");
        assert!(corpus::texts(&body).iter().all(|text| corpus::is_tame(text)), "{name:?}");
        if name.chars().count() < 100 && corpus::is_tame(&name) && !name.contains('\n') {
            assert_eq!(body["who"][0], name.trim(), "{name:?}");
        }
    }
}

#[tokio::test]
async fn a_broken_template_does_without_and_says_so_each_time() {
    let web = Web::plain(Act::answer(200, "")).await;
    let mut broken = config(web.port, "/", WebhookFormat::Json);
    broken.template = Some("{\"text\": {{ sujet }}}".to_owned());
    let notifier = WebhookNotifier::new(broken).unwrap();
    assert!(notifier.template_error().unwrap().contains("undefined"), "{:?}", notifier.template_error());
    for _ in 0..2 {
        let remark = attempt(&notifier, &hello()).await.unwrap().remark.unwrap();
        assert!(remark.contains("body_file") && remark.contains("undefined"), "{remark}");
    }
    assert!(web.requests().iter().all(|request| request.json()["lines"][0]["target"] == "agg-3"));
    assert_eq!(web.requests().len(), 2);

    // One that works for every example may still break on what comes.
    let mut late = config(web.port, "/", WebhookFormat::Json);
    late.template = Some("{% if targets == 1000 %}oops{% else %}{{ subject }}{% endif %}".to_owned());
    let notifier = WebhookNotifier::new(late).unwrap();
    assert_eq!(notifier.template_error(), None);
    assert_eq!(attempt(&notifier, &hello()).await.unwrap().remark, None);
    let many = (0..1000).map(|number| line(number, "x", LineKind::Opened)).collect();
    assert!(attempt(&notifier, &told(many)).await.unwrap().remark.unwrap().contains("no JSON"));
    assert_eq!(web.requests()[3].json()["targets"], 1000);
}

#[tokio::test]
async fn a_copy_has_the_same_bytes() {
    for format in WebhookFormat::ALL {
        let web = Web::plain(Act::answer(200, "ok")).await;
        for copy in crate::copies() {
            // Two notifiers: nothing is remembered from one to the other.
            let notifier = WebhookNotifier::new(config(web.port, "/noc", format)).unwrap();
            attempt(&notifier, &copy).await.unwrap();
        }
        let requests = web.requests();
        assert_eq!((requests.len(), &requests[0].body), (2, &requests[1].body), "{format:?}");
    }
}

#[tokio::test]
async fn ntfy_gets_its_token_and_its_topic_at_the_root() {
    let web = Web::plain(Act::answer(200, "{}")).await;
    let mut config = config(web.port, "/push/noc", WebhookFormat::Ntfy);
    config.token = Some(Secret::new("tk_canary"));
    attempt(&WebhookNotifier::new(config).unwrap(), &hello()).await.unwrap();
    let Heard { path, headers, .. } = web.requests().remove(0);
    assert_eq!((path.as_str(), headers["authorization"].to_str().unwrap()), ("/push/", "Bearer tk_canary"));
}

#[tokio::test]
async fn pagerduty_goes_on_where_it_was_stopped() {
    let ended = Act::Say("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned());
    let acts =
        vec![ended.clone(), ended, Act::answer(429, "slow down").with("Retry-After", "60"), Act::answer(202, "{}")];
    let web = Web::new(acts, None).await;
    let notifier = WebhookNotifier::new(config(web.port, "/v2/enqueue", WebhookFormat::PagerDuty)).unwrap();
    let lines = (0..5).map(|number| line(number, &format!("olt-{number}"), LineKind::Opened)).collect();
    let notification = told(lines);
    let error = attempt(&notifier, &notification).await.unwrap_err();
    assert_eq!(error.stage, netwatch_core::Stage::Uncertain, "the rest of this very notification must follow: {error}");
    assert_eq!(error.retry_after.map(|wait| wait.as_secs()), Some(60));
    assert!(error.message.contains("2 of 5"), "{error}");
    attempt(&notifier, &notification).await.unwrap();
    // The one that was answered with 429, and then those that were left.
    let keys: Vec<Value> = web.requests().iter().map(|request| request.json()["dedup_key"].clone()).collect();
    let expected = [2, 2, 3, 4].map(|number| format!("netwatch-{number}-1795330260000"));
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn tls_reaches_who_has_the_name_and_nobody_else() {
    let authority = Authority::new("ours");
    let other = Authority::new("other");
    let deliver = async |tls: Arc<rustls::ServerConfig>, ca_file: std::path::PathBuf| {
        let web = Web::new(vec![Act::answer(200, "ok")], Some(tls)).await;
        let mut config = WebhookConfig::new(Secret::new(format!("https://localhost:{}/canary-4711", web.port)));
        (config.ca_file, config.timeout) = (Some(ca_file), PATIENCE);
        let result = attempt(&WebhookNotifier::new(config).unwrap(), &hello()).await;
        (result, web.requests().len())
    };
    let (result, heard) = deliver(authority.issue("localhost"), authority.file()).await;
    assert_eq!((result.is_ok(), heard), (true, 1));
    for (tls, why) in [
        (authority.issue("other.example.net"), "NotValidForName"),
        (other.issue("localhost"), "UnknownIssuer"),
        (Authority::self_signed("localhost"), "certificate"),
    ] {
        let (result, heard) = deliver(tls, authority.file()).await;
        let error = result.unwrap_err();
        assert!(error.message.contains(why) || error.message.contains("not valid for name"), "{error}");
        assert!(!error.message.contains("canary"), "{error}");
        assert_eq!((error.stage, heard), (netwatch_core::Stage::BeforeContent, 0));
    }
}

#[test]
fn a_format_needs_what_it_needs_and_no_more() {
    let new = |format, change: fn(&mut WebhookConfig)| {
        let mut config = WebhookConfig::new(Secret::new("https://h.example/canary-4711")).with_format(format);
        change(&mut config);
        WebhookNotifier::new(config)
    };
    use WebhookConfigError::{Missing, Token, Useless};
    assert!(matches!(new(WebhookFormat::Telegram, |_| {}), Err(Missing { missing: "a chat id", .. })));
    assert!(matches!(new(WebhookFormat::PagerDuty, |_| {}), Err(Missing { missing: "a routing key", .. })));
    assert!(matches!(
        new(WebhookFormat::Slack, |config| config.token = Some(Secret::new("canary-4711"))),
        Err(Useless { key: "a token", .. })
    ));
    assert!(matches!(
        new(WebhookFormat::Json, |config| config.routing_key = Some(Secret::new("canary-4711"))),
        Err(Useless { .. })
    ));
    for wrong in ["canary\r\nX: y", "canary 4711", "canäry"] {
        let mut config = WebhookConfig::new(Secret::new("https://h.example/")).with_format(WebhookFormat::Ntfy);
        config.url = Secret::new("https://h.example/noc");
        config.token = Some(Secret::new(wrong));
        let error = WebhookNotifier::new(config).unwrap_err();
        assert!(matches!(error, Token) && !error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn a_notification_of_a_hundred_thousand_lines_is_one_body() {
    let lines = || (0..100_000).map(|number| line(number, "olt", LineKind::Opened)).collect();
    let content = Content::new("NO RESPONDE: olt (+99999)", "olt\n".repeat(40_000), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for format in WebhookFormat::ALL.into_iter().filter(|format| *format != WebhookFormat::PagerDuty) {
            let web = Web::plain(Act::answer(200, "ok")).await;
            let notifier = WebhookNotifier::new(config(web.port, "/noc", format)).unwrap();
            attempt(&notifier, &with_words(lines(), content.clone())).await.unwrap();
            assert!(web.requests()[0].body.len() <= 256 * 1024, "{format:?}");
        }
    });
}
