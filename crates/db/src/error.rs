//! What can go wrong at the database, as facts that callers decide on.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A closed set of database failures.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection became free in time.
    #[error("the database pool was busy")]
    Busy,
    /// The server cannot be reached or closed the connection.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement or a wait for a lock took too long.
    #[error("a statement took too long")]
    Timeout(#[source] DieselError),
    /// A unique constraint refused a row.
    #[error("a row like this exists already ({constraint})")]
    Unique {
        /// The constraint's name.
        constraint: String,
    },
    /// A foreign key refused a row.
    #[error("a row that this one needs does not exist ({constraint})")]
    ForeignKey {
        /// The constraint's name.
        constraint: String,
    },
    /// Two transactions got in each other's way; the same call may go through later.
    #[error("the transaction ran into another one")]
    Serialization(#[source] DieselError),
    /// A row that must be there is not.
    #[error("the row does not exist")]
    NotFound,
    /// What stands in a row makes no sense.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// Anything else.
    #[error("the database refused a statement")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DbError {
    /// Whether the failure passes by itself, so that the caller should try again later.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Unavailable(_) | Self::Timeout(_) | Self::Serialization(_)
        )
    }

    /// Whether the named unique constraint refused the row.
    pub fn is_unique(&self, name: &str) -> bool {
        matches!(self, Self::Unique { constraint } if constraint == name)
    }
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, info) = &error else {
            return match error {
                DieselError::NotFound => Self::NotFound,
                DieselError::DeserializationError(cause) => Self::Corrupt(cause.to_string()),
                DieselError::BrokenTransactionManager => Self::Unavailable(Box::new(error)),
                other => Self::Other(Box::new(other)),
            };
        };
        let constraint = info.constraint_name().unwrap_or_default().to_owned();
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Unique { constraint },
            DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey { constraint },
            DatabaseErrorKind::SerializationFailure => Self::Serialization(error),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Self::Unavailable(Box::new(error))
            }
            // Diesel does not show the SQLSTATE: these are the server's own English sentences, held
            // by a test against a real server.
            _ => match info.message() {
                m if m.contains("statement timeout") || m.contains("lock timeout") => {
                    Self::Timeout(error)
                }
                m if m.contains("deadlock detected") => Self::Serialization(error),
                m if m.contains("terminating connection")
                    || m.contains("server closed the connection")
                    || m.contains("is shutting down")
                    || m.contains("is starting up") =>
                {
                    Self::Unavailable(Box::new(error))
                }
                _ => Self::Other(Box::new(error)),
            },
        }
    }
}

impl From<r2d2::Error> for DbError {
    fn from(error: r2d2::Error) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
