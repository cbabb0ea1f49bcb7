-- The audit log: who did what, each entry hashed together with the one before it; its newest signed checkpoints; and which of
-- them each host holds.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE audit_log (
    -- From 1, without holes.
    seq        INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    who_kind   TEXT    NOT NULL,
    who_name   TEXT    NOT NULL,
    role       TEXT,
    credential TEXT,
    address    TEXT,
    what       TEXT    NOT NULL,
    on_kind    TEXT    NOT NULL,
    on_id      TEXT    NOT NULL,
    -- Not a reference: an entry outlives what it is about.
    on_host    TEXT,
    outcome    TEXT    NOT NULL,
    -- A JSON object of strings, by name.
    detail     TEXT    NOT NULL,
    -- Hash of the entry before, and of this one.
    prev       BLOB    NOT NULL,
    hash       BLOB    NOT NULL
) STRICT;

CREATE TRIGGER audit_log_takes_the_next_entry BEFORE INSERT ON audit_log
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_log)
BEGIN SELECT RAISE(ABORT, 'the audit log takes the next entry alone'); END;

CREATE TRIGGER audit_log_keeps_entries BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never deleted'); END;

CREATE TRIGGER audit_log_changes_no_entry BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END;

CREATE TABLE audit_checkpoints (
    -- How many entries it counts.
    size INTEGER NOT NULL PRIMARY KEY,
    at   INTEGER NOT NULL,
    -- The signed note.
    note TEXT    NOT NULL
) STRICT;

CREATE TABLE audit_witnesses (
    host  TEXT    NOT NULL PRIMARY KEY,
    at    INTEGER NOT NULL,
    -- The newest checkpoint that the host verified and keeps.
    size  INTEGER NOT NULL,
    note  TEXT    NOT NULL,
    -- Why it contradicts this log, when it does.
    fault TEXT
) STRICT, WITHOUT ROWID;
