//! What every service stands on: pool, cache, broker and vault from its settings, the health checks
//! of these, the wait for its schema, its signing keys, its command line.
#![warn(missing_docs)]

mod backing;
mod cli;
mod session_rows;
pub mod signing_keys;
mod start;

pub use backing::Backing;
pub use cli::{Service, run};
pub use session_rows::SessionRows;
pub use start::{run_to_end, spawn_loop, wait_for_schema};
