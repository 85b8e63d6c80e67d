//! A mail as a person's mail program would read it: unfolded headers, decoded subject and text.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A received mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Header names (in lower case) and values, unfolded, encoded words decoded, in their order.
    pub headers: Vec<(String, String)>,
    /// Everything behind the headers; quoted-printable and base64 parts decoded.
    pub body: String,
    /// The bytes as they were received.
    pub raw: Vec<u8>,
}

impl Message {
    /// Reads a mail; never fails: what is no header is body.
    pub fn parse(raw: &[u8]) -> Message {
        let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
        let (head, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let headers = headers(head);
        let body = decoded_part(&headers, rest);
        Message { headers, body, raw: raw.to_vec() }
    }

    /// The parts of a multipart mail, each read like a mail; the mail itself if it has none.
    pub fn parts(&self) -> Vec<Message> {
        let text = String::from_utf8_lossy(&self.raw).replace("\r\n", "\n");
        let (_, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let parts = parts(&self.headers, body).unwrap_or_default();
        if parts.is_empty() { vec![self.clone()] } else { parts }
    }

    /// The first header of this name, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        self.header("subject")
    }

    /// The Message-ID with its angle brackets.
    pub fn id(&self) -> &str {
        self.header("message-id")
    }
}

/// How often each Message-ID occurs.
pub fn all_ids(messages: &[Message]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for message in messages {
        *ids.entry(message.id().to_owned()).or_insert(0) += 1;
    }
    ids
}

fn headers(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), headers.last_mut()) {
            value.push(' ');
            value.push_str(line.trim_start());
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    headers.into_iter().map(|(name, value)| (name, decoded_words(&value))).collect()
}

/// Decodes RFC 2047 encoded words; white space between two of them does not count.
fn decoded_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some((before, tail)) = rest.split_once("=?") {
        let parts: Vec<&str> = tail.splitn(4, '?').collect();
        let [_charset, encoding, text, end] = parts.as_slice() else { break };
        let Some(end) = end.strip_prefix('=') else { break };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        let bytes = match encoding.to_ascii_lowercase().as_str() {
            "b" => STANDARD.decode(text).unwrap_or_default(),
            _ => quoted_printable(&text.replace('_', " ")),
        };
        out.push_str(&String::from_utf8_lossy(&bytes));
        (rest, after_word) = (end, true);
    }
    out + rest
}

/// The parts between the boundary that these headers name, if they name one.
fn parts(headers: &[(String, String)], body: &str) -> Option<Vec<Message>> {
    let boundary = value(headers, "content-type").split("boundary=").nth(1)?;
    let boundary = format!("--{}", boundary.trim_matches('"').split([';', '"']).next().unwrap_or(""));
    let parts = body.split(boundary.as_str()).skip(1).filter(|part| !part.starts_with("--"));
    Some(parts.map(|part| Message::parse(part.trim_start_matches('\n').as_bytes())).collect())
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value.as_str())
}

fn decoded_part(headers: &[(String, String)], body: &str) -> String {
    if let Some(parts) = parts(headers, body) {
        return parts.into_iter().map(|part| part.body).collect::<Vec<_>>().join("\n");
    }
    let bytes = match value(headers, "content-transfer-encoding").to_ascii_lowercase().as_str() {
        "base64" => STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap_or_default(),
        "quoted-printable" => quoted_printable(&body.replace("=\n", "")),
        _ => return body.to_owned(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'=', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_encoded_subject_and_an_encoded_body_are_read() {
        let raw = b"Subject: =?utf-8?b?Tk8gUkVTUE9OREU6?=\r\n =?utf-8?Q?_nodo_Asunci=C3=B3n?=\r\nMessage-ID: <a@b>\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nporter=C3=ADa =\r\nsur\r\n";
        let message = Message::parse(raw);
        assert_eq!(message.subject(), "NO RESPONDE: nodo Asunci\u{f3}n");
        assert_eq!((message.id(), message.body.as_str()), ("<a@b>", "porter\u{ed}a sur\n"));
    }

    #[test]
    fn every_part_of_a_multipart_mail_is_read() {
        let raw =
            b"Content-Type: multipart/alternative; boundary=\"xx\"\n\n--xx\nContent-Type: text/plain\n\nuno\n--xx\n\
            Content-Transfer-Encoding: base64\n\nZG9z\n--xx--\n";
        let message = Message::parse(raw);
        assert!(message.body.contains("uno") && message.body.contains("dos"), "{}", message.body);
    }
}
