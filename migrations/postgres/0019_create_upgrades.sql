-- Releases of the agent as they were signed, the pieces of their files, and their roll-outs over hosts.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE releases (
    number     BIGINT NOT NULL PRIMARY KEY,
    -- The manifest, exactly as it was signed.
    document   TEXT    NOT NULL,
    signatures TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT    NOT NULL
);

-- A row says that every piece of the file is there.
CREATE TABLE release_files (
    sha256     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0)
);

CREATE TABLE release_pieces (
    sha256 TEXT   COLLATE "C" NOT NULL REFERENCES release_files (sha256) ON DELETE CASCADE,
    place  BIGINT NOT NULL CHECK (place >= 0),
    body   BYTEA  NOT NULL,
    PRIMARY KEY (sha256, place)
);

CREATE TABLE upgrades (
    number     BIGINT NOT NULL PRIMARY KEY,
    release    BIGINT NOT NULL,
    manifest   TEXT    NOT NULL,
    hosts      TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'paused', 'halted', 'done', 'stopped')),
    -- Failures that somebody saw who had it go on nevertheless.
    forgiven   BIGINT NOT NULL CHECK (forgiven >= 0),
    note       TEXT    NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT    NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE INDEX upgrades_by_state ON upgrades (state);

CREATE TABLE upgrade_hosts (
    upgrade BIGINT NOT NULL REFERENCES upgrades (number) ON DELETE CASCADE,
    host    TEXT   COLLATE "C" NOT NULL,
    ring    BIGINT NOT NULL CHECK (ring >= 0),
    stage   TEXT    NOT NULL CHECK (stage IN ('waiting', 'offered', 'downloading', 'staged', 'switched', 'healthy', 'rolled_back', 'refused', 'overdue', 'missed', 'left')),
    since   BIGINT NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (upgrade, host)
);
