//! Against a name server of our own, on loopback.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::config::{ConnectionConfig, ResolveHosts};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SOA};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::*;

/// What the server says of every name: this address with this time to live; that there is none; nothing at all; or that
/// it cannot tell the IPv4 address (or says nothing when asked for it), while it knows one of IPv6.
#[derive(Clone, Copy)]
enum Says {
    Address([u8; 4], u32),
    None(u32),
    Nothing,
    Only6(Option<ResponseCode>),
}

struct Server {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    port: u16,
}

impl Server {
    fn new(says: Says) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = Server { says: Arc::new(Mutex::new(says)), asked: Arc::default(), over: Arc::default(), port };
        let (says, asked, over) = (server.says.clone(), server.asked.clone(), server.over.clone());
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                asked.fetch_add(1, Ordering::Relaxed);
                let question = Message::from_vec(&packet[..length]).unwrap();
                if let Some(answer) = answer(&question, *says.lock().unwrap()) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        server
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn start(&self, name: &str, family: Option<Family>) -> (UnboundedReceiver<Found>, oneshot::Sender<()>) {
        let (found, answers) = unbounded_channel();
        let port = self.port;
        let configure = move || {
            let mut connection = ConnectionConfig::udp();
            connection.port = port;
            let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
            server.connections = vec![connection];
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            without_cache(builder.options_mut());
            builder.options_mut().timeout = Duration::from_millis(300);
            builder.options_mut().attempts = 1;
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder.build()
        };
        let asking = Asking { configure: Box::new(configure), files: || Vec::new(), least: Duration::from_millis(200) };
        let stop = start(vec![(7, (name.into(), family))], found, asking).unwrap();
        (answers, stop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn answer(question: &Message, says: Says) -> Option<Vec<u8>> {
    let query = question.queries.first()?.clone();
    let mut answer = question.clone();
    answer.additionals.clear();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    match says {
        Says::Nothing => return None,
        Says::Address(ip, ttl) if query.query_type() == RecordType::A => {
            answer.answers.push(Record::from_rdata(query.name().clone(), ttl, RData::A(A(ip.into()))));
        }
        Says::Only6(_) if query.query_type() == RecordType::AAAA => {
            let ip = "2001:db8::1".parse().unwrap();
            answer.answers.push(Record::from_rdata(query.name().clone(), 1, RData::AAAA(AAAA(ip))));
        }
        Says::Only6(code) => answer.metadata.response_code = code?,
        Says::Address(..) | Says::None(_) => {
            let keep = if let Says::None(keep) = says { keep } else { 1 };
            if matches!(says, Says::None(_)) {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            let soa = SOA::new(query.name().clone(), query.name().clone(), 1, 1, 1, 1, keep);
            answer.authorities.push(Record::from_rdata(query.name().clone(), keep, RData::SOA(soa)));
        }
    }
    Some(answer.to_vec().unwrap())
}

async fn next(answers: &mut UnboundedReceiver<Found>, limit: Duration) -> Option<String> {
    let found = timeout(limit, answers.recv()).await.ok()??;
    assert_eq!(found.name, 7);
    Some(found.addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "))
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_change_is_found_when_the_answer_is_over_and_a_dead_server_takes_nothing_back() {
    let server = Server::new(Says::Address([192, 0, 2, 1], 1));
    let (mut answers, _stop) = server.start("olt.example.", None);
    assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("192.0.2.1"));
    server.say(Says::Address([192, 0, 2, 2], 1));
    assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("192.0.2.2"), "the time to live is one second");
    server.say(Says::Nothing);
    let before = server.asked.load(Ordering::Relaxed);
    assert_eq!(next(&mut answers, Duration::from_secs(3)).await, None);
    assert!(server.asked.load(Ordering::Relaxed) > before, "it is asked, and nothing is told while it is silent");
    server.say(Says::Address([192, 0, 2, 3], 1));
    assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("192.0.2.3"), "and found again when it is back");
}

#[tokio::test]
async fn a_name_whose_ipv4_address_nobody_tells_keeps_it_and_does_not_turn_to_ipv6() {
    for trouble in [Some(ResponseCode::ServFail), Some(ResponseCode::Refused), None] {
        let server = Server::new(Says::Address([192, 0, 2, 1], 1));
        let (mut answers, _stop) = server.start("olt.example.", None);
        assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("192.0.2.1"));
        server.say(Says::Only6(trouble));
        let before = server.asked.load(Ordering::Relaxed);
        assert_eq!(next(&mut answers, Duration::from_secs(3)).await, None, "{trouble:?}");
        assert!(server.asked.load(Ordering::Relaxed) > before, "{trouble:?}");
        let (mut answers, _stop) = server.start("olt.example.", Some(Family::V6));
        assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("2001:db8::1"), "the server does answer");
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_as_long_as_it_says() {
    for says in [Says::Address([192, 0, 2, 1], 3600), Says::None(3600)] {
        let server = Server::new(says);
        let (mut answers, _stop) = server.start("olt.example.", Some(Family::V4));
        assert_eq!(next(&mut answers, Duration::from_secs(2)).await.is_some(), matches!(says, Says::Address(..)));
        let asked = server.asked.load(Ordering::Relaxed);
        assert_eq!(next(&mut answers, Duration::from_secs(2)).await, None);
        assert_eq!(server.asked.load(Ordering::Relaxed), asked, "nobody asks again before");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_yet_is_found_later_and_one_of_the_other_family_never() {
    let server = Server::new(Says::None(0));
    let (mut answers, _stop) = server.start("olt.example.", None);
    assert_eq!(next(&mut answers, Duration::from_secs(1)).await, None);
    server.say(Says::Address([192, 0, 2, 1], 1));
    assert_eq!(next(&mut answers, SOON).await.as_deref(), Some("192.0.2.1"));
    let (mut answers, _stop) = server.start("olt.example.", Some(Family::V6));
    assert_eq!(next(&mut answers, Duration::from_secs(1)).await, None);
}

#[tokio::test]
async fn the_asking_ends_when_nobody_listens() {
    let server = Server::new(Says::Address([192, 0, 2, 1], 0));
    let (mut answers, stop) = server.start("olt.example.", None);
    assert!(next(&mut answers, SOON).await.is_some());
    drop(stop);
    assert!(timeout(SOON, async { while answers.recv().await.is_some() {} }).await.is_ok(), "the thread is gone");
}
