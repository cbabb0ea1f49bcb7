-- Actions with every step of their lives, who approved and signed them, what hosts let be done, and lockdowns.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE actions (
    number      BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT   COLLATE "C" NOT NULL UNIQUE,
    host        TEXT   COLLATE "C" NOT NULL,
    incident    BIGINT,
    kind        TEXT   COLLATE "C" NOT NULL,
    -- What of the host it is done to, as a policy names it; may be empty.
    subject     TEXT   COLLATE "C" NOT NULL,
    tier        BIGINT NOT NULL CHECK (tier BETWEEN 0 AND 3),
    dry_run     BIGINT NOT NULL,
    -- The requester's own name for the request, so that asking twice makes one action.
    request_key TEXT   COLLATE "C" UNIQUE,
    state       TEXT   COLLATE "C" NOT NULL CHECK (state IN ('proposed', 'approved', 'queued', 'sent', 'accepted', 'running', 'verifying', 'verified',
        'answered', 'rejected', 'expired', 'refused', 'failed', 'not_effective', 'rolled_back', 'timed_out', 'cancelled')),
    generation  BIGINT NOT NULL CHECK (generation > 0),
    -- When its state ends by itself; NULL when it does not.
    deadline    BIGINT,
    -- When its host may have begun.
    sent_at     BIGINT,
    ended_at    BIGINT,
    -- 1 while its effect is looked after beyond its end.
    holding     BIGINT NOT NULL,
    -- The bytes that are signed and sent.
    order_bytes BYTEA  NOT NULL,
    -- Its times, its host's last report and its measured effect, as JSON.
    body        TEXT   NOT NULL
);
CREATE INDEX actions_by_host ON actions (host, number);
CREATE INDEX actions_by_incident ON actions (incident, number);
CREATE INDEX actions_by_state ON actions (state, number);
CREATE INDEX actions_by_deadline ON actions (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX actions_by_sending ON actions (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX actions_by_end ON actions (ended_at);
CREATE INDEX actions_holding ON actions (number) WHERE holding = 1;

-- One row a step; never changed.
CREATE TABLE action_steps (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action     TEXT   COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    -- NULL for the first.
    from_state TEXT   COLLATE "C",
    to_state   TEXT   COLLATE "C" NOT NULL,
    -- Who did it; NULL for the controller itself.
    author     TEXT,
    text       TEXT   NOT NULL
);
CREATE INDEX action_steps_by_action ON action_steps (action, id);

CREATE TABLE action_approvals (
    action   TEXT   COLLATE "C" NOT NULL,
    approver TEXT   COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    text     TEXT   NOT NULL,
    PRIMARY KEY (action, approver)
);

CREATE TABLE action_signatures (
    action    TEXT   COLLATE "C" NOT NULL,
    key_id    TEXT   COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    -- Who brought it; whose key it is, hosts know.
    author    TEXT   NOT NULL,
    signature BYTEA  NOT NULL,
    PRIMARY KEY (action, key_id)
);

CREATE TABLE host_policies (
    host    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    -- When the host told it, on the controller's clock.
    told_at BIGINT NOT NULL,
    content TEXT   NOT NULL
);

-- The newest row says whether every action is stopped.
CREATE TABLE lockdowns (
    id     BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    stop   BIGINT NOT NULL,
    author TEXT   NOT NULL,
    reason TEXT   NOT NULL
);
