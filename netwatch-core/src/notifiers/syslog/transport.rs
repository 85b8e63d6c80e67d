//! How messages travel, and what can be known of their arrival.
//!
//! syslog has no acknowledgement. Over a connection there is one all the same: netwatch says that it has no more to say,
//! and a server that has read everything closes its side then, while one that went away before resets the connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::model::Stage;
use crate::plain;

/// How long an error that belongs to what was just sent may take to come back.
const ECHO_LIMIT: Duration = Duration::from_millis(250);
/// So many datagrams leave at once; a server's receive buffer bears them.
const BURST: usize = 50;
/// And so long is the pause then.
const PAUSE: Duration = Duration::from_millis(10);

/// What went wrong, and how far it had come.
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) what: String,
}

fn before(what: impl Into<String>) -> Failure {
    Failure { stage: Stage::BeforeContent, what: what.into() }
}

fn uncertain(what: impl Into<String>) -> Failure {
    Failure { stage: Stage::Uncertain, what: what.into() }
}

/// Whether anything may have left by now; what is left of an attempt when its time is up.
#[derive(Debug, Default)]
pub(super) struct Begun(std::sync::atomic::AtomicBool);

impl Begun {
    pub(super) fn stage(&self) -> Stage {
        if self.0.load(std::sync::atomic::Ordering::Acquire) { Stage::Uncertain } else { Stage::BeforeContent }
    }

    fn set(&self) {
        self.0.store(true, std::sync::atomic::Ordering::Release);
    }
}

/// A datagram a message. That nobody listens there is noticed, when the server's machine says so.
pub(super) async fn udp(addresses: &[SocketAddr], messages: &[Vec<u8>], begun: &Begun) -> Result<(), Failure> {
    let socket = connected(addresses).await?;
    for (place, message) in messages.iter().enumerate() {
        let failed = |error: io::Error| Failure { stage: begun.stage(), what: format!("sending: {error}") };
        socket.send(message).await.map_err(failed)?;
        // The first one finds out whether anybody is there; it is not there if nobody is.
        if place == 0 {
            refusal(&socket).await.map_err(|error| before(format!("nobody listens there: {error}")))?;
        }
        begun.set();
        if place.saturating_add(1) % BURST == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    if messages.len() > 1 {
        refusal(&socket).await.map_err(|error| uncertain(format!("nobody listens there any more: {error}")))?;
    }
    Ok(())
}

async fn connected(addresses: &[SocketAddr]) -> Result<UdpSocket, Failure> {
    let mut failures = Vec::new();
    for address in addresses {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = match UdpSocket::bind(any).await {
            Ok(socket) => socket.connect(address).await.map(|()| socket),
            Err(error) => Err(error),
        };
        match socket {
            Ok(socket) => return Ok(socket),
            Err(error) => failures.push(format!("{address}: {error}")),
        }
    }
    Err(unreachable(failures))
}

fn unreachable(mut failures: Vec<String>) -> Failure {
    if failures.is_empty() {
        failures.push("the name has no address".to_owned());
    }
    before(plain::quote(&format!("connecting: {}", failures.join("; "))))
}

/// The error that an ICMP message left on the socket, if one comes soon.
async fn refusal(socket: &UdpSocket) -> io::Result<()> {
    match timeout(ECHO_LIMIT, socket.ready(Interest::ERROR)).await {
        Ok(ready) => ready.and_then(|_| socket.take_error()).and_then(|error| error.map_or(Ok(()), Err)),
        Err(_elapsed) => Ok(()),
    }
}

/// Over a connection, under TLS if there is a `tls`.
pub(super) async fn stream(
    addresses: &[SocketAddr],
    tls: Option<(&Arc<ClientConfig>, ServerName<'static>)>,
    messages: &[Vec<u8>],
    connect_limit: Duration,
    begun: &Begun,
) -> Result<(), Failure> {
    let tcp = connect(addresses, connect_limit).await?;
    match tls {
        None => {
            let mut tcp = tcp;
            hand_over(&mut tcp, messages, begun).await?;
            settled(&tcp).await
        }
        Some((tls, name)) => {
            let connector = TlsConnector::from(Arc::clone(tls));
            let failed = |error: io::Error| before(plain::quote(&format!("TLS: {error}")));
            let mut stream = connector.connect(name, tcp).await.map_err(failed)?;
            hand_over(&mut stream, messages, begun).await?;
            settled(stream.get_ref().0).await
        }
    }
}

async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, Failure> {
    let mut failures = Vec::new();
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_elapsed) => failures.push(format!("{address}: no answer")),
        }
    }
    Err(unreachable(failures))
}

/// Sends everything, says that this was all, and waits until the server has closed its side.
async fn hand_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    messages: &[Vec<u8>],
    begun: &Begun,
) -> Result<(), Failure> {
    let mut framed = Vec::new();
    for message in messages {
        framed.extend_from_slice(message.len().to_string().as_bytes());
        framed.push(b' ');
        framed.extend_from_slice(message);
    }
    begun.set();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(&framed).await?;
        writer.shutdown().await
    };
    tokio::pin!(write);
    let mut ignored = [0_u8; 1024];
    loop {
        tokio::select! {
            biased;
            // A server has nothing to say; that it ends before everything was sent is the only news.
            read = reader.read(&mut ignored) => match read {
                Ok(0) => return Err(uncertain("the server closed the connection before it had everything")),
                Ok(_) => {}
                Err(error) => return Err(uncertain(format!("the server broke off: {error}"))),
            },
            written = &mut write => {
                written.map_err(|error| uncertain(format!("the server broke off: {error}")))?;
                break;
            }
        }
    }
    loop {
        match reader.read(&mut ignored).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Without a close_notify (RFC 8446, 6.1), as many servers end; TCP has said that it is the end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(uncertain(format!("the server broke off: {error}"))),
        }
    }
}

/// A server that had closed its side before our messages came resets the connection when they do.
async fn settled(tcp: &TcpStream) -> Result<(), Failure> {
    let error = match timeout(ECHO_LIMIT, tcp.ready(Interest::ERROR)).await {
        Ok(ready) => ready.and_then(|_| tcp.take_error()),
        Err(_elapsed) => Ok(None),
    };
    match error {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => {
            Err(uncertain(format!("the server had gone before it read everything: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_had_closed_before_our_messages_came_is_told_from_one_that_read_them() {
        for reads in [true, false] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            if reads {
                client.write_all(b"3 abc").await.unwrap();
                client.shutdown().await.unwrap();
                server.read_to_end(&mut Vec::new()).await.unwrap();
                drop(server);
            } else {
                // It has closed; what comes then is answered with a reset, behind the end that it had sent.
                drop(server);
                client.readable().await.unwrap();
                client.write_all(b"3 abc").await.unwrap();
                client.shutdown().await.unwrap();
            }
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "both look like an orderly end");
            assert_eq!(settled(&client).await.is_ok(), reads);
        }
    }
}
