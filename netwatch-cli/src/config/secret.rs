//! The password of a mail server: read from where the configuration says it is, shown nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netwatch_core::Secret;

use super::locate::Environment;
use super::notifier::PasswordIn;
use super::problem::{At, Problems};

/// Reads the password. Where it cannot be had, that is an error if it is `needed` now, and else a warning; a file
/// that does not exist is an error in any case.
pub(crate) fn read(
    written: &At<PasswordIn>,
    base: &Path,
    environment: Environment<'_>,
    needed: bool,
    problems: &mut Problems,
) -> Option<Secret> {
    let found = match &written.value {
        PasswordIn::Env(name) => environment(name).ok_or_else(|| {
            let title = format!("the environment variable `{name}` is not set");
            (title, "export it before netwatch starts, or use `password_file`".to_owned(), false)
        }),
        PasswordIn::File(path) => read_file(&base.join(path), written, problems),
    };
    match found {
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err((title, help, certain)) if needed || certain => {
            problems.error(written.place, title, "the password should be here", help);
            None
        }
        Err((title, help, _)) => {
            problems.warning(written.place, title, "the password should be here", help);
            None
        }
    }
}

type Trouble = (String, String, bool);

fn read_file(path: &Path, written: &At<PasswordIn>, problems: &mut Problems) -> Result<String, Trouble> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => (
            format!("cannot read {shown}: {error}"),
            "make it readable for the user that netwatch runs as".to_owned(),
            false,
        ),
        _ => (
            format!("cannot read {shown}: {error}"),
            "write the password into this file, or name another".to_owned(),
            true,
        ),
    })?;
    if text.trim().is_empty() {
        return Err((format!("{shown} is empty"), "write the password into this file".to_owned(), true));
    }
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let label = format!("its mode is {:o}", mode & 0o777);
        problems.warning(written.place, "others can read the password file", label, format!("run `chmod 600 {shown}`"));
    }
    Ok(text)
}
