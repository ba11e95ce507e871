//! Files in pieces, and under which ids Meta knows them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, now},
    prelude::*,
    sql_types,
};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{inbound_messages, media, media_chunks, media_links, media_uploads};
use portal_types::TenantId;
use uuid::Uuid;

use super::tenant_of;
use crate::domain::media::MediaKind;

const ARRIVING: &str = "arriving";
const READY: &str = "ready";

/// A file that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = media)]
pub(crate) struct MediaRow {
    pub(crate) media_id: Uuid,
    kind: Option<String>,
    mime_type: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) size_bytes: i64,
    sha256: Option<Vec<u8>>,
    pub(crate) last_used_at: DateTime<Utc>,
}

impl MediaRow {
    pub(crate) fn kind(&self) -> Result<MediaKind, DbError> {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.parse()
            .map_err(|_unknown| DbError::Corrupt("media.kind".to_owned()))
    }

    pub(crate) fn mime_type(&self) -> &str {
        self.mime_type.as_deref().unwrap_or_default()
    }

    pub(crate) fn sha256(&self) -> &[u8] {
        self.sha256.as_deref().unwrap_or_default()
    }

    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.size_bytes).unwrap_or_default()
    }
}

/// What is known of a file once all of it is here.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) kind: MediaKind,
    pub(crate) mime_type: &'static str,
    pub(crate) file_name: Option<String>,
    pub(crate) size_bytes: i64,
    pub(crate) sha256: Vec<u8>,
    /// How many pieces there must be.
    pub(crate) chunks: i64,
}

fn lock_tenant(tx: &mut Tx<'_>) -> Result<(), DbError> {
    let tenant = tenant_of(tx);
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('media:' || $1, 0))")
        .bind::<sql_types::Text, _>(tenant)
        .execute(tx.conn())?;
    Ok(())
}

/// Keeps room for a file of at most `room` bytes; false when the tenant would then have more than
/// `quota` bytes. One transaction at a time for each tenant, so that the sum is right.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    room: i64,
    quota: i64,
) -> Result<bool, DbError> {
    lock_tenant(tx)?;
    let used: i64 = media::table
        .select(diesel::dsl::sql::<sql_types::BigInt>(
            "coalesce(sum(size_bytes), 0)::bigint",
        ))
        .first(tx.conn())?;
    if used.saturating_add(room) > quota {
        return Ok(false);
    }
    diesel::insert_into(media::table)
        .values((
            media::tenant_id.eq(tenant_of(tx)),
            media::media_id.eq(media_id),
            media::size_bytes.eq(room),
        ))
        .execute(tx.conn())?;
    Ok(true)
}

/// Adds a piece to a file that is arriving.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    ordinal: i32,
    bytes: &[u8],
) -> Result<(), DbError> {
    let tenant = tenant_of(tx);
    diesel::insert_into(media_chunks::table)
        .values((
            media_chunks::tenant_id.eq(tenant),
            media_chunks::media_id.eq(media_id),
            media_chunks::ordinal.eq(ordinal),
            media_chunks::bytes.eq(bytes),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Makes an arriving file usable, or answers the one with the same content that is here already
/// (this one is forgotten then).
pub(crate) fn finish(tx: &mut Tx<'_>, media_id: Uuid, whole: &Whole) -> Result<MediaRow, DbError> {
    lock_tenant(tx)?;
    let same = diesel::update(
        media::table
            .filter(media::state.eq(READY))
            .filter(media::sha256.eq(&whole.sha256))
            .filter(media::mime_type.eq(whole.mime_type)),
    )
    .set(media::last_used_at.eq(now))
    .returning(MediaRow::as_returning())
    .get_result(tx.conn())
    .optional()?;
    if let Some(same) = same {
        delete(tx, media_id)?;
        return Ok(same);
    }
    let chunks: i64 = media_chunks::table
        .filter(media_chunks::media_id.eq(media_id))
        .select(count_star())
        .first(tx.conn())?;
    if chunks != whole.chunks {
        return Err(DbError::Corrupt(
            "media_chunks: pieces are missing".to_owned(),
        ));
    }
    Ok(diesel::update(
        media::table
            .filter(media::media_id.eq(media_id))
            .filter(media::state.eq(ARRIVING)),
    )
    .set((
        media::state.eq(READY),
        media::kind.eq(whole.kind.to_string()),
        media::mime_type.eq(whole.mime_type),
        media::file_name.eq(&whole.file_name),
        media::size_bytes.eq(whole.size_bytes),
        media::sha256.eq(&whole.sha256),
        media::last_used_at.eq(now),
    ))
    .returning(MediaRow::as_returning())
    .get_result(tx.conn())?)
}

/// A usable file of the transaction's tenant.
pub(crate) fn find(tx: &mut Tx<'_>, media_id: Uuid) -> Result<Option<MediaRow>, DbError> {
    Ok(media::table
        .filter(media::media_id.eq(media_id))
        .filter(media::state.eq(READY))
        .select(MediaRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Notes that a file is in use.
pub(crate) fn touch(tx: &mut Tx<'_>, media_id: Uuid) -> Result<(), DbError> {
    diesel::update(media::table.filter(media::media_id.eq(media_id)))
        .set(media::last_used_at.eq(now))
        .execute(tx.conn())?;
    Ok(())
}

/// A piece of a file; `None` after the last one.
pub(crate) fn chunk(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    ordinal: i32,
) -> Result<Option<Vec<u8>>, DbError> {
    Ok(media_chunks::table
        .filter(media_chunks::media_id.eq(media_id))
        .filter(media_chunks::ordinal.eq(ordinal))
        .select(media_chunks::bytes)
        .first(tx.conn())
        .optional()?)
}

/// Forgets a file with its pieces and Meta's ids; false when there is none.
pub(crate) fn delete(tx: &mut Tx<'_>, media_id: Uuid) -> Result<bool, DbError> {
    let rows =
        diesel::delete(media::table.filter(media::media_id.eq(media_id))).execute(tx.conn())?;
    Ok(rows > 0)
}

/// As [`delete`], unless it arrived or is used again meanwhile.
pub(crate) fn delete_unused(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    unused_since: DateTime<Utc>,
    begun_before: DateTime<Utc>,
) -> Result<bool, DbError> {
    let is_stuck = media::state
        .eq(ARRIVING)
        .and(media::created_at.lt(begun_before));
    let rows = diesel::delete(
        media::table
            .filter(media::media_id.eq(media_id))
            .filter(media::last_used_at.lt(unused_since).or(is_stuck)),
    )
    .execute(tx.conn())?;
    Ok(rows > 0)
}

/// Files of all tenants that nobody used since `unused_since`, and those that began to arrive
/// before `begun_before` and never did.
pub(crate) fn list_unused_any_tenant(
    tx: &mut Tx<'_>,
    unused_since: DateTime<Utc>,
    begun_before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid)>, DbError> {
    let is_stuck = media::state
        .eq(ARRIVING)
        .and(media::created_at.lt(begun_before));
    let rows: Vec<(String, Uuid)> = media::table
        .filter(media::last_used_at.lt(unused_since).or(is_stuck))
        .order(media::last_used_at)
        .limit(limit)
        .select((media::tenant_id, media::media_id))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(tenant, id)| {
            let tenant = TenantId::parse(&tenant)
                .map_err(|_invalid| DbError::Corrupt("media.tenant_id".to_owned()))?;
            Ok((tenant, id))
        })
        .collect()
}

/// Meta's id of a file, while it lasts.
pub(crate) fn meta_id(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    phone_number_id: &str,
) -> Result<Option<String>, DbError> {
    let id: Option<Option<String>> = media_uploads::table
        .filter(media_uploads::media_id.eq(media_id))
        .filter(media_uploads::phone_number_id.eq(phone_number_id))
        .filter(media_uploads::expires_at.gt(now))
        .select(media_uploads::meta_media_id)
        .first(tx.conn())
        .optional()?;
    Ok(id.flatten())
}

/// Takes it on to upload a file for a number, for `lease_seconds`; false when Meta has the file or
/// somebody else is at it.
pub(crate) fn claim_upload(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    phone_number_id: &str,
    lease_seconds: i32,
) -> Result<bool, DbError> {
    let tenant = tenant_of(tx);
    let rows = diesel::sql_query(
        "INSERT INTO media_uploads AS u (tenant_id, media_id, phone_number_id, lease_until) \
         VALUES ($1, $2, $3, now() + make_interval(secs => $4)) \
         ON CONFLICT (tenant_id, media_id, phone_number_id) DO UPDATE \
         SET lease_until = excluded.lease_until, meta_media_id = NULL, expires_at = NULL \
         WHERE coalesce(u.expires_at <= now(), true) AND coalesce(u.lease_until <= now(), true)",
    )
    .bind::<sql_types::Text, _>(tenant)
    .bind::<sql_types::Uuid, _>(media_id)
    .bind::<sql_types::Text, _>(phone_number_id)
    .bind::<sql_types::Integer, _>(lease_seconds)
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Ends an upload: with Meta's id and for how many seconds it lasts, or without.
pub(crate) fn end_upload(
    tx: &mut Tx<'_>,
    media_id: Uuid,
    phone_number_id: &str,
    outcome: Option<(&str, i32)>,
) -> Result<(), DbError> {
    let lasts = outcome.map_or(0, |(_, seconds)| seconds);
    let ends = diesel::dsl::sql::<sql_types::Nullable<sql_types::Timestamptz>>(
        "now() + make_interval(secs => ",
    )
    .bind::<sql_types::Integer, _>(lasts)
    .sql(")");
    let upload = media_uploads::table
        .filter(media_uploads::media_id.eq(media_id))
        .filter(media_uploads::phone_number_id.eq(phone_number_id));
    let nobody = media_uploads::lease_until.eq(None::<DateTime<Utc>>);
    match outcome {
        Some((id, _)) => diesel::update(upload)
            .set((
                nobody,
                media_uploads::meta_media_id.eq(id),
                media_uploads::expires_at.eq(ends),
            ))
            .execute(tx.conn())?,
        None => diesel::update(upload).set(nobody).execute(tx.conn())?,
    };
    Ok(())
}

/// Forgets Meta's ids of files for a number, as far as they end within `seconds`. Answers whether any
/// of them is not the file's id any more: forgotten here, or by another.
pub(crate) fn forget_meta_ids(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    ids: &[(Uuid, &str)],
    seconds: i32,
) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Renewed {
        #[diesel(sql_type = sql_types::Bool)]
        renewed: bool,
    }
    let (media_ids, meta_ids): (Vec<Uuid>, Vec<&str>) = ids.iter().copied().unzip();
    diesel::sql_query(
        "UPDATE media_uploads u SET meta_media_id = NULL, expires_at = NULL \
         FROM unnest($2, $3) AS f (media_id, meta_media_id) \
         WHERE u.media_id = f.media_id AND u.phone_number_id = $1 \
           AND u.meta_media_id = f.meta_media_id \
           AND u.expires_at < now() + make_interval(secs => $4)",
    )
    .bind::<sql_types::Text, _>(phone_number_id)
    .bind::<sql_types::Array<sql_types::Uuid>, _>(&media_ids)
    .bind::<sql_types::Array<sql_types::Text>, _>(&meta_ids)
    .bind::<sql_types::Integer, _>(seconds)
    .execute(tx.conn())?;
    let found: Renewed = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM unnest($2, $3) AS f (media_id, meta_media_id) \
             WHERE NOT EXISTS (SELECT FROM media_uploads u WHERE u.media_id = f.media_id \
                 AND u.phone_number_id = $1 AND u.meta_media_id = f.meta_media_id)) AS renewed",
    )
    .bind::<sql_types::Text, _>(phone_number_id)
    .bind::<sql_types::Array<sql_types::Uuid>, _>(&media_ids)
    .bind::<sql_types::Array<sql_types::Text>, _>(&meta_ids)
    .get_result(tx.conn())?;
    Ok(found.renewed)
}

/// The file that was fetched from an address within the last `seconds`.
pub(crate) fn find_link(
    tx: &mut Tx<'_>,
    link_sha256: &[u8],
    seconds: i32,
) -> Result<Option<Uuid>, DbError> {
    let is_fresh =
        diesel::dsl::sql::<sql_types::Bool>("fetched_at > now() - make_interval(secs => ")
            .bind::<sql_types::Integer, _>(seconds)
            .sql(")");
    Ok(media_links::table
        .filter(media_links::link_sha256.eq(link_sha256))
        .filter(is_fresh)
        .select(media_links::media_id)
        .first(tx.conn())
        .optional()?)
}

/// Notes what was fetched from an address just now.
pub(crate) fn note_link(
    tx: &mut Tx<'_>,
    link_sha256: &[u8],
    media_id: Uuid,
) -> Result<(), DbError> {
    let tenant = tenant_of(tx);
    diesel::insert_into(media_links::table)
        .values((
            media_links::tenant_id.eq(tenant),
            media_links::link_sha256.eq(link_sha256),
            media_links::media_id.eq(media_id),
        ))
        .on_conflict((media_links::tenant_id, media_links::link_sha256))
        .do_update()
        .set((
            media_links::media_id.eq(media_id),
            media_links::fetched_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The number to which a message brought a file, and when by Meta's clock; the latest, when several
/// did.
pub(crate) fn find_inbound(
    tx: &mut Tx<'_>,
    meta_media_id: &str,
) -> Result<Option<(String, DateTime<Utc>)>, DbError> {
    Ok(inbound_messages::table
        .filter(inbound_messages::media_id.eq(meta_media_id))
        .order(inbound_messages::sent_at.desc())
        .select((inbound_messages::phone_number_id, inbound_messages::sent_at))
        .first(tx.conn())
        .optional()?)
}
