//! Webhooks that never answer, drip, close, redirect and refuse; and what they echo is not repeated.

use std::time::Duration;

use netwatch_core::{DeliveryError, LineKind, Notifier, Secret, Stage, WebhookConfig, WebhookFormat, WebhookNotifier};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::web::{Act, Web};
use crate::webhook::config;
use crate::{LIMIT, PATIENCE, attempt, hello, line, told};

/// What the far side makes of an attempt that ends by its limit.
async fn failure(act: Act, format: WebhookFormat) -> DeliveryError {
    let web = Web::plain(act).await;
    let mut config = config(web.port, "/noc", format);
    config.timeout = LIMIT;
    let begun = Instant::now();
    let error = attempt(&WebhookNotifier::new(config).unwrap(), &hello()).await.unwrap_err();
    assert!(begun.elapsed() < LIMIT + Duration::from_secs(8), "{:?}: {error}", begun.elapsed());
    error
}

fn raw(head: &str) -> String {
    format!("HTTP/1.1 {head}\r\n\r\n")
}

#[tokio::test]
async fn without_an_answer_it_may_have_arrived() {
    let head_never_ends = Act::Drip("HTTP/1.1 200 OK\r\nX: ".to_owned());
    for act in [Act::Hang, Act::Close, head_never_ends, Act::Say("nonsense\r\n\r\n".to_owned())] {
        let error = failure(act, WebhookFormat::Json).await;
        assert_eq!((error.stage, error.permanent), (Stage::Uncertain, false), "{error}");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error =
        attempt(&WebhookNotifier::new(config(port, "/", WebhookFormat::Json)).unwrap(), &hello()).await.unwrap_err();
    assert_eq!(error.stage, Stage::BeforeContent);
    assert!(error.message.contains("cannot connect"), "{error}");

    // A TLS handshake that is never answered.
    let web = Web::plain(Act::Deaf).await;
    let mut deaf = WebhookConfig::new(Secret::new(format!("https://127.0.0.1:{}/canary-4711", web.port)));
    deaf.timeout = LIMIT;
    let error = attempt(&WebhookNotifier::new(deaf).unwrap(), &hello()).await.unwrap_err();
    assert_eq!(error.stage, Stage::BeforeContent);
    assert!(!error.message.contains("canary"), "{error}");
}

#[tokio::test]
async fn an_answer_that_drips_is_one_where_its_body_decides_nothing() {
    let dripping = || Act::Drip(raw("200 OK\r\nContent-Length: 1000000"));
    let web = Web::plain(dripping()).await;
    attempt(&WebhookNotifier::new(config(web.port, "/", WebhookFormat::Json)).unwrap(), &hello()).await.unwrap();
    let error = failure(dripping(), WebhookFormat::Slack).await;
    assert_eq!((error.stage, error.permanent), (Stage::Uncertain, false), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_read_to_its_64th_kibibyte() {
    let web = Web::plain(Act::Flood(raw("200 OK\r\nContent-Length: 100000000000"))).await;
    let begun = Instant::now();
    attempt(&WebhookNotifier::new(config(web.port, "/", WebhookFormat::Slack)).unwrap(), &hello()).await.unwrap();
    assert!(begun.elapsed() < PATIENCE / 2, "it was not read to its end");
    let error = failure(Act::Flood(raw("500 Oops\r\nContent-Length: 100000000000")), WebhookFormat::Json).await;
    assert!(error.message.len() < 1000, "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_its_target_named() {
    let elsewhere = Web::plain(Act::answer(200, "ok")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://127.0.0.1:{}/canary-4711?token=canary-4711", elsewhere.port);
        let error = failure(Act::answer(status, "").with("Location", &location), WebhookFormat::Json).await;
        assert!(error.message.contains(&format!("127.0.0.1:{}", elsewhere.port)), "{error}");
        assert!(!error.message.contains("canary"), "{error}");
        assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false));
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn when_to_come_again_is_heeded_and_a_refusal_for_good_is_one() {
    let seconds = |error: &DeliveryError| error.retry_after.map(|wait| wait.as_secs());
    for status in [429, 503] {
        let error = failure(Act::answer(status, "").with("Retry-After", "120"), WebhookFormat::Json).await;
        assert_eq!((seconds(&error), error.permanent), (Some(120), false), "{error}");
        let dated = Act::answer(status, "")
            .with("Date", "Sun, 22 Nov 2026 06:50:00 GMT")
            .with("Retry-After", "Sun, 22 Nov 2026 06:52:00 GMT");
        assert_eq!(seconds(&failure(dated, WebhookFormat::Json).await), Some(120));
    }
    let telegram = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":35}}"#;
    let error = failure(Act::answer(429, telegram), WebhookFormat::Telegram).await;
    assert_eq!((seconds(&error), error.permanent), (Some(35), false), "{error}");
    for (act, format) in [
        (Act::answer(404, "no_service").with("Retry-After", "120"), WebhookFormat::Slack),
        (Act::answer(200, r#"{"ok":false,"error":"channel_is_archived"}"#), WebhookFormat::Slack),
        (Act::answer(400, r#"{"ok":false,"description":"chat not found"}"#), WebhookFormat::Telegram),
        (Act::answer(413, ""), WebhookFormat::Teams),
    ] {
        let error = failure(act, format).await;
        assert_eq!((seconds(&error), error.permanent), (None, true), "{error}");
    }
}

#[tokio::test]
async fn what_is_said_is_quoted_in_one_clean_line() {
    let error = failure(Act::answer(500, "a\r\nb\0\u{1b}[2J\u{202E}c"), WebhookFormat::Json).await;
    assert!(error.message.ends_with("answer 500: a b [2Jc"), "{error}");
}

/// The whole secret, a part of it, in other letters, with something invisible in it.
fn echoes(secret: &str) -> [String; 5] {
    let half = secret.get(..secret.len() / 2 + 1).unwrap_or_default();
    [
        secret.to_owned(),
        half.to_owned(),
        secret.to_uppercase(),
        secret.replacen('k', "\u{200b}k", 1),
        format!("\"{secret}\""),
    ]
}

#[tokio::test]
async fn no_error_at_any_stage_repeats_a_secret() {
    const CANARY: &str = "canary-quokka-canary";
    for format in WebhookFormat::ALL {
        let mut acts = vec![Act::Hang, Act::Close, Act::Say(format!("{CANARY}\r\n\r\n"))];
        for echo in echoes(CANARY) {
            for status in [200, 202, 302, 400, 404, 429, 500, 502] {
                let body = format!("{{\"ok\":false,\"error\":{}}}", serde_json::json!(echo));
                let location = format!("https://{CANARY}.example/{CANARY}");
                acts.push(Act::answer(status, &body).with("Location", &location));
            }
        }
        for act in acts {
            let web = Web::plain(act).await;
            let mut config = WebhookConfig::new(Secret::new(format!(
                "http://127.0.0.1:{}/bot12345:{CANARY}/{CANARY}?sig={CANARY}&b={CANARY}",
                web.port
            )))
            .with_format(format);
            config.timeout = Duration::from_millis(500);
            match format {
                WebhookFormat::Telegram => config.chat_id = Some(Secret::new(CANARY)),
                WebhookFormat::PagerDuty => config.routing_key = Some(Secret::new(CANARY)),
                WebhookFormat::Ntfy | WebhookFormat::Json => config.token = Some(Secret::new(CANARY)),
                _ => {}
            }
            assert!(!format!("{config:?}").contains("canary"), "{config:?}");
            let notifier = WebhookNotifier::new(config).unwrap();
            assert!(!format!("{notifier:?}").contains("canary"), "{notifier:?}");
            if let Err(error) = attempt(&notifier, &told(vec![line(7, "agg-3", LineKind::Opened)])).await {
                let said = format!("{error:?}").to_lowercase();
                assert!(!said.contains("canary") && !said.contains("quokka"), "{format:?}: {error}");
                assert!(error.message.contains("127.0.0.1"), "{format:?}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_dropped_attempt_leaves_no_connection_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let notifier = WebhookNotifier::new(config(port, "/", WebhookFormat::Json)).unwrap();
    let notification = hello();
    let attempt = tokio::spawn(async move { notifier.deliver(&notification).await });
    let (stream, _) = listener.accept().await.unwrap();
    stream.readable().await.unwrap();
    attempt.abort();
    let mut buffer = vec![0_u8; 65_536];
    let gone = async {
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the connection is closed");
}
