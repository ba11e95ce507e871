//! The doors to PostgreSQL.
//!
//! [`Db::read`] and [`Db::write`] are the only ways to a connection. Each runs one named
//! transaction on the blocking pool and first tells PostgreSQL for whom ([`Scope`]): row level
//! security then shows that tenant's rows and no others. The setting ends with the transaction, so
//! a pooled connection never remembers a tenant.
#![warn(missing_docs)]

pub mod audit;
mod error;
pub mod inbox;
pub mod outbox;
mod over_rows;
mod pattern;
mod pool;
pub mod requeue;
mod schema_state;
mod scope;

pub use error::DbError;
pub use over_rows::{Column, OverRows};
pub use pattern::containing;
pub use pool::{Db, DbOptions, Tx};
pub use schema_state::SchemaState;
pub use scope::{CrossTenantPath, Scope};
