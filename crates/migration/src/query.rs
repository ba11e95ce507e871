//! Questions with answers of one shape or another.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Untyped, Uuid as SqlUuid},
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
    let sql = "SELECT set_config('app.tenant_id', $1, true)";
    Kept::new(sql, vec![Value::Text(tenant)])
        .execute(conn)
        .map(drop)
}

/// A value of a [`Kept`] question.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Texts(&'a [String]),
    Number(i64),
    Id(Uuid),
    Ids(&'a [Uuid]),
}

/// A question that the connection prepares once and keeps, unlike [`sql_query`]: for those that are asked
/// for each tenant, which would be planned thousands of times.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    sql: &'a str,
    values: Vec<Value<'a>>,
}

impl<'a> Kept<'a> {
    /// `$1` to `$9` in `sql` are the values.
    pub(crate) const fn new(sql: &'a str, values: Vec<Value<'a>>) -> Self {
        Self { sql, values }
    }
}

impl QueryFragment<Pg> for Kept<'_> {
    /// Diesel numbers the parameters by itself: a value that is named twice becomes two.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut parts = self.sql.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let mut letters = part.chars();
            let digit = letters.next().and_then(|digit| digit.to_digit(10));
            let place = digit.and_then(|digit| usize::try_from(digit).ok()?.checked_sub(1));
            let Some(value) = place.and_then(|place| self.values.get(place)) else {
                out.push_sql("$");
                out.push_sql(part);
                continue;
            };
            match value {
                Value::Text(text) => out.push_bind_param::<Text, _>(text)?,
                Value::Texts(texts) => out.push_bind_param::<Array<Text>, _>(texts)?,
                Value::Number(number) => out.push_bind_param::<BigInt, _>(number)?,
                Value::Id(id) => out.push_bind_param::<SqlUuid, _>(id)?,
                Value::Ids(ids) => out.push_bind_param::<Array<SqlUuid>, _>(ids)?,
            }
            out.push_sql(letters.as_str());
        }
        Ok(())
    }
}

impl QueryId for Kept<'_> {
    type QueryId = ();

    // The text is what it is kept by.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Kept<'_> {
    type SqlType = Untyped;
}

impl<Conn> RunQueryDsl<Conn> for Kept<'_> {}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, pg::Pg};

    use super::{Kept, Value};

    #[test]
    fn a_value_that_is_named_twice_is_two_parameters_and_other_dollars_stay() {
        let sql = "SELECT $1, $2 WHERE x ~ '^a$' AND y = $1";
        let kept = Kept::new(sql, vec![Value::Text("t"), Value::Number(7)]);
        assert_eq!(
            debug_query::<Pg, _>(&kept).to_string(),
            r#"SELECT $1, $2 WHERE x ~ '^a$' AND y = $3 -- binds: ["t", 7, "t"]"#
        );
    }
}
