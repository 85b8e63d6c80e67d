//! The configuration: found, read as it was written, then understood. Whatever is wrong with it is said at once, with
//! its place and a remedy, before anything is started.

mod address;
mod builtin;
mod calendar;
mod carrier;
mod command;
mod doubts;
mod escalation;
mod file;
mod heartbeat;
mod import;
mod locate;
mod maintenance;
mod names;
mod notifier;
mod parents;
mod problem;
mod resolve;
mod rule;
mod secret;
mod section;
mod settings;
mod source;
mod syslog;
mod targets;
mod templates;
mod text;
mod webhook;
mod witness;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netwatch_core::{ExecConfig, Host, Plan, SmtpConfig, SyslogConfig, TemplatePart, WebhookConfig};

pub(crate) use address::understand as understand_address;
use calendar::Calendars;
pub(crate) use calendar::{Twice, local_instant};
pub(crate) use heartbeat::Heartbeat;
use problem::Problems;
pub(crate) use section::short;

/// What the configuration means, for the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What is to be watched, and who is told when.
    pub(crate) plan: Plan,
    /// The rules behind the plan's calendars, which end some 400 days after they were made: whoever runs for long
    /// calls [`Calendars::renew`] from time to time, and needs no file for it.
    pub(crate) calendars: Calendars,
    /// The file it was read from; `None` for the built-in one.
    pub(crate) path: Option<PathBuf>,
    /// Where the daemon keeps its files; `None` if the configuration does not say.
    pub(crate) data_dir: Option<PathBuf>,
    /// The zone of the times that people read, by its IANA name; `None` for the system's.
    pub(crate) time_zone: Option<String>,
    /// The templates that make parts of the mails, as they were read; of the others the built-in words are used.
    pub(crate) templates: Vec<(TemplatePart, String)>,
    /// How each notifier of the plan reaches people, in the plan's order.
    pub(crate) carriers: Vec<Carrier>,
    /// Where the page is to be served; with port 0 the system chooses one.
    pub(crate) listen: SocketAddr,
    /// What is called while netwatch watches.
    pub(crate) heartbeat: Option<Heartbeat>,
}

impl Config {
    /// The page as mails link to it, once it is served at `bound`. A loopback address leads nowhere for whoever reads
    /// mail elsewhere, so it is named only if all mails stay on this machine, as files.
    pub(crate) fn page_url(&self, bound: SocketAddr) -> Option<Arc<str>> {
        let stays_here = self.carriers.iter().all(|carrier| matches!(carrier, Carrier::File { .. }));
        (stays_here || !bound.ip().is_loopback()).then(|| format!("http://{bound}/").into())
    }
}

/// How a notifier reaches people.
#[derive(Debug, Clone)]
pub(crate) enum Carrier {
    /// `.eml` files in the data directory.
    File {
        /// Their sender; by default netwatch at this host.
        from: Option<String>,
    },
    /// A mail server.
    Smtp(Box<SmtpConfig>),
    /// A webhook.
    Webhook(Box<WebhookConfig>),
    /// A command.
    Exec(ExecConfig),
    /// A log server.
    Syslog(Box<SyslogConfig>),
}

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run: secrets must be there.
    Run,
    /// To say what is wrong with it: secrets that cannot be read here may be readable elsewhere.
    Check,
    /// To find the daemon: secrets do not matter.
    Look,
}

/// A file that was asked for could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the configuration {} cannot be used: {source}", path.display())]
pub(crate) struct ReadError {
    path: PathBuf,
    source: text::TextError,
}

/// The configuration, and what is wrong with it. Rely on it only if there is no error.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) problems: Problems,
}

/// Finds and reads the configuration: the file asked for, the one that `$NETWATCH_CONFIG` names, `./netwatch.toml`,
/// `/etc/netwatch/netwatch.toml`, or else the built-in one.
///
/// # Errors
/// When the file cannot be read at all; whatever is wrong inside it is in [`Loaded::problems`].
pub(crate) fn load(asked: Option<&Path>, purpose: Purpose) -> Result<Loaded, ReadError> {
    let found = locate::config_file(asked, &locate::environment, &|path| path.exists());
    let Some(path) = found else {
        let config = builtin::config(&builtin::ThisMachine::ask());
        return Ok(Loaded { config, problems: Problems::default() });
    };
    let mut problems = Problems::default();
    let raw = match text::read(&path) {
        Ok(text) => file::parse(&path, &text, &mut problems),
        Err(text::TextError::NotUtf8 { text, at }) => {
            text::not_utf8(&path, &text, at, &mut problems);
            file::RawConfig::default()
        }
        Err(source) => return Err(ReadError { path, source }),
    };
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let around = resolve::Surroundings { base: &base, environment: &locate::environment, gateways: &gateways, purpose };
    let mut config = resolve::resolve(&raw, &around, &mut problems);
    config.path = Some(path);
    config.calendars.renew(&mut config.plan, std::time::SystemTime::now().into());
    Ok(Loaded { config, problems })
}

/// The default gateways of this machine; none if it does not say.
fn gateways() -> Vec<Host> {
    let found = netwatch_core::gateways().unwrap_or_default();
    found.into_iter().map(|gateway| gateway.host).collect()
}

/// The data directory: the one asked for, the configuration's, or the default for this user.
pub(crate) fn data_dir(asked: Option<&Path>, config: &Config) -> Option<PathBuf> {
    let said = asked.map(Path::to_owned).or_else(|| config.data_dir.clone());
    said.or_else(|| locate::data_dir(&locate::environment))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use netwatch_core::Wall;
    use proptest::prelude::*;

    use super::*;

    fn judge(toml: &str, csv: &str) {
        let mut problems = Problems::default();
        let raw = file::parse(Path::new("a.toml"), toml, &mut problems);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(csv.as_bytes()).unwrap();
        import::read(Path::new("a.csv"), file, &mut problems, &mut |_, _| {}).unwrap();
        let around = resolve::Surroundings {
            base: Path::new("/nowhere"),
            environment: &|_| None,
            gateways: &Vec::new,
            purpose: Purpose::Check,
        };
        let mut config = resolve::resolve(&raw, &around, &mut problems);
        config.calendars.renew(&mut config.plan, Wall::from_unix_nanos(1_700_000_000_000_000_000));
        assert_eq!(problems.render(false).is_empty(), problems.errors() == 0 && problems.warnings() == 0);
    }

    #[test]
    fn mails_that_leave_this_machine_do_not_link_to_a_page_that_does_not() {
        let mut config = builtin::config(&builtin::ThisMachine::default());
        let bound = SocketAddr::from(([127, 0, 0, 1], 40001));
        assert_eq!(config.page_url(bound).as_deref(), Some("http://127.0.0.1:40001/"));
        config.carriers.push(Carrier::Smtp(Box::new(SmtpConfig::new("smtp.example.net", "noc@example.net"))));
        assert_eq!(config.page_url(bound), None);
        assert_eq!(config.page_url(([192, 0, 2, 1], 80).into()).as_deref(), Some("http://192.0.2.1:80/"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(toml in "\\PC{0,120}", csv in "(name|,|;|\"|\r?\n|#|\\PC){0,60}") {
            judge(&toml, &csv);
        }

        #[test]
        fn no_value_under_a_known_key_makes_it_panic(
            value in prop_oneof![
                "-?[0-9]{1,25}", "-?[0-9]{1,3}\\.[0-9]{1,40}", "nan|inf|true|\\[\\]|\\{\\}|1979-05-27|\"\"",
                "\"[0-9]{1,25}(ns|ms|s|m|h|d|y|%)\"", "\"[a-f0-9:.%/]{0,40}\"", "\"(mon,|sun |[0-9]{2}:[0-9]{2}|-){0,5}\"", "\\[\"a\"\\]", "\\[\\[1, \"a\"\\]\\]",
            ],
        ) {
            let top = ["locale", "time_zone", "data_dir", "templates"].map(|key| format!("{key} = {value}\n")).concat();
            let keys = |keys: &[&str]| keys.iter().map(|key| format!("{key} = {value}\n")).collect::<String>();
            let smtp = ["server", "port", "security", "username", "password", "password_env", "password_file", "from", "to"];
            let others = |kind: &str, own: &[&str]| format!("[[notifier]]\nname = \"{kind}\"\nkind = \"{kind}\"\n{}", keys(own));
            let others = others("webhook", &webhook::KEYS) + &others("exec", &command::KEYS) + &others("syslog", &syslog::KEYS);
            let telling = ["hours", "reminder", "summary", "groups", "targets", "tags", "escalate_to", "escalate_after"];
            let maintenance = ["group", "targets", "tags", "weekly", "daily", "from", "to", "reason"];
            judge(
                &format!(
                    "{top}[defaults]\n{0}[[group]]\n{0}[[target]]\n{1}[[notifier]]\nname = \"a\"\nkind = \"smtp\"\n{2}{3}{5}[http]\nlisten = {value}\n[self]\nwitnesses = {value}\nheartbeat_url = {value}\nheartbeat_interval = {value}\n[[maintenance]]\n{4}",
                    keys(&settings::KEYS),
                    keys(&file::TARGET_KEYS),
                    keys(&smtp),
                    keys(&telling),
                    keys(&maintenance),
                    others,
                ),
                &format!("name,address,pings,customers,warn_loss,interval,tags\na,{0},{0},{0},{0},{0},{0}\n", value.replace('"', "")),
            );
        }
    }
}
