-- Remediation grants: what operators signed beforehand, exactly as they signed it, and how each ended.
-- The Postgres file of the same name declares the same table.

CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL,
    document TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    withdrawn_at INTEGER,
    withdrawn_by TEXT,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX grants_by_expiry ON grants (expires_at);
