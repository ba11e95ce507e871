//! Conversations beside Genesys: which of its conversations goes with which of ours, and, where the
//! organization wants it so, who holds ours by its routing alone.

use chrono::{DateTime, Utc};
use portal_conversations::{Cause as HoldCause, ConversationRow, Doing, lock_conversation};
use portal_db::{DbError, Tx, inbox};
use portal_events::{EventContext, catalogue::GenesysConversationRouted};
use portal_types::{EventId, TenantId, UserId};

use super::{Conversations, tell::Change};
use crate::{
    domain::Routing,
    events::produced::{ConversationEvent, ConversationPeople},
    store::{conversations as store, routing},
};

/// Under which name the inbox remembers events.
const INBOX: &str = "agent-portal-service.genesys";

/// Why what Genesys' routing says was not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GenesysError {
    #[error("the tenant has no such conversation")]
    UnknownConversation,
    #[error("the tenant has no person with this genesys_user_id; sync its users and give it again")]
    UnknownUser,
    #[error("the person with this genesys_user_id is switched off")]
    UserInactive,
    #[error("the event is of one tenant and its data of another")]
    OtherTenant,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What Genesys' routing says, with the envelope's part.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) id: EventId,
    pub(crate) tenant: TenantId,
    pub(crate) data: GenesysConversationRouted,
    pub(crate) context: EventContext,
}

impl Conversations {
    /// Follows Genesys' routing; what is older than what is known changes nothing.
    #[tracing::instrument(name = "usecase.follow_genesys", skip_all)]
    pub(crate) async fn follow_genesys(&self, routed: Routed) -> Result<(), GenesysError> {
        if routed.data.tenant_id != routed.tenant {
            return Err(GenesysError::OtherTenant);
        }
        let (tenant, now) = (routed.tenant.clone(), self.clock.now());
        self.db
            .write("conversations.follow_genesys", &tenant, move |tx| {
                if !inbox::first_time(tx, INBOX, routed.id.as_uuid())? {
                    return Ok(());
                }
                Following { routed, now }.run(tx)
            })
            .await?;
        self.waker.wake();
        Ok(())
    }
}

struct Following {
    routed: Routed,
    now: DateTime<Utc>,
}

impl Following {
    fn run(&self, tx: &mut Tx<'_>) -> Result<(), GenesysError> {
        let (tenant, data) = (&self.routed.tenant, &self.routed.data);
        // In turns with the rule and with who changes the rules: one master at a time.
        routing::take_turn(tx, tenant)?;
        let is_master = routing::rules(tx, tenant)?.routing == Routing::Genesys;
        // The person before the conversation, as everybody locks.
        let user = match &data.genesys_user_id {
            Some(id) if is_master && !data.ended => Some(holder(tx, tenant, id)?),
            _ => None,
        };
        let id = match data.conversation_id {
            Some(id) => Some(id),
            None => store::find_by_genesys(tx, tenant, &data.genesys_conversation_id)?,
        };
        let id = id.ok_or(GenesysError::UnknownConversation)?;
        let row = lock_conversation(tx, tenant, id)?;
        let mut row = row.ok_or(GenesysError::UnknownConversation)?;
        row.name_genesys(&data.genesys_conversation_id, data.at);
        // What is said of a Genesys conversation before the present one is history.
        let is_present =
            row.genesys_conversation_id.as_deref() == Some(&*data.genesys_conversation_id);
        let is_news = row.genesys_routed_at.is_none_or(|at| at < data.at);
        if is_master && is_present && is_news {
            row.genesys_routed_at = Some(data.at);
            row.save(tx, tenant)?;
            self.change(tx, row, user)?;
        } else {
            row.save(tx, tenant)?;
        }
        Ok(())
    }

    fn change(
        &self,
        tx: &mut Tx<'_>,
        mut row: ConversationRow,
        user: Option<UserId>,
    ) -> Result<(), DbError> {
        let tenant = &self.routed.tenant;
        let doing = Doing {
            by: None,
            reason: self.routed.data.reason.as_deref(),
            at: self.now,
        };
        if self.routed.data.ended {
            if row.is_open() {
                let former = row.close(tx, tenant, doing)?;
                self.tell(tx, &row, former, ConversationEvent::Closed, former)?;
            }
            return Ok(());
        }
        if !row.is_open() {
            row.reopen(tx, tenant, doing)?;
            self.tell(tx, &row, None, ConversationEvent::Reopened, None)?;
        }
        let former = row.holder();
        match (former, user) {
            (former, user) if former == user => Ok(()),
            (_, None) => {
                row.release(tx, tenant, doing)?;
                self.tell(tx, &row, former, ConversationEvent::Released, former)
            }
            (None, Some(to)) => {
                row.give(tx, tenant, to, HoldCause::Genesys, doing)?;
                self.tell(tx, &row, None, ConversationEvent::Assigned, user)
            }
            (Some(_), Some(to)) => {
                row.transfer(tx, tenant, to, HoldCause::Genesys, doing)?;
                self.tell(tx, &row, former, ConversationEvent::Transferred, user)
            }
        }
    }

    fn tell(
        &self,
        tx: &mut Tx<'_>,
        row: &ConversationRow,
        former: Option<UserId>,
        event: ConversationEvent,
        user: Option<UserId>,
    ) -> Result<(), DbError> {
        let from = former.filter(|_| event == ConversationEvent::Transferred);
        let change = Change {
            tenant: &self.routed.tenant,
            context: &self.routed.context,
            now: self.now,
            row,
            former,
            event,
            people: ConversationPeople {
                user,
                from,
                by: None,
                reason: self.routed.data.reason.as_deref(),
            },
        };
        change.tell(tx)
    }
}

/// The person whom Genesys means, who stays active until the transaction ends.
fn holder(tx: &mut Tx<'_>, tenant: &TenantId, genesys: &str) -> Result<UserId, GenesysError> {
    let user = routing::find_by_genesys(tx, tenant, genesys)?;
    let user = user.ok_or(GenesysError::UnknownUser)?;
    match store::lock_target(tx, tenant, user)? {
        Some(true) => Ok(user),
        Some(false) => Err(GenesysError::UserInactive),
        None => Err(GenesysError::UnknownUser),
    }
}
