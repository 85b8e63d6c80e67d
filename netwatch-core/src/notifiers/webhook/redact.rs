//! What a far side says, without what only we should know: it may echo a secret whole, in part, or in other letters.

use crate::plain;

/// How many characters of an answer are looked at.
const READ_CHARS: usize = 2000;
/// So many characters in a row that stand in a secret, too, are hidden.
const SHARED: usize = 6;
/// A shorter secret is none, and hiding it would make every answer unreadable.
const SHORTEST: usize = 4;

/// Hides secrets.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<Vec<char>>);

impl Redactor {
    /// Hides these.
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let folded = secrets.into_iter().map(|secret| secret.chars().map(|c| c.to_ascii_lowercase()).collect());
        let mut secrets: Vec<Vec<char>> = folded.filter(|secret: &Vec<char>| secret.len() >= SHORTEST).collect();
        secrets.sort();
        secrets.dedup();
        Redactor(secrets)
    }

    /// The text without secrets, in one bounded line.
    pub(super) fn clean(&self, text: &str) -> String {
        // Made plain first: a secret with something invisible inside would be whole again afterwards.
        let text: Vec<char> = plain::line(text, READ_CHARS).chars().collect();
        let folded: Vec<char> = text.iter().map(|c| c.to_ascii_lowercase()).collect();
        let mut cleaned = String::new();
        let mut at = 0_usize;
        while let Some(character) = text.get(at) {
            let rest = folded.get(at..).unwrap_or_default();
            match self.0.iter().map(|secret| shared(rest, secret)).max().filter(|shared| *shared > 0) {
                Some(shared) => {
                    cleaned.push_str("***");
                    at = at.saturating_add(shared);
                }
                None => {
                    cleaned.push(*character);
                    at = at.saturating_add(1);
                }
            }
        }
        plain::quote(&cleaned)
    }
}

/// How many of the first characters of `text` stand in a row in the secret; 0 if that gives nothing away.
fn shared(text: &[char], secret: &[char]) -> usize {
    let common = |from: usize| {
        let rest = secret.get(from..).unwrap_or_default();
        rest.iter().zip(text).take_while(|(a, b)| a == b).count()
    };
    let longest = (0..secret.len()).map(common).max().unwrap_or(0);
    if longest >= SHARED.min(secret.len()) { longest } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_whole_in_part_and_in_other_letters() {
        let redactor = Redactor::new(["canary-4711".to_owned(), "noc1".to_owned(), "x".to_owned()]);
        assert_eq!(redactor.clean("no: canary-4711!"), "no: ***!");
        assert_eq!(redactor.clean("no: CANARY-4711, nary-4711, canary"), "no: ***, ***, ***");
        assert_eq!(redactor.clean("can\u{200b}ary-4711 noc1"), "*** ***");
        assert_eq!(redactor.clean("can, x and noc are words"), "can, x and noc are words");
    }

    #[test]
    fn an_answer_is_one_bounded_line() {
        let cleaned = Redactor::default().clean(&format!("a\r\nb\0c{}", "x".repeat(100_000)));
        assert!(cleaned.starts_with("a b c") && cleaned.chars().count() == 300, "{cleaned}");
    }
}
