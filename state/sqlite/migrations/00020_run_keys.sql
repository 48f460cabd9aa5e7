-- +goose Up
-- Which run an idempotency key stands for.
CREATE TABLE state_run_keys (
    principal TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    digest    TEXT    NOT NULL, -- of the request
    run       TEXT    NOT NULL,
    kept      INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_run_keys_by_time ON state_run_keys (kept);

-- +goose Down
DROP TABLE state_run_keys;
