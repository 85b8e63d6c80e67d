//! The ledger in plain words: what each decision means for whoever asks why a mail came, or did not.

use netwatch_core::{Decision, Hold, LedgerEntry, Locale, Wall};

use super::{cause, printable};
use crate::config::short;

/// What a decision means for the mail about an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Something that happened.
    Fact(String),
    /// Why there is no mail yet.
    NotYet(String),
    /// Why there is none.
    Not(String),
    /// It was told, in this mail.
    Told(String),
}

/// What an entry means; `clock` shows an instant. Names are made fit for a terminal.
pub(crate) fn meaning(entry: &LedgerEntry, locale: Locale, clock: &dyn Fn(Wall) -> String) -> Meaning {
    use Meaning::{Fact, Not, NotYet};
    let in_words = |es: String, en: String| if locale == Locale::En { en } else { es };
    let words = |es: &str, en: &str| in_words(es.to_owned(), en.to_owned());
    match &entry.decision {
        Decision::Opened { tolerance } => {
            let tolerance = short(*tolerance);
            NotYet(in_words(
                format!("dejó de responder y su tolerancia es de {tolerance}"),
                format!("it stopped answering and its tolerance is {tolerance}"),
            ))
        }
        Decision::TooShort { silent_for, tolerance } => {
            let (silent, tolerance) = (short(rounded(*silent_for)), short(*tolerance));
            Not(in_words(
                format!("no respondió durante {silent}, dentro de su tolerancia de {tolerance}"),
                format!("it was silent for {silent}, within its tolerance of {tolerance}"),
            ))
        }
        Decision::Due => {
            NotYet(words("pasó su tolerancia y hay que avisar", "its tolerance is over, and it is to be told"))
        }
        Decision::Explained { parent } => {
            let parent = printable(parent);
            Not(in_words(
                format!("{parent} no responde y lo explica"),
                format!("{parent} does not answer and explains it"),
            ))
        }
        Decision::AwaitsParent { parent } => {
            let parent = printable(parent);
            NotYet(in_words(
                format!("pasó su tolerancia, y antes se espera saber si {parent} responde"),
                format!("its tolerance is over, and first it must be known whether {parent} answers"),
            ))
        }
        Decision::ParentReturned { tolerance } => {
            let tolerance = short(*tolerance);
            NotYet(in_words(
                format!("volvió lo que lo explicaba, y tiene otra vez {tolerance} de tolerancia"),
                format!("what explained it is back, and it has a tolerance of {tolerance} again"),
            ))
        }
        Decision::InMaintenance { reason, until } => {
            let until = clock(*until);
            let reason = if reason.is_empty() { String::new() } else { format!(" ({})", printable(reason)) };
            NotYet(in_words(
                format!("está en mantenimiento hasta {until}{reason}"),
                format!("it is in maintenance until {until}{reason}"),
            ))
        }
        Decision::Unknown { cause: why } => {
            let why = cause(why.code(), locale).unwrap_or(why.code());
            NotYet(in_words(
                format!("netwatch no puede saber si responde ({why})"),
                format!("netwatch cannot tell whether it answers ({why})"),
            ))
        }
        Decision::Answers => {
            Fact(words("vuelve a responder; se mira si sigue así", "it answers again; watched until it has settled"))
        }
        Decision::Closed => Fact(words("terminó el corte", "the outage ended")),
        Decision::Owed => NotYet(words("el aviso va en el próximo correo", "the next mail brings it")),
        Decision::OutOfScope => Not(words("no le corresponde este equipo", "it is not for this device")),
        Decision::NoRecovery => Fact(in_words(
            format!("no se avisa{} que volvió: no quiere recuperaciones", to(entry)),
            format!("{} told that it is back: no recoveries are wanted", nobody(entry, "is")),
        )),
        Decision::Held { hold, until } => NotYet(held(*hold, until.map(clock), locale)),
        Decision::ToldAtOnce => Fact(words(
            "terminó antes de que saliera un correo: el comienzo y el fin van juntos",
            "it ended before a mail left: its beginning and its end are told together",
        )),
        Decision::Folded => Not(words(
            "se cuenta entre los cambios de un equipo que sube y baja",
            "it counts among the changes of a device that goes up and down",
        )),
        Decision::Sent { message_id } => Meaning::Told(printable(message_id)),
        Decision::NotAccepted { reason } => {
            let reason = printable(reason);
            NotYet(in_words(
                format!("el correo no fue aceptado ({reason})"),
                format!("the mail was not accepted ({reason})"),
            ))
        }
        Decision::Escalated => Fact(in_words(
            format!("hay que avisar también{}: nadie lo reconoció, o no se pudo entregar", to(entry)),
            format!("{} owed too: nobody acknowledged it, or it could not be delivered", somebody_was(entry)),
        )),
        Decision::Acknowledged { by } => {
            let by = printable(by);
            Fact(in_words(
                format!("lo reconoció {by}: no hay recordatorios ni escalamiento"),
                format!("{by} acknowledged it: no reminders, no escalation"),
            ))
        }
        Decision::Flapping { changes } => Fact(in_words(
            format!("sube y baja demasiado: {changes} cambios en una hora"),
            format!("it goes up and down too often: {changes} changes in an hour"),
        )),
        Decision::Settled { changes } => Fact(in_words(
            format!("se estabilizó después de {changes} cambios"),
            format!("it settled after {changes} changes"),
        )),
        Decision::Drill { by } => {
            let by = printable(by);
            Fact(in_words(
                format!("{by} hizo un simulacro: no hubo corte"),
                format!("{by} held a drill: there was no outage"),
            ))
        }
        Decision::Moot => Not(words(
            "terminó antes de que se pudiera avisar, y ya no cambia nada",
            "it was over before it could be told, and changes nothing any more",
        )),
        Decision::Removed => Fact(words("ya no se vigila", "it is watched no more")),
        Decision::Renamed { from } => {
            let from = printable(from);
            Fact(in_words(format!("antes se llamaba {from}"), format!("it was called {from} before")))
        }
        other => Fact(other.code().to_owned()),
    }
}

/// An entry as a line says it.
pub(crate) fn sentence(entry: &LedgerEntry, locale: Locale, clock: &dyn Fn(Wall) -> String) -> String {
    match (meaning(entry, locale, clock), locale) {
        (Meaning::Fact(fact), _) => fact,
        (Meaning::NotYet(why), Locale::En) => format!("{} told yet: {why}", nobody(entry, "is")),
        (Meaning::NotYet(why), _) => format!("todavía no se avisa{}: {why}", to(entry)),
        (Meaning::Not(why), Locale::En) => format!("{} told: {why}", nobody(entry, "is")),
        (Meaning::Not(why), _) => format!("no se avisó{}: {why}", to(entry)),
        (Meaning::Told(mail), Locale::En) => format!("{} told, in the mail {mail}", somebody_was(entry)),
        (Meaning::Told(mail), _) => format!("se avisó{} en el correo {mail}", to(entry)),
    }
}

/// What became of an outage for one notifier, or for all: a part of the conclusion; `None` if the entry says nothing of
/// that. `at` is when it was written.
pub(crate) fn outcome(entry: &LedgerEntry, at: &str, locale: Locale, clock: &dyn Fn(Wall) -> String) -> Option<String> {
    Some(match (meaning(entry, locale, clock), locale) {
        (Meaning::Fact(_), _) => return None,
        (Meaning::NotYet(why), Locale::En) => format!("{} told yet at {at}: {why}", nobody(entry, "was")),
        (Meaning::NotYet(why), _) => format!("a las {at} todavía no se avisaba{}: {why}", to(entry)),
        (Meaning::Not(why), Locale::En) => format!("{} told: {why}", nobody(entry, "was")),
        (Meaning::Not(why), _) => format!("no se avisó{}: {why}", to(entry)),
        (Meaning::Told(mail), Locale::En) => format!("{} told at {at} in the mail {mail}", somebody_was(entry)),
        (Meaning::Told(mail), _) => format!("se avisó{} a las {at} en el correo {mail}", to(entry)),
    })
}

fn held(hold: Hold, until: Option<String>, locale: Locale) -> String {
    let (es, en) = match hold {
        Hold::GroupWait => ("espera a lo que falle junto", "what fails together with it is waited for"),
        Hold::GroupInterval => ("el último correo salió hace muy poco", "the last mail left too short a time ago"),
        Hold::Budget => (
            "el presupuesto: hace muy poco que se avisó de un corte",
            "the budget: an outage was told of too short a time ago",
        ),
        Hold::Hours => ("fuera de su horario", "outside its hours"),
        Hold::Retry => ("el correo no sale y se intenta de nuevo", "mail does not get out and is tried again"),
        Hold::Flapping => (
            "sube y baja demasiado, y se espera a que se estabilice",
            "it goes up and down too often, until it settles",
        ),
        Hold::Rationed => {
            ("hace menos de 10 min salió un correo del mismo tipo", "a mail of its kind left less than 10 min ago")
        }
        other => (other.code(), other.code()),
    };
    match (until, locale) {
        (None, Locale::En) => en.to_owned(),
        (None, _) => es.to_owned(),
        (Some(until), Locale::En) => format!("{en} (until {until})"),
        (Some(until), _) => format!("{es} (hasta {until})"),
    }
}

/// Whom an entry is about, in Spanish: " a noc", or nothing if about all.
fn to(entry: &LedgerEntry) -> String {
    entry.notifier.as_deref().map_or_else(String::new, |notifier| format!(" a {}", printable(notifier)))
}

/// The same in English, denied.
fn nobody(entry: &LedgerEntry, is: &str) -> String {
    let name = entry.notifier.as_deref();
    name.map_or_else(|| format!("nobody {is}"), |notifier| format!("{} {is} not", printable(notifier)))
}

/// The same, affirmed.
fn somebody_was(entry: &LedgerEntry) -> String {
    let name = entry.notifier.as_deref();
    name.map_or_else(|| "it was".to_owned(), |notifier| format!("{} was", printable(notifier)))
}

/// A figure that was measured, to the second where it has seconds.
fn rounded(time: std::time::Duration) -> std::time::Duration {
    if time.as_secs() == 0 { time } else { std::time::Duration::from_secs(time.as_secs()) }
}
