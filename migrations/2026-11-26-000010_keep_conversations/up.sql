-- Conversations as they follow from message events and from what people did with them.

---------------------------------------------------------------------------------------------------
-- Who a contact is

-- A number with its plus, or a business-scoped user id, as Meta showed it.
CREATE TABLE contact_identities (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    identity varchar(160) NOT NULL,
    contact varchar(160) NOT NULL,
    name varchar(255),
    name_at timestamptz,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, identity)
);
COMMENT ON COLUMN contact_identities.contact IS
    'the identity that stands for all that are linked with it: the first number in the order of the alphabet, else the first user id';
COMMENT ON COLUMN contact_identities.name_at IS 'when the name was shown, by Meta''s clock; the latest one is kept';
CREATE INDEX idx_contact_identities_contact ON contact_identities (tenant_id, contact);
ALTER TABLE contact_identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_identities FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON contact_identities
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_identities TO agent_portal_service;

-- That two identities are one person: what was merged, when, why; and who undid it.
CREATE TABLE contact_links (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    identity_a varchar(160) NOT NULL,
    identity_b varchar(160) NOT NULL,
    cause text NOT NULL CHECK (cause IN ('seen_together', 'number_variant', 'identity_change', 'person')),
    entry_id uuid,
    linked_at timestamptz NOT NULL,
    undone_at timestamptz,
    undone_by uuid,
    undo_reason text,
    PRIMARY KEY (tenant_id, identity_a, identity_b),
    CHECK (identity_a < identity_b),
    FOREIGN KEY (tenant_id, identity_a) REFERENCES contact_identities (tenant_id, identity),
    FOREIGN KEY (tenant_id, identity_b) REFERENCES contact_identities (tenant_id, identity),
    FOREIGN KEY (tenant_id, undone_by) REFERENCES genesys_users (tenant_id, user_id)
);
COMMENT ON COLUMN contact_links.entry_id IS 'the message that showed it';
COMMENT ON COLUMN contact_links.undone_at IS 'a link that was undone stays, so that the same evidence does not make it again';
CREATE INDEX idx_contact_links_other_end ON contact_links (tenant_id, identity_b);
ALTER TABLE contact_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_links FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON contact_links
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_links TO agent_portal_service;

---------------------------------------------------------------------------------------------------
-- Conversations

-- Contacts without a number have none; two numbers of one person are one contact.
-- Nothing read the table before this.
-- squawk-ignore ban-drop-not-null
ALTER TABLE conversations ALTER COLUMN wa_id DROP NOT NULL;
-- squawk-ignore ban-drop-constraint
ALTER TABLE conversations DROP CONSTRAINT conversations_tenant_id_phone_number_id_wa_id_key;
ALTER TABLE conversations ADD COLUMN contact varchar(160);
ALTER TABLE conversations ADD COLUMN user_id varchar(160);
ALTER TABLE conversations ADD COLUMN last_message_id uuid;
ALTER TABLE conversations ADD COLUMN last_inbound_at timestamptz;
ALTER TABLE conversations ADD COLUMN assigned_to uuid;
ALTER TABLE conversations ADD COLUMN assigned_at timestamptz;
ALTER TABLE conversations ADD COLUMN waiting_since timestamptz;
ALTER TABLE conversations ADD COLUMN closed_at timestamptz;
ALTER TABLE conversations ADD COLUMN episode integer NOT NULL DEFAULT 1;
ALTER TABLE conversations ADD COLUMN merged_into uuid;
COMMENT ON COLUMN conversations.contact IS 'as contact_identities.contact; with tenant and number it gives the id';
COMMENT ON COLUMN conversations.assigned_to IS 'the holder of the active row of conversation_assignments, for lists';
COMMENT ON COLUMN conversations.waiting_since IS 'since when it is open and nobody holds it';
COMMENT ON COLUMN conversations.episode IS 'counts new beginnings after a close, where the tenant wants those';
COMMENT ON COLUMN conversations.merged_into IS 'its contact turned out to be that conversation''s';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX conversations_one_a_contact ON conversations (tenant_id, phone_number_id, contact)
    WHERE merged_into IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_holder ON conversations
    (tenant_id, assigned_to, status, last_activity_at DESC, conversation_id DESC) WHERE merged_into IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversations_waiting ON conversations (tenant_id, waiting_since, conversation_id)
    WHERE waiting_since IS NOT NULL;
ALTER TABLE conversations ADD CONSTRAINT conversations_holder
    FOREIGN KEY (tenant_id, assigned_to) REFERENCES genesys_users (tenant_id, user_id) NOT VALID;
ALTER TABLE conversations ADD CONSTRAINT conversations_merged
    FOREIGN KEY (tenant_id, merged_into) REFERENCES conversations (tenant_id, conversation_id) NOT VALID;

ALTER TABLE conversation_assignments ADD COLUMN assigned_by uuid;
ALTER TABLE conversation_assignments ADD COLUMN ended_by uuid;
ALTER TABLE conversation_assignments ADD COLUMN cause text NOT NULL DEFAULT 'taken'
    CHECK (cause IN ('taken', 'transferred', 'automatic', 'genesys', 'merged'));
ALTER TABLE conversation_assignments ADD COLUMN end_reason text;
ALTER TABLE conversation_assignments ADD COLUMN episode integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN conversation_assignments.reason IS 'why it was given: the note of a transfer';
COMMENT ON COLUMN conversation_assignments.assigned_by IS 'who gave it; nobody where a rule did';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_conversation_assignments_history ON conversation_assignments (tenant_id, conversation_id, assigned_at);

-- One identity at one of the tenant's numbers. Messages belong to a thread for good; which conversation
-- a thread belongs to follows from who its identity is.
CREATE TABLE conversation_threads (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    thread_id uuid NOT NULL,
    phone_number_id varchar(64) NOT NULL,
    identity varchar(160) NOT NULL,
    conversation_id uuid NOT NULL,
    read_seq bigint NOT NULL DEFAULT 0,
    read_entry_id uuid,
    closed_seq bigint NOT NULL DEFAULT 0,
    closed_entry_id uuid,
    PRIMARY KEY (tenant_id, thread_id),
    UNIQUE (tenant_id, phone_number_id, identity),
    FOREIGN KEY (tenant_id, identity) REFERENCES contact_identities (tenant_id, identity),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, conversation_id)
);
COMMENT ON COLUMN conversation_threads.thread_id IS 'derived of tenant, number and identity, as conversation ids are';
COMMENT ON COLUMN conversation_threads.read_seq IS 'what came up to here was read';
COMMENT ON COLUMN conversation_threads.closed_seq IS 'what came up to here was there when it was closed';
COMMENT ON COLUMN conversation_threads.read_entry_id IS 'the greatest id among them, to tell them when rows are made anew';
CREATE INDEX idx_conversation_threads_conversation ON conversation_threads (tenant_id, conversation_id);
ALTER TABLE conversation_threads ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_threads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_threads
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation_threads TO agent_portal_service;

---------------------------------------------------------------------------------------------------
-- Messages, as conversations show them. Texts and contents stand here alone.

CREATE SEQUENCE conversation_message_seq;
GRANT USAGE ON SEQUENCE conversation_message_seq TO agent_portal_service;

CREATE TABLE conversation_messages (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    entry_id uuid NOT NULL,
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    thread_id uuid,
    conversation_id uuid,
    seq bigint,
    episode integer,
    type varchar(64),
    text text,
    payload jsonb,
    shown boolean NOT NULL DEFAULT true,
    wamid varchar(255),
    context_wamid varchar(255),
    refers_to varchar(255),
    sent_by_kind varchar(16),
    sent_by varchar(255),
    occurred_at timestamptz,
    window_expires_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    undelivered_at timestamptz,
    given_up_at timestamptz,
    canceled_at timestamptz,
    error jsonb,
    status text NOT NULL,
    PRIMARY KEY (tenant_id, entry_id),
    FOREIGN KEY (tenant_id, thread_id) REFERENCES conversation_threads (tenant_id, thread_id),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, conversation_id),
    -- A status may come before the message that it is about.
    CHECK ((thread_id IS NULL) = (conversation_id IS NULL)),
    CHECK ((thread_id IS NULL) = (seq IS NULL)),
    CHECK ((thread_id IS NULL) = (occurred_at IS NULL)),
    CHECK (direction = 'outbound' OR thread_id IS NOT NULL)
);
COMMENT ON COLUMN conversation_messages.entry_id IS 'messages.message_id or inbound_messages.inbound_id';
COMMENT ON COLUMN conversation_messages.seq IS 'the order in which they came here, within a conversation; marks of what was read are places in it';
COMMENT ON COLUMN conversation_messages.shown IS 'counts as unread and as last message; a reaction does not';
COMMENT ON COLUMN conversation_messages.undelivered_at IS 'Meta reported that it failed';
COMMENT ON COLUMN conversation_messages.given_up_at IS 'it failed by our own rules, or Meta refused it at once';
CREATE INDEX idx_conversation_messages_order ON conversation_messages
    (tenant_id, conversation_id, occurred_at DESC, entry_id DESC) WHERE conversation_id IS NOT NULL;
CREATE INDEX idx_conversation_messages_unread ON conversation_messages (tenant_id, thread_id, seq)
    WHERE direction = 'inbound' AND shown;
CREATE INDEX idx_conversation_messages_window ON conversation_messages
    (tenant_id, conversation_id, window_expires_at) WHERE window_expires_at IS NOT NULL;
ALTER TABLE conversation_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_messages
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation_messages TO agent_portal_service;

-- What was done with a conversation besides giving it to somebody, which conversation_assignments tells.
CREATE TABLE conversation_actions (
    action_id uuid PRIMARY KEY,
    tenant_id varchar(255) NOT NULL,
    conversation_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('opened', 'closed', 'reopened', 'merged', 'separated')),
    episode integer NOT NULL,
    -- NULL is a rule, such as a contact who writes again
    user_id uuid,
    other_conversation_id uuid,
    reason text,
    at timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, conversation_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES genesys_users (tenant_id, user_id)
);
CREATE INDEX idx_conversation_actions_history ON conversation_actions (tenant_id, conversation_id, at);
ALTER TABLE conversation_actions ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_actions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_actions
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation_actions TO agent_portal_service;

-- How a tenant wants its conversations kept; without a row, as the defaults are.
CREATE TABLE conversation_settings (
    tenant_id varchar(255) PRIMARY KEY REFERENCES tenants,
    reopen_as text NOT NULL DEFAULT 'same' CHECK (reopen_as IN ('same', 'new')),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN conversation_settings.reopen_as IS
    'what a contact who writes after a close begins: the same conversation again, or a new episode of it';
ALTER TABLE conversation_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON conversation_settings
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE ON conversation_settings TO agent_portal_service;
