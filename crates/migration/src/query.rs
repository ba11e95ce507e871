//! Questions with answers of one shape or another.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

/// A text, perhaps.
#[derive(Debug, QueryableByName)]
pub(crate) struct Word {
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) value: Option<String>,
}

/// A number.
#[derive(Debug, QueryableByName)]
pub(crate) struct Count {
    #[diesel(sql_type = BigInt)]
    pub(crate) value: i64,
}

/// Where a row of the ledger points to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Target {
    #[diesel(sql_type = Text)]
    pub(crate) key: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) tenant_id: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) conversation_id: Option<Uuid>,
}

pub(crate) fn word(conn: &mut PgConnection, sql: &str) -> QueryResult<Option<String>> {
    Ok(sql_query(sql).get_result::<Word>(conn)?.value)
}

pub(crate) fn count(conn: &mut PgConnection, sql: &str) -> QueryResult<i64> {
    Ok(sql_query(sql).get_result::<Count>(conn)?.value)
}

/// Sets the tenant for the transaction: the tables of the organization-level model show no other's rows.
pub(crate) fn enter(conn: &mut PgConnection, tenant: &str) -> QueryResult<()> {
    sql_query("SELECT set_config('app.tenant_id', $1, true)")
        .bind::<Text, _>(tenant)
        .execute(conn)
        .map(drop)
}
