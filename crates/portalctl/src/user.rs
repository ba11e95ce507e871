//! `portalctl user`: people of a tenant.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_conversations::{Doing, lock_conversation};
use portal_db::{Tx, audit};
use portal_db_schema::schema::{
    conversation_assignments as assignments, genesys_user_sessions as sessions, genesys_users,
};
use portal_events::catalogue::{
    ConversationReleased, SessionRevoked, UserProvisioned, UserUpdated,
};
use portal_types::{Role, TenantId, UserId};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer,
    tenant::lock_living,
    work::{Changing, PEOPLE, Refusal, Work, answer, genesys_id, note, tell, tenant_id, told},
};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Lists the people of a tenant, without names and addresses.
    List {
        /// The tenant's id.
        #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
        tenant: TenantId,
    },
    /// Lets somebody who was deactivated sign in again.
    Activate(Activate),
    /// Moves somebody to another tenant.
    ///
    /// All sessions in the old tenant are ended (Genesys' own tokens of them run out by themselves),
    /// and conversations that the person has there are given back. What the person did there stays
    /// there: the old user is kept, deactivated and without a link to Genesys. In the new tenant the
    /// person is a new user, an agent until the next sign-in tells the roles. Nothing is done when
    /// the new tenant knows the person already.
    Move(Move),
}

#[derive(Debug, Args)]
pub(crate) struct Activate {
    /// The tenant's id.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    changing: Changing,
}

/// Who it is, by one of two ids.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Person {
    /// Genesys' id of the person.
    #[arg(long, value_parser = genesys_id)]
    genesys_user_id: Option<String>,
    /// The id here, as for somebody whose id Genesys has not told yet.
    #[arg(long)]
    user_id: Option<Uuid>,
}

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// Genesys' id of the person.
    #[arg(long, value_parser = genesys_id)]
    genesys_user_id: String,
    /// The tenant that knows the person.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    from: TenantId,
    /// The tenant that the person belongs to.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    to: TenantId,
    #[command(flatten)]
    changing: Changing,
}

pub(crate) fn run(command: &UserCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    match command {
        UserCommand::List { tenant } => list(&work, tenant),
        UserCommand::Activate(activate) => activate.run(&work),
        UserCommand::Move(moving) => moving.run(&work),
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = genesys_users)]
struct UserRow {
    user_id: Uuid,
    genesys_user_id: String,
    genesys_org_id: String,
    genesys_email: Option<String>,
    name: String,
    role: String,
    is_active: bool,
    deactivated_by: Option<String>,
    is_placeholder: bool,
    last_login_at: Option<DateTime<Utc>>,
}

impl UserRow {
    fn role(&self) -> Role {
        self.role.parse().unwrap_or(Role::Agent)
    }

    fn json(&self) -> Value {
        json!({
            "user_id": self.user_id, "genesys_user_id": self.genesys_user_id, "role": self.role,
            "is_active": self.is_active, "deactivated_by": self.deactivated_by,
            "is_placeholder": self.is_placeholder, "last_login_at": self.last_login_at,
        })
    }
}

fn list(work: &Work, tenant: &TenantId) -> anyhow::Result<Answer> {
    let id = tenant.clone();
    let found: Vec<UserRow> = work.read(tenant, move |tx| {
        crate::tenant::lock(tx, &id, crate::tenant::Lock::No)?;
        Ok(genesys_users::table
            .filter(genesys_users::tenant_id.eq(id.as_str()))
            .order(genesys_users::created_at)
            .select(UserRow::as_select())
            .load(tx.conn())?)
    })?;
    let mut text = format!("{} people", found.len());
    for user in &found {
        let state = match (user.is_active, user.deactivated_by.as_deref()) {
            (true, _) if user.is_placeholder => "waits for the first sign-in".to_owned(),
            (true, _) => "active".to_owned(),
            (false, Some(by)) => format!("deactivated by {by}"),
            (false, None) => "deactivated".to_owned(),
        };
        write!(
            text,
            "\n{}  {}  {}  {state}",
            user.user_id, user.genesys_user_id, user.role
        )?;
    }
    let users: Vec<_> = found.iter().map(UserRow::json).collect();
    Ok(answer(text, json!({ "users": users })))
}

/// The person of the transaction's tenant.
fn lock(tx: &mut Tx<'_>, tenant: &TenantId, person: &Person) -> Result<UserRow, Refusal> {
    let by_genesys = genesys_users::genesys_user_id.nullable();
    let by_ours = genesys_users::user_id.nullable();
    let found = genesys_users::table
        .filter(genesys_users::tenant_id.eq(tenant.as_str()))
        .filter(
            by_genesys
                .eq(person.genesys_user_id.as_deref())
                .or(by_ours.eq(person.user_id)),
        )
        .select(UserRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?;
    found.ok_or_else(|| {
        let who = match (&person.genesys_user_id, person.user_id) {
            (Some(id), _) => format!("Genesys' id {id}"),
            (None, id) => format!("the id {}", id.unwrap_or_default()),
        };
        told(format!(
            "the tenant {tenant} has nobody with {who}; see `portalctl user list --tenant {tenant}`"
        ))
    })
}

impl Activate {
    fn run(&self, work: &Work) -> anyhow::Result<Answer> {
        let (tenant, actor) = (self.tenant.clone(), self.changing.actor());
        let person = self.person.clone();
        let user = work.change(&self.tenant, &self.changing, move |tx| {
            lock_living(tx, &tenant)?;
            let user = lock(tx, &tenant, &person)?;
            if user.is_active {
                return Ok(user);
            }
            let now = Utc::now();
            let row = genesys_users::table
                .filter(genesys_users::tenant_id.eq(tenant.as_str()))
                .filter(genesys_users::user_id.eq(user.user_id));
            diesel::update(row)
                .set((
                    genesys_users::is_active.eq(true),
                    genesys_users::deactivated_at.eq(None::<DateTime<Utc>>),
                    genesys_users::deactivated_by.eq(None::<String>),
                    genesys_users::updated_at.eq(now),
                ))
                .execute(tx.conn())?;
            let event = UserUpdated {
                user_id: user.user_id.into(),
                tenant_id: tenant.clone(),
                role: user.role(),
                email: user.genesys_email.clone(),
            };
            tell(tx, PEOPLE, &tenant, now, &event)?;
            let details = json!({"deactivated_by": user.deactivated_by});
            note(tx, &actor, "user.activate", &user.user_id, details)?;
            Ok(user)
        })?;
        let json = json!({
            "changed": !user.is_active, "dry_run": self.changing.dry_run, "user_id": user.user_id,
        });
        let text = if user.is_active {
            format!("{} is active already.", user.user_id)
        } else {
            format!(
                "{}{} can sign in again.",
                self.changing.prefix(),
                user.user_id
            )
        };
        Ok(answer(text, json))
    }
}

/// What a move did.
struct Moved {
    old: Uuid,
    new: Uuid,
    sessions: usize,
    conversations: usize,
}

impl Move {
    fn run(&self, work: &Work) -> anyhow::Result<Answer> {
        anyhow::ensure!(self.from != self.to, "--from and --to are the same tenant");
        let (from, to) = (self.from.clone(), self.to.clone());
        let actor = self.changing.actor();
        let person = Person {
            genesys_user_id: Some(self.genesys_user_id.clone()),
            user_id: None,
        };
        let moved = work.change(&self.from, &self.changing, move |tx| {
            let now = Utc::now();
            let user = lock(tx, &from, &person)?;
            let sessions = end_sessions(tx, &from, user.user_id, now)?;
            let conversations = give_conversations_back(tx, &from, user.user_id, now)?;
            retire(tx, &from, &user, now)?;
            let new = tx.for_tenant(&to, |tx| arrive(tx, &from, &to, &user, &actor, now))?;
            let details = json!({
                "to": to, "new_user_id": new, "sessions": sessions, "conversations": conversations,
            });
            note(tx, &actor, "user.move", &user.user_id, details)?;
            Ok(Moved {
                old: user.user_id,
                new: new.as_uuid(),
                sessions,
                conversations,
            })
        })?;
        let text = format!(
            "{}{} of {} is now {} of {}; {} sessions ended, {} conversations given back.",
            self.changing.prefix(),
            moved.old,
            self.from,
            moved.new,
            self.to,
            moved.sessions,
            moved.conversations
        );
        let json = json!({
            "dry_run": self.changing.dry_run, "old_user_id": moved.old, "new_user_id": moved.new,
            "sessions": moved.sessions, "conversations": moved.conversations,
        });
        Ok(answer(text, json))
    }
}

/// agent-portal-service puts them on the revocation list within seconds: it looks for such rows.
fn end_sessions(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<usize, Refusal> {
    let live = sessions::table
        .filter(sessions::tenant_id.eq(tenant.as_str()))
        .filter(sessions::user_id.eq(user))
        .filter(sessions::revoked_at.is_null());
    let ended: Vec<Uuid> = diesel::update(live)
        .set((
            sessions::revoked_at.eq(now),
            sessions::revoke_reason.eq("user_moved"),
            sessions::genesys_access_token.eq(None::<Vec<u8>>),
            sessions::genesys_refresh_token.eq(None::<Vec<u8>>),
        ))
        .returning(sessions::session_id)
        .get_results(tx.conn())?;
    for session in &ended {
        let event = SessionRevoked {
            session_id: (*session).into(),
            user_id: user.into(),
            tenant_id: tenant.clone(),
            reason: Some("user_moved".to_owned()),
        };
        tell(tx, PEOPLE, tenant, now, &event)?;
    }
    Ok(ended.len())
}

fn give_conversations_back(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<usize, Refusal> {
    let held: Vec<Uuid> = assignments::table
        .filter(assignments::tenant_id.eq(tenant.as_str()))
        .filter(assignments::user_id.eq(user))
        .filter(assignments::status.eq("active"))
        .order(assignments::conversation_id)
        .select(assignments::conversation_id)
        .load(tx.conn())?;
    let doing = Doing {
        by: None,
        reason: Some("user_moved"),
        at: now,
    };
    let mut given = 0;
    for id in held {
        let row = lock_conversation(tx, tenant, id.into())?;
        let is_theirs = |holder: &Uuid| *holder == user;
        let Some(mut row) = row.filter(|row| row.assigned_to.as_ref().is_none_or(is_theirs)) else {
            continue;
        };
        row.release(tx, tenant, doing)?;
        let event = ConversationReleased {
            conversation_id: row.conversation_id,
            tenant_id: tenant.clone(),
            user_id: Some(user.into()),
            from_user_id: None,
            by_user_id: None,
            reason: doing.reason.map(str::to_owned),
            genesys_conversation_id: row.genesys_conversation_id.clone(),
            version: row.version,
            episode: row.episode,
        };
        tell(tx, PEOPLE, tenant, now, &event)?;
        given += 1;
    }
    Ok(given)
}

/// The old user stays, because what it did points to it, but Genesys' id leads there no more.
fn retire(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: &UserRow,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let row = genesys_users::table
        .filter(genesys_users::tenant_id.eq(tenant.as_str()))
        .filter(genesys_users::user_id.eq(user.user_id));
    diesel::update(row)
        .set((
            genesys_users::genesys_user_id.eq(format!("moved:{}", user.user_id)),
            genesys_users::is_active.eq(false),
            genesys_users::deactivated_at.eq(now),
            genesys_users::deactivated_by.eq("operator"),
            genesys_users::role_override.eq(None::<String>),
            genesys_users::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    let event = UserUpdated {
        user_id: user.user_id.into(),
        tenant_id: tenant.clone(),
        role: user.role(),
        email: user.genesys_email.clone(),
    };
    tell(tx, PEOPLE, tenant, now, &event)?;
    Ok(())
}

fn arrive(
    tx: &mut Tx<'_>,
    from: &TenantId,
    to: &TenantId,
    user: &UserRow,
    actor: &audit::Actor,
    now: DateTime<Utc>,
) -> Result<UserId, Refusal> {
    let tenant = lock_living(tx, to)?;
    let new = UserId::generate();
    let org = tenant
        .genesys_org_id
        .unwrap_or_else(|| user.genesys_org_id.clone());
    let added = diesel::insert_into(genesys_users::table)
        .values((
            genesys_users::user_id.eq(new.as_uuid()),
            genesys_users::tenant_id.eq(to.as_str()),
            genesys_users::genesys_org_id.eq(org),
            genesys_users::genesys_user_id.eq(&user.genesys_user_id),
            genesys_users::genesys_email.eq(user.genesys_email.as_deref()),
            genesys_users::name.eq(&user.name),
            genesys_users::role.eq(Role::Agent.as_str()),
            genesys_users::created_at.eq(now),
            genesys_users::updated_at.eq(now),
        ))
        .on_conflict((genesys_users::tenant_id, genesys_users::genesys_user_id))
        .do_nothing()
        .execute(tx.conn())?;
    if added == 0 {
        return Err(told(format!(
            "the tenant {to} knows the person already; nothing was changed"
        )));
    }
    let event = UserProvisioned {
        user_id: new,
        tenant_id: to.clone(),
        role: Role::Agent,
        email: user.genesys_email.clone(),
    };
    tell(tx, PEOPLE, to, now, &event)?;
    let details = json!({"from": from, "old_user_id": user.user_id});
    note(tx, actor, "user.move", &new, details)?;
    Ok(new)
}
