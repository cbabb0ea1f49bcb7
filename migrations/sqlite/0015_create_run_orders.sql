-- Orders of runs that are made with the plan, so that they can be signed before their hosts' turns. Signatures are those of the action that
-- each of them becomes.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE run_orders (
    run         INTEGER NOT NULL,
    -- Id of the order, and of the action that it becomes.
    action      TEXT    NOT NULL,
    -- How many signatures its host wants.
    wanted      INTEGER NOT NULL CHECK (wanted > 0),
    -- What is signed, byte for byte.
    order_bytes BLOB    NOT NULL,
    PRIMARY KEY (run, action)
) STRICT, WITHOUT ROWID;
