//! The keys that sign a service's tokens: in the database, sealed, made by whoever starts first.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_auth::{InvalidKey, SigningKey, SigningKeys};
use portal_db::{Db, DbError, Scope, Tx};
use portal_db_schema::schema::signing_keys;
use portal_vault::{Binding, Vault, VaultError};
use tokio_util::sync::CancellationToken;

/// Another replica, or an operator, may have changed the keys.
const RELOAD: Duration = Duration::from_mins(1);
/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(2);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A key cannot be sealed or opened.
    #[error("a stored signing key cannot be sealed or opened")]
    Vault(#[from] VaultError),
    /// What was opened is no key.
    #[error("a stored signing key is not usable")]
    Key(#[from] InvalidKey),
    /// There is none that signs.
    #[error("no signing key is active")]
    NoneActive,
}

/// Loads the keys, makes the first one, and goes on looking for new ones.
#[derive(Clone)]
pub struct KeyKeeper {
    /// The service's database.
    pub db: Db,
    /// Seals and opens the private keys.
    pub vault: Arc<Vault>,
    /// Where the keys go.
    pub keys: SigningKeys,
    /// The service's database role.
    pub role: &'static str,
    /// How long a key is still known after it stopped signing: until its last token expired.
    pub keep_retired: chrono::Duration,
}

impl KeyKeeper {
    /// Keeps the keys current until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.load().await {
                Ok(()) => RELOAD,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the signing keys cannot be loaded"
                    );
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Puts the stored keys in place, and makes one if none signs.
    pub async fn load(&self) -> Result<(), SigningKeysError> {
        let mut stored = self.stored().await?;
        if !stored.first().is_some_and(StoredKey::is_active) {
            self.create().await?;
            stored = self.stored().await?;
        }
        if !stored.first().is_some_and(StoredKey::is_active) {
            return Err(SigningKeysError::NoneActive);
        }
        let mut keys = stored
            .iter()
            .map(|key| self.open(key))
            .collect::<Result<Vec<_>, _>>()?;
        let active = keys.remove(0);
        self.keys.replace(active, &keys);
        Ok(())
    }

    async fn stored(&self) -> Result<Vec<StoredKey>, DbError> {
        let (role, retired_after) = (self.role, Utc::now() - self.keep_retired);
        self.db
            .read("signing_keys.list", Scope::Service, move |tx| {
                list(tx, role, retired_after)
            })
            .await
    }

    async fn create(&self) -> Result<(), SigningKeysError> {
        let key = SigningKey::generate()?;
        let sealed = self.vault.seal(&binding(key.kid()), &key.to_stored())?;
        let role = self.role;
        let is_first = self
            .db
            .write("signing_keys.create", Scope::Service, move |tx| {
                insert_active(tx, role, &key, &sealed)
            })
            .await?;
        if is_first {
            tracing::info!("made the first signing key");
        }
        Ok(())
    }

    fn open(&self, stored: &StoredKey) -> Result<SigningKey, SigningKeysError> {
        let opened = self
            .vault
            .open(&binding(&stored.kid), &stored.private_key)?;
        Ok(SigningKey::from_stored(&opened)?)
    }
}

/// A signing key belongs to no tenant.
fn binding(kid: &str) -> Binding<'_> {
    Binding {
        table: "signing_keys",
        column: "private_key",
        tenant_id: "platform",
        row_id: kid,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
struct StoredKey {
    kid: String,
    private_key: Vec<u8>,
    status: String,
}

impl StoredKey {
    fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// The key that signs, first, and those that stopped signing after `retired_after`: tokens that
/// they signed may still be valid.
fn list(
    tx: &mut Tx<'_>,
    role: &str,
    retired_after: DateTime<Utc>,
) -> Result<Vec<StoredKey>, DbError> {
    let is_usable = signing_keys::status
        .eq("active")
        .or(signing_keys::retired_at.gt(retired_after));
    Ok(signing_keys::table
        .filter(signing_keys::service.eq(role))
        .filter(is_usable)
        .order((signing_keys::status, signing_keys::retired_at.desc()))
        .select(StoredKey::as_select())
        .load(tx.conn())?)
}

/// Adds the key that signs; false when there is one already, which then is the one to use.
fn insert_active(
    tx: &mut Tx<'_>,
    role: &str,
    key: &SigningKey,
    sealed: &[u8],
) -> Result<bool, DbError> {
    let rows = diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(key.kid()),
            signing_keys::service.eq(role),
            signing_keys::algorithm.eq("EdDSA"),
            signing_keys::public_key.eq(key.public_key()),
            signing_keys::private_key.eq(sealed),
            signing_keys::status.eq("active"),
        ))
        // The unique index allows one active key a service: of two replicas that start at once,
        // the second waits here and then finds the first one's key.
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}
