//! The journal's own thread: a disk that hangs holds up the journal, and nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::vitals::Vitals;
use crate::journal::Journal;
use crate::model::Commit;

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Which commit.
    pub(super) seq: u64,
    /// Whether it took effect, or why not.
    pub(super) result: Result<(), String>,
    /// What is wrong although commits take effect.
    pub(super) warning: Option<String>,
}

/// The thread's handle. It is never joined: a thread that waits for a dead disk would not come back.
pub(super) struct JournalThread {
    route: Route,
    answers: UnboundedReceiver<Answer>,
    waiting: usize,
    vitals: Arc<Vitals>,
}

enum Route {
    Thread(mpsc::Sender<Commit>),
    /// Where time is virtual a disk takes none, and a thread would make every run different.
    #[cfg(any(test, feature = "test-util"))]
    Here(Box<dyn Journal>, UnboundedSender<Answer>),
    Closed,
}

impl JournalThread {
    /// Gives `journal` its thread.
    pub(super) fn spawn(journal: Box<dyn Journal>, vitals: Arc<Vitals>) -> io::Result<JournalThread> {
        let (commits, queue) = mpsc::channel();
        let (reply, answers) = unbounded_channel();
        let marks = Arc::clone(&vitals);
        thread::Builder::new().name("netwatch-journal".into()).spawn(move || serve(journal, &queue, &reply, &marks))?;
        Ok(JournalThread { route: Route::Thread(commits), answers, waiting: 0, vitals })
    }

    /// Commits at once, without a thread.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn here(journal: Box<dyn Journal>) -> JournalThread {
        let (reply, answers) = unbounded_channel();
        JournalThread { route: Route::Here(journal, reply), answers, waiting: 0, vitals: Arc::default() }
    }

    /// Queues a commit. It is answered by [`answer`](JournalThread::answer).
    pub(super) fn commit(&mut self, commit: Commit) {
        let taken = match &mut self.route {
            Route::Thread(commits) => {
                self.vitals.committing();
                commits.send(commit).is_ok()
            }
            #[cfg(any(test, feature = "test-util"))]
            Route::Here(journal, reply) => reply.send(carry_out(&mut **journal, &commit).0).is_ok(),
            Route::Closed => false,
        };
        if taken {
            self.waiting = self.waiting.saturating_add(1);
        }
    }

    /// The next answer; waits for ever if there is none to come. `None` if the thread is gone: it panicked.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        match self.answers.recv().await {
            Some(answer) => {
                self.waiting = self.waiting.saturating_sub(1);
                Some(answer)
            }
            None if matches!(self.route, Route::Thread(_)) => None,
            None => std::future::pending().await,
        }
    }

    /// How many commits are not answered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Lets the thread close the journal, and returns when it has.
    pub(super) async fn close(&mut self) {
        self.route = Route::Closed;
        while self.answers.recv().await.is_some() {}
    }
}

/// Serves until nobody asks any more, or the journal has panicked: nobody knows what state such a one is in.
fn serve(
    mut journal: Box<dyn Journal>,
    queue: &mpsc::Receiver<Commit>,
    reply: &UnboundedSender<Answer>,
    vitals: &Vitals,
) {
    while let Ok(commit) = queue.recv() {
        let (answer, is_sound) = carry_out(&mut *journal, &commit);
        vitals.answered();
        if reply.send(answer).is_err() || !is_sound {
            return;
        }
    }
}

fn carry_out(journal: &mut dyn Journal, commit: &Commit) -> (Answer, bool) {
    let (result, is_sound) = match catch_unwind(AssertUnwindSafe(|| journal.commit(commit))) {
        Ok(result) => (result.map_err(|error| error.to_string()), true),
        Err(_panic) => (Err("the journal panicked; this is a defect in it".into()), false),
    };
    let warning = journal.warning().filter(|_| result.is_ok());
    (Answer { seq: commit.seq, result, warning }, is_sound)
}

#[cfg(test)]
mod tests {
    use super::super::tests::MockDisk;
    use super::*;
    use crate::journal::CommitError;

    #[tokio::test]
    async fn commits_are_answered_in_order_whatever_becomes_of_them() {
        let mut disk = MockDisk::new();
        disk.expect_commit().returning(|commit| match commit.seq {
            1 => Ok(()),
            2 => Err(CommitError::new("here", "disk full")),
            _ => panic!("out of order"),
        });
        let mut thread = JournalThread::spawn(Box::new(disk), Arc::default()).expect("a thread");
        for seq in 1..=3 {
            thread.commit(Commit::new(seq, Vec::new()));
        }
        assert_eq!(thread.waiting(), 3);
        assert_eq!(thread.answer().await, Some(Answer { seq: 1, result: Ok(()), warning: None }));
        let full = "cannot write the journal here: disk full".to_string();
        assert_eq!(thread.answer().await, Some(Answer { seq: 2, result: Err(full), warning: None }));
        let third = thread.answer().await.expect("an answer to the last commit");
        assert!(third.result.is_err_and(|error| error.contains("panicked")));
        assert_eq!(thread.waiting(), 0);
        assert_eq!(thread.answer().await, None, "a journal that panicked is not asked again");
        thread.close().await;
    }
}
