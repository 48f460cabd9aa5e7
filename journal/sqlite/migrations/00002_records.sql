-- +goose Up

-- What outlives runs, one row for each thing: see journal.Record. at is in
-- nanoseconds since 1970 UTC.
CREATE TABLE records (
    kind TEXT    NOT NULL,
    name TEXT    NOT NULL,
    data TEXT    NOT NULL, -- JSON
    at   INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE records;
