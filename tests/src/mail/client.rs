//! A small SMTP client that shows every reply: what the mail servers of the lab are tested with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::{Certificates, PASSWORD, USER};

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The words of all its lines.
    pub text: String,
}

/// A connection to a server.
pub struct Client {
    stream: Option<BufReader<Box<dyn Both>>>,
    plain: TcpStream,
}

impl Client {
    /// Takes over a connection. No answer may take longer than `limit`.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn new(plain: TcpStream, limit: Duration) -> std::io::Result<Client> {
        plain.set_read_timeout(Some(limit))?;
        let stream: Box<dyn Both> = Box::new(plain.try_clone()?);
        Ok(Client { stream: Some(BufReader::new(stream)), plain })
    }

    /// Reads a reply that comes by itself: the banner, or the one after a message.
    ///
    /// # Errors
    /// When it does not come in time, or the server closes.
    pub fn reply(&mut self) -> std::io::Result<Reply> {
        let closed = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.stream.as_mut().ok_or_else(closed)?.read_line(&mut line)? == 0 {
                return Err(closed());
            }
            text.push_str(line.get(4..).unwrap_or(""));
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok());
                return Ok(Reply { code: code.ok_or_else(|| std::io::Error::other(line))?, text });
            }
        }
    }

    /// Sends a command and reads its reply.
    ///
    /// # Errors
    /// When it does not come in time, or the server closes.
    pub fn command(&mut self, line: &str) -> std::io::Result<Reply> {
        let closed = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let stream = self.stream.as_mut().ok_or_else(closed)?.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        stream.flush()?;
        self.reply()
    }

    /// The code of [`command`](Client::command), or 0 when there was no reply.
    pub fn code(&mut self, line: &str) -> u16 {
        self.command(line).map_or(0, |reply| reply.code)
    }

    /// STARTTLS and the handshake, with the server's name checked against this authority.
    ///
    /// # Errors
    /// When the server refuses, or the handshake fails.
    pub fn encrypt(&mut self, certificates: &Certificates) -> std::io::Result<()> {
        let reply = self.command("STARTTLS")?;
        if reply.code != 220 {
            return Err(std::io::Error::other(reply.text));
        }
        self.stream = None;
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        let mut connection = ClientConnection::new(certificates.client(), name).map_err(std::io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut self.plain)?;
        }
        let stream: Box<dyn Both> = Box::new(StreamOwned::new(connection, self.plain.try_clone()?));
        self.stream = Some(BufReader::new(stream));
        Ok(())
    }

    /// Logs in as the lab's user, and returns the reply's code.
    pub fn login(&mut self, password: &str) -> u16 {
        self.code(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{USER}\0{password}"))))
    }

    /// Banner, EHLO, STARTTLS, EHLO, login: ready for MAIL.
    ///
    /// # Errors
    /// At the first step that fails.
    pub fn enter(&mut self, certificates: &Certificates) -> std::io::Result<()> {
        self.reply()?;
        self.command("EHLO client.lab")?;
        self.encrypt(certificates)?;
        self.command("EHLO client.lab")?;
        match self.login(PASSWORD) {
            235 => Ok(()),
            code => Err(std::io::Error::other(format!("the login was answered with {code}"))),
        }
    }

    /// MAIL, RCPT, DATA and the message: the codes of the replies, up to the first that refuses; 0 for none.
    pub fn send(&mut self, recipients: &[&str], message: &str) -> Vec<u16> {
        let mut codes = vec![self.code("MAIL FROM:<noc@example.net>")];
        codes.extend(recipients.iter().map(|to| self.code(&format!("RCPT TO:<{to}>"))));
        codes.push(self.code("DATA"));
        if codes.last() == Some(&354) {
            codes.push(self.code(&format!("{message}\r\n.")));
        }
        codes
    }
}
