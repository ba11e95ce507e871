//! portal-genesys
