//! One SMTP connection, line by line, before and after STARTTLS, that always notices when its server is to stop.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How often a waiting connection looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// No connection of the lab waits longer than this for the other side.
const PATIENCE: Duration = Duration::from_secs(180);
/// No line and no message of the lab is longer than this.
const LONGEST: usize = 4 << 20;

/// The stream, plain or encrypted.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

/// A connection that reads whole lines.
pub(super) struct Wire {
    stream: Stream,
    ahead: Vec<u8>,
    stop: Arc<AtomicBool>,
    /// Everything that was read, decrypted.
    pub(super) heard: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, stop: Arc<AtomicBool>) -> std::io::Result<Wire> {
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream: Stream::Plain(stream), ahead: Vec::new(), stop, heard: Vec::new() })
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The next line without its end, or `None` if the other side closed, fell silent for good, or the server stops.
    pub(super) fn line(&mut self) -> Option<String> {
        let begin = Instant::now();
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if !self.more() || begin.elapsed() > PATIENCE || self.ahead.len() > LONGEST {
                return None;
            }
        }
    }

    /// Reads and throws away until the other side closes or the server stops: a server that never answers.
    pub(super) fn ignore(&mut self) {
        let begin = Instant::now();
        while self.more() && begin.elapsed() < PATIENCE {
            self.ahead.clear();
        }
    }

    /// Sends text; `false` if the other side is gone.
    pub(super) fn say(&mut self, text: &str) -> bool {
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(text.as_bytes()),
            Stream::Tls(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
            Stream::Gone => return false,
        };
        sent.is_ok()
    }

    /// Sends text one byte at a time, `pause` apart; `false` if the other side went or the server stops.
    pub(super) fn drip(&mut self, text: &str, pause: Duration) -> bool {
        for byte in text.chars() {
            let until = Instant::now() + pause;
            while Instant::now() < until {
                if self.stopping() {
                    return false;
                }
                std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            }
            if !self.say(&byte.to_string()) {
                return false;
            }
        }
        true
    }

    /// Goes on encrypted; `false` if the handshake fails. What came before it in plain text is thrown away (RFC 3207, 6).
    pub(super) fn encrypt(&mut self, config: Arc<ServerConfig>) -> bool {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else { return false };
        let Ok(connection) = ServerConnection::new(config) else { return false };
        let mut tls = StreamOwned::new(connection, stream);
        let begin = Instant::now();
        while tls.conn.is_handshaking() {
            match tls.conn.complete_io(&mut tls.sock) {
                Ok(_) => {}
                Err(error) if again(&error) && !self.stopping() && begin.elapsed() < PATIENCE => {}
                Err(_) => return false,
            }
        }
        self.ahead.clear();
        self.stream = Stream::Tls(Box::new(tls));
        true
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for bytes; `false` once none can come any more.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 16_384];
        if self.stopping() {
            return false;
        }
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut bytes),
            Stream::Tls(stream) => stream.read(&mut bytes),
            Stream::Gone => return false,
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.ahead.extend_from_slice(&bytes[..count]);
                self.heard.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => again(&error),
        }
    }
}

fn again(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
