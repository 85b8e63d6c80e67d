//! A mail server that misbehaves exactly as told, at any stage of the conversation, and remembers everything.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ServerConfig;
use tempfile::TempDir;

use super::front::login;
use super::wire::Wire;
use super::{Certificates, Flaw, Message, PASSWORD};
use crate::netns::Namespace;

/// Connections served at a time; what comes beyond waits.
const AT_A_TIME: usize = 32;
/// The beginning of a TLS handshake record of 16 KiB (RFC 8446, 5.1).
const RECORD: &str = "\u{16}\u{3}\u{3}\u{40}\u{0}\u{2}";

/// A moment of the conversation at which the server can misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The greeting.
    Banner,
    /// The answer to EHLO, before or after STARTTLS.
    Ehlo,
    /// The answer to STARTTLS.
    StartTls,
    /// After the 220 to STARTTLS: the TLS handshake.
    Handshake,
    /// The answer to AUTH.
    Auth,
    /// The answer to MAIL FROM.
    Mail,
    /// The answer to each RCPT TO.
    Rcpt,
    /// The answer to DATA.
    Data,
    /// The answer to the final dot.
    Dot,
    /// The answer to QUIT.
    Quit,
}

impl Stage {
    /// Every stage, in the order of a conversation.
    pub const ALL: [Stage; 10] = [
        Stage::Banner,
        Stage::Ehlo,
        Stage::StartTls,
        Stage::Handshake,
        Stage::Auth,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Dot,
        Stage::Quit,
    ];
}

/// What the server does at a stage. What it says during the handshake is no TLS, or never the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// No answer; the connection stays open.
    Silent,
    /// The right answer, one byte at a time, this far apart.
    Drip(Duration),
    /// No answer; the connection is closed. At the dot: the message is forgotten.
    Close,
    /// This code, and some words.
    Reply(u16),
    /// 354, then nothing more.
    GoAhead,
    /// At the answer to STARTTLS: it was never offered, as if somebody on the way had taken the offer out. Elsewhere like
    /// `Close`.
    Strip,
    /// The right answer, then the connection is closed.
    AnswerThenClose,
    /// At the answer to AUTH: the words of [`Scripted::echo`]. Elsewhere like `Close`.
    Echo,
    /// At the dot: the message is kept, but the connection is closed instead of the 250. Elsewhere like `Close`.
    KeepThenClose,
}

/// A message the server took responsibility for.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// When the final dot came.
    pub at: SystemTime,
    /// The envelope sender.
    pub from: String,
    /// The recipients that were accepted.
    pub recipients: Vec<String>,
    /// The message.
    pub message: Message,
    /// Whether the client was told (250), rather than left without an answer.
    pub confirmed: bool,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Session {
    /// When it was opened.
    pub began: Instant,
    /// The same by the wall clock.
    pub at: SystemTime,
    /// When it ended, if it has.
    pub ended: Option<Instant>,
    /// Everything the client said, decrypted.
    pub heard: Vec<u8>,
    /// Whether it was encrypted at the end.
    pub tls: bool,
}

#[derive(Debug, Default)]
struct State {
    acts: BTreeMap<Stage, Act>,
    recipients: BTreeMap<String, u16>,
    password: Option<String>,
    echo: String,
    accepted: Vec<Accepted>,
    sessions: Vec<Session>,
}

/// A running scripted server. It demands STARTTLS and a login. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    certificates: Certificates,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    /// Where the certificates are, if they are its own.
    _dir: Option<TempDir>,
}

impl Scripted {
    /// Starts a well-behaved server on `127.0.0.1:port` of the namespace.
    pub fn start(namespace: &Namespace, port: u16) -> Scripted {
        Scripted::start_at(namespace, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The same at another address of the namespace.
    pub fn start_at(namespace: &Namespace, address: SocketAddr) -> Scripted {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let certificates = Certificates::make(dir.path());
        let tls = certificates.server();
        Scripted::listen(namespace, address, certificates, tls, Some(dir))
    }

    /// Starts another, with the same certificates, on another port of the namespace.
    pub fn beside(&self, namespace: &Namespace, port: u16) -> Scripted {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Scripted::listen(namespace, address, self.certificates.clone(), self.certificates.server(), None)
    }

    /// Starts another, whose certificate has this flaw, on another port of the namespace.
    pub fn flawed(&self, namespace: &Namespace, port: u16, flaw: Flaw) -> Scripted {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let certificates = self.certificates.flawed(dir.path(), flaw);
        let tls = certificates.server();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Scripted::listen(namespace, address, certificates, tls, Some(dir))
    }

    fn listen(
        namespace: &Namespace,
        address: SocketAddr,
        certificates: Certificates,
        tls: Arc<ServerConfig>,
        dir: Option<TempDir>,
    ) -> Scripted {
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::new(AtomicBool::new(false)));
        let listener = namespace.listen(address);
        let accepting = accept(listener, tls, Arc::clone(&state), Arc::clone(&stop));
        Scripted { address, certificates, state, stop, accepting: Some(accepting), _dir: dir }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients must trust.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Misbehaves at this stage from now on, also in connections that are open.
    pub fn at(&self, stage: Stage, act: Act) {
        lock(&self.state).acts.insert(stage, act);
    }

    /// Answers this recipient with this code from now on.
    pub fn recipient(&self, address: &str, code: u16) {
        lock(&self.state).recipients.insert(address.to_owned(), code);
    }

    /// Logs in whoever has this password, rather than the lab's.
    pub fn password(&self, password: &str) {
        lock(&self.state).password = Some(password.to_owned());
    }

    /// Answers every login with these words, in which `@SENT@` is what the client sent.
    pub fn echo(&self, words: &str) {
        let mut state = lock(&self.state);
        state.echo = words.to_owned();
        state.acts.insert(Stage::Auth, Act::Echo);
    }

    /// Behaves well from now on.
    pub fn behave(&self) {
        let mut state = lock(&self.state);
        state.acts.clear();
        state.recipients.clear();
    }

    /// Every message taken so far, oldest first.
    pub fn accepted(&self) -> Vec<Accepted> {
        lock(&self.state).accepted.clone()
    }

    /// Every connection so far, oldest first.
    pub fn sessions(&self) -> Vec<Session> {
        lock(&self.state).sessions.clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    thread::spawn(move || {
        let mut running: Vec<JoinHandle<()>> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            running.retain(|thread| !thread.is_finished());
            let accepted = if running.len() < AT_A_TIME { listener.accept().ok() } else { None };
            let Some((client, _)) = accepted else {
                wait_for_a_client(&listener);
                continue;
            };
            let (tls, state, stop) = (Arc::clone(&tls), Arc::clone(&state), Arc::clone(&stop));
            running.push(thread::spawn(move || {
                if client.set_nonblocking(false).is_ok()
                    && let Ok(wire) = Wire::new(client, stop)
                {
                    converse(wire, &tls, &state);
                }
            }));
        }
        for thread in running {
            drop(thread.join());
        }
    })
}

/// Returns when somebody calls, or it is time to look whether the server is to stop.
fn wait_for_a_client(listener: &TcpListener) {
    let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    // An interruption only makes it look sooner.
    let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit));
}

fn converse(wire: Wire, tls: &Arc<ServerConfig>, state: &Mutex<State>) {
    let at = {
        let mut state = lock(state);
        state.sessions.push(Session {
            began: Instant::now(),
            at: SystemTime::now(),
            ended: None,
            heard: Vec::new(),
            tls: false,
        });
        state.sessions.len() - 1
    };
    let mut talk = Talk { wire, tls, state, logged_in: false, from: String::new(), recipients: Vec::new() };
    // `None` is the end of the conversation, whoever ended it.
    talk.run();
    let Talk { mut wire, .. } = talk;
    if let Some(session) = lock(state).sessions.get_mut(at) {
        session.ended = Some(Instant::now());
        session.tls = wire.is_tls();
        session.heard = std::mem::take(&mut wire.heard);
    }
}

struct Talk<'a> {
    wire: Wire,
    tls: &'a Arc<ServerConfig>,
    state: &'a Mutex<State>,
    logged_in: bool,
    from: String,
    recipients: Vec<String>,
}

impl Talk<'_> {
    fn run(&mut self) -> Option<()> {
        self.answer(Stage::Banner, "220 scripted.lab ESMTP")?;
        loop {
            let line = self.wire.line()?;
            let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" if self.wire.is_tls() => self.answer(Stage::Ehlo, "250-scripted.lab\r\n250 AUTH PLAIN LOGIN")?,
                "EHLO" if self.act(Stage::StartTls) == Some(Act::Strip) => {
                    self.say("250-scripted.lab\r\n250 AUTH PLAIN")?
                }
                "EHLO" => self.answer(Stage::Ehlo, "250-scripted.lab\r\n250 STARTTLS")?,
                "STARTTLS" if !self.wire.is_tls() => self.encrypt()?,
                "QUIT" => {
                    self.answer(Stage::Quit, "221 2.0.0 bye")?;
                    return None;
                }
                "NOOP" => self.say("250 2.0.0 here")?,
                "RSET" => {
                    self.recipients.clear();
                    self.say("250 2.0.0 forgotten")?;
                }
                _ if !self.wire.is_tls() => self.say("530 5.7.0 Must issue a STARTTLS command first")?,
                "AUTH" => self.login(&line)?,
                _ if !self.logged_in => self.say("530 5.7.0 Must issue an AUTH command first")?,
                "MAIL" => {
                    self.from = path(&line);
                    self.recipients.clear();
                    self.answer(Stage::Mail, "250 2.1.0 sender ok")?;
                }
                "RCPT" => self.recipient(&line)?,
                "DATA" => self.data()?,
                _ => self.say("502 5.5.1 unknown")?,
            }
        }
    }

    fn encrypt(&mut self) -> Option<()> {
        self.answer(Stage::StartTls, "220 2.0.0 go ahead")?;
        if let Some(act) = self.act(Stage::StartTls)
            && matches!(act, Act::Reply(_))
        {
            return Some(());
        }
        match self.act(Stage::Handshake) {
            Some(Act::Silent) => {
                self.wire.ignore();
                None
            }
            Some(Act::Close | Act::KeepThenClose | Act::Strip | Act::Echo) => None,
            Some(Act::Drip(pause)) => {
                self.wire.drip(RECORD, pause);
                self.wire.ignore();
                None
            }
            Some(act @ (Act::Reply(_) | Act::GoAhead)) => {
                let code = if let Act::Reply(code) = act { code } else { 354 };
                self.say(&format!("{code} in the clear"))?;
                self.wire.ignore();
                None
            }
            _ => self.wire.encrypt(Arc::clone(self.tls)).then_some(()),
        }
    }

    fn login(&mut self, line: &str) -> Option<()> {
        let (password, echo) = {
            let state = lock(self.state);
            (state.password.clone(), state.acts.get(&Stage::Auth) == Some(&Act::Echo))
        };
        let login = login(&mut self.wire, line, password.as_deref().unwrap_or(PASSWORD))?;
        self.logged_in = login.right && !echo;
        if echo {
            let words = lock(self.state).echo.replace("@SENT@", &login.sent);
            return self.say(&words);
        }
        let right = if self.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong name or password" };
        if matches!(self.act(Stage::Auth), Some(Act::Reply(_))) {
            self.logged_in = false;
        }
        self.answer(Stage::Auth, right)
    }

    fn recipient(&mut self, line: &str) -> Option<()> {
        let address = path(line);
        let code = lock(self.state).recipients.get(&address).copied();
        if let Some(code) = code.filter(|code| *code != 250) {
            return self.say(&format!("{code} this recipient is answered so"));
        }
        if !matches!(self.act(Stage::Rcpt), Some(Act::Reply(_))) {
            self.recipients.push(address);
        }
        self.answer(Stage::Rcpt, "250 2.1.5 recipient ok")
    }

    fn data(&mut self) -> Option<()> {
        if self.recipients.is_empty() {
            return self.say("503 5.5.1 no recipient");
        }
        self.answer(Stage::Data, "354 end with a dot")?;
        if matches!(self.act(Stage::Data), Some(Act::Reply(_))) {
            return Some(());
        }
        let mut raw = String::new();
        loop {
            let line = self.wire.line()?;
            if line == "." {
                break;
            }
            raw.push_str(line.strip_prefix('.').unwrap_or(&line));
            raw.push_str("\r\n");
        }
        let act = self.act(Stage::Dot);
        let kept = matches!(act, None | Some(Act::Drip(_) | Act::AnswerThenClose | Act::KeepThenClose));
        if kept {
            let (from, recipients) = (std::mem::take(&mut self.from), std::mem::take(&mut self.recipients));
            let message = Message::parse(raw.as_bytes());
            let confirmed = act != Some(Act::KeepThenClose);
            lock(self.state).accepted.push(Accepted { at: SystemTime::now(), from, recipients, message, confirmed });
        }
        self.answer(Stage::Dot, "250 2.0.0 taken")
    }

    fn act(&self, stage: Stage) -> Option<Act> {
        lock(self.state).acts.get(&stage).copied()
    }

    /// Says the right answer, or whatever is asked for at this stage; `None` when that ends the conversation.
    fn answer(&mut self, stage: Stage, right: &str) -> Option<()> {
        match self.act(stage) {
            None => self.say(right),
            Some(Act::Reply(code)) => self.say(&format!("{code} as told")),
            Some(Act::Drip(pause)) => self.wire.drip(&format!("{right}\r\n"), pause).then_some(()),
            Some(Act::Silent) => {
                self.wire.ignore();
                None
            }
            Some(Act::GoAhead) => {
                self.say("354 as told")?;
                self.wire.ignore();
                None
            }
            Some(Act::AnswerThenClose) => {
                self.wire.say(&format!("{right}\r\n"));
                None
            }
            Some(Act::Close | Act::KeepThenClose | Act::Strip | Act::Echo) => None,
        }
    }

    fn say(&mut self, line: &str) -> Option<()> {
        self.wire.say(&format!("{line}\r\n")).then_some(())
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or("", |(path, _)| path).to_owned()
}
