//! A tenant as its own people see it: master data are tenant-service's, people are ours.

use portal_db::Db;
use portal_tenant_client::{SendingProfile, TenantClient};
use portal_types::{TenantId, UserId};

use super::profiles::ProfileError;
use crate::{
    domain::SyncRun,
    store::{people, sync_runs},
};

/// An organization with what we know of its people.
pub(crate) struct Organization {
    pub(crate) profile: SendingProfile,
    pub(crate) active_people: i64,
    pub(crate) people: i64,
    pub(crate) last_sync: Option<SyncRun>,
}

/// Shows and renames organizations.
#[derive(Clone)]
pub(crate) struct Organizations {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
}

impl Organizations {
    /// The organization.
    pub(crate) async fn show(&self, tenant: &TenantId) -> Result<Organization, ProfileError> {
        let profile = self.tenants.sending_profile(tenant).await?;
        let profile = profile.ok_or(ProfileError::UnknownTenant)?;
        let of = tenant.clone();
        let ((active_people, people), last_sync) = self
            .db
            .read("organizations.show", tenant, move |tx| {
                let counts = people::count_people(tx, &of)?;
                let latest = sync_runs::list_latest(tx, &of, 1)?;
                Ok::<_, portal_db::DbError>((counts, latest.into_iter().next()))
            })
            .await?;
        Ok(Organization {
            profile,
            active_people,
            people,
            last_sync,
        })
    }

    /// Gives the organization another name, in the name of one of its administrators.
    pub(crate) async fn rename(
        &self,
        tenant: &TenantId,
        by: UserId,
        name: &str,
    ) -> Result<Organization, ProfileError> {
        let renamed = self.tenants.rename(tenant, name, by).await?;
        if !renamed {
            return Err(ProfileError::UnknownTenant);
        }
        self.show(tenant).await
    }
}
