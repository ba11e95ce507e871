//! portal-types
