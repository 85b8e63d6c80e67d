//! What a server said, fit for a log: one bounded line without the login that some servers echo.

use std::error::Error as _;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::Auth;
use lettre::transport::smtp::response::{Category, Code, Detail, Response, Severity};

/// How many characters of a reply are kept.
const REPLY_CHARS: usize = 300;

/// The login's secrets, in each form in which they cross the wire.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<String>);

impl Redactor {
    /// Hides this password, plain and as AUTH PLAIN and AUTH LOGIN send it (RFC 4616, base64).
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
        secrets.retain(|secret| !secret.is_empty());
        Redactor(secrets)
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
        for secret in &self.0 {
            text = text.replace(secret.as_str(), "***");
        }
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line.trim().chars().take(REPLY_CHARS).collect()
    }
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
    fn a_reply_is_one_bounded_line() {
        let cleaned = Redactor::default().clean(&format!("a\r\nb\0c{}", "x".repeat(10_000)));
        assert!(cleaned.starts_with("a  b c") && cleaned.chars().count() == REPLY_CHARS, "{cleaned}");
    }
}
