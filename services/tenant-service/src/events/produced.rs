//! Adds events to the transaction of the change that they tell of.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx, outbox};
use portal_events::{EventContext, Source, catalogue::EventData, outbox_event};
use portal_types::TenantId;

use crate::usecases::{Deps, OpContext};

const SOURCE: Source = Source {
    role: crate::ROLE,
    uri: "/services/tenant-service",
};

/// Who tells events, and because of what.
pub(crate) struct Producer {
    context: EventContext,
    now: DateTime<Utc>,
}

impl Producer {
    /// To be made before the transaction begins: it notes the running span.
    pub(crate) fn new(deps: &Deps, ctx: &OpContext) -> Self {
        Self {
            context: ctx.events(),
            now: deps.clock.now(),
        }
    }

    /// Adds an event.
    pub(crate) fn append(
        &self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        event: &impl EventData,
    ) -> Result<(), DbError> {
        let row = outbox_event(SOURCE, tenant, &self.context, self.now, event)?;
        outbox::append(tx, &[row])
    }
}
