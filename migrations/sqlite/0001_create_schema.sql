-- Everything a controller keeps. Times are unix milliseconds, sizes bytes, labels JSON objects of strings.
-- The Postgres file of the same name declares the same tables, columns and nullability.

-- "Tide": tells this file from any other SQLite database (https://www.sqlite.org/fileformat.html, offset 68).
PRAGMA application_id = 1416193125;

CREATE TABLE hosts (
    id                     TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    identity_spki          BLOB    NOT NULL,
    name                   TEXT    NOT NULL,
    os                     TEXT    NOT NULL,
    agent_version          TEXT    NOT NULL,
    boot_id                TEXT    NOT NULL,
    capabilities           TEXT    NOT NULL,
    labels                 TEXT    NOT NULL,
    token_labels           TEXT    NOT NULL,
    state                  TEXT    NOT NULL CHECK (state IN ('enrolled', 'quarantined', 'revoked')),
    state_generation       INTEGER NOT NULL,
    enrolled_at            INTEGER NOT NULL,
    last_seen_at           INTEGER,
    certificate_generation INTEGER NOT NULL,
    certificate_not_after  INTEGER NOT NULL,
    certificate_spki_hash  BLOB    NOT NULL CHECK (length(certificate_spki_hash) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX hosts_by_name ON hosts (name, id);

CREATE TABLE join_tokens (
    id          TEXT    NOT NULL PRIMARY KEY,
    secret_hash BLOB    NOT NULL CHECK (length(secret_hash) = 32),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    uses_max    INTEGER NOT NULL CHECK (uses_max > 0),
    uses        INTEGER NOT NULL CHECK (uses BETWEEN 0 AND uses_max),
    revoked_at  INTEGER,
    labels      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Which identity key used which join token: the same key may ask again for a lost answer.
CREATE TABLE join_token_uses (
    token         TEXT    NOT NULL REFERENCES join_tokens (id) ON DELETE CASCADE,
    identity_hash BLOB    NOT NULL CHECK (length(identity_hash) = 32),
    host          TEXT    NOT NULL,
    used_at       INTEGER NOT NULL,
    PRIMARY KEY (token, identity_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    secret_hash  BLOB    NOT NULL CHECK (length(secret_hash) = 32),
    name         TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin')),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- How far each spool epoch of a host is durable here, and what became of its records.
CREATE TABLE cursors (
    host        TEXT    NOT NULL REFERENCES hosts (id),
    epoch       INTEGER NOT NULL,
    through_seq INTEGER NOT NULL,
    stored      INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (host, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor_drops (
    host    TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    reason  TEXT    NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (host, epoch, reason),
    FOREIGN KEY (host, epoch) REFERENCES cursors (host, epoch) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The dictionary of what a host's series are about.
CREATE TABLE entities (
    host   TEXT    NOT NULL REFERENCES hosts (id),
    number INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    text   TEXT    NOT NULL,
    PRIMARY KEY (host, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entities_by_text ON entities (host, text);

-- What the group commit writes: one row a host and batch, in order of arrival, so that a commit appends instead of
-- rewriting a page a host. Without foreign keys: ingest has the host at hand, and a check a row would double the cost.
CREATE TABLE recent (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    host     TEXT    NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL CHECK (last_at >= first_at),
    points   INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX recent_by_host ON recent (host, last_at);

-- Compressed series of one host, over [from_at, to_at).
CREATE TABLE segments (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    host       TEXT    NOT NULL,
    tier       INTEGER NOT NULL CHECK (tier IN (0, 1, 2)),
    from_at    INTEGER NOT NULL,
    to_at      INTEGER NOT NULL CHECK (to_at > from_at),
    points     INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE INDEX segments_by_host ON segments (host, tier, to_at, from_at);
-- Retention and the sums by tier read this index alone, never the bodies.
CREATE INDEX segments_by_age ON segments (tier, to_at, points, size_bytes);

-- The main metrics by hour, for SQL users and Grafana.
CREATE TABLE host_hourly (
    host          TEXT    NOT NULL,
    hour_at       INTEGER NOT NULL,
    protocol      TEXT    NOT NULL CHECK (protocol IN ('tcp', 'udp')),
    namespace     TEXT    NOT NULL,
    capacity      INTEGER NOT NULL,
    in_use_min    INTEGER NOT NULL,
    in_use_avg    REAL    NOT NULL,
    in_use_max    INTEGER NOT NULL,
    in_use_last   INTEGER NOT NULL,
    strong_max    INTEGER NOT NULL,
    time_wait_max INTEGER NOT NULL,
    bound_max     INTEGER,
    PRIMARY KEY (host, hour_at, protocol, namespace)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_hourly_by_hour ON host_hourly (hour_at);

-- What happened, for operators.
CREATE TABLE notices (
    id   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    host TEXT,
    kind TEXT    NOT NULL,
    text TEXT    NOT NULL
) STRICT;
CREATE INDEX notices_by_host ON notices (host, id);

CREATE TABLE settings (
    key        TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
