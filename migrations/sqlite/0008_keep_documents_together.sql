-- Documents that people apply, of every kind in one table: every version of each, with who applied it. The newest one of a
-- kind and name is what holds.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE document_versions (
    kind    TEXT    NOT NULL CHECK (kind IN ('budget', 'policy', 'window')),
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    at      INTEGER NOT NULL,
    author  TEXT    NOT NULL,
    -- The document as it was applied, as JSON; NULL where it was deleted.
    body    TEXT,
    PRIMARY KEY (kind, name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_versions_by_age ON document_versions (at);

INSERT INTO document_versions (kind, name, version, at, author, body)
    SELECT 'budget', name, version, at, author, body FROM budget_versions;
INSERT INTO document_versions (kind, name, version, at, author, body)
    SELECT 'window', name, version, applied_at, applied_by, spec FROM window_versions;

DROP TABLE budget_versions;
DROP TABLE window_versions;
DROP TABLE windows;
