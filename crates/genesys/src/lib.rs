//! Genesys Cloud: regions, sign-in, who signed in, and which portal role that gives.
//!
//! * [`Region`] names the hosts; they come from an allow-list or from the operator, never from a
//!   caller.
//! * [`GenesysClient`] gets, refreshes and revokes tokens (once, never repeated) and
//!   asks who the bearer is (repeated a few times when Genesys is busy).
//! * [`RoleMap`] turns Genesys roles into a portal role.
//!
//! Facts about Genesys Cloud are from its official SDKs (Python 269, JavaScript 262), developer
//! centre and forum as of November 2026.

#![warn(missing_docs)]

mod answer;
mod client;
mod error;
mod identity;
mod oauth;
mod region;
mod retry;
mod role_map;
mod settings;
mod users;

pub use client::GenesysClient;
pub use error::{ErrorKind, GenesysError};
pub use identity::{EntityState, Identity, Organization, RoleRef};
pub use oauth::{AuthorizeRequest, OAuthClient, Pkce, Tokens, authorize_url, new_state};
pub use region::{InvalidRegion, PlainHttp, Region};
pub use retry::RetryPolicy;
pub use role_map::RoleMap;
pub use settings::{HostsSection, configured_region};
pub use users::{ListedUser, MAX_IDS, UserPage};
