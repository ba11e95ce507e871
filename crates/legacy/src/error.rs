//! Why a legacy database was not read.

use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};

/// Why a legacy database was not read. Nothing is changed in any case.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The role may not read these tables.
    #[error(
        "the role {role} may not read {tables}: as their owner, run GRANT SELECT ON {tables} TO {role}; (if policies of theirs hide rows, log in as their owner instead)"
    )]
    Privileges {
        /// The role that is connected.
        role: String,
        /// The tables, quoted, with commas between them.
        tables: String,
    },
    /// The mapping file or the decision file is not one, or does not fit the database.
    #[error("{}", .0.join("\n"))]
    Mapping(Vec<String>),
    /// The role may not make temporary tables; with the statement that lets it.
    #[error("the role may not make temporary tables: as the database's owner, run {0}")]
    Temporary(String),
    /// A list is not one, or cannot be read or written; with its name.
    #[error("{0}")]
    File(String),
    /// The database did not answer as it should.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Refuses when there are tables, quoted, that the role may not read.
pub(crate) fn require_readable(
    conn: &mut PgConnection,
    closed: &[String],
) -> Result<(), LegacyError> {
    if closed.is_empty() {
        return Ok(());
    }
    let role = sql_query("SELECT quote_ident(current_user) AS value").get_result::<Word>(conn)?;
    Err(LegacyError::Privileges {
        role: role.value,
        tables: closed.join(", "),
    })
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}
