-- What operators signed about their keys: revocations and rotations, with the signatures that were brought.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE key_statements (
    -- The first 128 bits of the SHA-256 of its bytes.
    id        TEXT    NOT NULL PRIMARY KEY,
    kind      TEXT    NOT NULL CHECK (kind IN ('revocation', 'rotation')),
    at        INTEGER NOT NULL,
    -- Who brought it.
    author    TEXT    NOT NULL,
    -- The bytes that are signed and sent.
    statement BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_statements_by_time ON key_statements (at);

CREATE TABLE key_statement_signatures (
    statement TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    -- Who brought it; whose key it is, hosts know.
    author    TEXT    NOT NULL,
    signature BLOB    NOT NULL,
    PRIMARY KEY (statement, key_id)
) STRICT, WITHOUT ROWID;

-- Who used which key.
CREATE INDEX action_signatures_by_key ON action_signatures (key_id, author, at);
