-- Which hosts the holder of an API token may see and act on; NULL for all.
-- The SQLite file of the same name declares the same tables, columns and nullability.

ALTER TABLE api_tokens ADD COLUMN scope TEXT;
