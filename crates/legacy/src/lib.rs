//! A database of the agent-level model, as the operator's command line sees it.
//!
//! What tables and columns such an installation has differs from one to the next, so nothing of it
//! is assumed: the [`Catalog`] is read, [`Shape`] says what kind of database it is, and a
//! [`Mapping`], proposed from keys and names and confirmed by the operator, says which column means
//! what. [`survey()`] counts what is in it and what a migration would stumble over; [`ownership()`]
//! says whose which WhatsApp account becomes, with the [`Decisions`] of a person; [`fingerprint()`] and
//! [`data_hash`] tell whether two of them are the same.
//!
//! What this crate does not do: it changes nothing in the database; a list of agents is staged in
//! temporary tables ([`agents_file`]).

#![warn(missing_docs)]

pub mod agents_file;
mod catalog;
mod decisions;
mod error;
mod fingerprint;
mod mapping;
mod ownership;
mod shape;
mod subjects;
mod survey;

pub use catalog::{Catalog, Column, ForeignKey, Table, read_only};
pub use decisions::Decisions;
pub use error::LegacyError;
pub use fingerprint::{DataHash, TableHash, catalog_lines, data_hash, fingerprint, fingerprint_of};
pub use mapping::{Mapping, identifier};
pub use ownership::{
    ACCOUNTS, Candidate, Judged, Lifted, Number, ORGANIZATION_ACCOUNTS, Ownership, Undecided,
    Verdict, ownership,
};
pub use shape::Shape;
pub use survey::{Finding, Survey, survey};
