//! Plays the dead man's switch: a server that notes when it is called, and answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netwatch_tests::process::wait_for;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Fine,
    Error,
    /// To another path of its own.
    Redirect,
    /// None, for as long as the caller waits.
    Nothing,
}

struct State {
    answer: Answer,
    /// When, and the request line.
    calls: Vec<(Instant, String)>,
    open: usize,
    most_open: usize,
}

/// The server. Its threads end with the test.
pub(crate) struct Heart {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Heart {
    /// Serves on this listener, with TLS if there is a configuration for it.
    pub(crate) fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Heart {
        let address = listener.local_addr().unwrap();
        let state = State { answer: Answer::Fine, calls: Vec::new(), open: 0, most_open: 0 };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || match tls {
                    None => talk(stream, &state),
                    Some(tls) => talk(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &state),
                });
            }
        });
        Heart { address, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// When it was called since then.
    pub(crate) fn calls(&self, begin: Instant) -> Vec<(Instant, String)> {
        self.state.lock().unwrap().calls.iter().filter(|(at, _)| *at >= begin).cloned().collect()
    }

    /// How many calls were under way together at the most.
    pub(crate) fn most_open(&self) -> usize {
        self.state.lock().unwrap().most_open
    }

    pub(crate) fn wait_called(&self, begin: Instant, limit: Duration) {
        wait_for("the heartbeat", limit, || self.calls(begin).first().cloned());
    }
}

fn talk(mut stream: impl Read + Write, state: &Mutex<State>) {
    let (mut request, mut bytes) = (String::new(), [0; 4096]);
    while !request.contains("\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(length) if length > 0 => request.push_str(&String::from_utf8_lossy(&bytes[..length])),
            _ => return,
        }
    }
    let answer = {
        let mut state = state.lock().unwrap();
        let line = request.lines().next().unwrap_or_default().to_owned();
        state.calls.push((Instant::now(), line));
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        state.answer
    };
    let head = match answer {
        Answer::Fine => "200 OK\r\n",
        Answer::Error => "500 Internal Server Error\r\n",
        Answer::Redirect => "302 Found\r\nLocation: /elsewhere\r\n",
        Answer::Nothing => {
            // Until the caller hangs up.
            let _ = stream.read(&mut bytes);
            state.lock().unwrap().open -= 1;
            return;
        }
    };
    let _ = stream.write_all(format!("HTTP/1.1 {head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.flush();
    state.lock().unwrap().open -= 1;
}

/// A port of this address that is refused: nothing listens there any more.
pub(crate) fn nobody(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert!(TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(100)).is_err());
    port
}
