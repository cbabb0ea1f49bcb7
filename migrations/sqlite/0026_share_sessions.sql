-- What controllers on one database tell each other of the hosts that are connected to them. A SQLite file has one controller, so it
-- stays empty here.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE controllers (
    -- The process: its machine's name, and a number that no other start has.
    holder     TEXT    NOT NULL PRIMARY KEY,
    version    TEXT    NOT NULL,
    -- By its own clock.
    started_at INTEGER NOT NULL,
    -- When it last said that it is there.
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a host: where its session is or was last, and its newest sample.
CREATE TABLE host_sessions (
    host       TEXT    NOT NULL PRIMARY KEY,
    -- The controller that wrote the row.
    controller TEXT    NOT NULL,
    -- Counts the rows that this controller wrote: others read on from the last one that they know.
    generation INTEGER NOT NULL,
    -- NULL when the host is not connected to that controller any more.
    session    TEXT,
    -- When that session began, or the one that has ended, by this database's clock: a host is where its last session began.
    began_at   INTEGER NOT NULL,
    -- What else is to be told, as JSON; and the newest sample, as agents' spools keep it.
    told       TEXT    NOT NULL,
    sample     BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX host_sessions_news ON host_sessions (controller, generation);
