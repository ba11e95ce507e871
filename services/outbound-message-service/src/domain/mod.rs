//! Rules about messages. No I/O.

pub(crate) mod conversation;
pub(crate) mod dead_letter;
pub(crate) mod draft;
#[cfg(test)]
mod error_table;
pub(crate) mod media;
pub(crate) mod place;
pub(crate) mod policy;
pub(crate) mod redact;
pub(crate) mod retry_policy;
pub(crate) mod status;
pub(crate) mod templates;

pub(crate) use draft::{Draft, SendMessageRequest, SendTemplateRequest, SendTextRequest};
pub(crate) use policy::SendingPolicy;
pub(crate) use status::{MessageStatus, Source, Standing};
