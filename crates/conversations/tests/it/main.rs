//! Against a real PostgreSQL.

mod contacts;
mod world;
