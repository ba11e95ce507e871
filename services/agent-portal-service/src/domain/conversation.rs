//! Who may see a conversation and do what with it.

use portal_conversations::ConversationRow;
use portal_types::{Role, UserId};

/// Somebody who works on conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) user: UserId,
    pub(crate) role: Role,
}

/// What somebody wants to do with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To hold it.
    Take,
    /// That nobody holds it.
    Release,
    /// That somebody else holds it.
    Transfer(UserId),
    /// To close it.
    Close,
    /// To open it again.
    Reopen,
}

impl Wish {
    /// Whether somebody else holds it, or nobody, when this is done.
    pub(crate) fn changes_holder(self, row: &ConversationRow) -> bool {
        match self {
            Self::Take | Self::Release | Self::Transfer(_) => true,
            Self::Close => row.holder().is_some(),
            Self::Reopen => false,
        }
    }
}

/// What comes of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is to be done.
    Do,
    /// It is so already.
    Already,
    /// As far as this person may know, there is no such conversation.
    NotThere,
    /// Somebody holds it.
    HeldByOther,
    /// Nobody holds it: it is to be taken first.
    NotHeld,
    /// It is closed: it is to be opened first.
    Closed,
}

impl Worker {
    /// Whether the person sees all conversations.
    pub(crate) fn sees_all(self) -> bool {
        self.role >= Role::Supervisor
    }

    /// Agents see their own and those that nobody holds.
    pub(crate) fn may_see(self, row: &ConversationRow) -> bool {
        self.sees_all() || row.holder().is_none_or(|holder| holder == self.user)
    }

    /// Whether the person may do this with it.
    pub(crate) fn may(self, wish: Wish, row: &ConversationRow) -> Verdict {
        let (holder, is_open) = (row.holder(), row.is_open());
        let is_mine = holder == Some(self.user);
        match wish {
            Wish::Take if !is_open => Verdict::Closed,
            Wish::Take if is_mine => Verdict::Already,
            // Who comes too late is told who was first, also an agent who sees it no more.
            Wish::Take if holder.is_some() => Verdict::HeldByOther,
            _ if wish != Wish::Take && !self.may_see(row) => Verdict::NotThere,
            Wish::Release if holder.is_none() => Verdict::Already,
            Wish::Transfer(_) if !is_open => Verdict::Closed,
            Wish::Transfer(_) if holder.is_none() && !self.sees_all() => Verdict::NotHeld,
            Wish::Transfer(to) if holder == Some(to) => Verdict::Already,
            Wish::Close if !is_open => Verdict::Already,
            Wish::Close if holder.is_none() && !self.sees_all() => Verdict::NotHeld,
            Wish::Reopen if is_open => Verdict::Already,
            _ => Verdict::Do,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use portal_types::ConversationId;
    use uuid::Uuid;

    use super::*;

    fn row(holder: Option<UserId>, is_open: bool) -> ConversationRow {
        ConversationRow {
            conversation_id: ConversationId::generate(),
            phone_number_id: "1".to_owned(),
            contact: None,
            wa_id: None,
            user_id: None,
            contact_name: None,
            status: if is_open { "open" } else { "closed" }.to_owned(),
            unread_count: 0,
            last_message_id: None,
            last_activity_at: Utc::now(),
            window_expires_at: None,
            last_inbound_at: None,
            first_inbound_at: None,
            free_since: None,
            waiting_since: None,
            assigned_to: holder.map(UserId::as_uuid),
            assigned_at: None,
            closed_at: None,
            episode: 1,
            merged_into: None::<Uuid>,
            genesys_conversation_id: None,
            genesys_named_at: None,
            genesys_routed_at: None,
            version: 1,
        }
    }

    #[test]
    fn the_later_genesys_conversation_counts_in_whatever_order_they_are_told() {
        let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
        let told = [("b", at(1)), ("c", at(2)), ("a", at(2))];
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut row = row(None, true);
            for index in order {
                row.name_genesys(told[index].0, told[index].1);
            }
            assert_eq!(
                row.genesys_conversation_id.as_deref(),
                Some("c"),
                "{order:?}"
            );
            assert!(!row.name_genesys("b", at(1)), "the same again is no news");
        }
    }

    #[test]
    fn each_role_may_do_its_part() {
        use Verdict as V;
        let (me, other, third) = (UserId::generate(), UserId::generate(), UserId::generate());
        let transfer = Wish::Transfer(third);
        // Wish, holder, open; what an agent and what a supervisor may.
        for (wish, holder, is_open, agent, supervisor) in [
            (Wish::Take, None, true, V::Do, V::Do),
            (Wish::Take, Some(me), true, V::Already, V::Already),
            (
                Wish::Take,
                Some(other),
                true,
                V::HeldByOther,
                V::HeldByOther,
            ),
            (Wish::Take, None, false, V::Closed, V::Closed),
            (Wish::Release, Some(me), true, V::Do, V::Do),
            (Wish::Release, Some(other), true, V::NotThere, V::Do),
            (Wish::Release, None, true, V::Already, V::Already),
            (transfer, Some(me), true, V::Do, V::Do),
            (transfer, Some(other), true, V::NotThere, V::Do),
            (transfer, None, true, V::NotHeld, V::Do),
            (transfer, None, false, V::Closed, V::Closed),
            (transfer, Some(third), true, V::NotThere, V::Already),
            (Wish::Close, Some(me), true, V::Do, V::Do),
            (Wish::Close, Some(other), true, V::NotThere, V::Do),
            (Wish::Close, None, true, V::NotHeld, V::Do),
            (Wish::Close, None, false, V::Already, V::Already),
            (Wish::Reopen, None, false, V::Do, V::Do),
            (Wish::Reopen, Some(me), true, V::Already, V::Already),
            (Wish::Reopen, Some(other), true, V::NotThere, V::Already),
        ] {
            let row = row(holder, is_open);
            for (role, expected) in [
                (Role::Agent, agent),
                (Role::Supervisor, supervisor),
                (Role::Admin, supervisor),
            ] {
                let worker = Worker { user: me, role };
                assert_eq!(
                    worker.may(wish, &row),
                    expected,
                    "{role} {wish:?} {holder:?} {is_open}"
                );
            }
        }
    }
}
