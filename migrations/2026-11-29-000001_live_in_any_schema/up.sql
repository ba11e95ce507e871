-- Beside a legacy installation's tables this model has a schema of its own. A function with its owner's
-- rights looks only where it was made, and into a session's temporary tables last: who may make such
-- tables must not put one before ours.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION audit_chain_entry() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;
