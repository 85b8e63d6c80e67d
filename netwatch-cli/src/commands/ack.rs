//! `netwatch ack`: somebody sees to the open outage of a device.

use hyper::Method;
use serde_json::json;

use super::{Exit, ask, complain, daemon, say};
use crate::args::{self, Common};
use crate::words;

/// Tells the running daemon.
pub(crate) fn ack(common: &Common, options: &args::Ack) -> Exit {
    let (config, socket) = match daemon(common) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let Some(by) = user(options.by.as_deref()) else { return Exit::Usage };
    let path = format!("/api/v1/targets/{}/ack", ask::encoded(&options.target));
    let body = json!({ "by": by, "note": options.note });
    match ask::tell_blocking(&socket, &Method::POST, &path, Some(&body)) {
        Ok(answer) if options.json => say(String::from_utf8_lossy(&answer).trim_end()),
        Ok(_) => {
            let (target, by) = (words::printable(&options.target), words::printable(&by));
            say(&format!("{target}: {} {by}", words::seen_to_by(config.plan.locale)));
        }
        Err(error) => {
            complain(&ask::complaint(&error));
            return Exit::Wrong;
        }
    }
    Exit::Fine
}

/// Who asks: the name that was given, or else whoever is logged in, and not root if it was by sudo. `None`, and said so, if
/// nobody can tell.
pub(super) fn user(asked: Option<&str>) -> Option<String> {
    let found = named(asked, &|name| std::env::var(name).ok());
    if found.is_none() {
        complain("error: it is not known who you are\n  = help: say it with --by NAME");
    }
    found
}

fn named(asked: Option<&str>, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let known =
        || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| environment(name).filter(|n| !n.is_empty()));
    asked.map(str::to_owned).or_else(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_became_root_is_named_by_their_own_name() {
        let root = |name: &str| match name {
            "SUDO_USER" => Some("ana".to_owned()),
            "USER" => Some("root".to_owned()),
            _ => None,
        };
        assert_eq!(named(None, &root).as_deref(), Some("ana"));
        assert_eq!(named(Some("luis"), &root).as_deref(), Some("luis"));
        assert_eq!(named(None, &|name| (name == "LOGNAME").then(|| "eva".to_owned())).as_deref(), Some("eva"));
        assert_eq!(named(None, &|_| Some(String::new())), None);
    }
}
