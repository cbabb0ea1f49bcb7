-- What hosts say of their agent's program, the last word of each; and hosts of a roll-out by how far they are.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE upgrade_reports (
    host    TEXT    NOT NULL PRIMARY KEY,
    -- Which release runs; 0 for the program that was installed by hand or by a package.
    running INTEGER NOT NULL CHECK (running >= 0),
    -- The highest release that the host has seen, and the lowest one that it may run.
    seen    INTEGER NOT NULL CHECK (seen >= 0),
    floor   INTEGER NOT NULL CHECK (floor >= 0),
    -- Why it takes no release; NULL when it takes those that its policy lets it.
    unable  TEXT,
    told_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX upgrade_hosts_by_stage ON upgrade_hosts (upgrade, stage, ring, since);
