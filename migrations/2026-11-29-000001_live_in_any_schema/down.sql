ALTER FUNCTION audit_chain_entry() SET search_path = pg_catalog, public;
