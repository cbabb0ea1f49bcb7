-- Remediation grants: what operators signed beforehand, exactly as they signed it, and how each ended.
-- The SQLite file of the same name declares the same table.

CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL,
    document TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    withdrawn_at BIGINT,
    withdrawn_by TEXT,
    changed_at BIGINT NOT NULL
);

CREATE INDEX grants_by_expiry ON grants (expires_at);
