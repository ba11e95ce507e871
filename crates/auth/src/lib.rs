//! portal-auth
