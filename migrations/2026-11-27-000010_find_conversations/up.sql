-- Conversations are found by words, and listed by state.

-- Under row-level security only leakproof operators reach an index: comparisons of text do, LIKE, @@ and
-- those of trigrams do not. So words stand in rows, and the beginning of one is a range of them.
CREATE TABLE conversation_words (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    word varchar(64) COLLATE "C" NOT NULL,
    thread_id uuid NOT NULL,
    part text NOT NULL CHECK (part IN ('text', 'name', 'number')),
    PRIMARY KEY (tenant_id, word, thread_id, part),
    FOREIGN KEY (tenant_id, thread_id) REFERENCES conversation_threads (tenant_id, thread_id) ON DELETE CASCADE
);
COMMENT ON COLUMN conversation_words.word IS
    'in small letters; of names and numbers also each end of a word, so that its middle is found as a beginning';
CREATE INDEX idx_conversation_words_thread ON conversation_words (tenant_id, thread_id, part, word);
ALTER TABLE conversation_words ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_words FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_words
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation_words TO agent_portal_service;

INSERT INTO conversation_words (tenant_id, word, thread_id, part)
SELECT DISTINCT m.tenant_id, left(w.word, 64), m.thread_id, 'text'
FROM conversation_messages m, regexp_split_to_table(lower(m.text), '[^[:alnum:]]+') AS w (word)
WHERE m.thread_id IS NOT NULL AND w.word <> '';
INSERT INTO conversation_words (tenant_id, word, thread_id, part)
SELECT DISTINCT t.tenant_id, left(substr(w.word, n), 64), t.thread_id, 'name'
FROM conversation_threads t JOIN conversations c USING (tenant_id, conversation_id),
    regexp_split_to_table(lower(c.contact_name), '[^[:alnum:]]+') AS w (word), generate_series(1, length(w.word)) AS n
WHERE w.word <> '' AND (n = 1 OR n < length(w.word));
INSERT INTO conversation_words (tenant_id, word, thread_id, part)
SELECT DISTINCT t.tenant_id, left(substr(w.word, n), 64), t.thread_id, 'number'
FROM conversation_threads t,
    regexp_replace(lower(t.identity), '[^[:alnum:]]+', '', 'g') AS w (word), generate_series(1, length(w.word)) AS n
WHERE w.word <> '' AND (n = 1 OR n < length(w.word));

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_state ON conversations
    (tenant_id, status, last_activity_at DESC, conversation_id DESC) WHERE merged_into IS NULL;
-- An index that begins with the holder gives no order to the rows without one.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_free ON conversations
    (tenant_id, status, last_activity_at DESC, conversation_id DESC) WHERE merged_into IS NULL AND assigned_to IS NULL;
