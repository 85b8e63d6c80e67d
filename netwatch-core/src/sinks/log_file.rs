//! A log that is appended to, rotates by size, and survives a disk that is full for a while.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// At this size a log is moved to `.1`, what was `.1` to `.2`, and so on.
const ROTATE_AT_BYTES: u64 = 10 << 20;

/// How many rotated files are kept beside the one that is written.
const KEPT: u32 = 5;

/// How many lines wait for a disk that does not take them; of more the oldest are dropped and counted.
const WAITING: usize = 10_000;

/// A log and the lines that have not reached it yet.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotate_at: u64,
    waiting: VecDeque<String>,
    dropped: u64,
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> LogFile {
        LogFile { path, rotate_at: ROTATE_AT_BYTES, waiting: VecDeque::new(), dropped: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, its line end included.
    pub(super) fn push(&mut self, line: String) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.waiting.push_back(line);
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many lines were dropped since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Writes what waits. The file is opened for each batch, so that it may be moved or deleted meanwhile.
    ///
    /// # Errors
    /// When the disk did not take all; the rest, whole lines only, waits for the next call.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (mut file, mut length) = open(&self.path)?;
        while let Some(line) = self.waiting.front() {
            let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
            if length > 0 && length.saturating_add(bytes) > self.rotate_at {
                rotate(&self.path)?;
                (file, length) = open(&self.path)?;
            }
            if let Err(error) = file.write_all(line.as_bytes()) {
                // The line is offered again whole; half of it must not stand before it.
                file.set_len(length)?;
                return Err(error);
            }
            length = length.saturating_add(bytes);
            self.waiting.pop_front();
        }
        Ok(())
    }
}

/// Opens for appending, and ends a line that a crash cut short.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok((file, 0));
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok((file, length));
    }
    file.write_all(b"\n")?;
    Ok((file, length.saturating_add(1)))
}

fn rotate(path: &Path) -> io::Result<()> {
    for number in (1..KEPT).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, rotate_at: u64) -> LogFile {
        LogFile { rotate_at, ..LogFile::new(dir.join("mail_log.txt")) }
    }

    fn content(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    #[test]
    fn the_limits_are_those_of_the_contract() {
        let log = LogFile::new("mail_log.txt".into());
        assert_eq!((log.rotate_at, KEPT), (10 * 1024 * 1024, 5));
    }

    #[test]
    fn five_rotated_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 10);
        for n in 0..8 {
            log.push(format!("line {n}\n"));
        }
        log.flush().unwrap();
        assert_eq!(content(dir.path(), "mail_log.txt"), "line 7\n");
        for (number, n) in (1..=5).zip((2..=6).rev()) {
            assert_eq!(content(dir.path(), &format!("mail_log.txt.{number}")), format!("line {n}\n"));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 6);
    }

    #[test]
    fn a_file_is_filled_to_its_limit_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 14);
        (0..3).for_each(|n| log.push(format!("line {n}\n")));
        log.flush().unwrap();
        assert_eq!(content(dir.path(), "mail_log.txt.1"), "line 0\nline 1\n");
        assert_eq!(content(dir.path(), "mail_log.txt"), "line 2\n");
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mail_log.txt"), "half a li").unwrap();
        let mut log = log(dir.path(), 100);
        log.push("whole\n".to_owned());
        log.flush().unwrap();
        assert_eq!(content(dir.path(), "mail_log.txt"), "half a li\nwhole\n");
    }

    #[test]
    fn lines_wait_for_a_disk_that_does_not_take_them() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("not-yet");
        let mut log = log(&missing, 100);
        log.push("first\n".to_owned());
        log.flush().unwrap_err();
        fs::create_dir(&missing).unwrap();
        log.push("second\n".to_owned());
        log.flush().unwrap();
        assert_eq!(content(&missing, "mail_log.txt"), "first\nsecond\n");
        assert!(!log.is_waiting());
    }

    #[test]
    fn a_full_disk_holds_whole_lines_and_takes_the_rest_later() {
        const DIR: &str = "NETWATCH_LOG_TEST_DIR";
        let Some(dir) = std::env::var_os(DIR) else {
            let dir = tempfile::tempdir().unwrap();
            let (_, module) = module_path!().split_once("::").unwrap();
            let test = format!("{module}::a_full_disk_holds_whole_lines_and_takes_the_rest_later");
            let mount = "mount -t tmpfs -o size=64k,mode=0700 netwatch-test \"$0\" && exec \"$@\"";
            let mut command = std::process::Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", mount]).arg(dir.path());
            command.arg(std::env::current_exe().unwrap()).args(["--exact", &test]).env(DIR, dir.path());
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            return assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        };
        let dir = PathBuf::from(dir);
        fs::write(dir.join("ballast"), vec![b'x'; 32 << 10]).unwrap();
        let mut log = log(&dir, u64::MAX);
        let line = format!("{}\n", "x".repeat(2_999));
        (0..15).for_each(|_| log.push(line.clone()));
        assert_eq!(log.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        let held = content(&dir, "mail_log.txt");
        assert!(!held.is_empty() && held.ends_with('\n') && held.len().is_multiple_of(line.len()), "{}", held.len());
        fs::remove_file(dir.join("ballast")).unwrap();
        log.flush().unwrap();
        assert_eq!(content(&dir, "mail_log.txt"), line.repeat(15));
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), u64::MAX);
        (0..WAITING + 3).for_each(|n| log.push(format!("{n}\n")));
        assert_eq!(log.take_dropped(), 3);
        assert_eq!(log.take_dropped(), 0);
        log.flush().unwrap();
        assert!(content(dir.path(), "mail_log.txt").starts_with("3\n"));
    }
}
