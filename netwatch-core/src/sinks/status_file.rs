//! `server_status.txt`: how every target stands, replaced as a whole so that no reader ever sees half of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::line;
use crate::model::{Plan, Rtt, Status, Wall};

/// What changes in a target's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: Status,
    /// The median of the last check, if that was answered.
    pub(super) rtt: Option<Rtt>,
    pub(super) since: Wall,
}

/// The file, and what is worth keeping from one writing to the next.
#[derive(Debug)]
pub(super) struct StatusFile {
    path: PathBuf,
    temporary: PathBuf,
    zone: TimeZone,
    plan: Option<Arc<Plan>>,
    prefixes: Vec<Box<str>>,
    text: String,
}

impl StatusFile {
    pub(super) fn new(dir: &Path, zone: TimeZone) -> StatusFile {
        StatusFile {
            path: dir.join("server_status.txt"),
            temporary: dir.join(".server_status.txt.new"),
            zone,
            plan: None,
            prefixes: Vec::new(),
            text: String::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by these rows, one for each target of the plan.
    ///
    /// Not synced: after a power cut it is written anew anyway.
    ///
    /// # Errors
    /// When the disk did not take it; the file is as it was.
    pub(super) fn write(&mut self, plan: &Arc<Plan>, rows: &[Row]) -> io::Result<()> {
        self.speak_of(plan);
        self.render(rows);
        self.remove_temporary()?;
        // Created anew, never through a link that somebody put there.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&self.temporary)?;
        if let Err(error) = file.write_all(self.text.as_bytes()) {
            // On a full disk the half that was written only takes room.
            self.remove_temporary()?;
            return Err(error);
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

    fn speak_of(&mut self, plan: &Arc<Plan>) {
        if self.plan.as_ref().is_some_and(|known| Arc::ptr_eq(known, plan)) {
            return;
        }
        self.prefixes.clear();
        self.prefixes.extend(plan.targets.iter().map(|target| {
            let mut prefix = String::new();
            line::escape_into(&mut prefix, &target.name);
            prefix.push('\t');
            line::escape_into(&mut prefix, &target.host.to_string());
            prefix.push('\t');
            prefix.into_boxed_str()
        }));
        self.plan = Some(Arc::clone(plan));
    }

    fn render(&mut self, rows: &[Row]) {
        self.text.clear();
        // After a start most targets stand as they do since the same moment.
        let mut last: Option<(Wall, String)> = None;
        for (prefix, row) in self.prefixes.iter().zip(rows) {
            let (_, since) = match last.take().filter(|(wall, _)| *wall == row.since) {
                Some(same) => last.insert(same),
                None => last.insert((row.since, line::time(&self.zone, row.since))),
            };
            line::status_into(&mut self.text, prefix, row.status, row.rtt, since);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::model::{Host, Target};

    fn plan(names: &[&str]) -> Arc<Plan> {
        let target = |name: &&str| Target::new(*name, Host::Name { name: "olt\n.example".into(), family: None });
        Arc::new(Plan::new(names.iter().map(target).collect()))
    }

    fn row(status: Status, seconds: i64) -> Row {
        let rtt = Some(Rtt::from_duration(Duration::from_millis(7)));
        Row { status, rtt, since: Wall::from_unix_nanos(seconds * 1_000_000_000) }
    }

    #[test]
    fn one_line_a_target_in_the_order_of_the_plan() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        let rows = [row(Status::Ok, 0), row(Status::Ok, 0), row(Status::Down, 1)];
        file.write(&plan(&["z", "a\tb", "m"]), &rows).unwrap();
        let expected = "z\tolt\\n.example\tOK\t7.000\t1970-01-01T00:00:00.000+00:00\n\
                        a\\tb\tolt\\n.example\tOK\t7.000\t1970-01-01T00:00:00.000+00:00\n\
                        m\tolt\\n.example\tNO RESPONDE\t-\t1970-01-01T00:00:01.000+00:00\n";
        assert_eq!(fs::read_to_string(file.path()).unwrap(), expected);
        file.write(&plan(&["only"]), &rows[..1]).unwrap();
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
        file.write(&plan(&["a"]), &[row(Status::Ok, 0)]).unwrap();
        assert_eq!(fs::read_to_string(precious).unwrap(), "mine");
        assert!(file.path().symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StatusFile::new(dir.path(), TimeZone::UTC);
        file.write(&plan(&["a"]), &[row(Status::Ok, 0)]).unwrap();
        fs::create_dir(dir.path().join(".server_status.txt.new")).unwrap();
        file.write(&plan(&["a"]), &[row(Status::Down, 0)]).unwrap_err();
        assert!(fs::read_to_string(file.path()).unwrap().contains("\tOK\t"));
    }
}
