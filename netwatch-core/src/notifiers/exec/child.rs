//! A command under way: started without a shell, fed, listened to, and gone with all that it started when the attempt is
//! over, whatever ended it.
//!
//! A thread of its own starts it and waits for it. So a program on a file system that hangs holds up nobody, the thread's
//! privileges can be lowered before it starts anything, and no zombie is left even when nobody waits any more.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

/// What is kept of what a command says.
const OUTPUT_BYTES: usize = 64 * 1024;
/// How long to wait for more of what it said, if a process that took a session of its own holds its output open.
const REST_LIMIT: Duration = Duration::from_millis(100);

/// How a command ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal of somebody else's.
    Signal(i32),
    /// Not in time, and so by ours.
    Late,
    /// Nobody can tell.
    Lost(io::Error),
}

/// A command that runs. Dropped, it is killed with its whole process group: the leash sees to that.
pub(super) struct Running {
    leash: Leash,
    input: Option<pipe::Sender>,
    output: pipe::Receiver,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Running {
    /// Starts it, with this environment and nothing else of ours.
    pub(super) async fn start(command: &[String], environment: Vec<(&'static str, OsString)>) -> io::Result<Running> {
        let command = command.to_vec();
        let (say_started, started) = oneshot::channel();
        let (say_ended, ended) = oneshot::channel();
        std::thread::Builder::new().name("netwatch-exec".to_owned()).spawn(move || {
            match spawn(&command, environment) {
                Ok((child, started)) => {
                    let group = Arc::clone(&started.leash.0);
                    // Errors mean that nobody waits any more; then the leash has ended the command.
                    let _ = say_started.send(Ok(started));
                    let _ = say_ended.send(group.wait(child));
                }
                Err(error) => _ = say_started.send(Err(error)),
            }
        })?;
        let Started { leash, input, output } =
            started.await.map_err(|_| io::Error::other("the thread that starts it ended"))??;
        Ok(Running {
            input: input.map(pipe::Sender::from_owned_fd).transpose()?,
            output: pipe::Receiver::from_owned_fd(output)?,
            leash,
            ended,
        })
    }

    /// Feeds it, and waits until it has ended or it is late. Returns what it said, too.
    pub(super) async fn finish(mut self, input: &[u8], deadline: Instant) -> (Ended, String) {
        let mut said = Vec::new();
        let ended = match timeout_at(deadline, self.attend(input, &mut said)).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                self.leash.0.kill();
                Ended::Late
            }
        };
        self.read_rest(&mut said).await;
        (ended, String::from_utf8_lossy(&said).into_owned())
    }

    /// Until it has ended: it need not read what it is given, nor ever stop talking.
    async fn attend(&mut self, mut input: &[u8], said: &mut Vec<u8>) -> Ended {
        let mut buffer = [0_u8; 4096];
        let mut listening = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut self.ended => return verdict(ended),
                read = self.output.read(&mut buffer), if listening => match read {
                    Ok(length) if length > 0 => keep(said, buffer.get(..length).unwrap_or_default()),
                    Ok(_) | Err(_) => listening = false,
                },
                written = feed(&mut self.input, input) => match written {
                    Ok(length) if length < input.len() => input = input.get(length..).unwrap_or_default(),
                    Ok(_) | Err(_) => self.input = None,
                },
            }
        }
    }

    /// What it said before it ended is in the pipe. Whoever else still holds the other end is not waited for.
    async fn read_rest(&mut self, said: &mut Vec<u8>) {
        let mut buffer = [0_u8; 4096];
        while said.len() < OUTPUT_BYTES {
            match timeout(REST_LIMIT, self.output.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => keep(said, buffer.get(..length).unwrap_or_default()),
                _ => return,
            }
        }
    }
}

/// The process group of a command; `None` once its number may be somebody else's.
struct Group(Mutex<Option<Pid>>);

impl Group {
    /// Ends everybody in it.
    fn kill(&self) {
        kill(*self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for the command. What it left behind in its group goes before its number is given back.
    fn wait(&self, mut child: Child) -> io::Result<ExitStatus> {
        let group = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = group.map(|group| {
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT))
        });
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(_)) = ended {
            kill(*group);
        }
        *group = None;
        child.wait()
    }
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // An error means that nobody is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Dropped, it ends the group.
struct Leash(Arc<Group>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A command that was started and is not attended to yet.
struct Started {
    leash: Leash,
    input: Option<OwnedFd>,
    output: OwnedFd,
}

fn spawn(command: &[String], environment: Vec<(&'static str, OsString)>) -> io::Result<(Child, Started)> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (reader, writer) = io::pipe()?;
    // The right to open raw sockets, where netwatch has it from systemd, is not the command's: what a thread has as
    // ambient goes on to what it starts. A kernel that refuses this has none to pass on.
    let _ = rustix::thread::clear_ambient_capability_set();
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leash = Leash(Arc::new(Group(Mutex::new(group))));
    let input = child.stdin.take().map(OwnedFd::from);
    Ok((child, Started { leash, input, output: reader.into() }))
}

/// Writes a part; waits for ever when there is nothing to write.
async fn feed(pipe: &mut Option<pipe::Sender>, input: &[u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.write(input).await,
        None => std::future::pending().await,
    }
}

fn keep(said: &mut Vec<u8>, bytes: &[u8]) {
    let room = OUTPUT_BYTES.saturating_sub(said.len());
    said.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
}

fn verdict(ended: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> Ended {
    let status = match ended {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Ended::Lost(error),
        Err(_) => return Ended::Lost(io::Error::other("the thread that waits for it ended")),
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Lost(io::Error::other("it ended in no way that is known")),
    }
}
