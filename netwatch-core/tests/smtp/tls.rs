//! Nothing that matters crosses the network readable, and the password is shown to nobody.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use netwatch_core::{Secret, Security, SmtpConfig, SmtpConfigError, SmtpNotifier, Stage};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::server::{Act, Script, Server};
use crate::{LIMIT, PATIENCE, attempt, hello};

const CANARY: &str = "canary-4711";
/// `\0noc\0canary-4711` and `canary-4711` in base64: what AUTH PLAIN and AUTH LOGIN send.
const CANARY_PLAIN: &str = "AG5vYwBjYW5hcnktNDcxMQ==";
const CANARY_LOGIN: &str = "Y2FuYXJ5LTQ3MTE=";

/// A private authority and the certificates it issues, made by the `openssl` program.
struct Authority(TempDir);

impl Authority {
    fn new() -> Authority {
        let authority = Authority(tempfile::tempdir().unwrap());
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=authority -addext keyUsage=critical,keyCertSign",
        );
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("these tests need the openssl program: apt-get install openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A server with a certificate for this name, valid for so many days from now.
    fn issue(&self, name: &str, days: i32) -> Arc<ServerConfig> {
        std::fs::write(self.path("extensions"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf",
        );
        self.openssl(&format!(
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days {days} \
             -extfile extensions"
        ));
        server_config(&self.path("leaf.pem"), &self.path("leaf.key"))
    }

    fn self_signed(&self, name: &str) -> Arc<ServerConfig> {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout self.key -out self.pem -days 2 \
             -subj /CN=self -addext subjectAltName=DNS:{name} -addext basicConstraints=critical,CA:FALSE"
        ));
        server_config(&self.path("self.pem"), &self.path("self.key"))
    }
}

fn server_config(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

fn offering(tls: Arc<ServerConfig>, features: &[&'static str]) -> Script {
    Script { tls: Some(tls), features: features.to_vec(), ..Script::default() }
}

fn secure(authority: &Authority, port: u16, security: Security) -> SmtpConfig {
    let mut config = SmtpConfig::new("localhost", "noc@example.net").with_security(security);
    config.port = port;
    config.ca_file = Some(authority.path("ca.pem"));
    config.username = Some("noc".into());
    config.password = Some(Secret::new(CANARY));
    config.timeout = PATIENCE;
    config
}

#[tokio::test]
async fn a_login_works_under_starttls() {
    let authority = Authority::new();
    let tls = authority.issue("localhost", 2);
    for (mechanism, sent) in
        [("AUTH PLAIN LOGIN", format!("AUTH PLAIN {CANARY_PLAIN}")), ("AUTH LOGIN", CANARY_LOGIN.into())]
    {
        let server = Server::start(offering(tls.clone(), &["STARTTLS", mechanism]));
        attempt(secure(&authority, server.port, Security::StartTls), &hello()).await.unwrap();
        let heard = server.heard();
        assert_eq!(heard.mails.len(), 1);
        assert_eq!(heard.commands.iter().filter(|command| **command == sent).count(), 1, "{:?}", heard.commands);
        let plain = String::from_utf8_lossy(&heard.plain).into_owned();
        let readable: Vec<&str> = plain.split_inclusive("\r\n").take(2).collect();
        assert!(readable[0].starts_with("EHLO ") && readable[1] == "STARTTLS\r\n", "{readable:?}");
        assert!(!plain.contains("AUTH") && !plain.contains("MAIL") && !plain.contains("agg-3"));
    }
}

#[tokio::test]
async fn a_login_works_under_tls_from_the_start() {
    let authority = Authority::new();
    let mut script = offering(authority.issue("localhost", 2), &["AUTH PLAIN"]);
    script.tls_from_the_start = true;
    let server = Server::start(script);
    attempt(secure(&authority, server.port, Security::Tls), &hello()).await.unwrap();
    let heard = server.heard();
    assert_eq!((heard.mails.len(), heard.count("AUTH"), heard.plain.len()), (1, 1, 0));
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let authority = Authority::new();
    let tls = authority.issue("localhost", 2);
    let stripped = offering(tls.clone(), &["AUTH PLAIN"]);
    let later = offering(tls.clone(), &["STARTTLS", "AUTH PLAIN"]).with("STARTTLS", Act::Say("454 not now\r\n"));
    let never = offering(tls, &["STARTTLS", "AUTH PLAIN"]).with("STARTTLS", Act::Say("502 what\r\n"));
    for script in [stripped, later, never] {
        let server = Server::start(script);
        let error = attempt(secure(&authority, server.port, Security::StartTls), &hello()).await.unwrap_err();
        assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false));
        assert!(error.message.contains(": STARTTLS: "), "{error}");
        let heard = server.heard();
        assert_eq!(heard.count("AUTH") + heard.count("MAIL") + heard.count("DATA"), 0, "{:?}", heard.commands);
        assert!(!String::from_utf8_lossy(&heard.plain).contains(CANARY_PLAIN));
    }
}

#[tokio::test]
async fn a_reply_slipped_in_before_tls_is_not_taken_for_one_inside() {
    let authority = Authority::new();
    let injected = "220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n";
    let script = offering(authority.issue("localhost", 2), &["STARTTLS", "AUTH PLAIN"]);
    let server = Server::start(script.with("STARTTLS", Act::Say(injected)));
    let error = attempt(secure(&authority, server.port, Security::StartTls), &hello()).await.unwrap_err();
    assert_eq!(error.stage, Stage::BeforeContent, "{error}");
    let heard = server.heard();
    assert_eq!((heard.count("AUTH"), heard.mails.len()), (0, 0), "{:?}", heard.commands);
}

#[tokio::test]
async fn a_certificate_that_does_not_prove_the_server_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let certificates = [
        ("another name", "not valid for name", authority.issue("other.example", 2)),
        ("expired", "Expired", authority.issue("localhost", -1)),
        ("self-signed", "UnknownIssuer", authority.self_signed("localhost")),
        ("another authority", "BadSignature", stranger.issue("localhost", 2)),
    ];
    for (wrong, said, certificate) in certificates {
        for security in [Security::StartTls, Security::Tls] {
            let mut script = offering(certificate.clone(), &["STARTTLS", "AUTH PLAIN"]);
            script.tls_from_the_start = security == Security::Tls;
            let server = Server::start(script);
            let error = attempt(secure(&authority, server.port, security), &hello()).await.unwrap_err();
            assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false), "{wrong}");
            assert!(error.message.contains(said), "{wrong}: {error}");
            let heard = server.heard();
            assert_eq!((heard.count("AUTH"), heard.count("MAIL")), (0, 0), "{wrong}: {:?}", heard.commands);
        }
    }
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_does_not_hold_the_attempt() {
    let authority = Authority::new();
    let mut script = offering(authority.issue("localhost", 2), &[]).with("handshake", Act::Hang);
    script.tls_from_the_start = true;
    let server = Server::start(script);
    let mut config = secure(&authority, server.port, Security::Tls);
    config.timeout = LIMIT;
    assert_eq!(attempt(config, &hello()).await.unwrap_err().stage, Stage::BeforeContent);
}

#[tokio::test]
async fn a_refused_login_is_a_failure_for_now_and_shows_no_password() {
    let authority = Authority::new();
    let replies = [
        "535 5.7.8 bad password canary-4711\r\n",
        "535 bad: AUTH PLAIN AG5vYwBjYW5hcnktNDcxMQ==\r\n",
        "535 bad: Y2FuYXJ5LTQ3MTE=\r\n",
        "334 AG5vYwBjYW5hcnktNDcxMQ==\r\n",
        "235-canary-4711\r\n535 canary-4711\r\n",
        "canary-4711\r\n",
    ];
    for reply in replies {
        let script = offering(authority.issue("localhost", 2), &["STARTTLS", "AUTH PLAIN"]);
        let server = Server::start(script.with("AUTH", Act::Say(reply)));
        let mut config = secure(&authority, server.port, Security::StartTls);
        config.timeout = LIMIT;
        let error = attempt(config, &hello()).await.unwrap_err();
        assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false), "{error}");
        let shown = format!("{error} {error:?}");
        for secret in [CANARY, CANARY_PLAIN, CANARY_LOGIN] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn the_password_is_in_nothing_that_is_printed() {
    let authority = Authority::new();
    let config = secure(&authority, 587, Security::StartTls);
    let notifier = SmtpNotifier::new(config.clone()).unwrap();
    let password = config.password.clone().unwrap();
    let mut broken = Vec::new();
    for spoil in [
        |config: &mut SmtpConfig| config.security = Security::None,
        |config: &mut SmtpConfig| config.username = None,
        |config: &mut SmtpConfig| config.from = "nobody".into(),
        |config: &mut SmtpConfig| config.ca_file = Some("/nonexistent".into()),
    ] {
        let mut config = config.clone();
        spoil(&mut config);
        broken.push(SmtpNotifier::new(config).unwrap_err());
    }
    let shown = format!("{config:?} {config:#?} {notifier:?} {password} {password:?} {broken:?}");
    let displayed: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert!(!shown.contains(CANARY) && !displayed.concat().contains(CANARY), "{shown}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_at_once() {
    let authority = Authority::new();
    let check = |spoil: fn(&mut SmtpConfig)| {
        let mut config = secure(&authority, 587, Security::StartTls);
        spoil(&mut config);
        SmtpNotifier::new(config).map(|_| ())
    };
    assert!(check(|_| ()).is_ok());
    assert!(matches!(check(|c| c.security = Security::None), Err(SmtpConfigError::PasswordWithoutTls { .. })));
    assert!(matches!(check(|c| c.username = None), Err(SmtpConfigError::IncompleteLogin { .. })));
    assert!(matches!(check(|c| c.password = None), Err(SmtpConfigError::IncompleteLogin { .. })));
    assert!(matches!(check(|c| c.from = "noc".into()), Err(SmtpConfigError::Address(_))));
    assert!(matches!(check(|c| c.to = vec!["noc".into()]), Err(SmtpConfigError::Address(_))));
    assert!(matches!(check(|c| c.server = "mail.example.net:587".into()), Err(SmtpConfigError::Server { .. })));
    assert!(matches!(check(|c| c.server = String::new()), Err(SmtpConfigError::Server { .. })));
    assert!(matches!(check(|c| c.hello_name = Some("a b\r\n".into())), Err(SmtpConfigError::HelloName { .. })));
    assert!(matches!(check(|c| c.timeout = std::time::Duration::ZERO), Err(SmtpConfigError::Timeout)));
    assert!(matches!(check(|c| c.ca_file = Some("/dev/null".into())), Err(SmtpConfigError::CaFile { .. })));
}
