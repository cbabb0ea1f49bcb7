-- What operators signed about their keys: revocations and rotations, with the signatures that were brought.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE key_statements (
    -- The first 128 bits of the SHA-256 of its bytes.
    id        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    kind      TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('revocation', 'rotation')),
    at        BIGINT  NOT NULL,
    -- Who brought it.
    author    TEXT   COLLATE "C" NOT NULL,
    -- The bytes that are signed and sent.
    statement BYTEA  NOT NULL
);
CREATE INDEX key_statements_by_time ON key_statements (at);

CREATE TABLE key_statement_signatures (
    statement TEXT   COLLATE "C" NOT NULL,
    key_id    TEXT   COLLATE "C" NOT NULL,
    at        BIGINT  NOT NULL,
    -- Who brought it; whose key it is, hosts know.
    author    TEXT   COLLATE "C" NOT NULL,
    signature BYTEA  NOT NULL,
    PRIMARY KEY (statement, key_id)
);

-- Who used which key.
CREATE INDEX action_signatures_by_key ON action_signatures (key_id, author, at);
