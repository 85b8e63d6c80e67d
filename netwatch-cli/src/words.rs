//! What the program says to people, in their language.

pub(crate) mod why;

use netwatch_core::{Locale, Status};

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
    target: "Equipo", "Target";
    targets: "Equipos", "Targets";
    no_target: "No se vigila ningún equipo.", "No target is watched.";
    configuration: "Configuración", "Configuration";
    built_in: "ninguna: se vigilan el servidor de netwatch, su gateway y sus servidores DNS", "none: watching this host, its gateway and its resolvers";
    own_file: "para usar una propia, escribirla en ./netwatch.toml o /etc/netwatch/netwatch.toml, o indicarla con --config",
        "write your own to ./netwatch.toml or /etc/netwatch/netwatch.toml, or name it with --config";
    through: "por", "through";
    to: "a", "to";
    seen_to_by: "lo atiende", "seen to by";
    maintenance: "Mantenimiento", "Maintenance";
    drill_begun: "simulacro en marcha: los que recibirían un corte reciben ahora un aviso marcado SIMULACRO, y otro cuando termine; para ver qué se avisó:",
        "the drill has begun: whoever would be told of an outage is told now, marked DRILL, and again of its end; to see what was told:";
    no_notifiers: "No hay ningún notificador.", "There is no notifier.";
    accepted: "aceptado", "accepted";
    not_accepted: "no aceptado", "not accepted";
    until: "hasta", "until";
    ended: "terminado", "ended";
    no_maintenance: "No hay ningún mantenimiento cargado.", "No maintenance has been entered.";
    from: "desde", "from";
    reason: "motivo", "reason";
    by: "por", "by";
    group: "grupo", "group";
    everything: "todos", "all";
    /// With the number of targets before it.
    watched: "equipos vigilados", "targets watched";
    reading: "leyendo la configuración", "reading the configuration";
    old_stays: "la configuración nueva tiene errores; sigue la anterior", "the new configuration has errors; the old one stays";
    stopping: "terminando", "stopping";
    stuck: "no avanza:", "no progress:";
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
    last: "ÚLTIMO", "LAST";
    history: "HISTORIA", "HISTORY";
    echoes: "ECOS", "SENT";
    in_ms: "RTT en ms", "RTT in ms";
    hosts: "equipos", "hosts";
    answering: "responden", "answer";
    silent: "no responden", "do not answer";
    nobody_knows: "no se sabe", "unknown";
    not_asked: "pendientes", "pending";
    more: "más", "more";
    lost: "sin respuesta", "no reply";
    unknown: "no se sabe", "unknown";
    stale: "netwatch no sabe nada nuevo desde", "netwatch has learned nothing new since";
    no_mail: "sin correo desde", "no mail since";
    one_waiting: "aviso esperando", "line waiting";
    many_waiting: "avisos esperando", "lines waiting";
    blind: "netwatch está a ciegas desde", "netwatch has been blind since";
    no_journal: "no se puede guardar nada desde", "nothing can be saved since";
    rtt_error: "error propio del ping", "the ping's own error";
    rtt_error_of_99: "en 99 de cada 100 no más de", "in 99 of 100 no more than";
    never: "nunca", "never";
    never_answered: "nunca respondió", "never answered";
    outage: "corte", "outage";
    no_outage: "fuera de un corte", "outside an outage";
    conclusion: "Conclusión", "Conclusion";
    no_decision: "no consta ninguna decisión sobre un correo", "no decision about a mail is recorded";
    nothing_recorded: "no hay nada anotado sobre", "nothing is recorded about";
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

/// A figure with this many decimals, as it is written in this language; programs read JSON instead.
pub(crate) fn decimal(figure: f64, digits: usize, locale: Locale) -> String {
    let english = format!("{figure:.digits$}");
    if locale == Locale::En { english } else { english.replace('.', ",") }
}

/// Why netwatch cannot tell, from the code of it; `None` for a code of another version.
pub(crate) fn cause(code: &str, locale: Locale) -> Option<&'static str> {
    find(&CAUSES, code, locale)
}

/// Why an echo counts as lost, from the code of it; `None` for a code of another version.
pub(crate) fn loss_cause(code: &str, locale: Locale) -> Option<&'static str> {
    find(&LOSSES, code, locale)
}

/// What a flag of a target says beside its status; `None` for one that says nothing new to a person.
pub(crate) fn flag(code: &str, locale: Locale) -> Option<&'static str> {
    find(&FLAGS, code, locale)
}

/// A code, and what it means in Spanish and in English.
type Meaning = (&'static str, &'static str, &'static str);

const CAUSES: [Meaning; 20] = [
    ("blind", "netwatch quedó sin red", "netwatch was cut off from the network"),
    ("paused", "en pausa", "paused"),
    ("starting", "recién iniciado", "just started"),
    ("unresolved", "el nombre no tiene dirección", "the name has no address"),
    ("no_socket", "no se pudo abrir un socket", "no socket could be opened"),
    (
        "no_route",
        "el servidor de netwatch no tiene ruta hacia la dirección",
        "this machine has no route to the address",
    ),
    ("interface_down", "la interfaz del servidor de netwatch está caída", "this machine's interface is down"),
    ("no_interface", "el servidor de netwatch no tiene esa interfaz", "this machine has no such interface"),
    (
        "output_refused",
        "el firewall del servidor de netwatch no deja salir el paquete",
        "this machine's firewall refused the packet",
    ),
    ("queue_full", "la cola de envío estaba llena", "the send queue was full"),
    ("too_long", "el paquete es demasiado largo para el enlace", "the packet is too long for the link"),
    ("send_failed", "no se pudo enviar", "sending failed"),
    ("receive_overflow", "se llenó el búfer de recepción", "the receive buffer overflowed"),
    (
        "softnet_drops",
        "el servidor de netwatch descartó paquetes que recibía",
        "this machine dropped packets it received",
    ),
    (
        "neighbours_full",
        "la tabla de vecinos (ARP) del servidor de netwatch está llena",
        "this machine's neighbour (ARP) table is full",
    ),
    (
        "conntrack_full",
        "la tabla de conexiones (conntrack) del servidor de netwatch está llena",
        "this machine's conntrack table is full",
    ),
    ("not_sent", "no se envió a tiempo", "not sent in time"),
    ("stalled", "netwatch estuvo detenido", "netwatch stood still"),
    ("no_result", "la sonda no dio resultado", "the probe gave no result"),
    ("probe_failed", "la sonda no pudo saberlo", "the probe could not tell"),
];

const FLAGS: [Meaning; 3] = [
    ("flapping", "inestable", "flapping"),
    ("maintenance", "en mantenimiento", "in maintenance"),
    ("acknowledged", "atendido", "acknowledged"),
];

const LOSSES: [Meaning; 7] = [
    ("no_reply", "nada llegó a tiempo", "nothing came in time"),
    ("net_unreachable", "un router no llega a la red", "a router cannot reach the network"),
    ("host_unreachable", "no se encuentra en su red", "it is not found on its network"),
    ("prohibited", "un firewall del camino lo prohíbe", "a firewall on the way prohibits it"),
    ("time_exceeded", "el paquete da vueltas o faltan saltos", "a routing loop, or too few hops"),
    ("icmp_error", "volvió un error ICMP", "an ICMP error came back"),
    ("bad_reply", "llegó algo que no es la respuesta", "what came is not the reply"),
];

fn find(meanings: &[Meaning], code: &str, locale: Locale) -> Option<&'static str> {
    let (_, es, en) = meanings.iter().find(|(known, ..)| *known == code)?;
    Some(if locale == Locale::En { en } else { es })
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Cause, Loss};

    use super::*;

    #[test]
    fn every_cause_and_every_loss_has_words() {
        let causes = [
            Cause::Blind,
            Cause::Paused,
            Cause::Starting,
            Cause::Unresolved,
            Cause::NoSocket,
            Cause::NoRoute,
            Cause::InterfaceDown,
            Cause::NoInterface,
            Cause::OutputRefused,
            Cause::QueueFull,
            Cause::TooLong,
            Cause::SendFailed(5),
            Cause::ReceiveOverflow,
            Cause::SoftnetDrops,
            Cause::NeighboursFull,
            Cause::ConntrackFull,
            Cause::NotSent,
            Cause::Stalled,
            Cause::NoResult,
            Cause::ProbeFailed,
        ];
        for locale in [Locale::Es, Locale::En] {
            assert!(causes.iter().all(|known| cause(known.code(), locale).is_some()));
            assert!(Loss::ALL.iter().all(|known| loss_cause(known.code(), locale).is_some()));
            assert_eq!(cause("of another version", locale), None);
        }
    }

    #[test]
    fn a_figure_is_written_as_its_reader_writes_it() {
        assert_eq!(decimal(1234.5, 3, Locale::Es), "1234,500");
        assert_eq!(decimal(1234.5, 1, Locale::En), "1234.5");
    }

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
