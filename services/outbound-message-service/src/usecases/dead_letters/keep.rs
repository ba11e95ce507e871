//! Keeping what no handler took.

use async_trait::async_trait;
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{Db, DbError, Scope};
use portal_events::{DeadLetter, DeadLetters};
use portal_types::TenantId;
use serde_json::Value;
use uuid::Uuid;

use crate::store::dead_letters::{self, NewLetter};

/// Keeps dead letters in the database, each with the tenant that it names.
pub(crate) struct LetterKeeper {
    db: Db,
    kept: Counter<u64>,
}

impl LetterKeeper {
    pub(crate) fn new(db: Db, kept: Counter<u64>) -> Self {
        Self { db, kept }
    }

    async fn insert(&self, letter: NewLetter) -> Result<bool, DbError> {
        let tenant = letter.tenant_id.as_deref().map(TenantId::parse);
        let scope = match tenant {
            Some(Ok(tenant)) => Scope::Tenant(tenant),
            _ => Scope::Service,
        };
        let letter = NewLetter {
            tenant_id: matches!(scope, Scope::Tenant(_))
                .then(|| letter.tenant_id.clone())
                .flatten(),
            ..letter
        };
        self.db
            .write("dead_letters.keep", scope, move |tx| {
                dead_letters::insert(tx, &letter)
            })
            .await
    }
}

#[async_trait]
impl DeadLetters for LetterKeeper {
    async fn keep(&self, letter: DeadLetter) -> anyhow::Result<()> {
        let queue = letter.queue;
        let letter = new_letter(letter);
        let is_new = match self.insert(letter.clone()).await {
            // It names a tenant that does not exist: the operator looks after it.
            Err(DbError::ForeignKey { .. }) => {
                let homeless = NewLetter {
                    tenant_id: None,
                    ..letter
                };
                self.insert(homeless).await?
            }
            done => done?,
        };
        if is_new {
            self.kept.add(1, &[KeyValue::new("queue", queue)]);
        }
        Ok(())
    }
}

fn new_letter(letter: DeadLetter) -> NewLetter {
    let body: Option<Value> = serde_json::from_slice(&letter.body).ok();
    let text = |paths: &[&str]| {
        let body = body.as_ref()?;
        let mut found = paths.iter().filter_map(|path| body.pointer(path)?.as_str());
        found.next().map(str::to_owned)
    };
    let message_id = text(&["/message_id", "/data/message_id"]);
    NewLetter {
        dead_letter_id: Uuid::now_v7(),
        tenant_id: text(&["/tenantid", "/tenant_id"]),
        queue: letter.queue,
        routing_key: letter.routing_key,
        broker_message_id: letter.broker_message_id,
        message_id: message_id.and_then(|id| Uuid::try_parse(&id).ok()),
        headers: letter.headers,
        error: letter.error,
        traceparent: letter.traceparent,
        body: letter.body,
    }
}
