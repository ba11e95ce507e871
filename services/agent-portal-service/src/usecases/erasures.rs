//! Contacts are exported and erased. outbound-message-service erases its tables first, which is when no
//! message of the contact is under way any more; then this service does, and writes the receipt.

use std::sync::Arc;

use aws_lc_rs::hmac;
use chrono::{DateTime, NaiveDate, Utc};
use portal_auth::{Caller, sha256};
use portal_conversations::{
    Counts, Extent, aged_identities, count_of, erase, export, identities_of,
};
use portal_db::{CrossTenantPath, Db, DbError, Scope, Tx, audit};
use portal_types::{Clock, ConversationId, TenantId};
use portal_vault::Vault;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    events::produced::SOURCE,
    store::erasures::{self as store, ErasureRow, NewErasure},
};

/// So long after the messages are gone, no transaction is left that had read one of them before.
const SETTLE: chrono::Duration = chrono::Duration::seconds(2);
/// Erasures of one look.
const AT_ONCE: i64 = 16;
/// Contacts whose old messages are erased at once.
const CONTACTS: i64 = 100;
const LABEL: &str = "erasure receipts";

/// Why a contact was not exported or erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErasureError {
    #[error("there is no such conversation")]
    UnknownConversation,
    #[error("there is no such erasure")]
    Unknown,
    #[error("the contact cannot be hashed")]
    Vault,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Exports and erases contacts.
#[derive(Clone)]
pub(crate) struct Erasures {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<Vault>,
}

impl Erasures {
    /// All that is kept of the contact of a conversation.
    pub(crate) async fn export(
        &self,
        caller: &Caller,
        id: ConversationId,
        request_id: Option<String>,
    ) -> Result<Vec<Value>, ErasureError> {
        let (of, by) = (caller.tenant_id.clone(), caller.user_id.to_string());
        self.db
            .write("contacts.export", &caller.tenant_id, move |tx| {
                let identities = known(tx, &of, id)?;
                let lines = export(tx, &identities)?;
                let details = json!({"lines": lines.len()});
                note(
                    tx,
                    audit::Actor::User(by),
                    "contact.export",
                    id.to_string(),
                    details,
                    request_id,
                )?;
                Ok(lines)
            })
            .await
    }

    /// What an erasure would erase here.
    pub(crate) async fn preview(
        &self,
        tenant: &TenantId,
        id: ConversationId,
    ) -> Result<Counts, ErasureError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        self.db
            .write("contacts.preview_erasure", tenant, move |tx| {
                let identities = known(tx, &of, id)?;
                Ok(count_of(tx, &identities, now)?)
            })
            .await
    }

    /// Begins to erase the contact of a conversation; who asks again while it goes on is shown that.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        id: ConversationId,
        request_id: Option<String>,
    ) -> Result<ErasureRow, ErasureError> {
        let (of, by, at) = (caller.tenant_id.clone(), caller.user_id, self.clock.now());
        let vault = Arc::clone(&self.vault);
        self.db
            .write("contacts.begin_erasure", &caller.tenant_id, move |tx| {
                let identities = known(tx, &of, id)?;
                let hash_key = vault.active_key_id();
                let new = NewErasure {
                    subject_hash: &subject_hash(&vault, hash_key, &of, &identities)?,
                    hash_key,
                    identities: &identities,
                    by: Some(by),
                    at,
                };
                let (row, is_new) = store::insert(tx, &of, &new)?;
                if is_new {
                    let target = row.erasure_id.to_string();
                    note(
                        tx,
                        audit::Actor::User(by.to_string()),
                        "contact.erase",
                        target,
                        json!({}),
                        request_id,
                    )?;
                }
                Ok(row)
            })
            .await
    }

    /// An erasure, over or not.
    pub(crate) async fn show(
        &self,
        tenant: &TenantId,
        id: Uuid,
    ) -> Result<ErasureRow, ErasureError> {
        let of = tenant.clone();
        self.db
            .read("contacts.show_erasure", tenant, move |tx| {
                store::find(tx, &of, id)?.ok_or(ErasureError::Unknown)
            })
            .await
    }

    /// Goes on with what waits for this service; answers how many were completed.
    pub(crate) async fn go_on(&self) -> Result<usize, DbError> {
        let before = self.clock.now() - SETTLE;
        let path = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
        let due = self
            .db
            .read("contacts.due_erasures", path, move |tx| {
                store::due_any_tenant(tx, before, AT_ONCE)
            })
            .await?;
        let mut done = 0;
        for (tenant, id) in due {
            let Ok(tenant) = TenantId::parse(&tenant) else {
                continue;
            };
            done += usize::from(self.complete(&tenant, id).await?);
        }
        Ok(done)
    }

    /// Begins to erase messages that tenants keep no longer: of some contacts at a time, one after the
    /// other.
    pub(crate) async fn retain(&self) -> Result<(), DbError> {
        let today = self.clock.now().date_naive();
        let path = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
        let due = self
            .db
            .read("contacts.due_retention", path, move |tx| {
                store::list_retaining_any_tenant(tx, today)
            })
            .await?;
        for (tenant, days) in due {
            if let (Ok(tenant), Some(days)) = (TenantId::parse(&tenant), days) {
                self.begin_retention(&tenant, days, today).await?;
            }
        }
        Ok(())
    }

    async fn begin_retention(
        &self,
        tenant: &TenantId,
        days: i32,
        today: NaiveDate,
    ) -> Result<(), DbError> {
        // Whole days, so that a conversation is not looked at anew with each message that grows old.
        let before =
            today.and_time(chrono::NaiveTime::MIN).and_utc() - chrono::Duration::days(days.into());
        let (of, vault) = (tenant.clone(), Arc::clone(&self.vault));
        self.db
            .write("contacts.begin_retention", tenant, move |tx| {
                let identities = aged_identities(tx, before, CONTACTS)?;
                if identities.is_empty() {
                    return store::note_retained(tx, &of, days, today);
                }
                let hash_key = vault.active_key_id();
                // The same for all of a tenant's: there is one at a time.
                let hash = subject_hash(&vault, hash_key, &of, &[])
                    .map_err(|_secret| DbError::Corrupt("erasures.hash_key".to_owned()))?;
                let new = NewErasure {
                    subject_hash: &hash,
                    hash_key,
                    identities: &identities,
                    by: None,
                    at: before,
                };
                store::insert(tx, &of, &new).map(drop)
            })
            .await
    }

    async fn complete(&self, tenant: &TenantId, id: Uuid) -> Result<bool, DbError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        self.db
            .write("contacts.erase", tenant, move |tx| {
                let Some(row) = store::lock_due(tx, &of, id)? else {
                    return Ok(false);
                };
                let identities: Vec<String> = row.identities.iter().flatten().cloned().collect();
                let extent = if row.is_of_age() {
                    Extent::Aged
                } else {
                    Extent::Everything
                };
                let counts = json!(erase(tx, &of, &identities, row.requested_at, extent)?);
                let sent = row.sent_counts.clone().unwrap_or_default();
                let hash = receipt_hash(&row, &sent, &counts, now);
                store::complete(tx, &of, id, &counts, now, &hash)?;
                let details = json!({"messages": sent, "conversations": counts});
                let (by, action) = match row.requested_by {
                    Some(by) => (audit::Actor::User(by.to_string()), "contact.erased"),
                    None => (
                        audit::Actor::Service(SOURCE.role.to_owned()),
                        "messages.retention",
                    ),
                };
                note(tx, by, action, id.to_string(), details, None)?;
                Ok(true)
            })
            .await
    }
}

fn known(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: ConversationId,
) -> Result<Vec<String>, ErasureError> {
    let identities = identities_of(tx, tenant, id)?;
    if identities.is_empty() {
        return Err(ErasureError::UnknownConversation);
    }
    Ok(identities)
}

/// Whoever has no key cannot try all numbers.
fn subject_hash(
    vault: &Vault,
    key: &str,
    tenant: &TenantId,
    identities: &[String],
) -> Result<Vec<u8>, ErasureError> {
    let key = vault
        .derive(key, LABEL)
        .map_err(|_secret| ErasureError::Vault)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret());
    let first = identities.first().map_or("", |first| first);
    let tag = hmac::sign(&key, format!("{tenant}\0{first}").as_bytes());
    Ok(tag.as_ref().to_vec())
}

/// Whether a receipt was changed afterwards is seen by it, for the audit log has the same counts.
fn receipt_hash(row: &ErasureRow, sent: &Value, counts: &Value, at: DateTime<Utc>) -> [u8; 32] {
    let receipt = json!([
        row.erasure_id,
        row.subject_hash,
        row.requested_by,
        row.requested_at.timestamp_micros(),
        sent,
        counts,
        at.timestamp_micros(),
    ]);
    sha256(receipt.to_string())
}

fn note(
    tx: &mut Tx<'_>,
    actor: audit::Actor,
    action: &'static str,
    target: String,
    details: Value,
    request_id: Option<String>,
) -> Result<(), DbError> {
    let entry = audit::AuditEntry {
        service: SOURCE.role,
        actor,
        action,
        target: Some(target),
        outcome: audit::Outcome::Succeeded,
        details,
        request_id,
    };
    audit::append(tx, &entry)
}
