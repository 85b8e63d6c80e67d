//! Where the peers come from: Debian's packages, unpacked beside our own build and never installed, so that no service of theirs
//! starts; surge-ping from crates.io.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use netwatch_tests::process::finish;

use crate::report::sources;

const PACKAGES: [&str; 5] = [
    "fping",
    "iputils-ping",
    "monitoring-plugins-basic",
    "prometheus-blackbox-exporter",
    "prometheus-smokeping-prober",
];

/// All of them, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    root: PathBuf,
    versions: Vec<String>,
}

impl Programs {
    /// Fetches what is not there yet. Panics with the words of apt-get or cargo if that fails.
    pub(super) fn get() -> Programs {
        let me = std::env::current_exe().expect("a running program knows its path");
        let root = me.ancestors().nth(2).expect("target/release").join("peers");
        fs::create_dir_all(&root).expect("our own directory can be written");
        let packages = root.join("packages");
        let versions = PACKAGES.iter().map(|name| unpack(&packages, &root.join("root"), name)).collect();
        let manifest = sources().join("surge/Cargo.toml");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
        ask(cargo.arg("--target-dir").arg(&root));
        Programs { root, versions }
    }

    /// Their names and versions.
    pub(super) fn versions(&self) -> String {
        let lock = fs::read_to_string(sources().join("surge/Cargo.lock")).unwrap_or_default();
        let mut lines = lock.lines().skip_while(|line| *line != "name = \"surge-ping\"");
        let surge = lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("?");
        format!("{}, surge-ping {surge}", self.versions.join(", "))
    }

    /// A program of Debian's by its path there.
    pub(super) fn debian(&self, path: &str) -> PathBuf {
        let path = self.root.join("root").join(path);
        assert!(path.is_file(), "{} is missing: remove {} and try again", path.display(), self.root.display());
        path
    }

    /// The small program around surge-ping.
    pub(super) fn surge(&self) -> PathBuf {
        self.root.join("release/surge")
    }
}

/// Unpacks a package unless it has been, and returns its name and version.
fn unpack(packages: &Path, root: &Path, name: &str) -> String {
    let find = || {
        let files = fs::read_dir(packages).into_iter().flatten().flatten().map(|file| file.file_name());
        files.filter_map(|file| file.into_string().ok()).find(|file| file.starts_with(&format!("{name}_")))
    };
    if find().is_none() {
        fs::create_dir_all(packages).expect("our own directory can be written");
        let download = || finish(Command::new("apt-get").args(["download", name]).current_dir(packages));
        if download().is_err() {
            ask(Command::new("apt-get").arg("update"));
            download().unwrap_or_else(|error| panic!("{error}"));
        }
        let file = find().expect("apt-get has downloaded it");
        ask(Command::new("dpkg-deb").arg("-x").arg(packages.join(file)).arg(root));
    }
    let file = find().expect("it was found or downloaded");
    file.rsplit_once('_').map_or(file.clone(), |(package, _)| package.replace('_', " "))
}

fn ask(command: &mut Command) {
    finish(command).unwrap_or_else(|error| panic!("{error}"));
}
