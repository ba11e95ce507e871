//! What a database tells of itself for a manifest.

use anyhow::Context as _;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, Text},
};
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::{catalog_lines, data_hash, fingerprint_of};

use super::manifest::{Database, Extension, Schema};

/// The schemas that are backed up.
pub(super) fn schemas(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let found: Vec<Name> = sql_query(
        "SELECT n.nspname::text AS name FROM pg_namespace n \
         WHERE n.nspname !~ '^(pg_|__)' AND n.nspname NOT IN ('information_schema', $1) \
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass \
                         AND d.objid = n.oid AND d.deptype = 'e') ORDER BY n.nspname COLLATE \"C\"",
    )
    .bind::<Text, _>(ORGANIZATION_SCHEMA)
    .load(conn)?;
    Ok(found.into_iter().map(|found| found.name).collect())
}

/// Reads the catalog and all rows of a schema.
pub(super) fn schema(conn: &mut PgConnection, name: &str) -> anyhow::Result<Schema> {
    let data = data_hash(conn, name, |table, done, total| {
        eprintln!("hashing {}/{total} of {name}: {table}", done + 1);
    })?;
    let catalog = catalog_lines(conn, name)?;
    Ok(Schema {
        name: name.to_owned(),
        fingerprint: fingerprint_of(&catalog),
        catalog,
        data,
    })
}

/// Sequences whose number may not be read, with the statement that mends it; tables are held by
/// [`data_hash`].
pub(super) fn closed_sequences(
    conn: &mut PgConnection,
    schemas: &[String],
) -> anyhow::Result<Option<String>> {
    let found: Vec<Name> = sql_query(
        "SELECT format('GRANT SELECT ON SEQUENCE %s TO %I;', string_agg(format('%I.%I', schemaname, sequencename), \
             ', ' ORDER BY schemaname, sequencename), current_user) AS name FROM pg_sequences \
         WHERE schemaname = ANY($1) AND left(sequencename, 2) <> '__' \
             AND NOT has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'SELECT') \
         HAVING count(*) > 0",
    )
    .bind::<Array<Text>, _>(schemas)
    .load(conn)?;
    Ok(found.into_iter().next().map(|found| found.name))
}

/// Which of these schemas holds this system's own model.
pub(super) fn ours(conn: &mut PgConnection, schemas: &[String]) -> anyhow::Result<Option<String>> {
    let found: Vec<Name> = sql_query(
        "SELECT schemaname::text AS name FROM pg_tables \
         WHERE tablename = '__diesel_schema_migrations' AND schemaname = ANY($1)",
    )
    .bind::<Array<Text>, _>(schemas)
    .load(conn)?;
    Ok(found.into_iter().next().map(|found| found.name))
}

/// The `jsonb` knows the columns of every version.
pub(super) fn database(conn: &mut PgConnection) -> anyhow::Result<Database> {
    sql_query(
        "SELECT datname::text AS name, pg_get_userbyid(datdba)::text AS owner, \
             pg_encoding_to_char(encoding)::text AS encoding, \
             coalesce(to_jsonb(d)->>'datlocprovider', 'c') AS locale_provider, \
             datcollate::text AS collate, datctype::text AS ctype, \
             coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') AS locale \
         FROM pg_database d WHERE datname = current_database()",
    )
    .get_result(conn)
    .context("the server does not tell of the database")
}

pub(super) fn extensions(conn: &mut PgConnection) -> anyhow::Result<Vec<Extension>> {
    Ok(sql_query(
        "SELECT e.extname::text AS name, e.extversion AS version, n.nspname::text AS schema \
         FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
         ORDER BY e.extname COLLATE \"C\"",
    )
    .load(conn)?)
}

/// Roles that own something of these schemas, or that something is granted to.
pub(super) fn roles(conn: &mut PgConnection, schemas: &[String]) -> anyhow::Result<Vec<String>> {
    let found: Vec<Name> = sql_query(ROLES)
        .bind::<Array<Text>, _>(schemas)
        .load(conn)?;
    Ok(found.into_iter().map(|found| found.name).collect())
}

/// The moment that the transaction began, RFC 3339.
pub(super) fn moment(conn: &mut PgConnection) -> anyhow::Result<String> {
    let found: Name = sql_query(
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS name",
    )
    .get_result(conn)?;
    Ok(found.name)
}

const ROLES: &str = "\
WITH s AS (SELECT * FROM pg_namespace WHERE nspname = ANY($1)),
c AS (SELECT c.* FROM pg_class c JOIN s ON s.oid = c.relnamespace WHERE left(c.relname, 2) <> '__'),
o AS (
    SELECT nspowner AS owner, nspacl AS acl FROM s
    UNION ALL SELECT relowner, relacl FROM c
    UNION ALL SELECT c.relowner, a.attacl FROM c JOIN pg_attribute a ON a.attrelid = c.oid
    UNION ALL SELECT p.proowner, p.proacl FROM pg_proc p JOIN s ON s.oid = p.pronamespace
        WHERE left(p.proname, 2) <> '__'
    UNION ALL SELECT t.typowner, t.typacl FROM pg_type t JOIN s ON s.oid = t.typnamespace
        WHERE left(t.typname, 2) <> '__' AND t.typrelid = 0 AND t.typelem = 0
    UNION ALL SELECT d.defaclrole, d.defaclacl FROM pg_default_acl d JOIN s ON s.oid = d.defaclnamespace)
SELECT rolname::text AS name FROM pg_roles WHERE oid IN (
    SELECT owner FROM o UNION SELECT x.grantee FROM o, aclexplode(o.acl) x
    UNION SELECT unnest(p.polroles) FROM pg_policy p JOIN c ON c.oid = p.polrelid)
ORDER BY rolname COLLATE \"C\"";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}
