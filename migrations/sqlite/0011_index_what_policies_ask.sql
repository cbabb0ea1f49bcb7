-- What standing policies ask at each look: the newest events of one kind, and what a policy did on one host.
-- The Postgres file of the same name declares the same indexes.

CREATE INDEX events_by_kind ON events (source, code, at);
CREATE INDEX policy_cases_by_host ON policy_cases (policy, host, id) WHERE fired_at IS NOT NULL;
