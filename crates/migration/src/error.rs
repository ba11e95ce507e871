//! Why a migration stopped.

use portal_legacy::LegacyError;
use portal_operations::OperationError;
use portal_vault::VaultError;

/// Why a migration stopped. What it had committed stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database is not in the state that this step needs; says what to do.
    #[error("{0}")]
    State(String),
    /// The login may not do what has to be done; says who is to grant what.
    #[error("{0}")]
    Privileges(String),
    /// Somebody was in the way for too long.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The legacy database, or a file about it.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// A token was not sealed or opened.
    #[error("the token of the WhatsApp account {account}: {error}")]
    Vault {
        /// The key of its row.
        account: String,
        /// Why.
        error: VaultError,
    },
    /// The database did not answer as it should.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}
