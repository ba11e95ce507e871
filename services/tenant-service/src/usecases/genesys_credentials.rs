//! A tenant's own OAuth clients of Genesys: written, shown masked, removed, tried out.

use std::{collections::BTreeMap, sync::Arc};

use portal_db::{Scope, Tx, audit, audit::Outcome};
use portal_events::catalogue::TenantGenesysCredentialsChanged;
use portal_genesys::{
    ErrorKind, GenesysClient, GenesysError, OAuthClient, Organization, Pkce, Region,
};
use portal_types::TenantId;
use portal_vault::{Binding, mask};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::{Deps, OpContext, TenantError, tenants::lock_living};
use crate::{
    domain::genesys_credentials::{Credentials, Grant, NewCredentials, Verdict},
    events::produced::Producer,
    store::{
        self,
        genesys_credentials::{SECRET_PLACE, SealedSecret},
    },
};

/// Never called: with a made-up code nobody is sent back to it.
const NOWHERE: &str = "https://localhost/callback";

/// Genesys Cloud, and the regions that the operator configured besides Genesys' own.
#[derive(Clone)]
pub(crate) struct Genesys {
    pub(crate) client: GenesysClient,
    pub(crate) configured: Arc<BTreeMap<String, Region>>,
}

impl Genesys {
    /// The region of this name.
    pub(crate) fn region(&self, name: &str) -> Option<Region> {
        let configured = self.configured.get(name).cloned();
        configured.or_else(|| Region::production(name))
    }
}

/// A tenant's clients.
pub(crate) async fn list_credentials(
    deps: &Deps,
    id: TenantId,
) -> Result<Vec<Credentials>, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("list_genesys_credentials", scope, move |tx| {
            store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            shown(tx, &id)
        })
        .await
}

fn shown(tx: &mut Tx<'_>, id: &TenantId) -> Result<Vec<Credentials>, TenantError> {
    let found = store::genesys_credentials::list(tx, id)?;
    Ok(found.into_iter().map(|(shown, _)| shown).collect())
}

/// Writes the client of a grant, new or in place of the present one; answers all clients.
#[instrument(name = "usecase.write_genesys_credentials", skip_all, fields(tenant.id = %id))]
pub(crate) async fn write_credentials(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    new: NewCredentials,
) -> Result<Vec<Credentials>, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let vault = Arc::clone(&deps.vault);
    let scope = Scope::from(&id);
    let all = deps
        .db
        .write("write_genesys_credentials", scope, move |tx| {
            lock_living(tx, &id)?;
            let present = shown(tx, &id)?;
            let present = present.into_iter().find(|client| client.grant == new.grant);
            // The secret is bound to the row, and the row keeps its id for as long as it lives.
            let credential_id = present.map_or_else(Uuid::now_v7, |client| client.credential_id);
            let row_id = credential_id.to_string();
            let secret = new.client_secret.as_ref().map(|secret| {
                Ok::<_, TenantError>(SealedSecret {
                    sealed: vault.seal(&binding(&id, &row_id), secret)?,
                    last4: mask(secret),
                })
            });
            let secret = secret.transpose()?;
            store::genesys_credentials::upsert(tx, &id, credential_id, &new, secret.as_ref())?;
            producer.append(tx, &id, &changed(&id, new.region.clone()))?;
            let details = json!({
                "grant_type": new.grant.as_str(),
                "region": new.region,
                "client_id": new.client_id,
                "has_secret": secret.is_some(),
            });
            let action = "tenant.genesys_credentials.write";
            let entry = ctx.audit(action, &id, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            shown(tx, &id)
        })
        .await?;
    deps.waker.wake();
    Ok(all)
}

/// Removes the client of a grant, also of a deleted tenant.
#[instrument(name = "usecase.remove_genesys_credentials", skip_all, fields(tenant.id = %id))]
pub(crate) async fn remove_credentials(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    grant: Grant,
) -> Result<(), TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    deps.db
        .write("remove_genesys_credentials", scope, move |tx| {
            store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            let region = store::genesys_credentials::delete(tx, &id, grant)?
                .ok_or(TenantError::NoCredentials)?;
            producer.append(tx, &id, &changed(&id, region))?;
            let details = json!({"grant_type": grant.as_str()});
            let action = "tenant.genesys_credentials.remove";
            let entry = ctx.audit(action, &id, Outcome::Succeeded, details);
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(())
        })
        .await?;
    deps.waker.wake();
    Ok(())
}

/// Asks Genesys what it makes of a tenant's clients, and notes it.
#[instrument(name = "usecase.verify_genesys_credentials", skip_all, fields(tenant.id = %id))]
pub(crate) async fn verify_credentials(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
) -> Result<Vec<Verdict>, TenantError> {
    let (scope, tenant_id) = (Scope::from(&id), id.clone());
    let read = move |tx: &mut Tx<'_>| {
        let tenant = store::tenants::find(tx, &tenant_id)?.ok_or(TenantError::NotFound)?;
        let clients = store::genesys_credentials::list(tx, &tenant_id)?;
        Ok::<_, TenantError>((tenant.genesys_org_id, clients))
    };
    let (org, clients) = deps
        .db
        .read("read_genesys_credentials", scope.clone(), read)
        .await?;
    if clients.is_empty() {
        return Err(TenantError::NoCredentials);
    }
    let mut asked = Vec::new();
    for (client, sealed) in clients {
        let row_id = client.credential_id.to_string();
        let secret = sealed.map(|sealed| deps.vault.open(&binding(&id, &row_id), &sealed));
        let oauth = OAuthClient {
            client_id: client.client_id.clone(),
            client_secret: secret.transpose()?,
        };
        let verdict = match deps.genesys.region(&client.region) {
            None => Verdict::no(client.grant, "REGION_UNKNOWN", REGION_UNKNOWN),
            Some(region) => {
                ask(
                    &deps.genesys.client,
                    &region,
                    client.grant,
                    &oauth,
                    org.as_deref(),
                )
                .await
            }
        };
        asked.push((client, verdict));
    }
    let verdicts: Vec<_> = asked.iter().map(|(_, verdict)| verdict.clone()).collect();
    let now = deps.clock.now();
    deps.db
        .write("note_genesys_verdicts", scope, move |tx| {
            for (client, verdict) in &asked {
                let (at, error) = (
                    verdict.ok.then_some(now),
                    (!verdict.ok).then_some(verdict.code),
                );
                store::genesys_credentials::update_verdict(tx, client, at, error)?;
                let details = json!({"grant_type": client.grant.as_str(), "verdict": verdict.code});
                let outcome = if verdict.ok {
                    Outcome::Succeeded
                } else {
                    Outcome::Failed
                };
                let entry = ctx.audit("tenant.genesys_credentials.verify", &id, outcome, details);
                audit::append(tx, &entry)?;
            }
            Ok::<_, TenantError>(())
        })
        .await?;
    Ok(verdicts)
}

const REGION_UNKNOWN: &str = "The region is none of Genesys' and not configured here any more.";

/// A token of the client itself tells its organization. A client that signs people in has none: a
/// made-up code is refused as such only after id and secret were found to be good.
async fn ask(
    genesys: &GenesysClient,
    region: &Region,
    grant: Grant,
    oauth: &OAuthClient,
    org: Option<&str>,
) -> Verdict {
    let answer = match grant {
        Grant::ClientCredentials => match organization(genesys, region, oauth).await {
            Ok(found) => return of_organization(&found, org),
            Err(error) => error,
        },
        Grant::AuthorizationCode => match try_code(genesys, region, oauth).await {
            Err(error) if error.kind == ErrorKind::InvalidGrant => {
                return Verdict {
                    ok: true,
                    ..Verdict::no(
                        grant,
                        "VERIFIED",
                        "Genesys knows the client. Whether it belongs to the tenant's \
                         organization shows when somebody signs in.",
                    )
                };
            }
            Err(error) => error,
            Ok(()) => return Verdict::no(grant, "UNEXPECTED_ANSWER", UNEXPECTED),
        },
    };
    tracing::info!(error = %answer, grant = grant.as_str(), "Genesys does not take a client");
    refusal(grant, &answer)
}

async fn organization(
    genesys: &GenesysClient,
    region: &Region,
    oauth: &OAuthClient,
) -> Result<Organization, GenesysError> {
    let tokens = genesys.client_credentials(region, oauth).await?;
    let found = genesys.organization(region, &tokens.access_token).await;
    if let Err(error) = genesys.revoke(region, &tokens.access_token).await {
        tracing::info!(%error, "a token that was got to try a client lives until it expires");
    }
    found
}

async fn try_code(
    genesys: &GenesysClient,
    region: &Region,
    oauth: &OAuthClient,
) -> Result<(), GenesysError> {
    let Ok(nowhere) = NOWHERE.parse() else {
        return Ok(());
    };
    let code = SecretString::from("made-up-code");
    let verifier = Pkce::generate().verifier;
    genesys
        .exchange_code(region, oauth, &nowhere, &code, Some(&verifier))
        .await
        .map(|_tokens| ())
}

fn of_organization(found: &Organization, org: Option<&str>) -> Verdict {
    let verdict = |ok, code, message: &str| Verdict {
        ok,
        genesys_org_id: Some(found.id.clone()),
        ..Verdict::no(Grant::ClientCredentials, code, message)
    };
    match org {
        Some(org) if org == found.id => verdict(
            true,
            "VERIFIED",
            "Genesys takes the client, and it belongs to the tenant's organization.",
        ),
        Some(_) => verdict(
            false,
            "ORGANIZATION_MISMATCH",
            "The client belongs to another Genesys organization than the tenant.",
        ),
        None => verdict(
            false,
            "ORGANIZATION_NOT_MAPPED",
            "Genesys takes the client, but the tenant has no Genesys organization yet; map it first.",
        ),
    }
}

const UNEXPECTED: &str = "Genesys answered in an unexpected form.";

fn refusal(grant: Grant, error: &GenesysError) -> Verdict {
    let is_other_grant = error.code.as_deref() == Some("unauthorized_client");
    let (code, message) = match error.kind {
        ErrorKind::InvalidClient if is_other_grant => (
            "WRONG_GRANT",
            "Genesys knows the client, but it was made with another grant type.",
        ),
        ErrorKind::InvalidClient => (
            "INVALID_CLIENT",
            "Genesys does not know this client id with this secret in this region.",
        ),
        ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound => (
            "NOT_ALLOWED",
            "Genesys takes the client, but does not let it see its organization; give it a role.",
        ),
        ErrorKind::RateLimited { .. } | ErrorKind::Unavailable => (
            "GENESYS_UNAVAILABLE",
            "Genesys gives no answer at the moment; verify again later.",
        ),
        ErrorKind::InvalidGrant | ErrorKind::Refused => (
            "REFUSED",
            "Genesys refuses the request; check the client's settings there.",
        ),
        ErrorKind::Protocol => ("UNEXPECTED_ANSWER", UNEXPECTED),
    };
    Verdict::no(grant, code, message)
}

impl Verdict {
    fn no(grant: Grant, code: &'static str, message: &str) -> Self {
        Self {
            grant,
            ok: false,
            code,
            message: message.to_owned(),
            genesys_org_id: None,
        }
    }
}

fn binding<'a>(tenant: &'a TenantId, row_id: &'a str) -> Binding<'a> {
    Binding {
        table: SECRET_PLACE.0,
        column: SECRET_PLACE.1,
        tenant_id: tenant.as_str(),
        row_id,
    }
}

fn changed(id: &TenantId, region: String) -> TenantGenesysCredentialsChanged {
    TenantGenesysCredentialsChanged {
        tenant_id: id.clone(),
        region,
    }
}
