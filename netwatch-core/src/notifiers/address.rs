//! Mail addresses, checked before they come near a header or a command.

use lettre::message::Mailbox;

/// A mail address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "{address:?} is not a usable mail address: write it as \"noc@example.net\" or \"NOC <noc@example.net>\", in ASCII (an international domain in its xn-- form)"
)]
pub struct InvalidAddress {
    /// The address as configured.
    pub address: String,
}

/// One address with an optional name before it (RFC 5322, 3.4).
///
/// The address is ASCII, so that no server needs SMTPUTF8 (RFC 6531); the name need not be.
pub(super) fn parse(text: &str) -> Result<Mailbox, InvalidAddress> {
    let invalid = || InvalidAddress { address: text.to_owned() };
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(invalid());
    }
    let mailbox: Mailbox = text.parse().map_err(|_| invalid())?;
    let email: &str = mailbox.email.as_ref();
    // The parser takes the first of several and ignores what follows it.
    let whole = text == email || text.ends_with(&format!("<{email}>"));
    if whole && email.is_ascii() && email.len() <= 254 { Ok(mailbox) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_name() {
        assert_eq!(parse("noc@example.net").unwrap().to_string(), "noc@example.net");
        let named = parse("Guardia Ñandú <noc@example.net>").unwrap();
        assert_eq!(
            (named.name.as_deref(), named.email.to_string().as_str()),
            (Some("Guardia Ñandú"), "noc@example.net")
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "noc",
            "noc@",
            "@example.net",
            "a@example.net, b@example.net",
            "a@example.net b@example.net",
            "a@example.net\r\nRCPT TO:<b@example.net>",
            "\"a\r\nb\"@example.net",
            "<a@example.net> SIZE=1",
            "ñ@example.net",
            "a@ñandú.example",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
