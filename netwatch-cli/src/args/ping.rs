//! The options of `netwatch ping`: fping's letters where fping has one, and times that bear their unit.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::fmt::friendly::SpanParser;

/// The least time from one packet to the next: what `-i 0` means.
const FASTEST: Duration = Duration::from_micros(10);

/// So many echoes of a host are remembered: medians are of the last so many, and `-C` takes no more.
pub(crate) const REMEMBERED: u32 = 4096;

#[derive(Debug, Clone, Args)]
pub(crate) struct Ping {
    /// Addresses or names; each is asked once, however often it is named
    #[arg(required_unless_present = "file", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// More hosts, separated by white space; # begins a comment, - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The hosts are networks (10.0.0.0/24), or the first and the last address of one range; without the network's own
    /// and its broadcast address
    #[arg(short, long, conflicts_with = "file")]
    pub(crate) generate: bool,
    /// Echoes to each host [default: 5; with -a or -u at most 3]
    #[arg(short, long, value_name = "N", value_parser = count)]
    pub(crate) count: Option<NonZeroU32>,
    /// As many, and then one line a host with the milliseconds of each echo in their order: - without a reply, ? unknown
    #[arg(short = 'C', long, value_name = "N", conflicts_with = "count", value_parser = vcount)]
    pub(crate) vcount: Option<NonZeroU32>,
    /// Go on until Ctrl-C
    #[arg(short, long = "loop", conflicts_with_all = ["count", "vcount"])]
    pub(crate) looping: bool,
    /// Time from one echo to the next to the same host; longer if there are so many hosts that a round takes longer
    #[arg(short = 'p', long, visible_alias = "period", value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Time from one packet to the next, to whatever host (fping's -i); 0 is as fast as netwatch goes: 10us
    #[arg(short = 'i', long, value_name = "TIME", default_value = "1ms", value_parser = packet_interval)]
    pub(crate) packet_interval: Duration,
    /// How long a reply may take
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Bytes of payload in each echo, from 24 to 1472; a reply must bring all of them back
    #[arg(short = 'b', long, value_name = "BYTES", default_value = "24", value_parser = clap::value_parser!(u16).range(24..=1472))]
    pub(crate) size: u16,
    /// Only IPv4 addresses of names; an address is taken as it is
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6")]
    pub(crate) v4: bool,
    /// Only IPv6 addresses of names
    #[arg(short = '6', long = "ipv6")]
    pub(crate) v6: bool,
    /// Show only the hosts that answer, one a line; each is asked until it answers, or nothing came in time to any echo
    #[arg(short, long, conflicts_with_all = ["unreach", "vcount", "looping", "json"])]
    pub(crate) alive: bool,
    /// Show only the hosts that do not answer, one a line; asked as with -a
    #[arg(short, long, conflicts_with_all = ["vcount", "looping", "json"])]
    pub(crate) unreach: bool,
    /// One JSON object a host, and nothing else
    #[arg(long, conflicts_with = "vcount")]
    pub(crate) json: bool,
    /// Only the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl Ping {
    /// How many echoes each host gets; `None` without end.
    pub(crate) fn rounds(&self) -> Option<NonZeroU32> {
        let usual = if self.until_answered() { 3 } else { 5 };
        if self.looping { None } else { self.vcount.or(self.count).or(NonZeroU32::new(usual)) }
    }

    /// Whether a host is done with once it has answered.
    pub(crate) fn until_answered(&self) -> bool {
        self.alive || self.unreach
    }
}

fn count(text: &str) -> Result<NonZeroU32, String> {
    counted(text, 1_000_000)
}

fn vcount(text: &str) -> Result<NonZeroU32, String> {
    counted(text, REMEMBERED)
}

fn counted(text: &str, most: u32) -> Result<NonZeroU32, String> {
    let count = text.parse().ok().filter(|count: &NonZeroU32| count.get() <= most);
    count.ok_or_else(|| format!("write a number from 1 to {most}"))
}

fn interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(10), Duration::from_secs(3600))
}

fn packet_interval(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(FASTEST);
    }
    within(text, FASTEST, Duration::from_secs(10))
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_secs(300))
}

/// A time with its unit. A plain number would be seconds to who knows ping(8), and milliseconds to who knows fping(8).
fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!("write the unit too: {text}ms or {text}s"));
    }
    let time = SpanParser::new().parse_unsigned_duration(text);
    let time = time.map_err(|_| "write a time such as 200ms, 1s or 1m")?;
    if (least..=most).contains(&time) { Ok(time) } else { Err(format!("it must be from {least:?} to {most:?}")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        ping: Ping,
    }

    fn parsed(line: &str) -> Option<Ping> {
        let words = std::iter::once("ping").chain(line.split_whitespace());
        Line::try_parse_from(words).ok().map(|line| line.ping)
    }

    #[test]
    fn a_time_is_bounded_and_bears_its_unit() {
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("0.2s"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(packet_interval("0.1ms"), Ok(Duration::from_micros(100)));
        assert_eq!(packet_interval("20us"), Ok(Duration::from_micros(20)));
        assert_eq!(packet_interval("0"), Ok(FASTEST));
        for text in ["0", "10", "-1", "1ms", "2h", "soon", "NaN", "inf", ""] {
            assert!(interval(text).is_err(), "{text}");
        }
        for text in ["1", "9us", "11s", "0ms"] {
            assert!(packet_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_letters_are_those_of_fping() {
        let ping = parsed("-c 3 -p 500ms -i 2ms -t 300ms -q 192.0.2.1").unwrap();
        assert_eq!(ping.rounds(), NonZeroU32::new(3));
        assert_eq!((ping.interval, ping.packet_interval), (Duration::from_millis(500), Duration::from_millis(2)));
        assert_eq!(parsed("-C 20 192.0.2.1").unwrap().rounds(), NonZeroU32::new(20));
        assert_eq!(parsed("x").unwrap().rounds(), NonZeroU32::new(5));
        assert_eq!(parsed("-a x").unwrap().rounds(), NonZeroU32::new(3));
        assert_eq!(parsed("-l 192.0.2.1").unwrap().rounds(), None);
        assert!(parsed("-a -f -").unwrap().until_answered() && parsed("-u 192.0.2.1").unwrap().until_answered());
        for line in [
            "",
            "-a -u x",
            "-c 0 x",
            "-c 1000001 x",
            "-C 4097 x",
            "-l -c 2 x",
            "-g -f list",
            "-4 -6 x",
            "-a --json x",
            "-b 23 x",
            "-b 1473 x",
        ] {
            assert!(parsed(line).is_none(), "{line}");
        }
    }
}
