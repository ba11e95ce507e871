//! Telling a contact that its message was read, and that an answer is being written.

use chrono::{Duration, Utc};
use portal_db::{Db, DbError};
use portal_types::TenantId;
use portal_whatsapp::{GraphClient, SendError};

use super::{
    account::{AccountError, Accounts},
    read_received,
};

/// Meta forgets messages after this (Cloud API, "Mark messages as read").
const MARKABLE: Duration = Duration::days(30);

/// Why a message is not marked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkError {
    #[error("the tenant has received no such message")]
    NotFound,
    #[error("the message is older than Meta remembers")]
    TooOld,
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("Meta did not mark the message")]
    Graph(#[from] SendError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What marking needs.
#[derive(Clone)]
pub(crate) struct ReadMarker {
    pub(crate) db: Db,
    pub(crate) accounts: Accounts,
    pub(crate) graph: GraphClient,
}

impl ReadMarker {
    /// Marks the received message `id` (ours, or a wamid), and all before it in its chat; with
    /// `typing` the contact also sees that an answer is being written.
    #[tracing::instrument(name = "usecase.mark_read", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn mark(
        &self,
        tenant: &TenantId,
        id: String,
        typing: bool,
    ) -> Result<(), MarkError> {
        let received = read_received::find(&self.db, tenant, id).await?;
        // What was written on the organization's own phone cannot be read by it.
        let received = received
            .filter(|message| message.origin == "contact")
            .ok_or(MarkError::NotFound)?;
        if received.sent_at + MARKABLE < Utc::now() {
            return Err(MarkError::TooOld);
        }
        let account = self.accounts.open(tenant).await?;
        let (number, wamid) = (&received.phone_number_id, &received.wamid);
        self.graph
            .mark_read(&account.token, number, wamid, typing)
            .await?;
        Ok(())
    }
}
