//! What legacy writers do while their tables are copied, and afterwards until they are retired.

use portal_legacy::identifier;

use crate::source::Source;

/// The name of the triggers on the legacy tables.
pub(crate) const TRIGGER: &str = "__portal_capture";

/// What logs the changes of one table, in the order in which it is to be made.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The legacy table, with its schema.
    pub(crate) table: String,
    /// The function that the triggers call.
    pub(crate) function: String,
    /// Makes the triggers. Writers of the table wait meanwhile, and it waits for their transactions.
    pub(crate) triggers: String,
}

/// A row's key is logged by the writer's own transaction, and with the rights of the schema's owner: what a
/// writer may do does not change.
pub(crate) fn of(source: &Source<'_>, subject: &str, schema: &str) -> Option<Capture> {
    let table = source.table(subject)?;
    let schema = identifier(schema);
    let key = source.column(subject, "key");
    let name = format!("{schema}.__legacy_capture_{subject}");
    let insert =
        format!("INSERT INTO {schema}.__legacy_changes (subject, key) VALUES ('{subject}',");
    let function = format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = pg_catalog AS $capture$ \
         BEGIN \
             IF TG_OP = 'TRUNCATE' THEN {insert} NULL); RETURN NULL; END IF; \
             IF TG_OP <> 'INSERT' THEN {insert} OLD.{key}::text); END IF; \
             IF TG_OP = 'INSERT' THEN {insert} NEW.{key}::text); \
             ELSIF TG_OP = 'UPDATE' AND NEW.{key} IS DISTINCT FROM OLD.{key} THEN {insert} NEW.{key}::text); \
             END IF; \
             RETURN NULL; \
         END $capture$"
    );
    let triggers = format!(
        "DROP TRIGGER IF EXISTS {TRIGGER} ON {table}; \
         DROP TRIGGER IF EXISTS {TRIGGER}_all ON {table}; \
         CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION {name}(); \
         CREATE TRIGGER {TRIGGER}_all AFTER TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    );
    Some(Capture {
        table,
        function,
        triggers,
    })
}
