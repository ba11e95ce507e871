//! The events of this service, as rows of the outbox.

use chrono::{DateTime, Utc};
use portal_conversations::ConversationRow;
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext, Source,
    catalogue::{
        ConversationAssigned, ConversationClosed, ConversationOpened, ConversationReleased,
        ConversationReopened, ConversationTransferred, EventData, SessionRefreshed, SessionRevoked,
        SessionStarted, UserDeactivated, UserProvisioned, UserRoleChanged, UserUpdated,
    },
    outbox_event,
};
use portal_types::{SessionId, TenantId, UserId};

use crate::{
    ROLE,
    domain::{RevokeReason, User, UserChanges},
};

/// Who publishes.
pub(crate) const SOURCE: Source = Source {
    role: ROLE,
    uri: "/services/agent-portal-service",
};

/// What happened to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserEvent {
    /// Signed in for the first time.
    Provisioned,
    /// Has another name, e-mail or organization.
    Updated,
    /// Has another role.
    RoleChanged,
    /// May no longer sign in.
    Deactivated,
}

impl UserEvent {
    /// What there is to tell of changes.
    pub(crate) fn of(changes: UserChanges) -> impl Iterator<Item = Self> {
        [
            (changes.details, Self::Updated),
            (changes.role, Self::RoleChanged),
        ]
        .into_iter()
        .filter_map(|(happened, event)| happened.then_some(event))
    }
}

/// Tells what happened to a user.
pub(crate) fn append_user_event(
    tx: &mut Tx<'_>,
    context: &EventContext,
    now: DateTime<Utc>,
    user: &User,
    event: UserEvent,
) -> Result<(), DbError> {
    let (user_id, role, email) = (user.user_id, user.role, user.email.clone());
    let tenant_id = user.tenant_id.clone();
    let tenant = &user.tenant_id;
    match event {
        UserEvent::Provisioned => {
            let data = UserProvisioned {
                user_id,
                tenant_id,
                role,
                email,
            };
            append(tx, tenant, context, now, &data)
        }
        UserEvent::Updated => {
            let data = UserUpdated {
                user_id,
                tenant_id,
                role,
                email,
            };
            append(tx, tenant, context, now, &data)
        }
        UserEvent::RoleChanged => {
            let data = UserRoleChanged {
                user_id,
                tenant_id,
                role,
                email,
            };
            append(tx, tenant, context, now, &data)
        }
        UserEvent::Deactivated => {
            let data = UserDeactivated {
                user_id,
                tenant_id,
                role,
                email,
            };
            append(tx, tenant, context, now, &data)
        }
    }
}

/// Whose session it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionRef<'a> {
    /// The session.
    pub(crate) session_id: SessionId,
    /// Its user.
    pub(crate) user_id: UserId,
    /// Its tenant.
    pub(crate) tenant: &'a TenantId,
}

/// Tells that a session began.
pub(crate) fn append_session_started(
    tx: &mut Tx<'_>,
    context: &EventContext,
    now: DateTime<Utc>,
    session: SessionRef<'_>,
) -> Result<(), DbError> {
    let data = SessionStarted {
        session_id: session.session_id,
        user_id: session.user_id,
        tenant_id: session.tenant.clone(),
        reason: None,
    };
    append(tx, session.tenant, context, now, &data)
}

/// Tells that a session's tokens were rotated.
pub(crate) fn append_session_refreshed(
    tx: &mut Tx<'_>,
    context: &EventContext,
    now: DateTime<Utc>,
    session: SessionRef<'_>,
) -> Result<(), DbError> {
    let data = SessionRefreshed {
        session_id: session.session_id,
        user_id: session.user_id,
        tenant_id: session.tenant.clone(),
        reason: None,
    };
    append(tx, session.tenant, context, now, &data)
}

/// Tells that a session ended.
pub(crate) fn append_session_revoked(
    tx: &mut Tx<'_>,
    context: &EventContext,
    now: DateTime<Utc>,
    session: SessionRef<'_>,
    reason: RevokeReason,
) -> Result<(), DbError> {
    let data = SessionRevoked {
        session_id: session.session_id,
        user_id: session.user_id,
        tenant_id: session.tenant.clone(),
        reason: Some(reason.to_string()),
    };
    append(tx, session.tenant, context, now, &data)
}

/// What happened to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConversationEvent {
    /// It began, or began anew.
    Opened,
    /// Somebody holds it.
    Assigned,
    /// Nobody holds it any more.
    Released,
    /// It went from one person to another.
    Transferred,
    /// It was closed.
    Closed,
    /// It is open again.
    Reopened,
}

impl ConversationEvent {
    /// Its name in `conversation.<name>`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Assigned => "assigned",
            Self::Released => "released",
            Self::Transferred => "transferred",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
        }
    }
}

/// Whom an event of a conversation is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConversationPeople<'a> {
    /// Who holds it, or held it.
    pub(crate) user: Option<UserId>,
    /// Who held it before a transfer.
    pub(crate) from: Option<UserId>,
    /// Who did it.
    pub(crate) by: Option<UserId>,
    /// Why.
    pub(crate) reason: Option<&'a str>,
}

/// Tells what happened to a conversation, which is as `row` has it.
pub(crate) fn append_conversation_event(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    context: &EventContext,
    now: DateTime<Utc>,
    row: &ConversationRow,
    event: ConversationEvent,
    people: ConversationPeople<'_>,
) -> Result<(), DbError> {
    macro_rules! data {
        ($name:ident) => {
            append(
                tx,
                tenant,
                context,
                now,
                &$name {
                    conversation_id: row.conversation_id,
                    tenant_id: tenant.clone(),
                    user_id: people.user,
                    from_user_id: people.from,
                    by_user_id: people.by,
                    reason: people.reason.map(str::to_owned),
                    genesys_conversation_id: row.genesys_conversation_id.clone(),
                    version: row.version,
                    episode: row.episode,
                },
            )
        };
    }
    match event {
        ConversationEvent::Opened => data!(ConversationOpened),
        ConversationEvent::Assigned => data!(ConversationAssigned),
        ConversationEvent::Released => data!(ConversationReleased),
        ConversationEvent::Transferred => data!(ConversationTransferred),
        ConversationEvent::Closed => data!(ConversationClosed),
        ConversationEvent::Reopened => data!(ConversationReopened),
    }
}

fn append<E: EventData>(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    context: &EventContext,
    now: DateTime<Utc>,
    data: &E,
) -> Result<(), DbError> {
    let row = outbox_event(SOURCE, tenant, context, now, data)?;
    outbox::append(tx, &[row])
}
