//! portal-db-schema
