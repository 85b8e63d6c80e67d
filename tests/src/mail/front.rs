//! STARTTLS and login in front of a plain SMTP server, which sees everything after the login.
//!
//! Debian 12's OpenSMTPD (6.8.0p2) cannot do TLS with the OpenSSL 3 it is built against: every handshake ends with
//! "missing private key" (OpenSMTPD issues 1171 and 1239, closed as too old). So the server certificate and the password
//! are checked here, and the mail itself is accepted, queued and delivered by the real server behind.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;

use super::gate::{Gate, Moment};
use super::wire::Wire;
use super::{PASSWORD, USER};

/// After so many lines of content a conversation is in the middle of it.
const MIDDLE: usize = 20;

/// Serves one client until either side leaves.
pub(super) fn serve(mut client: Wire, server: TcpStream, tls: &Arc<ServerConfig>, gate: &Gate) -> Option<()> {
    let mut server = BufReader::new(server);
    gate.pass(Moment::Connected)?;
    client.say(&reply(&mut server)?).then_some(())?;
    let (mut logged_in, mut confirmed) = (false, false);
    loop {
        let line = client.line()?;
        let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
        if confirmed {
            gate.pass(Moment::Confirmed)?;
        }
        let answer = match verb.as_str() {
            "EHLO" if client.is_tls() => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 STARTTLS\r\n".to_owned(),
            "STARTTLS" if !client.is_tls() => {
                client.say("220 2.0.0 Ready to start TLS\r\n").then_some(())?;
                client.encrypt(Arc::clone(tls)).then_some(())?;
                // The real server hears of the client only now, under a name of our own.
                ask(&mut server, "EHLO localhost")?;
                continue;
            }
            "AUTH" if client.is_tls() => {
                logged_in = login(&mut client, &line, PASSWORD)?.right;
                if logged_in { "235 2.7.0 Authentication succeeded\r\n" } else { "535 5.7.8 Authentication failed\r\n" }
                    .to_owned()
            }
            "QUIT" | "NOOP" | "RSET" => ask(&mut server, &line)?,
            _ if !client.is_tls() => "530 5.7.0 Must issue a STARTTLS command first\r\n".to_owned(),
            _ if !logged_in => "530 5.7.0 Must issue an AUTH command first\r\n".to_owned(),
            "DATA" => {
                gate.pass(Moment::Data)?;
                let go = ask(&mut server, &line)?;
                let accepted = go.starts_with("354");
                client.say(&go).then_some(())?;
                if !accepted {
                    continue;
                }
                let answer = pass_message(&mut client, &mut server, gate)?;
                confirmed = answer.starts_with("250");
                answer
            }
            _ => ask(&mut server, &line)?,
        };
        client.say(&answer).then_some(())?;
    }
}

fn pass_message(client: &mut Wire, server: &mut BufReader<TcpStream>, gate: &Gate) -> Option<String> {
    for number in 0_usize.. {
        let line = client.line()?;
        if line == "." {
            gate.pass(Moment::Dot)?;
            let answer = ask(server, ".")?;
            gate.pass(Moment::Taken)?;
            return Some(answer);
        }
        if number == MIDDLE {
            gate.pass(Moment::Content)?;
        }
        server.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()?;
    }
    None
}

fn ask(server: &mut BufReader<TcpStream>, line: &str) -> Option<String> {
    server.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()?;
    reply(server)
}

/// A whole reply with its line ends.
fn reply(server: &mut BufReader<TcpStream>) -> Option<String> {
    let mut whole = String::new();
    loop {
        let begin = whole.len();
        if server.read_line(&mut whole).ok()? == 0 {
            return None;
        }
        if whole.as_bytes().get(begin + 3) != Some(&b'-') {
            return Some(whole);
        }
    }
}

/// What somebody logged in with.
pub(super) struct Login {
    /// Whether it is the lab's user with the password.
    pub(super) right: bool,
    /// What was sent, as it was sent.
    pub(super) sent: String,
}

/// AUTH PLAIN, with the response at once or after a challenge, and AUTH LOGIN (RFC 4954).
pub(super) fn login(client: &mut Wire, line: &str, password: &str) -> Option<Login> {
    let mut words = line.split_whitespace().skip(1);
    let method = words.next().unwrap_or("").to_ascii_uppercase();
    let decode = |text: &str| STANDARD.decode(text.trim()).unwrap_or_default();
    let mut challenge = |text: &str| {
        client.say(&format!("334 {text}\r\n")).then_some(())?;
        client.line()
    };
    let given = words.next().map(str::to_owned);
    match method.as_str() {
        "PLAIN" => {
            let sent = given.map_or_else(|| challenge(""), Some)?;
            let right = decode(&sent) == format!("\0{USER}\0{password}").as_bytes();
            Some(Login { right, sent })
        }
        "LOGIN" => {
            let user = given.map_or_else(|| challenge("VXNlcm5hbWU6"), Some)?;
            let sent = challenge("UGFzc3dvcmQ6")?;
            let right = decode(&user) == USER.as_bytes() && decode(&sent) == password.as_bytes();
            Some(Login { right, sent })
        }
        _ => Some(Login { right: false, sent: String::new() }),
    }
}
