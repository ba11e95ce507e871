//! portal-test-harness
