//! What tenants are, without any machinery.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod tenant;
pub(crate) mod whatsapp_account;
pub(crate) mod whatsapp_signup;
