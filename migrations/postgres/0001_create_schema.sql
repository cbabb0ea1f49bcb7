-- Everything a controller keeps. Times are unix milliseconds, sizes bytes, labels JSON objects of strings.
-- The SQLite file of the same name declares the same tables, columns and nullability.
-- Every key of a host's data begins with the host, so that a distributed Postgres can place it.
-- Ids and names compare by bytes (COLLATE "C"), as on SQLite, whatever the database's locale.

CREATE TABLE hosts (
    id                     TEXT    COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    identity_spki          BYTEA   NOT NULL,
    name                   TEXT    NOT NULL,
    os                     TEXT    NOT NULL,
    agent_version          TEXT    NOT NULL,
    boot_id                TEXT    NOT NULL,
    capabilities           TEXT    NOT NULL,
    labels                 TEXT    NOT NULL,
    token_labels           TEXT    NOT NULL,
    state                  TEXT    NOT NULL CHECK (state IN ('enrolled', 'quarantined', 'revoked')),
    state_generation       BIGINT  NOT NULL,
    enrolled_at            BIGINT  NOT NULL,
    last_seen_at           BIGINT,
    certificate_generation BIGINT  NOT NULL,
    certificate_not_after  BIGINT  NOT NULL,
    certificate_spki_hash  BYTEA   NOT NULL CHECK (length(certificate_spki_hash) = 32)
);
CREATE INDEX hosts_by_name ON hosts (name, id);

CREATE TABLE join_tokens (
    id          TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash BYTEA   NOT NULL CHECK (length(secret_hash) = 32),
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    uses_max    BIGINT  NOT NULL CHECK (uses_max > 0),
    uses        BIGINT  NOT NULL CHECK (uses BETWEEN 0 AND uses_max),
    revoked_at  BIGINT,
    labels      TEXT    NOT NULL
);

-- Which identity key used which join token: the same key may ask again for a lost answer.
CREATE TABLE join_token_uses (
    token         TEXT    COLLATE "C" NOT NULL REFERENCES join_tokens (id) ON DELETE CASCADE,
    identity_hash BYTEA   NOT NULL CHECK (length(identity_hash) = 32),
    host          TEXT    COLLATE "C" NOT NULL,
    used_at       BIGINT  NOT NULL,
    PRIMARY KEY (token, identity_hash)
);

CREATE TABLE api_tokens (
    id           TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash  BYTEA   NOT NULL CHECK (length(secret_hash) = 32),
    name         TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin')),
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

-- How far each spool epoch of a host is durable here, and what became of its records.
CREATE TABLE cursors (
    host        TEXT    COLLATE "C" NOT NULL REFERENCES hosts (id),
    epoch       BIGINT  NOT NULL,
    through_seq BIGINT  NOT NULL,
    stored      BIGINT  NOT NULL,
    duplicates  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    PRIMARY KEY (host, epoch)
);

CREATE TABLE cursor_drops (
    host    TEXT    COLLATE "C" NOT NULL,
    epoch   BIGINT  NOT NULL,
    reason  TEXT    COLLATE "C" NOT NULL,
    records BIGINT  NOT NULL,
    PRIMARY KEY (host, epoch, reason),
    FOREIGN KEY (host, epoch) REFERENCES cursors (host, epoch) ON DELETE CASCADE
);

-- The dictionary of what a host's series are about.
CREATE TABLE entities (
    host   TEXT    COLLATE "C" NOT NULL REFERENCES hosts (id),
    number BIGINT  NOT NULL,
    kind   TEXT    COLLATE "C" NOT NULL,
    text   TEXT    COLLATE "C" NOT NULL,
    PRIMARY KEY (host, number)
);
CREATE UNIQUE INDEX entities_by_text ON entities (host, text);

-- What the group commit writes: one row a host and batch, in order of arrival, so that a commit appends instead of
-- rewriting a page a host. Without foreign keys: ingest has the host at hand, and a check a row would lock each host.
CREATE TABLE recent (
    id       BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY,
    host     TEXT    COLLATE "C" NOT NULL,
    first_at BIGINT  NOT NULL,
    last_at  BIGINT  NOT NULL CHECK (last_at >= first_at),
    points   BIGINT  NOT NULL,
    body     BYTEA   NOT NULL,
    PRIMARY KEY (host, last_at, id)
);

-- Compressed series of one host, over [from_at, to_at).
CREATE TABLE segments (
    id         BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY,
    host       TEXT    COLLATE "C" NOT NULL,
    tier       BIGINT  NOT NULL CHECK (tier IN (0, 1, 2)),
    from_at    BIGINT  NOT NULL,
    to_at      BIGINT  NOT NULL CHECK (to_at > from_at),
    points     BIGINT  NOT NULL,
    size_bytes BIGINT  NOT NULL,
    body       BYTEA   NOT NULL,
    PRIMARY KEY (host, tier, to_at, id)
);
-- Bodies are compressed already: keep them out of line as they are.
ALTER TABLE segments ALTER COLUMN body SET STORAGE EXTERNAL;
-- Retention and the sums by tier read this index alone, never the bodies.
CREATE INDEX segments_by_age ON segments (tier, to_at, points, size_bytes);

-- The main metrics by hour, for SQL users and Grafana.
CREATE TABLE host_hourly (
    host          TEXT    COLLATE "C" NOT NULL,
    hour_at       BIGINT  NOT NULL,
    protocol      TEXT    COLLATE "C" NOT NULL CHECK (protocol IN ('tcp', 'udp')),
    namespace     TEXT    COLLATE "C" NOT NULL,
    capacity      BIGINT  NOT NULL,
    in_use_min    BIGINT  NOT NULL,
    in_use_avg    DOUBLE PRECISION NOT NULL,
    in_use_max    BIGINT  NOT NULL,
    in_use_last   BIGINT  NOT NULL,
    strong_max    BIGINT  NOT NULL,
    time_wait_max BIGINT  NOT NULL,
    bound_max     BIGINT,
    PRIMARY KEY (host, hour_at, protocol, namespace)
);
CREATE INDEX host_hourly_by_hour ON host_hourly (hour_at);

-- What happened, for operators.
CREATE TABLE notices (
    id   BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at   BIGINT  NOT NULL,
    host TEXT    COLLATE "C",
    kind TEXT    COLLATE "C" NOT NULL,
    text TEXT    COLLATE "C" NOT NULL
);
CREATE INDEX notices_by_host ON notices (host, id);

CREATE TABLE settings (
    key        TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL,
    generation BIGINT  NOT NULL
);
