//! portal-tenant-client
