-- Which of several controllers leads. The row is there from the start, so that taking it is an UPDATE.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE leases (
    name   TEXT    NOT NULL PRIMARY KEY,
    -- The controller that has it; NULL when nobody took it or it was given back.
    holder TEXT,
    -- Rises with each term and never falls: who holds an older one is refused.
    epoch  INTEGER NOT NULL CHECK (epoch >= 0),
    -- When the term began, and when it ends unless it is renewed.
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO leases (name, holder, epoch, since, until) VALUES ('leader', NULL, 0, 0, 0);
