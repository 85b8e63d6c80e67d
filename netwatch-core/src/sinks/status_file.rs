//! `server_status.txt`: how every target stands, replaced as a whole so that no reader ever sees half of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::dater::Dater;
use super::line;
use crate::model::{Plan, Rtt, Status, Target, Wall};

/// So many lines are put together and written at a time: what is held for it does not grow with the plan.
const PIECE: usize = 4096;

/// What changes in a target's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    since: Wall,
    rtt: Rtt,
    answered: bool,
    status: Status,
}

impl Row {
    /// A target that stands so and has not been asked yet.
    pub(super) fn new(status: Status, since: Wall) -> Row {
        Row { since, rtt: Rtt::default(), answered: false, status }
    }

    /// How it stands, since when.
    pub(super) fn become_so(&mut self, status: Status, since: Wall) {
        (self.status, self.since) = (status, since);
    }

    /// The median of the last check, if that was answered.
    pub(super) fn measured(&mut self, rtt: Option<Rtt>) {
        (self.rtt, self.answered) = (rtt.unwrap_or_default(), rtt.is_some());
    }

    fn rtt(&self) -> Option<Rtt> {
        Some(self.rtt).filter(|_| self.answered)
    }
}

/// The file, and what is worth keeping from one writing to the next.
#[derive(Debug)]
pub(super) struct StatusFile {
    path: PathBuf,
    temporary: PathBuf,
    dater: Dater,
    rows: Vec<Row>,
    text: String,
}

impl StatusFile {
    pub(super) fn new(dir: &Path, zone: TimeZone) -> StatusFile {
        StatusFile {
            path: dir.join("server_status.txt"),
            temporary: dir.join(".server_status.txt.new"),
            dater: Dater::new(zone),
            rows: Vec::new(),
            text: String::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by one with a line for each target of the plan.
    ///
    /// `look` fills the list it is given with the rows of these places; where it says `false`, the plan is another one
    /// by now, and the file is left as it is. Not synced: after a power cut it is written anew anyway.
    ///
    /// # Errors
    /// When the disk did not take it; the file is as it was.
    pub(super) fn write(
        &mut self,
        plan: &Plan,
        mut look: impl FnMut(Range<usize>, &mut Vec<Row>) -> bool,
    ) -> io::Result<()> {
        self.remove_temporary()?;
        // Created anew, never through a link that somebody put there.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&self.temporary)?;
        for (piece, targets) in plan.targets.chunks(PIECE).enumerate() {
            let first = piece * PIECE;
            self.rows.clear();
            if !look(first..first + targets.len(), &mut self.rows) {
                return self.remove_temporary();
            }
            self.render(targets);
            if let Err(error) = file.write_all(self.text.as_bytes()) {
                // On a full disk what was written only takes room.
                self.remove_temporary()?;
                return Err(error);
            }
        }
        drop(file);
        fs::rename(&self.temporary, &self.path)
    }

    fn remove_temporary(&self) -> io::Result<()> {
        match fs::remove_file(&self.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn render(&mut self, targets: &[Target]) {
        self.text.clear();
        for (target, row) in targets.iter().zip(&self.rows) {
            line::status_into(&mut self.text, &mut self.dater, target, row.status, row.rtt(), row.since);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::model::Host;

    fn plan(names: &[&str]) -> Plan {
        let target = |name: &&str| Target::new(*name, Host::Name { name: "olt\n.example".into(), family: None });
        Plan::new(names.iter().map(target).collect())
    }

    fn row(status: Status, seconds: i64) -> Row {
        let mut row = Row::new(status, Wall::from_unix_nanos(seconds * 1_000_000_000));
        row.measured(Some(Rtt::from_duration(Duration::from_millis(7))));
        row
    }

    fn write(file: &mut StatusFile, names: &[&str], rows: &[Row]) -> io::Result<()> {
        file.write(&plan(names), |places, into| {
            into.extend_from_slice(&rows[places]);
            true
        })
    }

    #[test]
    fn one_line_a_target_in_the_order_of_the_plan() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        let rows = [row(Status::Ok, 0), row(Status::Ok, 0), row(Status::Down, 1)];
        write(&mut file, &["z", "a\tb", "m"], &rows).unwrap();
        let expected = "z\tolt\\n.example\tOK\t7.000\t1970-01-01T00:00:00.000+00:00\n\
                        a\\tb\tolt\\n.example\tOK\t7.000\t1970-01-01T00:00:00.000+00:00\n\
                        m\tolt\\n.example\tNO RESPONDE\t-\t1970-01-01T00:00:01.000+00:00\n";
        assert_eq!(fs::read_to_string(file.path()).unwrap(), expected);
        write(&mut file, &["only"], &rows[..1]).unwrap();
        assert!(fs::read_to_string(file.path()).unwrap().starts_with("only\t"), "a new plan, new names");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn the_temporary_file_of_a_crash_or_of_somebody_else_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        symlink(&precious, dir.path().join(".server_status.txt.new")).unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        write(&mut file, &["a"], &[row(Status::Ok, 0)]).unwrap();
        assert_eq!(fs::read_to_string(precious).unwrap(), "mine");
        assert!(file.path().symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        write(&mut file, &["a"], &[row(Status::Ok, 0)]).unwrap();
        fs::create_dir(dir.path().join(".server_status.txt.new")).unwrap();
        write(&mut file, &["a"], &[row(Status::Down, 0)]).unwrap_err();
        assert!(fs::read_to_string(file.path()).unwrap().contains("\tOK\t"));
    }

    #[test]
    fn a_long_file_is_written_in_pieces_and_not_at_all_if_the_plan_changes_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        let names: Vec<String> = (0..PIECE + 1).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        write(&mut file, &names, &vec![row(Status::Ok, 0); names.len()]).unwrap();
        let written = fs::read_to_string(file.path()).unwrap();
        assert!(written.lines().zip(&names).all(|(line, name)| line.split('\t').next() == Some(name)));
        assert_eq!(written.lines().count(), names.len());
        let mut looks = 0;
        let rows = [row(Status::Down, 0); PIECE];
        file.write(&plan(&names), |_, into| {
            into.extend_from_slice(&rows);
            looks += 1;
            looks < 2
        })
        .unwrap();
        assert_eq!((looks, fs::read_to_string(file.path()).unwrap()), (2, written));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
