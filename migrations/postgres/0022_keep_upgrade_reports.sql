-- What hosts say of their agent's program, the last word of each; and hosts of a roll-out by how far they are.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE upgrade_reports (
    host    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    -- Which release runs; 0 for the program that was installed by hand or by a package.
    running BIGINT NOT NULL CHECK (running >= 0),
    -- The highest release that the host has seen, and the lowest one that it may run.
    seen    BIGINT NOT NULL CHECK (seen >= 0),
    floor   BIGINT NOT NULL CHECK (floor >= 0),
    -- Why it takes no release; NULL when it takes those that its policy lets it.
    unable  TEXT,
    told_at BIGINT NOT NULL
);

CREATE INDEX upgrade_hosts_by_stage ON upgrade_hosts (upgrade, stage, ring, since);
