//! portal-whatsapp
