//! A mail server that breaks down at one step of the conversation, without a thread of its own: threads are counted here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How far apart the bytes of a dripping answer are: each comes in time, and all of them do not.
const DRIP: Duration = Duration::from_millis(200);

/// Whom the server never knows.
pub(crate) const GONE: &str = "gone@example.net";
/// Whom it answers as the trouble has it.
pub(crate) const FIRST: &str = "a@example.net";

/// A step of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Banner,
    Ehlo,
    StartTls,
    Handshake,
    Auth,
    Mail,
    Rcpt,
    Data,
    Dot,
    Quit,
}

impl Step {
    pub(crate) const ALL: [Step; 10] = [
        Step::Banner,
        Step::Ehlo,
        Step::StartTls,
        Step::Handshake,
        Step::Auth,
        Step::Mail,
        Step::Rcpt,
        Step::Data,
        Step::Dot,
        Step::Quit,
    ];
}

/// What the server does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Says nothing more.
    Silent,
    /// Says the right thing a byte at a time.
    Drip,
    /// Closes the connection.
    Close,
    /// Says this code; after 421 it closes (RFC 5321, 3.8).
    Reply(u16),
    /// Says 354, and nothing more.
    GoAhead,
}

impl Act {
    pub(crate) const ALL: [Act; 8] = [
        Act::Silent,
        Act::Drip,
        Act::Close,
        Act::Reply(421),
        Act::Reply(450),
        Act::Reply(550),
        Act::Reply(552),
        Act::GoAhead,
    ];
}

/// A server. It ends with the runtime.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    trouble: Mutex<Option<(Step, Act)>>,
    reached: AtomicUsize,
    confirmed: AtomicUsize,
}

impl Server {
    pub(crate) async fn start(tls: Arc<ServerConfig>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let (shared, acceptor) = (state.clone(), TlsAcceptor::from(tls));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                // An error is the client's leaving, or the trouble itself.
                let (state, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move { drop(serve(tcp, &acceptor, &state).await) });
            }
        });
        Server { port, state }
    }

    /// Breaks down so from now on, or is well.
    pub(crate) fn suffer(&self, trouble: Option<(Step, Act)>) {
        *self.state.trouble.lock().unwrap() = trouble;
    }

    /// How often a conversation came to the trouble.
    pub(crate) fn reached(&self) -> usize {
        self.state.reached.load(Ordering::SeqCst)
    }

    /// How many mails the server has said 250 to, to the last byte.
    pub(crate) fn confirmed(&self) -> usize {
        self.state.confirmed.load(Ordering::SeqCst)
    }
}

async fn serve(tcp: TcpStream, acceptor: &TlsAcceptor, state: &State) -> io::Result<()> {
    let mut plain = Talk { stream: tcp, state };
    plain.answer(Step::Banner, "220 test ESMTP").await?;
    plain.line().await?;
    plain.answer(Step::Ehlo, "250-test\r\n250 STARTTLS").await?;
    plain.line().await?;
    plain.answer(Step::StartTls, "220 go ahead").await?;
    // What a handshake begins with; in the trouble, whatever the trouble is, it is never finished.
    plain.answer(Step::Handshake, "").await?;
    let mut talk = Talk { stream: acceptor.accept(plain.stream).await?, state };
    loop {
        let line = talk.line().await?;
        match line.split([' ', ':']).next().unwrap_or("") {
            "EHLO" => talk.say("250-test\r\n250 AUTH PLAIN\r\n").await?,
            "AUTH" => talk.answer(Step::Auth, "235 welcome").await?,
            "MAIL" => talk.answer(Step::Mail, "250 sender ok").await?,
            "RCPT" if line.contains(GONE) => talk.say("550 5.1.1 no such user\r\n").await?,
            "RCPT" if line.contains(FIRST) => talk.answer(Step::Rcpt, "250 known here").await?,
            "RCPT" => talk.say("250 known here\r\n").await?,
            "DATA" => talk.content().await?,
            "QUIT" => return talk.answer(Step::Quit, "221 bye").await,
            _ => talk.say("502 unknown\r\n").await?,
        }
    }
}

struct Talk<'a, S> {
    stream: S,
    state: &'a State,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    /// Says the right thing, or what the trouble at this step is.
    async fn answer(&mut self, step: Step, right: &str) -> io::Result<()> {
        let trouble = *self.state.trouble.lock().unwrap();
        let Some((_, act)) = trouble.filter(|(at, _)| *at == step) else {
            return if right.is_empty() { Ok(()) } else { self.say(&format!("{right}\r\n")).await };
        };
        self.state.reached.fetch_add(1, Ordering::SeqCst);
        match act {
            Act::Silent => self.ignore().await,
            Act::GoAhead => {
                self.say("354 go ahead\r\n").await?;
                self.ignore().await
            }
            Act::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            Act::Reply(code) => {
                self.say(&format!("{code} as told\r\n")).await?;
                if code == 421 || step == Step::Handshake { self.ignore().await } else { Ok(()) }
            }
            Act::Drip => {
                // The head of a TLS record of 16 KiB, where no words belong.
                let words = if right.is_empty() {
                    "\u{16}\u{3}\u{3}\u{40}\u{0}\u{2}".to_owned()
                } else {
                    format!("{right}\r\n")
                };
                for byte in words.bytes() {
                    tokio::time::sleep(DRIP).await;
                    self.stream.write_all(&[byte]).await?;
                    self.stream.flush().await?;
                }
                if right.is_empty() { self.ignore().await } else { Ok(()) }
            }
        }
    }

    async fn content(&mut self) -> io::Result<()> {
        let trouble = self.state.trouble.lock().unwrap().filter(|(at, _)| *at == Step::Data);
        self.answer(Step::Data, "354 go ahead").await?;
        if trouble.is_some() {
            return Ok(());
        }
        while self.line().await? != "." {}
        let trouble = self.state.trouble.lock().unwrap().filter(|(at, _)| *at == Step::Dot);
        self.answer(Step::Dot, "250 2.0.0 taken").await?;
        if trouble.is_none() {
            self.state.confirmed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Until the client leaves.
    async fn ignore(&mut self) -> io::Result<()> {
        while self.stream.read(&mut [0; 1024]).await? > 0 {}
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(self.stream.read_u8().await?);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// An authority, and a server with a certificate of it for 127.0.0.1, made by the `openssl` program.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority(tempfile::tempdir().unwrap())
    }

    /// What a client must trust.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    pub(crate) fn issue(&self) -> Arc<ServerConfig> {
        let dir = self.0.path();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
        std::fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        openssl(dir, &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=leaf"));
        openssl(
            dir,
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 2 -extfile extensions",
        );
        let certificate = CertificateDer::from_pem_file(dir.join("leaf.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(dir.join("leaf.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output();
    let output = output.expect("these tests need the openssl program: apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
