//! Which keys seal which records.

use anyhow::Context as _;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    sql_types::{BigInt, Bytea, Text},
};
use portal_vault::{
    Vault,
    places::{self, Place},
};
use serde_json::json;

use super::batch::{enter, is_of_another_key};
use crate::{Answer, connection};

#[derive(QueryableByName)]
struct Sealed {
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

pub(super) fn run(conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let (mut lines, mut columns) = (Vec::new(), Vec::new());
    for place in places::ALL {
        for sealed in by_key(conn, &place)? {
            lines.push(format!(
                "{} {}.{}: {} record(s)",
                sealed.key_id, place.table, place.column, sealed.records
            ));
            columns.push(json!({
                "table": place.table,
                "column": place.column,
                "key_id": sealed.key_id,
                "records": sealed.records,
            }));
        }
    }
    lines.sort();
    Ok(Answer {
        text: if lines.is_empty() {
            "Nothing is sealed yet.".to_owned()
        } else {
            lines.join("\n")
        },
        json: json!({ "columns": columns }),
        as_wanted: true,
    })
}

fn by_key(conn: &mut PgConnection, place: &Place) -> anyhow::Result<Vec<Sealed>> {
    let Place { table, column, .. } = place;
    // Version, length, id: as the vault writes it. What is none of its records is told, too.
    let sql = format!(
        "SELECT CASE WHEN octet_length({column}) > 2 AND get_byte({column}, 0) = 1 \
             THEN encode(substring({column} FROM 3 FOR get_byte({column}, 1)), 'escape') \
             ELSE '(no record of the vault)' END AS key_id, count(*) AS records \
         FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
    );
    connection::transaction(conn, |conn| {
        enter(conn).context("cannot read: run `portalctl db migrate` first")?;
        Ok(diesel::sql_query(sql).load(conn)?)
    })
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Records of other keys than the active one.
pub(super) fn left(conn: &mut PgConnection, vault: &Vault, place: &Place) -> anyhow::Result<usize> {
    let sql = format!(
        "SELECT count(*) AS records FROM {} WHERE {}",
        place.table,
        is_of_another_key(place.column)
    );
    let prefix = vault.active_prefix()?;
    let found: Left = connection::transaction(conn, |conn| {
        enter(conn)?;
        let query = diesel::sql_query(sql).bind::<Bytea, _>(prefix);
        Ok(query.get_result(conn)?)
    })?;
    Ok(usize::try_from(found.records)?)
}
