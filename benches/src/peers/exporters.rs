//! The tools that serve: blackbox-exporter, asked by a scrape for every echo, and smokeping-prober, which pings by itself.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use netwatch_tests::http;
use netwatch_tests::process::{Kept, wait_for};
use rustix::process::Signal;

use super::Seen;
use super::packages::Programs;
use crate::cost::{Meter, Whose, memory};
use crate::lab::{Lab, alive};

const BLACKBOX: &str = "127.0.0.1:9115";
const SMOKEPING: &str = "127.0.0.1:9374";
const SCRAPERS: usize = 4;

/// One scrape an echo, over connections that are kept, as Prometheus does.
pub(super) fn blackbox(lab: &Lab, programs: &Programs, scrapes: usize) -> Seen {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("blackbox.yml");
    fs::write(&config, "modules:\n  icmp:\n    prober: icmp\n    timeout: 2s\n").expect("our own directory");
    let mut command = lab.monitor.command(programs.debian("usr/bin/prometheus-blackbox-exporter"));
    command.arg(format!("--config.file={}", config.display())).arg(format!("--web.listen-address={BLACKBOX}"));
    let server = serve(lab, &mut command, BLACKBOX);
    let meter = Meter::start(lab, Whose::Process(server.pid()));
    let said: Vec<String> = lab.monitor.inside(|| {
        let scrape = |first: usize| {
            let mut stream = BufReader::new(TcpStream::connect(BLACKBOX).expect("it listens"));
            let numbers = (first..scrapes).step_by(SCRAPERS);
            numbers.map(|number| ask(&mut stream, number).expect("it answers")).collect::<Vec<String>>()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..SCRAPERS).map(|first| scope.spawn(move || scrape(first))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a scraper")).collect()
        })
    });
    let spent = meter.stop(lab);
    let resident = memory(server.pid()).0;
    end(server);
    let unanswered = said.iter().filter(|text| metric(text, "probe_success ") != 1.0).count() as u64;
    let rtts: f64 = said.iter().map(|text| metric(text, "probe_icmp_duration_seconds{phase=\"rtt\"} ")).sum();
    let mean_rtt = Some(rtts * 1e6 / said.len() as f64);
    Seen { spent, unanswered, mean_rtt, resident: Some(resident) }
}

/// One echo every 2 s to each device.
pub(super) fn smokeping(lab: &Lab, programs: &Programs, targets: usize, window: Duration) -> Seen {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("smokeping.yml");
    let hosts: Vec<_> = (0..targets).map(|number| format!("{:?}", alive(false, number).to_string())).collect();
    let text = format!("targets:\n- hosts: [{}]\n  interval: 2s\n  network: ip4\n  protocol: icmp\n", hosts.join(", "));
    fs::write(&config, text).expect("our own directory");
    let mut command = lab.monitor.command(programs.debian("usr/bin/prometheus-smokeping-prober"));
    command.args(["--privileged", &format!("--config.file={}", config.display())]);
    command.arg(format!("--web.listen-address={SMOKEPING}"));
    let server = serve(lab, &mut command, SMOKEPING);
    thread::sleep(Duration::from_secs(4));
    let look = || {
        let text = lab.monitor.inside(|| {
            let stream = TcpStream::connect(SMOKEPING).expect("it listens");
            http::get(stream, "/metrics").expect("it answers").body
        });
        [
            "smokeping_requests_total{",
            "smokeping_response_duration_seconds_count{",
            "smokeping_response_duration_seconds_sum{",
        ]
        .map(|name| metric(&text, name))
    };
    let before = look();
    let meter = Meter::start(lab, Whose::Process(server.pid()));
    thread::sleep(window);
    let spent = meter.stop(lab);
    let after = look();
    let resident = memory(server.pid()).0;
    end(server);
    let [asked, answered, seconds] = [0, 1, 2].map(|figure: usize| after[figure] - before[figure]);
    let unanswered = (asked - answered).max(0.0) as u64;
    Seen { spent, unanswered, mean_rtt: Some(seconds * 1e6 / answered.max(1.0)), resident: Some(resident) }
}

/// The sum of all values of a metric; `name` ends where its labels or its value begin.
fn metric(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn serve(lab: &Lab, command: &mut std::process::Command, listen: &str) -> Kept {
    let server = Kept::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    let address: SocketAddr = listen.parse().expect("an address");
    wait_for("an exporter to listen", Duration::from_secs(20), || {
        lab.monitor.connect(address, Duration::from_secs(1)).ok().map(drop)
    });
    server
}

fn end(mut server: Kept) {
    server.signal(Signal::TERM);
    server.wait(Duration::from_secs(20));
}

/// A scrape of one device over a connection that stays open. The answer has a length, or comes in chunks.
fn ask(stream: &mut BufReader<TcpStream>, number: usize) -> std::io::Result<String> {
    let path = format!("/probe?module=icmp&target={}", alive(false, number));
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {BLACKBOX}\r\n\r\n").as_bytes())?;
    let (mut length, mut line) = (None, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut body = Vec::new();
    if let Some(length) = length {
        take(stream, length, &mut body)?;
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        take(stream, length, &mut body)?;
        stream.read_line(&mut line)?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
    }
}

fn take(stream: &mut impl Read, length: usize, into: &mut Vec<u8>) -> std::io::Result<()> {
    let begin = into.len();
    into.resize(begin + length, 0);
    stream.read_exact(&mut into[begin..])
}
