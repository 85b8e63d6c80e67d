//! What became of the echoes to one host, and how it is shown.

use std::net::SocketAddr;

use netwatch_core::{Echo, Locale, Loss, Rtt, Sample};
use serde::Serialize;

use crate::table::Cell;
use crate::words;

/// The echoes to one host so far.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) host: String,
    pub(crate) address: Option<SocketAddr>,
    rtts: Vec<Rtt>,
    lost: u64,
    unknown: u64,
    cause: Option<&'static str>,
}

#[derive(Serialize)]
struct TallyDto<'a> {
    host: &'a str,
    address: Option<String>,
    sent: u64,
    answered: u64,
    lost: u64,
    unknown: u64,
    loss: Option<f64>,
    rtt_min_ms: Option<f64>,
    rtt_median_ms: Option<f64>,
    rtt_avg_ms: Option<f64>,
    rtt_max_ms: Option<f64>,
    cause: Option<&'a str>,
}

impl Tally {
    /// Nothing yet. A host without an address cannot be asked.
    pub(crate) fn new(host: &str, address: Option<SocketAddr>) -> Tally {
        let cause = address.is_none().then(|| netwatch_core::Cause::Unresolved.code());
        Tally { host: host.to_owned(), address, rtts: Vec::new(), lost: 0, unknown: 0, cause }
    }

    /// Counts the echoes of a sample.
    pub(crate) fn add(&mut self, sample: &Sample) {
        for echo in sample.echoes.iter() {
            match echo {
                Echo::Reply(rtt) => {
                    let at = self.rtts.partition_point(|known| *known <= rtt);
                    self.rtts.insert(at, rtt);
                }
                Echo::Lost(_) => self.lost = self.lost.saturating_add(1),
                Echo::Unknown(cause) => {
                    self.unknown = self.unknown.saturating_add(1);
                    self.cause = Some(cause.code());
                }
                _ => self.unknown = self.unknown.saturating_add(1),
            }
        }
    }

    /// Whether the host answered at least once.
    pub(crate) fn answered(&self) -> bool {
        !self.rtts.is_empty()
    }

    /// One JSON object on one line. Times are milliseconds, the loss a share of the echoes whose fate is known.
    pub(crate) fn json(&self) -> String {
        let answered = self.rtts.len() as u64;
        let known = answered.saturating_add(self.lost);
        let total: f64 = self.rtts.iter().map(|rtt| rtt.as_millis_f64()).sum();
        let dto = TallyDto {
            host: &self.host,
            address: self.address.map(shown),
            sent: known.saturating_add(self.unknown),
            answered,
            lost: self.lost,
            unknown: self.unknown,
            loss: (known > 0).then(|| self.lost as f64 / known as f64),
            rtt_min_ms: self.rtts.first().map(|rtt| rtt.as_millis_f64()),
            rtt_median_ms: self.median().map(Rtt::as_millis_f64),
            rtt_avg_ms: (answered > 0).then(|| total / answered as f64),
            rtt_max_ms: self.rtts.last().map(|rtt| rtt.as_millis_f64()),
            cause: self.cause,
        };
        serde_json::to_string(&dto).unwrap_or_default()
    }

    /// The lower one of two in the middle.
    fn median(&self) -> Option<Rtt> {
        self.rtts.get(self.rtts.len().checked_sub(1)? / 2).copied()
    }
}

/// What became of one echo.
pub(crate) fn line(tally: &Tally, number: u64, sample: &Sample, locale: Locale) -> String {
    let fate = match sample.echoes.iter().next() {
        Some(Echo::Reply(rtt)) => milliseconds(rtt, locale),
        Some(Echo::Lost(Loss::NoReply)) => words::lost(locale).to_owned(),
        Some(Echo::Lost(loss)) => {
            let why = words::loss_cause(loss.code(), locale).unwrap_or(loss.code());
            format!("{}: {why}", words::lost(locale))
        }
        Some(Echo::Unknown(cause)) => {
            let why = words::cause(cause.code(), locale).unwrap_or(cause.code());
            format!("{}: {why}", words::unknown(locale))
        }
        _ => words::unknown(locale).to_owned(),
    };
    let address = tally.address.map(shown).filter(|address| *address != tally.host);
    let address = address.map_or_else(String::new, |address| format!(" ({address})"));
    format!("{}{address}  #{number}  {fate}", words::printable(&tally.host))
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
    let mut rows = vec![vec![Cell::text(words::name(locale)), Cell::text(words::address(locale))]];
    if let Some(head) = rows.first_mut() {
        head.extend(figures.map(Cell::figure));
    }
    let ms = |rtt: Option<Rtt>| Cell::figure(rtt.map_or_else(|| "-".to_owned(), |rtt| milliseconds(rtt, locale)));
    for tally in tallies {
        let answered = tally.rtts.len() as u64;
        let sent = answered.saturating_add(tally.lost).saturating_add(tally.unknown);
        let why = || tally.cause.and_then(|code| words::cause(code, locale)).unwrap_or("-").to_owned();
        let address = tally.address.map_or_else(why, shown);
        let colour = if tally.answered() { "32" } else { "1;31" };
        let mut row = vec![Cell::text(words::printable(&tally.host)).coloured(colour), Cell::text(address)];
        row.extend([sent, answered, tally.lost, tally.unknown].map(|count| Cell::figure(count.to_string())));
        row.extend([ms(tally.rtts.first().copied()), ms(tally.median()), ms(tally.rtts.last().copied())]);
        rows.push(row);
    }
    rows
}

/// The address without its port, which means nothing here, but with its scope.
fn shown(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        other => other.ip().to_string(),
    }
}

fn milliseconds(rtt: Rtt, locale: Locale) -> String {
    format!("{} ms", words::decimal(rtt.as_millis_f64(), 3, locale))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use netwatch_core::{Cause, Mono, TargetId};

    use super::*;

    #[test]
    fn people_read_words_and_programs_codes() {
        let sample = |echo| Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, [echo].into_iter().collect());
        let mut tally = Tally::new("192.0.2.1", Some(([192, 0, 2, 1], 0).into()));
        let reply = sample(Echo::Reply(Rtt::from_duration(Duration::from_micros(1250))));
        let silence = sample(Echo::Lost(Loss::NoReply));
        let lost = sample(Echo::Lost(Loss::HostUnreachable));
        let unknown = sample(Echo::Unknown(Cause::NoRoute));
        for (sample, es, en) in [
            (&reply, "1,250 ms", "1.250 ms"),
            (&silence, "sin respuesta", "no reply"),
            (&lost, "sin respuesta: no se encuentra en su red", "no reply: it is not found on its network"),
            (
                &unknown,
                "no se sabe: el servidor de netwatch no tiene ruta hacia la dirección",
                "unknown: this machine has no route to the address",
            ),
        ] {
            tally.add(sample);
            assert_eq!(line(&tally, 1, sample, Locale::Es), format!("192.0.2.1  #1  {es}"));
            assert_eq!(line(&tally, 1, sample, Locale::En), format!("192.0.2.1  #1  {en}"));
        }
        let nowhere = Tally::new("olt-1", None);
        let shown = crate::table::render(&table(&[tally, nowhere], Locale::Es), false);
        assert!(shown.contains("1,250 ms") && shown.contains("el nombre no tiene dirección"), "{shown}");
        let json = Tally::new("olt-1", None).json();
        assert!(json.contains("\"cause\":\"unresolved\""), "{json}");
    }
}
