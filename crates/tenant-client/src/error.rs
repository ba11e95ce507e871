//! Why tenant-service gave no answer.

/// Failure of a call of tenant-service, when there is no remembered answer either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TenantClientError {
    /// It cannot be reached, did not answer in time or has a fault of its own: try again later.
    #[error("tenant-service is unavailable")]
    Unavailable,
    /// It refuses the service credential: the operator must act.
    #[error("tenant-service refuses the service credential (HTTP {status})")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// Its answer is not what the contract says; also when something else answers in its place.
    #[error("tenant-service answered in an unexpected form (HTTP {status})")]
    Protocol {
        /// The HTTP status of the answer.
        status: u16,
    },
}
