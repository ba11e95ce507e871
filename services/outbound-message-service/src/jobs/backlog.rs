//! Counting what waits to be sent, for whoever decides whether more is taken.

use std::{sync::Arc, time::Duration};

use portal_db::{Db, DbError};
use tokio_util::sync::CancellationToken;

use crate::{
    store::sweep::{self, SWEEPER},
    usecases::admission::Admission,
};

/// What counting needs.
pub(crate) struct BacklogCensus {
    pub(crate) db: Db,
    pub(crate) admission: Arc<Admission>,
    pub(crate) interval: Duration,
}

/// Counts again and again until `stop`.
pub(crate) async fn count_backlog(census: BacklogCensus, stop: CancellationToken) {
    let waiting = opentelemetry::global::meter("outbound-message-service")
        .u64_gauge("messages.waiting")
        .with_description("Messages that wait to be sent, of all tenants")
        .build();
    while !stop.is_cancelled() {
        match census.count().await {
            Ok(count) => waiting.record(count, &[]),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what waits is not counted"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(census.interval) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl BacklogCensus {
    async fn count(&self) -> Result<u64, DbError> {
        self.admission.begin();
        let found = self
            .db
            .read("backlog.count", SWEEPER, sweep::count_waiting_any_tenant)
            .await?;
        let all = found.iter().map(|(_, count)| count).sum();
        self.admission.finish(found);
        Ok(all)
    }
}
