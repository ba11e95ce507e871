//! The service's tables. Diesel lives here only; rows never leave.

pub(crate) mod admin_sessions;
pub(crate) mod admins;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod genesys_credentials;
pub(crate) mod role_mappings;
pub(crate) mod tenants;
pub(crate) mod whatsapp_accounts;
pub(crate) mod whatsapp_signups;

use portal_db::DbError;

/// A text column that must hold one of an enum's words.
fn word<T: std::str::FromStr>(column: &str, value: &str) -> Result<T, DbError> {
    value
        .parse()
        .map_err(|_unknown| DbError::Corrupt(format!("{column} holds an unknown word")))
}
