//! portal-service-kit
