//! A dashboard fed by hand, served on loopback, and a client that hides nothing.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use netwatch_core::{
    Echo, Echoes, Group, GroupId, Loss, Mono, NotifierPolicy, Now, Plan, Rtt, Sample, Settings, Start, StatusSink,
    Target, TargetId, TargetView, Wall,
};
use netwatch_http::{Dashboard, Limits, Server};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) dashboard: Dashboard,
    pub(crate) plan: Arc<Plan>,
    begun: Instant,
}

impl World {
    /// Targets of these names in one group "DSLAM", the first without a group.
    pub(crate) async fn of(names: &[&str], settings: Settings) -> World {
        let settings = Arc::new(settings);
        let targets = names.iter().enumerate().map(|(at, name)| {
            let [_, _, high, low] = u32::try_from(at + 1).unwrap().to_be_bytes();
            let mut target = Target::at(*name, format!("192.0.{high}.{low}").parse().unwrap());
            target.group = (at > 0).then(|| GroupId::from_index(0));
            target.settings = settings.clone();
            target
        });
        let mut plan = Plan::new(targets.collect()).with_notifier(NotifierPolicy::new("noc"));
        plan.groups = vec![Group::new("DSLAM")];
        let world = World { dashboard: Dashboard::new(), plan: Arc::new(plan), begun: Instant::now() };
        world.start().await;
        world
    }

    pub(crate) async fn start(&self) {
        let now = self.now();
        let views = (0..self.plan.targets.len()).map(|at| TargetView::pending(TargetId::from_index(at), now.wall));
        self.dashboard.start(&Start::new(now, self.plan.clone(), views.collect())).await;
    }

    pub(crate) fn now(&self) -> Now {
        Now::new(Mono::from_nanos(1 << 40).plus(self.begun.elapsed()), SystemTime::now().into())
    }

    pub(crate) async fn sample(&self, at: usize, echoes: &[Option<u64>]) {
        let now = self.now().mono;
        let echo = |ms: &Option<u64>| match ms {
            Some(ms) => Echo::Reply(Rtt::from_duration(Duration::from_millis(*ms))),
            None => Echo::Lost(Loss::NoReply),
        };
        let echoes: Echoes = echoes.iter().map(echo).collect();
        self.dashboard.samples(&[Sample::new(TargetId::from_index(at), now, now, echoes)]).await;
    }
}

pub(crate) fn wall(seconds: i64) -> Wall {
    Wall::from_unix_nanos(seconds * 1_000_000_000)
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(crate) async fn serve(dashboard: &Dashboard, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(dashboard.clone()).limits(limits);
    let task = tokio::spawn(async move {
        server.serve_tcp(listener, async { drop(stopped.await) }).await.unwrap();
    });
    Served { address, stop, task }
}

impl Served {
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await
    }

    pub(crate) async fn events(&self) -> Events {
        let response = send(tcp(self.address).await, request("GET", "/api/v1/events", "localhost")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events::of(response.into_body())
    }
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) async fn tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

pub(crate) fn request(method: &str, path: &str, host: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(path).header("host", host).body(Empty::new()).unwrap()
}

pub(crate) async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> http::Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

pub(crate) async fn whole(response: http::Response<Incoming>) -> Reply {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    whole(send(tcp(address).await, request("GET", path, &address.to_string())).await).await
}

/// A reader of server-sent events.
pub(crate) struct Events {
    body: Incoming,
    text: Vec<u8>,
}

impl Events {
    pub(crate) fn of(body: Incoming) -> Events {
        Events { body, text: Vec::new() }
    }

    /// The next event with data; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(data) = field("data: ") {
                    return Some((field("event: ").unwrap(), serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the stream stands still")?;
            self.text.extend_from_slice(frame.ok()?.data_ref()?);
        }
    }

    /// The next event of this name.
    pub(crate) async fn find(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let (event, data) = self.next().await.expect("the stream goes on");
            if event == name {
                return data;
            }
        }
        panic!("no {name} came")
    }
}

/// Asserts that this is RFC 3339 in UTC.
pub(crate) fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{text}");
}
