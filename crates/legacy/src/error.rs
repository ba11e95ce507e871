//! Why a legacy database was not read.

/// Why a legacy database was not read. Nothing is changed in any case.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The role may not read these tables.
    #[error(
        "the role {role} may not read {tables}: as their owner, run GRANT SELECT ON {tables} TO {role};"
    )]
    Privileges {
        /// The role that is connected.
        role: String,
        /// The tables, quoted, with commas between them.
        tables: String,
    },
    /// The mapping file is not one, or does not fit the database.
    #[error("{}", .0.join("\n"))]
    Mapping(Vec<String>),
    /// The database did not answer as it should.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}
