//! What conversations are given by: people's presence and capacity, the tenant's rules.

use portal_db::{DbError, Tx, audit};
use portal_service_kit::http::Patch;
use portal_types::{Role, TenantId, UserId};
use serde_json::json;

use super::{ConversationError, Conversations};
use crate::{
    ROLE,
    domain::{Assignment, Audience, ConversationRules, NewLiveEvent, OnAbsence, Presence, Routing},
    store::routing::{self as store, AtWork},
    usecases::{Cause, live_feed},
};

/// What is to be changed of a tenant's rules; what is not given stays.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RulesChange {
    pub(crate) reopen_as: Option<portal_conversations::ReopenAs>,
    pub(crate) assignment: Option<Assignment>,
    pub(crate) routing: Option<Routing>,
    pub(crate) default_capacity: Option<i32>,
    pub(crate) on_absence: Option<OnAbsence>,
    pub(crate) retention_days: Patch<i32>,
}

impl RulesChange {
    fn of(self, rules: ConversationRules) -> ConversationRules {
        ConversationRules {
            reopen_as: self.reopen_as.unwrap_or(rules.reopen_as),
            assignment: self.assignment.unwrap_or(rules.assignment),
            routing: self.routing.unwrap_or(rules.routing),
            default_capacity: self.default_capacity.unwrap_or(rules.default_capacity),
            on_absence: self.on_absence.unwrap_or(rules.on_absence),
            retention_days: match self.retention_days {
                Patch::Keep => rules.retention_days,
                Patch::Clear => None,
                Patch::Set(days) => Some(days),
            },
        }
    }
}

fn one(
    tx: &mut Tx<'_>,
    user: UserId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<AtWork, ConversationError> {
    let found = store::at_work(tx, Some(user), now)?.pop();
    found.ok_or(ConversationError::UnknownPerson)
}

/// Open browsers see who is there.
fn tell(tx: &mut Tx<'_>, tenant: &TenantId, person: &AtWork) -> Result<(), DbError> {
    let data = json!({
        "user_id": person.user_id, "presence": person.presence, "since": person.since,
        "capacity": person.capacity, "load": person.load,
    });
    let event = NewLiveEvent {
        audience: Audience::UserOrAtLeast(person.user_id.into(), Role::Supervisor),
        kind: "presence.changed",
        data: &data,
    };
    live_feed::append(tx, tenant, event)
}

impl Conversations {
    /// How the tenant wants its conversations kept and given.
    pub(crate) async fn rules(
        &self,
        tenant: &TenantId,
    ) -> Result<ConversationRules, ConversationError> {
        let of = tenant.clone();
        self.db
            .read("conversations.rules", tenant, move |tx| {
                Ok(store::rules(tx, &of)?)
            })
            .await
    }

    /// Changes that, in the name of one of its administrators.
    #[tracing::instrument(name = "usecase.change_conversation_rules", skip_all)]
    pub(crate) async fn change_rules(
        &self,
        tenant: &TenantId,
        by: UserId,
        change: RulesChange,
        cause: &Cause,
    ) -> Result<ConversationRules, ConversationError> {
        let (of, request_id) = (tenant.clone(), cause.request_id.clone());
        let rules = self
            .db
            .write("conversations.change_rules", tenant, move |tx| {
                store::take_turn(tx, &of)?;
                let before = store::rules(tx, &of)?;
                let rules = change.of(before);
                if rules == before {
                    return Ok::<_, ConversationError>(rules);
                }
                store::save_rules(tx, &of, rules)?;
                let entry = audit::AuditEntry {
                    service: ROLE,
                    actor: audit::Actor::User(by.to_string()),
                    action: "conversation.rules",
                    target: Some(of.to_string()),
                    outcome: audit::Outcome::Succeeded,
                    details: json!({
                        "reopen_as": <&str>::from(rules.reopen_as),
                        "assignment": <&str>::from(rules.assignment),
                        "routing": <&str>::from(rules.routing),
                        "default_capacity": rules.default_capacity,
                        "on_absence": <&str>::from(rules.on_absence),
                        "retention_days": rules.retention_days,
                    }),
                    request_id,
                };
                audit::append(tx, &entry)?;
                Ok(rules)
            })
            .await?;
        self.asked.ask(tenant);
        Ok(rules)
    }

    /// Who is there, with how much work, by name.
    pub(crate) async fn people_at_work(
        &self,
        tenant: &TenantId,
    ) -> Result<(Vec<AtWork>, ConversationRules), ConversationError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        self.db
            .read("conversations.people_at_work", tenant, move |tx| {
                Ok((store::at_work(tx, None, now)?, store::rules(tx, &of)?))
            })
            .await
    }

    /// One person's part.
    pub(crate) async fn at_work(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<(AtWork, ConversationRules), ConversationError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        self.db
            .read("conversations.at_work", tenant, move |tx| {
                Ok((one(tx, user, now)?, store::rules(tx, &of)?))
            })
            .await
    }

    /// Notes what somebody says of the own presence, which then holds for a while.
    #[tracing::instrument(name = "usecase.say_presence", skip_all)]
    pub(crate) async fn say_presence(
        &self,
        tenant: &TenantId,
        user: UserId,
        presence: Presence,
    ) -> Result<(AtWork, ConversationRules), ConversationError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        let (person, rules, changed) = self
            .db
            .write("conversations.say_presence", tenant, move |tx| {
                let before = one(tx, user, now)?;
                let changed = before.presence != <&str>::from(presence);
                if changed {
                    store::take_turn(tx, &of)?;
                }
                store::say(tx, user, presence.into(), changed, now)?;
                let person = one(tx, user, now)?;
                if changed {
                    tell(tx, &of, &person)?;
                }
                Ok::<_, ConversationError>((person, store::rules(tx, &of)?, changed))
            })
            .await?;
        if changed {
            self.asked.ask(tenant);
        }
        Ok((person, rules))
    }

    /// Gives somebody a capacity, or the tenant's own one again.
    #[tracing::instrument(name = "usecase.set_capacity", skip_all)]
    pub(crate) async fn set_capacity(
        &self,
        tenant: &TenantId,
        user: UserId,
        capacity: Option<i32>,
    ) -> Result<(AtWork, ConversationRules), ConversationError> {
        let (of, now) = (tenant.clone(), self.clock.now());
        let found = self
            .db
            .write("conversations.set_capacity", tenant, move |tx| {
                store::take_turn(tx, &of)?;
                one(tx, user, now)?;
                store::set_capacity(tx, &of, user, capacity)?;
                let person = one(tx, user, now)?;
                tell(tx, &of, &person)?;
                Ok::<_, ConversationError>((person, store::rules(tx, &of)?))
            })
            .await?;
        self.asked.ask(tenant);
        Ok(found)
    }
}
