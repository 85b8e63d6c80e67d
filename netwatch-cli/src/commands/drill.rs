//! `netwatch drill`: an outage of a device is rehearsed, through everything that a real one goes through.

use hyper::Method;
use serde_json::json;

use super::ack::user;
use super::{Exit, ask, complain, daemon, say};
use crate::args::{self, Common};
use crate::words;

/// Has the running daemon begin one.
pub(crate) fn drill(common: &Common, options: &args::Drill) -> Exit {
    let (config, socket) = match daemon(common) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let Some(by) = user(options.by.as_deref()) else { return Exit::Usage };
    let path = format!("/api/v1/targets/{}/drill", ask::encoded(&options.target));
    match ask::tell_blocking(&socket, &Method::POST, &path, Some(&json!({ "by": by }))) {
        Ok(answer) if options.json => say(String::from_utf8_lossy(&answer).trim_end()),
        Ok(_) => {
            let target = words::printable(&options.target);
            say(&format!("{target}: {} netwatch why {target}", words::drill_begun(config.plan.locale)));
        }
        Err(error) => {
            complain(&ask::complaint(&error));
            return Exit::Wrong;
        }
    }
    Exit::Fine
}
