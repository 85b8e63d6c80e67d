//! The headings and sentences of a mail: what happened, to how many, and what that means.

use super::chapter::{Section, Total};
use super::lexicon::Lexicon;
use crate::model::{Locale, StandingKind, Status};

impl Lexicon {
    /// The heading over a section.
    pub(super) fn heading(self, section: Section) -> &'static str {
        match section {
            Section::Down => Status::Down.word(self.0),
            Section::Blind => self.pick("NETWATCH SIN RED", "NETWATCH IS CUT OFF"),
            Section::Alert => self.pick("NETWATCH TIENE UN PROBLEMA", "NETWATCH HAS A PROBLEM"),
            Section::Flapping => self.pick("INESTABLE", "FLAPPING"),
            Section::Unseen => self.pick("NETWATCH NO LOS VE", "NETWATCH CANNOT SEE THEM"),
            Section::Late => self.pick("AVISADO TARDE: YA RESPONDE", "REPORTED LATE: ANSWERING AGAIN"),
            Section::Back => self.pick("YA RESPONDE", "ANSWERING AGAIN"),
            Section::Removed => self.pick("YA NO SE VIGILA", "NO LONGER WATCHED"),
            // It may have settled silent; then the mail says so under the heading of what does not answer.
            Section::Settled => self.pick("DEJÓ DE CAMBIAR", "NO LONGER CHANGING"),
            Section::Seen => self.pick("NETWATCH LOS VE DE NUEVO", "NETWATCH SEES THEM AGAIN"),
            Section::Sighted => self.pick("NETWATCH VOLVIÓ A TENER RED", "NETWATCH IS CONNECTED AGAIN"),
            Section::Mended => self.pick("YA NO PASA EN NETWATCH", "NETWATCH IS WELL AGAIN"),
            Section::Drill => self.pick("SIMULACRO", "DRILL"),
            Section::Drilled => self.pick("FIN DEL SIMULACRO", "END OF THE DRILL"),
        }
    }

    /// The first sentence on a section.
    pub(super) fn summary(self, section: Section, total: Total) -> String {
        let Total { devices, customers, .. } = total;
        let customers = match customers {
            0 => String::new(),
            _ => format!(" ({})", self.customers(customers)),
        };
        let (counted, one) = (self.devices(devices), devices == 1);
        match (section, self.0) {
            (Section::Down, Locale::Es) => {
                format!("{counted} no {}{customers}.", if one { "responde" } else { "responden" })
            }
            (Section::Down, Locale::En) => {
                format!("{counted} {} not answer{customers}.", if one { "does" } else { "do" })
            }
            (Section::Blind, Locale::Es) => {
                "netwatch quedó sin red. Mientras dure, no se sabe cómo está ningún equipo.".to_owned()
            }
            (Section::Blind, Locale::En) => {
                "netwatch is cut off from the network. Until that ends, it cannot tell how any device is.".to_owned()
            }
            (Section::Alert, Locale::Es) => {
                "netwatch tiene un problema propio, y puede vigilar o avisar peor que de costumbre.".to_owned()
            }
            (Section::Alert, Locale::En) => {
                "netwatch itself has a problem, and may watch or tell less well than usual.".to_owned()
            }
            (Section::Flapping, Locale::Es) => {
                let (falls, settles) =
                    if one { ("se cae y vuelve", "se estabilice") } else { ("se caen y vuelven", "se estabilicen") };
                format!(
                    "{counted} {falls} a cada rato{customers}. No se avisa de cada cambio: habrá otro aviso cuando {settles}."
                )
            }
            (Section::Flapping, Locale::En) => {
                let (goes, settles) = if one { ("keeps", "it settles") } else { ("keep", "they settle") };
                format!(
                    "{counted} {goes} going down and coming back{customers}. There is no mail for each change, but one when {settles}."
                )
            }
            (Section::Unseen, Locale::Es) => {
                format!("netwatch no ve {counted}: no se sabe si {}.", if one { "responde" } else { "responden" })
            }
            (Section::Unseen, Locale::En) => format!(
                "netwatch cannot see {counted}: it is not known whether {}.",
                if one { "it answers" } else { "they answer" }
            ),
            (Section::Late, Locale::Es) if one => {
                format!("1 corte terminó antes de que se pudiera avisar{customers}.")
            }
            (Section::Late, Locale::Es) => {
                format!("{} cortes terminaron antes de que se pudiera avisar{customers}.", self.number(devices as u64))
            }
            (Section::Late, Locale::En) if one => format!("1 outage ended before it could be reported{customers}."),
            (Section::Late, Locale::En) => {
                format!("{} outages ended before they could be reported{customers}.", self.number(devices as u64))
            }
            (Section::Back, Locale::Es) => {
                format!("{counted} {} a responder{customers}.", if one { "volvió" } else { "volvieron" })
            }
            (Section::Back, Locale::En) => {
                format!("{counted} {} again{customers}.", if one { "answers" } else { "answer" })
            }
            (Section::Removed, Locale::Es) if one => {
                format!("1 equipo que no respondía ya no se vigila{customers}.")
            }
            (Section::Removed, Locale::Es) => format!("{counted} que no respondían ya no se vigilan{customers}."),
            (Section::Removed, Locale::En) => {
                format!(
                    "{counted} that did not answer {} no longer watched{customers}.",
                    if one { "is" } else { "are" }
                )
            }
            (Section::Settled, Locale::Es) => {
                format!("{counted} {} de caerse y volver a cada rato{customers}.", if one { "dejó" } else { "dejaron" })
            }
            (Section::Settled, Locale::En) => {
                format!(
                    "{counted} {} going down and coming back{customers}.",
                    if one { "has stopped" } else { "have stopped" }
                )
            }
            (Section::Seen, Locale::Es) => format!("netwatch ve de nuevo {counted}."),
            (Section::Seen, Locale::En) => format!("netwatch sees {counted} again."),
            (Section::Sighted, Locale::Es) => {
                "netwatch volvió a tener red. Mientras no la tuvo, no se supo cómo estaba ningún equipo.".to_owned()
            }
            (Section::Sighted, Locale::En) => {
                "netwatch is connected again. While it was not, it could not tell how any device was.".to_owned()
            }
            (Section::Mended, Locale::Es) => "Un problema que tenía netwatch terminó.".to_owned(),
            (Section::Mended, Locale::En) => "A problem that netwatch had is over.".to_owned(),
            (Section::Drill, Locale::Es) => {
                "Esto es un simulacro: no hay ningún corte. Así se avisaría de uno.".to_owned()
            }
            (Section::Drill, Locale::En) => {
                "This is a drill: there is no outage. You would be told of one like this.".to_owned()
            }
            (Section::Drilled, Locale::Es) => {
                "Terminó el simulacro. No hubo ningún corte, y no cuenta en los informes.".to_owned()
            }
            (Section::Drilled, Locale::En) => {
                "The drill is over. There was no outage, and reports do not count it.".to_owned()
            }
        }
    }

    /// Why this mail comes late.
    pub(super) fn late(self, since: &str, until: &str) -> String {
        match self.0 {
            Locale::Es => format!("Este aviso llega tarde: no se pudo enviar correo entre {since} y {until}."),
            Locale::En => format!("This mail is late: no mail could be sent between {since} and {until}."),
        }
    }

    /// Heads a mail about half of all devices.
    pub(super) fn core(self) -> &'static str {
        self.pick("EL CORE, O LA PROPIA SALIDA DE NETWATCH", "CORE, OR NETWATCH'S OWN UPLINK")
    }

    /// What that heading means.
    pub(super) fn core_because(self) -> &'static str {
        self.pick(
            "La mitad de los equipos que respondían, o más, dejó de responder al mismo tiempo. Conviene revisar primero el core y la conexión del servidor de netwatch.",
            "Half of the devices that answered, or more, fell silent at the same time. Look first at the core and at the connection of the netwatch server.",
        )
    }

    /// Heads the counts of groups.
    pub(super) fn groups(self) -> &'static str {
        self.pick("No responden, por grupo:", "Not answering, by group:")
    }

    /// Heads what had to wait.
    pub(super) fn held(self) -> &'static str {
        self.pick("QUEDÓ RETENIDO HASTA AHORA", "HELD BACK UNTIL NOW")
    }

    /// Why something waited, and since when.
    pub(super) fn held_since(self, names: &str, reason: &str, since: &str) -> String {
        match self.0 {
            Locale::Es => format!("{names}: {reason}; en espera desde {since}"),
            Locale::En => format!("{names}: {reason}; waiting since {since}"),
        }
    }

    /// Heads how everything stands.
    pub(super) fn standing(self, kind: StandingKind, open: usize) -> &'static str {
        match kind {
            StandingKind::Reminder => self.still_open(open),
            StandingKind::Summary => self.pick("RESUMEN", "SUMMARY"),
        }
    }

    /// That so many are still down. It does not hold the word of [`Status::Down`], since it may follow on a recovery.
    pub(super) fn still_open(self, open: usize) -> &'static str {
        match (open, self.0) {
            (1, Locale::Es) => "SIGUE SIN RESPONDER",
            (_, Locale::Es) => "SIGUEN SIN RESPONDER",
            (_, Locale::En) => "STILL NOT ANSWERING",
        }
    }

    /// How many are down.
    pub(super) fn open(self, kind: StandingKind, open: usize) -> String {
        let (counted, one) = (self.devices(open), open == 1);
        match (kind, open, self.0, one) {
            (_, 0, Locale::Es, _) => "Ningún equipo está sin responder.".to_owned(),
            (_, 0, Locale::En, _) => "No device is silent.".to_owned(),
            (StandingKind::Reminder, _, Locale::Es, true) => format!("{counted} sigue sin responder."),
            (StandingKind::Reminder, _, Locale::Es, false) => format!("{counted} siguen sin responder."),
            (StandingKind::Reminder, _, Locale::En, _) => {
                format!("{counted} still {} not answer.", if one { "does" } else { "do" })
            }
            (StandingKind::Summary, _, Locale::Es, true) => format!("En total {counted} no responde."),
            (StandingKind::Summary, _, Locale::Es, false) => format!("En total {counted} no responden."),
            (StandingKind::Summary, _, Locale::En, _) => {
                format!("In all, {counted} {} not answer.", if one { "does" } else { "do" })
            }
        }
    }

    /// How many are slow or lossy.
    pub(super) fn warnings(self, warnings: usize) -> String {
        let (counted, one) = (self.devices(warnings), warnings == 1);
        match (warnings, self.0, one) {
            (0, Locale::Es, _) => "Ningún equipo está lento ni pierde paquetes.".to_owned(),
            (0, Locale::En, _) => "No device is slow or loses packets.".to_owned(),
            (_, Locale::Es, true) => format!("{counted} está lento o pierde paquetes (WARNING):"),
            (_, Locale::Es, false) => format!("{counted} están lentos o pierden paquetes (WARNING):"),
            (_, Locale::En, _) => {
                format!("{counted} {} slow or losing packets (WARNING):", if one { "is" } else { "are" })
            }
        }
    }

    /// How long a device has been silent, in one line with other facts.
    pub(super) fn silent(self, lasted: &str) -> String {
        format!("{} {lasted}", self.pick("lleva", "silent for"))
    }

    /// Who sees to an outage, in one line with other facts.
    pub(super) fn acknowledged_by(self, by: &str) -> String {
        format!("{} {by}", self.pick("lo atiende", "acknowledged by"))
    }
}
