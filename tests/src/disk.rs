//! A disk that fails, under SQLite: what it does, when, and what is left on it. `vfs` puts it there.
//!
//! It becomes the disk of every database of the process that calls [`Disk::take`], so netwatch's store runs on it
//! unchanged. It can
//!
//! * fail: writes that do not happen, or happen in part (a short write, or a page of which only some sectors arrive), a
//!   disk that is full, a sync that fails and then forgets what was not synced (as Linux may:
//!   <https://lwn.net/Articles/752063/>), and failing reads, opens, truncations and deletions;
//! * lose its power: from then on nothing succeeds, and [`Disk::after_power_cut`] shows what a disk may hold then: of
//!   everything that was not synced each sector of 512 bytes arrived or not, by the seed.
//!
//! Only what SQLite does goes through it; files that are made beside SQLite are taken to be on the disk at once.

mod vfs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use fastrand::Rng;

const SECTOR: usize = 512;

/// How many calls in a row fail at most.
const LONGEST_BURST: u32 = 12;

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// Nothing.
    #[default]
    Healthy,
    /// About one call in this many fails, and some of those that follow.
    Failing(u32),
    /// The power goes after this many calls that change something.
    PowerCut(u32),
}

/// The disk under SQLite, for as long as this lives; others wait for it.
#[derive(Debug)]
pub struct Disk(#[expect(dead_code, reason = "held, not used")] MutexGuard<'static, ()>);

impl Disk {
    /// A healthy disk whose faults will follow from this seed.
    pub fn take(seed: u64) -> Disk {
        static ONE: Mutex<()> = Mutex::new(());
        static REGISTERED: OnceLock<()> = OnceLock::new();
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        REGISTERED.get_or_init(vfs::register);
        *state() = Some(State::new(seed));
        Disk(guard)
    }

    /// From now on it is like this.
    pub fn set(&self, mood: Mood) {
        with(|state| (state.mood, state.burst, state.changes) = (mood, 0, 0));
    }

    /// Whether syncs of write-ahead logs are acknowledged and not done, as by a drive that lies.
    pub fn ignore_syncs_of_logs(&self, ignore: bool) {
        with(|state| state.ignores_log_syncs = ignore);
    }

    /// How many calls failed, by what failed.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        with(|state| state.faults.clone())
    }

    /// Writes into `to` what the disk may hold if its power goes now. Whoever used it must be gone.
    pub fn after_power_cut(&self, to: &Path) {
        with(|state| {
            for (path, image) in &state.files {
                if let Some(content) = image.after_power_cut(&mut state.rng) {
                    let name = path.file_name().expect("a file has a name");
                    std::fs::write(to.join(name), content).expect("a directory of the test");
                }
            }
        });
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// It does nothing and fails.
    Error,
    /// It does nothing, for want of room.
    Full,
    /// A write of which only the beginning arrives, for want of room or not.
    Short {
        full: bool,
    },
    /// A write of which only some sectors arrive, and which fails.
    Torn,
    /// A sync that is acknowledged and not done.
    Ignored,
    /// There is no power: it does nothing, and whoever sees that it fails is gone.
    Dark,
}

/// What SQLite asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
    Shm,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    rng: Rng,
    /// So many of the next calls fail too.
    burst: u32,
    /// How many calls changed something since the mood is so.
    changes: u32,
    ignores_log_syncs: bool,
    files: BTreeMap<PathBuf, Image>,
    faults: BTreeMap<&'static str, u64>,
}

impl State {
    fn new(seed: u64) -> State {
        State {
            mood: Mood::Healthy,
            rng: Rng::with_seed(seed),
            burst: 0,
            changes: 0,
            ignores_log_syncs: false,
            files: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    /// Decides about a call on this file.
    fn fate(&mut self, call: Call, path: &Path) -> Fate {
        let fails = match self.mood {
            Mood::Healthy => false,
            Mood::Failing(one_in) => {
                if self.burst == 0 && self.rng.u32(0..one_in) == 0 {
                    self.burst = self.rng.u32(1..=LONGEST_BURST);
                }
                let fails = self.burst > 0;
                self.burst = self.burst.saturating_sub(1);
                fails
            }
            Mood::PowerCut(after) => {
                let dark = self.changes >= after;
                self.changes += u32::from(!matches!(call, Call::Read | Call::Open | Call::Shm));
                if dark {
                    return Fate::Dark;
                }
                false
            }
        };
        if !fails {
            let lies = call == Call::Sync && self.ignores_log_syncs && is_log(path);
            return if lies { Fate::Ignored } else { Fate::Done };
        }
        let (fate, name) = match call {
            Call::Write => match self.rng.u32(0..5) {
                0 => (Fate::Error, "write"),
                1 => (Fate::Full, "full"),
                2 => (Fate::Short { full: false }, "short write"),
                3 => (Fate::Short { full: true }, "short write on a full disk"),
                _ => (Fate::Torn, "torn write"),
            },
            Call::Sync => (Fate::Error, "sync"),
            Call::Open => (Fate::Error, "open"),
            Call::Read => (Fate::Error, "read"),
            Call::Truncate => (Fate::Error, "truncate"),
            Call::Delete => (Fate::Error, "delete"),
            Call::Shm => (Fate::Error, "shared memory"),
        };
        *self.faults.entry(name).or_default() += 1;
        fate
    }

    /// A file was opened; `content` is what is there.
    fn opened(&mut self, path: &Path, content: Vec<u8>) {
        let image = self.files.entry(path.to_owned()).or_default();
        if !image.exists || image.now != content {
            // It was created by SQLite, or put there by somebody beside it.
            let before = image.synced.take();
            let synced = if content.is_empty() { None } else { Some(content.clone()) };
            *image = Image { exists: true, now: content, synced, before, dirty: BTreeSet::new() };
        }
    }

    fn deleted(&mut self, path: &Path) {
        if let Some(image) = self.files.get_mut(path) {
            image.exists = false;
        }
    }

    fn synced(&mut self, path: &Path) {
        let image = self.image(path);
        let is_new = image.synced.is_none();
        image.sync();
        if is_new {
            // SQLite syncs the directory with the first sync of a file, and what was deleted in it stays so.
            self.files.retain(|_, image| image.exists);
        }
    }

    fn image(&mut self, path: &Path) -> &mut Image {
        self.files.entry(path.to_owned()).or_default()
    }
}

/// What was written to a file, and what of it is certainly on the disk.
#[derive(Debug, Default)]
struct Image {
    exists: bool,
    now: Vec<u8>,
    /// Absent while it was never synced.
    synced: Option<Vec<u8>>,
    /// A file of this name that was deleted when this one was not synced yet.
    before: Option<Vec<u8>>,
    /// The sectors in which `now` and `synced` differ.
    dirty: BTreeSet<usize>,
}

impl Image {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        self.now[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR..end.div_ceil(SECTOR));
    }

    fn truncate(&mut self, length: usize) {
        self.dirty.extend(length / SECTOR..self.now.len().max(length).div_ceil(SECTOR));
        self.now.resize(length, 0);
    }

    fn sync(&mut self) {
        let synced = self.synced.get_or_insert_default();
        synced.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let place = place(sector, self.now.len());
            synced[place.clone()].copy_from_slice(&self.now[place]);
        }
        self.before = None;
    }

    /// Puts the old content of some sectors back that were not synced, and says what is where now.
    fn forget_some(&mut self, rng: &mut Rng) -> Vec<(usize, Vec<u8>)> {
        let synced = self.synced.clone().unwrap_or_default();
        let mut forgotten = Vec::new();
        self.dirty.retain(|sector| {
            let place = place(*sector, self.now.len().min(synced.len()));
            if place.is_empty() || rng.bool() {
                return true;
            }
            self.now[place.clone()].copy_from_slice(&synced[place.clone()]);
            forgotten.push((place.start, synced[place].to_vec()));
            false
        });
        forgotten
    }

    /// What may be there after a power cut; nothing, if the file may not be.
    fn after_power_cut(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        let Some(synced) = &self.synced else {
            return match (&self.before, rng.u32(0..3)) {
                (_, 0) => None,
                (Some(before), 1) => Some(before.clone()),
                _ => Some(self.with_some_sectors(&[], rng)),
            };
        };
        if !self.exists && rng.bool() {
            return None;
        }
        Some(self.with_some_sectors(synced, rng))
    }

    fn with_some_sectors(&self, synced: &[u8], rng: &mut Rng) -> Vec<u8> {
        // The new length may have arrived or not.
        let length = if rng.bool() { synced.len() } else { self.now.len() };
        let mut content = synced.to_vec();
        content.resize(length, 0);
        for sector in &self.dirty {
            let place = place(*sector, length.min(self.now.len()));
            if rng.bool() {
                content[place.clone()].copy_from_slice(&self.now[place]);
            }
        }
        content
    }
}

/// Where a sector is in a file of this length.
fn place(sector: usize, length: usize) -> std::ops::Range<usize> {
    let end = ((sector + 1) * SECTOR).min(length);
    (sector * SECTOR).min(end)..end
}

fn is_log(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with("-wal"))
}

fn state() -> MutexGuard<'static, Option<State>> {
    static STATE: Mutex<Option<State>> = Mutex::new(None);
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(look: impl FnOnce(&mut State) -> T) -> T {
    look(state().as_mut().expect("a disk that was taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_of_the_rest_each_sector_may() {
        let mut image = Image { exists: true, ..Image::default() };
        image.write(0, &[1; 4 * SECTOR]);
        image.sync();
        image.write(SECTOR, &[2; 3 * SECTOR]);
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let content = image.after_power_cut(&mut Rng::with_seed(seed)).expect("it was synced");
            assert_eq!((content.len(), content[0]), (4 * SECTOR, 1));
            let sectors: Vec<u8> = content.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(content.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            seen.insert(sectors);
        }
        assert_eq!(seen.len(), 8, "every subset of three sectors");
    }

    #[test]
    fn a_failed_sync_forgets_and_the_next_one_does_not_bring_it_back() {
        let mut image = Image { exists: true, ..Image::default() };
        image.write(0, &[1; 64 * SECTOR]);
        image.sync();
        image.write(0, &[2; 64 * SECTOR]);
        let forgotten = image.forget_some(&mut Rng::with_seed(1));
        assert!(!forgotten.is_empty() && forgotten.len() < 64);
        image.sync();
        for (at, old) in forgotten {
            assert_eq!(image.synced.as_ref().expect("synced")[at..at + old.len()], old);
        }
    }

    #[test]
    fn a_shorter_length_may_not_have_arrived() {
        let mut image = Image { exists: true, ..Image::default() };
        image.write(0, &[1; 2 * SECTOR]);
        image.sync();
        image.truncate(0);
        let lengths: BTreeSet<usize> =
            (0..50).filter_map(|seed| image.after_power_cut(&mut Rng::with_seed(seed))).map(|c| c.len()).collect();
        assert_eq!(lengths, BTreeSet::from([0, 2 * SECTOR]));
    }
}
