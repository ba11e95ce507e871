//! Asking Genesys whose organization it is: by the tenant's own client, which belongs to one.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use diesel::prelude::*;
use portal_db::{CrossTenantPath, Scope};
use portal_db_schema::schema::{tenant_credentials as credentials, tenants};
use portal_genesys::{
    ErrorKind, GenesysClient, GenesysError, OAuthClient, PlainHttp, Region, RetryPolicy,
};
use portal_service_kit::http_client::{self, ClientOptions};
use portal_tenant_orgs::{FileRow, Reason, Verdict, VerdictKind};
use portal_types::TenantId;
use portal_vault::{Binding, Vault};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::{vault_keys::VaultKeys, work::Work};

/// How long Genesys may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether and how Genesys is asked.
#[derive(Debug, Args)]
pub(super) struct LiveCheck {
    /// Ask Genesys, with the client that a tenant's people are read with, whose organization it is: a row that
    /// says otherwise is a conflict. Tenants without such a client are not checked. Needs the vault's keys.
    #[arg(long)]
    live_check: bool,
    /// Where the API of a region is that is not one of Genesys' own, as the services' settings have it.
    #[arg(long = "genesys-host", value_name = "REGION=URL", requires = "live_check", value_parser = host)]
    hosts: Vec<Region>,
}

fn host(text: &str) -> anyhow::Result<Region> {
    let (name, url) = text.split_once('=').context("it is no REGION=URL")?;
    let url: Url = url.parse().context("there is no URL after the =")?;
    Ok(Region::explicit(
        name,
        url.clone(),
        url,
        PlainHttp::LoopbackOnly,
    )?)
}

/// What Genesys said of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Live {
    /// The organization is the tenant's.
    Confirmed,
    /// It is not; the row's reason says in which way.
    Contradicted,
    /// The tenant has no client to ask with.
    Unchecked,
    /// Genesys could not be asked.
    Unanswered(&'static str),
}

/// What Genesys said, by the row's place in the list; nothing of rows that are bad anyway.
#[derive(Debug, Default)]
pub(super) struct Asked(HashMap<usize, Live>);

impl Asked {
    pub(super) fn of(&self, place: usize) -> Option<&Live> {
        self.0.get(&place)
    }

    pub(super) fn confirmed(&self) -> usize {
        self.0
            .values()
            .filter(|live| **live == Live::Confirmed)
            .count()
    }

    pub(super) fn unchecked(&self) -> usize {
        let is_open = |live: &&Live| matches!(live, Live::Unchecked | Live::Unanswered(_));
        self.0.values().filter(is_open).count()
    }

    /// The rows of which Genesys could not be asked, in their order, and why.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .filter_map(|(place, live)| match live {
                Live::Unanswered(why) => Some((*place, *why)),
                _ => None,
            })
            .collect();
        all.sort_unstable();
        all.into_iter()
    }
}

/// A tenant's client, and the region that the tenant has.
struct Access {
    credential_id: Uuid,
    region: String,
    client_id: String,
    secret: Option<Vec<u8>>,
    tenant_region: Option<String>,
}

const OTHER_ORGANIZATION: Reason = Reason {
    kind: VerdictKind::Conflict,
    code: "GENESYS_ORG_CONTRADICTED",
    message: "Genesys says that the tenant's client belongs to another organization.",
};
const OTHER_REGION: Reason = Reason {
    kind: VerdictKind::Conflict,
    code: "GENESYS_REGION_CONTRADICTED",
    message: "The tenant's client is known in another region than the tenant has.",
};

impl LiveCheck {
    /// Asks of each good row whose tenant has a client; makes rows conflicts of which Genesys says
    /// otherwise. Nothing when it is not to be asked.
    pub(super) fn run(
        &self,
        work: &Work,
        vault: &VaultKeys,
        rows: &[FileRow],
        verdicts: &mut [Verdict],
    ) -> anyhow::Result<Option<Asked>> {
        if !self.live_check {
            return Ok(None);
        }
        let vault = vault.vault()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let http = http_client::build(&ClientOptions {
            timeout: PATIENCE,
            ..ClientOptions::default()
        })?;
        let genesys = GenesysClient::new(http, RetryPolicy::default());
        let regions = tenant_regions(work, rows, verdicts)?;
        let mut asked = Asked::default();
        for (place, (row, verdict)) in rows.iter().zip(verdicts).enumerate() {
            if verdict.reason().is_some() {
                continue;
            }
            let tenant = TenantId::parse(&row.tenant_id).map_err(|form| anyhow!(form))?;
            let region = regions.get(&row.tenant_id).cloned();
            let Some(client) = client_of(work, &tenant, region)? else {
                asked.0.insert(place, Live::Unchecked);
                continue;
            };
            let found = runtime.block_on(self.ask(&genesys, &vault, &tenant, &client))?;
            let (live, reason) = match found {
                Err(why) => (Live::Unanswered(why), None),
                Ok(org) if org != row.genesys_org_id => {
                    (Live::Contradicted, Some(OTHER_ORGANIZATION))
                }
                Ok(_) if client.is_elsewhere() => (Live::Contradicted, Some(OTHER_REGION)),
                Ok(_) => (Live::Confirmed, None),
            };
            asked.0.insert(place, live);
            if let Some(reason) = reason {
                *verdict = Verdict::Bad(reason);
            }
        }
        Ok(Some(asked))
    }

    /// The organization that a client belongs to, or why it is not known.
    async fn ask(
        &self,
        genesys: &GenesysClient,
        vault: &Vault,
        tenant: &TenantId,
        client: &Access,
    ) -> anyhow::Result<Result<String, &'static str>> {
        let configured = self.hosts.iter().find(|host| host.name() == client.region);
        let Some(region) = configured
            .cloned()
            .or_else(|| Region::production(&client.region))
        else {
            bail!(
                "{tenant}: the region {} is not one of Genesys' own: say where it is with --genesys-host {}=URL",
                client.region,
                client.region
            );
        };
        let row_id = client.credential_id.to_string();
        let binding = Binding {
            table: "tenant_credentials",
            column: "client_secret",
            tenant_id: tenant.as_str(),
            row_id: &row_id,
        };
        let secret = client
            .secret
            .as_ref()
            .map(|sealed| vault.open(&binding, sealed));
        let oauth = OAuthClient {
            client_id: client.client_id.clone(),
            client_secret: secret.transpose().with_context(|| {
                format!(
                    "{tenant}: its client's secret cannot be opened: are these the vault's keys?"
                )
            })?,
        };
        let tokens = match genesys.client_credentials(&region, &oauth).await {
            Ok(tokens) => tokens,
            Err(error) => return Ok(Err(explain(&error))),
        };
        let found = genesys.organization(&region, &tokens.access_token).await;
        // A token that is not revoked expires.
        drop(genesys.revoke(&region, &tokens.access_token).await);
        Ok(found
            .map(|organization| organization.id)
            .map_err(|error| explain(&error)))
    }
}

impl Access {
    fn is_elsewhere(&self) -> bool {
        self.tenant_region
            .as_ref()
            .is_some_and(|region| !region.eq_ignore_ascii_case(&self.region))
    }
}

fn explain(error: &GenesysError) -> &'static str {
    match error.kind {
        ErrorKind::InvalidClient | ErrorKind::InvalidGrant | ErrorKind::Refused => {
            "Genesys does not take the tenant's client: verify it on the admin dashboard"
        }
        ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound => {
            "Genesys does not let the tenant's client see its organization: give it a role there"
        }
        ErrorKind::RateLimited { .. } | ErrorKind::Unavailable => {
            "Genesys gives no answer at the moment: check again later"
        }
        ErrorKind::Protocol => "Genesys answered in an unexpected form",
    }
}

/// The regions of the tenants of good rows, where they have one.
fn tenant_regions(
    work: &Work,
    rows: &[FileRow],
    verdicts: &[Verdict],
) -> anyhow::Result<HashMap<String, String>> {
    let good = rows
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.reason().is_none());
    let ids: Vec<String> = good.map(|(row, _)| row.tenant_id.clone()).collect();
    let path = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let found: Vec<(String, Option<String>)> = work.read(path, move |tx| {
        Ok(tenants::table
            .filter(tenants::tenant_id.eq_any(ids))
            .select((tenants::tenant_id, tenants::genesys_region))
            .load(tx.conn())?)
    })?;
    let regions = found
        .into_iter()
        .filter_map(|(id, region)| Some((id, region?)));
    Ok(regions.collect())
}

/// The client that reads a tenant's people.
fn client_of(
    work: &Work,
    tenant: &TenantId,
    tenant_region: Option<String>,
) -> anyhow::Result<Option<Access>> {
    let id = tenant.to_string();
    let found: Option<(Uuid, String, String, Option<Vec<u8>>)> = work.read(tenant, move |tx| {
        Ok(credentials::table
            .filter(credentials::tenant_id.eq(id))
            .filter(credentials::kind.eq("genesys"))
            .select((
                credentials::credential_id,
                credentials::region,
                credentials::client_id,
                credentials::client_secret,
            ))
            .first(tx.conn())
            .optional()?)
    })?;
    Ok(
        found.map(|(credential_id, region, client_id, secret)| Access {
            credential_id,
            region,
            client_id,
            secret,
            tenant_region,
        }),
    )
}
