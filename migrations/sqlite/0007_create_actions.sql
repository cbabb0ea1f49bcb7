-- Actions with every step of their lives, who approved and signed them, what hosts let be done, and lockdowns.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE actions (
    number      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    host        TEXT    NOT NULL,
    incident    INTEGER,
    kind        TEXT    NOT NULL,
    -- What of the host it is done to, as a policy names it; may be empty.
    subject     TEXT    NOT NULL,
    tier        INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 3),
    dry_run     INTEGER NOT NULL,
    -- The requester's own name for the request, so that asking twice makes one action.
    request_key TEXT    UNIQUE,
    state       TEXT    NOT NULL CHECK (state IN ('proposed', 'approved', 'queued', 'sent', 'accepted', 'running', 'verifying', 'verified',
        'answered', 'rejected', 'expired', 'refused', 'failed', 'not_effective', 'rolled_back', 'timed_out', 'cancelled')),
    generation  INTEGER NOT NULL CHECK (generation > 0),
    -- When its state ends by itself; NULL when it does not.
    deadline    INTEGER,
    -- When its host may have begun.
    sent_at     INTEGER,
    ended_at    INTEGER,
    -- 1 while its effect is looked after beyond its end.
    holding     INTEGER NOT NULL,
    -- The bytes that are signed and sent.
    order_bytes BLOB    NOT NULL,
    -- Its times, its host's last report and its measured effect, as JSON.
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX actions_by_host ON actions (host, number);
CREATE INDEX actions_by_incident ON actions (incident, number);
CREATE INDEX actions_by_state ON actions (state, number);
CREATE INDEX actions_by_deadline ON actions (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX actions_by_sending ON actions (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX actions_by_end ON actions (ended_at);
CREATE INDEX actions_holding ON actions (number) WHERE holding = 1;

-- One row a step; never changed.
CREATE TABLE action_steps (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    action     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    -- NULL for the first.
    from_state TEXT,
    to_state   TEXT    NOT NULL,
    -- Who did it; NULL for the controller itself.
    author     TEXT,
    text       TEXT    NOT NULL
) STRICT;
CREATE INDEX action_steps_by_action ON action_steps (action, id);

CREATE TABLE action_approvals (
    action   TEXT    NOT NULL,
    approver TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    text     TEXT    NOT NULL,
    PRIMARY KEY (action, approver)
) STRICT, WITHOUT ROWID;

CREATE TABLE action_signatures (
    action    TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    -- Who brought it; whose key it is, hosts know.
    author    TEXT    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (action, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE host_policies (
    host    TEXT    NOT NULL PRIMARY KEY,
    -- When the host told it, on the controller's clock.
    told_at INTEGER NOT NULL,
    content TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest row says whether every action is stopped.
CREATE TABLE lockdowns (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    stop   INTEGER NOT NULL,
    author TEXT    NOT NULL,
    reason TEXT    NOT NULL
) STRICT;
