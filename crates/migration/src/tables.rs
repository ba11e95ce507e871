//! What the migration keeps for itself, in the schema of the organization-level model. The names begin with
//! two underscores: no migration of diesel makes them, and who compares catalogues leaves them out.

/// The ledger, the log of changes, what the agents file says, how far the copy is, and of what it is one.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS __legacy_ledger (
    subject text COLLATE \"C\" NOT NULL,
    key text COLLATE \"C\" NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('migrated', 'merged', 'skipped', 'rejected')),
    reason text,
    tenant_id varchar(255),
    target_id uuid,
    conversation_id uuid,
    user_id uuid,
    state text,
    assigned_at timestamptz,
    active_at timestamptz,
    external_id text,
    PRIMARY KEY (subject, key)
);
CREATE INDEX IF NOT EXISTS __legacy_ledger_people ON __legacy_ledger (tenant_id) WHERE subject = 'agents';
CREATE TABLE IF NOT EXISTS __legacy_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    key text
);
CREATE TABLE IF NOT EXISTS __legacy_agents (
    agent_key text COLLATE \"C\" PRIMARY KEY,
    genesys_user_id varchar(255) NOT NULL,
    tenant_id text,
    name text,
    email text
);
CREATE TABLE IF NOT EXISTS __legacy_progress (
    stage text PRIMARY KEY,
    tenant_id text,
    cursor text,
    is_done boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS __legacy_state (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    mapping text NOT NULL,
    decisions text NOT NULL DEFAULT '',
    fingerprint text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    copied_at timestamptz,
    retired_at timestamptz
)";

/// Made when the ledger is full for the first time: one build is faster than a million entries.
pub(crate) const LEDGER_INDEX: &str = "\
CREATE INDEX IF NOT EXISTS __legacy_ledger_places ON __legacy_ledger (subject, tenant_id, conversation_id)";
