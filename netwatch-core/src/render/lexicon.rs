//! Every phrase of a mail, Spanish and English side by side.
//!
//! The phrases of a recovery's subject never hold the word of [`Status::Down`], so that a filter on it catches
//! outages alone.

use crate::model::{LineKind, Locale, Status};

/// The phrases of one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexicon(pub(super) Locale);

impl Lexicon {
    /// Heads the subject of a mail that brings outages which are still open.
    pub(super) fn down(self) -> &'static str {
        Status::Down.word(self.0)
    }

    /// Heads the subject of any other mail.
    pub(super) fn ok(self) -> &'static str {
        Status::Ok.word(self.0)
    }

    /// In the subject of a mail of nothing but outages that are over: when, and that it is told late.
    pub(super) fn missed(self, from: &str, to: &str) -> String {
        match self.0 {
            Locale::Es => format!("(sin respuesta {from}-{to}, avisado tarde)"),
            Locale::En => format!("(no answer {from}-{to}, reported late)"),
        }
    }

    /// The heading over the lines of this kind.
    pub(super) fn heading(self, kind: LineKind) -> &'static str {
        match (kind, self.0) {
            (LineKind::Opened, _) => self.down(),
            (LineKind::Closed, Locale::Es) => "YA RESPONDE",
            (LineKind::Closed, Locale::En) => "ANSWERING AGAIN",
            (LineKind::Missed, Locale::Es) => "AVISADO TARDE: YA RESPONDE",
            (LineKind::Missed, Locale::En) => "REPORTED LATE: ANSWERING AGAIN",
        }
    }

    /// The first sentence on the lines of this kind.
    pub(super) fn summary(self, kind: LineKind, devices: usize, customers: u64) -> String {
        let customers = match customers {
            0 => String::new(),
            _ => format!(" ({})", self.customers(customers)),
        };
        let count = self.number(devices as u64);
        let phrase = match (kind, self.0, devices == 1) {
            (LineKind::Opened, Locale::Es, true) => "equipo no responde",
            (LineKind::Opened, Locale::Es, false) => "equipos no responden",
            (LineKind::Opened, Locale::En, true) => "device does not answer",
            (LineKind::Opened, Locale::En, false) => "devices do not answer",
            (LineKind::Closed, Locale::Es, true) => "equipo volvió a responder",
            (LineKind::Closed, Locale::Es, false) => "equipos volvieron a responder",
            (LineKind::Closed, Locale::En, true) => "device answers again",
            (LineKind::Closed, Locale::En, false) => "devices answer again",
            (LineKind::Missed, Locale::Es, true) => "corte terminó antes de que se pudiera avisar",
            (LineKind::Missed, Locale::Es, false) => "cortes terminaron antes de que se pudiera avisar",
            (LineKind::Missed, Locale::En, true) => "outage ended before it could be reported",
            (LineKind::Missed, Locale::En, false) => "outages ended before they could be reported",
        };
        format!("{count} {phrase}{customers}.")
    }

    /// Why this mail comes late.
    pub(super) fn late(self, since: &str, until: &str) -> String {
        match self.0 {
            Locale::Es => format!("Este aviso llega tarde: no se pudo enviar correo entre {since} y {until}."),
            Locale::En => format!("This mail is late: no mail could be sent between {since} and {until}."),
        }
    }

    /// What was left out under a heading.
    pub(super) fn rest(self, devices: usize, customers: u64) -> String {
        let count = self.number(devices as u64);
        let customers = match (customers, self.0) {
            (0, _) => String::new(),
            (_, Locale::Es) => format!(", con {}", self.customers(customers)),
            (_, Locale::En) => format!(", with {}", self.customers(customers)),
        };
        match (self.0, devices == 1) {
            (Locale::Es, true) => format!("Y {count} equipo más{customers}."),
            (Locale::Es, false) => format!("Y {count} equipos más{customers}."),
            (Locale::En, true) => format!("And {count} more device{customers}."),
            (Locale::En, false) => format!("And {count} more devices{customers}."),
        }
    }

    /// `480 clientes`.
    fn customers(self, customers: u64) -> String {
        let count = self.number(customers);
        match (self.0, customers == 1) {
            (Locale::Es, true) => format!("{count} cliente"),
            (Locale::Es, false) => format!("{count} clientes"),
            (Locale::En, true) => format!("{count} customer"),
            (Locale::En, false) => format!("{count} customers"),
        }
    }

    /// `99.900` or `99,900`.
    pub(super) fn number(self, number: u64) -> String {
        let separator = match self.0 {
            Locale::Es => '.',
            Locale::En => ',',
        };
        let digits = number.to_string();
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped
    }

    pub(super) fn address(self) -> &'static str {
        self.pick("Dirección", "Address")
    }

    pub(super) fn group(self) -> &'static str {
        self.pick("Grupo", "Group")
    }

    pub(super) fn customers_label(self) -> &'static str {
        self.pick("Clientes", "Customers")
    }

    pub(super) fn note(self) -> &'static str {
        self.pick("Nota", "Note")
    }

    pub(super) fn last_good(self) -> &'static str {
        self.pick("Última respuesta", "Last answer")
    }

    /// The last answer of a device that is down and never gave one.
    pub(super) fn never(self) -> &'static str {
        self.pick("nunca respondió", "never answered")
    }

    /// The last answer before an outage that is over, if there was none.
    pub(super) fn never_before(self) -> &'static str {
        self.pick("nunca había respondido", "had never answered")
    }

    pub(super) fn first_bad(self) -> &'static str {
        self.pick("Primer chequeo sin respuesta", "First failed check")
    }

    pub(super) fn silent_for(self) -> &'static str {
        self.pick("Lleva sin responder", "Silent for")
    }

    pub(super) fn answered_again(self) -> &'static str {
        self.pick("Volvió a responder", "Answered again")
    }

    pub(super) fn was_silent_for(self) -> &'static str {
        self.pick("Estuvo sin responder", "Was silent for")
    }

    pub(super) fn page(self) -> &'static str {
        self.pick("Ver todo en", "See everything at")
    }

    /// The last line: who wrote, and in which zone the times are.
    pub(super) fn footer(self, zone: &str) -> String {
        match self.0 {
            Locale::Es => format!("Aviso de netwatch. Horas de {zone}."),
            Locale::En => format!("Notice from netwatch. Times are {zone}."),
        }
    }

    fn pick(self, es: &'static str, en: &'static str) -> &'static str {
        match self.0 {
            Locale::Es => es,
            Locale::En => en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!([0, 999, 1_000, 99_900].map(|n| Lexicon(Locale::Es).number(n)), ["0", "999", "1.000", "99.900"]);
        assert_eq!(Lexicon(Locale::En).number(1_234_567), "1,234,567");
    }
}
