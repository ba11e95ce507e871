//! One WhatsApp account for each organization, of those that its agents had.

use diesel::{
    OptionalExtension as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    sql_query,
    sql_types::{Array, Binary, Bool, Nullable, Text, Uuid as SqlUuid},
};
use portal_legacy::{ACCOUNTS, Judged, Lifted, Number, ORGANIZATION_ACCOUNTS, Ownership, Verdict};
use portal_vault::{Vault, fingerprint, mask, places::WHATSAPP_TOKEN};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{
    MigrationError,
    copy::Copy,
    query::{self, Word},
    source::Source,
};

/// Rows of the ledger that are written at once.
const ROWS: usize = 5_000;

#[derive(QueryableByName)]
struct Config {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    waba_id: String,
    #[diesel(sql_type = Binary)]
    access_token: Vec<u8>,
}

impl Copy<'_> {
    /// Writes what was decided. An account that the organization set up by itself since stays.
    pub(crate) fn place_accounts(
        &self,
        conn: &mut PgConnection,
        vault: &Vault,
        ownership: &Ownership,
    ) -> Result<(), MigrationError> {
        let (mut done, mut placed) = (0, Vec::new());
        for lifted in &ownership.lifted {
            if self.batch(conn, |conn| self.place_account(conn, vault, lifted))? {
                placed.push((lifted.subject, lifted.key.as_str()));
            }
            done += 1;
            (self.pace.tell)("place WhatsApp accounts", done);
        }
        self.batch(conn, |conn| {
            sql_query("DELETE FROM __legacy_ledger WHERE subject = ANY ($1)")
                .bind::<Array<Text>, _>(vec![ACCOUNTS, ORGANIZATION_ACCOUNTS])
                .execute(conn)?;
            for subject in [ACCOUNTS, ORGANIZATION_ACCOUNTS] {
                let of_subject: Vec<_> = ownership
                    .accounts
                    .iter()
                    .filter(|judged| judged.subject == subject)
                    .collect();
                for rows in of_subject.chunks(ROWS) {
                    self.note(conn, subject, rows, &placed)?;
                }
            }
            Ok(())
        })
    }

    /// Whether the tenant has it now.
    fn place_account(
        &self,
        conn: &mut PgConnection,
        vault: &Vault,
        lifted: &Lifted,
    ) -> Result<bool, MigrationError> {
        let tenant = &lifted.tenant_key;
        if !is_migrated(conn, tenant)? {
            return Ok(false);
        }
        query::enter(conn, tenant)?;
        let config_id = config_id(conn, tenant)?;
        let known = config(conn, tenant)?;
        if known.as_ref().is_some_and(|known| known.id != config_id) {
            return Ok(false);
        }
        let token = token(conn, &self.source, lifted)?;
        if !known.is_some_and(|known| is_same(vault, lifted, &known, &token)) {
            write(conn, vault, lifted, config_id, &token)?;
        }
        write_numbers(conn, lifted, config_id)?;
        Ok(true)
    }

    fn note(
        &self,
        conn: &mut PgConnection,
        subject: &str,
        rows: &[&Judged],
        placed: &[(&str, &str)],
    ) -> QueryResult<()> {
        let source = &self.source;
        let Some(table) = source.table(subject) else {
            return Ok(());
        };
        let (key, kind) = (source.column(subject, "key"), source.key_type(subject));
        let shown = ["waba_id", "phone_number_id", "display_phone_number"]
            .map(|meaning| source.text(subject, meaning));
        let verdicts = rows.iter().map(|row| match row.verdict {
            // The organization set up another one by itself meanwhile.
            Verdict::Migrated if !placed.contains(&(row.subject, row.key.as_str())) => "skipped",
            Verdict::Migrated => "migrated",
            Verdict::Merged => "merged",
            Verdict::Skipped => "skipped",
            Verdict::Rejected => "rejected",
        });
        let column = |of: fn(&Judged) -> &str| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        sql_query(format!(
            "INSERT INTO __legacy_ledger (subject, key, verdict, reason, tenant_id, target_id, external_id) \
             SELECT '{subject}', j.key, j.verdict, j.reason, t.tenant_id, \
                 CASE WHEN j.verdict IN ('migrated', 'merged') THEN md5('whatsapp:' || t.tenant_id)::uuid END, \
                 concat_ws(' ', {}) \
             FROM unnest($1, $2, $3, $4) j (key, verdict, reason, tenant) \
             JOIN {table} a ON a.{key} = j.key::{kind} \
             LEFT JOIN __legacy_ledger t ON t.subject = 'tenants' AND t.key = j.tenant",
            shown.join(", ")
        ))
        .bind::<Array<Text>, _>(column(|row| &row.key))
        .bind::<Array<Text>, _>(verdicts.collect::<Vec<_>>())
        .bind::<Array<Text>, _>(column(|row| &row.reason))
        .bind::<Array<Nullable<Text>>, _>(
            rows.iter()
                .map(|row| row.tenant_key.as_deref())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .map(drop)
    }
}

/// Counts organizations whose token does not open, or is not the legacy one.
///
/// # Errors
/// When the database says so.
pub(crate) fn wrong(
    conn: &mut PgConnection,
    source: &Source<'_>,
    vault: &Vault,
    ownership: &Ownership,
) -> Result<i64, MigrationError> {
    let mut wrong = 0;
    for lifted in &ownership.lifted {
        let is_wrong =
            conn.build_transaction().read_only().run(|conn| {
                let tenant = &lifted.tenant_key;
                if !is_migrated(conn, tenant)? {
                    return Ok(false);
                }
                query::enter(conn, tenant)?;
                let (ours, known) = (config_id(conn, tenant)?, config(conn, tenant)?);
                let token = token(conn, source, lifted)?;
                Ok::<_, MigrationError>(known.is_none_or(|known| {
                    known.id == ours && !is_same(vault, lifted, &known, &token)
                }))
            })?;
        wrong += i64::from(is_wrong);
    }
    Ok(wrong)
}

fn is_migrated(conn: &mut PgConnection, tenant: &str) -> QueryResult<bool> {
    let found: Word = sql_query(
        "SELECT max(verdict) AS value FROM __legacy_ledger WHERE subject = 'tenants' AND key = $1",
    )
    .bind::<Text, _>(tenant)
    .get_result(conn)?;
    Ok(found.value.as_deref() == Some("migrated"))
}

/// Follows from the tenant, so that a second run finds what the first one wrote.
fn config_id(conn: &mut PgConnection, tenant: &str) -> QueryResult<Uuid> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let found: Id = sql_query("SELECT md5('whatsapp:' || $1)::uuid AS id")
        .bind::<Text, _>(tenant)
        .get_result(conn)?;
    Ok(found.id)
}

fn config(conn: &mut PgConnection, tenant: &str) -> QueryResult<Option<Config>> {
    sql_query(
        "SELECT config_id AS id, waba_id::text AS waba_id, access_token FROM tenant_whatsapp_config \
         WHERE tenant_id = $1",
    )
    .bind::<Text, _>(tenant)
    .get_result(conn)
    .optional()
}

/// In memory alone, and sealed before it is written.
fn token(
    conn: &mut PgConnection,
    source: &Source<'_>,
    lifted: &Lifted,
) -> QueryResult<SecretString> {
    let table = source.table(lifted.subject).unwrap_or_default();
    let (key, kind) = (
        source.column(lifted.subject, "key"),
        source.key_type(lifted.subject),
    );
    let found: Word = sql_query(format!(
        "SELECT {} AS value FROM {table} a WHERE a.{key} = $1::{kind}",
        source.text(lifted.subject, "access_token")
    ))
    .bind::<Text, _>(&lifted.key)
    .get_result(conn)?;
    Ok(found.value.unwrap_or_default().into())
}

fn is_same(vault: &Vault, lifted: &Lifted, known: &Config, token: &SecretString) -> bool {
    let row_id = known.id.to_string();
    let binding = WHATSAPP_TOKEN.of(&lifted.tenant_key, &row_id);
    known.waba_id == lifted.waba_id
        && vault
            .open(&binding, &known.access_token)
            .is_ok_and(|opened| opened.expose_secret() == token.expose_secret())
}

fn write(
    conn: &mut PgConnection,
    vault: &Vault,
    lifted: &Lifted,
    config_id: Uuid,
    token: &SecretString,
) -> Result<(), MigrationError> {
    let row_id = config_id.to_string();
    let sealed = vault
        .seal(&WHATSAPP_TOKEN.of(&lifted.tenant_key, &row_id), token)
        .map_err(|error| MigrationError::Vault {
            account: lifted.key.clone(),
            error,
        })?;
    sql_query(
        "INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, business_id, access_token, \
             access_token_last4, access_token_fingerprint) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (tenant_id) DO UPDATE SET waba_id = excluded.waba_id, business_id = excluded.business_id, \
             access_token = excluded.access_token, access_token_last4 = excluded.access_token_last4, \
             access_token_fingerprint = excluded.access_token_fingerprint, token_status = 'unknown', \
             version = tenant_whatsapp_config.version + 1, updated_at = now()",
    )
    .bind::<SqlUuid, _>(config_id)
    .bind::<Text, _>(&lifted.tenant_key)
    .bind::<Text, _>(&lifted.waba_id)
    .bind::<Nullable<Text>, _>(&lifted.business_id)
    .bind::<Binary, _>(sealed)
    .bind::<Text, _>(mask(token))
    .bind::<Text, _>(fingerprint(token))
    .execute(conn)?;
    Ok(())
}

fn write_numbers(conn: &mut PgConnection, lifted: &Lifted, config_id: Uuid) -> QueryResult<()> {
    let ids: Vec<_> = lifted
        .numbers
        .iter()
        .map(|number| number.phone_number_id.as_str())
        .collect();
    // Before another one is the default: there is one at most.
    sql_query(
        "DELETE FROM tenant_whatsapp_numbers WHERE tenant_id = $1 AND config_id = $2 \
         AND (phone_number_id <> ALL ($3) OR is_default AND phone_number_id <> $3[1])",
    )
    .bind::<Text, _>(&lifted.tenant_key)
    .bind::<SqlUuid, _>(config_id)
    .bind::<Array<Text>, _>(&ids)
    .execute(conn)?;
    for (place, number) in lifted.numbers.iter().enumerate() {
        let Number {
            phone_number_id,
            display_phone_number,
        } = number;
        sql_query(
            "INSERT INTO tenant_whatsapp_numbers (tenant_id, phone_number_id, config_id, \
                 display_phone_number, is_default) VALUES ($1, $2, $3, left($4, 32), $5) \
             ON CONFLICT (tenant_id, phone_number_id) DO UPDATE SET is_default = excluded.is_default, \
                 display_phone_number = excluded.display_phone_number, updated_at = now() \
             WHERE (tenant_whatsapp_numbers.is_default, tenant_whatsapp_numbers.display_phone_number) \
                 IS DISTINCT FROM (excluded.is_default, excluded.display_phone_number)",
        )
        .bind::<Text, _>(&lifted.tenant_key)
        .bind::<Text, _>(phone_number_id)
        .bind::<SqlUuid, _>(config_id)
        .bind::<Text, _>(display_phone_number.as_deref().unwrap_or(phone_number_id))
        .bind::<Bool, _>(place == 0)
        .execute(conn)?;
    }
    Ok(())
}
