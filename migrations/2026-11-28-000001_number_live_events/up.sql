-- A sequence for each tenant's live events, without gaps and in the order of commits: a change adds its
-- events without a number, and whoever listens numbers what is committed.

CREATE TABLE live_feeds (
    tenant_id varchar(255) PRIMARY KEY REFERENCES tenants,
    last_sequence bigint NOT NULL DEFAULT 0,
    last_numbered_at timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN live_feeds.last_numbered_at IS
    'when last_sequence was given; with it a place is told from the same number of a restored database';
COMMENT ON COLUMN live_feeds.began_at IS 'as last_numbered_at, for the place before the first number';
ALTER TABLE live_feeds ENABLE ROW LEVEL SECURITY;
ALTER TABLE live_feeds FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON live_feeds
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY live_feed_watcher ON live_feeds FOR SELECT TO live_feed_watcher USING (true);
GRANT SELECT, INSERT, UPDATE ON live_feeds TO agent_portal_service;
GRANT SELECT (tenant_id, last_sequence) ON live_feeds TO live_feed_watcher;

ALTER TABLE live_events ADD COLUMN sequence bigint;
ALTER TABLE live_events ADD COLUMN numbered_at timestamptz;
-- Few rows, of minutes. The release before does not know the column.
ALTER TABLE live_events ADD COLUMN conversation_id uuid
    -- squawk-ignore adding-field-with-default
    GENERATED ALWAYS AS ((data ->> 'conversation_id')::uuid) STORED;
ALTER TABLE live_events ADD COLUMN lost_by text;
ALTER TABLE live_events ADD CONSTRAINT live_events_lost_by_check
    CHECK (lost_by IS NULL OR (lost_by IN ('user', 'others') AND user_id IS NOT NULL)) NOT VALID;
COMMENT ON COLUMN live_events.numbered_at IS 'never earlier than that of a smaller sequence';
COMMENT ON COLUMN live_events.conversation_id IS 'what it tells of, to forget it with the conversation';
COMMENT ON COLUMN live_events.lost_by IS
    'agents who see the conversation no more: that user, or all others; supervisors are not meant';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX idx_live_events_sequence ON live_events (tenant_id, sequence) WHERE sequence IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_live_events_unnumbered ON live_events (tenant_id, event_seq) WHERE sequence IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_live_events_numbered_at ON live_events (numbered_at, sequence) WHERE sequence IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_live_events_conversation ON live_events (tenant_id, conversation_id)
    WHERE conversation_id IS NOT NULL;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX idx_live_events_age;

CREATE POLICY live_feed_watcher ON live_events FOR SELECT TO live_feed_watcher USING (sequence IS NULL);
GRANT SELECT (tenant_id, sequence) ON live_events TO live_feed_watcher;
GRANT UPDATE (sequence, numbered_at) ON live_events TO agent_portal_service;

-- What has no number yet is not forgotten: a reader at the last number would never learn of it.
DROP POLICY sweeper ON live_events;
DROP POLICY sweeper_reads ON live_events;
CREATE POLICY sweeper ON live_events FOR DELETE TO session_sweeper
    USING (numbered_at < now() - interval '10 minutes');
CREATE POLICY sweeper_reads ON live_events FOR SELECT TO session_sweeper
    USING (numbered_at < now() - interval '10 minutes');
GRANT SELECT (tenant_id, event_seq, sequence, numbered_at) ON live_events TO session_sweeper;
-- The last event of a tenant stays.
CREATE POLICY sweeper_reads ON live_feeds FOR SELECT TO session_sweeper USING (true);
GRANT SELECT (tenant_id, last_sequence) ON live_feeds TO session_sweeper;
