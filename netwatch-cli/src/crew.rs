//! What runs beside netwatch itself: the page, the signals, the reloads. A daemon without one of them looks alive and is
//! not, so whichever ends before its time, by a panic or otherwise, takes the others with it.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// How long those may take that end by themselves.
const END: Duration = Duration::from_secs(3);

/// The tasks. Dropping this ends them.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    tasks: JoinSet<()>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: Id,
    name: &'static str,
    /// Whether it ends by itself once netwatch is told to end.
    ends: bool,
}

impl Crew {
    /// Starts a task that works until it is dropped.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.add(name, false, task);
    }

    /// Starts a task that ends by itself once netwatch is told to end.
    pub(crate) fn spawn_ending(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.add(name, true, task);
    }

    fn add(&mut self, name: &'static str, ends: bool, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.members.push(Member { id, name, ends });
    }

    /// Stands by netwatch itself until all of it has ended: none goes on without the other. Gives how netwatch ended, and
    /// which member was lost before that.
    pub(crate) async fn stand_by<T>(
        mut self,
        netwatch: impl Future<Output = T>,
        stop: &watch::Sender<bool>,
        stopped: watch::Receiver<bool>,
    ) -> (T, Option<&'static str>) {
        let running = async {
            let ended = netwatch.await;
            let _ = stop.send(true);
            ended
        };
        let both = tokio::join!(running, self.watch(stop, stopped));
        self.dismiss().await;
        both
    }

    /// Waits until netwatch is told to end, and tells it itself if a member is lost before that. Gives who.
    pub(crate) async fn watch(
        &mut self,
        stop: &watch::Sender<bool>,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<&'static str> {
        let ended = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return None,
            ended = self.tasks.join_next_with_id() => ended?,
        };
        let name = self.leave(ended);
        // Both may have happened since this was last looked at.
        if *stopped.borrow() {
            return None;
        }
        tracing::error!("{name} ended, which is a defect in netwatch; ending, with everything saved");
        let _ = stop.send(true);
        Some(name)
    }

    /// Waits until those have ended who do so by themselves, for a moment, and ends the others.
    async fn dismiss(mut self) {
        let all = async {
            while self.members.iter().any(|member| member.ends) {
                let Some(ended) = self.tasks.join_next_with_id().await else { return };
                self.leave(ended);
            }
        };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!("not every part of netwatch came to its end in time");
        }
    }

    fn leave(&mut self, ended: Result<(Id, ()), JoinError>) -> &'static str {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        let place = self.members.iter().position(|member| member.id == id);
        place.map_or("a part of netwatch", |place| self.members.swap_remove(place).name)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    async fn lost(task: impl Future<Output = ()> + Send + 'static) -> (Option<&'static str>, bool) {
        let (stop, stopped) = watch::channel(false);
        let mut crew = Crew::default();
        crew.spawn("one", pending());
        crew.spawn_ending("the other", task);
        let lost = crew.watch(&stop, stopped.clone()).await;
        crew.dismiss().await;
        (lost, *stopped.borrow())
    }

    #[tokio::test]
    async fn a_task_that_panics_or_ends_takes_netwatch_with_it() {
        assert_eq!(lost(async { panic!("a defect") }).await, (Some("the other"), true));
        assert_eq!(lost(async {}).await, (Some("the other"), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_netwatch_that_ends_unasked_takes_the_page_with_it() {
        let (stop, stopped) = watch::channel(false);
        let mut crew = Crew::default();
        let (mut told, (done, is_done)) = (stopped.clone(), tokio::sync::oneshot::channel());
        crew.spawn_ending("the page", async move {
            let _ = told.wait_for(|stopped| *stopped).await;
            let _ = done.send(());
        });
        let began = tokio::time::Instant::now();
        let ended = crew.stand_by(async { Err::<(), _>("the driver panicked") }, &stop, stopped).await;
        assert_eq!(ended, (Err("the driver panicked"), None));
        is_done.await.unwrap();
        assert!(began.elapsed() < END, "and is not waited for in vain");
    }

    #[tokio::test]
    async fn at_the_end_nobody_is_lost_and_those_that_end_by_themselves_are_waited_for() {
        let (stop, stopped) = watch::channel(false);
        let (done, is_done) = tokio::sync::oneshot::channel();
        let mut crew = Crew::default();
        crew.spawn("one", pending());
        let mut told = stopped.clone();
        crew.spawn_ending("the other", async move {
            let _ = told.wait_for(|stopped| *stopped).await;
            tokio::task::yield_now().await;
            let _ = done.send(());
        });
        stop.send(true).unwrap();
        assert_eq!(crew.watch(&stop, stopped).await, None);
        crew.dismiss().await;
        is_done.await.unwrap();
    }
}
