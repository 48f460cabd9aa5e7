-- +goose Up
PRAGMA application_id = 1280004948; -- "LKST"

-- One row per run: what a list shows, and what the next append must follow.
-- It is changed in the transaction that appends the events it is folded from.
-- Times are nanoseconds since 1970 UTC; 0 is none.
CREATE TABLE runs (
    n            INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    id           TEXT    NOT NULL UNIQUE,
    seq          INTEGER NOT NULL, -- of the last event
    term         INTEGER NOT NULL, -- of the last event
    planned      INTEGER NOT NULL, -- seq of the run-planned event, 0 before
    key          TEXT    NOT NULL,
    deployment   TEXT    NOT NULL,
    operation    TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    data         TEXT    NOT NULL,
    locks        TEXT    NOT NULL,
    backup       TEXT    NOT NULL,
    started      INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    lock_started INTEGER NOT NULL,
    unlock_ended INTEGER NOT NULL,
    lock_window  REAL    NOT NULL, -- seconds
    error        TEXT    NOT NULL,
    exit_code    INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_key ON runs (key, id);
CREATE INDEX runs_by_deployment ON runs (deployment, id);
CREATE INDEX runs_by_key_operation ON runs (key, operation, id);
CREATE INDEX runs_by_deployment_operation ON runs (deployment, operation, id);
CREATE INDEX runs_by_operation ON runs (operation, id);
CREATE INDEX runs_by_state ON runs (state, id);

-- body is the event's envelope as JSON; long ones are gzip streams of it.
CREATE TABLE events (
    run  INTEGER NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    seq  INTEGER NOT NULL,
    body BLOB    NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    key        TEXT    NOT NULL,
    grp        TEXT    NOT NULL,
    idx        TEXT    NOT NULL,
    job        TEXT    NOT NULL,
    run        TEXT    NOT NULL,
    deployment TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    restore    INTEGER NOT NULL,
    PRIMARY KEY (key, grp, idx, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_run ON holds (run);

CREATE TABLE outputs (
    run     INTEGER NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
    step    TEXT    NOT NULL,
    attempt INTEGER NOT NULL,
    stream  TEXT    NOT NULL,
    dropped INTEGER NOT NULL,
    head    BLOB    NOT NULL,
    tail    BLOB    NOT NULL,
    PRIMARY KEY (run, step, attempt, stream)
) STRICT;

-- Who asked first that the run be canceled.
CREATE TABLE cancels (
    run   INTEGER PRIMARY KEY REFERENCES runs (n) ON DELETE CASCADE,
    asked TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE cancels;
DROP TABLE outputs;
DROP TABLE holds;
DROP TABLE events;
DROP TABLE runs;
