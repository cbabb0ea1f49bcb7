-- Maintenance windows with all their versions, and the time zone of each host's clock on the wall.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE windows (
    name       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL CHECK (version > 0),
    applied_at BIGINT NOT NULL,
    applied_by TEXT   NOT NULL,
    -- What was applied, as JSON.
    spec       TEXT   NOT NULL
);

CREATE TABLE window_versions (
    name       TEXT   COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    applied_at BIGINT NOT NULL,
    applied_by TEXT   NOT NULL,
    -- NULL for the deletion of the window.
    spec       TEXT,
    PRIMARY KEY (name, version)
);

-- IANA name; NULL while its agent has not told it.
ALTER TABLE hosts ADD COLUMN time_zone TEXT;
