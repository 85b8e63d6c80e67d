//! What a server puts up with, and what it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::{Events, PATIENCE, World, request, send, serve, tcp, whole};
use http::StatusCode;
use netwatch_core::Settings;
use netwatch_http::{Limits, serve_proxy, serve_unix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

async fn world(targets: usize) -> World {
    let names: Vec<String> = (0..targets).map(|n| format!("t{n}")).collect();
    World::of(&names.iter().map(String::as_str).collect::<Vec<_>>(), Settings::default()).await
}

#[tokio::test]
async fn a_page_elsewhere_cannot_reach_it_under_its_own_name() {
    let world = world(1).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for path in ["/", "/healthz", "/api/v1/targets", "/api/v1/events"] {
        for (host, allowed) in
            [("evil.example", false), ("192.0.2.1:8080", false), ("localhost:9", true), ("[::1]", true)]
        {
            let status = send(tcp(served.address).await, request("GET", path, host)).await.status();
            let expected = if allowed { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
            assert_eq!(status, expected, "{path} as {host}");
        }
    }
    let mut nameless = tcp(served.address).await;
    nameless.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    nameless.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 421"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let world = world(1).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let reply = whole(send(tcp(served.address).await, request(method, "/api/v1/targets", "localhost")).await).await;
        assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()), "{method}");
    }
    let head = whole(send(tcp(served.address).await, request("HEAD", "/healthz", "localhost")).await).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let mut fat = tcp(served.address).await;
    fat.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, fat.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    served.stop().await;
}

#[tokio::test]
async fn every_answer_is_hardened_and_files_are_fetched_once() {
    let world = world(1).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    for path in ["/", "/assets/app.js", "/api/v1/targets", "/healthz", "/nothing"] {
        let headers = served.get(path).await.headers;
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self';"), "{path}");
        assert_eq!(
            (&headers["x-content-type-options"], &headers["x-frame-options"]),
            (&"nosniff".parse().unwrap(), &"DENY".parse().unwrap())
        );
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let page = served.get("/").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let mut again = request("GET", "/", "localhost");
    again.headers_mut().insert("if-none-match", page.headers["etag"].clone());
    let again = whole(send(tcp(served.address).await, again).await).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    served.stop().await;
}

#[tokio::test]
async fn a_header_that_never_ends_and_an_idle_connection_are_closed() {
    let world = world(1).await;
    let mut limits = Limits::default();
    limits.header = Duration::from_millis(300);
    let served = serve(&world.dashboard, limits).await;
    for begin in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = tcp(served.address).await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{begin:?} keeps its connection");
    }
    let mut drip = tcp(served.address).await;
    let begun = Instant::now();
    while drip.write_all(b"G").await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "a dripping header is never closed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn event_streams_are_bounded() {
    let world = world(1).await;
    let mut limits = Limits::default();
    limits.streams = 2;
    let served = serve(&world.dashboard, limits).await;
    let (one, _two) = (served.events().await, served.events().await);
    assert_eq!(served.get("/api/v1/events").await.status, 503);
    assert_eq!(served.get("/healthz").await.status, 200, "others are served");
    drop(one);
    let begun = Instant::now();
    loop {
        let response = send(tcp(served.address).await, request("GET", "/api/v1/events", "localhost")).await;
        if response.status() == 200 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "its place is never free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await;
}

/// A client that asks for the stream and never reads, with a small receive buffer.
async fn stalled(address: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn who_does_not_read_is_put_out_and_disturbs_nobody() {
    let world = world(5000).await;
    let mut limits = Limits::default();
    limits.streams = 2;
    limits.stall = Duration::from_millis(500);
    let served = serve(&world.dashboard, limits).await;
    let mut reader = served.events().await;
    reader.find("snapshot").await;
    let _stalled = stalled(served.address).await;
    let begun = Instant::now();
    loop {
        // Each restart is a snapshot of more than a megabyte: no socket buffer holds many.
        world.start().await;
        reader.find("snapshot").await;
        let response = send(tcp(served.address).await, request("GET", "/api/v1/events", "localhost")).await;
        if response.status() == 200 && begun.elapsed() > Duration::from_millis(500) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it keeps its place for ever");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_shutdown_waits_for_no_stream() {
    let world = world(5000).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let mut reader = served.events().await;
    reader.find("snapshot").await;
    let _idle = tcp(served.address).await;
    let _stalled = stalled(served.address).await;
    for _ in 0..5 {
        world.start().await;
        reader.find("snapshot").await;
    }
    let begun = Instant::now();
    served.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    while reader.next().await.is_some() {}
}

#[tokio::test]
async fn an_open_stream_is_ended_by_the_shutdown_and_not_cut() {
    let world = world(1).await;
    let mut limits = Limits::default();
    limits.drain = PATIENCE * 100;
    let served = serve(&world.dashboard, limits).await;
    let mut reader = served.events().await;
    reader.find("tick").await;
    let read = tokio::spawn(async move { while reader.next().await.is_some() {} });
    tokio::time::timeout(PATIENCE, served.stop()).await.expect("the stream holds the shutdown up");
    read.await.unwrap();
}

#[tokio::test]
async fn the_local_socket_and_the_proxy_before_it_say_the_same() {
    let world = world(3).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netwatch.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = tokio::spawn(serve_unix(listener, world.dashboard.clone(), async { drop(stopped.await) }));
    let local =
        whole(send(UnixStream::connect(&path).await.unwrap(), request("GET", "/api/v1/targets", "any.host")).await)
            .await;
    assert_eq!(local.json()["counts"]["total"], 3);

    let before = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = before.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let proxy = tokio::spawn(serve_proxy(before, path, async { drop(ended.await) }));
    let through = common::get(address, "/api/v1/targets?q=t2").await;
    assert_eq!((through.status.as_u16(), &through.json()["matched"]), (200, &1.into()));
    assert_eq!(common::get(address, "/api/v1/targets?x=1").await.status, 400);
    assert_eq!(send(tcp(address).await, request("GET", "/healthz", "evil.example")).await.status(), 421);
    assert_eq!(send(tcp(address).await, request("POST", "/healthz", "localhost")).await.status(), 405);
    let mut events =
        Events::of(send(tcp(address).await, request("GET", "/api/v1/events", "localhost")).await.into_body());
    assert_eq!(events.next().await.unwrap().0, "snapshot");
    assert_eq!(events.next().await.unwrap().0, "tick");

    drop(stop);
    daemon.await.unwrap().unwrap();
    while events.next().await.is_some() {}
    let gone = common::get(address, "/api/v1/targets").await;
    assert_eq!(gone.status, 502);
    assert!(gone.json()["error"].as_str().unwrap().contains("is netwatch running"));
    assert_eq!(common::get(address, "/").await.status, 200, "the page can still say that it knows nothing");
    drop(end);
    proxy.await.unwrap().unwrap();
}

async fn program(listen: &str) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_netwatch-http"))
        .args(["--socket", "/nonexistent.sock", "--listen", listen])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_program_refuses_to_be_seen_by_others() {
    let (code, says) = program("0.0.0.0:0").await;
    assert_eq!(code, Some(2), "a matter of usage");
    assert!(says.starts_with("error: 0.0.0.0:0 can be reached by others"), "{says}");
    assert!(says.contains("--allow-insecure"), "{says}");
}

#[tokio::test]
async fn the_program_says_in_one_line_why_it_cannot_listen() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, says) = program(&address).await;
    assert_eq!(code, Some(1));
    assert!(says.starts_with(&format!("error: cannot listen on {address}: ")), "{says}");
    assert_eq!(says.lines().count(), 1, "{says}");
}
