-- +goose Up
-- Times are nanoseconds since 1970 UTC; 0 is none.
CREATE TABLE state_settings (
    name    TEXT    NOT NULL PRIMARY KEY,
    value   BLOB    NOT NULL,
    changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE state_settings;
