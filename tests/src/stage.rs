//! A whole scene for a scenario: a namespace, its ISP, a mail server and the daemon, in the order in which they must end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::daemon::Daemon;
use crate::isp::{Behaviour, Isp, Scenario};
use crate::mail::{OpenSmtpd, Scripted};
use crate::netns::Namespace;
use crate::process::wait_for;

/// Long enough for a check that is due to begin, to end, and to be seen.
pub const SOON: Duration = Duration::from_secs(8);

/// The devices `d01`, `d02`, ... of one address family, all honest at first.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// How many.
    pub count: u16,
    /// Where their addresses begin, as `10.1.` (two parts follow) or `fd00:1::` (one part follows).
    pub net: &'static str,
}

impl Fleet {
    /// Devices at `10.1.0.1` and up.
    pub const fn v4(count: u16) -> Fleet {
        Fleet { count, net: "10.1." }
    }

    /// Devices at `fd00:1::1` and up.
    pub const fn v6(count: u16) -> Fleet {
        Fleet { count, net: "fd00:1::" }
    }

    /// The address of a device, by its name.
    pub fn address(&self, name: &str) -> String {
        let number: u16 = name.strip_prefix('d').and_then(|number| number.parse().ok()).expect("a name like d07");
        if self.net.contains(':') {
            format!("{}{number:x}", self.net)
        } else {
            format!("{}{}.{}", self.net, number >> 8, number & 0xff)
        }
    }

    /// The same as an address.
    pub fn ip(&self, name: &str) -> IpAddr {
        self.address(name).parse().expect("a prefix and a number are an address")
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        (1..=self.count).map(|number| format!("d{number:02}")).collect()
    }

    /// Adds them all as targets; `keys` are a device's own words.
    #[must_use]
    pub fn targets(&self, config: Config, keys: &[(&str, &[(&str, &str)])]) -> Config {
        self.names().iter().fold(config, |config, name| {
            let own = keys.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, own)| *own);
            config.target_with(name, &self.address(name), own)
        })
    }

    /// Adds them all as targets, every other one asked by a single echo: nothing else can answer for it.
    #[must_use]
    pub fn half_by_one(&self, config: Config) -> Config {
        self.names().iter().enumerate().fold(config, |config, (n, name)| {
            config.target_asked(name, &self.address(name), if n % 2 == 0 { 1 } else { 5 })
        })
    }

    /// The far side with all of them, each behaving so.
    pub fn scenario(&self, seed: u64, behaviour: &Behaviour) -> Scenario {
        let all = Scenario::new(seed, &["10.1.0.0/16", "fd00:1::/32"]);
        self.names().iter().fold(all, |all, name| all.device(&self.address(name), behaviour.clone()))
    }
}

/// The scene. The fields are dropped in this order: first what uses, then what is used.
#[derive(Debug)]
pub struct Stage<Mail> {
    /// The program under test.
    pub daemon: Daemon,
    /// The mail server, or `()`.
    pub mail: Mail,
    /// The devices.
    pub isp: Isp,
    /// Their names and addresses.
    pub fleet: Fleet,
    /// Where all of it is.
    pub namespace: Arc<Namespace>,
}

impl Stage<OpenSmtpd> {
    /// Starts everything with OpenSMTPD, and waits until every device is seen to answer.
    pub fn with_opensmtpd(fleet: Fleet, config: impl FnOnce(&OpenSmtpd) -> Config) -> Stage<OpenSmtpd> {
        let namespace = Arc::new(Namespace::new());
        let mail = OpenSmtpd::start(&namespace, 2525);
        let config = config(&mail);
        let trust = mail.certificates().authority.clone();
        let daemon = Daemon::prepare(&namespace, &config, Some(&trust));
        Stage::begin(daemon, mail, fleet, namespace)
    }
}

impl Stage<Scripted> {
    /// The scene with a scripted mail server and a daemon that was not started.
    pub fn unstarted_with_scripted(fleet: Fleet, config: impl FnOnce(&Scripted) -> Config) -> Stage<Scripted> {
        let namespace = Arc::new(Namespace::new());
        let mail = Scripted::start(&namespace, 2525);
        let config = config(&mail);
        let trust = mail.certificates().authority.clone();
        let daemon = Daemon::prepare(&namespace, &config, Some(&trust));
        let isp = Isp::start(&namespace, &fleet.scenario(1, &Behaviour::honest()));
        Stage { daemon, mail, isp, fleet, namespace }
    }

    /// Starts everything with a scripted mail server, and waits until every device is seen to answer.
    pub fn with_scripted(fleet: Fleet, config: impl FnOnce(&Scripted) -> Config) -> Stage<Scripted> {
        let namespace = Arc::new(Namespace::new());
        let mail = Scripted::start(&namespace, 2525);
        let config = config(&mail);
        let trust = mail.certificates().authority.clone();
        let daemon = Daemon::prepare(&namespace, &config, Some(&trust));
        Stage::begin(daemon, mail, fleet, namespace)
    }
}

impl Stage<Vec<Scripted>> {
    /// Starts everything with so many scripted mail servers, and waits until every device is seen to answer.
    pub fn with_many(fleet: Fleet, count: u16, config: impl FnOnce(&[Scripted]) -> Config) -> Stage<Vec<Scripted>> {
        let namespace = Arc::new(Namespace::new());
        let first = Scripted::start(&namespace, 2525);
        let beside: Vec<Scripted> = (1..count).map(|n| first.beside(&namespace, 2525 + n)).collect();
        let mail: Vec<Scripted> = std::iter::once(first).chain(beside).collect();
        let trust = mail[0].certificates().authority.clone();
        let daemon = Daemon::prepare(&namespace, &config(&mail), Some(&trust));
        Stage::begin(daemon, mail, fleet, namespace)
    }
}

impl Stage<()> {
    /// Starts everything without a mail server, and waits until every device is seen to answer.
    pub fn without_mail(fleet: Fleet, config: &Config) -> Stage<()> {
        Stage::behaving(fleet, config, &Behaviour::honest())
    }

    /// The same with devices that behave so.
    pub fn behaving(fleet: Fleet, config: &Config, behaviour: &Behaviour) -> Stage<()> {
        let mut stage = Stage::unstarted(fleet, config, behaviour);
        stage.daemon.start();
        stage.daemon.wait_all("ok", SOON);
        stage
    }

    /// The same with a daemon that was not started.
    pub fn unstarted(fleet: Fleet, config: &Config, behaviour: &Behaviour) -> Stage<()> {
        let namespace = Arc::new(Namespace::new());
        let daemon = Daemon::prepare(&namespace, config, None);
        let isp = Isp::start(&namespace, &fleet.scenario(1, behaviour));
        Stage { daemon, mail: (), isp, fleet, namespace }
    }
}

impl<Mail> Stage<Mail> {
    fn begin(daemon: Daemon, mail: Mail, fleet: Fleet, namespace: Arc<Namespace>) -> Stage<Mail> {
        let isp = Isp::start(&namespace, &fleet.scenario(1, &Behaviour::honest()));
        let mut stage = Stage { daemon, mail, isp, fleet, namespace };
        stage.daemon.start();
        stage.daemon.wait_all("ok", SOON);
        stage
    }

    /// Silences a device.
    pub fn down(&self, name: &str) {
        self.isp.down(&self.fleet.address(name));
    }

    /// Lets it answer again.
    pub fn up(&self, name: &str) {
        self.isp.up(&self.fleet.address(name));
    }

    /// Silences a device and waits until the daemon has seen it.
    pub fn down_and_seen(&self, name: &str) {
        self.down(name);
        self.daemon.wait_status(name, "down", SOON);
    }

    /// Lets a device answer and waits until the daemon has seen it. The losses of the outage may make it a warning.
    pub fn up_and_seen(&self, name: &str) {
        self.up(name);
        let what = format!("{name} to be seen answering");
        wait_for(&what, SOON, || matches!(self.daemon.target(name).status.as_str(), "ok" | "warning").then_some(()));
    }

    /// The stopwatch of a silent device began when the ISP last answered for it: to the second that people read.
    pub fn assert_stopwatch(&self, name: &str) {
        let shown = self.daemon.target(name).last_reply_ns;
        let shown = shown.unwrap_or_else(|| panic!("{name} has answered, but its last_reply is missing"));
        let truth = self.isp.truth().answers(self.fleet.ip(name)).last().copied();
        let truth = truth.unwrap_or_else(|| panic!("{name} never answered"));
        // The answer is stamped a little after it left; a time without fractions lies up to a second before it.
        let fits = shown < truth + 50_000_000 && truth < shown + 1_000_000_000;
        assert!(fits, "{name} last answered at {truth} ns, shown is {shown} ns");
    }

    /// `server_status.txt` has every target in configuration order and tells the same of it as the API: address, status
    /// and, to the second, since when. The file may lag by two seconds.
    pub fn assert_files_agree(&self) {
        let word = |code: &str| if code == "down" { "NO RESPONDE".to_owned() } else { code.to_uppercase() };
        wait_for("server_status.txt to agree with the API", Duration::from_secs(2), || {
            let lines = self.daemon.server_status();
            let names: Vec<_> = lines.iter().map(|line| line.name.clone()).collect();
            assert_eq!(names, self.fleet.names(), "server_status.txt: every target, in configuration order");
            let agree = self.daemon.targets().into_iter().all(|(name, target)| {
                let line = lines.iter().find(|line| line.name == name).expect("the names were compared");
                let since = target.since_ns.is_some_and(|since| since.abs_diff(line.since_ns) < 1_000_000_000);
                line.status == word(&target.status) && line.address == self.fleet.address(&name) && since
            });
            agree.then_some(())
        });
    }
}
