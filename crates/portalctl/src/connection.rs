//! The operator's connection.

use anyhow::Context as _;
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_types::{Bool, Text},
};
use portal_db_schema::ORGANIZATION_SCHEMA;
use secrecy::{ExposeSecret as _, SecretString};

/// Connects, and looks into [`ORGANIZATION_SCHEMA`] when the model is there and the URL names no
/// `search_path`. The error names the server's complaint and never the URL, which holds a password.
pub(crate) fn open(url: &SecretString) -> anyhow::Result<PgConnection> {
    Ok(open_placed(url)?.0)
}

/// As [`open`], with the URL that leads to the same schema without being told.
pub(crate) fn open_placed(url: &SecretString) -> anyhow::Result<(PgConnection, SecretString)> {
    let mut connection =
        PgConnection::establish(url.expose_secret()).context("cannot connect to the database")?;
    connection.batch_execute("SET application_name = 'portalctl'; SET timezone = 'UTC'")?;
    // Some errors are told by their text alone. Only a superuser may; roles.sql does it for the owner.
    drop(connection.batch_execute("SET lc_messages = 'C'"));
    let has_schema: Truth = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = '__diesel_schema_migrations') \
         AND (SELECT source <> 'client' FROM pg_settings WHERE name = 'search_path') AS value",
    )
    .bind::<Text, _>(ORGANIZATION_SCHEMA)
    .get_result(&mut connection)?;
    if !has_schema.value {
        return Ok((connection, url.clone()));
    }
    enter(&mut connection, ORGANIZATION_SCHEMA)?;
    let placed = with_search_path(url.expose_secret(), ORGANIZATION_SCHEMA);
    Ok((connection, placed.into()))
}

/// Lets the connection look into `schema` and nowhere else; it need not exist yet.
pub(crate) fn enter(conn: &mut PgConnection, schema: &str) -> diesel::QueryResult<()> {
    diesel::sql_query("SELECT set_config('search_path', quote_ident($1), false)")
        .bind::<Text, _>(schema)
        .execute(conn)
        .map(drop)
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    value: bool,
}

/// Adds the setting to the URL, or to what libpq also takes for one (`host=… dbname=…`), beside other
/// `options` that it has. The schema's name needs no quotes.
fn with_search_path(url: &str, schema: &str) -> String {
    if !url.contains("://") {
        return format!("{url} options='-csearch_path={schema}'");
    }
    let setting = format!("options=-csearch_path%3D{schema}");
    match url.split_once('?') {
        None => format!("{url}?{setting}"),
        Some((before, query)) => {
            let mut settings: Vec<String> = query.split('&').map(str::to_owned).collect();
            match settings.iter_mut().find(|one| one.starts_with("options=")) {
                Some(options) => {
                    *options = options.replacen("options=", &format!("{setting}%20"), 1);
                }
                None => settings.push(setting),
            }
            format!("{before}?{}", settings.join("&"))
        }
    }
}

/// Runs `work` and commits what it did, or nothing of it.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own connection, which serves no tenant"
)]
pub(crate) fn transaction<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    conn.transaction(work)
}

#[cfg(test)]
mod tests {
    use super::with_search_path;

    #[test]
    fn a_search_path_joins_what_the_url_says_already() {
        let joined = |url| with_search_path(url, "agent_portal");
        let url = "postgres://owner:a%3Fb@db/portal";
        let setting = "options=-csearch_path%3Dagent_portal";
        assert_eq!(joined(url), format!("{url}?{setting}"));
        assert_eq!(
            joined("postgres://db/portal?sslmode=require"),
            format!("postgres://db/portal?sslmode=require&{setting}")
        );
        assert_eq!(
            joined("postgres://db/portal?options=-cjit%3Doff&sslmode=require"),
            format!("postgres://db/portal?{setting}%20-cjit%3Doff&sslmode=require")
        );
        assert_eq!(
            joined("host=db dbname=portal"),
            "host=db dbname=portal options='-csearch_path=agent_portal'"
        );
    }
}
