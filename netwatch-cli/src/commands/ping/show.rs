//! What people read when it is not the live table: a line an echo, the table at the end, and fping's lists.

use netwatch_core::{Echo, Locale, Loss, Rtt};

use super::tally::{Tally, shown};
use crate::table::Cell;
use crate::words;

/// What became of one echo.
pub(crate) fn line(tally: &Tally, number: u64, echo: Echo, locale: Locale) -> String {
    format!("{}  #{number}  {}", named(tally), fate(echo, locale))
}

/// What became of it, with the reason.
pub(crate) fn fate(echo: Echo, locale: Locale) -> String {
    match echo {
        Echo::Reply(rtt) => milliseconds(rtt, locale),
        Echo::Lost(Loss::NoReply) => words::lost(locale).to_owned(),
        Echo::Lost(loss) => {
            let why = words::loss_cause(loss.code(), locale).unwrap_or(loss.code());
            format!("{}: {why}", words::lost(locale))
        }
        Echo::Unknown(cause) => {
            let why = words::cause(cause.code(), locale).unwrap_or(cause.code());
            format!("{}: {why}", words::unknown(locale))
        }
        _ => words::unknown(locale).to_owned(),
    }
}

/// The host as it was named, with its address where that is something else.
pub(crate) fn named(tally: &Tally) -> String {
    let host = words::printable(&tally.host);
    // Who names an interface knows the address.
    let known = |address: &String| **address == *tally.host || tally.host.contains('%');
    match tally.address.map(shown).filter(|address| !known(address)) {
        Some(address) => format!("{host} ({address})"),
        None => host,
    }
}

/// fping's `-C`: the milliseconds of every echo in their order.
pub(crate) fn times(tally: &Tally, rounds: u32) -> String {
    let fates = tally.fates().chain(std::iter::repeat(None)).take(rounds as usize);
    let time = |fate| match fate {
        Some(Echo::Reply(rtt)) if rtt.is_measured() => format!(" {:.3}", rtt.as_millis_f64()),
        Some(Echo::Reply(_) | Echo::Lost(_)) => " -".to_owned(),
        _ => " ?".to_owned(),
    };
    format!("{} :{}", words::printable(&tally.host), fates.map(time).collect::<String>())
}

/// The table at the end: a row a host.
pub(crate) fn table(tallies: &[Tally], locale: Locale) -> Vec<Vec<Cell>> {
    let figures = [
        words::sent(locale),
        words::answered(locale),
        words::lost_column(locale),
        words::unknown_column(locale),
        words::least(locale),
        words::median(locale),
        words::most(locale),
    ];
    let mut rows = Vec::with_capacity(tallies.len().saturating_add(1));
    let head = [Cell::text(words::name(locale)), Cell::text(words::address(locale))];
    rows.push(head.into_iter().chain(figures.map(Cell::figure)).collect());
    let ms = |rtt: Option<Rtt>| Cell::figure(milliseconds(rtt.unwrap_or(Rtt::UNMEASURED), locale));
    for tally in tallies {
        let address = tally.address.map_or_else(|| why(tally, locale).to_owned(), shown);
        let colour = if tally.answered > 0 { "32" } else { "1;31" };
        let mut row = vec![Cell::text(words::printable(&tally.host)).coloured(colour), Cell::text(address)];
        let counts = [tally.sent(), tally.answered, tally.lost, tally.unknown];
        row.extend(counts.map(|count| Cell::figure(count.to_string())));
        row.extend([ms(tally.least), ms(tally.median()), ms(tally.most)]);
        rows.push(row);
    }
    rows
}

/// Why nothing is known of a host, or a dash.
pub(crate) fn why(tally: &Tally, locale: Locale) -> &'static str {
    tally.cause.and_then(|cause| words::cause(cause.code(), locale)).unwrap_or("-")
}

/// A dash where none was measured.
fn milliseconds(rtt: Rtt, locale: Locale) -> String {
    if rtt.is_measured() { format!("{} ms", words::decimal(rtt.as_millis_f64(), 3, locale)) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use netwatch_core::Cause;

    use super::super::hosts::Wanted;
    use super::*;

    fn tally(host: &str, address: &str) -> Tally {
        Tally::new(Wanted { host: host.into(), address: address.parse().ok() })
    }

    #[test]
    fn people_read_words_and_programs_codes() {
        let mut tally = tally("192.0.2.1", "192.0.2.1:0");
        let reply = Echo::Reply(Rtt::from_duration(Duration::from_micros(1250)));
        for (round, (echo, es, en)) in (0..).zip([
            (reply, "1,250 ms", "1.250 ms"),
            (Echo::Lost(Loss::NoReply), "sin respuesta", "no reply"),
            (
                Echo::Lost(Loss::HostUnreachable),
                "sin respuesta: no se encuentra en su red",
                "no reply: it is not found on its network",
            ),
            (
                Echo::Unknown(Cause::NoRoute),
                "no se sabe: el servidor de netwatch no tiene ruta hacia la dirección",
                "unknown: this machine has no route to the address",
            ),
        ]) {
            tally.add(round, echo);
            assert_eq!(line(&tally, 1, echo, Locale::Es), format!("192.0.2.1  #1  {es}"));
            assert_eq!(line(&tally, 1, echo, Locale::En), format!("192.0.2.1  #1  {en}"));
        }
        assert_eq!(times(&tally, 6), "192.0.2.1 : 1.250 - - ? ? ?");
        let mut nowhere = self::tally("olt-1", "");
        nowhere.locate(Err(Cause::Unresolved));
        let shown = crate::table::render(&table(&[tally, nowhere], Locale::Es), false);
        assert!(shown.contains("1,250 ms") && shown.contains("el nombre no tiene dirección"), "{shown}");
    }

    #[test]
    fn a_reply_whose_rtt_was_not_measured_is_a_dash_and_not_a_zero() {
        let mut tally = tally("192.0.2.1", "192.0.2.1:0");
        let unmeasured = Echo::Reply(Rtt::UNMEASURED);
        tally.add(0, unmeasured);
        assert_eq!(line(&tally, 1, unmeasured, Locale::En), "192.0.2.1  #1  -");
        assert_eq!(times(&tally, 1), "192.0.2.1 : -");
        let shown = crate::table::render(&table(&[tally], Locale::En), false);
        assert!(!shown.contains("0.000") && !shown.contains("ms"), "{shown}");
    }

    #[test]
    fn a_name_shows_its_address_and_an_address_itself() {
        assert_eq!(named(&tally("olt-1", "192.0.2.1:0")), "olt-1 (192.0.2.1)");
        assert_eq!(named(&tally("2001:db8::1", "[2001:db8::1]:0")), "2001:db8::1");
        assert_eq!(named(&tally("fe80::1%lo", "[fe80::1%1]:0")), "fe80::1%lo");
        assert_eq!(named(&tally("2001:DB8::1", "[2001:db8::1]:0")), "2001:DB8::1 (2001:db8::1)");
    }
}
