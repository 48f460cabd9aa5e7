-- +goose Up
-- Who may do what. No secret is here: of tokens and sessions only hashes.
CREATE TABLE state_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    grants     BLOB    NOT NULL,
    created_by TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    revoked    INTEGER NOT NULL DEFAULT 0,
    used       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE state_sessions (
    hash      BLOB    NOT NULL PRIMARY KEY,
    principal BLOB    NOT NULL,
    token     TEXT    NOT NULL,
    begun     INTEGER NOT NULL,
    seen      INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE state_approvals (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    deployment TEXT    NOT NULL,
    request    BLOB    NOT NULL,
    plan       TEXT    NOT NULL,
    plan_run   TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    asked_by   BLOB    NOT NULL,
    asked      INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    decided_by BLOB,
    decided    INTEGER NOT NULL DEFAULT 0,
    approved   INTEGER NOT NULL DEFAULT 0,
    run        TEXT    NOT NULL DEFAULT '',
    used       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- +goose Down
DROP TABLE state_approvals;
DROP TABLE state_sessions;
DROP TABLE state_tokens;
