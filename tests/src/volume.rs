//! A small disk of a test's own: an ext4 file system in a file, mounted where netwatch keeps its data. It can be filled to
//! the last byte or the last file, made to refuse every write, and broken.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::run;

/// The disk. It goes when this is dropped.
#[derive(Debug)]
pub struct Volume {
    at: PathBuf,
    image: TempDir,
}

impl Volume {
    /// A disk of 64 MiB with room for 512 files, mounted at `at`, which is made. Panics where loop devices are missing.
    pub fn mount(at: &Path) -> Volume {
        let image = tempfile::tempdir().expect("a temporary directory can be made");
        let file = image.path().join("disk.img");
        let made = fs::File::create(&file).and_then(|file| file.set_len(64 << 20));
        made.expect("the image can be made");
        fs::create_dir_all(at).expect("the place can be made");
        let (file, place) = (file.to_string_lossy(), at.to_string_lossy());
        run("mkfs.ext4", ["-q", "-F", "-m", "0", "-N", "512", &file]);
        // What the kernel does with a disk on which it met an error: nobody writes to it any more.
        run("mount", ["-o", "loop,errors=remount-ro", &file, &place]);
        Volume { at: at.to_owned(), image }
    }

    /// Every byte is taken.
    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast().join("bytes")).expect("there is room for one file more");
        for size in [1 << 20, 4096, 512, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// No further file can be made.
    pub fn take_all_files(&self) {
        let dir = self.ballast();
        for n in 0.. {
            if fs::File::create(dir.join(n.to_string())).is_err() {
                return;
            }
        }
    }

    /// There is room again.
    pub fn make_room(&self) {
        fs::remove_dir_all(self.at.join("ballast")).expect("what was taken can be given back");
    }

    /// Every write to what is there, and every new file, is refused, also to those who have it open; or no more. Only the
    /// index of SQLite's log is spared: it is memory that is shared, which Linux ends a process for if it is immutable,
    /// and not if the disk is read-only.
    pub fn refuse_writes(&self, refuse: bool) {
        let (place, flag) = (self.at.to_string_lossy(), if refuse { "+i" } else { "-i" });
        let found = ["(", "-type", "f", "-o", "-type", "d", ")", "!", "-name", "*-shm"];
        run("find", [&[&*place, "-xdev"], &found[..], &["-exec", "chattr", flag, "{}", "+"]].concat());
    }

    /// The disk meets an error and is read-only from now on, for good.
    pub fn break_for_good(&self) {
        let device = run("findmnt", ["-n", "-o", "SOURCE", &self.at.to_string_lossy()]);
        let name = device.trim().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").expect("the kernel lets a test break its disk");
    }

    /// Everything that lies in it, with its size, but what this test put there.
    pub fn files(&self) -> Vec<(String, u64)> {
        let entries = fs::read_dir(&self.at).expect("the disk can be read").map(|entry| entry.expect("an entry"));
        let mut files: Vec<_> = entries
            .map(|entry| {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                (entry.file_name().to_string_lossy().into_owned(), size)
            })
            .filter(|(name, _)| name != "ballast" && name != "lost+found")
            .collect();
        files.sort();
        files
    }

    fn ballast(&self) -> PathBuf {
        let dir = self.at.join("ballast");
        fs::create_dir_all(&dir).expect("there is room for a directory");
        dir
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Whoever still has a file open keeps what is detached until it ends; a disk that is gone already is fine.
        let place = self.at.to_string_lossy().into_owned();
        drop(std::process::Command::new("umount").args(["--lazy", &place]).status());
        debug_assert!(self.image.path().exists());
    }
}
