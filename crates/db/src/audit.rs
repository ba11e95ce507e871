//! The audit log: who did what, committed with what was done. Services may only add to it.

use diesel::prelude::*;
use portal_db_schema::schema::audit_log;
use uuid::Uuid;

use crate::{DbError, Tx};

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An administrator of the platform, by id.
    PlatformAdmin(String),
    /// A signed-in person of a tenant, by user id.
    User(String),
    /// Another service, by name.
    Service(String),
    /// An API key of a tenant, by id.
    ApiKey(String),
    /// Whoever runs `portalctl`, by name where it is known.
    Operator(Option<String>),
    /// Somebody who is not signed in.
    Anonymous,
}

impl Actor {
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::PlatformAdmin(id) => ("platform_admin", Some(id)),
            Self::User(id) => ("user", Some(id)),
            Self::Service(name) => ("service", Some(name)),
            Self::ApiKey(id) => ("api_key", Some(id)),
            Self::Operator(name) => ("operator", name.as_deref()),
            Self::Anonymous => ("anonymous", None),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was not allowed.
    Refused,
    /// It was allowed and went wrong.
    Failed,
}

/// One line of the audit log. Ids only: no names, addresses, secrets or message texts.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The service that writes; the database checks that it is the one logged in.
    pub service: &'static str,
    /// Who acted.
    pub actor: Actor,
    /// What was done, for example `tenant.create`.
    pub action: &'static str,
    /// What it was done to.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Facts that help whoever reads it later.
    pub details: serde_json::Value,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Adds an entry. It belongs to the transaction's tenant, or to the platform when there is none.
pub fn append(tx: &mut Tx<'_>, entry: &AuditEntry) -> Result<(), DbError> {
    let (actor_kind, actor_id) = entry.actor.parts();
    let tenant_id = tx.tenant().map(ToString::to_string);
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::audit_id.eq(Uuid::now_v7()),
            audit_log::service.eq(entry.service),
            audit_log::tenant_id.eq(tenant_id),
            audit_log::actor_kind.eq(actor_kind),
            audit_log::actor_id.eq(actor_id),
            audit_log::action.eq(entry.action),
            audit_log::target.eq(entry.target.as_deref()),
            audit_log::outcome.eq(match entry.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Refused => "refused",
                Outcome::Failed => "failed",
            }),
            audit_log::details.eq(&entry.details),
            audit_log::request_id.eq(entry.request_id.as_deref()),
        ))
        .execute(tx.conn())?;
    Ok(())
}
