//! Rules and facts of users, sign-ins and sessions. Pure: no I/O, no framework.

mod conversation;
mod genesys_token;
mod handoff;
mod live_event;
mod refresh_token;
mod routing;
mod session;
mod sign_in;
mod sync;
mod user;

pub(crate) use conversation::{Verdict, Wish, Worker};
pub(crate) use genesys_token::{GenesysTokenState, TokenVerdict};
pub(crate) use handoff::Handoff;
pub(crate) use live_event::{
    Audience, EventId, LiveEvent, NewLiveEvent, PERSON_UPDATED, Place, Reset,
};
pub(crate) use refresh_token::RefreshToken;
pub(crate) use routing::{
    Assignment, Candidate, ConversationRules, MAX_CAPACITY, OnAbsence, PRESENCE_LASTS, Presence,
    Routing, choose,
};
pub(crate) use session::{LiveSession, RevokeReason, Session};
pub(crate) use sign_in::{LoginRecord, ReturnMode};
pub(crate) use sync::{SyncCause, SyncCounts, SyncRun, SyncStatus};
pub(crate) use user::{DeactivatedBy, GenesysPerson, ToldRole, User, UserChanges, merge};
