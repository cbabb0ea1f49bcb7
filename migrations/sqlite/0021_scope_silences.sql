-- Labels that the controller holds of a host can be changed: `labels_generation` counts the changes, and the index is what every
-- controller asks every few seconds. A silence holds for the hosts of whoever made it; NULL for all.
-- The Postgres file of the same name declares the same tables, columns, nullability and index.

ALTER TABLE hosts ADD COLUMN labels_generation INTEGER NOT NULL DEFAULT 0;
CREATE INDEX hosts_relabelled ON hosts (id, labels_generation) WHERE labels_generation > 0;
ALTER TABLE silences ADD COLUMN scope TEXT;
