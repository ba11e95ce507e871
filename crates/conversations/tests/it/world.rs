//! A database with a tenant and its people, and facts to apply.

use std::time::Duration;

use chrono::{DateTime, Utc};
use portal_conversations::{
    Applied, ConversationRow, Doing, Evidence, Fact, Identity, Message, Person, Report, What,
    apply, lock_conversation,
};
use portal_db::{Db, DbError, DbOptions, Tx};
use portal_test_harness::{ServiceRole, TestDb};
use portal_types::{ConversationId, TenantId, UserId};
use serde_json::json;
use uuid::Uuid;

/// The tenant's number.
pub(crate) const NUMBER: &str = "106540352242922";

pub(crate) struct World {
    pub(crate) test_db: TestDb,
    pub(crate) db: Db,
    pub(crate) tenant: TenantId,
    pub(crate) people: Vec<UserId>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(ServiceRole::AgentPortal)
    }

    /// Whose doors to the database these are.
    pub(crate) fn of(role: ServiceRole) -> Self {
        let test_db = TestDb::new();
        test_db.execute("INSERT INTO tenants (tenant_id, name) VALUES ('acme', 'Acme')");
        let people: Vec<UserId> = (0..3).map(|_| UserId::generate()).collect();
        for user in &people {
            test_db.execute(&format!(
                "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role_changed_at) \
                 VALUES ('{user}', 'acme', 'o', '{user}', 'n', now())"
            ));
        }
        let db = Db::new(&DbOptions {
            url: test_db.url(role).into(),
            pool_size: 4,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(10),
            application_name: "conversations-test",
        });
        Self {
            test_db,
            db,
            tenant: TenantId::parse("acme").unwrap(),
            people,
        }
    }

    pub(crate) async fn apply(&self, facts: Vec<Fact>) -> Applied {
        let tenant = self.tenant.clone();
        self.write(move |tx| apply(tx, &tenant, facts, Utc::now()))
            .await
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.db.write("test", &self.tenant, work).await.unwrap()
    }

    /// Does something with a conversation; answers what it is then.
    pub(crate) async fn with(
        &self,
        id: ConversationId,
        work: impl FnOnce(&mut Tx<'_>, &TenantId, &mut ConversationRow) -> Result<(), DbError>
        + Send
        + 'static,
    ) -> ConversationRow {
        let tenant = self.tenant.clone();
        self.write(move |tx| {
            let mut row = lock_conversation(tx, &tenant, id)?.ok_or(DbError::NotFound)?;
            work(tx, &tenant, &mut row)?;
            Ok(row)
        })
        .await
    }

    pub(crate) async fn get(&self, id: ConversationId) -> ConversationRow {
        self.with(id, |_, _, _| Ok(())).await
    }

    /// The conversation id that is derived for a contact.
    pub(crate) fn id(&self, contact: &str) -> ConversationId {
        ConversationId::of(&self.tenant, NUMBER, contact)
    }
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

pub(crate) fn by(user: Option<UserId>) -> Doing<'static> {
    Doing {
        by: user,
        reason: Some("because"),
        at: Utc::now(),
    }
}

fn message(from: Person, identity: &str, second: i64) -> Message {
    Message {
        from,
        phone_number_id: NUMBER.to_owned(),
        identity: Identity::of(identity),
        also: None,
        formerly: None,
        name: None,
        message_type: "text".to_owned(),
        payload: Some(json!({"text": {"body": format!("at {second}")}})),
        wamid: None,
        context_wamid: None,
        refers_to: None,
        sent_by: None,
        genesys_conversation_id: None,
        occurred_at: at(second),
        window_expires_at: None,
    }
}

/// A contact wrote; `also` is its other identity.
pub(crate) fn received(id: Uuid, identity: &str, also: Option<&str>, second: i64) -> Fact {
    let mut message = message(Person::Contact, identity, second);
    message.also = also.map(Identity::of);
    message.wamid = Some(format!("wamid.{id}"));
    message.name = Some(format!("Name {second}"));
    message.window_expires_at = Some(at(second) + chrono::Duration::hours(24));
    Fact {
        entry_id: id,
        what: What::Message(Box::new(message)),
    }
}

pub(crate) fn accepted(id: Uuid, to: &str, second: i64) -> Fact {
    Fact {
        entry_id: id,
        what: What::Message(Box::new(message(Person::Us, to, second))),
    }
}

pub(crate) fn report(id: Uuid, evidence: Evidence) -> Fact {
    Fact {
        entry_id: id,
        what: What::Report(Box::new(Report {
            evidence,
            wamid: Some(format!("wamid.{id}")),
        })),
    }
}
