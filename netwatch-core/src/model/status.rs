//! What netwatch says of a target at this moment, and the words for it.

use super::plan::Locale;

/// The status of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// No conclusive check yet.
    Pending,
    /// The last conclusive check was answered.
    Ok,
    /// Answered, but slowly or with losses over the last checks.
    Warning,
    /// The last conclusive check was silent.
    Down,
    /// Down, and a dead parent explains it.
    Unreachable,
    /// netwatch cannot tell; the cause is shown beside it.
    Unknown,
}

impl Status {
    /// All statuses, the one that needs a person first.
    pub const ALL: [Status; 6] =
        [Status::Down, Status::Unreachable, Status::Warning, Status::Unknown, Status::Pending, Status::Ok];

    /// The value in JSON: `ok`, `warning`, `down`, `unreachable`, `unknown` or `pending`.
    pub const fn code(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Down => "down",
            Status::Unreachable => "unreachable",
            Status::Unknown => "unknown",
        }
    }

    /// The status that [`code`](Status::code) names.
    pub fn from_code(code: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The word in `server_status.txt`, which is the same in every locale.
    pub const fn file_word(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Down => "NO RESPONDE",
            Status::Unreachable => "UNREACHABLE",
            Status::Unknown => "UNKNOWN",
        }
    }

    /// The word a person reads, in their language.
    pub const fn word(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Status::Pending, Locale::Es) => "PENDIENTE",
            (Status::Down, Locale::En) => "DOWN",
            (Status::Unreachable, Locale::Es) => "SIN RUTA",
            (Status::Unknown, Locale::Es) => "DESCONOCIDO",
            (status, _) => status.file_word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_one_status() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
        }
        assert_eq!(Status::from_code("OK"), None);
    }
}
