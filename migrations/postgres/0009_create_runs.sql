-- Maintenance runs with their hosts, who approved them and every step of their lives; and which run an action is of.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE runs (
    number     BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state      TEXT COLLATE "C"    NOT NULL CHECK (state IN ('planned', 'approved', 'waiting', 'running', 'stopping', 'finished', 'stopped', 'failed',
        'rejected', 'expired', 'cancelled')),
    generation BIGINT NOT NULL CHECK (generation > 0),
    -- When its state ends by itself; NULL when it has ended.
    deadline   BIGINT,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT,
    spec       TEXT    NOT NULL,
    -- Its requester, its times and its plan, as JSON.
    body       TEXT    NOT NULL
);
CREATE INDEX runs_by_end ON runs (ended_at);

CREATE TABLE run_hosts (
    run   BIGINT NOT NULL,
    -- Its place in the order of turns, from 0.
    place BIGINT NOT NULL,
    host  TEXT COLLATE "C"    NOT NULL,
    state TEXT COLLATE "C"    NOT NULL CHECK (state IN ('pending', 'gated', 'sent', 'down', 'up', 'verifying', 'verified', 'failed', 'skipped')),
    body  TEXT    NOT NULL,
    PRIMARY KEY (run, place)
);

CREATE TABLE run_approvals (
    run       BIGINT NOT NULL,
    -- Which plan was approved: another one takes approvals anew.
    plan_hash TEXT COLLATE "C"    NOT NULL,
    approver  TEXT COLLATE "C"    NOT NULL,
    at        BIGINT NOT NULL,
    text      TEXT    NOT NULL,
    PRIMARY KEY (run, plan_hash, approver)
);

-- One row a step; never changed.
CREATE TABLE run_steps (
    id       BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run      BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    to_state TEXT COLLATE "C"    NOT NULL,
    -- Who did it; NULL for the controller itself.
    author   TEXT COLLATE "C",
    text     TEXT    NOT NULL
);
CREATE INDEX run_steps_by_run ON run_steps (run, id);

-- The run that an action is of.
ALTER TABLE actions ADD COLUMN run BIGINT;
CREATE INDEX actions_by_run ON actions (run, number) WHERE run IS NOT NULL;
