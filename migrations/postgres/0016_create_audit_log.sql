-- The audit log: who did what, each entry hashed together with the one before it; its newest signed checkpoints; and which of
-- them each host holds.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE audit_log (
    -- From 1, without holes.
    seq        BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    who_kind   TEXT   NOT NULL,
    who_name   TEXT   NOT NULL,
    role       TEXT,
    credential TEXT,
    address    TEXT,
    what       TEXT   NOT NULL,
    on_kind    TEXT   NOT NULL,
    on_id      TEXT   NOT NULL,
    -- Not a reference: an entry outlives what it is about.
    on_host    TEXT COLLATE "C",
    outcome    TEXT   NOT NULL,
    -- A JSON object of strings, by name.
    detail     TEXT   NOT NULL,
    -- Hash of the entry before, and of this one.
    prev       BYTEA  NOT NULL,
    hash       BYTEA  NOT NULL
);

CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'entries of the audit log are never changed or deleted';
    END IF;
    IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_log) THEN
        RAISE EXCEPTION 'the audit log takes the next entry alone';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_log_keeps_entries BEFORE INSERT OR UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();

CREATE TRIGGER audit_log_keeps_all_entries BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();

CREATE TABLE audit_checkpoints (
    -- How many entries it counts.
    size BIGINT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL,
    -- The signed note.
    note TEXT   NOT NULL
);

CREATE TABLE audit_witnesses (
    host  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at    BIGINT NOT NULL,
    -- The newest checkpoint that the host verified and keeps.
    size  BIGINT NOT NULL,
    note  TEXT   NOT NULL,
    -- Why it contradicts this log, when it does.
    fault TEXT
);
