//! The ISP as tests see it: what its devices shall do ([`Scenario`]), the running program ([`Isp`]), and what it really
//! did ([`Truth`]). The program itself is `tests/isp/`.

mod handle;
mod scenario;
mod truth;

pub use handle::{HERE_V4, HERE_V6, INTERFACE, Isp};
pub use scenario::{Behaviour, Flood, Forged, Lie, Outage, Scenario, Told};
pub use truth::{Record, Truth, now_ns};
