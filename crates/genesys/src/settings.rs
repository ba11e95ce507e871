//! Regions as an operator configures them.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use crate::{InvalidRegion, PlainHttp, Region};

/// Addresses of a region that is not Genesys' own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostsSection {
    /// Of the login page, as browsers reach it.
    pub login_url: Url,
    /// Of the API, as we reach it.
    pub api_url: Url,
    /// Of the token endpoint, as we reach it.
    pub token_url: Option<Url>,
}

/// The region of this name: the operator's, or else Genesys' own; `None` if there is none.
pub fn configured_region(
    hosts: &BTreeMap<String, HostsSection>,
    name: &str,
    allow_plain_http: bool,
) -> Result<Option<Region>, InvalidRegion> {
    let Some(hosts) = hosts.get(name) else {
        return Ok(Region::production(name));
    };
    let plain = if allow_plain_http {
        PlainHttp::Everywhere
    } else {
        PlainHttp::LoopbackOnly
    };
    let region = Region::explicit(name, hosts.login_url.clone(), hosts.api_url.clone(), plain)?;
    match &hosts.token_url {
        Some(url) => region.with_token_base(url.clone(), plain).map(Some),
        None => Ok(Some(region)),
    }
}
