-- Which hosts a user may see and act on; NULL for all.
-- The Postgres file of the same name declares the same tables, columns and nullability.

ALTER TABLE users ADD COLUMN scope TEXT;
