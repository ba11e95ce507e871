//! Health of a process: alive, ready, and what it depends on.
//!
//! Liveness never looks at a dependency, or one outage would restart everything. Readiness fails
//! while a required dependency is down and from the order to stop on.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Many probes at once must not become many checks.
const CACHED_FOR: Duration = Duration::from_millis(500);

type Outcome = Result<(), String>;
type CheckFn = dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

struct Check {
    name: &'static str,
    required: bool,
    run: Box<CheckFn>,
}

/// The named checks of a service.
pub struct HealthBuilder {
    service: &'static str,
    version: &'static str,
    draining: CancellationToken,
    checks: Vec<Check>,
}

impl HealthBuilder {
    /// Adds a check. Its error text is public: name no host, path or secret.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, required: bool, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check {
            name,
            required,
            run: Box::new(move || Box::pin(run())),
        });
        self
    }

    /// Not ready any more once this token is cancelled.
    #[must_use]
    pub fn draining_on(mut self, token: CancellationToken) -> Self {
        self.draining = token;
        self
    }

    /// The finished registry.
    pub fn build(self) -> Health {
        Health(Arc::new(Inner {
            builder: self,
            cached: Mutex::new(None),
        }))
    }
}

/// The health of a service; clones share it.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    builder: HealthBuilder,
    cached: Mutex<Option<(Instant, Report)>>,
}

/// What readiness answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Whether requests are welcome.
    pub status: Readiness,
    /// The service's name.
    #[schema(value_type = String)]
    pub service: &'static str,
    /// The service's version.
    #[schema(value_type = String)]
    pub version: &'static str,
    /// Every dependency by name.
    #[schema(value_type = std::collections::BTreeMap<String, Dependency>)]
    pub dependencies: BTreeMap<&'static str, Dependency>,
}

/// Whether requests are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// They are.
    Ready,
    /// A required dependency is down, or the process is stopping.
    NotReady,
}

/// The state of one dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Dependency {
    /// Whether it answers.
    pub status: DependencyStatus,
    /// Whether readiness needs it.
    pub required: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Whether a dependency answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyStatus {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl Health {
    /// A registry without checks.
    pub fn builder(service: &'static str, version: &'static str) -> HealthBuilder {
        HealthBuilder {
            service,
            version,
            draining: CancellationToken::new(),
            checks: Vec::new(),
        }
    }

    /// The service's name.
    pub fn service(&self) -> &'static str {
        self.0.builder.service
    }

    /// The service's version.
    pub fn version(&self) -> &'static str {
        self.0.builder.version
    }

    /// Runs the checks, or repeats an answer that is at most half a second old.
    pub async fn report(&self) -> Report {
        let mut cached = self.0.cached.lock().await;
        let fresh = cached.as_ref().filter(|(at, _)| at.elapsed() < CACHED_FOR);
        let mut report = match fresh {
            Some((_, report)) => report.clone(),
            None => self.run_checks().await,
        };
        *cached = match cached.take() {
            Some((at, old)) if at.elapsed() < CACHED_FOR => Some((at, old)),
            _ => Some((Instant::now(), report.clone())),
        };
        drop(cached);
        if self.0.builder.draining.is_cancelled() {
            report.status = Readiness::NotReady;
        }
        report
    }

    async fn run_checks(&self) -> Report {
        let builder = &self.0.builder;
        let outcomes = join_all(builder.checks.iter().map(|check| async move {
            let outcome = tokio::time::timeout(CHECK_TIMEOUT, (check.run)())
                .await
                .unwrap_or_else(|_| Err("does not answer".to_owned()));
            let status = if outcome.is_ok() {
                DependencyStatus::Up
            } else {
                DependencyStatus::Down
            };
            let message = outcome.err();
            (
                check.name,
                Dependency {
                    status,
                    required: check.required,
                    message,
                },
            )
        }))
        .await;
        let dependencies: BTreeMap<_, _> = outcomes.into_iter().collect();
        let is_ready = dependencies
            .values()
            .all(|dependency| !dependency.required || dependency.status == DependencyStatus::Up);
        Report {
            status: if is_ready {
                Readiness::Ready
            } else {
                Readiness::NotReady
            },
            service: builder.service,
            version: builder.version,
            dependencies,
        }
    }
}

/// Asks the process that listens on `bind` whether it is ready: for images without a shell.
pub async fn probe(bind: &str) -> anyhow::Result<()> {
    let port = bind.rsplit(':').next().unwrap_or_default();
    let client = crate::http_client::build(&crate::http_client::ClientOptions {
        timeout: Duration::from_secs(3),
        ..Default::default()
    })?;
    let status = client
        .get(format!("http://127.0.0.1:{port}/health/ready"))
        .send()
        .await?
        .status();
    anyhow::ensure!(status.is_success(), "not ready: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn up() -> Result<(), String> {
        Ok(())
    }
    async fn down() -> Result<(), String> {
        Err("no connection".to_owned())
    }

    #[tokio::test]
    async fn only_required_dependencies_decide() {
        let health = Health::builder("demo", "1")
            .check("a", true, up)
            .check("b", false, down);
        let report = health.build().report().await;
        assert_eq!(report.status, Readiness::Ready);
        assert_eq!(
            serde_json::to_value(&report.dependencies).unwrap(),
            serde_json::json!({
                "a": {"status": "up", "required": true},
                "b": {"status": "down", "required": false, "message": "no connection"},
            })
        );
        let health = Health::builder("demo", "1").check("a", true, down).build();
        assert_eq!(health.report().await.status, Readiness::NotReady);
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_down() {
        let health = Health::builder("demo", "1")
            .check("a", true, std::future::pending)
            .build();
        let report = health.report().await;
        assert_eq!(
            report.dependencies["a"].message.as_deref(),
            Some("does not answer")
        );
    }

    #[tokio::test]
    async fn answers_are_shared_and_draining_is_not_ready() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let stop = CancellationToken::new();
        let health = Health::builder("demo", "1")
            .draining_on(stop.clone())
            .check("a", true, move || {
                counted.fetch_add(1, Ordering::SeqCst);
                up()
            })
            .build();
        assert_eq!(health.report().await.status, Readiness::Ready);
        stop.cancel();
        assert_eq!(health.report().await.status, Readiness::NotReady);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}
