-- How hosts are configured, as their agents read it last, and what changed since they were first read.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE host_audits (
    host     TEXT    NOT NULL PRIMARY KEY,
    -- On the controller's clock.
    taken_at INTEGER NOT NULL,
    -- Every fact, since when it holds, and what could not be read, as JSON.
    content  TEXT    NOT NULL
) STRICT;

-- One row a fact that changed.
CREATE TABLE host_drift (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    host    TEXT    NOT NULL,
    -- When the audit that found it was taken, on the controller's clock.
    at      INTEGER NOT NULL,
    fact    TEXT    NOT NULL,
    -- Of which of several things; NULL where the host has one.
    item    TEXT,
    -- As people read them.
    was     TEXT    NOT NULL,
    became  TEXT    NOT NULL
) STRICT;
CREATE INDEX host_drift_by_host ON host_drift (host, at, id);
CREATE INDEX host_drift_by_age ON host_drift (at, id);
