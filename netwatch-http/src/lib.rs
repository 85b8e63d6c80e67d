//! The web page and HTTP API of netwatch: a [`StatusSink`](netwatch_core::StatusSink) that shows what it is told.
//!
//! A [`Dashboard`] is given to netwatch as a sink and to [`serve_tcp`] or [`serve_unix`] to be read. It answers
//!
//! * `/` with the page,
//! * `/api/v1/targets`, with `status`, `group`, `q`, `limit` and `offset`, and `/api/v1/targets/{name}`,
//! * `/api/v1/events` with server-sent events: `snapshot`, then `change` and `tick`,
//! * `/healthz`, with 503 once nothing has been heard for longer than it should.
//! * `/api/v1/targets/{name}/ack` and `/api/v1/targets/{name}/drill` (POST) and `/api/v1/maintenance` (GET, POST; DELETE of
//!   one), where the dashboard has an [`Operator`] who carries it out.
//!
//! Nobody signs in here, so changes are taken only where few can ask for them: on a loopback address and on the local
//! socket, in JSON, and not from a page of another site.
//!
//! [`serve_proxy`] serves the same page apart from the daemon, over its local socket.

mod api;
mod assets;
mod body;
mod changes;
mod dashboard;
mod dto;
mod events;
mod guard;
mod model;
mod operator;
mod proxy;
mod query;
mod requests;
mod serve;
mod stall;
mod window;

pub use api::PageService;
pub use body::{BodyError, PageBody};
pub use dashboard::Dashboard;
pub use operator::{Operator, OperatorError};
pub use proxy::serve_proxy;
pub use serve::{Limits, ServeError, Server, serve_tcp, serve_unix, service};
