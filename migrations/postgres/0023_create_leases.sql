-- Which of several controllers leads. The row is there from the start, so that taking it is an UPDATE.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE leases (
    name   TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    -- The controller that has it; NULL when nobody took it or it was given back.
    holder TEXT,
    -- Rises with each term and never falls: who holds an older one is refused.
    epoch  BIGINT NOT NULL CHECK (epoch >= 0),
    -- When the term began, and when it ends unless it is renewed, by this database's clock.
    since  BIGINT NOT NULL,
    until  BIGINT NOT NULL,
    -- Makes the epoch a key: a transaction that holds the row FOR KEY SHARE holds up a takeover, which changes it, and no renewal,
    -- which does not.
    UNIQUE (name, epoch)
);

INSERT INTO leases (name, holder, epoch, since, until) VALUES ('leader', NULL, 0, 0, 0);
