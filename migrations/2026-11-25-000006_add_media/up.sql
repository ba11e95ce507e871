-- Files that a tenant uploads or lets us fetch, in pieces: replicas share nothing but this database.

---------------------------------------------------------------------------------------------------
-- A file: usable once it is 'ready'. The same bytes of a tenant are one file.

CREATE TABLE media (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    media_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'arriving' CHECK (state IN ('arriving', 'ready')),
    kind text CHECK (kind IN ('audio', 'document', 'image', 'sticker', 'video')),
    mime_type varchar(127),
    file_name varchar(240),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    sha256 bytea CHECK (length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, media_id),
    CHECK (state = 'arriving'
        OR (kind IS NOT NULL AND mime_type IS NOT NULL AND sha256 IS NOT NULL))
);
COMMENT ON COLUMN media.size_bytes IS 'of a file that is still arriving: the room kept for it';
CREATE UNIQUE INDEX media_content ON media (tenant_id, sha256, mime_type) WHERE state = 'ready';
CREATE INDEX idx_media_last_used ON media (last_used_at);
ALTER TABLE media ENABLE ROW LEVEL SECURITY;
ALTER TABLE media FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON media
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
CREATE POLICY sweeper ON media FOR SELECT TO delivery_sweeper USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON media TO outbound_message_service;
GRANT SELECT (tenant_id, media_id, state, created_at, last_used_at) ON media TO delivery_sweeper;

CREATE TABLE media_chunks (
    tenant_id varchar(255) NOT NULL,
    media_id uuid NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    bytes bytea NOT NULL,
    PRIMARY KEY (tenant_id, media_id, ordinal),
    FOREIGN KEY (tenant_id, media_id) REFERENCES media (tenant_id, media_id) ON DELETE CASCADE
);
-- Photos and films are compressed already.
ALTER TABLE media_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE media_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE media_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON media_chunks
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, DELETE ON media_chunks TO outbound_message_service;

---------------------------------------------------------------------------------------------------
-- The id under which Meta knows a file of ours, for each number: ids are bound to numbers and end.

CREATE TABLE media_uploads (
    tenant_id varchar(255) NOT NULL,
    media_id uuid NOT NULL,
    phone_number_id varchar(64) NOT NULL,
    meta_media_id varchar(64),
    expires_at timestamptz,
    lease_until timestamptz,
    PRIMARY KEY (tenant_id, media_id, phone_number_id),
    CHECK ((meta_media_id IS NULL) = (expires_at IS NULL)),
    FOREIGN KEY (tenant_id, media_id) REFERENCES media (tenant_id, media_id) ON DELETE CASCADE
);
COMMENT ON COLUMN media_uploads.lease_until IS 'until then one worker uploads, and others wait for it';
ALTER TABLE media_uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE media_uploads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON media_uploads
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON media_uploads TO outbound_message_service;

---------------------------------------------------------------------------------------------------
-- What was fetched from an address, so that a thousand messages with one link are one fetch.

CREATE TABLE media_links (
    tenant_id varchar(255) NOT NULL REFERENCES tenants,
    link_sha256 bytea NOT NULL CHECK (length(link_sha256) = 32),
    media_id uuid NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, link_sha256),
    FOREIGN KEY (tenant_id, media_id) REFERENCES media (tenant_id, media_id) ON DELETE CASCADE
);
CREATE INDEX idx_media_links_media ON media_links (tenant_id, media_id);
ALTER TABLE media_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE media_links FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON media_links
    USING (tenant_id = app_tenant_id()) WITH CHECK (tenant_id = app_tenant_id());
GRANT SELECT, INSERT, UPDATE, DELETE ON media_links TO outbound_message_service;
