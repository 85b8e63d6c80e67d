//! Only std and tokio types stand in netwatch-core's public signatures (netwatch-http may also show http, hyper and
//! tower-service): another crate's type there would make its releases ours.
//!
//! rustdoc writes the public interface as JSON; every path in it, in signatures, fields, bounds and trait
//! implementations, is followed to the crate it comes from. A small crate that leaks proves that this catches.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what cannot be built or read fails the test")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const EVERYWHERE: [&str; 4] = ["std", "core", "alloc", "tokio"];

/// What netwatch-http may show besides. hyper's own interface is made of `http_body` and `bytes`, which it re-exports as
/// `hyper::body`.
const HTTP: [&str; 6] = ["http", "hyper", "http_body", "bytes", "tower_service", "netwatch_core"];

/// Procedural macros that are passed on to whoever implements a trait; they leave no type behind.
const MACROS: [&str; 1] = ["async_trait"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}

/// The interface of a package as rustdoc's JSON, with all its features.
///
/// The JSON is behind a flag of nightly; a wrapper lets the installed rustdoc take it, so that no second toolchain is
/// needed and nothing else is built anew.
fn interface(manifest: &Path, package: &str, target: &Path) -> Value {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let wrapper = scratch.path().join("rustdoc");
    std::fs::write(&wrapper, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").expect("the wrapper is written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&wrapper, mode).expect("the wrapper is executable");
    let output = Command::new(env!("CARGO"))
        .args(["rustdoc", "--offline", "--lib", "--all-features", "--package", package, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", &wrapper)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = target.join("doc").join(format!("{}.json", package.replace('-', "_")));
    let text = std::fs::read_to_string(&file).expect("rustdoc wrote its JSON");
    serde_json::from_str(&text).expect("rustdoc's JSON parses")
}

/// Where the documentation of our own crates goes: beside the build, so that what is built is used again.
fn shared_target() -> PathBuf {
    let own = std::env::current_exe().expect("this test has a path");
    own.ancestors().nth(3).expect("target/<profile>/deps/<test>").to_path_buf()
}

/// The types of foreign crates in the public interface: `crate::path in item`.
fn leaks(interface: &Value, allowed: &[&str]) -> BTreeSet<String> {
    let walk = Walk { interface, allowed };
    let mut leaks = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([interface["root"].as_u64().expect("a root")]);
    while let Some(id) = queue.pop_front() {
        let Some(item) = walk.item(id).filter(|_| seen.insert(id)) else { continue };
        let (kind, inner) = inner(item);
        let name = item["name"].as_str().unwrap_or(kind);
        walk.signature(inner, &mut |leak| {
            leaks.insert(format!("{leak} in {kind} {name}"));
        });
        for child in walk.children(kind, inner) {
            if walk.item(child).is_some_and(|child| walk.counts(child)) {
                queue.push_back(child);
            }
        }
        if kind == "use" && inner["id"].as_u64().is_some_and(|id| walk.item(id).is_none()) {
            let id = inner["id"].as_u64().unwrap_or_default();
            if let Some(leak) = walk.foreign(id) {
                leaks.insert(format!("{leak} re-exported"));
            }
        }
    }
    assert!(seen.len() > 3, "the interface was not understood: rustdoc's format may have changed");
    leaks
}

struct Walk<'a> {
    interface: &'a Value,
    allowed: &'a [&'a str],
}

/// An item's kind and what it holds.
fn inner(item: &Value) -> (&str, &Value) {
    let (kind, inner) = item["inner"].as_object().and_then(|inner| inner.iter().next()).expect("an item has a kind");
    (kind, inner)
}

fn ids(list: &Value) -> impl Iterator<Item = u64> + '_ {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64)
}

impl Walk<'_> {
    fn item(&self, id: u64) -> Option<&Value> {
        self.interface["index"].get(id.to_string()).filter(|item| item["crate_id"] == 0)
    }

    /// Whether a child is part of the interface: public, or as public as what it belongs to. What the compiler adds of
    /// itself (auto traits, blanket implementations of other crates) is not ours to answer for.
    fn counts(&self, item: &Value) -> bool {
        let (kind, inner) = inner(item);
        let ours = kind != "impl" || (inner["is_synthetic"] == false && inner["blanket_impl"].is_null());
        ours && (item["visibility"] == "public" || item["visibility"] == "default")
    }

    fn children(&self, kind: &str, inner: &Value) -> Vec<u64> {
        let lists: &[&str] = match kind {
            "module" | "impl" => &["/items"],
            "trait" => &["/items"],
            "struct" => &["/impls", "/kind/plain/fields", "/kind/tuple"],
            "union" => &["/impls", "/fields"],
            "enum" => &["/impls", "/variants"],
            "variant" => &["/kind/struct/fields", "/kind/tuple"],
            "use" => return inner["id"].as_u64().into_iter().collect(),
            _ => &[],
        };
        lists.iter().filter_map(|list| inner.pointer(list)).flat_map(ids).collect()
    }

    /// Every path in this part of the interface, wherever rustdoc puts one: `{"path": .., "id": ..}`.
    fn signature(&self, value: &Value, leak: &mut impl FnMut(String)) {
        match value {
            Value::Object(fields) => {
                if let (Some(id), Some(_)) = (value["id"].as_u64(), value["path"].as_str())
                    && let Some(foreign) = self.foreign(id)
                {
                    leak(foreign);
                }
                fields.values().for_each(|field| self.signature(field, leak));
            }
            Value::Array(values) => values.iter().for_each(|value| self.signature(value, leak)),
            _ => {}
        }
    }

    /// The crate and path of something that is not ours and not allowed.
    fn foreign(&self, id: u64) -> Option<String> {
        let summary = &self.interface["paths"][id.to_string()];
        let Some(number) = summary["crate_id"].as_u64() else {
            return self.item(id).is_none().then(|| format!("an unknown item ({id})"));
        };
        let name = self.interface["external_crates"][number.to_string()]["name"].as_str().unwrap_or("a nameless crate");
        let macros = summary["kind"].as_str().is_some_and(|kind| kind.starts_with("proc_")) && MACROS.contains(&name);
        if number == 0 || self.allowed.contains(&name) || macros {
            return None;
        }
        let path: Vec<&str> = summary["path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Some(path.join("::"))
    }
}

#[test]
fn netwatch_core_shows_only_std_and_tokio() {
    let interface = interface(&repository().join("Cargo.toml"), "netwatch-core", &shared_target());
    let leaks = leaks(&interface, &EVERYWHERE);
    assert!(leaks.is_empty(), "foreign types in netwatch-core's interface: {leaks:#?}");
}

#[test]
fn netwatch_http_shows_only_what_an_http_server_must() {
    let interface = interface(&repository().join("Cargo.toml"), "netwatch-http", &shared_target());
    let allowed: Vec<&str> = EVERYWHERE.into_iter().chain(HTTP).collect();
    let leaks = leaks(&interface, &allowed);
    assert!(leaks.is_empty(), "foreign types in netwatch-http's interface: {leaks:#?}");
}

/// A crate `leaky` with this source, which depends on a crate `dep`; the leaks that are found in it.
fn leaks_of(source: &str) -> BTreeSet<String> {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n{rest}")
    };
    let files: BTreeMap<&str, String> = [
        ("dep/Cargo.toml", manifest("dep", "")),
        ("dep/src/lib.rs", "pub struct Theirs; pub trait TheirTrait {} impl<T> TheirTrait for Vec<T> {}".to_owned()),
        ("leaky/Cargo.toml", manifest("leaky", "[dependencies]\ndep = { path = \"../dep\" }\n")),
        ("leaky/src/lib.rs", source.to_owned()),
    ]
    .into();
    for (name, text) in files {
        let file = scratch.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(file, text).expect("a file");
    }
    let interface = interface(&scratch.path().join("leaky/Cargo.toml"), "leaky", &scratch.path().join("target"));
    leaks(&interface, &EVERYWHERE)
}

#[test]
fn every_way_to_leak_a_type_is_caught() {
    let leaks = leaks_of(
        "mod private { pub struct Shown { pub field: Option<dep::Theirs> } }
         pub use private::Shown;
         pub use dep::Theirs as ReExported;
         pub fn argument(_: &[dep::Theirs]) {}
         pub fn result() -> Result<(), Box<dep::Theirs>> { Ok(()) }
         pub fn bound<T: dep::TheirTrait>(_: T) {}
         pub fn opaque() -> impl dep::TheirTrait { Vec::<u8>::new() }
         pub enum Variants { One(dep::Theirs), Two { named: dep::Theirs } }
         pub trait Asks { fn ask(&self) -> dep::Theirs; }
         pub struct Converts;
         impl From<dep::Theirs> for Converts { fn from(_: dep::Theirs) -> Converts { Converts } }
         pub struct Implements;
         impl dep::TheirTrait for Implements {}
         pub type Alias = dep::Theirs;
         pub struct Methods;
         impl Methods { pub fn method(&self) -> Option<dep::Theirs> { None } }",
    );
    let places: BTreeSet<&str> = leaks.iter().filter_map(|leak| leak.split(" in ").nth(1)).collect();
    for place in [
        "struct_field field",
        "function argument",
        "function result",
        "function bound",
        "function opaque",
        "struct_field 0",
        "struct_field named",
        "function ask",
        "impl impl",
        "function from",
        "type_alias Alias",
        "function method",
    ] {
        assert!(places.contains(place), "{place} was not caught: {leaks:#?}");
    }
    assert!(leaks.iter().any(|leak| leak == "dep::Theirs re-exported"), "{leaks:#?}");
    assert!(leaks.iter().any(|leak| leak.starts_with("dep::TheirTrait in impl")), "{leaks:#?}");
}

#[test]
fn what_stays_inside_is_no_leak() {
    let leaks = leaks_of(
        "pub struct Hides { inner: dep::Theirs }
         impl Hides { fn private(&self) -> &dep::Theirs { &self.inner }
                      pub fn fine(&self) -> Option<std::net::IpAddr> { let _ = self.private(); None } }
         fn helper(_: dep::Theirs) {}
         mod private { pub fn unreachable() -> dep::Theirs { super::helper(dep::Theirs); dep::Theirs } }
         pub fn also_fine() { let _ = private::unreachable(); }",
    );
    assert!(leaks.is_empty(), "{leaks:#?}");
}
