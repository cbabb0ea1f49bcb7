-- Where a cursor stood before the commit that wrote it last: it is saved only if it still stands there, so that a commit that is done
-- twice, or by two controllers, is refused instead of counted twice.
ALTER TABLE cursors ADD COLUMN previous_seq BIGINT NOT NULL DEFAULT 0;
