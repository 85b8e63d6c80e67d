//! Where things are: the configuration file and the data directory.

use std::path::{Path, PathBuf};

/// Reads an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The system's configuration file, the last place that is looked at.
pub(crate) const SYSTEM: &str = "/etc/netwatch/netwatch.toml";

/// The process's own environment; a variable that is empty or not UTF-8 is as if it were not set.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The configuration file to read: the one asked for, `$NETWATCH_CONFIG`, `./netwatch.toml` or the system's. The last
/// two only if they exist; `None` if there is none.
pub(crate) fn config_file(
    asked: Option<&Path>,
    environment: Environment<'_>,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let named = asked.map(Path::to_owned).or_else(|| environment("NETWATCH_CONFIG").map(PathBuf::from));
    let usual = || [Path::new("netwatch.toml"), Path::new(SYSTEM)].into_iter().find(|path| exists(path));
    named.or_else(|| usual().map(Path::to_owned))
}

/// The data directory where the configuration names none: `$STATE_DIRECTORY` (the first, if systemd gave several),
/// else `$XDG_STATE_HOME/netwatch`, else `~/.local/state/netwatch`. `None` if there is no home, either.
pub(crate) fn data_dir(environment: Environment<'_>) -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(given) = environment("STATE_DIRECTORY") {
        return given.split(':').next().map(PathBuf::from);
    }
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("netwatch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_file_asked_for_wins_and_the_systems_comes_last() {
        let both = [("NETWATCH_CONFIG", "/b.toml")];
        let everywhere = |_: &Path| true;
        let system = |path: &Path| path == Path::new(SYSTEM);
        let found = |asked: Option<&str>, variables: &[(&str, &str)], exists: &dyn Fn(&Path) -> bool| {
            config_file(asked.map(Path::new), &with(variables), exists)
        };
        assert_eq!(found(Some("/a.toml"), &both, &everywhere), Some("/a.toml".into()));
        assert_eq!(found(None, &both, &everywhere), Some("/b.toml".into()));
        assert_eq!(found(None, &[], &everywhere), Some("netwatch.toml".into()));
        assert_eq!(found(None, &[], &system), Some(SYSTEM.into()));
        assert_eq!(found(None, &[], &|_| false), None);
    }

    #[test]
    fn the_data_directory_follows_systemd_then_xdg_then_home() {
        let all = [("STATE_DIRECTORY", "/var/lib/netwatch:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(data_dir(&with(&all)), Some("/var/lib/netwatch".into()));
        assert_eq!(data_dir(&with(&all[1..])), Some("/x/netwatch".into()));
        assert_eq!(data_dir(&with(&all[2..])), Some("/h/.local/state/netwatch".into()));
        assert_eq!(
            data_dir(&with(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")])),
            Some("/h/.local/state/netwatch".into())
        );
        assert_eq!(data_dir(&with(&[])), None);
    }
}
