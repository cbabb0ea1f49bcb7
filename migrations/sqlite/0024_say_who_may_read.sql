-- Which releases still work on these tables: those that know this migration. A migration that takes away what an older release
-- uses raises it, at least one release after nothing of it was used any more.
-- The Postgres file of the same name declares the same tables, columns and nullability.

CREATE TABLE schema_readers (
    only_row      INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    migration_min INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO schema_readers (only_row, migration_min) VALUES (1, 24);
