//! A command leaves no open descriptor and no child behind in the program that started it, however it ended. A test
//! program of its own: others open and start things meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use netwatch_core::{Content, ExecConfig, ExecNotifier, MailId, Notification, Notifier, Wall};
use tokio::time::Instant;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The children of every thread, the dead ones too.
fn children() -> String {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).ok()).collect()
}

#[tokio::test]
async fn nothing_is_left_after_a_hundred_commands() {
    let notification = Notification::new(MailId::new(1), "<1@x>", Wall::default(), Content::new("a", "b", ""));
    let notifier = |script: &str| {
        let mut config = ExecConfig::new(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
        config.timeout = Duration::from_millis(100);
        ExecNotifier::new(config).unwrap()
    };
    // The first one opens what stays: the runtime's own.
    let _ = notifier("exit 0").deliver(&notification).await;
    let before = descriptors();
    for script in ["exit 0", "exit 1", "kill -KILL $$", "sleep 1000 & sleep 1000", "sleep 1000 & exit 0"] {
        for _ in 0..10 {
            let _ = notifier(script).deliver(&notification).await;
            // Dropped in the middle, wherever that is.
            let _ = tokio::time::timeout(Duration::from_millis(5), notifier(script).deliver(&notification)).await;
        }
    }
    let begun = Instant::now();
    while (descriptors(), children().as_str()) != (before, "") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{before} before, {} after; {}", descriptors(), children());
        tokio::task::yield_now().await;
    }
}
