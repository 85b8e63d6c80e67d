//! Mails as files: what a first run shows before a mail server is configured.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::message::Mailbox;

use super::address::{self, InvalidAddress};
use super::message;
use crate::model::{DeliveryError, Notification, Receipt, Wall};
use crate::notify::Notifier;

/// Mails may name customers and keys: the group may read them, others may not.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// Writes each mail as `<date>-<mail id>.eml` into a directory, the date in UTC; a copy replaces itself.
#[derive(Debug, Clone)]
pub struct FileNotifier {
    directory: Arc<Path>,
    from: Mailbox,
}

impl FileNotifier {
    /// Mails from `from`, as files in `directory`, which is made when the first is written.
    ///
    /// # Errors
    /// When `from` is not a mail address.
    pub fn new(directory: impl Into<PathBuf>, from: &str) -> Result<FileNotifier, InvalidAddress> {
        Ok(FileNotifier { directory: directory.into().into(), from: address::parse(from)? })
    }
}

#[async_trait]
impl Notifier for FileNotifier {
    /// Returns when the file would survive a power cut.
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let to: Vec<Mailbox> = notification.recipients.iter().filter_map(|to| address::parse(to).ok()).collect();
        let bytes = message::compose(&self.from, &to, notification)
            .map_err(|error| DeliveryError::before_content(error.to_string()))?;
        let directory = Arc::clone(&self.directory);
        let name = file_name(notification);
        let temporary = format!(".{}.tmp", notification.id.number());
        tokio::task::spawn_blocking(move || write(&directory, &temporary, &name, &bytes))
            .await
            .map_err(|error| DeliveryError::uncertain(format!("writing the mail was cut short: {error}")))??;
        Ok(Receipt::accepted(&notification.recipients))
    }
}

fn file_name(notification: &Notification) -> String {
    let date = Timestamp::from_nanosecond(i128::from(notification.date.max(Wall::default()).unix_nanos()))
        .unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-{}.eml", date.strftime("%Y%m%dT%H%M%SZ"), notification.id.number())
}

fn write(directory: &Path, temporary: &str, name: &str, bytes: &[u8]) -> Result<(), DeliveryError> {
    let temporary = directory.join(temporary);
    let path = directory.join(name);
    let failed = |error: io::Error| format!("cannot write the mail {}: {error}", path.display());
    prepare(directory, &temporary, bytes).and_then(|()| fs::rename(&temporary, &path)).map_err(|error| {
        // Worth a try: the next attempt writes over what is left.
        let _ = fs::remove_file(&temporary);
        DeliveryError::before_content(failed(error))
    })?;
    sync(directory).map_err(|error| DeliveryError::uncertain(failed(error)))
}

fn prepare(directory: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    if !directory.exists() {
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(temporary)?;
    // The umask may have taken the group's right away.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, MailId, Stage};

    fn notification(id: u64) -> Notification {
        let date = Wall::from_unix_nanos(1_795_330_200_000_000_000);
        let content = Content::new("OK: agg-3", "bien\n", "<p>bien</p>\n");
        let mut notification = Notification::new(MailId::new(id), format!("<{id}@netwatch>"), date, content);
        notification.recipients = vec!["turno@example.net".into()];
        notification
    }

    fn files(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_mail_is_one_file_however_often_it_is_sent() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/mail");
        let notifier = FileNotifier::new(&directory, "netwatch <noc@example.net>").unwrap();
        for id in [17, 17, 18] {
            let receipt = notifier.deliver(&notification(id)).await.unwrap();
            assert_eq!(receipt, Receipt::accepted(&["turno@example.net".into()]));
        }
        assert_eq!(files(&directory), ["20261122T065000Z-17.eml", "20261122T065000Z-18.eml"]);
        let path = directory.join("20261122T065000Z-17.eml");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        let to = [address::parse("turno@example.net").unwrap()];
        let expected = message::compose(&notifier.from, &to, &notification(17)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_disk_that_refuses_is_a_failure_before_the_content() {
        let home = tempfile::tempdir().unwrap();
        let blocked = home.path().join("mail");
        fs::write(&blocked, "a file where the directory should be").unwrap();
        let error =
            FileNotifier::new(&blocked, "noc@example.net").unwrap().deliver(&notification(1)).await.unwrap_err();
        assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false));
        assert!(error.message.contains("20261122T065000Z-1.eml"), "{error}");
    }

    #[test]
    fn a_sender_that_is_no_address_is_refused() {
        assert!(FileNotifier::new("/nowhere", "netwatch").is_err());
    }
}
