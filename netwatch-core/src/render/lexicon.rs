//! The small words of a mail, Spanish and English side by side: counts, and the labels of what is known of a device.

use crate::model::{Behind, Locale};

/// The phrases of one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexicon(pub(super) Locale);

impl Lexicon {
    /// `12 equipos`; `some devices` if nobody counted them.
    pub(super) fn devices(self, devices: usize) -> String {
        match devices {
            0 => self.pick("algunos equipos", "some devices").to_owned(),
            1 => self.pick("1 equipo", "1 device").to_owned(),
            _ => format!("{} {}", self.number(devices as u64), self.pick("equipos", "devices")),
        }
    }

    /// What was left out of a list of names.
    pub(super) fn more(self, count: usize) -> String {
        format!("{} {}", self.number(count as u64), self.pick("más", "more"))
    }

    /// What was left out under a heading.
    pub(super) fn rest(self, devices: usize, customers: u64) -> String {
        let count = self.number(devices as u64);
        let customers = self.with_customers(customers);
        match (self.0, devices == 1) {
            (Locale::Es, true) => format!("Y {count} equipo más{customers}."),
            (Locale::Es, false) => format!("Y {count} equipos más{customers}."),
            (Locale::En, true) => format!("And {count} more device{customers}."),
            (Locale::En, false) => format!("And {count} more devices{customers}."),
        }
    }

    /// What is cut off with the devices that the mail names.
    pub(super) fn behind_sentence(self, behind: Behind) -> String {
        let count = self.number(behind.devices.into());
        let customers = self.with_customers(behind.customers);
        match (self.0, behind.devices == 1) {
            (Locale::Es, true) => format!("Detrás queda sin conexión 1 equipo más{customers}."),
            (Locale::Es, false) => format!("Detrás quedan sin conexión {count} equipos más{customers}."),
            (Locale::En, true) => format!("Cut off behind: 1 more device{customers}."),
            (Locale::En, false) => format!("Cut off behind: {count} more devices{customers}."),
        }
    }

    /// The same of one device: `200 equipos, 3.200 clientes`.
    pub(super) fn behind(self, behind: Behind) -> String {
        let devices = self.devices(behind.devices as usize);
        match behind.customers {
            0 => devices,
            customers => format!("{devices}, {}", self.customers(customers)),
        }
    }

    /// How often a device changed before it was told of as flapping.
    pub(super) fn within_an_hour(self, changes: u32) -> String {
        format!("{} {}", self.number(changes.into()), self.pick("en una hora", "within an hour"))
    }

    /// `18 de 20 en PUEBLO`.
    pub(super) fn group_count(self, down: u32, total: u32, group: &str) -> String {
        let (down, total) = (self.number(down.into()), self.number(total.into()));
        match self.0 {
            Locale::Es => format!("{down} de {total} en {group}"),
            Locale::En => format!("{down} of {total} in {group}"),
        }
    }

    /// `, con 480 clientes`; nothing if there are none.
    fn with_customers(self, customers: u64) -> String {
        match customers {
            0 => String::new(),
            _ => format!("{}{}", self.pick(", con ", ", with "), self.customers(customers)),
        }
    }

    /// `480 clientes`.
    pub(super) fn customers(self, customers: u64) -> String {
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

    /// What is cut off with the device.
    pub(super) fn behind_label(self) -> &'static str {
        self.pick("Detrás", "Behind it")
    }

    pub(super) fn note(self) -> &'static str {
        self.pick("Nota", "Note")
    }

    /// Stands behind the name of a critical device.
    pub(super) fn critical(self) -> &'static str {
        self.pick("crítico", "critical")
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

    pub(super) fn was_silent_for(self) -> &'static str {
        self.pick("Estuvo sin responder", "Was silent for")
    }

    pub(super) fn answered_again(self) -> &'static str {
        self.pick("Volvió a responder", "Answered again")
    }

    /// When a device that did not answer was taken out of the configuration.
    pub(super) fn removed_at(self) -> &'static str {
        self.pick("Se dejó de vigilar", "No longer watched since")
    }

    /// Who sees to an outage.
    pub(super) fn acknowledged(self) -> &'static str {
        self.pick("Lo atiende", "Acknowledged by")
    }

    /// That the line comes from another notifier.
    pub(super) fn escalated(self) -> &'static str {
        self.pick("Escalado", "Escalated")
    }

    /// Why it does.
    pub(super) fn escalated_because(self) -> &'static str {
        self.pick(
            "nadie lo atendió, o no se pudo avisar a quienes debían recibirlo primero",
            "nobody acknowledged it, or those who should have known first could not be told",
        )
    }

    /// How often a flapping device went up or down.
    pub(super) fn changes(self) -> &'static str {
        self.pick("Cambios de estado", "Changes of status")
    }

    pub(super) fn since(self) -> &'static str {
        self.pick("Desde", "Since")
    }

    pub(super) fn until(self) -> &'static str {
        self.pick("Hasta", "Until")
    }

    /// How long something has gone on.
    pub(super) fn lasts(self) -> &'static str {
        self.pick("Lleva", "So far")
    }

    /// How long something went on that is over.
    pub(super) fn lasted(self) -> &'static str {
        self.pick("Duró", "Lasted")
    }

    pub(super) fn cause_label(self) -> &'static str {
        self.pick("Causa", "Cause")
    }

    /// Which devices.
    pub(super) fn names(self) -> &'static str {
        self.pick("Equipos", "Devices")
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

    /// The last line of a text that was too long for a mail.
    #[cfg(feature = "templates")]
    pub(super) fn cut_off(self) -> &'static str {
        self.pick("[Lo que sigue no cabe en un correo.]", "[The rest does not fit in a mail.]")
    }

    pub(super) fn pick(self, es: &'static str, en: &'static str) -> &'static str {
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
