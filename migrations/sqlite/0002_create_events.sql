-- What hosts' event logs and agents reported, each record of a log once, however often it is told.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE events (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    host      TEXT    NOT NULL,
    -- On the controller's clock; host_at is on the host's.
    at        INTEGER NOT NULL,
    host_at   INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    code      INTEGER NOT NULL,
    times     INTEGER NOT NULL CHECK (times > 0),
    text      TEXT    NOT NULL,
    -- The record of the host's log; without these it is not of a log, or does not say which record it is.
    channel   TEXT,
    log_epoch INTEGER,
    record_id INTEGER,
    -- The other parts of the record, as JSON, and as the host's system rendered it.
    detail    TEXT,
    xml       TEXT
) STRICT;
CREATE UNIQUE INDEX events_by_record ON events (host, channel, log_epoch, record_id, host_at);
CREATE INDEX events_by_host ON events (host, at, id);
CREATE INDEX events_by_age ON events (at);
