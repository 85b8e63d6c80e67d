//! Secrets: named by the configuration, read from where it says they are, shown nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netwatch_core::Secret;

use super::locate::Environment;
use super::problem::{At, Problems};
use super::section::{Section, Value};

/// A secret that a notifier has a key for.
#[derive(Debug)]
pub(crate) struct SecretKey {
    /// The key, to which `_file` and `_env` are added.
    pub(crate) key: &'static str,
    /// What it is, in words.
    pub(crate) what: &'static str,
    /// Whether it may stand in the configuration itself: for some services it is none.
    pub(crate) here: bool,
    /// Where it may be.
    pub(crate) example: (&'static str, &'static str),
}

/// The password of a mail server.
pub(crate) const PASSWORD: SecretKey = SecretKey {
    key: "password",
    what: "password",
    here: false,
    example: ("/etc/netwatch/smtp-password", "SMTP_PASSWORD"),
};

/// Where a secret is.
#[derive(Debug, Clone)]
pub(crate) enum SecretIn {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// In the configuration.
    Here(Secret),
}

/// A secret that the configuration names.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) key: &'static SecretKey,
    pub(crate) at: At<SecretIn>,
}

impl Written {
    /// Whether it stands in the configuration itself.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.at.value, SecretIn::Here(_))
    }
}

/// Reads where a secret is. One that may not stand in the configuration is refused, and masked wherever it is shown.
pub(crate) fn named(section: &mut Section, key: &'static SecretKey, problems: &mut Problems) -> Option<Written> {
    let (in_file, in_env) = (format!("{}_file", key.key), format!("{}_env", key.key));
    let here = if key.here { read_here(section, key, problems) } else { refuse(section, key, problems) };
    let file = section.words(&in_file, problems).map(|path| path.map(|path| SecretIn::File(path.into())));
    let env = section.words(&in_env, problems).map(|name| name.map(SecretIn::Env));
    let mut all = [here, file, env].into_iter().flatten();
    let first = all.next()?;
    if let Some(second) = all.next() {
        let (title, label) = match (&first.value, &second.value) {
            (SecretIn::File(_), _) => (format!("the {} is named twice", key.what), "and the file is named, too"),
            _ => (format!("the {} is named twice", key.what), "and it stands here, too"),
        };
        let keep = if key.here { format!("`{}`, ", key.key) } else { String::new() };
        problems.error(second.place, title, label, format!("keep {keep}`{in_file}` or `{in_env}`"));
    }
    Some(Written { key, at: first })
}

fn read_here(section: &mut Section, key: &SecretKey, problems: &mut Problems) -> Option<At<SecretIn>> {
    let found = section.words(key.key, problems)?;
    problems.mask(found.place);
    Some(found.map(|text| SecretIn::Here(Secret::new(text))))
}

/// A secret has no place in a file that people copy and mail about.
fn refuse(section: &mut Section, key: &SecretKey, problems: &mut Problems) -> Option<At<SecretIn>> {
    let place = section.key(key.key)?;
    if let Some(At { value: Value::Text(_) | Value::Integer(_) | Value::Float(_), place }) = section.take(key.key) {
        problems.mask(place);
    }
    let (file, env) = key.example;
    problems.error(
        place,
        format!("a {} must not stand in the configuration", key.what),
        "this file is read by too many",
        format!(
            "write it alone into a file that only netwatch can read (chmod 600) and name it: `{0}_file = \"{file}\"`, or name an environment variable: `{0}_env = \"{env}\"`",
            key.key
        ),
    );
    None
}

/// Reads the secret. Where it cannot be had, that is an error if it is `needed` now, and else a warning; a file
/// that does not exist is an error in any case.
pub(crate) fn read(
    written: &Written,
    base: &Path,
    environment: Environment<'_>,
    needed: bool,
    problems: &mut Problems,
) -> Option<Secret> {
    let SecretKey { key, what, .. } = *written.key;
    let found = match &written.at.value {
        SecretIn::Here(secret) => return Some(secret.clone()),
        SecretIn::Env(name) => environment(name).ok_or_else(|| {
            let title = format!("the environment variable `{name}` is not set");
            (title, format!("export it before netwatch starts, or use `{key}_file`"), false)
        }),
        SecretIn::File(path) => read_file(&base.join(path), written, problems),
    };
    let label = format!("the {what} should be here");
    match found {
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err((title, help, certain)) if needed || certain => {
            problems.error(written.at.place, title, label, help);
            None
        }
        Err((title, help, _)) => {
            problems.warning(written.at.place, title, label, help);
            None
        }
    }
}

type Trouble = (String, String, bool);

fn read_file(path: &Path, written: &Written, problems: &mut Problems) -> Result<String, Trouble> {
    let (shown, what) = (path.display(), written.key.what);
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => (
            format!("cannot read {shown}: {error}"),
            "make it readable for the user that netwatch runs as".to_owned(),
            false,
        ),
        _ => {
            (format!("cannot read {shown}: {error}"), format!("write the {what} into this file, or name another"), true)
        }
    })?;
    if text.trim().is_empty() {
        return Err((format!("{shown} is empty"), format!("write the {what} into this file"), true));
    }
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let (title, label) = (format!("others can read the {what} file"), format!("its mode is {:o}", mode & 0o777));
        problems.warning(written.at.place, title, label, format!("run `chmod 600 {shown}`"));
    }
    Ok(text)
}
