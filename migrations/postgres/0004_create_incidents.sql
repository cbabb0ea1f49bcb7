-- What operators are told about: incidents with their time lines, silences, and what receivers were told.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE incidents (
    id          BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint TEXT   COLLATE "C" NOT NULL,
    state       TEXT   COLLATE "C" NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    severity    TEXT   COLLATE "C" NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    opened_at   BIGINT NOT NULL,
    resolved_at BIGINT,
    -- 1 while the controller must look after it: it is not over, or its problem outlives an operator's word.
    watched     BIGINT NOT NULL,
    generation  BIGINT NOT NULL CHECK (generation > 0),
    -- Its state's data and its problem as it was last seen, as JSON.
    body        TEXT   NOT NULL
);
-- A problem has one incident that is not over, whoever opens it.
CREATE UNIQUE INDEX incidents_not_over ON incidents (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint, id);
CREATE INDEX incidents_watched ON incidents (id) WHERE watched = 1;
CREATE INDEX incidents_by_end ON incidents (resolved_at);

CREATE TABLE incident_hosts (
    host     TEXT   COLLATE "C" NOT NULL,
    incident BIGINT NOT NULL,
    PRIMARY KEY (host, incident)
);
CREATE INDEX incident_hosts_by_incident ON incident_hosts (incident);

CREATE TABLE incident_entries (
    id       BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    kind     TEXT   COLLATE "C" NOT NULL,
    -- Who did it; NULL for the controller itself.
    author   TEXT,
    text     TEXT   NOT NULL
);
CREATE INDEX incident_entries_by_incident ON incident_entries (incident, id);

CREATE TABLE silences (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- JSON array of matchers.
    matchers   TEXT   NOT NULL,
    starts_at  BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    author     TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX silences_by_end ON silences (ends_at);

CREATE TABLE notifications (
    id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver     TEXT   COLLATE "C" NOT NULL,
    -- Messages of one group go out in order.
    group_key    TEXT   COLLATE "C" NOT NULL,
    -- The receiver takes messages with the same key for one.
    key          TEXT   COLLATE "C" NOT NULL UNIQUE,
    state        TEXT   COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    next_try_at  BIGINT NOT NULL,
    -- When it was delivered or given up.
    ended_at     BIGINT,
    last_error   TEXT,
    -- What is told, as JSON.
    message      TEXT   NOT NULL
);
CREATE INDEX notifications_pending ON notifications (receiver, group_key, id) WHERE state = 'pending';
CREATE INDEX notifications_by_end ON notifications (ended_at);

CREATE TABLE notification_groups (
    key        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL CHECK (generation > 0),
    -- What its receiver was told last, as JSON.
    body       TEXT   NOT NULL
);
