-- +goose Up
-- definition is a lockstep.Schedule as JSON. Times are nanoseconds since 1970
-- UTC; 0 is none.
CREATE TABLE state_schedules (
    name       TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    definition BLOB    NOT NULL,
    decided    INTEGER NOT NULL,
    waiting    INTEGER NOT NULL,
    paused     INTEGER NOT NULL,
    paused_by  TEXT    NOT NULL,
    paused_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of slots. change is unique over all rows and grows with each
-- change, so that a reader can go on from the last one it has seen.
CREATE TABLE state_slots (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    change     INTEGER NOT NULL UNIQUE,
    schedule   TEXT    NOT NULL,
    deployment TEXT    NOT NULL,
    operation  TEXT    NOT NULL,
    slot       INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    run        TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    manual     INTEGER NOT NULL,
    asked_by   TEXT    NOT NULL,
    decided    INTEGER NOT NULL
) STRICT;
CREATE INDEX state_slots_by_schedule ON state_slots (schedule, n);
CREATE INDEX state_slots_claimed ON state_slots (n) WHERE state = 'claimed';
-- A slot is begun once.
CREATE UNIQUE INDEX state_slots_begun ON state_slots (schedule, slot) WHERE state <> 'skipped' AND manual = 0;

-- The number of the last change, also after its record was pruned.
CREATE TABLE state_slot_changes (last INTEGER NOT NULL) STRICT;
INSERT INTO state_slot_changes (last) VALUES (0);

-- +goose Down
DROP TABLE state_slot_changes;
DROP TABLE state_slots;
DROP TABLE state_schedules;
