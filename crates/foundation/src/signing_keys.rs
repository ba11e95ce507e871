//! The keys that sign a service's tokens: in the database, sealed, made by whoever starts first.
//!
//! `portalctl signing-keys rotate` adds the next one. It is published from the next look on, and
//! signs from the time that it carries: by then every verifier has seen it. The first replica to
//! look after that time puts it in place for all.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{dsl, prelude::*, sql_types::Timestamptz};
use portal_auth::{InvalidKey, SigningKey, SigningKeys};
use portal_db::{Db, DbError, Scope, Tx};
use portal_db_schema::schema::signing_keys;
use portal_vault::{
    Vault, VaultError,
    places::{PLATFORM, SIGNING_KEY},
};
use tokio_util::sync::CancellationToken;

/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(2);
/// Room for clocks that differ.
const CLOCKS: Duration = Duration::from_mins(1);

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
    /// How long a token is valid: so long its key is known after it stopped signing.
    pub token_lifetime: Duration,
    /// How often to look for changes, [`portal_auth::KEYS_RELOAD`] but in tests.
    pub reload: Duration,
}

impl KeyKeeper {
    /// Keeps the keys current until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.load().await {
                Ok(until_next) => until_next.map_or(self.reload, |until| until.min(self.reload)),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the signing keys cannot be loaded"
                    );
                    PAUSE.min(self.reload)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Puts the stored keys in place: makes one if none signs, and lets the next one sign when its
    /// time has come. Answers how long that is, if there is a next one.
    pub async fn load(&self) -> Result<Option<Duration>, SigningKeysError> {
        let mut stored = self.stored().await?;
        if stored.active().is_none() {
            self.create().await?;
            stored = self.stored().await?;
        }
        let mut next = self.open_next(&stored);
        if let Some((key, _)) = next.as_ref().filter(|(_, until)| until.is_zero()) {
            self.promote(key.kid()).await?;
            stored = self.stored().await?;
            next = self.open_next(&stored);
        }
        let active = stored.active().ok_or(SigningKeysError::NoneActive)?;
        let active = self.open(active)?;
        let retired = stored.keys.iter().filter(|key| key.status == "retired");
        let retired = retired.map(|key| self.open(key));
        let mut others = retired.collect::<Result<Vec<_>, _>>()?;
        let until_next = next.as_ref().map(|(_, until)| *until);
        others.extend(next.map(|(key, _)| key));
        self.keys.replace(active, &others);
        Ok(until_next)
    }

    /// The next key and how long it still waits. One that does not open is passed over: a mistake
    /// with it must not take the present one away, and who cannot sign with it must not let it sign.
    fn open_next(&self, stored: &Stored) -> Option<(SigningKey, Duration)> {
        let next = stored.keys.iter().find(|key| key.status == "next")?;
        match self.open(next) {
            Ok(key) => Some((key, next.waits(stored.now))),
            Err(error) => {
                tracing::error!(
                    kid = next.kid,
                    error = &error as &dyn std::error::Error,
                    "the next signing key does not open; take it back with `portalctl signing-keys rotate --abort`"
                );
                None
            }
        }
    }

    async fn stored(&self) -> Result<Stored, SigningKeysError> {
        let role = self.role;
        // A replica that did not hear of the change signs with the old key until it looks again.
        let keep = self.token_lifetime + self.reload + CLOCKS;
        let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
        let list = move |tx: &mut Tx<'_>| list(tx, role, keep);
        let read = self.db.read("signing_keys.list", Scope::Service, list);
        Ok(read.await?)
    }

    async fn promote(&self, kid: &str) -> Result<(), SigningKeysError> {
        let (role, next) = (self.role, kid.to_owned());
        let promote = move |tx: &mut Tx<'_>| promote(tx, role, &next);
        let write = self
            .db
            .write("signing_keys.promote", Scope::Service, promote);
        if write.await? {
            tracing::info!(kid, "the next signing key signs now");
        }
        Ok(())
    }

    async fn create(&self) -> Result<(), SigningKeysError> {
        let key = SigningKey::generate()?;
        let place = SIGNING_KEY.of(PLATFORM, key.kid());
        let sealed = self.vault.seal(&place, &key.to_stored())?;
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
        let place = SIGNING_KEY.of(PLATFORM, &stored.kid);
        let opened = self.vault.open(&place, &stored.private_key)?;
        Ok(SigningKey::from_stored(&opened)?)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
struct StoredKey {
    kid: String,
    private_key: Vec<u8>,
    status: String,
    activates_at: Option<DateTime<Utc>>,
}

impl StoredKey {
    /// How long a next key waits until it signs.
    fn waits(&self, now: DateTime<Utc>) -> Duration {
        let until = self.activates_at.map(|at| (at - now).to_std());
        // A time that is over gives no duration.
        until.and_then(Result::ok).unwrap_or_default()
    }
}

/// A service's keys and the database's clock, which is the same for all replicas.
struct Stored {
    keys: Vec<StoredKey>,
    now: DateTime<Utc>,
}

impl Stored {
    fn active(&self) -> Option<&StoredKey> {
        self.keys.iter().find(|key| key.status == "active")
    }
}

/// The keys that sign, will sign, or stopped signing within `keep`: tokens that they signed may
/// still be valid.
fn list(tx: &mut Tx<'_>, role: &str, keep: TimeDelta) -> Result<Stored, DbError> {
    let now = diesel::select(dsl::now.into_sql::<Timestamptz>())
        .get_result::<DateTime<Utc>>(tx.conn())?;
    let is_usable = signing_keys::status
        .ne("retired")
        .or(signing_keys::retired_at.gt(now.checked_sub_signed(keep)));
    let keys = signing_keys::table
        .filter(signing_keys::service.eq(role))
        .filter(is_usable)
        .order(signing_keys::retired_at.desc())
        .select(StoredKey::as_select())
        .load(tx.conn())?;
    Ok(Stored { keys, now })
}

/// Lets the next key sign in place of the present one; false when another replica did so, or the
/// operator took the key back.
fn promote(tx: &mut Tx<'_>, role: &str, next: &str) -> Result<bool, DbError> {
    // Whoever comes second waits here, and then finds no such key.
    let is_due = signing_keys::table
        .filter(signing_keys::service.eq(role))
        .filter(signing_keys::kid.eq(next))
        .filter(signing_keys::status.eq("next"))
        .filter(signing_keys::activates_at.le(dsl::now))
        .select(signing_keys::kid)
        .for_update()
        .first::<String>(tx.conn())
        .optional()?
        .is_some();
    if !is_due {
        return Ok(false);
    }
    let present = signing_keys::table
        .filter(signing_keys::service.eq(role))
        .filter(signing_keys::status.eq("active"));
    diesel::update(present)
        .set((
            signing_keys::status.eq("retired"),
            signing_keys::retired_at.eq(dsl::now),
        ))
        .execute(tx.conn())?;
    diesel::update(signing_keys::table.filter(signing_keys::kid.eq(next)))
        .set(signing_keys::status.eq("active"))
        .execute(tx.conn())?;
    Ok(true)
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
