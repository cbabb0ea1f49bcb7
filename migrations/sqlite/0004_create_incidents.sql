-- What operators are told about: incidents with their time lines, silences, and what receivers were told.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE incidents (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    severity    TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    opened_at   INTEGER NOT NULL,
    resolved_at INTEGER,
    -- 1 while the controller must look after it: it is not over, or its problem outlives an operator's word.
    watched     INTEGER NOT NULL,
    generation  INTEGER NOT NULL CHECK (generation > 0),
    -- Its state's data and its problem as it was last seen, as JSON.
    body        TEXT    NOT NULL
) STRICT;
-- A problem has one incident that is not over, whoever opens it.
CREATE UNIQUE INDEX incidents_not_over ON incidents (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint, id);
CREATE INDEX incidents_watched ON incidents (id) WHERE watched = 1;
CREATE INDEX incidents_by_end ON incidents (resolved_at);

CREATE TABLE incident_hosts (
    host     TEXT    NOT NULL,
    incident INTEGER NOT NULL,
    PRIMARY KEY (host, incident)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_hosts_by_incident ON incident_hosts (incident);

CREATE TABLE incident_entries (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    -- Who did it; NULL for the controller itself.
    author   TEXT,
    text     TEXT    NOT NULL
) STRICT;
CREATE INDEX incident_entries_by_incident ON incident_entries (incident, id);

CREATE TABLE silences (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- JSON array of matchers.
    matchers   TEXT    NOT NULL,
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    author     TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX silences_by_end ON silences (ends_at);

CREATE TABLE notifications (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    receiver     TEXT    NOT NULL,
    -- Messages of one group go out in order.
    group_key    TEXT    NOT NULL,
    -- The receiver takes messages with the same key for one.
    key          TEXT    NOT NULL UNIQUE,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    next_try_at  INTEGER NOT NULL,
    -- When it was delivered or given up.
    ended_at     INTEGER,
    last_error   TEXT,
    -- What is told, as JSON.
    message      TEXT    NOT NULL
) STRICT;
CREATE INDEX notifications_pending ON notifications (receiver, group_key, id) WHERE state = 'pending';
CREATE INDEX notifications_by_end ON notifications (ended_at);

CREATE TABLE notification_groups (
    key        TEXT    NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL CHECK (generation > 0),
    -- What its receiver was told last, as JSON.
    body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
