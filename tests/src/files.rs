//! Reading the text files of the data directory as strictly as their contract is written.

use std::path::Path;

use jiff::Timestamp;

/// A line of `server_status.txt`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusLine {
    /// The target.
    pub name: String,
    /// Its address.
    pub address: String,
    /// OK, WARNING, NO RESPONDE, UNREACHABLE, UNKNOWN or PENDING.
    pub status: String,
    /// Milliseconds, unless there are none.
    pub rtt_ms: Option<f64>,
    /// Since when, in nanoseconds since 1970.
    pub since_ns: u64,
}

/// A line of `mail_log.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLine {
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
    /// SENT, DEFERRED or FAILED.
    pub outcome: String,
    /// The Message-ID.
    pub message_id: String,
    /// The recipients.
    pub recipients: String,
    /// The subject.
    pub subject: String,
}

/// An RFC 3339 time as nanoseconds since 1970; panics if it is none.
pub fn time_ns(text: &str) -> u64 {
    let time: Timestamp = text.parse().unwrap_or_else(|error| panic!("{text:?} is no RFC 3339 time: {error}"));
    u64::try_from(time.as_nanosecond()).expect("the lab runs after 1970")
}

/// Reads `server_status.txt`; panics on a line that breaks the contract. No file is no lines.
pub fn server_status(data_dir: &Path) -> Vec<StatusLine> {
    rows(data_dir, "server_status.txt", 5).into_iter().map(|row| status_line(&row)).collect()
}

/// Reads `mail_log.txt`; panics on a line that breaks the contract. No file is no lines.
pub fn mail_log(data_dir: &Path) -> Vec<MailLine> {
    rows(data_dir, "mail_log.txt", 5).into_iter().map(|row| mail_line(&row)).collect()
}

/// Reads `error_log.txt` as (component, message); panics on a line that breaks the contract. No file is no lines.
pub fn error_log(data_dir: &Path) -> Vec<(String, String)> {
    let line = |row: Vec<String>| (row[1].clone(), row[2].clone());
    rows(data_dir, "error_log.txt", 3).into_iter().map(line).collect()
}

fn rows(data_dir: &Path, file: &str, columns: usize) -> Vec<Vec<String>> {
    let text = match std::fs::read_to_string(data_dir.join(file)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => panic!("cannot read {file}: {error}"),
    };
    let row = |line: &str| {
        let row: Vec<String> = line.split('\t').map(str::to_owned).collect();
        assert_eq!(row.len(), columns, "{file}: a line needs {columns} columns: {line:?}");
        row
    };
    text.lines().map(row).collect()
}

fn status_line(row: &[String]) -> StatusLine {
    const WORDS: [&str; 6] = ["OK", "WARNING", "NO RESPONDE", "UNREACHABLE", "UNKNOWN", "PENDING"];
    assert!(WORDS.contains(&row[2].as_str()), "server_status.txt: {:?} is no status", row[2]);
    let rtt_ms = (row[3] != "-").then(|| {
        let decimals = row[3].split_once('.').map(|(_, decimals)| decimals.len());
        assert_eq!(decimals, Some(3), "server_status.txt: rtt_ms has three decimals: {:?}", row[3]);
        row[3].parse().unwrap_or_else(|_| panic!("server_status.txt: {:?} is no number", row[3]))
    });
    let (name, address, status) = (row[0].clone(), row[1].clone(), row[2].clone());
    StatusLine { name, address, status, rtt_ms, since_ns: time_ns(&row[4]) }
}

fn mail_line(row: &[String]) -> MailLine {
    assert!(["SENT", "DEFERRED", "FAILED"].contains(&row[1].as_str()), "mail_log.txt: {:?} is no outcome", row[1]);
    MailLine {
        at_ns: time_ns(&row[0]),
        outcome: row[1].clone(),
        message_id: row[2].clone(),
        recipients: row[3].clone(),
        subject: row[4].clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_keeps_the_contract_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("server_status.txt"),
            "a\t10.0.0.1\tNO RESPONDE\t-\t2026-01-02T03:04:05-03:00\n",
        )
        .unwrap();
        let lines = server_status(dir.path());
        assert_eq!((lines[0].status.as_str(), lines[0].rtt_ms), ("NO RESPONDE", None));
        assert_eq!(lines[0].since_ns, time_ns("2026-01-02T06:04:05Z"));
    }

    #[test]
    #[should_panic(expected = "three decimals")]
    fn a_line_that_breaks_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("server_status.txt"), "a\t10.0.0.1\tOK\t1.5\t2026-01-02T03:04:05Z\n").unwrap();
        server_status(dir.path());
    }
}
