//! The connection, handed over line by line until TLS begins.
//!
//! Whoever sits on the path could append a reply to the server's answer to STARTTLS; kept in a buffer, it would be
//! read as the first reply inside TLS, and every later reply would answer the wrong command: a mail would count as
//! accepted that was not (response injection: Poddebniak et al., "Why TLS is better without STARTTLS", 2021). Handed over
//! by line, what follows the answer goes to TLS, which refuses it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose every read ends at the end of a line at the latest.
#[derive(Debug)]
pub(super) struct LineStream {
    tcp: TcpStream,
    buffer: Box<[u8]>,
    filled: std::ops::Range<usize>,
}

impl LineStream {
    pub(super) fn new(tcp: TcpStream) -> LineStream {
        LineStream { tcp, buffer: vec![0; 4096].into(), filled: 0..0 }
    }
}

impl AsyncTokioStream for LineStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl AsyncRead for LineStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.filled.is_empty() {
            let mut buffer = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.tcp).poll_read(context, &mut buffer))?;
            this.filled = 0..buffer.filled().len();
        }
        let waiting = this.buffer.get(this.filled.clone()).unwrap_or_default();
        let line = waiting.iter().position(|byte| *byte == b'\n').map_or(waiting.len(), |end| end.saturating_add(1));
        let handed = line.min(out.remaining());
        out.put_slice(waiting.get(..handed).unwrap_or_default());
        this.filled.start = this.filled.start.saturating_add(handed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
