//! A secret of the configuration is shown nowhere: not in the logs at their most talkative, not in an error, not by the
//! API, not in the list of processes, not in a file that a backup would copy.
//!
//! Each field that can hold a secret gets a canary of its own, which is then looked for in every form in which it could
//! fly: as it is, in base64 at any place of a longer text, and as an address encodes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use netwatch_tests::answerer::Answerer;
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Scripted, USER};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON};
use rustix::process::Signal;

const FLEET: Fleet = Fleet::v4(8);
const TRIED: Duration = Duration::from_secs(30);
/// The environment variable of the field that has one.
const VARIABLE: &str = "LAB_SMTP_PASSWORD";

/// A field of the configuration that holds a secret, or says where one is.
struct Field {
    key: &'static str,
    canary: &'static str,
    /// Whether the environment holds it, where root may read it.
    in_environment: bool,
}

/// Those of mail servers. What else is secret joins [`CALLED`].
const FIELDS: [Field; 2] = [
    Field { key: "password_file", canary: "kanari/file+4711 %&=?", in_environment: false },
    Field { key: "password_env", canary: "kanari/env+0815 %&=?", in_environment: true },
];

/// The secrets of webhooks and of the heartbeat: each is told back by a server that refuses whatever it is asked.
const CALLED: [Called; 6] = [
    Called { key: "url_file", canary: "kanari-hook-file-4712", format: "slack", rest: "" },
    Called { key: "url_env", canary: "kanari-hook-env-0816", format: "teams", rest: "" },
    Called {
        key: "chat_id_file",
        canary: "-100474711",
        format: "telegram",
        rest: "url = \"http://127.0.0.1:2590/bot\"",
    },
    Called {
        key: "token_file",
        canary: "kanari-token-4713",
        format: "ntfy",
        rest: "url = \"http://127.0.0.1:2590/topic\"",
    },
    Called {
        key: "routing_key_file",
        canary: "kanari-routing-4714",
        format: "pagerduty",
        rest: "url = \"http://127.0.0.1:2590/v2\"",
    },
    Called { key: "heartbeat_url_file", canary: "kanari-heart-4715", format: "", rest: "" },
];
/// Where that server listens.
const REFUSING: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2590);
/// The environment variable of the address that is in one.
const ADDRESS_VARIABLE: &str = "LAB_HOOK_URL";

struct Called {
    key: &'static str,
    canary: &'static str,
    format: &'static str,
    rest: &'static str,
}

impl Called {
    /// What is secret: an address with the canary in it, or the canary alone.
    fn secret(&self) -> String {
        if self.key.contains("url") { format!("http://{REFUSING}/{}", self.canary) } else { self.canary.to_owned() }
    }
}

/// A notifier for each of them, and the heartbeat.
fn called(config: Config) -> Config {
    CALLED.iter().fold(config, |config, Called { key, format, rest, .. }| {
        let value = if key.ends_with("_env") { ADDRESS_VARIABLE.to_owned() } else { format!("@DIR@/{key}") };
        match *format {
            "" => config.own(key, value.as_str()).own("heartbeat_interval", "1s"),
            _ => config.notifier_text(&format!(
                "name = \"{key}\"\nkind = \"webhook\"\nformat = \"{format}\"\n{key} = \"{value}\"\n{rest}\ngroup_wait = \"0s\""
            )),
        }
    })
}

/// Says 400 to everything, and everything back: the path, the headers and the body that it was sent.
fn refuse_and_tell_back(here: &Namespace) -> Arc<AtomicUsize> {
    let listener = here.listen(REFUSING);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let (mut request, mut part) = (Vec::new(), [0; 65_536]);
            while let Ok(count @ 1..) = stream.read(&mut part) {
                request.extend_from_slice(&part[..count]);
            }
            let head =
                format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", request.len());
            let _ = stream.write_all(&[head.as_bytes(), &request].concat());
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    asked
}

/// The plain secrets of all.
fn canaries() -> Vec<(&'static str, &'static str)> {
    let called = CALLED.iter().map(|called| (called.key, called.canary));
    FIELDS.iter().map(|field| (field.key, field.canary)).chain(called).collect()
}

/// Two notifiers for each field: one whose deliveries succeed, and one whose server tells the secret back.
fn notifiers(config: Config, servers: &[(Scripted, Scripted)]) -> Config {
    FIELDS.iter().zip(servers).fold(config, |config, (field, (good, bad))| {
        let value = if field.in_environment { VARIABLE.to_owned() } else { format!("@DIR@/{}", field.key) };
        let notifier = |name: &str, server: SocketAddr| {
            format!(
                "name = \"{}-{name}\"\nkind = \"smtp\"\nserver = \"localhost\"\nport = {}\nusername = \"{USER}\"\n\
                 {} = \"{value}\"\nfrom = \"noc@example.net\"\nto = [\"turno@example.net\"]\ngroup_wait = \"0s\"",
                field.key,
                server.port(),
                field.key
            )
        };
        config.notifier_text(&notifier("good", good.address())).notifier_text(&notifier("bad", bad.address()))
    })
}

/// What somebody would have to find to have the secret.
fn forms(canary: &str) -> Vec<String> {
    let escape = |plain: &[u8], upper: bool| -> String {
        let code = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        let one = |byte: &u8| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
                char::from(*byte).to_string()
            } else {
                code(*byte)
            }
        };
        plain.iter().map(one).collect()
    };
    // In front of it 0, 1 or 2 bytes of something else; what depends on the neighbours is left out.
    let inside = (0..3_usize).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], canary.as_bytes()].concat());
        let whole = (before + canary.len()) / 3 * 4;
        encoded[(before * 8).div_ceil(6)..whole].to_owned()
    });
    let json = serde_json::Value::from(canary).to_string();
    let plain = [
        canary.to_owned(),
        json.trim_matches('"').to_owned(),
        escape(canary.as_bytes(), true),
        escape(canary.as_bytes(), false),
    ];
    plain.into_iter().chain([canary.replace(' ', "+")]).chain(inside).collect()
}

/// Everything that is looked through, gathered under the name of its place.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    fn look(&mut self, place: impl Into<String>, found: impl AsRef<[u8]>) {
        self.0.push((place.into(), found.as_ref().to_vec()));
    }

    /// Every file below the directory.
    fn look_below(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.look_below(&entry.path());
            } else if kind.is_file() {
                self.look(entry.path().display().to_string(), fs::read(entry.path()).unwrap());
            }
        }
    }

    /// The first place that shows a secret, with what it shows.
    fn leak(&self) -> Option<String> {
        self.0.iter().find_map(|(place, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            let shows = |form: &String| text.contains(form.as_str());
            let leaks = |(key, canary)| Some((key, forms(canary).into_iter().find(shows)?));
            let (key, form) = canaries().into_iter().find_map(leaks)?;
            Some(format!("{place} shows the secret of {key} as {form}:\n{}", String::from_utf8_lossy(bytes)))
        })
    }
}

/// Every route that answers GET, read from the source so that none can be forgotten; `{name}` is a target.
fn routes() -> Vec<String> {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../netwatch-http/src/api.rs")).unwrap();
    let found = source.split(".route(").skip(1).filter_map(|rest| {
        let path = rest.split('"').nth(1)?;
        rest.split(".route(").next()?.contains("get(").then(|| path.replace("{name}", "d01"))
    });
    let found: Vec<String> = found.collect();
    assert!(found.iter().any(|route| route == "/api/v1/targets/d01") && found.len() >= 5, "routes of {found:?}");
    found.into_iter().chain(["/", "/app.js", "/nothing"].map(str::to_owned)).collect()
}

fn look_at_the_api(daemon: &Daemon, places: &mut Places) {
    for route in routes() {
        if route.ends_with("/events") {
            let (name, data) = daemon.events().unwrap().next_event().unwrap();
            places.look(format!("{route} {name}"), data);
        } else {
            let response = daemon.get(&route).unwrap();
            places.look(route, format!("{:?}\n{}", response.headers, response.body));
        }
    }
}

fn look_at_the_process(daemon: &Daemon, places: &mut Places) {
    let read = |what: &str| fs::read(format!("/proc/{}/{what}", daemon.pid())).unwrap();
    places.look("the list of processes", read("cmdline"));
    let environment = read("environ");
    for (key, canary) in canaries().into_iter().filter(|(key, _)| !key.ends_with("_env")) {
        let found = environment.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "the environment has the secret of {key}");
    }
}

/// Ways in which people get a password into the file after all.
fn mistakes(canary: &str) -> Vec<String> {
    let text = serde_json::Value::from(canary).to_string();
    let smtp =
        "name = \"x\"\nkind = \"smtp\"\nserver = \"localhost\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\nusername = \"u\"\n";
    [
        format!("password = {text}"),
        format!("password = [{text}]"),
        format!("password = {{ value = {text} }}"),
        format!("password = '{canary}"),
        format!("password = {canary}"),
        format!("Password = {text}"),
        format!("smtp_password = {text}"),
        format!("password_file = \"/nowhere\"\npassword = {text}"),
    ]
    .map(|line| format!("{smtp}{line}"))
    .to_vec()
}

#[test]
fn no_secret_is_shown_anywhere() {
    let here = Arc::new(Namespace::new());
    let there = Answerer::join(&here, FLEET);
    let first = Scripted::start(&here, 2600);
    let servers: Vec<(Scripted, Scripted)> = FIELDS
        .iter()
        .zip((2601_u16..).step_by(2))
        .map(|(field, port)| {
            let (good, bad) = (first.beside(&here, port), first.beside(&here, port + 1));
            good.password(field.canary);
            let [plain, json, upper, lower, ..] = forms(field.canary)
                .try_into()
                .unwrap_or_else(|all: Vec<_>| <[String; 8]>::try_from(all).expect("eight forms"));
            let basic = STANDARD.encode(format!("{USER}:{}", field.canary));
            bad.echo(&format!("535 5.7.8 @SENT@ {plain} {json} {upper} {lower} {basic} is not the password"));
            (good, bad)
        })
        .collect();
    let quick = Config::scaled().each("tolerance", "0s").each("settle", "1s");
    let config = called(notifiers(FLEET.targets(quick, &[]), &servers));
    let asked = refuse_and_tell_back(&here);
    let mut daemon = Daemon::prepare(&here, &config, Some(&first.certificates().authority.clone()));
    daemon.environment("RUST_LOG", "trace");
    for field in &FIELDS {
        if field.in_environment {
            daemon.environment(VARIABLE, field.canary);
        } else {
            let path = daemon.config_path().with_file_name(field.key);
            fs::write(&path, format!("{}\n", field.canary)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    for called in &CALLED {
        if called.key.ends_with("_env") {
            daemon.environment(ADDRESS_VARIABLE, called.secret());
        } else {
            let path = daemon.config_path().with_file_name(called.key);
            fs::write(&path, format!("{}\n", called.secret())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let mut places = Places::default();
    places.look("netwatch check", daemon.ask(&["check"]));
    daemon.start();
    daemon.wait_all("ok", SOON);
    there.silence(&FLEET.address("d01"));
    for (good, bad) in &servers {
        wait_for("a mail through the good server", TRIED, || (good.accepted().len() == 1).then_some(()));
        wait_for("a login at the other", TRIED, || {
            bad.sessions().iter().any(|session| session.ended.is_some()).then_some(())
        });
    }
    let told_back = || daemon.error_log().into_iter().filter(|(_, message)| message.contains("535 5.7.8")).count();
    wait_for("every webhook and the heartbeat", TRIED, || {
        let log: String = daemon.error_log().into_iter().map(|(component, message)| component + &message).collect();
        let told = CALLED.iter().filter(|called| log.contains(called.key.split("_url").next().unwrap_or_default()));
        (told.count() == CALLED.len()
            && log.matches("400").count() >= CALLED.len()
            && asked.load(Ordering::Relaxed) >= CALLED.len())
        .then_some(())
    });
    wait_for("what the servers told back", TRIED, || (told_back() >= FIELDS.len()).then_some(()));
    for field in &FIELDS {
        for mistake in mistakes(field.canary) {
            daemon.reconfigure(&FLEET.targets(Config::scaled(), &[]).notifier_text(&mistake));
            let said = daemon.ask(&["check"]);
            assert!(said.contains("error"), "{mistake} is a mistake:\n{said}");
            places.look(format!("netwatch check on {mistake}"), said);
            let logged = daemon.output().len();
            daemon.signal(Signal::HUP);
            wait_for("a word about the bad configuration", SOON, || {
                daemon.output().get(logged..).unwrap_or("").contains("netwatch.toml").then_some(())
            });
        }
    }
    daemon.reconfigure(&config);
    for words in [&["status"][..], &["why", "d01"], &["check"], &["maintenance", "list"]] {
        places.look(format!("netwatch {words:?}"), daemon.ask(words));
    }
    look_at_the_api(&daemon, &mut places);
    look_at_the_process(&daemon, &mut places);
    // While it runs, with the journal's log beside the database, and after its end.
    places.look_below(&daemon.data_dir());
    daemon.terminate(TRIED);
    places.look_below(&daemon.data_dir());
    places.look("what it printed", daemon.output());
    assert!(daemon.output().contains("TRACE") || daemon.output().contains("DEBUG"), "it was at its most talkative");
    let leak = places.leak();
    assert!(leak.is_none(), "{}", leak.unwrap_or_default());
    println!("{} places looked at", places.0.len());
}

#[test]
fn a_secret_would_be_found_in_each_of_its_forms() {
    let canary = FIELDS[0].canary;
    let basic = |name: &str| STANDARD.encode(format!("{name}:{canary}"));
    let shown =
        [canary.to_owned(), basic(""), basic("a"), basic("ab"), "x=kanari%2Ffile%2B4711%20%25%26%3D%3F".to_owned()];
    for text in shown {
        let mut places = Places::default();
        places.look("here", &text);
        assert!(places.leak().is_some(), "{text} shows it");
    }
}
