//! What the program says to people, in their language.

use netwatch_core::{Locale, Sample, Status};

/// Spanish and English for the same thing.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $es:literal, $en:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) const fn $name(locale: Locale) -> &'static str {
                match locale {
                    Locale::En => $en,
                    _ => $es,
                }
            }
        )*
    };
}

words! {
    page: "Página", "Page";
    data: "Datos", "Data";
    mails: "Correos", "Mail";
    targets: "Equipos", "Targets";
    configuration: "Configuración", "Configuration";
    built_in: "ninguna: se vigila este equipo, su gateway y sus servidores DNS", "none: watching this host, its gateway and its resolvers";
    own_file: "escriba la suya en ./netwatch.toml o /etc/netwatch/netwatch.toml, o indíquela con --config",
        "write your own to ./netwatch.toml or /etc/netwatch/netwatch.toml, or name it with --config";
    through: "por", "through";
    to: "a", "to";
    stopped: "netwatch se detuvo; todo está guardado.", "netwatch has stopped; everything is saved.";
    state: "ESTADO", "STATUS";
    name: "NOMBRE", "NAME";
    address: "DIRECCIÓN", "ADDRESS";
    ping: "PING", "PING";
    loss: "PÉRDIDA", "LOSS";
    since: "DESDE", "SINCE";
    sent: "ENVIADOS", "SENT";
    answered: "RECIBIDOS", "ANSWERED";
    lost_column: "PERDIDOS", "LOST";
    unknown_column: "DESCONOCIDOS", "UNKNOWN";
    least: "MÍN", "MIN";
    median: "MEDIANA", "MEDIAN";
    most: "MÁX", "MAX";
    lost: "sin respuesta", "no reply";
    unknown: "no se sabe", "unknown";
    stale: "netwatch no sabe nada nuevo desde", "netwatch has learned nothing new since";
    never: "nunca", "never";
    never_answered: "nunca respondió", "never answered";
}

/// The language of the terminal, for commands that read no configuration: Spanish or else English.
pub(crate) fn locale_of_terminal(environment: &dyn Fn(&str) -> Option<String>) -> Locale {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| environment(name).filter(|value| !value.is_empty()));
    if set.is_some_and(|value| value.starts_with("es")) { Locale::Es } else { Locale::En }
}

/// The ANSI colour (SGR parameters) of a status.
pub(crate) const fn colour(status: Status) -> &'static str {
    match status {
        Status::Ok => "32",
        Status::Warning => "33",
        Status::Down => "1;31",
        Status::Unreachable => "35",
        _ => "90",
    }
}

/// A name as it may be shown on a terminal: what would move the cursor or change colours is escaped.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|letter| if hidden(letter) { letter.escape_unicode().collect::<Vec<_>>() } else { vec![letter] })
        .collect()
}

/// Why a sample's echo is not known, for a person who reads codes.
pub(crate) fn cause(sample: &Sample) -> Option<&'static str> {
    sample.echoes.iter().find_map(|echo| match echo {
        netwatch_core::Echo::Unknown(cause) => Some(cause.code()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(printable("olt\u{1b}[2J\u{202e}ñ"), "olt\\u{1b}[2J\\u{202e}ñ");
    }

    #[test]
    fn the_terminal_speaks_its_users_language() {
        let with = |value: &'static str| move |name: &str| (name == "LANG").then(|| value.to_owned());
        assert_eq!(locale_of_terminal(&with("es_PY.UTF-8")), Locale::Es);
        assert_eq!(locale_of_terminal(&with("C.UTF-8")), Locale::En);
    }
}
