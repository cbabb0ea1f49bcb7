-- What hosts' event logs and agents reported, each record of a log once, however often it is told.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE events (
    id        BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY,
    host      TEXT    COLLATE "C" NOT NULL,
    -- On the controller's clock; host_at is on the host's.
    at        BIGINT  NOT NULL,
    host_at   BIGINT  NOT NULL,
    source    TEXT    COLLATE "C" NOT NULL,
    code      BIGINT  NOT NULL,
    times     BIGINT  NOT NULL CHECK (times > 0),
    text      TEXT    COLLATE "C" NOT NULL,
    -- The record of the host's log; without these it is not of a log, or does not say which record it is.
    channel   TEXT    COLLATE "C",
    log_epoch BIGINT,
    record_id BIGINT,
    -- The other parts of the record, as JSON, and as the host's system rendered it.
    detail    TEXT,
    xml       TEXT,
    PRIMARY KEY (host, at, id)
);
CREATE UNIQUE INDEX events_by_record ON events (host, channel, log_epoch, record_id, host_at);
CREATE INDEX events_by_age ON events (at);
