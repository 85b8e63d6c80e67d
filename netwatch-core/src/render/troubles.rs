//! What netwatch says of itself when something is wrong with it: what, and what to do.

use super::lexicon::Lexicon;
use crate::model::{Locale, Trouble};

impl Lexicon {
    /// What is wrong; `notifier` is the one that delivers nothing. Reads on after `netwatch: `.
    pub(super) fn trouble(self, trouble: Trouble, notifier: &str) -> String {
        match (trouble, self.0) {
            (Trouble::ReceiveDrops, Locale::Es) => "pierde respuestas al recibirlas".to_owned(),
            (Trouble::ReceiveDrops, Locale::En) => "loses replies while receiving them".to_owned(),
            (Trouble::Disk, Locale::Es) => "no puede escribir en el disco".to_owned(),
            (Trouble::Disk, Locale::En) => "cannot write to its disk".to_owned(),
            (Trouble::MailPath, Locale::Es) => format!("no logra entregar nada por {notifier}"),
            (Trouble::MailPath, Locale::En) => format!("cannot deliver anything through {notifier}"),
            (Trouble::Clock, Locale::Es) => "el reloj del servidor saltó".to_owned(),
            (Trouble::Clock, Locale::En) => "the clock of its machine jumped".to_owned(),
        }
    }

    /// What a person can do about it.
    pub(super) fn remedy(self, trouble: Trouble) -> &'static str {
        match trouble {
            Trouble::ReceiveDrops => self.pick(
                "los chequeos afectados quedan como DESCONOCIDO; aumente net.core.rmem_max y vea error_log.txt",
                "the checks that it hit are UNKNOWN; raise net.core.rmem_max and see error_log.txt",
            ),
            Trouble::Disk => self.pick(
                "los avisos salen de memoria y un corte de luz podría repetirlos; haga lugar en el disco o revíselo, y vea error_log.txt",
                "mails leave from memory and a power cut might repeat them; make room on the disk or look after it, and see error_log.txt",
            ),
            Trouble::MailPath => self.pick(
                "lo que se le debe espera y saldrá después; revise ese servidor y vea error_log.txt y mail_log.txt",
                "what it is owed waits and leaves later; look after that server, and see error_log.txt and mail_log.txt",
            ),
            Trouble::Clock => self.pick(
                "ningún equipo cambió de estado por eso; revise la hora del servidor (NTP), porque las horas de los avisos la usan",
                "no device changed its status because of it; look after the time of that machine (NTP), which dates the mails",
            ),
        }
    }

    pub(super) fn remedy_label(self) -> &'static str {
        self.pick("Qué hacer", "What to do")
    }

    /// What the clock should have said.
    pub(super) fn expected(self) -> &'static str {
        self.pick("Debía decir", "Should have said")
    }

    /// What the clock said.
    pub(super) fn found(self) -> &'static str {
        self.pick("Decía", "Said")
    }
}
