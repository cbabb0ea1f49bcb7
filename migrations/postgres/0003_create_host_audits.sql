-- How hosts are configured, as their agents read it last, and what changed since they were first read.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE host_audits (
    host     TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    -- On the controller's clock.
    taken_at BIGINT  NOT NULL,
    -- Every fact, since when it holds, and what could not be read, as JSON.
    content  TEXT    NOT NULL
);

-- One row a fact that changed.
CREATE TABLE host_drift (
    id      BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY,
    host    TEXT    COLLATE "C" NOT NULL,
    -- When the audit that found it was taken, on the controller's clock.
    at      BIGINT  NOT NULL,
    fact    TEXT    COLLATE "C" NOT NULL,
    -- Of which of several things; NULL where the host has one.
    item    TEXT    COLLATE "C",
    -- As people read them.
    was     TEXT    NOT NULL,
    became  TEXT    NOT NULL,
    PRIMARY KEY (host, at, id)
);
CREATE INDEX host_drift_by_age ON host_drift (at, id);
