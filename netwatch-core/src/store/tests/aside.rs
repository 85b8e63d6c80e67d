//! A file that is damaged is set aside with every byte, netwatch goes on with all that can be read of it, and nothing is
//! invented.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{database, nth, open, outage};
use crate::journal::Journal;
use crate::model::{Change, Commit, Outage, OutageId, Saved, SavedNotifier, SavedTarget, Status, Wall};

const PAGE: usize = 4096;

/// Within which a start is to be done, whatever the file is like.
const START: Duration = Duration::from_secs(10);

/// The one database that was set aside in `dir`.
pub(super) fn old(dir: &Path) -> PathBuf {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names = names.filter(|name| name.starts_with("netwatch.db.damaged-") && name.ends_with('Z'));
    let name = names.next().expect("a file that was set aside");
    assert_eq!(names.next(), None, "more than one");
    dir.join(name)
}

/// Opens the journal in `dir`, which must set the old one aside byte for byte; what is in the new one, and what was said.
fn set_aside(dir: &Path) -> (Saved, String) {
    let read = |path: &Path| fs::read(path).unwrap_or_default();
    let with_log = |path: &Path| (read(path), read(&super::super::reserve::beside(path, "-wal")));
    let before = with_log(&database(dir));
    let begin = Instant::now();
    let mut journal = open(dir);
    let saved = journal.load().unwrap();
    assert!(begin.elapsed() < START, "took {:?}", begin.elapsed());
    let notices = journal.notices();
    assert_eq!((notices.len(), journal.notices()), (1, Vec::new()), "said once");
    let old = old(dir);
    assert!(before == with_log(&old), "what is kept is not what was there: {notices:?}");
    for word in ["netwatch.db was damaged", old.file_name().unwrap().to_str().unwrap(), ".recover"] {
        assert!(notices[0].contains(word), "`{word}` is not in: {}", notices[0]);
    }
    journal.commit(&Commit::new(1, vec![Change::PutNotifier(SavedNotifier::new("new", None))])).unwrap();
    (saved, notices[0].clone())
}

fn outages(dir: &Path) -> Vec<u64> {
    let conn = Connection::open(database(dir)).unwrap();
    let mut statement = conn.prepare("SELECT id FROM outages ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

const OUTAGES: u64 = 8000;

/// A journal with enough outages for some hundred pages, and one of everything else.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut changes: Vec<_> = (1..=OUTAGES).map(|n| Change::PutOutage(outage(n))).collect();
    changes.extend((0..2000).map(target));
    let mut journal = open(dir.path());
    journal.commit(&Commit::new(1, changes)).unwrap();
    journal.commit(&nth(1)).unwrap();
    dir
}

fn target(n: usize) -> Change {
    Change::PutTarget(SavedTarget::new(format!("{n:04}-{}", "x".repeat(100)), Status::Ok, Wall::from_unix_nanos(1)))
}

/// The leaves of the tree of `table`, in the order of its rows.
fn leaves(dir: &Path, table: &str) -> Vec<usize> {
    let file = fs::read(database(dir)).unwrap();
    let conn = Connection::open(database(dir)).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let mut level: Vec<usize> = vec![conn.query_row(root, [table], |row| row.get(0)).unwrap()];
    drop(conn);
    // Down through the interior pages: https://sqlite.org/fileformat.html#b_tree_pages
    while matches!(file[(level[0] - 1) * PAGE], 2 | 5) {
        level = level.iter().flat_map(|page| children(&file[(page - 1) * PAGE..page * PAGE])).collect();
    }
    assert!(level.len() > 20, "{table} has many pages");
    level
}

fn children(page: &[u8]) -> Vec<usize> {
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let child = |n: usize| {
        let at = usize::from(u16::from_be_bytes([page[12 + 2 * n], page[13 + 2 * n]]));
        u32::from_be_bytes(page[at..at + 4].try_into().unwrap()) as usize
    };
    (0..cells).map(child).collect()
}

fn overwrite(dir: &Path, page: usize) {
    let mut file = fs::read(database(dir)).unwrap();
    file[(page - 1) * PAGE..page * PAGE].fill(0x5a);
    fs::write(database(dir), file).unwrap();
}

#[test]
fn two_pages_in_the_middle_of_the_record_cost_their_rows_and_no_others() {
    let dir = filled();
    let leaves = leaves(dir.path(), "outages");
    overwrite(dir.path(), leaves[leaves.len() / 3]);
    overwrite(dir.path(), leaves[leaves.len() / 2]);
    let (saved, notice) = set_aside(dir.path());
    assert_eq!((saved.targets.len(), saved.lines.len(), saved.incidents.len()), (2001, 1, 1), "{notice}");
    assert!(notice.contains("not everything could be read of: outages;"), "{notice}");
    let kept = outages(dir.path());
    let lost = OUTAGES as usize - kept.len();
    assert!((50..400).contains(&lost), "two pages have {lost} rows");
    assert!(kept.contains(&1) && kept.contains(&OUTAGES), "both ends are there");
    let middle = kept.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(middle, 2, "what lies between the gaps is there too");
}

#[test]
fn a_page_in_the_middle_of_the_targets_costs_its_rows_and_no_others() {
    let dir = filled();
    let leaves = leaves(dir.path(), "targets");
    overwrite(dir.path(), leaves[leaves.len() / 2]);
    let (saved, notice) = set_aside(dir.path());
    let lost = 2001 - saved.targets.len();
    assert!((5..100).contains(&lost), "{lost} were lost: {notice}");
    assert_eq!(outages(dir.path()).len(), OUTAGES as usize);
}

#[test]
fn whatever_page_is_overwritten_nothing_is_invented() {
    let dir = tempfile::tempdir().unwrap();
    let mut truth = Saved::default();
    let mut journal = open(dir.path());
    for n in 1..=3 {
        journal.commit(&nth(n)).unwrap();
        truth.apply(&nth(n));
    }
    drop(journal);
    let whole = fs::read(database(dir.path())).unwrap();
    let mut complete = 0;
    for page in 1..=whole.len() / PAGE {
        let dir = tempfile::tempdir().unwrap();
        fs::write(database(dir.path()), &whole).unwrap();
        if page == 1 {
            // All of it would be a file of something else.
            let mut file = whole.clone();
            file[100..PAGE].fill(0x5a);
            fs::write(database(dir.path()), file).unwrap();
        } else {
            overwrite(dir.path(), page);
        }
        let mut journal = open(dir.path());
        let saved = journal.load().unwrap();
        let invented = |there: bool| assert!(there, "page {page}: {saved:?}");
        invented(saved.targets.values().all(|target| truth.targets.values().any(|known| known == target)));
        invented(saved.lines.values().all(|line| truth.lines.values().any(|known| known == line)));
        invented(saved.incidents.values().all(|incident| truth.incidents.values().any(|known| known == incident)));
        invented(saved.last_number >= truth.last_number || journal.notices().is_empty() || saved.targets.is_empty());
        complete += usize::from(saved == truth);
    }
    assert!(complete >= 3, "most pages are of tables that hold nothing, or of indexes: {complete}");
}

#[test]
fn a_flipped_bit_anywhere_never_keeps_netwatch_from_starting() {
    let whole = fs::read(database(filled().path())).unwrap();
    let mut random = fastrand::Rng::with_seed(56);
    for round in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        // The sixteen bytes that tell a database from other files are left out, and the version, which may be newer.
        let (at, bit) = (random.usize(100..whole.len()), random.u8(0..8));
        let mut file = whole.clone();
        file[at] ^= 1 << bit;
        fs::write(database(dir.path()), file).unwrap();
        let begin = Instant::now();
        let saved = open(dir.path()).load().unwrap();
        assert!(begin.elapsed() < START, "round {round}: bit {bit} of byte {at}: {:?}", begin.elapsed());
        assert!(saved.targets.len() > 1000, "round {round}: bit {bit} of byte {at}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_header_does_neither() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&nth(1)).unwrap();
    let whole = fs::read(database(dir.path())).unwrap();
    // By the version it may be newer, by the application's number somebody else's: that is refused.
    for at in (0..100).filter(|at| !matches!(at, 60..64 | 68..72)) {
        for bit in [0, 6] {
            let dir = tempfile::tempdir().unwrap();
            let mut file = whole.clone();
            file[at] ^= 1 << bit;
            fs::write(database(dir.path()), file).unwrap();
            let opened = super::SqliteJournal::open(database(dir.path()));
            let mut journal = opened.unwrap_or_else(|error| panic!("bit {bit} of byte {at}: {error}"));
            journal.commit(&nth(2)).unwrap_or_else(|error| panic!("bit {bit} of byte {at}: {error}"));
        }
    }
}

#[test]
fn a_file_that_was_cut_short() {
    let dir = filled();
    let whole = fs::read(database(dir.path())).unwrap();
    let mut most = 0;
    for length in [50, 99, 100, PAGE, 5000, whole.len() / 2, whole.len() - 1] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(database(dir.path()), &whole[..length]).unwrap();
        let (saved, notice) = set_aside(dir.path());
        assert!(notice.contains("not everything could be read"), "{length}: {notice}");
        most = saved.targets.len().max(most);
    }
    assert!(most > 0, "of a file that lacks its last byte something can be read");
}

#[test]
fn a_file_that_was_emptied_beside_its_log() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let writer = Connection::open(database(dir.path())).unwrap();
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    writer.execute_batch("INSERT INTO notifiers (name) VALUES ('noc')").unwrap();
    drop(writer);
    fs::write(database(dir.path()), b"").unwrap();
    assert!(set_aside(dir.path()).1.contains("it is empty and was not before"));
}

#[test]
fn a_file_whose_beginning_was_lost() {
    let whole = fs::read(database(filled().path())).unwrap();
    for (length, says) in [(whole.len(), "begins with zeros"), (1, "first bytes")] {
        let dir = tempfile::tempdir().unwrap();
        let mut file = whole.clone();
        file[..length].fill(0);
        fs::write(database(dir.path()), file).unwrap();
        let (_, notice) = set_aside(dir.path());
        assert!(notice.contains(says), "{notice}");
    }
}

#[test]
fn a_table_that_is_missing() {
    let dir = filled();
    Connection::open(database(dir.path())).unwrap().execute_batch("DROP TABLE told").unwrap();
    let (saved, notice) = set_aside(dir.path());
    assert!(saved.targets.len() == 2001 && notice.contains("not everything could be read of: told;"), "{notice}");
}

#[test]
fn a_record_that_means_nothing_is_left_out_and_the_rest_is_there() {
    let dir = filled();
    let meaningless = "UPDATE targets SET status = 'dead' WHERE name LIKE '0001%'";
    Connection::open(database(dir.path())).unwrap().execute_batch(meaningless).unwrap();
    let (saved, notice) = set_aside(dir.path());
    assert!(notice.contains("unknown status `dead`"), "{notice}");
    assert_eq!((saved.targets.len(), saved.lines.len()), (2000, 1));
}

#[test]
fn numbers_go_on_higher_where_it_cannot_be_read_which_were_given() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&nth(20)).unwrap();
    Connection::open(database(dir.path())).unwrap().execute_batch("DELETE FROM journal").unwrap();
    let (saved, _) = set_aside(dir.path());
    assert!(saved.last_number > 1_000_000, "{}", saved.last_number);
}

#[test]
fn what_cannot_be_set_aside_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let outage = Outage::open(OutageId::new(1), "olt-1".into(), None, Wall::default());
    open(dir.path()).commit(&Commit::new(1, vec![Change::PutOutage(outage)])).unwrap();
    overwrite(dir.path(), 2);
    let long = dir.path().join("n".repeat(235));
    fs::rename(database(dir.path()), &long).unwrap();
    let error = super::SqliteJournal::open(&long).unwrap_err().to_string();
    assert!(error.contains("cannot be set aside"), "{error}");
    assert!(long.exists(), "it is where it was");
}

#[test]
fn a_start_that_ended_between_the_two_names_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&nth(1)).unwrap();
    let beside = |suffix| super::super::reserve::beside(&database(dir.path()), suffix);
    fs::rename(database(dir.path()), beside(".new")).unwrap();
    fs::write(beside("-wal"), "the log of the old one").unwrap();
    assert_eq!(super::whole(&open(dir.path()).load().unwrap()), Some(1));
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("netwatch.db.damaged-") && name.ends_with("-wal")).count(), 1);
}
