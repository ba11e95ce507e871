//! portal-db
