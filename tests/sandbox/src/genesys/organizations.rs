//! `GET /api/v2/organizations/me`.

use serde_json::{Value, json};

use super::Bearer;
use super::errors::ApiError;
use super::world::{GenesysWorld, Org};
use crate::http::Reply;

pub(crate) fn me(world: &GenesysWorld, bearer: &Bearer) -> Result<Reply, ApiError> {
    let org = world
        .org(&bearer.token.org_id)
        .ok_or_else(|| ApiError::not_found("organization"))?;
    Ok(Reply::json(200, &view(org)))
}

/// The organization with all members that the platform shows.
pub(crate) fn view(org: &Org) -> Value {
    json!({
        "id": org.id,
        "name": org.name,
        "defaultLanguage": "en-us",
        "defaultCountryCode": "US",
        "thirdPartyOrgName": org.short_name,
        "thirdPartyURI": format!("https://{}.example", org.short_name),
        "domain": format!("{}.orgspan.com", org.short_name),
        "version": 7,
        "state": org.state,
        "defaultSiteId": "00000000-0000-4000-8000-000000000000",
        "supportURI": "",
        "voicemailEnabled": false,
        "productPlatform": "GenesysCloud",
        "selfUri": format!("/api/v2/organizations/{}", org.id),
        "features": {
            "realtimeCIC": false,
            "purecloud": true,
            "hipaa": false,
            "chat": true,
            "directory": true,
            "unifiedCommunications": true,
        },
    })
}
