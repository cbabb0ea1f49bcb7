-- Port budgets: every version of each, with who applied it. The newest one of a name is what holds.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE budget_versions (
    name    TEXT   COLLATE "C" NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    at      BIGINT NOT NULL,
    author  TEXT   NOT NULL,
    -- The budget as it was applied, as JSON; NULL where it was deleted.
    body    TEXT,
    PRIMARY KEY (name, version)
);
CREATE INDEX budget_versions_by_age ON budget_versions (at);
