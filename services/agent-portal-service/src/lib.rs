//! agent-portal-service
