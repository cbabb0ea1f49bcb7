-- Which releases still work on these tables: those that know this migration. A migration that takes away what an older release
-- uses raises it, at least one release after nothing of it was used any more.
-- The SQLite file of the same name declares the same tables, columns and nullability.

CREATE TABLE schema_readers (
    only_row      BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    migration_min BIGINT NOT NULL
);

INSERT INTO schema_readers (only_row, migration_min) VALUES (1, 24);
