//! The reasons in tests/mutants/survivors.txt are about the code as it is: each names a file of the pure half and a line that
//! stands in it, and says why. A reason for code that has changed is no reason.

use std::path::Path;

/// What is wrong with these reasons, for the files of which `source` gives the text.
fn findings(reasons: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for entry in reasons.split("\n\n").map(|entry| entry.trim_matches('\n')) {
        let lines: Vec<&str> = entry.lines().filter(|line| !line.starts_with('#')).collect();
        let [head, line, why @ ..] = &lines[..] else {
            if !lines.is_empty() {
                findings.push(format!("an entry is a change, a line of the source and a reason: {entry}"));
            }
            continue;
        };
        let Some(text) = head.split_once(": ").and_then(|(file, _)| source(file)) else {
            findings.push(format!("names no file of netwatch-core/src/logic: {head}"));
            continue;
        };
        let Some(code) = line.strip_prefix("    ").filter(|code| !code.starts_with([' ', '='])) else {
            findings.push(format!("the line of the source is missing: {head}"));
            continue;
        };
        if !text.lines().any(|line| line.trim_start() == code) {
            findings.push(format!("no longer stands in the file: {head}: {code}"));
        }
        let reason = why.first().and_then(|why| why.strip_prefix("    = ")).unwrap_or_default();
        if reason.trim().is_empty() {
            findings.push(format!("gives no reason: {head}"));
        }
    }
    findings
}

#[test]
fn every_change_that_no_test_can_notice_has_a_reason_that_fits_the_code() {
    let root = super::repository();
    let reasons = std::fs::read_to_string(root.join("tests/mutants/survivors.txt")).unwrap();
    let logic = root.join("netwatch-core/src/logic");
    let findings = findings(&reasons, |file| std::fs::read_to_string(logic.join(Path::new(file))).ok());
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn a_reason_that_does_not_fit_is_found() {
    let source = |file: &str| (file == "a.rs").then(|| "fn f() {\n    a > b\n}\n".to_owned());
    let found = |reasons: &str| findings(reasons, source).len();
    let good = "a.rs: replace > with >= in f\n    a > b\n    = they are never equal\n      because of x\n";
    assert_eq!(found(good), 0);
    assert_eq!(found(&format!("# About these.\n\n{good}\n{good}")), 0);
    assert_eq!(found(&good.replace("a.rs", "b.rs")), 1);
    assert_eq!(found(&good.replace("a > b", "a > c")), 1);
    assert_eq!(found("a.rs: replace > with >= in f\n    a > b\n"), 1);
    assert_eq!(found("a.rs: replace > with >= in f\n    a > b\n    =  \n"), 1);
    assert_eq!(found("a.rs: replace > with >= in f\n    = they are never equal\n"), 1);
    assert_eq!(found("a.rs: replace > with >= in f\n"), 1);
    assert_eq!(found(&format!("{good}\n{}", good.replace("a > b", "a > c"))), 1);
}
