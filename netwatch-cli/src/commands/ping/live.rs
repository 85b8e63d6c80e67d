//! The live table: as many hosts as the terminal has lines for, the worst first when they are more. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use netwatch_core::{Echo, Locale, Rtt};

use super::show;
use super::tally::Tally;
use crate::table::{self, Cell};
use crate::words;

/// So many echoes are shown as history.
const HISTORY: usize = 24;
/// Of the reason why nothing comes, at least so much is shown, or nothing.
const NOTE: usize = 16;
const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "1;31";
const GREY: &str = "90";

/// What the terminal is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) colour: bool,
    /// Whether it shows more than ASCII.
    pub(crate) unicode: bool,
    pub(crate) locale: Locale,
}

/// The table as lines without their ends, none longer and not more than fit, the last one the sum of it all.
pub(crate) fn frame(tallies: &[Tally], look: &Look, elapsed: Duration) -> Vec<String> {
    // The heading, the sum, and the line on which the cursor stands.
    let room = look.rows.saturating_sub(3).max(1);
    let mut order: Vec<usize> = (0..tallies.len()).collect();
    let rest = tallies.len().saturating_sub(room);
    if rest > 0 {
        let shown = room.saturating_sub(1).max(1);
        let key = |place: &usize| (tallies.get(*place).map(rank), *place);
        order.select_nth_unstable_by_key(shown.min(tallies.len().saturating_sub(1)), key);
        order.truncate(shown);
        order.sort_unstable_by_key(key);
    }
    let mut rows = vec![heading(look.locale)];
    rows.extend(order.iter().filter_map(|place| tallies.get(*place)).map(|tally| row(tally, look)));
    let mut lines = table::lines(&rows, look.colour, look.columns);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    let plain = |text: String| text.chars().take(look.columns).collect::<String>();
    if rest > 0 {
        let rest = tallies.len().saturating_sub(order.len());
        lines.push(plain(format!("{} {rest} {}", if look.unicode { "…" } else { "..." }, words::more(look.locale))));
    }
    lines.push(plain(sum(tallies, look, elapsed)));
    lines
}

/// The worst first: silence, then loss, then doubt, then slowness, and last who was not asked yet.
fn rank(tally: &Tally) -> (u8, Reverse<u32>, Reverse<Option<Rtt>>) {
    let loss = tally.loss_share().unwrap_or(0.0);
    let class = match tally {
        _ if tally.is_silent() => 0,
        _ if tally.lost > 0 => 1,
        _ if tally.cause.is_some() => 2,
        _ if tally.answered > 0 => 3,
        _ => 4,
    };
    (class, Reverse((loss * 1000.0) as u32), Reverse(tally.most))
}

fn heading(locale: Locale) -> Vec<Cell> {
    vec![
        Cell::text(words::name(locale)),
        Cell::figure(words::echoes(locale)),
        Cell::figure(words::loss(locale)),
        Cell::figure(words::last(locale)),
        Cell::figure(words::least(locale)),
        Cell::figure(words::median(locale)),
        Cell::figure(words::most(locale)),
        Cell::text(words::history(locale)),
    ]
}

fn row(tally: &Tally, look: &Look) -> Vec<Cell> {
    let colour = match tally {
        _ if tally.is_silent() => RED,
        _ if tally.lost > 0 => YELLOW,
        _ if tally.cause.is_some() => GREY,
        _ if tally.answered > 0 => GREEN,
        _ => "",
    };
    let number = |rtt: Rtt| words::decimal(rtt.as_millis_f64(), 3, look.locale);
    let ms = |rtt: Option<Rtt>| Cell::figure(format!("{:>7}", rtt.map_or_else(|| "-".to_owned(), number)));
    let loss = tally.loss_share().map(|loss| format!("{} %", words::decimal(loss * 100.0, 1, look.locale)));
    let last = match tally.last {
        Some(Echo::Reply(rtt)) => ms(Some(rtt).filter(|rtt| rtt.is_measured())),
        Some(Echo::Lost(_)) => ms(None).coloured(RED),
        Some(_) => Cell::figure("?").coloured(GREY),
        None => ms(None),
    };
    let loss = Cell::figure(loss.unwrap_or_else(|| "-".to_owned()));
    let mut row = vec![
        Cell::text(show::named(tally)).coloured(colour),
        Cell::figure(tally.sent().to_string()),
        if tally.lost > 0 { loss.coloured(colour) } else { loss },
        last,
        ms(tally.least),
        ms(tally.median()),
        ms(tally.most),
        Cell::text(history(tally, look.unicode)).painted(paint),
    ];
    if let Some(why) = reason(tally, look.locale) {
        row.push(Cell::text(why).coloured(GREY).at_least(NOTE));
    }
    row
}

/// Why it is as it is, where something is known of that.
fn reason(tally: &Tally, locale: Locale) -> Option<&'static str> {
    let cause = tally.cause.and_then(|cause| words::cause(cause.code(), locale));
    cause.or_else(|| tally.loss.and_then(|loss| words::loss_cause(loss.code(), locale)))
}

/// The last echoes, a letter each: the higher the slower, seen from the fastest of this host. A reply whose RTT was not
/// measured is the lowest.
fn history(tally: &Tally, unicode: bool) -> String {
    let skipped = tally.fates().len().saturating_sub(HISTORY);
    let floor = tally.least.map_or(0.0, Rtt::as_millis_f64).max(0.001);
    tally.fates().skip(skipped).map(|fate| letter(fate, floor, unicode)).collect()
}

fn letter(fate: Option<Echo>, floor: f64, unicode: bool) -> char {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    match fate {
        Some(Echo::Reply(rtt)) if unicode => {
            // Half as slow again is a step and a bit; eleven times as slow is the top.
            let step = (rtt.as_millis_f64() / floor).max(1.0).log2() * 2.0;
            STEPS.get(step as usize).copied().unwrap_or('█')
        }
        Some(Echo::Reply(_)) => '.',
        Some(Echo::Lost(_)) if unicode => '×',
        Some(Echo::Lost(_)) => 'x',
        Some(_) => '?',
        None => ' ',
    }
}

fn paint(letter: char) -> &'static str {
    match letter {
        '×' | 'x' => RED,
        '?' => GREY,
        _ => GREEN,
    }
}

fn sum(tallies: &[Tally], look: &Look, elapsed: Duration) -> String {
    let (mut answering, mut silent, mut unknown, mut pending) = (0_usize, 0_usize, 0_usize, 0_usize);
    for tally in tallies {
        let place = match tally {
            _ if tally.answered > 0 => &mut answering,
            _ if tally.is_silent() => &mut silent,
            _ if tally.cause.is_some() => &mut unknown,
            _ => &mut pending,
        };
        *place = place.saturating_add(1);
    }
    let locale = look.locale;
    let counts = [
        (answering, words::answering(locale)),
        (silent, words::silent(locale)),
        (unknown, words::nobody_knows(locale)),
        (pending, words::not_asked(locale)),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let time = words::decimal(elapsed.as_secs_f64(), 1, locale);
    format!("{} {}: {}; {time} s; {}", tallies.len(), words::hosts(locale), counts.join(", "), words::in_ms(locale))
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Cause, Loss};

    use super::super::hosts::Wanted;
    use super::*;

    const LOOK: Look = Look { columns: 120, rows: 10, colour: false, unicode: true, locale: Locale::En };

    fn tally(host: &str, fates: &[Echo]) -> Tally {
        let mut tally = Tally::new(Wanted { host: host.into(), address: format!("{host}:0").parse().ok() });
        (0..).zip(fates).for_each(|(round, fate)| tally.add(round, *fate));
        tally
    }

    fn reply(us: u64) -> Echo {
        Echo::Reply(Rtt::from_duration(Duration::from_micros(us)))
    }

    fn hosts() -> Vec<Tally> {
        vec![
            tally("192.0.2.1", &[reply(1000), reply(2000), reply(1000), reply(20_000)]),
            tally("192.0.2.2", &[]),
            tally("192.0.2.3", &[reply(1000), Echo::Lost(Loss::NoReply)]),
            tally("192.0.2.4", &[Echo::Unknown(Cause::NoRoute)]),
            tally("192.0.2.5", &[Echo::Lost(Loss::HostUnreachable), Echo::Lost(Loss::NoReply)]),
        ]
    }

    #[test]
    fn a_few_hosts_stand_in_their_order() {
        let lines = frame(&hosts(), &LOOK, Duration::from_millis(6240));
        let expected = "\
NAME       SENT     LOSS     LAST      MIN   MEDIAN      MAX  HISTORY
192.0.2.1     4    0.0 %   20.000    1.000    1.000   20.000  ▁▃▁█
192.0.2.2     0        -        -        -        -        -
192.0.2.3     2   50.0 %        -    1.000    1.000    1.000  ▁×
192.0.2.4     1        -        ?        -        -        -  ?        this machine has no route to the address
192.0.2.5     2  100.0 %        -        -        -        -  ××       it is not found on its network
5 hosts: 2 answer, 1 do not answer, 1 unknown, 1 pending; 6.2 s; RTT in ms";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_reply_whose_rtt_was_not_measured_is_a_dash_and_not_a_zero() {
        let tallies = [tally("192.0.2.1", &[reply(1000), Echo::Reply(Rtt::UNMEASURED)])];
        let lines = frame(&tallies, &LOOK, Duration::ZERO);
        let cells: Vec<&str> = lines.get(1).map(|line| line.split_whitespace().collect()).unwrap_or_default();
        assert_eq!(cells, ["192.0.2.1", "2", "0.0", "%", "-", "1.000", "1.000", "1.000", "▁▁"]);
    }

    #[test]
    fn when_not_all_fit_the_worst_come_first_and_the_rest_is_counted() {
        let lines = frame(&hosts(), &Look { rows: 7, ..LOOK }, Duration::ZERO);
        let first: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(first, ["NAME", "192.0.2.5", "192.0.2.3", "192.0.2.4", "…", "5"]);
        assert_eq!(lines.get(4).map(String::as_str), Some("… 2 more"));
    }

    #[test]
    fn whatever_the_terminal_nothing_is_longer_or_more_than_it() {
        for (rows, columns) in [(0, 0), (1, 1), (3, 20), (4, 40), (5, 79), (200, 300)] {
            for locale in [Locale::En, Locale::Es] {
                let lines = frame(&hosts(), &Look { rows, columns, locale, ..LOOK }, Duration::ZERO);
                assert!(lines.len() < rows.max(5), "{rows}: {lines:?}");
                assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}: {lines:?}");
            }
        }
    }

    #[test]
    fn a_plain_terminal_gets_plain_letters() {
        let lines = frame(&hosts(), &Look { unicode: false, ..LOOK }, Duration::ZERO);
        assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
    }
}
