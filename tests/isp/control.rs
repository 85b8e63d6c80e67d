//! The control socket: one command a line, answered with `ok` or `error: ...` once it has taken effect.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netwatch_tests::isp::{Behaviour, Record, now_ns};

use crate::Shared;

/// Serves connections one after the other, for as long as the program runs.
pub(crate) fn serve(listener: &UnixListener, shared: &Arc<Mutex<Shared>>) {
    for stream in listener.incoming().flatten() {
        // A client that goes away or says nothing ends its own connection, not the service.
        drop(converse(&stream, shared));
    }
}

fn converse(stream: &UnixStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let obeyed = obey(&mut shared, &line);
            shared.log.flush();
            obeyed.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned())
        };
        writeln!(&mut &*stream, "{answer}")?;
    }
    Ok(())
}

fn obey(shared: &mut Shared, line: &str) -> Result<(), String> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (address, value) = rest.split_once(' ').unwrap_or((rest, ""));
    if command == "start" {
        shared.started = Instant::now();
        let record = Record::Start { at_ns: now_ns(), seed: shared.far_side.seed() };
        shared.log.write(&record);
        return Ok(());
    }
    let address: IpAddr = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    let number = || value.parse::<f64>().map_err(|_| format!("{value:?} is no number"));
    let device = shared.far_side.device(address);
    match command {
        "down" => device.down = true,
        "up" => device.down = false,
        "delay" => device.delay_ms = number()?,
        "loss" => device.loss = number()?,
        "set" => *device = serde_json::from_str::<Behaviour>(value).map_err(|error| error.to_string())?,
        _ => return Err(format!("{command:?} is none of start, down, up, delay, loss, set")),
    }
    shared.log.write(&Record::Control { at_ns: now_ns(), line: line.to_owned() });
    Ok(())
}
