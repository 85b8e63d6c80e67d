//! A notification as bytes: one RFC 5322 message, the same at every attempt.
//!
//! Nothing in it comes from a clock or from chance. All of it is ASCII in lines of at most 998 bytes that end in CRLF
//! (RFC 5322, 2.1.1), so no server needs an extension to carry it.

use std::hash::Hasher;
use std::time::SystemTime;

use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::{Notification, Wall};

/// How many characters of a subject are sent.
const SUBJECT_CHARS: usize = 200;
/// Up to this size a part stays readable whatever it holds; the words' limit of 180 KiB then still gives a mail of less
/// than 256 KiB.
const READABLE_BYTES: usize = 8 * 1024;

/// A notification cannot be written as a mail.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    /// A Message-ID is not one (RFC 5322, 3.6.4).
    #[error("{0:?} is not a Message-ID")]
    MessageId(String),
    /// The mail could not be put together.
    #[error("cannot write the mail: {0}")]
    Build(lettre::error::Error),
}

/// The message from `from`, with the header `To` naming these, `undisclosed-recipients:;` if there are none.
pub(super) fn compose(from: &Mailbox, to: &[Mailbox], notification: &Notification) -> Result<Vec<u8>, MessageError> {
    let content = &notification.content;
    let message_id = checked_id(&notification.message_id)?;
    let mut builder = Message::builder()
        // Never used: the envelope of an attempt is the notifier's business, but the builder insists on one.
        .envelope(placeholder_envelope(&from.email)?)
        .from(from.clone())
        .date(date(notification.date))
        .subject(header_text(&content.subject))
        .raw_header(verbatim("Message-ID", message_id));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    if to.is_empty() {
        builder = builder.raw_header(verbatim("To", "undisclosed-recipients:;"));
    }
    if let Some(answered) = &notification.in_reply_to {
        let answered = checked_id(answered)?;
        builder = builder.raw_header(verbatim("In-Reply-To", answered)).raw_header(verbatim("References", answered));
    }
    let message = builder
        .header(AutoSubmitted)
        .raw_header(verbatim("X-Netwatch-Batch", &notification.id.number().to_string()))
        .multipart(
            MultiPart::alternative()
                .boundary(boundary(message_id))
                .singlepart(part(ContentType::TEXT_PLAIN, &content.text))
                .singlepart(part(ContentType::TEXT_HTML, &content.html)),
        )
        .map_err(MessageError::Build)?;
    Ok(message.formatted())
}

fn placeholder_envelope(from: &Address) -> Result<Envelope, MessageError> {
    Envelope::new(Some(from.clone()), vec![from.clone()]).map_err(MessageError::Build)
}

/// RFC 3834, 5: keeps holiday notices and list robots from answering.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<AutoSubmitted, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        verbatim("Auto-Submitted", "auto-generated")
    }
}

/// A header whose value is known to be short, printable ASCII.
fn verbatim(name: &'static str, value: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned())
}

fn checked_id(id: &str) -> Result<&str, MessageError> {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    match inner {
        Some(inner)
            if !inner.is_empty()
                && inner.len() <= 900
                && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>') =>
        {
            Ok(id)
        }
        _ => Err(MessageError::MessageId(id.to_owned())),
    }
}

/// One line, in which nothing reads as an encoded word (RFC 2047) before it is encoded. The encoder does not break a
/// long word, so the length is bounded here.
fn header_text(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect();
    line.replace("=?", "= ?").chars().take(SUBJECT_CHARS).collect()
}

/// A time that the header's format can hold: nothing before 1970.
fn date(at: Wall) -> SystemTime {
    SystemTime::from(at.max(Wall::default()))
}

/// Cannot occur in either part: neither quoted-printable nor base64 has `=_`.
fn boundary(message_id: &str) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(message_id.as_bytes());
    let hash = hasher.finish128();
    format!("=_netwatch_{:016x}{:016x}", hash.h1, hash.h2)
}

/// Quoted-printable, which a person can still read, or base64 where a long text is shorter so.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let encode = |encoding| Body::new_with_encoding(text.clone(), encoding);
    let readable = encode(ContentTransferEncoding::QuotedPrintable);
    let short = encode(ContentTransferEncoding::Base64);
    let body = match (readable, short) {
        (Ok(readable), Ok(short)) if readable.len() <= short.len().max(READABLE_BYTES) => readable,
        (_, Ok(body)) | (Ok(body), Err(_)) => body,
        (Err(text), Err(_)) => Body::new(text),
    };
    SinglePart::builder().header(kind).body(body)
}

#[cfg(test)]
mod tests {
    use super::super::address;
    use super::*;
    use crate::model::{Content, MailId};

    fn notification(content: Content) -> Notification {
        Notification::new(
            MailId::new(7),
            "<7.1.noc@netwatch.example.net>",
            Wall::from_unix_nanos(1_795_330_200_000_000_000),
            content,
        )
    }

    fn bytes(notification: &Notification) -> Vec<u8> {
        let from = address::parse("netwatch <noc@example.net>").unwrap();
        let to = ["Turno <turno@example.net>", "b@example.net"].map(|to| address::parse(to).unwrap());
        compose(&from, &to, notification).unwrap()
    }

    fn header_names(mail: &str) -> Vec<&str> {
        let (header, _) = mail.split_once("\r\n\r\n").unwrap();
        header.split("\r\n").filter(|line| !line.starts_with(' ')).map(|line| line.split_once(':').unwrap().0).collect()
    }

    const ALL: [&str; 11] = [
        "From",
        "Date",
        "Subject",
        "Message-ID",
        "To",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "X-Netwatch-Batch",
        "MIME-Version",
        "Content-Type",
    ];

    #[test]
    fn a_mail_reads_as_it_should() {
        let mut notification =
            notification(Content::new("NO RESPONDE: ñandú", "Está caído.\n", "<p>Está caído.</p>\n"));
        notification.in_reply_to = Some("<6.1.noc@netwatch.example.net>".into());
        insta::assert_snapshot!(String::from_utf8(bytes(&notification)).unwrap().replace("\r\n", "\n"));
    }

    #[test]
    fn every_copy_is_the_same() {
        let notification = notification(Content::new("a", "b".repeat(5_000), "ñ".repeat(5_000)));
        assert_eq!(bytes(&notification), bytes(&notification));
    }

    #[test]
    fn the_longest_words_are_a_mail_of_at_most_256_kib() {
        for (text, html) in [("ñ".repeat(1_300), "ñ".repeat(90_000)), ("ñ".repeat(46_000), "<".repeat(92_000))] {
            assert!(bytes(&notification(Content::new("a", text, html))).len() <= 256 * 1024);
        }
    }

    #[test]
    fn the_worst_storm_in_words_is_a_mail_of_at_most_256_kib() {
        use crate::model::{Draft, Line, LineId, LineKind, Locale, Outage, OutageId, Subject};
        let at = Wall::from_unix_nanos(1_795_330_200_000_000_000);
        for name in ["\"'".repeat(5_000), "ñ".repeat(10_000), "🐦\r\n".repeat(5_000), "=".repeat(10_000)] {
            let outage = Outage::open(OutageId::new(1), "a".into(), None, at);
            let mut subject = Subject::new(&*name, &*name);
            (subject.group, subject.note) = (Some(name.as_str().into()), Some(name.as_str().into()));
            let line = Line::new(LineId::new(1), LineKind::Opened, subject, outage, at);
            let draft = Draft::new(MailId::new(1), "noc", vec![line; 2_000], at);
            let words = crate::Words::new(Locale::Es, Some("UTC"), Some(name.into())).unwrap();
            let size = bytes(&notification(crate::Render::render(&words, &draft))).len();
            assert!((64 * 1024..=256 * 1024).contains(&size), "{size}");
        }
    }

    #[test]
    fn another_mail_has_another_boundary() {
        assert_ne!(boundary("<1@a>"), boundary("<2@a>"));
    }

    #[test]
    fn whatever_the_words_hold_the_mail_is_well_formed() {
        for text in
            ["a\r\nBcc: x@y", "a\rb\nc\0d", "\r\n.\r\n", "a\u{2028}b", "=?utf-8?q?=0d=0aBcc:_x?= ñ", "", "\n\n\n"]
        {
            for text in [text.to_owned(), text.repeat(300), format!("{}{text}", "x".repeat(10_000))] {
                let mut notification = notification(Content::new(&*text, &*text, &*text));
                notification.in_reply_to = Some("<6@a>".into());
                let mail = String::from_utf8(bytes(&notification)).unwrap();
                assert!(mail.is_ascii());
                assert!(!mail.replace("\r\n", "").contains(['\r', '\n', '\0']), "{mail:?}");
                assert!(mail.split("\r\n").all(|line| line.len() <= 998));
                assert_eq!(header_names(&mail), ALL);
                assert!(!mail.contains("=?utf-8?q?=0d"), "an encoded word of others");
            }
        }
    }

    #[test]
    fn a_message_id_that_is_none_is_refused() {
        let from = address::parse("noc@example.net").unwrap();
        for id in ["", "a@b", "<>", "<a@b>\r\nBcc: x@y", "<a b@c>", "<ñ@c>", "<a@b><c@d>"] {
            let notification = Notification::new(MailId::new(1), id, Wall::default(), Content::default());
            assert!(compose(&from, &[], &notification).is_err(), "{id:?}");
        }
    }

    #[test]
    fn without_recipients_nobody_is_named() {
        let from = address::parse("noc@example.net").unwrap();
        let mail = String::from_utf8(compose(&from, &[], &notification(Content::default())).unwrap()).unwrap();
        assert!(mail.contains("\r\nTo: undisclosed-recipients:;\r\n"), "{mail}");
    }

    #[test]
    fn a_date_before_1970_does_not_panic() {
        let mut notification = notification(Content::default());
        notification.date = Wall::from_unix_nanos(-1);
        assert!(String::from_utf8(bytes(&notification)).unwrap().contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000"));
    }
}
