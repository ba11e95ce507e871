//! Every column of the database that holds sealed values.
//!
//! Rotation walks this list, and services seal and open through it: a place that is not here would
//! be left behind with a key that is taken away. A test compares it with the columns' comments.

use crate::Binding;

/// Stands for the tenant in the binding of rows that belong to none.
pub const PLATFORM: &str = "platform";

/// A column that holds sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The column of the primary key, whose text is the binding's row id.
    pub row_id: &'static str,
    /// Its type in PostgreSQL.
    pub row_id_type: &'static str,
    /// Whether the rows belong to tenants.
    pub is_of_tenant: bool,
}

impl Place {
    /// The binding of one row; `tenant_id` is [`PLATFORM`] where rows belong to no tenant.
    pub const fn of<'a>(&self, tenant_id: &'a str, row_id: &'a str) -> Binding<'a> {
        Binding {
            table: self.table,
            column: self.column,
            tenant_id,
            row_id,
        }
    }

    const fn new(table: &'static str, column: &'static str, row_id: &'static str) -> Self {
        Self {
            table,
            column,
            row_id,
            row_id_type: "uuid",
            is_of_tenant: true,
        }
    }

    const fn of_platform(mut self) -> Self {
        self.is_of_tenant = false;
        self
    }

    const fn by_text(mut self) -> Self {
        self.row_id_type = "text";
        self
    }
}

/// Private keys that sign tokens.
pub const SIGNING_KEY: Place = Place::new("signing_keys", "private_key", "kid")
    .of_platform()
    .by_text();
/// The second factor of platform administrators.
pub const ADMIN_TOTP_SECRET: Place =
    Place::new("platform_admins", "totp_secret", "admin_id").of_platform();
/// An organization's WhatsApp token.
pub const WHATSAPP_TOKEN: Place = Place::new("tenant_whatsapp_config", "access_token", "config_id");
/// The two-step PIN of an organization's number.
pub const WHATSAPP_PIN: Place = Place::new("tenant_whatsapp_config", "pin", "config_id");
/// The secret of an organization's own OAuth client.
pub const CLIENT_SECRET: Place = Place::new("tenant_credentials", "client_secret", "credential_id");
/// The WhatsApp token of a signup that is under way.
pub const SIGNUP_TOKEN: Place = Place::new("whatsapp_signups", "access_token", "signup_id");
/// The PIN of a signup that is under way.
pub const SIGNUP_PIN: Place = Place::new("whatsapp_signups", "pin", "signup_id");
/// Genesys' access token of a session.
pub const GENESYS_ACCESS_TOKEN: Place = Place::new(
    "genesys_user_sessions",
    "genesys_access_token",
    "session_id",
);
/// Genesys' refresh token of a session.
pub const GENESYS_REFRESH_TOKEN: Place = Place::new(
    "genesys_user_sessions",
    "genesys_refresh_token",
    "session_id",
);
/// An app secret or verify token of a tenant with a Meta app of its own.
pub const WEBHOOK_SECRET: Place = Place::new("webhook_secrets", "secret", "secret_id");

/// All of them.
pub const ALL: [Place; 10] = [
    SIGNING_KEY,
    ADMIN_TOTP_SECRET,
    WHATSAPP_TOKEN,
    WHATSAPP_PIN,
    CLIENT_SECRET,
    SIGNUP_TOKEN,
    SIGNUP_PIN,
    GENESYS_ACCESS_TOKEN,
    GENESYS_REFRESH_TOKEN,
    WEBHOOK_SECRET,
];
