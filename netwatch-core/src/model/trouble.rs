//! What netwatch tells of itself: the self-alerts.

/// Something that is wrong with netwatch itself, which people must know of because it weakens what it watches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Trouble {
    /// Replies were dropped on their way into netwatch, so that checks could not be decided.
    ReceiveDrops,
    /// What is decided cannot be written to disk.
    Disk,
    /// A notifier delivers nothing. The others are told.
    MailPath,
    /// The wall clock was set, so that the times in mails and calendars moved.
    Clock,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 4] = [Trouble::ReceiveDrops, Trouble::Disk, Trouble::MailPath, Trouble::Clock];

    /// A stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Trouble::ReceiveDrops => "receive_drops",
            Trouble::Disk => "disk",
            Trouble::MailPath => "mail_path",
            Trouble::Clock => "clock",
        }
    }

    /// The trouble that [`code`](Trouble::code) names.
    pub fn from_code(code: &str) -> Option<Trouble> {
        Trouble::ALL.into_iter().find(|trouble| trouble.code() == code)
    }
}
