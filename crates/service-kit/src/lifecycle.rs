//! Life of a process: from start-up, through supervised work, to an orderly end.
//!
//! The first SIGTERM or SIGINT is the soft stop: no new work, what runs is finished. The second,
//! or the end of the grace period, is the hard stop. A loop that ends by itself takes the process
//! down with a failure, so that its supervisor starts a whole one.

use std::{
    future::Future,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::ConfigError;

/// The order to stop, in two steps; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Not ordered yet, and not bound to signals.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bound to SIGTERM and SIGINT.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ordered = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if ordered.is_stopping() {
                    tracing::warn!("stopping at once");
                    ordered.stop_now();
                } else {
                    tracing::info!("stopping");
                    ordered.stop();
                }
            }
        });
        Ok(shutdown)
    }

    /// Orders the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Orders the hard stop.
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Whether the soft stop is ordered.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Cancelled by the soft stop: take no new work.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled by the hard stop: let go at once.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }
}

/// A supervised task did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    /// It ended, though nobody had ordered a stop.
    #[error("the task {0} ended by itself")]
    EndedEarly(&'static str),
    /// It failed.
    #[error("the task {0} failed")]
    Failed(&'static str, #[source] anyhow::Error),
    /// It panicked.
    #[error("the task {0} panicked")]
    Panicked(&'static str),
    /// Tasks were still running when the grace period ended.
    #[error("work was cut off at the end of the grace period")]
    CutOff,
}

/// The named tasks of a process; clones share them.
#[derive(Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    tracker: TaskTracker,
    failure: Arc<Mutex<Option<TaskFailure>>>,
}

impl Tasks {
    /// None yet.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            tracker: TaskTracker::new(),
            failure: Arc::default(),
        }
    }

    /// Starts a task that runs until the soft stop. If it ends before, fails or panics, the whole
    /// process stops.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let ended = std::panic::AssertUnwindSafe(work).catch_unwind().await;
            let failure = match ended {
                Ok(Ok(())) if tasks.shutdown.is_stopping() => {
                    tracing::debug!(task = name, "task ended");
                    return;
                }
                Ok(Ok(())) => TaskFailure::EndedEarly(name),
                Ok(Err(error)) => TaskFailure::Failed(name, error),
                Err(_) => TaskFailure::Panicked(name),
            };
            tracing::error!(
                error = &failure as &dyn std::error::Error,
                "stopping the process"
            );
            if let Ok(mut first) = tasks.failure.lock() {
                first.get_or_insert(failure);
            }
            tasks.shutdown.stop();
        });
    }

    /// Waits for the order to stop, then for the tasks; at most `grace` after the order, and not
    /// after the hard stop.
    pub async fn join(self, grace: Duration) -> Result<(), TaskFailure> {
        self.shutdown.soft.cancelled().await;
        self.tracker.close();
        let hard = self.shutdown.hard();
        let is_done = tokio::select! {
            () = self.tracker.wait() => true,
            () = hard.cancelled() => false,
            () = tokio::time::sleep(grace) => false,
        };
        let first = self.failure.lock().ok().and_then(|mut first| first.take());
        match (first, is_done) {
            (Some(failure), _) => Err(failure),
            (None, true) => Ok(()),
            (None, false) => {
                self.shutdown.stop_now();
                Err(TaskFailure::CutOff)
            }
        }
    }
}

/// Runs a service's main work; a failure is one readable line on stderr and exit code 1.
pub fn run_main<F>(service: &str, main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(main());
            // Blocking work that does not end must not keep the process.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_failure(&failure_line(service, &error));
            ExitCode::FAILURE
        }
    }
}

fn failure_line(service: &str, error: &anyhow::Error) -> String {
    // Settings explain themselves: "tenant-service needs vault.keys: set …".
    match error.downcast_ref::<ConfigError>() {
        Some(problem) => format!("{service} {problem}"),
        None => format!("{service} stopped: {error:#}"),
    }
    .replace('\n', " ")
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a process are for the terminal"
)]
fn print_failure(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn tasks_that_end_after_the_order_are_fine() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let stop = shutdown.soft();
        tasks.spawn("loop", async move {
            stop.cancelled().await;
            Ok(())
        });
        shutdown.stop();
        tasks.join(GRACE).await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_stops_the_process() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("loop", async { Ok(()) });
        assert!(matches!(
            tasks.join(GRACE).await,
            Err(TaskFailure::EndedEarly("loop"))
        ));
        assert!(shutdown.is_stopping());
    }

    #[tokio::test]
    async fn failures_and_panics_are_told_apart() {
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn("a", async { Err(anyhow::anyhow!("broken")) });
        assert!(matches!(
            tasks.join(GRACE).await,
            Err(TaskFailure::Failed("a", _))
        ));
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn("b", async { panic!("on purpose") });
        assert!(matches!(
            tasks.join(GRACE).await,
            Err(TaskFailure::Panicked("b"))
        ));
    }

    #[tokio::test]
    async fn the_grace_period_ends() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("stuck", std::future::pending());
        shutdown.stop();
        let grace = Duration::from_millis(20);
        assert!(matches!(tasks.join(grace).await, Err(TaskFailure::CutOff)));
        assert!(shutdown.hard().is_cancelled());
    }

    #[test]
    fn a_missing_secret_reads_as_one_line() {
        let error: anyhow::Error =
            ConfigError::Invalid("needs vault.keys: set A or A_FILE".to_owned()).into();
        assert_eq!(
            failure_line("tenant-service", &error),
            "tenant-service needs vault.keys: set A or A_FILE"
        );
        let other = anyhow::anyhow!("no route").context("cannot reach the database");
        assert_eq!(
            failure_line("x", &other),
            "x stopped: cannot reach the database: no route"
        );
    }
}
