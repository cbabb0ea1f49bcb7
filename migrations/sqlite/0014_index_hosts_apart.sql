-- What every controller asks every few seconds: which hosts are revoked or quarantined.
-- The Postgres file of the same name declares the same index.

CREATE INDEX hosts_apart ON hosts (id) WHERE state <> 'enrolled';
