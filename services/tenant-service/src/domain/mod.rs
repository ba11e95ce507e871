//! What tenants are, without any machinery.

pub(crate) mod admin;
pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod genesys_credentials;
pub(crate) mod role_map;
pub(crate) mod tenant;
pub(crate) mod whatsapp_account;
pub(crate) mod whatsapp_signup;
