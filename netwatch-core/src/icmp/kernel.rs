//! Where the kernel tells of its limits. What cannot be read counts nothing: no engine fails for it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::limits::{self, Counted, Limits, News, Table};
use super::neighbours::Neighbours;
use crate::model::{Cause, Family, Mono};

const SOFTNET: &str = "/proc/thread-self/net/softnet_stat";
const CONNTRACK: &str = "/proc/thread-self/net/stat/nf_conntrack";
const FLOWS: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MOST_FLOWS: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// What the engine asks about the limits of this machine, in its own network namespace.
#[derive(Debug)]
pub(super) struct Kernel {
    sources: Sources,
    limits: Limits,
}

#[derive(Debug)]
struct Sources {
    softnet: Source,
    conntrack: Source,
    flows: Source,
    most_flows: Source,
    neighbours: Option<Neighbours>,
    text: Vec<u8>,
}

/// A file that may appear later: that of conntrack is there once a rule needs it.
#[derive(Debug)]
struct Source {
    path: &'static str,
    file: Option<File>,
}

impl Kernel {
    /// Begins to watch. Of what cannot be read nothing is said.
    pub(super) fn watch(now: Mono) -> Kernel {
        Kernel::told_by(SOFTNET, now)
    }

    /// The same, but `softnet` tells of the CPUs' queues.
    pub(super) fn told_by(softnet: &'static str, now: Mono) -> Kernel {
        let source = |path| Source { path, file: None };
        let mut sources = Sources {
            softnet: source(softnet),
            conntrack: source(CONNTRACK),
            flows: source(FLOWS),
            most_flows: source(MOST_FLOWS),
            neighbours: Neighbours::open().ok(),
            text: vec![0; 64 << 10],
        };
        let tables = [Family::V4, Family::V6].map(|family| sources.neighbours(family));
        Kernel { limits: Limits::new(now, sources.counted(), tables), sources }
    }

    /// What happened since the last look, if it is time for one: sooner if timeouts are about to be `ending`.
    pub(super) fn look(&mut self, now: Mono, is_ending: bool) -> Option<News> {
        self.limits.look(now, is_ending, || self.sources.counted())
    }

    /// The cause behind the one that an error of a send names.
    pub(super) fn behind(&mut self, cause: Cause, family: Family, now: Mono) -> Cause {
        let Kernel { sources, limits } = self;
        let Sources { flows, most_flows, neighbours, text, .. } = sources;
        let is_full = || is_conntrack_full(flows, most_flows, text);
        let table = || neighbours.as_ref().map(|neighbours| neighbours.table(family)).unwrap_or_default();
        limits.behind(cause, family == Family::V6, now, is_full, table)
    }
}

impl Sources {
    fn counted(&mut self) -> Counted {
        let Sources { softnet, conntrack, flows, most_flows, text, .. } = self;
        Counted {
            softnet: softnet.read(text).map(limits::softnet).unwrap_or_default(),
            conntrack_drops: conntrack.read(text).map_or(0, limits::conntrack_drops),
            is_conntrack_full: is_conntrack_full(flows, most_flows, text),
        }
    }

    fn neighbours(&self, family: Family) -> Table {
        self.neighbours.as_ref().map(|neighbours| neighbours.table(family)).unwrap_or_default()
    }
}

impl Source {
    /// The whole file, or as much of it as there is room for.
    fn read<'a>(&mut self, text: &'a mut [u8]) -> Option<&'a str> {
        if self.file.is_none() {
            self.file = File::open(self.path).ok();
        }
        let file = self.file.as_ref()?;
        let mut length = 0;
        loop {
            match file.read_at(text.get_mut(length..)?, length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(_) => return None,
            }
        }
        let read = text.get(..length)?;
        str::from_utf8(read).ok()
    }
}

/// Whether no flow can be added.
fn is_conntrack_full(flows: &mut Source, most_flows: &mut Source, text: &mut [u8]) -> bool {
    let mut number = |source: &mut Source| source.read(text)?.trim().parse::<u64>().ok();
    match (number(flows), number(most_flows)) {
        // Others may have ended since ours was refused.
        (Some(flows), Some(most)) => most > 0 && flows.saturating_add(flows / 64) >= most,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &'static str) -> Source {
        Source { path, file: None }
    }

    #[test]
    fn this_machine_tells_what_it_has_counted() {
        let mut kernel = Kernel::watch(Mono::ZERO);
        let counted = kernel.sources.counted();
        assert!(counted.softnet.processed > 0, "{counted:?}");
        assert!(kernel.sources.counted().softnet.processed >= counted.softnet.processed);
        assert_eq!(kernel.behind(Cause::NoRoute, Family::V6, Mono::from_nanos(1)), Cause::NoRoute);
    }

    #[test]
    fn where_there_is_no_file_nothing_is_counted_and_nothing_is_full() {
        let (mut none, mut text) = (source("/proc/no such file"), [0; 99]);
        assert_eq!(none.read(&mut text), None);
        assert!(!is_conntrack_full(&mut source("/proc/no such file"), &mut none, &mut text));
    }

    #[test]
    fn a_file_is_read_to_its_end_or_as_far_as_there_is_room() {
        let mut text = vec![0; 64 << 10];
        let whole = source("/proc/self/net/softnet_stat").read(&mut text).unwrap().to_owned();
        assert!(whole.ends_with('\n'));
        assert_eq!(source("/proc/self/net/softnet_stat").read(&mut [0; 5]).map(str::len), Some(5));
    }
}
