-- What controllers on one database tell each other of the hosts that are connected to them. Each of them says it anew when it is lost, so
-- nothing of it is logged or survives a crash of the database, and a standby that takes over begins without it.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE UNLOGGED TABLE controllers (
    -- The process: its machine's name, and a number that no other start has.
    holder     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    version    TEXT   NOT NULL,
    -- By its own clock.
    started_at BIGINT NOT NULL,
    -- When it last said that it is there, by this database's clock.
    seen_at    BIGINT NOT NULL
);

-- One row a host: where its session is or was last, and its newest sample.
CREATE UNLOGGED TABLE host_sessions (
    host       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    -- The controller that wrote the row.
    controller TEXT   COLLATE "C" NOT NULL,
    -- Counts the rows that this controller wrote: others read on from the last one that they know.
    generation BIGINT NOT NULL,
    -- NULL when the host is not connected to that controller any more.
    session    TEXT,
    -- When that session began, or the one that has ended, by this database's clock: a host is where its last session began.
    began_at   BIGINT NOT NULL,
    -- What else is to be told, as JSON; and the newest sample, as agents' spools keep it.
    told       TEXT   NOT NULL,
    sample     BYTEA
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX host_sessions_news ON host_sessions (controller, generation);
