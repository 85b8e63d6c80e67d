//! What a log server is told: messages that RFC 5424 knows, whatever a device is called, and none that is lost unnoticed.

use std::collections::BTreeMap;
use std::sync::Arc;

use netwatch_core::{
    DeliveryError, LineKind, Receipt, Stage, SyslogConfig, SyslogFacility, SyslogNotifier, SyslogTransport,
};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::{LIMIT, PATIENCE, attempt, corpus, hello, line, told};

/// A message taken apart by the grammar of RFC 5424, section 6.
struct Message {
    priority: u16,
    id: String,
    values: BTreeMap<String, String>,
    said: String,
}

impl Message {
    fn parse(bytes: &[u8]) -> Message {
        let text = std::str::from_utf8(bytes).expect("a message is UTF-8");
        assert!(corpus::is_tame(text) && !text.contains('\n'), "{text:?}");
        let rest = text.strip_prefix('<').unwrap();
        let (priority, rest) = rest.split_once('>').unwrap();
        let fields: Vec<&str> = rest.splitn(7, ' ').collect();
        let [version, time, host, application, process, id, rest] = fields[..] else { panic!("{text}") };
        assert_eq!((version, application, process, host), ("1", "netwatch", "-", "mon-1"));
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        let (values, rest) = structured(rest);
        let said = rest.strip_prefix(" \u{FEFF}").expect("a text in UTF-8 begins with a BOM");
        Message { priority: priority.parse().unwrap(), id: id.to_owned(), values, said: said.to_owned() }
    }
}

/// The values of the one element, and what follows it.
fn structured(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut rest = text.strip_prefix("[netwatch@32473").unwrap();
    let mut values = BTreeMap::new();
    while let Some(pair) = rest.strip_prefix(' ') {
        let (name, quoted) = pair.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        loop {
            match characters.next().expect("a value ends") {
                (_, '\\') => {
                    let (_, escaped) = characters.next().unwrap();
                    assert!(matches!(escaped, '"' | '\\' | ']'), "only these are escaped");
                    value.push(escaped);
                }
                (end, '"') => {
                    rest = &quoted[end + 1..];
                    break;
                }
                (_, ']') => panic!("a bracket must be escaped: {text}"),
                (_, character) => value.push(character),
            }
        }
        assert!(values.insert(name.to_owned(), value).is_none());
    }
    (values, rest.strip_prefix(']').expect("the element ends"))
}

/// The messages of a stream that counts octets (RFC 6587, 3.4.1).
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').expect("a length and a space");
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        messages.push(bytes[space + 1..space + 1 + length].to_vec());
        bytes = &bytes[space + 1 + length..];
    }
    messages
}

fn config(transport: SyslogTransport, port: u16) -> SyslogConfig {
    let mut config = SyslogConfig::new("127.0.0.1").with_transport(transport);
    (config.port, config.timeout, config.hostname) = (port, PATIENCE, Some("mon-1".to_owned()));
    config
}

/// What a server does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Reads everything, and closes when the other side does.
    Read,
    /// Closes at once.
    Close,
    /// Reads a little, and closes.
    CloseInside,
    /// Reads everything, and never closes.
    Stay,
    /// Does nothing at all.
    Deaf,
}

/// A server for streams; what each connection brought comes out of the channel.
async fn server(act: Act, tls: Option<Arc<ServerConfig>>) -> (u16, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (sender, tls) = (sender.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    _ if act == Act::Deaf => hold(tcp).await,
                    Some(tls) => {
                        if let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await {
                            play(stream, act, sender).await;
                        }
                    }
                    None => play(tcp, act, sender).await,
                }
            });
        }
    });
    (port, receiver)
}

async fn hold(_tcp: TcpStream) {
    std::future::pending().await
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, act: Act, sender: mpsc::UnboundedSender<Vec<u8>>) {
    let mut bytes = Vec::new();
    match act {
        Act::Close => {}
        Act::CloseInside => _ = stream.read_exact(&mut [0; 10]).await,
        _ => _ = stream.read_to_end(&mut bytes).await,
    }
    sender.send(bytes).unwrap();
    match act {
        Act::Stay => std::future::pending().await,
        // As a program that ends.
        Act::Close | Act::CloseInside => drop(stream),
        _ => _ = stream.shutdown().await,
    }
}

fn judge(name: &str, messages: &[Vec<u8>], most: usize) {
    assert_eq!(messages.len(), 3, "a message a line: {name:?}");
    let ids: Vec<String> = messages.iter().map(|message| Message::parse(message).id).collect();
    assert_eq!(ids, ["opened", "closed", "missed"]);
    for message in messages {
        assert!(message.len() <= most, "{}", message.len());
        let Message { values, .. } = Message::parse(message);
        let keys: Vec<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(keys, ["address", "group", "mail", "outage", "target", "topic"], "{name:?}");
        if name.len() < 60 && corpus::is_tame(name) && !name.contains(['\n', '\r']) {
            assert_eq!(values["target"], name.trim(), "{name:?}");
        }
        assert_eq!(values["mail"], "<17.1.noc@netwatch>");
    }
}

#[tokio::test]
async fn whatever_a_device_is_called_each_line_is_one_message_over_udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let notifier = SyslogNotifier::new(config(SyslogTransport::Udp, socket.local_addr().unwrap().port())).unwrap();
    let mut buffer = vec![0; 65_536];
    for (name, notification) in corpus::notifications() {
        assert_eq!(attempt(&notifier, &notification).await.unwrap(), Receipt::default());
        let mut messages = Vec::new();
        while let Ok(length) = socket.try_recv(&mut buffer) {
            messages.push(buffer[..length].to_vec());
        }
        judge(&name, &messages, 1024);
    }
}

#[tokio::test]
async fn whatever_a_device_is_called_each_line_is_one_message_over_tcp_and_tls() {
    let authority = Authority::new("ours");
    for tls in [None, Some(authority.issue("127.0.0.1"))] {
        let transport = if tls.is_some() { SyslogTransport::Tls } else { SyslogTransport::Tcp };
        let (port, mut heard) = server(Act::Read, tls).await;
        let mut config = config(transport, port);
        config.ca_file = Some(authority.file());
        let notifier = SyslogNotifier::new(config).unwrap();
        for (name, notification) in corpus::notifications() {
            attempt(&notifier, &notification).await.unwrap();
            judge(&name, &frames(&heard.recv().await.unwrap()), 2048);
        }
    }
}

#[tokio::test]
async fn facility_severity_and_words_are_as_they_should_be() {
    let (port, mut heard) = server(Act::Read, None).await;
    let mut config = config(SyslogTransport::Tcp, port);
    config.facility = SyslogFacility::from_code("local7").unwrap();
    attempt(&SyslogNotifier::new(config).unwrap(), &hello()).await.unwrap();
    let messages = frames(&heard.recv().await.unwrap());
    let message = Message::parse(&messages[0]);
    assert_eq!((message.priority, message.id.as_str()), (23 * 8 + 3, "opened"));
    assert!(message.said.starts_with("NO RESPONDE: agg-3 (192.0.2.1), desde "), "{}", message.said);
}

async fn failure(act: Act, tls: Option<Arc<ServerConfig>>, change: impl FnOnce(&mut SyslogConfig)) -> DeliveryError {
    let transport = if tls.is_some() { SyslogTransport::Tls } else { SyslogTransport::Tcp };
    let (port, _heard) = server(act, tls).await;
    let mut config = config(transport, port);
    config.timeout = LIMIT;
    change(&mut config);
    let many = told((0..3000).map(|number| line(number, "olt", LineKind::Opened)).collect());
    attempt(&SyslogNotifier::new(config).unwrap(), &many).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_goes_away_early_or_never_ends_is_noticed() {
    let authority = Authority::new("ours");
    for tls in [None, Some(authority.issue("127.0.0.1"))] {
        for act in [Act::Close, Act::CloseInside, Act::Stay] {
            let error = failure(act, tls.clone(), |config| config.ca_file = Some(authority.file())).await;
            assert_eq!((error.stage, error.permanent), (Stage::Uncertain, false), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_had_closed_before_anything_came_is_noticed_for_a_single_line_too() {
    for _ in 0..20 {
        let (port, _heard) = server(Act::Close, None).await;
        let notifier = SyslogNotifier::new(config(SyslogTransport::Tcp, port)).unwrap();
        let error = attempt(&notifier, &hello()).await.unwrap_err();
        assert_eq!(error.stage, Stage::Uncertain, "{error}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp_port = socket.local_addr().unwrap().port();
    drop(socket);
    for (transport, port) in
        [(SyslogTransport::Tcp, port), (SyslogTransport::Tls, port), (SyslogTransport::Udp, udp_port)]
    {
        let notifier = SyslogNotifier::new(config(transport, port)).unwrap();
        let error = attempt(&notifier, &hello()).await.unwrap_err();
        assert_eq!(error.stage, Stage::BeforeContent, "{error}");
        assert!(error.message.contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}

#[tokio::test]
async fn tls_is_with_who_has_the_name_or_not_at_all() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    for (act, tls) in [
        (Act::Read, authority.issue("127.0.0.2")),
        (Act::Read, other.issue("127.0.0.1")),
        (Act::Read, Authority::self_signed("127.0.0.1")),
        (Act::Deaf, authority.issue("127.0.0.1")),
    ] {
        let error = failure(act, Some(tls), |config| config.ca_file = Some(authority.file())).await;
        assert_eq!(error.stage, Stage::BeforeContent, "{error}");
    }
}

#[tokio::test]
async fn a_copy_has_the_same_bytes() {
    let (port, mut heard) = server(Act::Read, None).await;
    for copy in crate::copies() {
        attempt(&SyslogNotifier::new(config(SyslogTransport::Tcp, port)).unwrap(), &copy).await.unwrap();
    }
    assert_eq!(heard.recv().await, heard.recv().await);
}
