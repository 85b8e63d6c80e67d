//! A fresh flow: after three silent checks in a row a target goes out under another ICMP identifier.
//!
//! Firewalls and address translators keep a session for each identifier (RFC 5508, 3.1). One that went stale, because a
//! route or an address changed underneath it, swallows every echo of that identifier for as long as they keep coming, and so
//! could hide for ever that the device is back. The next identifier opens a session of its own.

/// Checks in a row after which another identifier is tried.
const SILENT: u8 = 3;
/// Identifiers of a target; then they go round.
const FLOWS: u8 = 4;

/// Which of its identifiers a target uses, and how many checks in a row were silent under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flow {
    bits: u8,
}

impl Flow {
    /// Which of the identifiers, from 0 to 3.
    pub(super) fn number(self) -> u32 {
        u32::from(self.bits & (FLOWS - 1))
    }

    /// A check begins: under the next identifier if the last ones were silent.
    #[must_use]
    pub(super) fn begun(self) -> Flow {
        if self.silent() < SILENT { self } else { Flow { bits: (self.bits + 1) & (FLOWS - 1) } }
    }

    /// A check has ended: answered, silent, or (`None`) without a conclusion, which says nothing about the flow.
    #[must_use]
    pub(super) fn ended(self, is_answered: Option<bool>) -> Flow {
        let silent = match is_answered {
            Some(true) => 0,
            Some(false) => (self.silent() + 1).min(SILENT),
            None => self.silent(),
        };
        Flow { bits: self.bits & (FLOWS - 1) | silent << 2 }
    }

    fn silent(self) -> u8 {
        self.bits >> 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(checks: &[Option<bool>]) -> u32 {
        checks.iter().fold(Flow::default(), |flow, is_answered| flow.begun().ended(*is_answered)).begun().number()
    }

    #[test]
    fn three_silent_checks_in_a_row_change_the_flow_and_nothing_else_does() {
        let (answered, silent, unknown) = (Some(true), Some(false), None);
        assert_eq!(after(&[silent, silent]), 0);
        assert_eq!(after(&[silent, silent, silent]), 1);
        assert_eq!(after(&[silent, silent, answered, silent, silent]), 0);
        assert_eq!(after(&[unknown; 20]), 0);
        assert_eq!(after(&[silent, unknown, silent, unknown, unknown]), 0);
        assert_eq!(after(&[silent, unknown, silent, unknown, silent]), 1);
        assert_eq!(after(&[silent; 6]), 2);
        assert_eq!(after(&[silent; 12]), 0, "they go round");
        assert_eq!(after(&[silent, silent, silent, answered, answered]), 1, "what works is kept");
    }
}
