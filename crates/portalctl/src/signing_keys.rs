//! `portalctl signing-keys`: the keys that sign a service's tokens.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use diesel::{dsl, prelude::*, sql_types::Timestamptz};
use portal_auth::{PUBLISH_AHEAD, SigningKey};
use portal_db_schema::schema::signing_keys;
use portal_vault::{
    Vault,
    places::{PLATFORM, SIGNING_KEY},
};
use secrecy::SecretString;
use serde_json::json;

use crate::{Answer, connection, operator, vault_keys::VaultKeys};

/// Long enough to be refused as a mistake: nobody remembers a rotation of last year.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 90);

#[derive(Debug, Subcommand)]
pub(crate) enum SigningKeysCommand {
    /// Lists the keys: the one that signs, the next one, and those that signed.
    List,
    /// Makes the next key. It is published at once and signs after a while, when every service has
    /// seen it; no valid token is refused meanwhile.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Whose tokens.
    #[arg(long)]
    service: Service,
    /// Seconds from now until the next key signs. With fewer than the default, services that have
    /// not seen the key yet refuse its tokens for up to half a minute.
    #[arg(long, value_name = "SECONDS", default_value_t = PUBLISH_AHEAD.as_secs())]
    activate_after: u64,
    /// Take the next key back, while it does not sign yet.
    #[arg(long, conflicts_with = "activate_after")]
    abort: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    /// agent-portal-service: tokens of signed-in people.
    AgentPortal,
    /// tenant-service: tokens of platform administrators.
    Tenant,
}

impl Service {
    /// Its database role, which the rows name.
    const fn role(self) -> &'static str {
        match self {
            Self::AgentPortal => "agent_portal_service",
            Self::Tenant => "tenant_service",
        }
    }
}

pub(crate) fn run(
    command: &SigningKeysCommand,
    url: &SecretString,
    keys: &VaultKeys,
) -> anyhow::Result<Answer> {
    match command {
        SigningKeysCommand::List => list(&mut connection::open(url)?),
        SigningKeysCommand::Rotate(rotate) if rotate.abort => {
            abort(&mut connection::open(url)?, rotate.service)
        }
        SigningKeysCommand::Rotate(rotate) => {
            let vault = keys.vault()?;
            rotate.run(&mut connection::open(url)?, &vault)
        }
    }
}

impl Rotate {
    fn run(&self, conn: &mut PgConnection, vault: &Vault) -> anyhow::Result<Answer> {
        let wait = Duration::from_secs(self.activate_after);
        ensure!(
            wait <= LONGEST_WAIT,
            "--activate-after must be at most {} seconds",
            LONGEST_WAIT.as_secs()
        );
        if wait < PUBLISH_AHEAD {
            eprintln!(
                "portalctl: services look for new keys every {} seconds; with less than {} seconds \
                 some may refuse the first tokens",
                portal_auth::JWKS_FRESH_FOR.as_secs(),
                PUBLISH_AHEAD.as_secs()
            );
        }
        let key = SigningKey::generate()?;
        let sealed = vault.seal(&SIGNING_KEY.of(PLATFORM, key.kid()), &key.to_stored())?;
        let at = connection::transaction(conn, |conn| {
            self.insert(conn, &key, &sealed, TimeDelta::from_std(wait)?)
        })?;
        Ok(Answer {
            text: format!(
                "The next key {} is published now and signs from {}.",
                key.kid(),
                at.to_rfc3339()
            ),
            json: json!({ "kid": key.kid(), "activates_at": at }),
            as_wanted: true,
        })
    }

    fn insert(
        &self,
        conn: &mut PgConnection,
        key: &SigningKey,
        sealed: &[u8],
        wait: TimeDelta,
    ) -> anyhow::Result<DateTime<Utc>> {
        let role = self.service.role();
        let has_active = signing_keys::table
            .filter(signing_keys::service.eq(role))
            .filter(signing_keys::status.eq("active"))
            .select(signing_keys::kid)
            .first::<String>(conn)
            .optional()
            .context("cannot read signing_keys: run `portalctl db migrate` first")?;
        if has_active.is_none() {
            bail!("the service has no key yet: it makes its first one when it starts");
        }
        // The database's clock, which decides when the key signs.
        let now: DateTime<Utc> =
            diesel::select(dsl::now.into_sql::<Timestamptz>()).get_result(conn)?;
        let at = now + wait;
        let rows = diesel::insert_into(signing_keys::table)
            .values((
                signing_keys::kid.eq(key.kid()),
                signing_keys::service.eq(role),
                signing_keys::algorithm.eq("EdDSA"),
                signing_keys::public_key.eq(key.public_key()),
                signing_keys::private_key.eq(sealed),
                signing_keys::status.eq("next"),
                signing_keys::activates_at.eq(at),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        ensure!(
            rows == 1,
            "there is a next key already: see `portalctl signing-keys list`; wait until it signs, \
             or take it back with --abort"
        );
        let details = json!({ "service": role, "activates_at": at });
        operator::audit(conn, "signing_keys.rotate", &key.kid(), &details)?;
        Ok(at)
    }
}

fn abort(conn: &mut PgConnection, service: Service) -> anyhow::Result<Answer> {
    let taken_back = connection::transaction(conn, |conn| {
        // A replica that lets it sign at this moment comes first, and then there is no next key.
        let next = signing_keys::table
            .filter(signing_keys::service.eq(service.role()))
            .filter(signing_keys::status.eq("next"));
        let kid: Option<String> = diesel::delete(next)
            .returning(signing_keys::kid)
            .get_result(conn)
            .optional()?;
        if let Some(kid) = &kid {
            let details = json!({ "service": service.role() });
            operator::audit(conn, "signing_keys.abort", kid, &details)?;
        }
        Ok(kid)
    })?;
    let Some(kid) = taken_back else {
        bail!("there is no next key; one that signs already is replaced by the next rotation");
    };
    Ok(Answer {
        text: format!("The next key {kid} was taken back."),
        json: json!({ "kid": kid, "result": "taken_back" }),
        as_wanted: true,
    })
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
struct Listed {
    service: String,
    kid: String,
    status: String,
    created_at: DateTime<Utc>,
    activates_at: Option<DateTime<Utc>>,
    retired_at: Option<DateTime<Utc>>,
}

fn list(conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let keys: Vec<Listed> = signing_keys::table
        .order((signing_keys::service, signing_keys::created_at.desc()))
        .select(Listed::as_select())
        .load(conn)
        .context("cannot read signing_keys: run `portalctl db migrate` first")?;
    let lines: Vec<_> = keys.iter().map(Listed::line).collect();
    let json: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "service": key.service,
                "kid": key.kid,
                "status": key.status,
                "created_at": key.created_at,
                "activates_at": key.activates_at,
                "retired_at": key.retired_at,
            })
        })
        .collect();
    Ok(Answer {
        text: if lines.is_empty() {
            "No service has made a key yet.".to_owned()
        } else {
            lines.join("\n")
        },
        json: json!({ "keys": json }),
        as_wanted: true,
    })
}

impl Listed {
    fn line(&self) -> String {
        let when = match (self.status.as_str(), self.activates_at, self.retired_at) {
            ("next", Some(at), _) => format!("signs from {}", at.to_rfc3339()),
            (_, _, Some(at)) => format!("signed until {}", at.to_rfc3339()),
            _ => format!("made {}", self.created_at.to_rfc3339()),
        };
        format!("{} {} {} ({when})", self.service, self.status, self.kid)
    }
}
