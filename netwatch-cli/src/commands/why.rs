//! `netwatch why`: the reason for each mail that came or did not, out of the ledger in the data directory.

mod moment;
mod story;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use netwatch_core::{LedgerEntry, LedgerError, SqliteLedger, Wall};

use self::moment::moment;
use self::story::View;
use super::{Exit, complain, configured, say};
use crate::args;
use crate::config::{self, Purpose};
use crate::wire::DATABASE;
use crate::words;

/// How far back it looks if no time is given.
const LATELY: Duration = Duration::from_secs(24 * 3600);

/// How far from the time given an outage may lie.
const AROUND: Duration = Duration::from_secs(30 * 60);

/// Reads, and says what was decided about the device and why.
pub(crate) fn why(common: &args::Common, options: &args::Why) -> Exit {
    let (config, _) = match configured(common, Purpose::Look) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let Some(dir) = config::data_dir(common.data_dir.as_deref(), &config) else {
        complain("error: no data directory is known\n  = help: name it with --data-dir, or set `data_dir`");
        return Exit::Usage;
    };
    let zone = config.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
    let now = Timestamp::now();
    let asked = options.time.join(" ");
    let at = if options.time.is_empty() { None } else { Some(moment(&asked, &zone, now)) };
    if at == Some(None) {
        complain(&format!(
            "error: `{}` is not a time\n  = help: write HH:MM, \"YYYY-MM-DD HH:MM\", or RFC 3339, as 2026-11-25T03:12:00-03:00",
            words::printable(&asked)
        ));
        return Exit::Usage;
    }
    let (target, path) = (options.target.as_str(), dir.join(DATABASE));
    let names = || config.plan.targets.iter().map(|target| &*target.name);
    let found = story_of(&path, target, at.flatten().map(wall), wall(now));
    let is_known = target.is_empty() || names().any(|name| name == target);
    if !is_known && found.as_ref().map_or(true, Vec::is_empty) && !is_recorded(&path, target) {
        complain(&unknown(target, nearest(target, names())));
        return Exit::Usage;
    }
    let entries = match found {
        Ok(entries) => entries,
        Err(error) => {
            complain(&format!("error: {error}\n  = help: name the data directory of the daemon with --data-dir"));
            return Exit::Wrong;
        }
    };
    if options.json {
        say(&story::json(&entries).to_string());
    } else if !entries.is_empty() {
        say(story::show(target, &entries, &View { locale: config.plan.locale, zone }).trim_end());
    }
    if !entries.is_empty() {
        return Exit::Fine;
    }
    let name = if target.is_empty() { "netwatch" } else { target };
    complain(&format!("{} {}", words::nothing_recorded(config.plan.locale), words::printable(name)));
    Exit::Wrong
}

/// What is recorded around `at`, or lately; if nothing is, the last outage before that.
fn story_of(path: &Path, target: &str, at: Option<Wall>, now: Wall) -> Result<Vec<LedgerEntry>, LedgerError> {
    let (from, to) = match at {
        Some(at) => (at.minus(AROUND), at.plus(AROUND)),
        None => (now.minus(LATELY), now),
    };
    let entries = SqliteLedger::read(path, target, from, to)?;
    if !entries.is_empty() {
        return Ok(entries);
    }
    match SqliteLedger::last(path, target, to)? {
        Some(last) => SqliteLedger::read(path, target, last, last),
        None => Ok(entries),
    }
}

/// Whether the ledger speaks of a device that the configuration does not name: one that is watched no more.
fn is_recorded(path: &Path, target: &str) -> bool {
    SqliteLedger::last(path, target, Wall::from_unix_nanos(i64::MAX)).is_ok_and(|last| last.is_some())
}

fn unknown(target: &str, nearest: Option<&str>) -> String {
    let help = match nearest {
        Some(name) => format!("did you mean `{}`?", words::printable(name)),
        None => "`netwatch status` lists the names".to_owned(),
    };
    format!("error: no device is called `{}`, and the ledger has none\n  = help: {help}", words::printable(target))
}

/// The name that was probably meant.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let most = word.chars().count().saturating_add(1) / 3;
    names
        .map(|name| (strsim::osa_distance(&word, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= most.max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn wall(at: Timestamp) -> Wall {
    Wall::from(std::time::SystemTime::from(at))
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Decision, Event, OutageId, SqliteJournal, StatusSink};

    use super::*;

    #[tokio::test]
    async fn it_tells_of_lately_or_else_of_the_last_outage_and_of_the_outage_asked_about() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DATABASE);
        let _journal = SqliteJournal::open(&path).unwrap();
        let now = wall(Timestamp::now());
        let hours = |hours: u64| now.minus(Duration::from_secs(hours * 3600));
        let entry = |ago, outage, decision| {
            Event::Ledger(LedgerEntry::new(hours(ago), "olt-1".into(), Some(OutageId::new(outage)), decision))
        };
        let ledger = SqliteLedger::new(&path).unwrap();
        ledger
            .events(&[entry(100, 1, Decision::Due), entry(90, 1, Decision::Closed), entry(40, 2, Decision::Due)])
            .await;
        ledger.stop().await;
        let outages = |at: Option<Wall>, now: Wall| {
            let story = story_of(&path, "olt-1", at, now).unwrap();
            story.iter().map(|entry| (entry.outage.unwrap().number(), entry.decision.code())).collect::<Vec<_>>()
        };
        let first = [(1, "due"), (1, "closed")];
        assert_eq!(outages(None, now), [(2, "due")], "the last outage");
        assert_eq!(outages(None, hours(70)), first, "an outage lately, whole");
        assert_eq!(outages(Some(hours(95)), now), first, "nothing was decided then, and it was under way");
        assert_eq!(outages(Some(hours(40)), now), [(2, "due")]);
        assert_eq!(outages(Some(hours(200)), now), []);
    }

    #[test]
    fn a_name_that_was_probably_meant_is_offered() {
        let names = ["olt-1", "olt-centro", "ñandú"];
        assert_eq!(nearest("olt-cento", names.into_iter()), Some("olt-centro"));
        assert_eq!(nearest("ÑANDU", names.into_iter()), Some("ñandú"));
        assert_eq!(nearest("router", names.into_iter()), None);
        assert!(unknown("a\u{1b}", Some("b\u{1b}")).contains("`a\\u{1b}`"));
    }
}
