-- What each standing policy did on which host.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE policy_cases (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy     TEXT   COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    host       TEXT   COLLATE "C" NOT NULL,
    state      TEXT   COLLATE "C" NOT NULL CHECK (state IN ('holding', 'acting', 'verified', 'done', 'escalated', 'stopped', 'cleared', 'withdrawn')),
    generation BIGINT NOT NULL CHECK (generation > 0),
    -- Since when its condition holds.
    since      BIGINT NOT NULL,
    -- When its ladder was begun; NULL while it was not.
    fired_at   BIGINT,
    -- When nothing more was to come; NULL while something may.
    ended_at   BIGINT,
    -- Its ladder, what is out and what was tried, as JSON.
    body       TEXT   NOT NULL
);
-- A host has one case of a policy at a time, whichever controller looks.
CREATE UNIQUE INDEX policy_cases_open ON policy_cases (policy, host) WHERE ended_at IS NULL;
CREATE INDEX policy_cases_by_policy ON policy_cases (policy, id);
CREATE INDEX policy_cases_by_firing ON policy_cases (fired_at) WHERE fired_at IS NOT NULL;
CREATE INDEX policy_cases_by_end ON policy_cases (ended_at);
