//! portal-e2e
