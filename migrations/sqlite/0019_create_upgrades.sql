-- Releases of the agent as they were signed, the pieces of their files, and their roll-outs over hosts.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE releases (
    number     INTEGER NOT NULL PRIMARY KEY,
    -- The manifest, exactly as it was signed.
    document   TEXT    NOT NULL,
    signatures TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL
) STRICT;

-- A row says that every piece of the file is there.
CREATE TABLE release_files (
    sha256     TEXT    NOT NULL PRIMARY KEY,
    size_bytes INTEGER NOT NULL CHECK (size_bytes > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE release_pieces (
    sha256 TEXT    NOT NULL REFERENCES release_files (sha256) ON DELETE CASCADE,
    place  INTEGER NOT NULL CHECK (place >= 0),
    body   BLOB    NOT NULL,
    PRIMARY KEY (sha256, place)
) STRICT;

CREATE TABLE upgrades (
    number     INTEGER NOT NULL PRIMARY KEY,
    release    INTEGER NOT NULL,
    manifest   TEXT    NOT NULL,
    hosts      TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'paused', 'halted', 'done', 'stopped')),
    -- Failures that somebody saw who had it go on nevertheless.
    forgiven   INTEGER NOT NULL CHECK (forgiven >= 0),
    note       TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX upgrades_by_state ON upgrades (state);

CREATE TABLE upgrade_hosts (
    upgrade INTEGER NOT NULL REFERENCES upgrades (number) ON DELETE CASCADE,
    host    TEXT    NOT NULL,
    ring    INTEGER NOT NULL CHECK (ring >= 0),
    stage   TEXT    NOT NULL CHECK (stage IN ('waiting', 'offered', 'downloading', 'staged', 'switched', 'healthy', 'rolled_back', 'refused', 'overdue', 'missed', 'left')),
    since   INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (upgrade, host)
) STRICT, WITHOUT ROWID;
