//! What a command is told, and that nothing of it is left when its attempt is over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use netwatch_core::{DeliveryError, ExecConfig, ExecConfigError, ExecNotifier, LineKind, Notifier, Stage};
use serde_json::Value;
use tokio::time::Instant;

use crate::{LIMIT, PATIENCE, attempt, corpus, hello, line, told};

/// A directory with a script in it, which is called with the directory and a few more arguments.
struct Script {
    directory: tempfile::TempDir,
}

impl Script {
    fn new(text: &str) -> Script {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("tell");
        // Written aside and renamed: a file that somebody still has open for writing cannot be run.
        let text = format!("#!/bin/sh\n{text}\n");
        let status = Command::new("/bin/sh")
            .args(["-c", "printf '%s' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", &text])
            .arg(&script)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755);
        Script { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Vec<String> {
        let own = |path: &Path| path.to_str().unwrap().to_owned();
        vec![own(&self.path("tell")), own(self.directory.path()), "an argument".into(), "$(id)".into(), "-i".into()]
    }

    fn notifier(&self, limit: Duration) -> ExecNotifier {
        let mut config = ExecConfig::new(self.command());
        (config.timeout, config.time_zone) = (limit, Some("America/Asuncion".into()));
        ExecNotifier::new(config).unwrap()
    }

    async fn failure(&self, limit: Duration) -> DeliveryError {
        attempt(&self.notifier(limit), &hello()).await.unwrap_err()
    }

    fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// NUL-terminated texts.
fn list(text: &str) -> Vec<&str> {
    text.split_terminator('\0').collect()
}

#[tokio::test]
async fn whatever_a_device_is_called_no_name_is_an_argument_or_a_command() {
    let script = Script::new(
        "printf '%s\\0' \"$@\" >\"$1/arguments\"; cat /proc/$$/environ >\"$1/environment\"; cat >\"$1/input\"; pwd >\"$1/where\"",
    );
    let notifier = script.notifier(PATIENCE);
    for (name, notification) in corpus::notifications() {
        attempt(&notifier, &notification).await.unwrap();
        assert_eq!(list(&script.written("arguments")), &script.command()[1..], "{name:?}");
        let input = script.written("input");
        assert_eq!(input.matches('\n').count(), 1, "one line");
        let facts: Value = serde_json::from_str(&input).unwrap();
        assert!(facts["lines"].as_array().unwrap().len() == 3 && input.len() <= 256 * 1024 + 1);
        assert!(corpus::texts(&facts).iter().all(|text| corpus::is_tame(text)), "{name:?}");

        let environment = script.written("environment");
        let environment: BTreeMap<&str, &str> =
            list(&environment).into_iter().map(|pair| pair.split_once('=').unwrap()).collect();
        let keys: Vec<&str> = environment.keys().copied().collect();
        let expected = [
            "HOME",
            "LANG",
            "NETWATCH_KIND",
            "NETWATCH_MESSAGE_ID",
            "NETWATCH_SUBJECT",
            "NETWATCH_TARGETS",
            "PATH",
            "TZ",
        ];
        assert_eq!(keys, expected, "{name:?}");
        assert_eq!((environment["HOME"], environment["TZ"]), ("/", "America/Asuncion"));
        assert_eq!((environment["NETWATCH_KIND"], environment["NETWATCH_TARGETS"]), ("opened", "3"));
        assert_eq!(environment["NETWATCH_SUBJECT"], facts["subject"]);
        assert_eq!(environment["NETWATCH_MESSAGE_ID"], "<17.1.noc@netwatch>");
    }
    assert_eq!(script.written("where"), "/\n");
    let mut files: Vec<String> = std::fs::read_dir(script.directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["arguments", "environment", "input", "tell", "where"], "no name made a file");
}

#[tokio::test]
async fn a_command_that_reads_nothing_and_one_that_never_stops_talking_end_all_the_same() {
    let many = told((0..2000).map(|number| line(number, "olt", LineKind::Opened)).collect());
    attempt(&Script::new("exec 0<&-; exit 0").notifier(PATIENCE), &many).await.unwrap();
    attempt(
        &Script::new("head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2").notifier(PATIENCE),
        &many,
    )
    .await
    .unwrap();
    let error = Script::new("yes canary | head -c 5000000; exit 1").failure(PATIENCE).await;
    assert!(error.message.len() < 1000 && error.message.contains("it said: canary canary"), "{error}");
}

#[tokio::test]
async fn how_it_ended_is_told_and_tried_again() {
    for (text, why, stage) in [
        ("echo 'no\tmodem'; exit 75", "tried again later (75); it said: no modem", Stage::BeforeContent),
        ("printf 'a\\r\\nb\\033[2J' >&2; exit 3", "failed with exit status 3; it said: a b [2J", Stage::BeforeContent),
        ("exit 255", "failed with exit status 255; it said nothing", Stage::BeforeContent),
        ("kill -TERM $$", "ended by signal 15", Stage::Uncertain),
    ] {
        let error = Script::new(text).failure(PATIENCE).await;
        assert!(error.message.contains(why), "{error}");
        assert_eq!((error.stage, error.permanent), (stage, false), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_was_told_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    for program in ["/nowhere/tell", plain.to_str().unwrap(), "/"] {
        let notifier = ExecNotifier::new(ExecConfig::new(vec![program.to_owned()])).unwrap();
        let error = attempt(&notifier, &hello()).await.unwrap_err();
        assert_eq!(error.stage, Stage::BeforeContent);
        assert!(error.message.contains(program), "{error}");
    }
}

/// A command that hangs with children and grandchildren; each of them holds the pipe open for writing.
const BROOD: &str = "exec 9>\"$1/pipe\"; trap '' TERM HUP INT; \
    sh -c 'trap \"\" TERM HUP INT; sleep 1000 & sleep 1000 & wait' & \
    (sleep 1000; sleep 1000) & echo told; echo $$ >\"$1/pid\"; wait; sleep 1000";

/// The pipe that tells when the last of them is gone: at its end.
fn pipe(script: &Script) -> PathBuf {
    let pipe = script.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

/// Waits until nobody holds the pipe open, and the command's number is free again: no zombie is left.
async fn all_gone(script: &Script, mut pipe: File) {
    // A thread that nobody joins: where it waits for ever, the test fails all the same.
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || end.send(pipe.read_to_end(&mut Vec::new())));
    tokio::time::timeout(PATIENCE, ended).await.expect("all of them are gone").unwrap().unwrap();
    let pid = script.written("pid").trim().to_owned();
    let begun = Instant::now();
    while Path::new("/proc").join(&pid).exists() {
        assert!(begun.elapsed() < PATIENCE, "{pid} is a zombie");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_is_killed_with_its_children_and_grandchildren() {
    let script = Script::new(BROOD);
    let pipe = pipe(&script);
    let opened = tokio::task::spawn_blocking(move || File::open(pipe).unwrap());
    let begun = Instant::now();
    let error = script.failure(LIMIT).await;
    assert!(begun.elapsed() < LIMIT + Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(error.stage, Stage::Uncertain);
    assert!(error.message.contains("killed; it said: told"), "{error}");
    all_gone(&script, opened.await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_attempt_takes_the_command_and_its_brood_along() {
    let script = Script::new(BROOD);
    let pipe = pipe(&script);
    let opened = tokio::task::spawn_blocking(move || File::open(pipe).unwrap());
    let notifier = script.notifier(PATIENCE);
    let attempt = tokio::spawn(async move { notifier.deliver(&hello()).await });
    // It is open once the command has opened it, too.
    let pipe = opened.await.unwrap();
    while std::fs::read_to_string(script.path("pid")).unwrap_or_default().is_empty() {
        tokio::task::yield_now().await;
    }
    attempt.abort();
    assert!(attempt.await.unwrap_err().is_cancelled());
    all_gone(&script, pipe).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_behind_neither_holds_it_up_nor_stays() {
    let script = Script::new("exec 9>\"$1/pipe\"; echo $$ >\"$1/pid\"; sleep 1000 & echo told");
    let pipe = pipe(&script);
    let opened = tokio::task::spawn_blocking(move || File::open(pipe).unwrap());
    attempt(&script.notifier(PATIENCE), &hello()).await.unwrap();
    assert!(!Path::new("/proc").join(script.written("pid").trim()).exists(), "it was waited for");
    all_gone(&script, opened.await.unwrap()).await;
}

#[tokio::test]
async fn a_command_has_no_descriptor_of_ours() {
    let script = Script::new("ls /proc/$$/fd >\"$1/descriptors\"");
    // Whoever started this test may have left it descriptors that every program it starts inherits.
    let [program, arguments @ ..] = &script.command()[..] else { panic!("a command has a program") };
    assert!(Command::new(program).args(arguments).stdin(Stdio::null()).status().unwrap().success());
    let inherited = script.written("descriptors");
    let sockets: Vec<std::net::TcpListener> =
        (0..20).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    attempt(&script.notifier(PATIENCE), &hello()).await.unwrap();
    assert_eq!(script.written("descriptors"), inherited, "{} sockets are open here", sockets.len());
}

#[test]
fn a_command_that_depends_on_the_environment_is_refused() {
    let new = |command: &[&str]| ExecNotifier::new(ExecConfig::new(command.iter().map(|&word| word.into()).collect()));
    assert!(matches!(new(&[]), Err(ExecConfigError::Empty)));
    assert!(matches!(new(&[""]), Err(ExecConfigError::Empty)));
    for program in ["tell", "./tell", "~/tell", "bin/tell"] {
        assert!(matches!(new(&[program]), Err(ExecConfigError::Relative { .. })), "{program}");
    }
    assert!(matches!(new(&["/tell", "a\0b"]), Err(ExecConfigError::Nul { .. })));
    assert!(new(&["/tell", "", "-x"]).is_ok());
}
