//! tenant-service
