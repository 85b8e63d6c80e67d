//! Writing netwatch's configuration the way a person would: TOML text, keys as PRODUCT.md names them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::mail::{PASSWORD, USER};

/// A value of the configuration, already as TOML.
#[derive(Debug, Clone)]
pub struct Value(String);

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        // JSON strings are TOML basic strings, but for DEL.
        Value(serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f"))
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Value {
        let texts: Vec<String> = texts.iter().map(|text| Value::from(*text).0).collect();
        Value(format!("[{}]", texts.join(", ")))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value(number.to_string())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value(flag.to_string())
    }
}

/// A configuration being put together.
#[derive(Debug, Clone, Default)]
pub struct Config {
    defaults: String,
    targets: String,
    notifiers: String,
    password: bool,
    page: Option<u16>,
    /// The lines of `[self]`.
    own: String,
}

impl Config {
    /// Nothing but what the program assumes by itself, and the page on `127.0.0.1:8080`.
    pub fn new() -> Config {
        Config::default()
    }

    /// Checks of 0.6 s, once a second: the times of the original, scaled down. No tolerance, no settling.
    pub fn scaled() -> Config {
        let quick = Config::new().each("interval", "1s").each("pings", 5).each("spacing", "100ms");
        quick.each("timeout", "200ms").each("warn_rtt", "100ms")
    }

    /// The page on another port.
    #[must_use]
    pub fn page(self, port: u16) -> Config {
        Config { page: Some(port), ..self }
    }

    /// The addresses that tell whether netwatch itself is cut off.
    #[must_use]
    pub fn witnesses(self, witnesses: &[&str]) -> Config {
        self.own("witnesses", witnesses)
    }

    /// A key of `[defaults]`.
    #[must_use]
    pub fn each(mut self, key: &str, value: impl Into<Value>) -> Config {
        put(&mut self.defaults, key, value);
        self
    }

    /// A key of `[self]`.
    #[must_use]
    pub fn own(mut self, key: &str, value: impl Into<Value>) -> Config {
        put(&mut self.own, key, value);
        self
    }

    /// A target.
    #[must_use]
    pub fn target(self, name: &str, address: &str) -> Config {
        self.target_with(name, address, &[])
    }

    /// A target with durations or other words of its own.
    #[must_use]
    pub fn target_with(mut self, name: &str, address: &str, keys: &[(&str, &str)]) -> Config {
        self.targets.push_str("\n[[target]]\n");
        for (key, value) in [("name", name), ("address", address)].iter().chain(keys) {
            put(&mut self.targets, key, *value);
        }
        self
    }

    /// A group.
    #[must_use]
    pub fn group(mut self, name: &str) -> Config {
        self.targets.push_str("\n[[group]]\n");
        put(&mut self.targets, "name", name);
        self
    }

    /// A target that is asked with this many echoes.
    #[must_use]
    pub fn target_asked(self, name: &str, address: &str, pings: u32) -> Config {
        let mut config = self.target(name, address);
        put(&mut config.targets, "pings", pings);
        config
    }

    /// A notifier that sends to this server with STARTTLS and the lab's login, to `turno@example.net`.
    #[must_use]
    pub fn smtp(self, server: SocketAddr) -> Config {
        self.smtp_to("noc", server, &["turno@example.net"])
    }

    /// The same under a name of its own, to others.
    #[must_use]
    pub fn smtp_to(mut self, name: &str, server: SocketAddr, to: &[&str]) -> Config {
        let port = server.port();
        let _ = write!(
            self.notifiers,
            "\n[[notifier]]\nname = \"{name}\"\nkind = \"smtp\"\nserver = \"localhost\"\nport = {port}\n\
             security = \"starttls\"\nusername = \"{USER}\"\npassword_file = \"@DIR@/password\"\n\
             from = \"netwatch <noc@example.net>\"\nto = {to:?}\n"
        );
        self.password = true;
        self
    }

    /// Protects the connection of the notifier that was added last in this way.
    #[must_use]
    pub fn security(mut self, security: &str) -> Config {
        if let Some(at) = self.notifiers.rfind("security = \"starttls\"") {
            self.notifiers
                .replace_range(at..at + "security = \"starttls\"".len(), &format!("security = \"{security}\""));
        }
        self
    }

    /// A notifier that writes its mails to files, at once and without a budget: what is decided is what is written.
    #[must_use]
    pub fn told_at_once(mut self) -> Config {
        self.notifiers.push_str("\n[[notifier]]\nname = \"noc\"\nkind = \"file\"\n");
        self.notifier("group_wait", "0s").notifier("group_interval", "0s").notifier("min_interval", "0s")
    }

    /// A notifier as it would be written; `@DIR@` is the directory of the configuration.
    #[must_use]
    pub fn notifier_text(mut self, text: &str) -> Config {
        let _ = write!(self.notifiers, "\n[[notifier]]\n{text}\n");
        self
    }

    /// A key of the notifier that was added last.
    #[must_use]
    pub fn notifier(mut self, key: &str, value: impl Into<Value>) -> Config {
        put(&mut self.notifiers, key, value);
        self
    }

    /// Writes `netwatch.toml` (and the password it names) into the directory; the data directory is `data` in it.
    pub fn write(&self, dir: &Path) {
        let at = dir.to_str().expect("a temporary directory has a plain name");
        let Config { defaults, targets, notifiers, password, page, own } = self;
        let port = page.unwrap_or(8080);
        let text = format!(
            "locale = \"es\"\ntime_zone = \"America/Asuncion\"\ndata_dir = \"@DIR@/data\"\n\n[defaults]\n{defaults}\
             {targets}{notifiers}\n[self]\n{own}\n[http]\nlisten = \"127.0.0.1:{port}\"\n"
        );
        std::fs::write(dir.join("netwatch.toml"), text.replace("@DIR@", at)).expect("the directory can be written");
        if *password {
            std::fs::write(dir.join("password"), format!("{PASSWORD}\n")).expect("the directory can be written");
        }
    }
}

fn put(text: &mut String, key: &str, value: impl Into<Value>) {
    let _ = writeln!(text, "{key} = {}", value.into().0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_a_person_would_write() {
        let dir = tempfile::tempdir().unwrap();
        let server = "127.0.0.1:2525".parse().unwrap();
        let config = Config::scaled().target_with("a \"b\"", "10.1.0.1", &[("tolerance", "6s")]);
        config.smtp(server).notifier("recovery", false).write(dir.path());
        let text = std::fs::read_to_string(dir.path().join("netwatch.toml")).unwrap();
        for line in ["pings = 5", "interval = \"1s\"", "name = \"a \\\"b\\\"\"", "port = 2525", "recovery = false"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains(PASSWORD), "the password is in a file of its own");
    }
}
