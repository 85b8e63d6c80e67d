//! A `[[notifier]]` of kind `syslog`: which log server is told.

use std::path::PathBuf;
use std::time::Duration;

use netwatch_core::{SyslogConfig, SyslogConfigError, SyslogFacility, SyslogNotifier, SyslogTransport, TrustError};

use super::Purpose;
use super::file::required;
use super::notifier::RawNotifier;
use super::problem::{At, Place, Problems};
use super::resolve::Surroundings;
use super::section::Section;

/// The keys that only this kind has.
pub(super) const KEYS: [&str; 6] = ["server", "port", "transport", "facility", "ca_file", "attempt_timeout"];

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct RawSyslog {
    pub(super) server: Option<At<String>>,
    port: Option<u16>,
    transport: Option<At<SyslogTransport>>,
    facility: Option<At<SyslogFacility>>,
    ca_file: Option<At<PathBuf>>,
    attempt_timeout: Option<Duration>,
}

impl RawSyslog {
    pub(super) fn read(section: &mut Section, place: Place, problems: &mut Problems) -> RawSyslog {
        let transports = [("udp", SyslogTransport::Udp), ("tcp", SyslogTransport::Tcp), ("tls", SyslogTransport::Tls)];
        let facilities: Vec<(&str, SyslogFacility)> =
            SyslogFacility::NAMES.iter().filter_map(|name| Some((*name, SyslogFacility::from_code(name)?))).collect();
        RawSyslog {
            server: required(section, "server", "\"logs.example.net\"", place, problems),
            port: section.integer("port", 1, 65535, problems).and_then(|port| u16::try_from(port.value).ok()),
            transport: section.choice("transport", &transports, problems),
            facility: section.choice("facility", &facilities, problems),
            ca_file: section.words("ca_file", problems).map(|path| path.map(PathBuf::from)),
            attempt_timeout: section
                .duration("attempt_timeout", Duration::from_secs(1), Duration::from_secs(60), problems)
                .map(|said| said.value),
        }
    }
}

/// The configuration of the log server, if it can be made.
pub(super) fn resolve(raw: &RawNotifier, around: &Surroundings<'_>, problems: &mut Problems) -> Option<SyslogConfig> {
    let syslog = &raw.syslog;
    let server = syslog.server.as_ref()?;
    let mut config = SyslogConfig::new(server.value.as_str());
    if let Some(transport) = &syslog.transport {
        config = config.with_transport(transport.value);
    }
    config.port = syslog.port.unwrap_or(config.port);
    config.facility = syslog.facility.as_ref().map_or(config.facility, |facility| facility.value);
    config.ca_file = syslog.ca_file.as_ref().map(|path| around.base.join(&path.value));
    config.timeout = syslog.attempt_timeout.unwrap_or(config.timeout);
    if around.purpose != Purpose::Look {
        try_out(raw, server, &config, problems);
    }
    Some(config)
}

/// The notifier itself knows best what it cannot work with.
fn try_out(raw: &RawNotifier, server: &At<String>, config: &SyslogConfig, problems: &mut Problems) {
    if let (Some(file), false) = (&raw.syslog.ca_file, config.transport == SyslogTransport::Tls) {
        let help = "write `transport = \"tls\"`, or remove `ca_file`";
        problems.error(file.place, "`ca_file` is for TLS alone", "nothing is encrypted here", help);
    }
    let Err(error) = SyslogNotifier::new(config.clone()) else { return };
    let (place, help) = match &error {
        SyslogConfigError::Server { .. } => {
            (server.place, "write it like `server = \"logs.example.net\"`, and `port = 514` beside it")
        }
        SyslogConfigError::Trust(TrustError::CaFile { .. }) => {
            let place = raw.syslog.ca_file.as_ref().map_or(server.place, |path| path.place);
            (place, "name a file of PEM certificates, or remove `ca_file` to trust what the system trusts")
        }
        _ => (server.place, "install the package ca-certificates, or name a `ca_file`"),
    };
    problems.error(place, error.to_string(), "the log server cannot be used like this", help);
}
