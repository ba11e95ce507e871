//! The people of an organization, page by page.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::identity::UserWire;
use crate::{EntityState, GenesysClient, GenesysError, Region, RoleRef};

/// Ids that one question may name; more would make a long address.
pub const MAX_IDS: usize = 50;

/// A person of a listing. `Debug` shows ids only.
#[derive(Clone, PartialEq, Eq)]
pub struct ListedUser {
    /// Genesys' id of the user.
    pub user_id: String,
    /// Display name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the user is in use.
    pub state: EntityState,
    /// Rises with each change of the user.
    pub version: Option<i64>,
    /// Roles of the user; `None` when Genesys did not tell, which is not the same as no roles.
    pub roles: Option<Vec<RoleRef>>,
}

impl std::fmt::Debug for ListedUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListedUser")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct UserPage {
    /// Its people.
    pub users: Vec<ListedUser>,
    /// How many pages there are.
    pub pages: u32,
    /// How many people there are.
    pub total: u32,
    /// How long to wait before the next call, so that the limit is not reached.
    pub pause: Option<Duration>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    entities: Vec<UserWire>,
    #[serde(rename = "pageCount", default)]
    page_count: u32,
    #[serde(default)]
    total: u32,
}

impl GenesysClient {
    /// One page (from 1) of the active people that the bearer may see, with their roles.
    ///
    /// `page_size` is 500 at the most (Genesys' Terraform provider uses that for this listing).
    #[tracing::instrument(name = "genesys.users", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn users(
        &self,
        region: &Region,
        token: &SecretString,
        page: u32,
        page_size: u32,
    ) -> Result<UserPage, GenesysError> {
        let mut url = region.api_url(&["users"]);
        url.query_pairs_mut()
            .append_pair("pageSize", &page_size.to_string())
            .append_pair("pageNumber", &page.to_string())
            .append_pair("state", "active")
            .append_pair("sortOrder", "ASC")
            .append_pair("expand", "authorization");
        let (listing, pause): (Listing, _) = self.get_paced(url, token).await?;
        Ok(UserPage {
            users: listed(listing.entities),
            pages: listing.page_count,
            total: listing.total,
            pause,
        })
    }

    /// What became of the people with these ids (at most [`MAX_IDS`]), whatever their state. Who is
    /// not in the answer is gone, or not to be seen by the bearer.
    #[tracing::instrument(name = "genesys.users_by_id", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn users_by_id(
        &self,
        region: &Region,
        token: &SecretString,
        ids: &[String],
    ) -> Result<(Vec<ListedUser>, Option<Duration>), GenesysError> {
        let mut url = region.api_url(&["users"]);
        url.query_pairs_mut()
            .append_pair("pageSize", &MAX_IDS.to_string())
            .append_pair("state", "any")
            .append_pair("id", &ids.join(","));
        let (listing, pause): (Listing, _) = self.get_paced(url, token).await?;
        Ok((listed(listing.entities), pause))
    }
}

fn listed(entities: Vec<UserWire>) -> Vec<ListedUser> {
    let users = entities.into_iter();
    users.filter_map(UserWire::into_listed).collect()
}
