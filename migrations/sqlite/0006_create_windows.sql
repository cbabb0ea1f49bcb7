-- Maintenance windows with all their versions, and the time zone of each host's clock on the wall.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE windows (
    name       TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL CHECK (version > 0),
    applied_at INTEGER NOT NULL,
    applied_by TEXT    NOT NULL,
    -- What was applied, as JSON.
    spec       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE window_versions (
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    applied_at INTEGER NOT NULL,
    applied_by TEXT    NOT NULL,
    -- NULL for the deletion of the window.
    spec       TEXT,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- IANA name; NULL while its agent has not told it.
ALTER TABLE hosts ADD COLUMN time_zone TEXT;
