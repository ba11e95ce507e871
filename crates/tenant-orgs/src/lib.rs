//! Giving many tenants their Genesys organizations by a file of `tenant_id,genesys_org_id`: tenant-service
//! does it for administrators of the platform, `portalctl` for operators, and both in the same way.
//!
//! A file is read ([`read`]), each row is decided by what is there ([`Present::of`], [`decide`]), and then all
//! rows are applied in one transaction, or none ([`apply`]).
#![warn(missing_docs)]

mod apply;
mod file;
mod verdict;

pub use apply::{Overtaken, apply};
pub use file::{FileRow, read};
pub use portal_csv_file::BadFile;
pub use verdict::{Mapping, Present, Reason, Verdict, VerdictKind, decide};
