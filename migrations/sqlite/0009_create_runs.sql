-- Maintenance runs with their hosts, who approved them and every step of their lives; and which run an action is of.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE runs (
    number     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    state      TEXT    NOT NULL CHECK (state IN ('planned', 'approved', 'waiting', 'running', 'stopping', 'finished', 'stopped', 'failed',
        'rejected', 'expired', 'cancelled')),
    generation INTEGER NOT NULL CHECK (generation > 0),
    -- When its state ends by itself; NULL when it has ended.
    deadline   INTEGER,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER,
    spec       TEXT    NOT NULL,
    -- Its requester, its times and its plan, as JSON.
    body       TEXT    NOT NULL
) STRICT;
CREATE INDEX runs_by_end ON runs (ended_at);

CREATE TABLE run_hosts (
    run   INTEGER NOT NULL,
    -- Its place in the order of turns, from 0.
    place INTEGER NOT NULL,
    host  TEXT    NOT NULL,
    state TEXT    NOT NULL CHECK (state IN ('pending', 'gated', 'sent', 'down', 'up', 'verifying', 'verified', 'failed', 'skipped')),
    body  TEXT    NOT NULL,
    PRIMARY KEY (run, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_approvals (
    run       INTEGER NOT NULL,
    -- Which plan was approved: another one takes approvals anew.
    plan_hash TEXT    NOT NULL,
    approver  TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    text      TEXT    NOT NULL,
    PRIMARY KEY (run, plan_hash, approver)
) STRICT, WITHOUT ROWID;

-- One row a step; never changed.
CREATE TABLE run_steps (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    to_state TEXT    NOT NULL,
    -- Who did it; NULL for the controller itself.
    author   TEXT,
    text     TEXT    NOT NULL
) STRICT;
CREATE INDEX run_steps_by_run ON run_steps (run, id);

-- The run that an action is of.
ALTER TABLE actions ADD COLUMN run INTEGER;
CREATE INDEX actions_by_run ON actions (run, number) WHERE run IS NOT NULL;
