//! What is answered where: the routes of the page and of `/api/v1`.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body as AnyBody;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as Pairs, State};
use axum::routing::{delete, get, post};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};
use tower_service::Service as _;

use crate::assets;
use crate::body::{self, PageBody};
use crate::changes;
use crate::dashboard::{Dashboard, View};
use crate::dto::{self, HealthDto, ListDto};
use crate::events;
use crate::guard::{self, Gate};
use crate::query::Query;

/// What every route can reach.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) dashboard: Dashboard,
    /// One permit for each event stream that may still be opened.
    pub(crate) streams: Arc<Semaphore>,
    /// Turns true when streams are to end.
    pub(crate) closing: watch::Receiver<bool>,
}

/// The page and the API as a service: for hyper's connections, and for any tower stack.
#[derive(Clone)]
pub struct PageService {
    router: Router,
    gate: Gate,
}

impl PageService {
    pub(crate) fn new(site: Site, gate: Gate) -> PageService {
        let router = Router::new()
            .route("/api/v1/targets", get(targets))
            .route("/api/v1/targets/{name}", get(target))
            .route("/api/v1/targets/{name}/ack", post(changes::acknowledge))
            .route("/api/v1/targets/{name}/drill", post(changes::drill))
            .route("/api/v1/maintenance", get(changes::maintenance).post(changes::maintain))
            .route("/api/v1/maintenance/{id}", delete(changes::end_maintenance))
            .route("/api/v1/events", get(stream))
            .route("/healthz", get(health))
            .fallback(get(file))
            .method_not_allowed_fallback(not_allowed)
            .with_state(site);
        PageService { router, gate }
    }

    fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(mut refusal) = guard::refuse(&request, self.gate) {
            guard::harden(refusal.headers_mut());
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let mut response = answer.await?.map(PageBody::from_any);
            guard::harden(response.headers_mut());
            Ok(response)
        })
    }
}

impl std::fmt::Debug for PageService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageService").finish_non_exhaustive()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<PageBody>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for PageService {
    type Response = Response<PageBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.answer(request)
    }
}

impl tower_service::Service<Request<Incoming>> for PageService {
    type Response = Response<PageBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        self.answer(request)
    }
}

async fn targets(
    State(site): State<Site>,
    pairs: Result<Pairs<Vec<(String, String)>>, QueryRejection>,
) -> Response<AnyBody> {
    let query = match pairs {
        Ok(Pairs(pairs)) => Query::parse(pairs).map_err(|error| error.to_string()),
        Err(rejection) => Err(rejection.body_text()),
    };
    any(match query {
        Ok(query) => site.dashboard.read(|view| body::json(StatusCode::OK, &list(view, &query))),
        Err(message) => body::error(StatusCode::BAD_REQUEST, &message),
    })
}

async fn target(State(site): State<Site>, name: Result<Path<String>, PathRejection>) -> Response<AnyBody> {
    let Ok(Path(name)) = name else {
        return any(body::error(StatusCode::BAD_REQUEST, "the name must be percent-encoded UTF-8"));
    };
    any(site.dashboard.read(|view| match view.model.row(&name) {
        Some(row) => body::json(StatusCode::OK, &dto::detail(row)),
        None => body::error(StatusCode::NOT_FOUND, &format!("no target has the name {name:?}")),
    }))
}

async fn stream(State(site): State<Site>) -> Response<AnyBody> {
    any(match site.streams.clone().try_acquire_owned() {
        Ok(permit) => events::answer(site.dashboard, site.closing, permit),
        Err(_) => body::error(StatusCode::SERVICE_UNAVAILABLE, "too many event streams are open; try again later"),
    })
}

async fn health(State(site): State<Site>) -> Response<AnyBody> {
    any(site.dashboard.read(|view| {
        let (code, status) = match (view.stale, view.model.started) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stale"),
            (false, false) => (StatusCode::OK, "starting"),
            (false, true) => (StatusCode::OK, "ok"),
        };
        let age = |heard: netwatch_core::Now| view.now.mono.since(heard.mono).as_secs_f64();
        body::json(
            code,
            &HealthDto {
                status,
                generated_at: dto::rfc3339(view.now.wall),
                uptime: view.uptime.as_secs_f64(),
                last_update: dto::last_update(view.model),
                last_sample_age: view.model.last_sample.map(age),
                targets: view.model.len(),
                paths: dto::paths(view.model),
                dropped_samples: view.model.dropped_samples(),
                icmp: view.engine(),
            },
        )
    }))
}

async fn not_allowed() -> Response<AnyBody> {
    any(body::error(
        StatusCode::METHOD_NOT_ALLOWED,
        "this is asked for in another way; see the documentation of the API",
    ))
}

async fn file(uri: Uri, headers: HeaderMap) -> Response<AnyBody> {
    any(match assets::find(uri.path()) {
        Some(asset) => assets::answer(asset, &headers),
        None => body::error(StatusCode::NOT_FOUND, "there is nothing here; the API is under /api/v1/"),
    })
}

fn list<'a>(view: &View<'a>, query: &Query) -> ListDto<'a> {
    let wanted = || view.model.rows().filter(|row| query.wants(*row));
    ListDto {
        generated_at: dto::rfc3339(view.now.wall),
        last_update: dto::last_update(view.model),
        stale: view.stale,
        counts: dto::counts(view.model),
        matched: wanted().count(),
        targets: wanted().skip(query.offset).take(query.limit.unwrap_or(usize::MAX)).map(dto::target).collect(),
    }
}

pub(crate) fn any(response: Response<PageBody>) -> Response<AnyBody> {
    response.map(PageBody::into_any)
}
