//! What a server said, fit for a log: one bounded line without the login that some servers echo.

use std::error::Error as _;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::Auth;
use lettre::transport::smtp::response::{Category, Code, Detail, Response, Severity};

/// How many characters of a reply are kept.
const REPLY_CHARS: usize = 300;

/// A piece of base64 shorter than this may stand in any word.
const SHORTEST_INSIDE: usize = 4;

/// The login's secrets, in each form in which they cross the wire or a server may quote them.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    whole: Vec<String>,
    /// What base64 of any longer text with the password in it contains.
    inside: Vec<String>,
}

impl Redactor {
    /// Hides this password: plain, as AUTH PLAIN and AUTH LOGIN send it (RFC 4616, base64), in base64 with anything else
    /// around it, and as an address encodes it (RFC 3986, 2.1).
    pub(super) fn new(credentials: &Credentials, password: &str) -> Redactor {
        let challenge = Code::new(Severity::PositiveIntermediate, Category::Unspecified3, Detail::Four);
        let password_challenge = Response::new(challenge, vec!["UGFzc3dvcmQ6".to_owned()]);
        let sent = [
            Auth::new(Mechanism::Plain, credentials.clone(), None),
            Auth::new_from_response(Mechanism::Login, credentials.clone(), &password_challenge),
        ];
        let mut secrets: Vec<String> = sent
            .into_iter()
            .flatten()
            .filter_map(|command| command.to_string().split_whitespace().last().map(str::to_owned))
            .collect();
        secrets.push(password.to_owned());
        secrets.extend([Hex::Upper, Hex::Lower].map(|hex| percent_encoded(password, hex)));
        secrets.retain(|secret| !secret.is_empty());
        Redactor { whole: secrets, inside: base64_inside(password) }
    }

    /// What went wrong, in one line: `550 5.1.1 no such user`, or what the system says.
    pub(super) fn explain(&self, error: &Error) -> String {
        // lettre wraps its own errors, and says "connection error" at each layer.
        match error.source() {
            Some(source) => match (source.downcast_ref::<Error>(), error.status()) {
                (Some(inner), _) => self.explain(inner),
                (None, Some(code)) => self.clean(&format!("{code} {source}")),
                (None, None) => self.clean(&source.to_string()),
            },
            None => self.clean(&error.to_string()),
        }
    }

    /// The text without secrets, in one bounded line.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.whole {
            text = text.replace(secret.as_str(), "***");
        }
        for piece in &self.inside {
            text = without_base64_around(&text, piece);
        }
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line.trim().chars().take(REPLY_CHARS).collect()
    }
}

#[derive(Clone, Copy)]
enum Hex {
    Upper,
    Lower,
}

/// The text as it stands in an address, with everything encoded that may be.
fn percent_encoded(text: &str, hex: Hex) -> String {
    let encoded = |byte: u8| match hex {
        _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        Hex::Upper => format!("%{byte:02X}"),
        Hex::Lower => format!("%{byte:02x}"),
    };
    text.bytes().map(encoded).collect()
}

/// What base64 (RFC 4648) of a longer text contains of this one, whether 0, 1 or 2 bytes are left over before it. What
/// depends on the neighbours is not part of it.
fn base64_inside(text: &str) -> Vec<String> {
    let pieces = (0..3_usize).map(|before| {
        let bits: Vec<bool> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        // A letter holds six bits; the first whole one begins after those that the neighbour reaches into.
        let skipped = [0, 4, 2].get(before).copied().unwrap_or(0);
        let whole = bits.get(skipped..).unwrap_or_default().chunks_exact(6);
        whole.map(|six| letter(six.iter().fold(0, |value, bit| value << 1 | u8::from(*bit)))).collect::<String>()
    });
    pieces.filter(|piece| piece.len() >= SHORTEST_INSIDE).collect()
}

/// The letter of base64 for six bits.
fn letter(value: u8) -> char {
    char::from(match value {
        0..=25 => b'A'.saturating_add(value),
        26..=51 => b'a'.saturating_add(value.saturating_sub(26)),
        52..=61 => b'0'.saturating_add(value.saturating_sub(52)),
        62 => b'+',
        _ => b'/',
    })
}

/// The text without any run of base64 that contains this piece.
fn without_base64_around(text: &str, piece: &str) -> String {
    let other = |c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(piece) {
        let begin =
            before.char_indices().rfind(|(_, c)| other(*c)).map_or(0, |(at, c)| at.saturating_add(c.len_utf8()));
        out.push_str(before.get(..begin).unwrap_or_default());
        out.push_str("***");
        rest = after.get(after.find(other).unwrap_or(after.len())..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echoed_login_is_hidden_in_each_form() {
        let redactor = Redactor::new(&Credentials::new("noc".to_owned(), "canary-4711".to_owned()), "canary-4711");
        // printf '\0noc\0canary-4711' | base64, and printf 'canary-4711' | base64
        for echo in ["canary-4711", "AG5vYwBjYW5hcnktNDcxMQ==", "Y2FuYXJ5LTQ3MTE="] {
            assert_eq!(redactor.clean(&format!("535 no: {echo}!")), "535 no: ***!");
        }
    }

    #[test]
    fn a_password_is_hidden_wherever_base64_or_an_address_holds_it() {
        let redactor = Redactor::new(&Credentials::new("noc".to_owned(), "kanari/47 11".to_owned()), "kanari/47 11");
        // printf 'X:kanari/47 11' | base64 for X of 0 to 3 letters, and with something behind it
        let echoes = ["OmthbmFyaS80NyAxMQ==", "YTprYW5hcmkvNDcgMTE=", "YWJjOmthbmFyaS80NyAxMTo6"];
        assert_eq!(redactor.clean("535 YWI6a2FuYXJpLzQ3IDEx"), "535 YWI6***");
        for echo in echoes.into_iter().chain(["kanari%2F47%2011", "kanari%2f47%2011"]) {
            assert_eq!(redactor.clean(&format!("535 ñ {echo} no")), "535 ñ *** no", "{echo}");
        }
        assert_eq!(redactor.clean("550 OmthbmFy is not it"), "550 OmthbmFy is not it");
    }

    #[test]
    fn a_password_of_two_letters_hides_no_other_words() {
        let redactor = Redactor::new(&Credentials::new("noc".to_owned(), "zz".to_owned()), "zz");
        assert_eq!(redactor.clean("550 enough of this"), "550 enough of this");
    }

    #[test]
    fn a_reply_is_one_bounded_line() {
        let cleaned = Redactor::default().clean(&format!("a\r\nb\0c{}", "x".repeat(10_000)));
        assert!(cleaned.starts_with("a  b c") && cleaned.chars().count() == REPLY_CHARS, "{cleaned}");
    }
}
