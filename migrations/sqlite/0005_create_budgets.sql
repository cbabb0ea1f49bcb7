-- Port budgets: every version of each, with who applied it. The newest one of a name is what holds.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE budget_versions (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    at      INTEGER NOT NULL,
    author  TEXT    NOT NULL,
    -- The budget as it was applied, as JSON; NULL where it was deleted.
    body    TEXT,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_versions_by_age ON budget_versions (at);
