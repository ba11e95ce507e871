//! Words that all services share: ids, roles, phone numbers, the clock. No I/O.
#![warn(missing_docs)]

mod api_scope;
mod clock;
mod genesys;
mod ids;
mod phone;
mod role;

pub use api_scope::{ApiScope, InvalidApiScope};
pub use clock::{Clock, SystemClock};
pub use genesys::is_genesys_id;
pub use ids::{ConversationId, EventId, InvalidTenantId, MessageId, SessionId, TenantId, UserId};
pub use phone::{InvalidPhoneNumber, PhoneNumber};
pub use role::{InvalidRole, Role};
