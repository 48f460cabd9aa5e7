-- +goose Up
-- sum is row_sum over the other columns: who may do what, and what is due, is not
-- believed from a row that a disk changed. See sqlitedb.
ALTER TABLE state_settings ADD COLUMN sum BLOB;
ALTER TABLE state_tokens ADD COLUMN sum BLOB;
ALTER TABLE state_sessions ADD COLUMN sum BLOB;
ALTER TABLE state_approvals ADD COLUMN sum BLOB;
ALTER TABLE state_schedules ADD COLUMN sum BLOB;

UPDATE state_settings SET sum = row_sum(name, value, changed);
UPDATE state_tokens SET sum = row_sum(id, name, hash, grants, created_by, created, expires, revoked, used);
UPDATE state_sessions SET sum = row_sum(hash, principal, token, begun, seen, expires);
UPDATE state_approvals SET sum = row_sum(id, deployment, request, plan, plan_run, reason, asked_by, asked, expires, decided_by, decided, approved, run, used);
UPDATE state_schedules SET sum = row_sum(name, version, definition, decided, waiting, paused, paused_by, paused_at);

-- +goose StatementBegin
CREATE TRIGGER state_settings_made AFTER INSERT ON state_settings BEGIN
    UPDATE state_settings SET sum = row_sum(name, value, changed) WHERE name = new.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_settings_changed AFTER UPDATE ON state_settings BEGIN
    UPDATE state_settings SET sum = row_sum(name, value, changed) WHERE name = new.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_tokens_made AFTER INSERT ON state_tokens BEGIN
    UPDATE state_tokens SET sum = row_sum(id, name, hash, grants, created_by, created, expires, revoked, used) WHERE id = new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_tokens_changed AFTER UPDATE ON state_tokens BEGIN
    UPDATE state_tokens SET sum = row_sum(id, name, hash, grants, created_by, created, expires, revoked, used) WHERE id = new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_sessions_made AFTER INSERT ON state_sessions BEGIN
    UPDATE state_sessions SET sum = row_sum(hash, principal, token, begun, seen, expires) WHERE hash = new.hash;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_sessions_changed AFTER UPDATE ON state_sessions BEGIN
    UPDATE state_sessions SET sum = row_sum(hash, principal, token, begun, seen, expires) WHERE hash = new.hash;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_approvals_made AFTER INSERT ON state_approvals BEGIN
    UPDATE state_approvals SET sum = row_sum(id, deployment, request, plan, plan_run, reason, asked_by, asked, expires, decided_by, decided, approved, run, used)
    WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_approvals_changed AFTER UPDATE ON state_approvals BEGIN
    UPDATE state_approvals SET sum = row_sum(id, deployment, request, plan, plan_run, reason, asked_by, asked, expires, decided_by, decided, approved, run, used)
    WHERE n = new.n;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_schedules_made AFTER INSERT ON state_schedules BEGIN
    UPDATE state_schedules SET sum = row_sum(name, version, definition, decided, waiting, paused, paused_by, paused_at) WHERE name = new.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER state_schedules_changed AFTER UPDATE ON state_schedules BEGIN
    UPDATE state_schedules SET sum = row_sum(name, version, definition, decided, waiting, paused, paused_by, paused_at) WHERE name = new.name;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER state_schedules_changed;
DROP TRIGGER state_schedules_made;
DROP TRIGGER state_approvals_changed;
DROP TRIGGER state_approvals_made;
DROP TRIGGER state_sessions_changed;
DROP TRIGGER state_sessions_made;
DROP TRIGGER state_tokens_changed;
DROP TRIGGER state_tokens_made;
DROP TRIGGER state_settings_changed;
DROP TRIGGER state_settings_made;
ALTER TABLE state_schedules DROP COLUMN sum;
ALTER TABLE state_approvals DROP COLUMN sum;
ALTER TABLE state_sessions DROP COLUMN sum;
ALTER TABLE state_tokens DROP COLUMN sum;
ALTER TABLE state_settings DROP COLUMN sum;
