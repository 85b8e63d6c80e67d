//! Commands: whatever else reaches people on this machine, such as a modem that sends SMS.
//!
//! No shell is involved, and nothing that was configured elsewhere becomes an argument: the notification comes as JSON on
//! the standard input. The environment is cleared, and the command has a process group of its own, which ends with the
//! attempt.

mod child;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::child::{Ended, Running};
use super::facts;
use crate::model::{DeliveryError, Notification, Receipt};
use crate::notify::Notifier;
use crate::plain;

/// "Try again later", of sysexits.h.
const EX_TEMPFAIL: i32 = 75;
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which command is started, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecConfig {
    /// The program by its absolute path, and its arguments as they are passed on.
    pub command: Vec<String>,
    /// When it is killed, with all that it started; default 30 s.
    pub timeout: Duration,
    /// The variable `TZ` for it; default this process's own.
    pub time_zone: Option<String>,
}

impl ExecConfig {
    /// This program with these arguments.
    pub fn new(command: Vec<String>) -> ExecConfig {
        ExecConfig { command, timeout: Duration::from_secs(30), time_zone: None }
    }
}

/// A command cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecConfigError {
    /// There is none.
    #[error("the command is empty: name a program by its absolute path, and its arguments")]
    Empty,
    /// Which program would be started depends on the environment.
    #[error("the program {program:?} is not an absolute path: write it like /usr/local/bin/send-sms")]
    Relative {
        /// The program as configured.
        program: String,
    },
    /// No program can be given that.
    #[error("an argument of {program} holds a NUL character, which no argument can")]
    Nul {
        /// The program as configured.
        program: String,
    },
    /// An attempt could never end well.
    #[error("a time limit of zero lets no notification through: use 30 s")]
    Timeout,
}

/// Starts a command for each notification.
///
/// Exit status 0 is the command's word that it took the notification. Whatever else happens is tried again: 75
/// (EX_TEMPFAIL) and a signal like any other failure. What it left running in its process group is killed when it ends;
/// a process that is to stay takes a session of its own (`setsid`).
#[derive(Debug)]
pub struct ExecNotifier {
    config: ExecConfig,
}

impl ExecNotifier {
    /// Starts this command. Whether the program is there is seen when it is needed.
    ///
    /// # Errors
    /// When there is no command, or its program is not an absolute path.
    ///
    /// ```
    /// use netwatch_core::{ExecConfig, ExecConfigError, ExecNotifier};
    ///
    /// let command = |program: &str| ExecNotifier::new(ExecConfig::new(vec![program.into(), "--urgent".into()]));
    /// assert!(command("/usr/local/bin/send-sms").is_ok());
    /// assert!(matches!(command("send-sms"), Err(ExecConfigError::Relative { .. })));
    /// ```
    pub fn new(config: ExecConfig) -> Result<ExecNotifier, ExecConfigError> {
        let program = config.command.first().filter(|program| !program.is_empty()).ok_or(ExecConfigError::Empty)?;
        if !Path::new(program).is_absolute() {
            return Err(ExecConfigError::Relative { program: program.clone() });
        }
        if config.command.iter().any(|argument| argument.contains('\0')) {
            return Err(ExecConfigError::Nul { program: program.clone() });
        }
        if config.timeout.is_zero() {
            return Err(ExecConfigError::Timeout);
        }
        Ok(ExecNotifier { config })
    }

    fn environment(&self, notification: &Notification) -> Vec<(&'static str, OsString)> {
        let time_zone = self.config.time_zone.as_ref().map(OsString::from).or_else(|| std::env::var_os("TZ"));
        let mut environment: Vec<(&'static str, OsString)> = vec![
            ("PATH", SEARCHED.into()),
            ("LANG", "C.UTF-8".into()),
            ("HOME", "/".into()),
            ("NETWATCH_SUBJECT", facts::subject(notification).into()),
            ("NETWATCH_KIND", facts::kind(notification).into()),
            ("NETWATCH_TARGETS", notification.lines.len().to_string().into()),
            ("NETWATCH_MESSAGE_ID", plain::line(&notification.message_id, 1000).into()),
        ];
        environment.extend(time_zone.map(|zone| ("TZ", zone)));
        environment
    }
}

#[async_trait]
impl Notifier for ExecNotifier {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let program = self.config.command.first().map_or("", String::as_str);
        let deadline = Instant::now() + self.config.timeout;
        let environment = self.environment(notification);
        let mut input = facts::facts(notification).to_string().into_bytes();
        input.push(b'\n');
        let running = Running::start(&self.config.command, environment)
            .await
            .map_err(|error| DeliveryError::before_content(format!("cannot start {program}: {error}")))?;
        let (ended, output) = running.finish(&input, deadline).await;
        let said = plain::quote(&output);
        let said = if said.is_empty() { "; it said nothing".to_owned() } else { format!("; it said: {said}") };
        match ended {
            Ended::Exited(0) => Ok(Receipt::accepted(&notification.recipients)),
            Ended::Exited(EX_TEMPFAIL) => {
                Err(DeliveryError::before_content(format!("{program} asks to be tried again later (75){said}")))
            }
            Ended::Exited(status) => {
                Err(DeliveryError::before_content(format!("{program} failed with exit status {status}{said}")))
            }
            Ended::Signal(signal) => {
                Err(DeliveryError::uncertain(format!("{program} was ended by signal {signal}{said}")))
            }
            Ended::Late => {
                let limit = self.config.timeout.as_secs_f32();
                Err(DeliveryError::uncertain(format!("{program} had not ended after {limit} s and was killed{said}")))
            }
            Ended::Lost(error) => {
                Err(DeliveryError::uncertain(format!("cannot see what became of {program}: {error}{said}")))
            }
        }
    }
}
