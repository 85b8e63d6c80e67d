//! What a technician asks for by the API: acknowledgements, drills and maintenances, handed to the
//! [`Operator`].

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body as AnyBody, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;
use netwatch_core::MaintenanceId;

use crate::api::{Site, any};
use crate::body::{self, PageBody};
use crate::guard::MOST_BODY;
use crate::operator::{Operator, OperatorError};
use crate::requests::{self, MaintenancesDto, RequestError};

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long netwatch may take to carry it out.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that says no.
type Refusal = Box<Response<PageBody>>;

pub(crate) async fn acknowledge(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
    body: AnyBody,
) -> Response<AnyBody> {
    answer(async {
        let operator = operator(&site)?;
        let Ok(Path(name)) = name else { return Err(unreadable("the name must be percent-encoded UTF-8")) };
        let (by, note) = requests::acknowledgement(&read(body).await?).map_err(misread)?;
        let outage = carried_out(operator.acknowledge(&name, &by, &note)).await?;
        Ok(body::json(StatusCode::OK, &requests::acknowledged(&outage)))
    })
    .await
}

pub(crate) async fn drill(
    State(site): State<Site>,
    name: Result<Path<String>, PathRejection>,
    body: AnyBody,
) -> Response<AnyBody> {
    answer(async {
        let operator = operator(&site)?;
        let Ok(Path(name)) = name else { return Err(unreadable("the name must be percent-encoded UTF-8")) };
        let by = requests::drill(&read(body).await?).map_err(misread)?;
        let rehearsed = carried_out(operator.drill(&name, &by)).await?;
        Ok(body::json(StatusCode::ACCEPTED, &requests::drilled(&rehearsed)))
    })
    .await
}

pub(crate) async fn maintain(State(site): State<Site>, body: AnyBody) -> Response<AnyBody> {
    answer(async {
        let operator = operator(&site)?;
        let now = SystemTime::now().into();
        let maintenance = requests::maintenance(&read(body).await?, now).map_err(misread)?;
        let id = carried_out(operator.maintain(maintenance.clone())).await?;
        Ok(body::json(StatusCode::CREATED, &requests::entered(&maintenance, Some(id))))
    })
    .await
}

pub(crate) async fn end_maintenance(
    State(site): State<Site>,
    id: Result<Path<u64>, PathRejection>,
) -> Response<AnyBody> {
    answer(async {
        let operator = operator(&site)?;
        let Ok(Path(id)) = id else { return Err(unreadable("the id of a maintenance is a whole number")) };
        carried_out(operator.end_maintenance(MaintenanceId::new(id))).await?;
        Ok(body::json(StatusCode::OK, &serde_json::json!({ "ended": id })))
    })
    .await
}

pub(crate) async fn maintenance(State(site): State<Site>) -> Response<AnyBody> {
    answer(async {
        let entered = carried_out(operator(&site)?.maintenance()).await?;
        let maintenance = entered.iter().map(|maintenance| requests::entered(maintenance, maintenance.id)).collect();
        Ok(body::json(StatusCode::OK, &MaintenancesDto { maintenance }))
    })
    .await
}

async fn answer(answer: impl Future<Output = Result<Response<PageBody>, Refusal>>) -> Response<AnyBody> {
    any(answer.await.unwrap_or_else(|refusal| *refusal))
}

fn operator(site: &Site) -> Result<Arc<dyn Operator>, Refusal> {
    let missing = "this page only shows: acknowledgements, drills and maintenances need the netwatch that watches";
    site.dashboard.operator().ok_or_else(|| Box::new(body::error(StatusCode::NOT_IMPLEMENTED, missing)))
}

/// The whole body. One that is too long or too slow ends the connection: the rest of it is not waited for.
async fn read(body: AnyBody) -> Result<Bytes, Refusal> {
    let (status, say) = match tokio::time::timeout(BODY_TIME, to_bytes(body, MOST_BODY)).await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 64 KiB, or broke off"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s"),
    };
    let mut refusal = body::error(status, say);
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Err(Box::new(refusal))
}

async fn carried_out<T>(work: impl Future<Output = Result<T, OperatorError>>) -> Result<T, Refusal> {
    let Ok(done) = tokio::time::timeout(PATIENCE, work).await else {
        let say = "netwatch did not carry it out within 10 s; look whether it took effect before you try again";
        return Err(Box::new(body::error(StatusCode::GATEWAY_TIMEOUT, say)));
    };
    done.map_err(|error| {
        let status = match &error {
            OperatorError::NotFound(_) => StatusCode::NOT_FOUND,
            OperatorError::Conflict(_) => StatusCode::CONFLICT,
            OperatorError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Box::new(body::error(status, &error.to_string()))
    })
}

fn misread(error: RequestError) -> Refusal {
    unreadable(&error.to_string())
}

fn unreadable(say: &str) -> Refusal {
    Box::new(body::error(StatusCode::BAD_REQUEST, say))
}
