//! A database of one's own for each test, copied from a template that is migrated once.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use diesel_migrations::MigrationHarness as _;
use portal_db_schema::ORGANIZATION_SCHEMA;

/// The service that a test logs in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceRole {
    /// tenant-service
    Tenant,
    /// agent-portal-service
    AgentPortal,
    /// outbound-message-service
    Outbound,
    /// The owner, which migrations run as.
    Owner,
}

impl ServiceRole {
    /// The service's user at Redis and RabbitMQ.
    pub(crate) const fn user(self) -> &'static str {
        match self {
            Self::Tenant => "tenant-service",
            Self::AgentPortal => "agent-portal-service",
            Self::Outbound => "outbound-message-service",
            Self::Owner => "nobody",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant_service",
            Self::AgentPortal => "agent_portal_service",
            Self::Outbound => "outbound_message_service",
            Self::Owner => "agent_portal_owner",
        }
    }
}

/// A migrated database, dropped with the value.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    server: String,
    schema: &'static str,
}

impl TestDb {
    /// Copies the template, which is made first when there is none for these migrations.
    pub fn new() -> Self {
        Self::new_on(super::required("TEST_DATABASE_URL"))
    }

    /// As [`TestDb::new`], on another server: the URL is its superuser's.
    pub fn new_on(server: String) -> Self {
        let db = Self::named_on(server);
        db.create_from_template();
        db
    }

    /// The same tables in [`ORGANIZATION_SCHEMA`], which all URLs lead to, beside a legacy
    /// installation's in `public`.
    pub fn beside_legacy() -> Self {
        let mut db = Self::named_on(super::required("TEST_DATABASE_URL"));
        db.schema = ORGANIZATION_SCHEMA;
        db.create_from_template();
        db
    }

    /// A database with the roles of `deploy/postgres/roles.sql` and no tables.
    pub fn unmigrated() -> Self {
        let db = Self::named_on(super::required("TEST_DATABASE_URL"));
        db.create("");
        db.apply_roles();
        db
    }

    /// The same database after a migration of the legacy installation in it: all URLs lead to
    /// [`ORGANIZATION_SCHEMA`].
    #[must_use]
    pub const fn in_organization_schema(mut self) -> Self {
        self.schema = ORGANIZATION_SCHEMA;
        self
    }

    /// The URL for one of the services' roles.
    pub fn url(&self, role: ServiceRole) -> String {
        let superuser = self.superuser_url();
        let (scheme, rest) = superuser.split_once("://").expect("a URL has a scheme");
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{}@{host}", role.name())
    }

    /// The superuser's URL, who sees all rows: for looking at the outcome, never for the code under
    /// test.
    pub fn superuser_url(&self) -> String {
        let url = with_database(&self.server, &self.name);
        match self.schema {
            "public" => url,
            schema => format!("{url}?options=-csearch_path%3D{schema}"),
        }
    }

    /// As [`TestDb::url`], without a word of the schema that the tables are in.
    pub fn plain_url(&self, role: ServiceRole) -> String {
        let url = self.url(role);
        url.split_once('?')
            .map_or(url.clone(), |(url, _)| url.to_owned())
    }

    /// Runs one query as superuser and gives its only column as text, row by row (`''` for NULL).
    pub fn query(&self, sql: &str) -> Vec<String> {
        query_as(&self.superuser_url(), None, sql).expect("the query runs")
    }

    /// The tables with a row that has `needle`, as text or as bytes of one, whatever the column; in
    /// their order. For what must be nowhere.
    pub fn tables_with(&self, needle: &str) -> Vec<String> {
        use std::fmt::Write as _;
        let hex = needle.bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a text takes more");
            hex
        });
        let tables = "SELECT relname FROM pg_class WHERE relkind = 'r' \
             AND relnamespace = current_schema()::regnamespace ORDER BY relname";
        let mut tables = self.query(tables);
        tables.retain(|table| {
            let found = format!(
                "SELECT count(*) FROM {table} x WHERE x::text ILIKE '%{needle}%' OR x::text LIKE '%{hex}%'"
            );
            self.query(&found) != ["0"]
        });
        tables
    }

    /// Runs one query logged in as `role`, with `tenant` set for the transaction as services do.
    pub fn query_as(
        &self,
        role: ServiceRole,
        tenant: Option<&str>,
        sql: &str,
    ) -> Result<Vec<String>, diesel::result::Error> {
        query_as(&self.url(role), tenant, sql)
    }

    /// Runs statements as superuser.
    pub fn execute(&self, sql: &str) {
        connect(&self.superuser_url())
            .batch_execute(sql)
            .expect("the statements run");
    }

    /// Runs `deploy/postgres/roles.sql` once more.
    pub fn apply_roles(&self) {
        apply_roles(&mut connect(&self.superuser_url()));
    }

    fn named_on(server: String) -> Self {
        Self {
            name: format!("test_{}", uuid::Uuid::now_v7().simple()),
            server,
            schema: "public",
        }
    }

    fn create_from_template(&self) {
        let template = ensure_template(&self.server, self.schema);
        self.create(&format!(" TEMPLATE {template}"));
    }

    fn create(&self, how: &str) {
        connect(&self.server)
            .batch_execute(&format!("CREATE DATABASE {}{how}", self.name))
            .expect("the test database is created");
    }
}

impl Default for TestDb {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // Best effort: the server itself is thrown away after the run.
        if let Ok(mut conn) = PgConnection::establish(&self.server) {
            drop(conn.batch_execute(&format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            )));
        }
    }
}

#[derive(diesel::QueryableByName)]
struct Cell {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

fn query_as(
    url: &str,
    tenant: Option<&str>,
    sql: &str,
) -> Result<Vec<String>, diesel::result::Error> {
    let mut conn = connect(url);
    conn.batch_execute("BEGIN")?;
    if let Some(tenant) = tenant {
        conn.batch_execute(&format!("SET LOCAL app.tenant_id = '{tenant}'"))?;
    }
    let wrapped = format!("SELECT coalesce(q.c::text, '') AS value FROM ({sql}) AS q (c)");
    let rows = diesel::sql_query(wrapped).load::<Cell>(&mut conn)?;
    conn.batch_execute("COMMIT")?;
    Ok(rows.into_iter().map(|cell| cell.value).collect())
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("the test database server answers")
}

fn with_database(server: &str, name: &str) -> String {
    let (base, _) = server
        .rsplit_once('/')
        .expect("a database URL names a database");
    format!("{base}/{name}")
}

fn apply_roles(conn: &mut PgConnection) {
    // Roles belong to the whole server: two tests that create them at once would collide.
    conn.batch_execute("SELECT pg_advisory_lock(727001)")
        .expect("lock");
    conn.batch_execute(include_str!("../../../deploy/postgres/roles.sql"))
        .expect("roles.sql runs");
    conn.batch_execute("SELECT pg_advisory_unlock(727001)")
        .expect("unlock");
}

/// What stands in `public` beside [`ORGANIZATION_SCHEMA`].
const LEGACY: &str =
    include_str!("../../../crates/portalctl/tests/it/fixtures/legacy_whatsapp_genesys.sql");

/// Makes the template for exactly these migrations in that schema, once, whichever test comes first.
fn ensure_template(server: &str, schema: &str) -> String {
    let fingerprint = uuid::Uuid::new_v5(
        &uuid::Uuid::NAMESPACE_OID,
        format!(
            "{}{}{schema}{LEGACY}",
            env!("TEMPLATE_FINGERPRINT"),
            include_str!("../../../deploy/postgres/roles.sql")
        )
        .as_bytes(),
    );
    let name = format!("portal_template_{}", fingerprint.simple());
    let mut admin = connect(server);
    admin
        .batch_execute("SELECT pg_advisory_lock(727002)")
        .expect("lock");
    let exists = diesel::sql_query(format!(
        "SELECT count(*)::text AS value FROM pg_database WHERE datname = '{name}'"
    ))
    .get_result::<Cell>(&mut admin)
    .expect("the catalogue answers");
    if exists.value == "0" {
        let building = format!("{name}_building");
        admin
            .batch_execute(&format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)"))
            .expect("a half-made template goes");
        admin
            .batch_execute(&format!("CREATE DATABASE {building}"))
            .expect("create template");
        fill_template(&with_database(server, &building), schema);
        admin
            .batch_execute(&format!("ALTER DATABASE {building} RENAME TO {name}"))
            .expect("the template is ready");
    }
    admin
        .batch_execute("SELECT pg_advisory_unlock(727002)")
        .expect("unlock");
    name
}

fn fill_template(superuser: &str, schema: &str) {
    let mut conn = connect(superuser);
    if schema == ORGANIZATION_SCHEMA {
        conn.batch_execute(LEGACY).expect("the legacy tables stand");
        // Makes the owner.
        apply_roles(&mut conn);
        conn.batch_execute(&format!(
            "CREATE SCHEMA {schema} AUTHORIZATION agent_portal_owner"
        ))
        .expect("the schema is made");
    }
    apply_roles(&mut conn);
    conn.batch_execute(&format!(
        "SET ROLE agent_portal_owner; SET search_path = {schema}"
    ))
    .expect("become owner");
    conn.run_pending_migrations(portal_db_schema::MIGRATIONS)
        .expect("the migrations apply");
}
