//! portal-cache
