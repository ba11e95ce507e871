//! What tenants are, without any machinery.

pub(crate) mod tenant;
pub(crate) mod whatsapp_account;
