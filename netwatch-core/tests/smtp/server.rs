//! A mail server that does what a script says, and writes down what it was told.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does instead of the usual when it comes to a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Says this, line ends included.
    Say(&'static str),
    /// Says nothing more, and waits for the client to leave.
    Hang,
    /// Says a reply that never ends, a byte at a time.
    Drip,
    /// Closes the connection.
    Close,
}

/// How a server behaves. A step is `banner`, `content`, `.` or the beginning of a command line.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) acts: Vec<(&'static str, Act)>,
    pub(crate) features: Vec<&'static str>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) tls_from_the_start: bool,
}

impl Script {
    pub(crate) fn on(step: &'static str, act: Act) -> Script {
        Script { acts: vec![(step, act)], ..Script::default() }
    }

    pub(crate) fn with(mut self, step: &'static str, act: Act) -> Script {
        self.acts.push((step, act));
        self
    }
}

/// What the server was told.
#[derive(Clone, Default, Debug)]
pub(crate) struct Heard {
    /// Every byte that came unencrypted.
    pub(crate) plain: Vec<u8>,
    /// Command lines, encrypted or not.
    pub(crate) commands: Vec<String>,
    /// Contents that ended in a dot, without the stuffing.
    pub(crate) mails: Vec<Vec<u8>>,
}

impl Heard {
    pub(crate) fn count(&self, verb: &str) -> usize {
        self.commands.iter().filter(|command| command.starts_with(verb)).count()
    }
}

/// A running server; it ends with the process.
pub(crate) struct Server {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl Server {
    pub(crate) fn start(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = heard.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (script, heard) = (script.clone(), shared.clone());
                // An error is the client's leaving, which the tests judge from the other side.
                thread::spawn(move || drop(Session { script, heard, wire: Wire::Plain(tcp) }.serve()));
            }
        });
        Server { port, heard }
    }

    /// What it has been told so far.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Closed,
}

struct Session {
    script: Script,
    heard: Arc<Mutex<Heard>>,
    wire: Wire,
}

impl Session {
    fn serve(mut self) -> io::Result<()> {
        if self.script.tls_from_the_start {
            if let Some((_, Act::Hang)) = self.script.acts.iter().find(|(step, _)| *step == "handshake") {
                return self.hang();
            }
            self.start_tls()?;
        }
        self.act("banner", "220 test ESMTP\r\n")?;
        loop {
            let line = self.line()?;
            let command = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.heard.lock().unwrap().commands.push(command.clone());
            match command.split([' ', ':']).next().unwrap_or("") {
                "EHLO" => {
                    let mut reply = "250-test\r\n".to_owned();
                    for feature in &self.script.features {
                        reply.push_str(&format!("250-{feature}\r\n"));
                    }
                    self.act(&command, &format!("{reply}250 8BITMIME\r\n"))?;
                }
                "STARTTLS" => {
                    self.act(&command, "220 go ahead\r\n")?;
                    self.start_tls()?;
                }
                "AUTH" if command == "AUTH LOGIN" => {
                    for challenge in ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"] {
                        self.say(challenge)?;
                        let answer = self.line()?;
                        let answer = String::from_utf8_lossy(&answer).trim_end().to_owned();
                        self.heard.lock().unwrap().commands.push(answer);
                    }
                    self.act(&command, "235 welcome\r\n")?;
                }
                "AUTH" => self.act(&command, "235 welcome\r\n")?,
                "DATA" => {
                    self.act(&command, "354 go ahead\r\n")?;
                    if self.script.acts.iter().any(|(step, _)| *step == "DATA") {
                        continue;
                    }
                    self.act("content", "")?;
                    let mail = self.content()?;
                    self.heard.lock().unwrap().mails.push(mail);
                    self.act(".", "250 2.0.0 accepted\r\n")?;
                }
                "QUIT" => {
                    self.act(&command, "221 bye\r\n")?;
                    return Ok(());
                }
                _ => self.act(&command, "250 ok\r\n")?,
            }
        }
    }

    fn act(&mut self, step: &str, usual: &str) -> io::Result<()> {
        let act = self.script.acts.iter().find(|(key, _)| step.starts_with(key)).map(|(_, act)| *act);
        match act {
            None => self.say(usual),
            Some(Act::Say(reply)) => self.say(reply),
            Some(Act::Hang) => self.hang(),
            Some(Act::Close) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Act::Drip) => loop {
                self.say("2")?;
                self.say("5")?;
                self.say("0")?;
                self.say("-")?;
                for _ in 0..20 {
                    thread::sleep(Duration::from_millis(10));
                    self.say("x")?;
                }
                self.say("\r\n")?;
            },
        }
    }

    fn hang(&mut self) -> io::Result<()> {
        while self.byte().is_ok() {}
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let stream: &mut dyn Write = match &mut self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls,
            Wire::Closed => return Err(io::ErrorKind::NotConnected.into()),
        };
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        match &mut self.wire {
            Wire::Plain(tcp) => {
                tcp.read_exact(&mut byte)?;
                self.heard.lock().unwrap().plain.extend(byte);
            }
            Wire::Tls(tls) => tls.read_exact(&mut byte)?,
            Wire::Closed => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(byte[0])
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(self.byte()?);
        }
        Ok(line)
    }

    /// Reads up to the final dot as RFC 5321, 4.5.2 has it: only CRLF ends a line.
    fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut mail = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.byte()?);
            }
            if line == b".\r\n" {
                return Ok(mail);
            }
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn start_tls(&mut self) -> io::Result<()> {
        let config = self.script.tls.clone().expect("a script that says 220 to STARTTLS has a certificate");
        if let Wire::Plain(tcp) = std::mem::replace(&mut self.wire, Wire::Closed) {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            self.wire = Wire::Tls(Box::new(StreamOwned::new(connection, tcp)));
        }
        Ok(())
    }
}
