//! What an operator does to tenants and people: through the services' own doors to the database, with
//! the events and the audit entries that the services would write.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use portal_db::{Db, DbError, DbOptions, Scope, Tx, audit, outbox};
use portal_events::{EventContext, Source, catalogue::EventData, outbox_event};
use portal_types::TenantId;
use secrecy::SecretString;
use serde_json::Value;

use crate::Answer;

/// tenant-service publishes what it is told here.
pub(crate) const TENANTS: Source = Source {
    role: "tenant_service",
    uri: "/services/tenant-service",
};
/// agent-portal-service publishes what it is told here.
pub(crate) const PEOPLE: Source = Source {
    role: "agent_portal_service",
    uri: "/services/agent-portal-service",
};

/// What all commands that change something take.
#[derive(Debug, Args)]
pub(crate) struct Changing {
    /// Who you are, for the audit log; the name of the login if left out.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Check everything and tell what would be done, and leave all as it is.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Changing {
    /// Who is to be named.
    pub(crate) fn actor(&self) -> audit::Actor {
        let login = || {
            ["SUDO_USER", "USER", "LOGNAME"]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        };
        audit::Actor::Operator(self.operator.clone().or_else(login))
    }

    /// What comes before the sentence about what was done.
    pub(crate) const fn prefix(&self) -> &'static str {
        if self.dry_run { "Would be done: " } else { "" }
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Db(#[from] DbError),
    /// A sentence for the operator.
    #[error("{0}")]
    Told(String),
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A refusal in words.
pub(crate) fn told(text: impl Into<String>) -> Refusal {
    Refusal::Told(text.into())
}

/// Carries what a dry run found through the roll-back.
enum Undone<T> {
    Refused(Refusal),
    DryRun(T),
}

impl<T> From<DbError> for Undone<T> {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

/// The operator's transactions.
pub(crate) struct Work {
    runtime: tokio::runtime::Runtime,
    db: Db,
}

impl Work {
    /// Connects when it is first used.
    pub(crate) fn open(url: &SecretString) -> anyhow::Result<Self> {
        // A server that is away is told of by its own complaint.
        let (connection, url) = crate::connection::open_placed(url)?;
        drop(connection);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()?;
        let db = Db::new(&DbOptions {
            url,
            pool_size: 1,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            application_name: "portalctl",
        });
        Ok(Self { runtime, db })
    }

    /// Reads.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        scope: impl Into<Scope>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.db.read("portalctl", scope, work);
        self.runtime.block_on(done).map_err(explain)
    }

    /// Changes something for a tenant, whole or not at all; a dry run is rolled back.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        changing: &Changing,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.write(tenant, changing, work)
    }

    /// As [`Work::change`], for several tenants in turns (`Tx::for_tenant`).
    pub(crate) fn change_many<T: Send + 'static>(
        &self,
        changing: &Changing,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.write(Scope::Service, changing, work)
    }

    fn write<T: Send + 'static>(
        &self,
        scope: impl Into<Scope>,
        changing: &Changing,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> anyhow::Result<T> {
        let dry_run = changing.dry_run;
        let done = self.db.write("portalctl", scope, move |tx| {
            let found = work(tx).map_err(Undone::Refused)?;
            if dry_run {
                Err(Undone::DryRun(found))
            } else {
                Ok(found)
            }
        });
        match self.runtime.block_on(done) {
            Ok(found) | Err(Undone::DryRun(found)) => Ok(found),
            Err(Undone::Refused(refusal)) => Err(explain(refusal)),
        }
    }
}

/// An answer to a question or of something done.
pub(crate) fn answer(text: String, json: Value) -> Answer {
    Answer {
        text,
        json,
        as_wanted: true,
    }
}

fn explain(refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Told(text) => anyhow!(text),
        Refusal::Db(error) => anyhow::Error::new(error)
            .context("the database refused: is the schema current (`portalctl db status`), and is this the role agent_portal_owner?"),
    }
}

/// Adds an event to the outbox of the service that tells such events.
pub(crate) fn tell<E: EventData>(
    tx: &mut Tx<'_>,
    source: Source,
    tenant: &TenantId,
    now: DateTime<Utc>,
    event: &E,
) -> Result<(), DbError> {
    let row = outbox_event(source, tenant, &EventContext::default(), now, event)?;
    outbox::append(tx, &[row])
}

/// Adds an entry to the audit log of the transaction's tenant.
pub(crate) fn note(
    tx: &mut Tx<'_>,
    actor: &audit::Actor,
    action: &'static str,
    target: &impl ToString,
    details: Value,
) -> Result<(), DbError> {
    audit::append(
        tx,
        &audit::AuditEntry {
            service: "portalctl",
            actor: actor.clone(),
            action,
            target: Some(target.to_string()),
            outcome: audit::Outcome::Succeeded,
            details,
            request_id: None,
        },
    )
}

/// Reads a tenant's id.
pub(crate) fn tenant_id(text: &str) -> anyhow::Result<TenantId> {
    TenantId::parse(text).context("it is no tenant id")
}

/// Reads an id of Genesys.
pub(crate) fn genesys_id(text: &str) -> anyhow::Result<String> {
    if !portal_types::is_genesys_id(text) {
        bail!("it is no id of Genesys Cloud, such as a UUID");
    }
    Ok(text.to_owned())
}

/// Reads a Genesys region: which of them people may sign in from is agent-portal-service's setting.
pub(crate) fn region(text: &str) -> anyhow::Result<String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'));
    if !fits {
        bail!("it is no Genesys region, such as mypurecloud.de");
    }
    Ok(text.to_owned())
}
