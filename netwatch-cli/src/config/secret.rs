//! A secret, as the password of a mail server: read from where the configuration says it is, shown nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netwatch_core::Secret;

use super::locate::Environment;
use super::notifier::PasswordIn;
use super::problem::{At, Problems};

/// What is secret, in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct What {
    /// As in "the password".
    pub(crate) name: &'static str,
    /// The key that names a file.
    pub(crate) file_key: &'static str,
}

const PASSWORD: What = What { name: "password", file_key: "password_file" };

/// Reads a password. Where it cannot be had, that is an error if it is `needed` now, and else a warning; a file
/// that does not exist is an error in any case.
pub(crate) fn read(
    written: &At<PasswordIn>,
    base: &Path,
    environment: Environment<'_>,
    needed: bool,
    problems: &mut Problems,
) -> Option<Secret> {
    read_text(PASSWORD, written, base, environment, needed, problems).map(Secret::new)
}

/// The same of another secret, as plain text.
pub(crate) fn read_text(
    what: What,
    written: &At<PasswordIn>,
    base: &Path,
    environment: Environment<'_>,
    needed: bool,
    problems: &mut Problems,
) -> Option<String> {
    let label = format!("the {} should be here", what.name);
    let found = match &written.value {
        PasswordIn::Env(name) => environment(name).ok_or_else(|| {
            let title = format!("the environment variable `{name}` is not set");
            (title, format!("export it before netwatch starts, or use `{}`", what.file_key), false)
        }),
        PasswordIn::File(path) => read_file(what, &base.join(path), written, problems),
    };
    match found {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err((title, help, certain)) if needed || certain => {
            problems.error(written.place, title, label, help);
            None
        }
        Err((title, help, _)) => {
            problems.warning(written.place, title, label, help);
            None
        }
    }
}

type Trouble = (String, String, bool);

fn read_file(what: What, path: &Path, written: &At<PasswordIn>, problems: &mut Problems) -> Result<String, Trouble> {
    let name = what.name;
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => (
            format!("cannot read {shown}: {error}"),
            "make it readable for the user that netwatch runs as".to_owned(),
            false,
        ),
        _ => {
            (format!("cannot read {shown}: {error}"), format!("write the {name} into this file, or name another"), true)
        }
    })?;
    if text.trim().is_empty() {
        return Err((format!("{shown} is empty"), format!("write the {name} into this file"), true));
    }
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let label = format!("its mode is {:o}", mode & 0o777);
        let title = format!("others can read the {name} file");
        problems.warning(written.place, title, label, format!("run `chmod 600 {shown}`"));
    }
    Ok(text)
}
