//! Statements over many rows at once, planned once for each connection.
//!
//! A statement whose text grows with the number of rows is parsed and planned each time. Here the
//! rows come as one array for each column, through `unnest`, so the text is always the same.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, Binary, Integer, Nullable, Text, Timestamptz, Untyped},
};
use uuid::Uuid;

/// A statement with `unnest` of its columns in the middle: `before unnest(…) after`.
///
/// ```ignore
/// OverRows::new("SELECT m.n FROM", " AS m (n, word)")
///     .column(numbers)
///     .column(words)
/// ```
pub struct OverRows {
    before: &'static str,
    columns: Vec<Column>,
    after: &'static str,
}

/// The values of one column, one for each row.
#[derive(Clone)]
pub enum Column {
    /// `uuid`
    Uuid(Vec<Uuid>),
    /// `text`
    Text(Vec<String>),
    /// `text` or null
    TextOrNull(Vec<Option<String>>),
    /// `bytea`
    Bytes(Vec<Vec<u8>>),
    /// `integer`
    Integer(Vec<i32>),
    /// `timestamptz`
    Time(Vec<DateTime<Utc>>),
    /// `timestamptz` or null
    TimeOrNull(Vec<Option<DateTime<Utc>>>),
}

macro_rules! column_from {
    ($($variant:ident: $type:ty,)*) => {
        $(impl From<Vec<$type>> for Column {
            fn from(values: Vec<$type>) -> Self {
                Self::$variant(values)
            }
        })*
    };
}

column_from! {
    Uuid: Uuid,
    Text: String,
    TextOrNull: Option<String>,
    Bytes: Vec<u8>,
    Integer: i32,
    Time: DateTime<Utc>,
    TimeOrNull: Option<DateTime<Utc>>,
}

impl OverRows {
    /// A statement without columns yet.
    pub const fn new(before: &'static str, after: &'static str) -> Self {
        Self {
            before,
            columns: Vec::new(),
            after,
        }
    }

    /// Adds a column; all must have as many values.
    #[must_use]
    pub fn column(mut self, values: impl Into<Column>) -> Self {
        self.columns.push(values.into());
        self
    }
}

impl QueryFragment<Pg> for OverRows {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.before);
        out.push_sql(" unnest(");
        for (n, column) in self.columns.iter().enumerate() {
            if n > 0 {
                out.push_sql(", ");
            }
            match column {
                Column::Uuid(values) => {
                    out.push_bind_param::<Array<diesel::sql_types::Uuid>, _>(values)?;
                }
                Column::Text(values) => out.push_bind_param::<Array<Text>, _>(values)?,
                Column::TextOrNull(values) => {
                    out.push_bind_param::<Array<Nullable<Text>>, _>(values)?;
                }
                Column::Bytes(values) => out.push_bind_param::<Array<Binary>, _>(values)?,
                Column::Integer(values) => out.push_bind_param::<Array<Integer>, _>(values)?,
                Column::Time(values) => out.push_bind_param::<Array<Timestamptz>, _>(values)?,
                Column::TimeOrNull(values) => {
                    out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(values)?;
                }
            }
        }
        out.push_sql(")");
        out.push_sql(self.after);
        Ok(())
    }
}

impl QueryId for OverRows {
    type QueryId = ();

    // The text tells statements apart.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for OverRows {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for OverRows {}
