//! portal-events
