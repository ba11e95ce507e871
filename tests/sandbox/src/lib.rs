//! portal-sandbox
