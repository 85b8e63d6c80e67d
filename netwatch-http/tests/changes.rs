//! Acknowledgements, drills and maintenances by the API: what reaches the operator, what is answered, and who is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use common::{Reply, Served, World, is_time, serve, tcp, wall, whole};
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use netwatch_core::{Ack, Maintenance, MaintenanceId, Outage, OutageId, Settings, async_trait};
use netwatch_http::{Limits, Operator, OperatorError, Server};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Knows one outage, of "calle/esquina %25", and keeps the maintenances that it is given.
#[derive(Default)]
struct Desk(Mutex<Vec<Maintenance>>);

#[async_trait]
impl Operator for Desk {
    async fn acknowledge(&self, target: &str, by: &str, note: &str) -> Result<Outage, OperatorError> {
        match target {
            "calle/esquina %25" => {
                let mut outage = Outage::open(OutageId::new(7), target.into(), None, wall(1_000_000));
                outage.ack = Some(Arc::new(Ack::new(wall(1_000_060), by, note)));
                Ok(outage)
            }
            "core-1" => Err(OperatorError::Conflict("it has no open outage".into())),
            _ => Err(OperatorError::NotFound("no such target".into())),
        }
    }

    async fn drill(&self, target: &str, by: &str) -> Result<Outage, OperatorError> {
        match (target, by) {
            ("core-1", "ana") => Ok(Outage::open(OutageId::new(9), target.into(), None, wall(1_000_000))),
            ("core-1", _) => Err(OperatorError::Conflict("the last drill was less than 10 min ago".into())),
            _ => Err(OperatorError::NotFound("no such target".into())),
        }
    }

    async fn maintain(&self, mut maintenance: Maintenance) -> Result<MaintenanceId, OperatorError> {
        let mut kept = self.0.lock().unwrap();
        let id = MaintenanceId::new(kept.len() as u64 + 1);
        maintenance.id = Some(id);
        kept.push(maintenance);
        Ok(id)
    }

    async fn end_maintenance(&self, id: MaintenanceId) -> Result<(), OperatorError> {
        let mut kept = self.0.lock().unwrap();
        let before = kept.len();
        kept.retain(|maintenance| maintenance.id != Some(id));
        if kept.len() < before { Ok(()) } else { Err(OperatorError::NotFound("no such maintenance".into())) }
    }

    async fn maintenance(&self) -> Result<Vec<Maintenance>, OperatorError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

async fn world() -> World {
    let world = World::of(&["core-1", "calle/esquina %25"], Settings::default()).await;
    world.dashboard.set_operator(Arc::new(Desk::default()));
    world
}

async fn ask<S>(stream: S, method: &str, path: &str, body: impl Into<Bytes>) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").body(Full::new(body.into())).unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    whole(sender.send_request(request).await.unwrap()).await
}

async fn post(served: &Served, path: &str, body: impl Into<Bytes>) -> Reply {
    ask(tcp(served.address).await, "POST", path, body).await
}

const TO: &str = "2100-01-01T00:00:00-03:00";

#[tokio::test]
async fn an_outage_is_acknowledged_by_its_devices_name() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let body = json!({"by": "ana", "note": "va la cuadrilla"}).to_string();
    let reply = post(&served, "/api/v1/targets/calle%2Fesquina%20%2525/ack", body.clone()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!({"target": "calle/esquina %25", "outage": 7, "first_bad": "1970-01-12T13:46:40.000Z", "due": null,
            "acknowledged": {"at": "1970-01-12T13:47:40.000Z", "by": "ana", "note": "va la cuadrilla"}})
    );
    for (path, status) in [("core-1", 409), ("nobody", 404), ("%ff", 400)] {
        let reply = post(&served, &format!("/api/v1/targets/{path}/ack"), body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].is_string()), (status, true), "{path}");
    }
    for bad in ["", "{}", "[]", r#"{"by": "ana", "who": "x"}"#] {
        assert_eq!(post(&served, "/api/v1/targets/core-1/ack", bad).await.status, 400, "{bad}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_drill_is_begun_by_somebody_who_says_who() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let reply = post(&served, "/api/v1/targets/core-1/drill", r#"{"by": "ana"}"#).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()),
        (202, json!({"target": "core-1", "drill": 9, "begun": "1970-01-12T13:46:40.000Z"}))
    );
    for (path, body, status) in [
        ("core-1", r#"{"by": "luis"}"#, 409),
        ("nobody", r#"{"by": "ana"}"#, 404),
        ("core-1", "{}", 400),
        ("%ff", r#"{"by": "ana"}"#, 400),
    ] {
        let reply = post(&served, &format!("/api/v1/targets/{path}/drill"), body).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].is_string()), (status, true), "{path} {body}");
    }
    assert_eq!(served.get("/api/v1/targets/core-1/drill").await.status, 405);
    served.stop().await;
}

#[tokio::test]
async fn a_maintenance_is_entered_listed_and_ended() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let body = json!({"groups": ["DSLAM"], "to": TO, "reason": "fibra", "by": "ana"}).to_string();
    let reply = post(&served, "/api/v1/maintenance", body).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["id"]), (201, &json!(1)));
    let list = served.get("/api/v1/maintenance").await.json();
    let mut entered = list["maintenance"][0].clone();
    is_time(&entered["from"]);
    entered["from"] = json!(null);
    assert_eq!(
        entered,
        json!({"id": 1, "targets": [], "groups": ["DSLAM"], "tags": [], "everything": false, "from": null,
            "to": "2100-01-01T03:00:00.000Z", "reason": "fibra", "by": "ana"})
    );
    for (id, status) in [("1", 200), ("1", 404), ("x", 400), ("-1", 400)] {
        let path = format!("/api/v1/maintenance/{id}");
        assert_eq!(ask(tcp(served.address).await, "DELETE", &path, "").await.status.as_u16(), status, "{id}");
    }
    assert_eq!(served.get("/api/v1/maintenance").await.json(), json!({"maintenance": []}));
    served.stop().await;
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_not_read_to_its_end() {
    let world = world().await;
    let served = serve(&world.dashboard, Limits::default()).await;
    let note = "x".repeat(65 * 1024);
    let body = json!({"by": "ana", "note": note}).to_string();
    let reply = post(&served, "/api/v1/targets/core-1/ack", body).await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.headers["connection"], "close");
    served.stop().await;
}

#[tokio::test]
async fn a_dashboard_without_an_operator_says_so() {
    let world = World::of(&["core-1"], Settings::default()).await;
    let served = serve(&world.dashboard, Limits::default()).await;
    assert_eq!(post(&served, "/api/v1/targets/core-1/ack", r#"{"by": "ana"}"#).await.status, 501);
    assert_eq!(served.get("/api/v1/maintenance").await.status, 501);
    assert_eq!(served.get("/api/v1/targets/core-1/ack").await.status, 405);
    served.stop().await;
}

/// On 0.0.0.0, which others may reach.
#[tokio::test]
async fn where_others_may_reach_the_page_it_only_shows() {
    let world = world().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    tokio::spawn(Server::new(world.dashboard.clone()).serve_tcp(listener, std::future::pending()));
    let body = json!({"everything": true, "to": TO, "reason": "x", "by": "ana"}).to_string();
    let reply = ask(tcp(address).await, "POST", "/api/v1/maintenance", body).await;
    assert_eq!(reply.status, 403);
    assert!(reply.json()["error"].as_str().unwrap().contains("loopback"));
    assert_eq!(ask(tcp(address).await, "DELETE", "/api/v1/maintenance/1", "").await.status, 403);
}

#[tokio::test]
async fn on_the_local_socket_changes_are_taken() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netwatch.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(Server::new(world.dashboard.clone()).serve_unix(listener, std::future::pending()));
    let body = json!({"everything": true, "to": TO, "reason": "x", "by": "ana"}).to_string();
    let reply = ask(UnixStream::connect(&path).await.unwrap(), "POST", "/api/v1/maintenance", body).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["everything"]), (201, &json!(true)));
}
