//! A web server: hyper's, for as long as it behaves, and a bare socket where it does not.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Shared;

/// What the server does with a connection.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers each request with this.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Reads a request, and never says a word.
    Hang,
    /// Accepts the connection, and neither reads nor writes, not even for TLS.
    Deaf,
    /// Reads a request, and closes.
    Close,
    /// Reads a request, says this, and then a space every so often, for ever.
    Drip(String),
    /// Reads a request, says this, and then as much as it can, for ever.
    Flood(String),
    /// Reads a request, says this, and closes.
    Say(String),
}

impl Act {
    pub(crate) fn answer(status: u16, body: &str) -> Act {
        Act::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Act {
        match self {
            Act::Answer { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Act::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// A server on the loopback. Dropped, it is gone.
pub(crate) struct Web {
    pub(crate) port: u16,
    pub(crate) heard: Shared<Vec<Heard>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// Plays these acts, one a connection, the last one for all further ones.
    pub(crate) async fn new(acts: Vec<Act>, tls: Option<Arc<ServerConfig>>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Shared<Vec<Heard>> = Shared::default();
        let written = Arc::clone(&heard);
        let acts = Arc::new(Mutex::new(acts));
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let act = {
                    let mut acts = acts.lock().unwrap();
                    if acts.len() > 1 { acts.remove(0) } else { acts[0].clone() }
                };
                let (tls, written) = (tls.clone(), Arc::clone(&written));
                tokio::spawn(async move {
                    match (act, tls) {
                        (Act::Deaf, _) => {
                            std::future::pending::<()>().await;
                            drop(tcp);
                        }
                        (act, Some(tls)) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await {
                                play(stream, act, written).await;
                            }
                        }
                        (act, None) => play(tcp, act, written).await,
                    }
                });
            }
        });
        Web { port, heard, task }
    }

    pub(crate) async fn plain(act: Act) -> Web {
        Web::new(vec![act], None).await
    }

    pub(crate) fn requests(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

async fn play<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S, act: Act, heard: Shared<Vec<Heard>>) {
    let (begin, then) = match act {
        Act::Answer { status, headers, body } => return serve(stream, status, headers, body, heard).await,
        Act::Hang => (String::new(), None),
        Act::Deaf | Act::Close => {
            read_request(&mut stream).await;
            return;
        }
        Act::Drip(begin) => (begin, Some((1, std::time::Duration::from_millis(50)))),
        Act::Flood(begin) => (begin, Some((65_536, std::time::Duration::ZERO))),
        Act::Say(said) => {
            read_request(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            return;
        }
    };
    read_request(&mut stream).await;
    stream.write_all(begin.as_bytes()).await.unwrap();
    let Some((length, pause)) = then else {
        return std::future::pending().await;
    };
    while stream.write_all(&vec![b' '; length]).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    heard: Shared<Vec<Heard>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (heard, headers, body) = (Arc::clone(&heard), headers.clone(), body.clone());
        async move {
            let (head, incoming) = request.into_parts();
            let bytes = incoming.collect().await.unwrap().to_bytes().to_vec();
            assert_eq!(head.method, "POST");
            heard.lock().unwrap().push(Heard { path: head.uri.to_string(), headers: head.headers, body: bytes });
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Reads a head and the body that it announces.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
