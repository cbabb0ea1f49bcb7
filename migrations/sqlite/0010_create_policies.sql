-- Standing policies are documents, too; and what each did on which host.
-- The Postgres file of the same name declares the same tables, columns and nullability.

-- SQLite cannot alter a CHECK: the table is rebuilt with one kind more.
CREATE TABLE document_versions_rebuilt (
    kind    TEXT    NOT NULL CHECK (kind IN ('budget', 'policy', 'window')),
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    at      INTEGER NOT NULL,
    author  TEXT    NOT NULL,
    -- The document as it was applied, as JSON; NULL where it was deleted.
    body    TEXT,
    PRIMARY KEY (kind, name, version)
) STRICT, WITHOUT ROWID;
INSERT INTO document_versions_rebuilt (kind, name, version, at, author, body)
    SELECT kind, name, version, at, author, body FROM document_versions;
DROP TABLE document_versions;
ALTER TABLE document_versions_rebuilt RENAME TO document_versions;
CREATE INDEX document_versions_by_age ON document_versions (at);

CREATE TABLE policy_cases (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    policy     TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    host       TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('holding', 'acting', 'verified', 'done', 'escalated', 'stopped', 'cleared', 'withdrawn')),
    generation INTEGER NOT NULL CHECK (generation > 0),
    -- Since when its condition holds.
    since      INTEGER NOT NULL,
    -- When its ladder was begun; NULL while it was not.
    fired_at   INTEGER,
    -- When nothing more was to come; NULL while something may.
    ended_at   INTEGER,
    -- Its ladder, what is out and what was tried, as JSON.
    body       TEXT    NOT NULL
) STRICT;
-- A host has one case of a policy at a time, whichever controller looks.
CREATE UNIQUE INDEX policy_cases_open ON policy_cases (policy, host) WHERE ended_at IS NULL;
CREATE INDEX policy_cases_by_policy ON policy_cases (policy, id);
CREATE INDEX policy_cases_by_firing ON policy_cases (fired_at) WHERE fired_at IS NOT NULL;
CREATE INDEX policy_cases_by_end ON policy_cases (ended_at);
