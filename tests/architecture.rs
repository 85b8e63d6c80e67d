//! The rules of the house, read out of the sources: which way imports may point, what the pure half must not touch,
//! how long a file may be and how it opens, what may lie at the top level and what may not stand in the lock file.
//!
//! A finding names the file and the line. `architecture/negative.rs` shows for every rule a source that breaks it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a source that cannot be read fails the test")]

#[path = "architecture/negative.rs"]
mod negative;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/survivors.rs"]
mod survivors;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use source::Source;

/// The longest a source may be.
const MOST_LINES: usize = 600;

/// Everything that may lie at the top level.
const TOP_LEVEL: [&str; 20] = [
    ".ci",
    ".git",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clippy.toml",
    "deny.toml",
    "docs",
    "examples",
    "netwatch-cli",
    "netwatch-core",
    "netwatch-http",
    "rustfmt.toml",
];

/// Packages that must not come in, even through others: ring is the only crypto provider.
const FORBIDDEN_PACKAGES: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// What the pure half must not name: whatever makes one run differ from another.
const IMPURE: [(&[&str], &str); 14] = [
    (&["tokio"], "the pure half knows no tokio"),
    (&["rand"], "the pure half is told its random numbers"),
    (&["fastrand"], "the pure half is told its random numbers"),
    (&["std", "fs"], "the pure half touches no file"),
    (&["std", "thread"], "the pure half has no threads"),
    (&["std", "process"], "the pure half starts nothing"),
    (&["std", "env"], "the pure half reads no environment"),
    (&["std", "os"], "the pure half knows no operating system"),
    (&["std", "net", "TcpStream"], "the pure half opens no socket"),
    (&["std", "net", "TcpListener"], "the pure half opens no socket"),
    (&["std", "net", "UdpSocket"], "the pure half opens no socket"),
    (&["std", "net", "ToSocketAddrs"], "the pure half resolves no name"),
    (&["std", "time", "Instant"], "the pure half is told the time: `Now` is an argument"),
    (&["std", "io"], "the pure half does no input or output"),
];

/// Where unsafe may stand, and why.
const UNSAFE: [(&str, &str); 2] = [
    ("netwatch-core/src/icmp/sys.rs", "many packages in one system call"),
    ("tests/src/disk/vfs.rs", "a disk that fails under SQLite is a table of C functions; no program of ours has it"),
];

/// Where packages may come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

const BASE: [&str; 7] = ["model", "logic", "probe", "notify", "sink", "journal", "plain"];
const TRAITS: [&str; 4] = ["probe", "notify", "sink", "journal"];

/// What a finding says and where.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// What netwatch-core's lib.rs says: its modules, and the module that each re-exported name is of.
#[derive(Debug, Default)]
struct Root {
    modules: BTreeSet<String>,
    exports: BTreeMap<String, String>,
}

impl Root {
    fn read(lib: &str) -> Root {
        let source = Source::parse(lib).expect("lib.rs parses");
        let mut root = Root::default();
        for pair in source.tokens.windows(2) {
            if pair[0].text == "mod" && pair[1].ident {
                root.modules.insert(pair[1].text.clone());
            }
        }
        for path in source.paths.iter().filter(|path| path.exported) {
            if let (Some(first), Some(last)) = (path.segments.first(), path.segments.last()) {
                root.exports.insert(last.clone(), first.clone());
            }
        }
        root
    }

    /// The module of netwatch-core that a name at the crate's root belongs to.
    fn module_of(&self, name: &str) -> Option<&str> {
        match self.modules.get(name) {
            Some(module) => Some(module),
            None => self.exports.get(name).map(String::as_str),
        }
    }
}

/// What a part of netwatch-core may import besides itself; `None` is everything.
fn may_import(layer: &str) -> Option<Vec<&'static str>> {
    match layer {
        "lib" | "testing" => None,
        "model" | "plain" => Some(vec![]),
        "logic" | "probe" | "notify" | "sink" | "journal" => Some(vec!["model"]),
        "icmp" => Some(["model"].into_iter().chain(TRAITS).collect()),
        "runtime" => Some(BASE.into_iter().chain(["host", "render", "sinks", "store", "icmp", "notifiers"]).collect()),
        _ => Some(BASE.to_vec()),
    }
}

/// Everything that is wrong with one source. `file` is relative to the repository.
fn check_source(file: &str, text: &str, root: &Root) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find =
        |line: usize, rule: &str| findings.push(Finding { file: file.to_owned(), line, rule: rule.to_owned() });

    let lines = text.lines().count();
    if lines > MOST_LINES {
        find(lines, &format!("{lines} lines; {MOST_LINES} at most: give one idea a file of its own"));
    }
    let opening = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    if !opening.is_some_and(|line| line.starts_with("//!")) {
        find(1, "a source opens with `//!`, saying why it exists");
    }
    for (number, line) in text.lines().enumerate() {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        if ["TODO", "FIXME", "XXX"].iter().any(|mark| comment.split(|c: char| !c.is_alphanumeric()).any(|w| w == *mark))
        {
            find(number + 1, "unfinished work is not marked, it is finished");
        }
    }
    let source = match Source::parse(text) {
        Ok(source) => source,
        Err(error) => {
            find(1, &format!("does not parse: {error}"));
            return findings;
        }
    };
    for (at, token) in source.tokens.iter().enumerate() {
        let next = source.tokens.get(at + 1).map_or("", |token| token.text.as_str());
        if token.ident && next == "!" && ["todo", "unimplemented", "dbg"].contains(&token.text.as_str()) {
            find(token.line, &format!("`{}!` is not left behind", token.text));
        }
        let attribute = at > 1 && source.tokens[at - 1].text == "[" && source.tokens[at - 2].text == "#";
        if token.text == "ignore" && token.ident && attribute {
            find(token.line, "no test is ignored: it runs or it goes");
        }
        if token.ident && token.text == "unsafe" && !UNSAFE.iter().any(|(may, _)| *may == file) {
            find(token.line, "unsafe stands only in netwatch-core/src/icmp/sys.rs");
        }
    }
    check_crates(file, &source, &mut find);
    if let Some(inside) = file.strip_prefix("netwatch-core/src/") {
        check_layers(inside, &source, root, &mut find);
    }
    findings
}

/// Which of our crates may use which.
fn check_crates(file: &str, source: &Source, find: &mut impl FnMut(usize, &str)) {
    let forbidden: &[&str] = match file.split('/').next() {
        Some("netwatch-core") => &["netwatch_http", "netwatch_cli", "netwatch_tests", "netwatch_examples"],
        Some("netwatch-http") => &["netwatch_cli", "netwatch_tests", "netwatch_examples"],
        Some("netwatch-cli") => &["netwatch_tests", "netwatch_examples"],
        Some("examples") => &["netwatch_cli", "netwatch_tests"],
        _ => &[],
    };
    for path in &source.paths {
        if let Some(name) = path.segments.first().filter(|name| forbidden.contains(&name.as_str())) {
            find(path.line, &format!("uphill: this crate does not know {name}"));
        }
    }
}

/// Which part of netwatch-core may use which, and what the pure half may use of the world.
fn check_layers(inside: &str, source: &Source, root: &Root, find: &mut impl FnMut(usize, &str)) {
    let stem = inside.trim_end_matches(".rs");
    let mut module: Vec<&str> = stem.split('/').collect();
    let only_tests = module.iter().skip(1).any(|part| *part == "tests");
    if only_tests {
        return;
    }
    let layer = module[0];
    if module.len() > 1 && module.last() == Some(&"mod") || module == ["lib"] {
        module.pop();
    }
    let allowed = may_import(layer);
    for path in source.paths.iter().filter(|path| !path.test) {
        if let (Some(allowed), Some(name)) = (&allowed, at_root(&module, path)) {
            match root.module_of(&name) {
                Some(target) if target == layer || allowed.contains(&target) => {}
                Some("async_trait") => {}
                Some(target) => find(path.line, &format!("uphill: {layer} does not know {target}")),
                None => find(path.line, &format!("`{name}` through the crate's root: name the module that has it")),
            }
        }
        if layer == "model" || layer == "logic" {
            check_purity(path, find);
        }
    }
    if layer == "model" || layer == "logic" {
        for token in source.tokens.iter().filter(|token| token.ident && !token.test) {
            if token.text == "async" || token.text == "await" {
                find(token.line, "the pure half never waits");
            }
        }
    }
}

fn check_purity(path: &source::Path, find: &mut impl FnMut(usize, &str)) {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let impure = IMPURE.iter().find(|(prefix, _)| segments.starts_with(prefix));
    if let Some((_, rule)) = impure {
        find(path.line, rule);
    } else if segments.ends_with(&["Instant", "now"]) || segments.ends_with(&["SystemTime", "now"]) {
        find(path.line, "the pure half is told the time: `Now` is an argument");
    }
}

/// What a path names at the root of its crate, if it is a path into its own crate and leaves its own module's part.
fn at_root(module: &[&str], path: &source::Path) -> Option<String> {
    let mut base: Vec<&str> = module.to_vec();
    base.extend(path.within.iter().map(String::as_str));
    let mut rest = path.segments.as_slice();
    match rest.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &rest[1..];
        }
        Some("super") => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    // `pub(crate)`, `pub(super)`.
    rest.first()?;
    base.first().copied().or_else(|| rest.first().map(String::as_str)).map(str::to_owned)
}

/// What a lock file names that must not come in, with the lines.
fn check_lock(file: &str, text: &str) -> Vec<Finding> {
    let value = |line: &str, key: &str| -> Option<String> {
        Some(line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let mut findings = Vec::new();
    let mut find =
        |number: usize, rule: String| findings.push(Finding { file: file.to_owned(), line: number + 1, rule });
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = value(line, "name").filter(|name| FORBIDDEN_PACKAGES.contains(&name.as_str())) {
            find(number, format!("{name} must not come in: ring is the only crypto provider"));
        }
        if let Some(place) = value(line, "source").filter(|place| place != CRATES_IO) {
            find(number, format!("packages come from crates.io only, not from {place}"));
        }
    }
    findings
}

/// What lies at the top level and has no business there.
fn check_top_level<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    let strays =
        entries.into_iter().filter(|entry| !TOP_LEVEL.contains(entry) && !matches!(*entry, "tests" | "target"));
    strays
        .map(|entry| Finding {
            file: entry.to_owned(),
            line: 1,
            rule: "the top level is the user's: this does not belong there".to_owned(),
        })
        .collect()
}

/// Files that may not exist at all.
fn check_name(file: &str) -> Option<Finding> {
    file.ends_with("build.rs").then(|| Finding {
        file: file.to_owned(),
        line: 1,
        rule: "no build script: building netwatch runs nothing of ours".to_owned(),
    })
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}

/// Every Rust source under `directory`, relative to the repository.
fn sources(repository: &Path, directory: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                sources(repository, &path, out);
            }
        } else if name.ends_with(".rs") {
            let relative = path.strip_prefix(repository).expect("it lies in the repository");
            out.push(relative.to_string_lossy().into_owned());
        }
    }
}

fn show(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let repository = repository();
    let root = Root::read(&std::fs::read_to_string(repository.join("netwatch-core/src/lib.rs")).unwrap());
    assert!(root.modules.contains("model"), "lib.rs was not understood: {root:?}");
    let mut files = Vec::new();
    sources(&repository, &repository, &mut files);
    assert!(files.len() > 20, "the sources were not found: {files:?}");
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(check_name(file));
        let text = std::fs::read_to_string(repository.join(file)).expect("a source can be read");
        findings.extend(check_source(file, &text, &root));
    }
    assert!(findings.is_empty(), "\n{}", show(&findings));
}

#[test]
fn the_lock_files_name_no_forbidden_package() {
    let repository = repository();
    let mut findings = check_lock("Cargo.lock", &std::fs::read_to_string(repository.join("Cargo.lock")).unwrap());
    let fuzz = repository.join("tests/fuzz/Cargo.lock");
    if fuzz.exists() {
        findings.extend(check_lock("tests/fuzz/Cargo.lock", &std::fs::read_to_string(fuzz).unwrap()));
    }
    assert!(findings.is_empty(), "\n{}", show(&findings));
}

#[test]
fn the_top_level_is_the_users() {
    let entries = std::fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    let findings = check_top_level(names.iter().map(String::as_str));
    assert!(findings.is_empty(), "\n{}", show(&findings));
}
