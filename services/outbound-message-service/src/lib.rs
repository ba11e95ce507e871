//! outbound-message-service
