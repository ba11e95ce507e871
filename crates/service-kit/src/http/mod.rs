//! Conventions of our HTTP doors: request ids, validated input, paging, client addresses, headers.

mod address;
mod boundary;
mod input;
mod limits;
mod page;
mod patch;
mod request_id;
mod root_span;
mod size;

pub use address::{ClientAddress, InvalidProxy, TrustedProxies};
pub use input::{
    BodyLimit, MediaType, OptionalJson, ValidJson, ValidPath, ValidQuery, error_at, from_buffered,
    parse_json, read_body, read_member,
};
pub use limits::{AddressLimits, Exemption, client_key, note_turn};
pub use page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
pub use patch::Patch;
pub use request_id::RequestId;
pub use size::extend_body_time;

pub(crate) use boundary::{
    HttpsOnly, KnownPaths, boundary, cors, method_name, no_route, security_headers,
};
pub(crate) use limits::rate_limits;
pub(crate) use request_id::with_request_id;
pub(crate) use root_span::RootSpan;
pub(crate) use size::{RequestBounds, bounds};
