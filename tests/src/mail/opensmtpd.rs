//! Debian's OpenSMTPD in a namespace: STARTTLS and a login are demanded, and every accepted mail can be read.
//!
//! smtpd's queue and control socket have fixed paths, so it gets a mount namespace of its own with empty file systems
//! there, and a process namespace so that none of its seven processes can be left behind. TLS: see `front.rs`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;
use tempfile::TempDir;

use super::gate::{Gate, Moment};
use super::wire::Wire;
use super::{Certificates, Message, front};
use crate::netns::Namespace;
use crate::process::{Kept, run, wait_for};

/// Where smtpd itself listens, in plain text, for the front alone.
const BEHIND: u16 = 12_525;

/// A running mail server. Dropping it ends it.
#[derive(Debug)]
pub struct OpenSmtpd {
    address: SocketAddr,
    certificates: Certificates,
    dir: TempDir,
    stop: Arc<AtomicBool>,
    gate: Arc<Gate>,
    accepting: Option<JoinHandle<()>>,
    _smtpd: Kept,
}

impl OpenSmtpd {
    /// Starts it on `127.0.0.1:port` of the namespace; panics with its log if it does not answer within 10 s.
    pub fn start(namespace: &Namespace, port: u16) -> OpenSmtpd {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = dir.path();
        // Mails are delivered as nobody, who has to reach the mailbox.
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("our own directory");
        fs::create_dir(at.join("box")).expect("our own directory");
        run("chown", ["nobody", &at.join("box").to_string_lossy()]);
        fs::write(at.join("users"), "@ nobody\n").expect("our own directory");
        let path = at.display();
        let config = format!(
            "table users file:{path}/users\nlisten on lo inet4 port {BEHIND} hostname localhost\n\
             action \"box\" maildir \"{path}/box\" virtual <users>\nmatch from any for any action \"box\"\n"
        );
        fs::write(at.join("smtpd.conf"), config).expect("our own directory");
        let script = format!(
            "mount --make-rprivate / && mkdir -p /var/spool/smtpd && mount -t tmpfs -o mode=0711 lab /var/spool/smtpd && \
             mount -t tmpfs -o mode=0755 lab /run && exec smtpd -d -f {path}/smtpd.conf"
        );
        let log = fs::File::create(at.join("log")).expect("our own directory");
        let mut command = namespace.command("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
        let (out, errors) = (log.try_clone().expect("a file can be shared"), log);
        let mut smtpd = Kept::spawn(command.stdin(Stdio::null()).stdout(out).stderr(errors));
        let behind = SocketAddr::from((Ipv4Addr::LOCALHOST, BEHIND));
        wait_for("smtpd to listen", Duration::from_secs(10), || {
            if let Some(status) = smtpd.ended() {
                panic!("smtpd ended ({status}): {}", fs::read_to_string(at.join("log")).unwrap_or_default());
            }
            namespace.connect(behind, Duration::from_millis(200)).ok()
        });
        let certificates = Certificates::make(at);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (listener, stop) = (namespace.listen(address), Arc::new(AtomicBool::new(false)));
        let gate = Arc::<Gate>::default();
        let name = namespace.name().to_owned();
        let accepting = accept(listener, certificates.server(), Arc::clone(&stop), Arc::clone(&gate), name);
        OpenSmtpd { address, certificates, dir, stop, gate, accepting: Some(accepting), _smtpd: smtpd }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients must trust.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Holds every conversation at this moment from now on, and forgets who reached it before.
    pub fn hold(&self, moment: Moment) {
        self.gate.hold(moment);
    }

    /// Lets everything go on.
    pub fn release(&self) {
        self.gate.release();
    }

    /// Ends the conversations that are held, as if the network between had gone, and holds no other.
    pub fn cut(&self) {
        self.gate.cut();
    }

    /// Waits until a conversation has reached this moment since the last [`hold`](OpenSmtpd::hold); panics after `limit`.
    pub fn wait_reached(&self, moment: Moment, limit: Duration) {
        self.gate.wait_reached(moment, limit);
    }

    /// Every delivered mail, oldest first; one for each recipient (header `Delivered-To`).
    pub fn delivered(&self) -> Vec<Message> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("box/new")) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        files.iter().filter_map(|(_, path)| fs::read(path).ok()).map(|raw| Message::parse(&raw)).collect()
    }

    /// Waits until this many mails were delivered and returns them; panics with their subjects after `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Message> {
        let what = format!("{count} mails");
        wait_for(&what, limit, || {
            let mails = self.delivered();
            (mails.len() >= count).then_some(mails)
        })
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.gate.stop();
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    stop: Arc<AtomicBool>,
    gate: Arc<Gate>,
    namespace: String,
) -> JoinHandle<()> {
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    let serving = move || {
        // Connections made from this thread and its children stay inside.
        crate::netns::enter(&namespace);
        while !stop.load(Ordering::Relaxed) {
            let Ok((client, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            let (tls, stop, gate) = (Arc::clone(&tls), Arc::clone(&stop), Arc::clone(&gate));
            thread::spawn(move || {
                client.set_nonblocking(false).ok()?;
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, BEHIND)).ok()?;
                server.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
                front::serve(Wire::new(client, stop).ok()?, server, &tls, &gate)
            });
        }
    };
    thread::spawn(serving)
}
