//! The two sister services, as far as this one asks them.

pub(crate) use portal_sisters::*;
