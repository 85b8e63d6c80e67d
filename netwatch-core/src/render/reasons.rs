//! Why netwatch cannot tell, and why a line had to wait, as a technician would say it.

use super::lexicon::Lexicon;
use crate::model::{Cause, Hold};

impl Lexicon {
    /// Why netwatch cannot see a device; reads on after `netwatch no ve 12 equipos: `.
    pub(super) fn cause(self, cause: Cause) -> String {
        let (es, en) = match cause {
            Cause::Blind => ("netwatch quedó sin red", "netwatch was cut off"),
            Cause::Paused => ("en pausa", "paused"),
            Cause::Starting => ("netwatch acaba de iniciar", "netwatch has just started"),
            Cause::Unresolved => ("el nombre no resuelve (DNS)", "the name does not resolve (DNS)"),
            Cause::NoSocket => ("no se pudo abrir un socket", "no socket could be opened"),
            Cause::NoRoute => ("sin ruta", "no route"),
            Cause::InterfaceDown => ("la interfaz está caída", "the interface is down"),
            Cause::NoInterface => {
                ("no existe la interfaz o la dirección de origen", "no such interface or source address")
            }
            Cause::OutputRefused => (
                "el firewall del propio servidor no deja salir los paquetes",
                "this server's own firewall refuses the packets",
            ),
            Cause::QueueFull => ("la cola de envío está llena", "the send queue is full"),
            Cause::TooLong => ("el paquete no cabe en el enlace (MTU)", "the packet is too long for the link (MTU)"),
            Cause::SendFailed(0) => ("no se pudo enviar el paquete", "sending failed"),
            Cause::SendFailed(number) => {
                let (es, en) = ("no se pudo enviar el paquete (errno ", "sending failed (errno ");
                return format!("{}{number})", self.pick(es, en));
            }
            Cause::ReceiveOverflow => ("se llenó el búfer de recepción", "the receive buffer overflowed"),
            Cause::SoftnetDrops => (
                "el servidor de netwatch descartó paquetes que recibía",
                "the netwatch server dropped packets it received",
            ),
            Cause::NeighboursFull => ("la tabla de vecinos (ARP) está llena", "the neighbour (ARP) table is full"),
            Cause::ConntrackFull => ("la tabla conntrack está llena", "the conntrack table is full"),
            Cause::NotSent => ("netwatch no llegó a enviar a tiempo", "netwatch did not send in time"),
            Cause::Stalled => ("netwatch estuvo detenido", "netwatch stood still"),
            Cause::NoResult => ("la prueba no dio resultado", "the probe gave no result"),
            Cause::ProbeFailed => ("la prueba no pudo determinarlo", "the probe could not tell"),
        };
        self.pick(es, en).to_owned()
    }

    /// Why a line had to wait. Names the key of the configuration that rules it, where there is one.
    pub(super) fn hold(self, hold: Hold) -> &'static str {
        match hold {
            Hold::GroupWait => self.pick(
                "se esperaba a otros que fallaran al mismo tiempo (group_wait)",
                "others that fail at the same time were waited for (group_wait)",
            ),
            Hold::GroupInterval => self.pick(
                "el correo anterior era demasiado reciente (group_interval)",
                "the mail before was too recent (group_interval)",
            ),
            Hold::Budget => self.pick(
                "ya se había avisado hace poco (min_interval)",
                "there had been a mail a short time ago (min_interval)",
            ),
            Hold::Hours => self.pick("fuera del horario de avisos (hours)", "outside the hours for mail (hours)"),
            Hold::Retry => self.pick("no se podía enviar correo", "mail could not be sent"),
            Hold::Flapping => self.pick("el equipo estaba inestable", "the device was flapping"),
            Hold::Rationed => self.pick(
                "un aviso igual había salido hacía menos de 10 minutos",
                "the same had been told less than 10 minutes before",
            ),
        }
    }
}
