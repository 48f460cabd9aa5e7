-- +goose Up
-- Notices, as JSON. dedup is what a notice is about: there is one for each.
CREATE TABLE state_notices (
    n     INTEGER PRIMARY KEY AUTOINCREMENT,
    dedup TEXT    NOT NULL UNIQUE,
    made  INTEGER NOT NULL,
    body  BLOB    NOT NULL
) STRICT;
CREATE INDEX state_notices_by_time ON state_notices (made);

CREATE TABLE state_deliveries (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    notice   INTEGER NOT NULL REFERENCES state_notices (n) ON DELETE CASCADE,
    receiver TEXT    NOT NULL,
    alarm    INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    error    TEXT    NOT NULL
) STRICT;
CREATE INDEX state_deliveries_pending ON state_deliveries (receiver, alarm DESC, n) WHERE state = 'pending';
CREATE INDEX state_deliveries_by_notice ON state_deliveries (notice);

-- +goose Down
DROP TABLE state_deliveries;
DROP TABLE state_notices;
