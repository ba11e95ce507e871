//! Words that all services share: ids, roles, phone numbers, the clock. No I/O.
#![warn(missing_docs)]

mod clock;
mod ids;
mod phone;
mod role;

pub use clock::{Clock, SystemClock};
pub use ids::{ConversationId, EventId, InvalidTenantId, MessageId, SessionId, TenantId, UserId};
pub use phone::{InvalidPhoneNumber, PhoneNumber};
pub use role::{InvalidRole, Role};
