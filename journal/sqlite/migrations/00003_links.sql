-- +goose Up

-- link is the SHA-256 over the link of the run's event before (none for the first)
-- and this body: an event that was changed, left out or put in is known. Events of
-- before this version have none. A run's link is that of its last event.
ALTER TABLE events ADD COLUMN link BLOB;
ALTER TABLE runs ADD COLUMN link BLOB;

-- sum is the beginning of the SHA-256 over the other columns of the row; none where
-- it was last written before this version.
ALTER TABLE runs ADD COLUMN sum BLOB;
ALTER TABLE holds ADD COLUMN sum BLOB;
ALTER TABLE records ADD COLUMN sum BLOB;

-- Runs of which events are not there any more: see journal.Loss.
CREATE TABLE losses (
    run        TEXT    NOT NULL PRIMARY KEY,
    key        TEXT    NOT NULL,
    deployment TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How often a record was written: what the head of the records says too.
CREATE TABLE record_writes (n INTEGER NOT NULL) STRICT;
INSERT INTO record_writes (n) VALUES (0);

-- Damaged events, and those after them, which their runs go on without. Nothing
-- reads them but people.
CREATE TABLE set_aside (
    run  TEXT    NOT NULL,
    seq  INTEGER NOT NULL,
    body BLOB    NOT NULL,
    link BLOB,
    at   INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE set_aside;
DROP TABLE record_writes;
DROP TABLE losses;
ALTER TABLE records DROP COLUMN sum;
ALTER TABLE holds DROP COLUMN sum;
ALTER TABLE runs DROP COLUMN sum;
ALTER TABLE runs DROP COLUMN link;
ALTER TABLE events DROP COLUMN link;
