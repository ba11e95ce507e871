//! What an operator does for and to administrators who exist.

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db_schema::schema::{platform_admin_sessions as sessions, platform_admins};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::find;
use crate::{Answer, connection, operator::audit, work::answer};

#[derive(Queryable, Selectable)]
#[diesel(table_name = platform_admins)]
struct AdminRow {
    admin_id: Uuid,
    email: String,
    name: String,
    is_active: bool,
    last_login_at: Option<DateTime<Utc>>,
    totp_confirmed_at: Option<DateTime<Utc>>,
    locked_until: Option<DateTime<Utc>>,
}

impl AdminRow {
    fn state(&self) -> &'static str {
        if !self.is_active {
            "deactivated"
        } else if self.locked_until.is_some_and(|until| until > Utc::now()) {
            "locked"
        } else {
            "active"
        }
    }

    fn line(&self) -> String {
        format!(
            "{}  {}  {} <{}>  {}  last sign-in {}",
            self.admin_id,
            self.state(),
            self.name,
            self.email,
            if self.totp_confirmed_at.is_some() {
                "with second factor"
            } else {
                "without second factor"
            },
            self.last_login_at
                .map_or_else(|| "never".to_owned(), |at| at.to_rfc3339()),
        )
    }

    fn json(&self) -> Value {
        json!({
            "admin_id": self.admin_id,
            "email": self.email,
            "name": self.name,
            "state": self.state(),
            "totp_enrolled": self.totp_confirmed_at.is_some(),
            "locked_until": self.locked_until,
            "last_login_at": self.last_login_at,
        })
    }
}

pub(super) fn list(url: &SecretString) -> anyhow::Result<Answer> {
    let mut conn = connection::open(url)?;
    let admins: Vec<AdminRow> = platform_admins::table
        .order(platform_admins::email)
        .select(AdminRow::as_select())
        .load(&mut conn)?;
    let text = if admins.is_empty() {
        "There is no administrator; make one with `portalctl admin create`.".to_owned()
    } else {
        let lines: Vec<_> = admins.iter().map(AdminRow::line).collect();
        lines.join("\n")
    };
    let json: Vec<_> = admins.iter().map(AdminRow::json).collect();
    Ok(answer(text, json!({ "admins": json })))
}

pub(super) fn set_active(
    url: &SecretString,
    email: &str,
    is_active: bool,
) -> anyhow::Result<Answer> {
    let (mut conn, id) = open(url, email)?;
    let ended = connection::transaction(&mut conn, |conn| {
        diesel::update(platform_admins::table.find(id))
            .set(platform_admins::is_active.eq(is_active))
            .execute(conn)?;
        let ended = if is_active {
            0
        } else {
            end_sessions(conn, id, "deactivated")?
        };
        let action = if is_active {
            "admin.activate"
        } else {
            "admin.deactivate"
        };
        audit(conn, action, &id, &json!({ "ended_sessions": ended }))?;
        Ok(ended)
    })?;
    let result = if is_active { "active" } else { "deactivated" };
    Ok(answer(
        format!("The administrator is {result}; {ended} session(s) ended ({id})."),
        json!({ "admin_id": id, "result": result, "ended_sessions": ended }),
    ))
}

pub(super) fn reset_totp(url: &SecretString, email: &str) -> anyhow::Result<Answer> {
    let (mut conn, id) = open(url, email)?;
    let ended = connection::transaction(&mut conn, |conn| {
        diesel::update(platform_admins::table.find(id))
            .set((
                platform_admins::totp_secret.eq(None::<Vec<u8>>),
                platform_admins::totp_confirmed_at.eq(None::<DateTime<Utc>>),
                platform_admins::totp_last_step.eq(None::<i64>),
            ))
            .execute(conn)?;
        let ended = end_sessions(conn, id, "totp_reset")?;
        let details = json!({ "ended_sessions": ended });
        audit(conn, "admin.totp_reset", &id, &details)?;
        Ok(ended)
    })?;
    Ok(answer(
        format!(
            "The administrator has no second factor any more; {ended} session(s) ended ({id})."
        ),
        json!({ "admin_id": id, "result": "totp_reset", "ended_sessions": ended }),
    ))
}

pub(super) fn unlock(url: &SecretString, email: &str) -> anyhow::Result<Answer> {
    let (mut conn, id) = open(url, email)?;
    connection::transaction(&mut conn, |conn| {
        diesel::update(platform_admins::table.find(id))
            .set((
                platform_admins::failed_logins.eq(0),
                platform_admins::locked_until.eq(None::<DateTime<Utc>>),
            ))
            .execute(conn)?;
        Ok(audit(conn, "admin.unlock", &id, &json!({}))?)
    })?;
    Ok(answer(
        format!("The administrator may sign in again ({id})."),
        json!({ "admin_id": id, "result": "unlocked" }),
    ))
}

/// Ends what lives of an administrator's sessions; services look at the rows at each call.
pub(super) fn end_sessions(
    conn: &mut PgConnection,
    admin_id: Uuid,
    reason: &str,
) -> QueryResult<usize> {
    diesel::update(
        sessions::table
            .filter(sessions::admin_id.eq(admin_id))
            .filter(sessions::revoked_at.is_null()),
    )
    .set((
        sessions::revoked_at.eq(now),
        sessions::revoke_reason.eq(reason),
    ))
    .execute(conn)
}

fn open(url: &SecretString, email: &str) -> anyhow::Result<(PgConnection, Uuid)> {
    let mut conn = connection::open(url)?;
    let id = find(&mut conn, email)?.ok_or_else(|| {
        anyhow!("there is no administrator with this address: see `portalctl admin list`")
    })?;
    Ok((conn, id))
}
