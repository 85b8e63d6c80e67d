//! One netwatch for one data directory: two would tell of every outage twice and overwrite each other's files.
//!
//! The lock is flock(2) on `netwatch.lock`. The kernel lets go of it when the process ends, however it ends, so there is
//! no stale lock to clean up; the file itself stays, because removing it would let two processes lock two files of
//! one name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a data directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has it.
    #[error(
        "another netwatch ({}) is running on the directory {}; stop it first, or give this one another data_dir",
        pid.map_or_else(|| "its pid is not known".to_owned(), |pid| format!("pid {pid}")),
        dir.display()
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The other process, if it wrote itself down.
        pid: Option<u32>,
    },
    /// The lock file could not be opened or locked.
    #[error("cannot lock the directory {}: {source}; it must exist and be writable", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The right to write in a data directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    file: File,
}

impl DirLock {
    /// The name of the lock file.
    pub const FILE: &'static str = "netwatch.lock";

    /// Takes the lock on `dir`, without waiting.
    ///
    /// # Errors
    /// When another holder lives, in this process or another, and when `netwatch.lock` cannot be created there.
    pub fn take(dir: impl AsRef<Path>) -> Result<DirLock, LockError> {
        let given = dir.as_ref();
        let io = |source| LockError::Io { dir: given.to_owned(), source };
        let dir = given.canonicalize().map_err(io)?;
        let path = dir.join(DirLock::FILE);
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            // Through a link the pid would be written over somebody's file.
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "netwatch.lock is not a regular file")));
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o640).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { dir, pid: written_pid(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        write_pid(&mut file);
        Ok(DirLock { dir, file })
    }

    /// The directory, with symbolic links resolved.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for DirLock {
    /// Closing alone would leave the lock with a child process that was forked and has not come to its exec(2) yet.
    fn drop(&mut self) {
        drop(self.file.unlock());
    }
}

/// The pid is there for the reader of an error message; a full disk is no reason not to start.
fn write_pid(file: &mut File) {
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    drop(written);
}

fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let refused = DirLock::take(dir.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held { pid: Some(pid), .. } if pid == std::process::id()));
        assert!(refused.to_string().contains(&format!("another netwatch (pid {})", std::process::id())));
        drop(first);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join(DirLock::FILE)).unwrap();
        DirLock::take(dir.path()).unwrap_err();
        assert_eq!(fs::read_to_string(precious).unwrap(), "mine");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = DirLock::take("/nonexistent/netwatch").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/netwatch"), "{error}");
    }
}
